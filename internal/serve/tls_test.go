package serve_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gathering"
)

// certify writes a certificate for this machine and its key.
func certify(t *testing.T, dir, name string) (certificate, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	certificate, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key, pool
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := newStand(t).administered()
	o := s.options()
	var pool *x509.CertPool
	o.Certificate, o.Key, pool = certify(t, t.TempDir(), "here")
	r := s.serve(o)
	if !strings.HasPrefix(r.url, "https://") {
		t.Errorf("it says %s", r.url)
	}
	if a, err := r.tries("GET", "/readyz", ""); err == nil {
		t.Errorf("a client that trusts nobody got %d", a.status)
	}
	for name, transport := range map[string]*http.Transport{
		"HTTP/1.1": {TLSClientConfig: &tls.Config{RootCAs: pool}},
		"HTTP/2":   {TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true},
	} {
		r.client.Transport = transport
		if a := r.asks(200, "GET", "/readyz", ""); a.header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: the answer does not say that it is to be asked by TLS alone: %v", name, a.header)
		}
		r.signedIn()
		transport.CloseIdleConnections()
	}
	r.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}}
	if a, err := r.tries("GET", "/readyz", ""); err == nil {
		t.Errorf("a client of an old version got %d", a.status)
	}
}

func TestTLSThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, key, _ := certify(t, dir, "one")
	_, other, _ := certify(t, dir, "two")
	for name, test := range map[string]struct{ certificate, key, tells string }{
		"no key":         {certificate, "", "go together"},
		"no certificate": {"", key, "go together"},
		"no such file":   {certificate, filepath.Join(dir, "none.key"), "none.key"},
		"another key":    {certificate, other, "does not match"},
		"mixed up":       {key, certificate, "cannot be used"},
	} {
		s := newStand(t)
		s.app.Data = filepath.Join(t.TempDir(), "data")
		o := s.options()
		o.Certificate, o.Key = test.certificate, test.key
		if err := s.refuses(o); gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), test.tells) {
			t.Errorf("%s: got %v, want an error of kind invalid that says %q", name, err, test.tells)
		}
		if _, err := os.Stat(s.app.Data); err == nil {
			t.Errorf("%s: a data directory was made", name)
		}
	}
}

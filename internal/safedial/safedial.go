package safedial

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"gathering"
)

// Bounds of a transport.
const (
	maxIdle        = 64
	maxIdlePerHost = 4
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 64 << 10
)

// Options say what a client may reach and how long it waits. The zero value
// reaches the public internet.
type Options struct {
	// Allow lists special networks that are reached all the same.
	Allow []netip.Prefix
	// Resolver looks up names; nil is that of the system. Whatever it answers
	// is judged like any other address.
	Resolver *net.Resolver
	// RootCAs are the authorities whose certificates count; nil are those of
	// the system.
	RootCAs *x509.CertPool
	// ConnectTimeout bounds looking up a name and connecting to one of its
	// addresses. Default 10 s.
	ConnectTimeout time.Duration
	// TLSTimeout bounds the handshake. Default 10 s.
	TLSTimeout time.Duration
	// HeaderTimeout bounds the time from the end of the request to the header
	// of its answer. Default 60 s.
	HeaderTimeout time.Duration
	// MaxRedirects is how many redirects of one request a client follows.
	// Default 10. Below 0 it follows none: the redirect is the answer.
	MaxRedirects int
	// OneShot makes a connection for each request and closes it afterwards.
	// Such a transport speaks HTTP/1.1 and sends a request at most once, where
	// others repeat one whose connection turns out to be closed, in the belief
	// that an Idempotency-Key makes that safe.
	OneShot bool
}

// NewTransport returns a transport that connects only to addresses that o lets
// it. It uses no proxy, speaks TLS 1.2 or later, and keeps few connections for
// a short time. Of an answer it reads as much as its reader asks for.
//
// A connection refused is KindForbidden, as an [errors.As] finds in the chain:
// it names the host as the caller gave it and the setting that would allow it,
// and only its cause, for the log, names the address.
func NewTransport(o Options) *http.Transport {
	d := &dialer{
		judge: newJudge(o.Allow),
		plain: net.Dialer{
			Timeout:   cmp.Or(o.ConnectTimeout, 10*time.Second),
			KeepAlive: 30 * time.Second,
			Resolver:  o.Resolver,
		},
	}
	return &http.Transport{
		Proxy:                  nil, // a proxy would connect on our behalf, unjudged
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout:    cmp.Or(o.TLSTimeout, 10*time.Second),
		ResponseHeaderTimeout:  cmp.Or(o.HeaderTimeout, time.Minute),
		MaxResponseHeaderBytes: maxHeaderBytes,
		ForceAttemptHTTP2:      !o.OneShot,
		DisableKeepAlives:      o.OneShot,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
	}
}

// NewClient returns a client on a transport of its own that keeps no cookies
// and follows redirects with care, see [Redirects]. Bound its requests by
// their context.
func NewClient(o Options) *http.Client {
	return &http.Client{Transport: NewTransport(o), CheckRedirect: Redirects(o.MaxRedirects)}
}

type dialer struct {
	judge *judge
	plain net.Dialer
}

// dial connects to an address, which is "host:port".
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	if number(host) {
		return nil, gathering.NewError(gathering.KindForbidden,
			"%s is a number that could stand for an address; write the address in four decimal parts", host)
	}
	if literal, err := netip.ParseAddr(host); err == nil {
		if err := d.admit(host, literal); err != nil {
			return nil, err
		}
	}
	guarded := d.plain
	guarded.ControlContext = func(_ context.Context, network, address string, _ syscall.RawConn) error {
		dialled, err := netip.ParseAddrPort(address)
		if err != nil || !strings.HasPrefix(network, "tcp") {
			return gathering.NewError(gathering.KindForbidden, "%s is not reached by TCP", host).WithCause(err)
		}
		return d.admit(host, dialled.Addr())
	}
	return guarded.DialContext(ctx, network, address)
}

// admit returns an error where an address of host is not to be reached.
func (d *dialer) admit(host string, address netip.Addr) error {
	why := d.judge.refuse(address)
	if why == "" {
		return nil
	}
	return gathering.NewError(gathering.KindForbidden,
		"%s is in a private or special network; outgoing calls reach it only if %s lists its network", host, Setting).
		WithCause(fmt.Errorf("%s is %s", address, why))
}

package httpx_test

import (
	"crypto/tls"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering/internal/httpx"
)

func secured() map[string]string {
	return map[string]string{
		"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), publickey-credentials-get=(), usb=()",
		"Cache-Control":                "no-store",
	}
}

func TestSecure(t *testing.T) {
	t.Parallel()
	const hsts = "Strict-Transport-Security"
	trusting := httpx.Policy{Proxies: proxies(t, "10.0.0.0/8")}
	const own = "default-src 'none'; script-src 'self'"
	page := func(w http.ResponseWriter, _ *http.Request) {
		httpx.SetCSP(w, own)
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusOK)
	}
	api := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	for name, test := range map[string]struct {
		policy httpx.Policy
		serve  http.HandlerFunc
		r      *http.Request
		more   map[string]string
	}{
		"plain":               {trusting, api, request("GET", "/", direct), nil},
		"a client's claim":    {trusting, api, request("GET", "/", direct, proto, "https"), nil},
		"a proxy's word":      {trusting, api, request("GET", "/", near, proto, "https"), map[string]string{hsts: "max-age=31536000"}},
		"for less":            {httpx.Policy{Proxies: trusting.Proxies, HSTS: time.Hour}, api, request("GET", "/", near, proto, "https"), map[string]string{hsts: "max-age=3600"}},
		"a page":              {trusting, page, request("GET", "/", direct), map[string]string{"Content-Security-Policy": own, "Cache-Control": "max-age=60"}},
		"from another origin": {trusting, api, request("GET", "/", direct, "Origin", "https://evil.example"), nil},
		"preflight": {
			trusting, api,
			request("OPTIONS", "/", direct, "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x"), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, got := secured(), map[string]string{}
			maps.Copy(want, test.more)
			for key, values := range ask(httpx.Secure(test.serve, test.policy), test.r).Header() {
				got[key] = strings.Join(values, " | ")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
	r := request("GET", "/", direct)
	r.TLS = &tls.ConnectionState{}
	if got := ask(httpx.Secure(http.HandlerFunc(api), httpx.Policy{}), r).Header().Get(hsts); got == "" {
		t.Error("an answer by TLS does not ask for more of it")
	}
}

// TestPreflightIsAnyMethod holds that routes answer a preflight as they answer
// any method they do not have.
func TestPreflightIsAnyMethod(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /runs", func(http.ResponseWriter, *http.Request) {})
	h := httpx.Secure(mux, httpx.Policy{})
	preflight := ask(h, request("OPTIONS", "/runs", direct, "Origin", "https://evil.example", "Access-Control-Request-Method", "GET"))
	other := ask(h, request("BREW", "/runs", direct))
	if preflight.Code != http.StatusMethodNotAllowed {
		t.Errorf("status %d, want 405", preflight.Code)
	}
	if diff := cmp.Diff(other.Header(), preflight.Header()); diff != "" {
		t.Errorf("headers (-another method +preflight):\n%s", diff)
	}
}

// TestFailuresAreSecured holds that the answer to a panic has the headers of
// any other, whatever the handler had chosen.
func TestFailuresAreSecured(t *testing.T) {
	t.Parallel()
	h := httpx.Log(httpx.Secure(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("Content-Length", "3")
		h.Set("ETag", `"x"`)
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Disposition", "attachment")
		panic("a defect")
	}), httpx.Policy{}), (&journal{}).logger(), httpx.Proxies{})
	got := ask(h, request("GET", "/", direct)).Header()
	for key, value := range secured() {
		if got.Get(key) != value {
			t.Errorf("%s: got %q, want %q", key, got.Get(key), value)
		}
	}
	for _, key := range []string{"Content-Length", "ETag", "Content-Encoding", "Content-Disposition"} {
		if got.Get(key) != "" {
			t.Errorf("%s: got %q, want none", key, got.Get(key))
		}
	}
}

package safedial_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/safedial"
)

func oldTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
}

// echo answers with the method and the names of the headers it was given.
func echo(w http.ResponseWriter, r *http.Request) {
	names := slices.Sorted(maps.Keys(r.Header))
	io.WriteString(w, strings.Join(append([]string{r.Method}, names...), " "))
}

// TestHeadersOnTheWay follows redirects with every sort of header.
func TestHeadersOnTheWay(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	here := serve(t, "127.0.0.1:0", mux.ServeHTTP)
	there := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			http.Redirect(w, r, here.URL+"/echo", http.StatusFound)
			return
		}
		echo(w, r)
	})
	mux.HandleFunc("/echo", echo)
	for path, to := range map[string]string{
		"/same": "/echo", "/abroad": there.URL, "/roundabout": there.URL + "/back",
		"/name": "http://localhost:" + here.port + "/echo",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusSeeOther) })
	}
	const all = "Accept Accept-Encoding Authorization Cookie"
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/same", "GET " + all + " Idempotency-Key Proxy-Authorization User-Agent X-Api-Key"},
		{"GET", "/abroad", "GET Accept Accept-Encoding User-Agent"},
		{"GET", "/name", "GET Accept Accept-Encoding User-Agent"},
		{"GET", "/roundabout", "GET Accept Accept-Encoding User-Agent"},
		{"POST", "/same", "GET " + all + " Proxy-Authorization User-Agent X-Api-Key"},
		{"POST", "/abroad", "GET Accept Accept-Encoding User-Agent"},
	} {
		t.Run(test.method+test.path, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), test.method, here.URL+test.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"Accept", "Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "Idempotency-Key"} {
				request.Header.Set(name, "secret")
			}
			request.Header["x-odd-key"] = []string{"secret"} // not in canonical form
			_, got, err := do(t, client(t, safedial.Options{Allow: home()}), request)
			want := test.want
			if strings.Contains(want, "X-Api-Key") {
				want += " X-Odd-Key"
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestRedirectsByMethod(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		status := map[string]int{"/301": 301, "/302": 302, "/303": 303, "/307": 307, "/308": 308}[r.URL.Path]
		if status == 0 {
			w.Header().Set("Method", r.Method)
			return
		}
		http.Redirect(w, r, "/end", status)
	})
	for _, test := range []struct {
		method, path string
		limit        int
		status       int
		end          string
	}{
		{"GET", "/301", 0, 200, "GET"},
		{"GET", "/308", 0, 200, "GET"},
		{"HEAD", "/302", 0, 200, "HEAD"},
		{"POST", "/301", 0, 301, ""},
		{"POST", "/302", 0, 302, ""},
		{"POST", "/303", 0, 200, "GET"},
		{"POST", "/307", 0, 307, ""},
		{"PUT", "/308", 0, 308, ""},
		{"DELETE", "/307", 0, 307, ""},
		{"GET", "/302", -1, 302, ""},
		{"POST", "/303", -1, 303, ""},
	} {
		t.Run(test.method+test.path, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), test.method, s.URL+test.path, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client(t, safedial.Options{Allow: home(), MaxRedirects: test.limit}).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if got := response.Header.Get("Method"); response.StatusCode != test.status || got != test.end {
				t.Errorf("got %d %q, want %d %q", response.StatusCode, got, test.status, test.end)
			}
		})
	}
}

func TestRedirectsRefused(t *testing.T) {
	t.Parallel()
	plain := serve(t, "127.0.0.1:0", hello)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", map[string]string{
			"/loop": "/loop", "/down": plain.URL, "/file": "file:///etc/passwd", "/script": "gopher://127.0.0.1/",
			"/user": "https://user:secret@" + r.Host + "/",
		}[r.URL.Path])
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := client(t, safedial.Options{Allow: home(), RootCAs: roots, MaxRedirects: 3})
	const unsafe = " redirects to an address that is less safe, which is not followed: ask the address itself"
	for path, want := range map[string]struct {
		kind    gathering.Kind
		message string
	}{
		"/loop":   {gathering.KindInvalid, " redirects more than 3 times"},
		"/down":   {gathering.KindForbidden, unsafe},
		"/file":   {gathering.KindForbidden, unsafe},
		"/script": {gathering.KindForbidden, unsafe},
		"/user":   {gathering.KindForbidden, " redirects to an address with credentials in it, which is not followed"},
	} {
		_, _, err := get(t, c, s.URL+path)
		fault, ok := errors.AsType[*gathering.Error](err)
		if message := strings.TrimPrefix(s.URL, "https://") + want.message; !ok || fault.Kind != want.kind || fault.Public() != message {
			t.Errorf("%s: got %v, want %s: %s", path, err, want.kind, message)
		}
	}
	if got := plain.connections.Load(); got != 0 {
		t.Errorf("%d connections were made without TLS", got)
	}
}

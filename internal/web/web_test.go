package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"gathering/internal/web"
)

func ask(t *testing.T, d *web.Dashboard, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func dashboard(t *testing.T, at string) *web.Dashboard {
	t.Helper()
	d, err := web.New(at)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPage holds for the dashboard and for the page in its place.
func TestPage(t *testing.T) {
	t.Parallel()
	for at, base := range map[string]string{"": `<base href="/"`, "/gathering": `<base href="/gathering/"`, `/a"b`: `<base href="/a&#34;b/"`} {
		d := dashboard(t, at)
		for _, path := range []string{"/", "/runs/run_1", "/sign-in?next=%2Fruns"} {
			w := ask(t, d, "GET", path, "Accept", "text/html,*/*;q=0.8")
			if w.Code != 200 || !strings.Contains(w.Body.String(), base) || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s at %q: got %d %v %s", path, at, w.Code, w.Header(), w.Body)
			}
			if body := ask(t, d, "HEAD", path, "Accept", "text/html").Body; body.Len() > 0 {
				t.Errorf("HEAD %s: got %s", path, body)
			}
		}
	}
	d := dashboard(t, "")
	for path, accept := range map[string]string{"/runs": "application/json", "/": "", "/evil.js": "text/html", "/assets/none.js": "*/*", "/index.html": "text/html"} {
		if w := ask(t, d, "GET", path, "Accept", accept); w.Code != 404 {
			t.Errorf("%s for %q: got %d", path, accept, w.Code)
		}
	}
}

// TestPolicy holds that a page runs nothing that stands in it, and that the
// nonce of its styles is another each time.
func TestPolicy(t *testing.T) {
	t.Parallel()
	d := dashboard(t, "")
	seen := map[string]bool{}
	for range 3 {
		w := ask(t, d, "GET", "/", "Accept", "text/html")
		policy := w.Header().Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`style-src 'self' 'nonce-([A-Z2-7]{26})'`).FindStringSubmatch(policy)
		if nonce == nil || seen[nonce[1]] || !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Fatalf("policy: %s", policy)
		}
		seen[nonce[1]] = true
		page := w.Body.String()
		if web.Built() && !strings.Contains(page, `nonce="`+nonce[1]+`"`) {
			t.Errorf("the page does not tell its nonce: %s", page)
		}
		if regexp.MustCompile(`(?i)<style|\son[a-z]+=|style=|javascript:|https?://`).MatchString(page) || regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(page) {
			t.Errorf("the page has something inline, or from elsewhere: %s", page)
		}
	}
}

// TestFiles asks for every file of the dashboard, packed and not.
func TestFiles(t *testing.T) {
	t.Parallel()
	if !web.Built() {
		if os.Getenv("CI") != "" {
			t.Fatal("this program has no dashboard: make dashboard")
		}
		t.Skip("this program has no dashboard")
	}
	d := dashboard(t, "/gathering")
	page := ask(t, d, "GET", "/", "Accept", "text/html").Body.String()
	names := regexp.MustCompile(`(?:src|href)="\./([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(names) < 4 {
		t.Fatalf("the page has %d files: %s", len(names), page)
	}
	for _, found := range names {
		name := "/" + found[1]
		plain := ask(t, d, "GET", name)
		if plain.Code != 200 || plain.Header().Get("Content-Encoding") != "" || plain.Body.Len() == 0 || plain.Header().Get("Content-Type") == "" {
			t.Errorf("%s: got %d %v", name, plain.Code, plain.Header())
		}
		for accept, want := range map[string]string{"gzip, deflate, br": "gzip", "GZIP; q=0.5": "gzip", "gzip;q=0": "", "gzip; q=0.000": "", "br": ""} {
			w := ask(t, d, "GET", name, "Accept-Encoding", accept)
			if got := w.Header().Get("Content-Encoding"); got != want {
				t.Errorf("%s for %q: got %q, want %q", name, accept, got, want)
			}
			if want == "" {
				continue
			}
			r, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(r); err != nil || string(text) != plain.Body.String() {
				t.Errorf("%s: unpacked it is another, %v", name, err)
			}
		}
		kept := strings.HasPrefix(name, "/assets/")
		if got := plain.Header().Get("Cache-Control"); strings.Contains(got, "immutable") != kept {
			t.Errorf("%s: may be kept as %q", name, got)
		}
		if w := ask(t, d, "GET", name, "If-None-Match", plain.Header().Get("ETag")); w.Code != 304 || w.Body.Len() > 0 {
			t.Errorf("%s, known: got %d", name, w.Code)
		}
	}
}

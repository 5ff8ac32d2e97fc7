package api_test

import (
	"net/http"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/store/storetest"
)

// TestBelowAPath serves under a path, for a proxy that takes it off and for one
// that does not.
func TestBelowAPath(t *testing.T) {
	t.Parallel()
	s := open(t, storetest.SQLite(t), app.FrontOptions{Path: "/gathering"})
	s.people = map[string]*person{}
	ada := s.settle(t, &person{name: "ada", user: s.newUser(t, "ada", gathering.RoleAdmin)})
	for _, base := range []string{"", "/gathering"} {
		if got := s.ask(t, nil, call{method: http.MethodGet, path: base + "/healthz"}); got.status != http.StatusOK {
			t.Errorf("%s/healthz: got %d %s", base, got.status, got.body)
		}
		if got := s.ask(t, ada, call{method: http.MethodGet, path: base + at("auth", "me")}); got.status != http.StatusOK {
			t.Errorf("%s: who am I: got %d %s", base, got.status, got.body)
		}
		page := s.ask(t, nil, call{method: http.MethodGet, path: base + "/runs", header: map[string]string{"Accept": "text/html"}})
		if page.status != http.StatusOK || !strings.Contains(page.body, `<base href="/gathering/"`) {
			t.Errorf("%s/runs: got %d %s", base, page.status, page.body)
		}
		signedIn := s.ask(t, nil, call{
			method: http.MethodPost, path: base + at("auth", "login"),
			body: text(map[string]any{"email": "ada@example.com", "password": password, "cookies": true}),
		})
		for name, want := range map[string]string{"gathering_access": "/gathering/", "gathering_refresh": "/gathering/api/v1/auth"} {
			if c := signedIn.cookies()[name]; c == nil || c.Path != want {
				t.Errorf("%s: the cookie %s is %v, want it for %s", base, name, c, want)
			}
		}
	}
	for path, status := range map[string]int{"/gathering": http.StatusPermanentRedirect, "/gatheringx/healthz": http.StatusNotFound, "/gathering/gathering/healthz": http.StatusNotFound} {
		if got := s.ask(t, nil, call{method: http.MethodGet, path: path}); got.status != status {
			t.Errorf("%s: got %d %s, want %d", path, got.status, got.body, status)
		}
	}
}

// TestPages says where pages are, and where a program is told that nothing is.
func TestPages(t *testing.T) {
	t.Parallel()
	s := open(t, storetest.SQLite(t), app.FrontOptions{})
	for _, test := range []struct {
		method, path, accept string
		status               int
	}{
		{http.MethodGet, "/", "text/html", http.StatusOK},
		{http.MethodHead, "/", "text/html", http.StatusOK},
		{http.MethodGet, "/runs/run_1", "text/html,application/xhtml+xml", http.StatusOK},
		{http.MethodGet, "/", "application/json", http.StatusNotFound},
		{http.MethodGet, "/", "", http.StatusNotFound},
		{http.MethodPost, "/", "text/html", http.StatusNotFound},
		{http.MethodGet, "/api/v1/nothing", "text/html", http.StatusNotFound},
		{http.MethodGet, "/nothing.js", "text/html", http.StatusNotFound},
	} {
		got := s.ask(t, nil, call{method: test.method, path: test.path, header: map[string]string{"Accept": test.accept}})
		if html := strings.HasPrefix(got.header.Get("Content-Type"), "text/html"); got.status != test.status || html != (test.status == http.StatusOK) {
			t.Errorf("%s %s for %q: got %d %v, want %d", test.method, test.path, test.accept, got.status, got.header, test.status)
		}
	}
}

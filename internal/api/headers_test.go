package api_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/httpx"
	"gathering/internal/store/storetest"
)

// ailing is a service that is as ready as it is told to be by word.
func ailing(t *testing.T, trusted string) (s *service, become func(word string)) {
	t.Helper()
	proxies, err := httpx.ParseProxies(trusted)
	if err != nil {
		t.Fatal(err)
	}
	words := make(chan string, 1)
	s = open(t, storetest.SQLite(t), app.FrontOptions{Proxies: proxies, Ready: func(context.Context) error {
		select {
		case word := <-words:
			switch word {
			case "ending":
				return gathering.NewError(gathering.KindUnavailable, "the service is ending")
			case "broken":
				return errors.New("a secret cause")
			}
			panic("a secret defect")
		default:
			return nil
		}
	}})
	return s, func(word string) { words <- word }
}

// TestHeaders holds that every answer, whatever it is, has what keeps browsers
// from making something else of it.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s, become := ailing(t, "")
	s.people = map[string]*person{}
	viewer := s.settle(t, &person{name: "viewer", user: s.newUser(t, "viewer", gathering.RoleViewer)})
	get := func(path string) call { return call{method: http.MethodGet, path: path} }
	for name, test := range map[string]struct {
		as     *person
		call   call
		status int
	}{
		"health":               {nil, get("/healthz"), 200},
		"the document":         {nil, get("/openapi.json"), 200},
		"the page":             {nil, get("/docs"), 200},
		"an answer":            {viewer, get(at("auth", "me")), 200},
		"no content":           {viewer, call{method: http.MethodPost, path: at("auth", "password"), body: text(map[string]string{"current": password, "new": password})}, 204},
		"no route":             {nil, get("/api/v1/nothing"), 404},
		"outside":              {nil, get("/"), 404},
		"a script":             {nil, get("/evil.js"), 404},
		"another path":         {nil, get("//healthz"), 307},
		"another method":       {nil, call{method: http.MethodDelete, path: "/healthz"}, 405},
		"a preflight request":  {viewer, call{method: http.MethodOptions, path: at("auth", "me"), header: map[string]string{"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}}, 405},
		"nobody":               {nil, get(at("auth", "me")), 401},
		"who may not":          {viewer, get(at("users")), 403},
		"a fault":              {viewer, get(at("runs") + "?limit=x"), 400},
		"too large":            {viewer, call{method: http.MethodPatch, path: at("auth", "me"), body: `{"name":"` + strings.Repeat("x", 1<<20) + `"}`}, 413},
		"from a foreign page":  {viewer, get(at("auth", "me")).with("Origin", "https://evil.example"), 200},
		"what is not accepted": {viewer, get(at("auth", "me")).with("Accept", "text/html;q=0.9, application/cbor"), 200},
	} {
		got := s.ask(t, test.as, test.call)
		if got.status != test.status {
			t.Errorf("%s: got %d %.300s, want %d", name, got.status, got.body, test.status)
		}
		guarded(t, name, got)
		if got.status == http.StatusMethodNotAllowed && !strings.HasPrefix(got.header.Get("Allow"), "GET, HEAD") {
			t.Errorf("%s: allowed are %q", name, got.header.Get("Allow"))
		}
	}
	for word, status := range map[string]int{"ending": 503, "broken": 500, "panic": 500} {
		become(word)
		got := s.ask(t, nil, get("/readyz"))
		if got.status != status {
			t.Errorf("%s: got %d %s, want %d", word, got.status, got.body, status)
		}
		guarded(t, word, got)
	}
}

func guarded(t *testing.T, name string, got answer) {
	t.Helper()
	for header, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "Content-Security-Policy": "default-src 'none'", "Permissions-Policy": "geolocation=()",
		"X-Request-Id": "req_",
	} {
		if !strings.Contains(got.header.Get(header), want) || len(got.header.Values(header)) != 1 {
			t.Errorf("%s: %s is %q, want %s", name, header, got.header.Values(header), want)
		}
	}
	cache, kind := got.header.Get("Cache-Control"), got.header.Get("Content-Type")
	if public := name == "the document" || name == "the page"; public && cache != "no-cache" || !public && cache != "no-store" {
		t.Errorf("%s: Cache-Control is %q", name, cache)
	}
	switch {
	case got.status >= http.StatusBadRequest && kind != "application/problem+json", got.status == http.StatusOK && name != "the page" && kind != "application/json":
		t.Errorf("%s: Content-Type is %q", name, kind)
	}
	for header := range got.header {
		if strings.HasPrefix(header, "Access-Control-") || header == "Server" || header == "X-Powered-By" || header == "Strict-Transport-Security" {
			t.Errorf("%s: has %s", name, header)
		}
	}
}

// TestBreakdowns holds that what goes wrong within is told to the log, and to
// nobody else but for the request's ID.
func TestBreakdowns(t *testing.T) {
	t.Parallel()
	s, become := ailing(t, "")
	for _, word := range []string{"broken", "panic"} {
		become(word)
		got := s.ask(t, nil, call{method: http.MethodGet, path: "/readyz"})
		p := got.problem(t)
		if got.status != http.StatusInternalServerError || p.Kind != gathering.KindInternal || p.RequestID != got.request() || strings.Contains(got.body, "secret") {
			t.Errorf("%s: got %d %s", word, got.status, got.body)
		}
		var told, stack bool
		for line := range strings.Lines(s.log.String()) {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatal(err)
			}
			if entry["request_id"] != got.request() {
				continue
			}
			told = told || entry["msg"] == "request" && entry["level"] == "ERROR" && strings.Contains(line, "a secret")
			stack = stack || strings.Contains(line, "headers_test.go") && entry["stack"] != nil
		}
		if !told || stack != (word == "panic") {
			t.Errorf("%s: the log tells the cause: %t, a stack: %t\n%s", word, told, stack, s.log.String())
		}
	}
	if got := s.ask(t, nil, call{method: http.MethodGet, path: "/readyz"}); got.status != http.StatusOK {
		t.Errorf("afterwards: got %d %s", got.status, got.body)
	}
}

// TestRequestIDs holds by what a request is known, and who may say so.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	for trusted, want := range map[string]bool{"": false, "127.0.0.1": true} {
		s, _ := ailing(t, trusted)
		got := s.ask(t, nil, call{method: http.MethodGet, path: at("auth", "me"), header: map[string]string{"X-Request-ID": "given-12345678"}})
		if is := got.request() == "given-12345678"; is != want || got.problem(t).RequestID != got.request() || !strings.Contains(s.log.String(), got.request()) {
			t.Errorf("behind %q: got %s, %s", trusted, got.request(), got.body)
		}
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	s, _ := ailing(t, "")
	for name, test := range map[string]struct {
		path, accept, want string
	}{
		"long":                 {"/openapi.json", "gzip", "gzip"},
		"long, of a browser":   {"/openapi.json", "gzip, deflate, br, zstd", "zstd"},
		"long, not wanted":     {"/openapi.json", "identity", ""},
		"long, refused":        {"/openapi.json", "gzip;q=0", ""},
		"long, nothing said":   {"/openapi.json", "", ""},
		"short":                {"/healthz", "gzip", ""},
		"a short problem":      {"/nothing", "gzip", ""},
		"a page":               {"/docs", "gzip", "gzip"},
		"an unknown encoding":  {"/openapi.json", "br", ""},
		"several with weights": {"/openapi.json", "br;q=1, gzip;q=0.5", "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := call{method: http.MethodGet, path: test.path}
			plain := s.ask(t, nil, c)
			if test.accept != "" {
				c = c.with("Accept-Encoding", test.accept)
			}
			got := s.ask(t, nil, c)
			if is := got.header.Get("Content-Encoding"); is != test.want {
				t.Fatalf("Content-Encoding is %q, want %q", is, test.want)
			}
			if test.want != "" && !strings.Contains(got.header.Get("Vary"), "Accept-Encoding") {
				t.Errorf("Vary is %q", got.header.Get("Vary"))
			}
			if test.want != "gzip" {
				return
			}
			r, err := gzip.NewReader(strings.NewReader(got.body))
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(r); err != nil || string(text) != plain.body {
				t.Errorf("unpacked it is another text: %v", err)
			}
		})
	}
}

// TestHosts holds that the service answers to its own names alone.
func TestHosts(t *testing.T) {
	t.Parallel()
	hosts, err := httpx.ParseHosts("gathering.example.com", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, storetest.SQLite(t), app.FrontOptions{Hosts: &hosts})
	for host, want := range map[string]int{
		"gathering.example.com": 200, "GATHERING.example.com:8080": 200, "localhost": 200, "127.0.0.1:80": 200,
		"evil.example": 403, "gathering.example.com.evil.example": 403, "192.0.2.1": 403, "gathering.example.com@evil.example": 403,
	} {
		got := s.ask(t, nil, call{method: http.MethodGet, path: "/healthz", header: map[string]string{"Host": host}})
		if got.status != want {
			t.Errorf("%s: got %d %s, want %d", host, got.status, got.body, want)
		}
		guarded(t, host, got)
	}
}

package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"gathering/internal/httpx"
	"gathering/internal/store/storetest"
)

// tricks are other ways to write a path, which somebody might take for another
// one than the router does.
func tricks(path string) []string {
	slash := strings.LastIndexByte(path, '/')
	parent, last := path[:slash], path[slash+1:]
	list := []string{
		"/" + path, "//" + path, "/." + path, "/./" + path[1:], "/x/.." + path, "/healthz/.." + path, "/healthz/%2e%2e" + path,
		"/healthz;" + path, "/openapi.json/.." + path, "/%2e" + path, "/%2f" + path[1:], "/\\" + path[1:], "/%5c" + path[1:],
		"/api/v1/auth/login/../../../.." + path, "/static/..%2f" + path[1:],
		parent + "//" + last, parent + "/./" + last, parent + "/x/../" + last, parent + "%2f" + last, parent + "%2F" + last, parent + "%5c" + last,
		parent + ";/" + last, parent + ";x=y/" + last, parent + "/.;/" + last, parent + "/%2e/" + last, parent + "/%252e%252e/" + last,
		parent + "/%EF%BC%8F" + last, parent + "/" + strings.ToUpper(last), parent + "/" + last[:1] + "%00" + last[1:],
		strings.ToUpper(path), strings.Replace(path, "/api/", "/API/", 1), strings.Replace(path, "/v1/", "/v1//", 1), strings.Replace(path, "/v1/", "/V1/", 1),
		strings.Replace(path, "/v1/", "/v1/../v1/", 1), strings.Replace(path, "/api/v1/", "/api%2fv1%2f", 1), strings.ReplaceAll(path, "/", "%2f"),
	}
	for _, suffix := range []string{
		"/", "//", "/.", "/..", "/../" + last, "/configs", "/healthz", "/..;/healthz", "%2f..%2fhealthz", "%2fconfigs",
		".json", ".html", ";x", ";.js", "%3b", "%20", "%00", "%0a", "%09", ".", "..", "~", "%23", "%3f", "%ff", "/%2e", "/%2e%2e", "\\", "%5c..",
	} {
		list = append(list, path+suffix)
	}
	return list
}

// headers are those by which some servers let themselves be told who asks, for
// what, or how.
func headers() map[string]string {
	return map[string]string{
		"X-HTTP-Method-Override": "GET", "X-HTTP-Method": "GET", "X-Method-Override": "GET",
		"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz", "X-Forwarded-Prefix": "/healthz", "X-Forwarded-Path": "/healthz",
		"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1", "X-Forwarded-Host": "localhost",
		"X-Forwarded-User": "admin@example.com", "X-Remote-User": "admin@example.com", "X-User": "admin", "X-Forwarded-Email": "admin@example.com",
		"Origin": "null", "Referer": "http://localhost/", "Upgrade": "h2c", "X-Api-Version": "0",
	}
}

// TestOtherPaths holds that no other way to write a path, or to ask for it,
// leads to more than the path itself does.
func TestOtherPaths(t *testing.T) {
	t.Parallel()
	s := furnished(t, storetest.SQLite(t))
	for _, o := range s.operations(t) {
		if o.open() {
			continue
		}
		c := o.make(t, s, s.people["admin"])
		c.then = nil
		t.Run(o.ID, func(t *testing.T) {
			t.Parallel()
			for _, p := range []*person{s.people["nobody"], s.people["viewer"], s.people["none"]} {
				if !p.known || o.recipe.about == thing && o.expect(t, s, p) != allowed {
					s.triesEverything(t, p, c)
				}
			}
		})
	}
}

// triesEverything has somebody ask in every other way for what they may not.
func (s *service) triesEverything(t *testing.T, p *person, c call) {
	t.Helper()
	for _, trick := range tricks(c.path) {
		other := c
		other.path = trick
		s.leadsNowhere(t, p, c, other)
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "GETS"} {
		if p.known && (method == http.MethodGet || method == http.MethodHead) {
			continue // what is read there is another operation's
		}
		other := c
		other.method = method
		s.leadsNowhere(t, p, c, other)
	}
	for name, value := range headers() {
		s.leadsNowhere(t, p, c, c.with(name, value))
	}
}

// direct makes a request without a network: the server's parser reads it, and
// the handler answers it. What cannot be read comes to no handler.
func (s *service) direct(t *testing.T, p *person, c call) answer {
	t.Helper()
	header := http.Header{"Host": {"localhost"}, "Content-Length": {strconv.Itoa(len(c.body))}}
	if c.body != "" {
		header.Set("Content-Type", "application/json")
	}
	p.bring(header)
	for name, value := range c.header {
		header.Set(name, value)
	}
	var wire bytes.Buffer
	fmt.Fprintf(&wire, "%s %s HTTP/1.1\r\n", c.method, c.path)
	if err := header.Write(&wire); err != nil {
		t.Fatal(err)
	}
	wire.WriteString("\r\n" + c.body)
	r, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		body := text(httpx.Problem{Status: http.StatusBadRequest})
		return answer{http.StatusBadRequest, http.Header{"Content-Type": {"application/problem+json"}}, body}
	}
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	s.front.API.Public().ServeHTTP(w, r.WithContext(t.Context()))
	return answer{w.Code, w.Header(), w.Body.String()}
}

// leadsNowhere holds that a call is refused as the plain one is, and wherever
// it is sent to as well.
func (s *service) leadsNowhere(t *testing.T, p *person, plain, c call) {
	t.Helper()
	asked := c.method + " " + c.path
	for range 5 {
		got := s.direct(t, p, c)
		switch {
		case got.status >= http.StatusInternalServerError || got.status < http.StatusMultipleChoices:
			t.Errorf("as %s: %s: got %d %.200s", p.name, asked, got.status, got.body)
			return
		case got.status >= http.StatusBadRequest:
			if c.method != http.MethodHead {
				got.problem(t)
			}
			return
		}
		to, err := url.Parse(got.header.Get("Location"))
		if err != nil || to.Scheme != "" || to.Host != "" || !strings.HasPrefix(to.Path, "/") || strings.HasPrefix(to.Path, "//") {
			t.Errorf("as %s: %s is sent to %q", p.name, asked, got.header.Get("Location"))
			return
		}
		if p.known && to.Path != plain.path {
			return // what is there is another operation's
		}
		asked += ", sent to " + to.RequestURI()
		c.path = to.RequestURI()
	}
	t.Errorf("as %s: %s: has no end", p.name, asked)
}

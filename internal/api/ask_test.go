package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gathering/internal/api"
	"gathering/internal/httpx"
)

// call is a request that is to be made.
type call struct {
	method string
	path   string // with its query, as it is to be sent
	body   string
	header map[string]string
	// then is done after it was answered; nil is nothing.
	then func()
}

// with returns the call with another header.
func (c call) with(name, value string) call {
	headers := map[string]string{name: value}
	for k, v := range c.header {
		if k != name {
			headers[k] = v
		}
	}
	c.header = headers
	return c
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem is the answer as a problem document, which it must be.
func (a answer) problem(t *testing.T) httpx.Problem {
	t.Helper()
	var p httpx.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %q is no problem document: %v", a.status, a.body, err)
	}
	return p
}

// request is the answer's ID.
func (a answer) request() string { return a.header.Get("X-Request-ID") }

// decode reads the answer, which must be a success, into a value.
func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var value T
	if a.status >= http.StatusBadRequest {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	return value
}

// ask makes a request as somebody; nil is nobody.
func (s *service) ask(t *testing.T, p *person, c call) answer {
	t.Helper()
	return send(t, s.server.Client(), s.server.URL, p, c)
}

func send(t *testing.T, client *http.Client, base string, p *person, c call) answer {
	t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequestWithContext(t.Context(), c.method, base, body)
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(c.path, "?")
	r.URL.RawQuery = query
	r.URL.RawPath = path
	if r.URL.Path, err = url.PathUnescape(path); err != nil || r.URL.EscapedPath() != path {
		r.URL.Opaque = "//" + r.URL.Host + path // as it is, be it well formed or not
	}
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if p != nil {
		p.bring(r.Header)
	}
	for name, value := range c.header {
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	if c.then != nil {
		c.then()
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// at is a path below the prefix, whose parts are escaped.
func at(parts ...string) string {
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return api.Prefix + "/" + strings.Join(parts, "/")
}

// text is a value as JSON.
func text(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(data)
}

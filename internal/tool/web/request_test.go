package web_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/safedial"
	"gathering/internal/tool"
)

// seen is what a server is asked.
type seen struct {
	Method string            `json:"method"`
	Path   string            `json:"path"`
	Query  string            `json:"query"`
	Host   string            `json:"host"`
	Body   string            `json:"body"`
	Header map[string]string `json:"header"`
}

// mirror answers with what it was asked.
func mirror(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s := seen{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Host: r.Host, Body: string(body), Header: map[string]string{}}
	for name := range r.Header {
		s.Header[name] = r.Header.Get(name)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s); err != nil {
		panic(err)
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	s := serve(t, mirror)
	usual := func(more ...string) map[string]string {
		h := map[string]string{
			"Accept": "application/json, text/*;q=0.9, */*;q=0.8", "Accept-Encoding": "gzip", "User-Agent": "GatheRing",
		}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	const key = "9e800c19e5227d8052b181135e4e9bed"
	for name, test := range map[string]struct {
		with arguments
		want seen
	}{
		"GET by default": {arguments{}, seen{Method: "GET", Header: usual()}},
		"query": {
			arguments{"url": s.URL + "/a%2Fb?x=1#part", "query": arguments{
				"list": []any{"a&b", 2, true}, "text": "1 2", "null": nil, "word": "null", "big": json.Number("12345678901234567890"),
			}},
			seen{Method: "GET", Path: "/a%2Fb", Query: "x=1&big=12345678901234567890&list=a%26b&list=2&list=true&text=1+2&word=null", Header: usual()},
		},
		"headers": {
			arguments{"headers": arguments{"authorization": "Bearer x", "X-Name": "Zoë", "Accept": "text/csv", "User-Agent": "me"}},
			seen{Method: "GET", Header: usual("Authorization", "Bearer x", "X-Name", "Zoë", "Accept", "text/csv", "User-Agent", "me")},
		},
		"JSON": {
			arguments{"method": "POST", "body": arguments{"a": json.Number("1.50")}},
			seen{Method: "POST", Body: `{"a":1.50}`, Header: usual("Content-Type", "application/json", "Content-Length", "10", "Connection", "close", "Idempotency-Key", key)},
		},
		"a string as JSON": {
			arguments{"method": "PUT", "body": "a"},
			seen{Method: "PUT", Body: `"a"`, Header: usual("Content-Type", "application/json", "Content-Length", "3", "Connection", "close")},
		},
		"a string as it is": {
			arguments{"method": "PATCH", "body": "a=1&b=<2>", "content_type": "application/x-www-form-urlencoded"},
			seen{Method: "PATCH", Body: "a=1&b=<2>", Header: usual("Content-Type", "application/x-www-form-urlencoded", "Content-Length", "9", "Connection", "close", "Idempotency-Key", key)},
		},
		"JSON of another type": {
			arguments{"method": "POST", "body": []int{1}, "content_type": "application/vnd.api+json"},
			seen{Method: "POST", Body: `[1]`, Header: usual("Content-Type", "application/vnd.api+json", "Content-Length", "3", "Connection", "close", "Idempotency-Key", key)},
		},
		"no body": {
			arguments{"method": "DELETE", "body": nil},
			seen{Method: "DELETE", Header: usual("Connection", "close")},
		},
		"its own key": {
			arguments{"method": "POST", "headers": arguments{"idempotency-key": "order 7"}},
			seen{Method: "POST", Header: usual("Content-Length", "0", "Connection", "close", "Idempotency-Key", "order 7")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.with["url"] == nil {
				test.with["url"] = s.URL
			}
			a, err := request(t, test.with)
			if err != nil {
				t.Fatal(err)
			}
			var got seen
			if err := json.Unmarshal(a.Body, &got); err != nil {
				t.Fatal(err)
			}
			test.want.Host = host(s)
			if test.want.Path == "" {
				test.want.Path = "/"
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the server saw (-want +got):\n%s", diff)
			}
		})
	}
}

// TestIdempotencyKey holds that a repeated call has the key of the first and
// every other call one of its own.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := serve(t, mirror)
	made := requester(t)
	key := func(call string) string {
		a, err := requestAs(t, made, tool.Call{Key: call}, arguments{"method": "POST", "url": s.URL})
		if err != nil {
			t.Fatal(err)
		}
		var got seen
		if err := json.Unmarshal(a.Body, &got); err != nil {
			t.Fatal(err)
		}
		return got.Header["Idempotency-Key"]
	}
	first := key("run_1/ask/1")
	if again := key("run_1/ask/1"); again != first {
		t.Errorf("the call repeated has the key %q, want %q", again, first)
	}
	if next := key("run_1/ask/2"); next == first || next == "" {
		t.Errorf("the next attempt has the key %q after %q", next, first)
	}
	if none := key(""); none != "" {
		t.Errorf("a call without a key was sent with %q", none)
	}
	if strings.Contains(first, "run_1") {
		t.Errorf("the key %q tells of the run", first)
	}
}

func TestRefusedArguments(t *testing.T) {
	t.Parallel()
	const address = "https://example.com/"
	for name, test := range map[string]struct {
		with    arguments
		problem string
	}{
		"no scheme":           {arguments{"url": "example.com"}, "url: must begin with http:// or https://"},
		"another scheme":      {arguments{"url": "file:///etc/passwd"}, "url: must begin with http:// or https://"},
		"a socket":            {arguments{"url": "unix:///run/docker.sock"}, "url: must begin with http:// or https://"},
		"credentials":         {arguments{"url": "https://u:p@example.com/"}, "url: must hold no user name or password; send them in headers, as Authorization"},
		"no host":             {arguments{"url": "https:///x"}, "url: must name a host, in up to 253 bytes"},
		"a long host":         {arguments{"url": "https://" + strings.Repeat("a.", 200)}, "url: must name a host, in up to 253 bytes"},
		"no address":          {arguments{"url": "https://exa mple.com"}, `url: must be an address such as "https://example.com/path"`},
		"a line break":        {arguments{"url": "https://example.com/\r\nX: y"}, `url: must be an address such as "https://example.com/path"`},
		"too long":            {arguments{"url": address + strings.Repeat("a", 8192)}, "url: is longer than 8192 bytes"},
		"nested query":        {arguments{"url": address, "query": arguments{"a": []any{[]any{1}}}}, "query.a[0]: must be true or false or a number or a string"},
		"a header's name":     {arguments{"url": address, "headers": arguments{"a b": "x"}}, "headers: a header must be a name of letters, digits and hyphens"},
		"no name":             {arguments{"url": address, "headers": arguments{"": "x"}}, "headers: a header must be a name of letters, digits and hyphens"},
		"a broken name":       {arguments{"url": address, "headers": arguments{"a\r\nb": "x"}}, "headers: a header must be a name of letters, digits and hyphens"},
		"a broken value":      {arguments{"url": address, "headers": arguments{"a": "x\r\nHost: y"}}, "headers: a header must be a value of up to 8192 bytes without line breaks and control characters"},
		"a long value":        {arguments{"url": address, "headers": arguments{"a": strings.Repeat("x", 8193)}}, "headers: a header must be a value of up to 8192 bytes without line breaks and control characters"},
		"Host":                {arguments{"url": address, "headers": arguments{"hOst": "x"}}, "headers: a header must not be given: it is the host of the url"},
		"Content-Type":        {arguments{"url": address, "headers": arguments{"content-type": "text/plain"}}, "headers: a header must be given as content_type"},
		"Transfer-Encoding":   {arguments{"url": address, "headers": arguments{"Transfer-Encoding": "chunked"}}, "headers: a header must not be given: the connection has its own"},
		"Accept-Encoding":     {arguments{"url": address, "headers": arguments{"accept-encoding": "br"}}, "headers: a header must not be given: the connection has its own"},
		"Proxy-Authorization": {arguments{"url": address, "headers": arguments{"Proxy-Authorization": "x"}}, "headers: a header must not be given: the connection has its own"},
		"a header twice":      {arguments{"url": address, "headers": arguments{"X-A": "1", "x-a": "2"}}, "headers: a header must not be given twice in different case"},
		"a body with GET":     {arguments{"url": address, "body": 1}, "body: must be absent: GET sends none"},
		"a type without body": {arguments{"url": address, "content_type": "text/plain"}, "content_type: says what a body is, and there is none"},
		"no type":             {arguments{"url": address, "method": "POST", "body": "x", "content_type": "text"}, `content_type: must be a media type such as "text/plain; charset=utf-8"`},
		"a broken type":       {arguments{"url": address, "method": "POST", "body": "x", "content_type": "text/plain\r\nX: y"}, `content_type: must be a media type such as "text/plain; charset=utf-8"`},
		"an object as text":   {arguments{"url": address, "method": "POST", "body": arguments{}, "content_type": "text/plain"}, "body: must be a string where content_type is not JSON"},
		"a bare timeout":      {arguments{"url": address, "timeout": "30"}, `timeout: must be a duration above 0s and up to 10m, such as "30s"`},
		"no time":             {arguments{"url": address, "timeout": "0s"}, `timeout: must be a duration above 0s and up to 10m, such as "30s"`},
		"too much time":       {arguments{"url": address, "timeout": "11m"}, `timeout: must be a duration above 0s and up to 10m, such as "30s"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := request(t, test.with)
			text := "the request cannot be made as asked: arguments." + test.problem
			if strings.HasPrefix(test.problem, "query.a") {
				text = "arguments does not fit its schema: arguments." + test.problem
			}
			want{kind: gathering.KindInvalid, text: text}.check(t, err)
		})
	}
}

// TestSchemaRefuses names what is found before the tool is asked.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]arguments{
		"no url":           {},
		"another method":   {"url": "https://example.com", "method": "TRACE"},
		"lower case":       {"url": "https://example.com", "method": "post"},
		"unknown argument": {"url": "https://example.com", "retries": 3},
		"too many bytes":   {"url": "https://example.com", "max_bytes": 10485761},
		"no bytes":         {"url": "https://example.com", "max_bytes": 0},
		"a header's type":  {"url": "https://example.com", "headers": arguments{"a": 1}},
		"no status":        {"url": "https://example.com", "expect_status": []int{99}},
	} {
		if _, err := request(t, with); gathering.KindOf(err) != gathering.KindInvalid {
			t.Errorf("%s: got %v, want it invalid", name, err)
		}
	}
}

func TestPrivateNetwork(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") })
	made := requesterTo(t, safedial.Options{})
	for written, name := range map[string]string{
		s.URL: "127.0.0.1", "http://169.254.169.254/latest/meta-data": "169.254.169.254",
		"http://[::ffff:169.254.169.254]/": "::ffff:169.254.169.254", "http://localhost:1/secret?key=1": "localhost",
	} {
		for _, method := range []string{"GET", "POST"} {
			_, err := requestAs(t, made, tool.Call{}, arguments{"method": method, "url": written})
			want{
				kind: gathering.KindForbidden,
				text: name + " is in a private or special network; outgoing calls reach it only if GATHERING_ALLOW_PRIVATE_NETWORKS lists its network",
			}.check(t, err)
		}
	}
}

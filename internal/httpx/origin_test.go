package httpx_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/httpx"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	loopback, every := netip.MustParseAddr("127.0.0.1"), netip.IPv4Unspecified()
	const named = "gathering.example.com, 192.0.2.1, 2001:DB8::1, Team.Example.org."
	for name, test := range map[string]struct {
		list   string
		listen netip.Addr
		allow  []string
		refuse []string
	}{
		"on loopback": {
			"", loopback,
			[]string{"localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]"},
			[]string{
				"", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "evil.localhost", "192.0.2.1", "[2001:db8::1]",
				"0.0.0.0", "2130706433", "0x7f.1", "127.1", "localhost:x", "localhost:80:80", "evil@localhost", "localhost/x", "localhost?x", "localhost#x", "%6cocalhost",
				"::1", "[::1", "[::1]x", "[[::1]]", "[localhost]", "localhost..", ".localhost", " localhost", "locallhost",
			},
		},
		"on IPv6 loopback":          {"", netip.IPv6Loopback(), []string{"localhost"}, []string{"evil.example"}},
		"on all addresses":          {"", every, []string{"gathering.example.com", "evil.example", "192.0.2.1:80", ""}, nil},
		"on no address":             {"", netip.Addr{}, []string{"evil.example"}, nil},
		"on mapped loopback":        {"", netip.MustParseAddr("::ffff:127.0.0.1"), []string{"localhost"}, []string{"evil.example"}},
		"named, on all addresses":   {named, every, []string{"gathering.example.com", "GATHERING.example.com.:443", "192.0.2.1:80", "[2001:db8:0::1]:80", "team.example.org", "localhost:8080", "127.0.0.1"}, []string{"evil.example", "192.0.2.2", "x.gathering.example.com", "gathering.example.com.evil.example", ""}},
		"named, on a loopback one":  {named, loopback, []string{"gathering.example.com", "localhost"}, []string{"evil.example"}},
		"named with its IPv4 as v6": {"::ffff:192.0.2.1", every, []string{"192.0.2.1", "[::ffff:192.0.2.1]"}, []string{"192.0.2.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := httpx.ParseHosts(test.list, test.listen)
			if err != nil {
				t.Fatal(err)
			}
			for _, host := range test.allow {
				if !h.Allow(host) {
					t.Errorf("%q is refused", host)
				}
			}
			for _, host := range test.refuse {
				if h.Allow(host) {
					t.Errorf("%q is allowed", host)
				}
			}
		})
	}
	if h := (httpx.Hosts{}); !h.Allow("localhost") || h.Allow("evil.example") {
		t.Error("the zero value is to answer to the names of the machine alone")
	}
}

func TestParseHosts(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"https://example.com", "example.com:443", "*.example.com", "a,,b", "exämple.com", "a b", ".example.com", "[::1]", strings.Repeat("a", 254), "a/b", "10.0.0.0/8"} {
		_, err := httpx.ParseHosts("fine.example, "+list, netip.Addr{})
		if gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), "hosts: entry 2 is neither") && !strings.Contains(err.Error(), "hosts: entry 3 is neither") {
			t.Errorf("%q: got %v, want it to be invalid", list, err)
		}
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	asked := 0
	h := httpx.Hosts{}.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	r := request("GET", "http://evil.example/", direct, "X-Forwarded-Host", "localhost", "Forwarded", "host=localhost")
	w := ask(h, r)
	if p := problem(t, w.Body.Bytes()); w.Code != http.StatusForbidden || p.Kind != gathering.KindForbidden || asked != 0 {
		t.Errorf("got %d, %+v", w.Code, p)
	}
	if w := ask(h, request("GET", "http://localhost:8080/", direct)); w.Code != http.StatusOK || asked != 1 {
		t.Errorf("got %d", w.Code)
	}
}

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	const site, origin = "Sec-Fetch-Site", "Origin"
	for name, test := range map[string]struct {
		scheme, host string
		header       []string
		want         bool
	}{
		"nothing said":              {"https", "a.example", nil, false},
		"same origin":               {"https", "a.example", []string{site, "same-origin"}, true},
		"same site":                 {"https", "a.example", []string{site, "same-site", origin, "https://a.example"}, false},
		"cross site":                {"https", "a.example", []string{site, "cross-site", origin, "https://a.example"}, false},
		"typed by a user":           {"https", "a.example", []string{site, "none", origin, "https://a.example"}, false},
		"empty":                     {"https", "a.example", []string{site, "", origin, "https://a.example"}, false},
		"twice":                     {"https", "a.example", []string{site, "same-origin", site, "cross-site"}, false},
		"origin":                    {"https", "a.example", []string{origin, "https://a.example"}, true},
		"origin with its port":      {"http", "a.example:8080", []string{origin, "http://a.example:8080"}, true},
		"origin by address":         {"http", "[::1]:8080", []string{origin, "http://[::1]:8080"}, true},
		"other port":                {"http", "a.example:8080", []string{origin, "http://a.example:8081"}, false},
		"other scheme":              {"https", "a.example", []string{origin, "http://a.example"}, false},
		"other scheme the same way": {"http", "a.example", []string{origin, "https://a.example"}, false},
		"other host":                {"https", "a.example", []string{origin, "https://evil.example"}, false},
		"longer host":               {"https", "a.example", []string{origin, "https://a.example.evil.example"}, false},
		"user part":                 {"https", "a.example", []string{origin, "https://a.example@evil.example"}, false},
		"null":                      {"https", "a.example", []string{origin, "null"}, false},
		"empty origin":              {"https", "a.example", []string{origin, ""}, false},
		"two origins":               {"https", "a.example", []string{origin, "https://a.example", origin, "https://evil.example"}, false},
		"no host":                   {"https", "", []string{origin, "https://"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request("POST", "/", direct, test.header...)
			r.Host = test.host
			if got := httpx.SameOrigin(r, test.scheme); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestSafe(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "POST": false, "PUT": false, "PATCH": false, "DELETE": false, "get": false, "": false, "TRACE": false} {
		if got := httpx.Safe(method); got != want {
			t.Errorf("%s: got %t, want %t", method, got, want)
		}
	}
}

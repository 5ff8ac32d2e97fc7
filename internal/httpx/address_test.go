package httpx_test

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/httpx"
)

const (
	xff   = "X-Forwarded-For"
	fwd   = "Forwarded"
	proto = "X-Forwarded-Proto"

	near   = "10.0.0.1:4711"    // the trusted proxy that is the peer
	direct = "203.0.113.5:4711" // a peer that is none
)

func TestParseProxies(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"":                        "",
		" ":                       "",
		"10.0.0.0/8, ::1":         "",
		"192.0.2.1":               "",
		"fd00::/8":                "",
		"10.0.0.1/8":              "proxies: entry 1 does not begin where a network of its size does; make the bits behind its length 0",
		"::1,":                    "proxies: entry 2 is empty; remove the comma",
		"::1, example.com":        "proxies: entry 2 is neither",
		"::ffff:10.0.0.0/104":     "proxies: entry 1 is IPv4 written as IPv6",
		"::ffff:10.0.0.1":         "proxies: entry 1 is IPv4 written as IPv6",
		"fe80::1%eth0":            "proxies: entry 1 is neither",
		"fe80::%eth0/64":          "proxies: entry 1 is neither",
		"10.0.0.0/33, 1, 10.0.0.": "proxies: entry 1 is neither",
		"010.0.0.0/8":             "proxies: entry 1 is neither",
	} {
		_, err := httpx.ParseProxies(list)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: got %v, want no error", list, err)
		case want != "" && (gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want it to be invalid: %s", list, err, want)
		}
	}
	_, err := httpx.ParseProxies("a, 10.0.0.0/8, b")
	if got := gathering.FailureOf(err).Fields; len(got) != 2 || !strings.HasPrefix(got[1].Problem, "entry 3 ") {
		t.Errorf("got %v, want both faults by their place", got)
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	p := proxies(t, "10.0.0.0/8, 2001:db8:1::/48, ::1")
	const own = "10.0.0.1"
	for name, test := range map[string]struct {
		peer   string
		header []string
		want   string
	}{
		"direct":                     {direct, nil, "203.0.113.5"},
		"direct, with claims":        {direct, []string{xff, "192.0.2.1", fwd, "for=192.0.2.1"}, "203.0.113.5"},
		"direct IPv6":                {"[2001:db8::5]:80", []string{xff, "192.0.2.1"}, "2001:db8::5"},
		"direct with a zone":         {"[fe80::1%eth0]:80", nil, "fe80::1"},
		"unix socket":                {"@", []string{xff, "192.0.2.1"}, ""},
		"no peer":                    {"", []string{xff, "192.0.2.1"}, ""},
		"a proxy alone":              {near, nil, own},
		"IPv4 peer as IPv6":          {"[::ffff:10.0.0.1]:80", []string{xff, "192.0.2.1"}, "192.0.2.1"},
		"IPv6 proxy":                 {"[::1]:80", []string{xff, "192.0.2.1"}, "192.0.2.1"},
		"one":                        {near, []string{xff, "192.0.2.1"}, "192.0.2.1"},
		"right to left":              {near, []string{xff, "198.51.100.1, 192.0.2.1"}, "192.0.2.1"},
		"several proxies":            {near, []string{xff, "198.51.100.1, 192.0.2.1, 10.2.3.4,2001:db8:1::9"}, "192.0.2.1"},
		"several lines":              {near, []string{xff, "198.51.100.1", xff, "192.0.2.1", xff, "10.1.1.1"}, "192.0.2.1"},
		"garbage to its left":        {near, []string{xff, `"', <x>, unknown,, 192.0.2.1`}, "192.0.2.1"},
		"garbage on the way":         {near, []string{xff, "192.0.2.1, junk, 10.0.0.2"}, own},
		"nothing on the way":         {near, []string{xff, "192.0.2.1,"}, own},
		"an empty line behind":       {near, []string{xff, "192.0.2.1", xff, ""}, own},
		"all are proxies":            {near, []string{xff, "10.0.0.9, 10.0.0.2"}, own},
		"unknown":                    {near, []string{xff, "192.0.2.1, unknown"}, own},
		"unspecified":                {near, []string{xff, "192.0.2.1, 0.0.0.0"}, own},
		"with a port":                {near, []string{xff, "192.0.2.1:1234"}, "192.0.2.1"},
		"IPv6":                       {near, []string{xff, "2001:DB8:0::7"}, "2001:db8::7"},
		"IPv6 in brackets":           {near, []string{xff, "[2001:db8::7]"}, "2001:db8::7"},
		"IPv6 with a port":           {near, []string{xff, "[2001:db8::7]:1234"}, "2001:db8::7"},
		"IPv6 with a zone":           {near, []string{xff, "fe80::7%eth0"}, "fe80::7"},
		"IPv4 with a zone":           {near, []string{xff, "192.0.2.1%eth0"}, own},
		"IPv4 as IPv6":               {near, []string{xff, "::ffff:192.0.2.1"}, "192.0.2.1"},
		"a proxy as IPv6":            {near, []string{xff, "192.0.2.1, ::ffff:10.0.0.7"}, "192.0.2.1"},
		"octal":                      {near, []string{xff, "0192.0.2.1"}, own},
		"a number":                   {near, []string{xff, "3221225985"}, own},
		"a name":                     {near, []string{xff, "example.com"}, own},
		"Forwarded":                  {near, []string{fwd, "for=192.0.2.1"}, "192.0.2.1"},
		"Forwarded in full":          {near, []string{fwd, `For="[2001:db8::7]:_gazonk" ; PROTO=https;by=203.0.113.43;`}, "2001:db8::7"},
		"Forwarded by several":       {near, []string{fwd, `for=198.51.100.1, for=192.0.2.1;proto=http, for="10.0.0.2:80"`}, "192.0.2.1"},
		"Forwarded in lines":         {near, []string{fwd, "for=198.51.100.1", fwd, "for=192.0.2.1"}, "192.0.2.1"},
		"Forwarded, obfuscated":      {near, []string{fwd, "for=192.0.2.1, for=_hidden"}, own},
		"Forwarded, unknown":         {near, []string{fwd, "for=192.0.2.1, for=unknown"}, own},
		"Forwarded without for":      {near, []string{fwd, "for=192.0.2.1, proto=https"}, own},
		"Forwarded, twice":           {near, []string{fwd, "for=192.0.2.1;for=198.51.100.1"}, own},
		"Forwarded, empty":           {near, []string{fwd, ""}, own},
		"Forwarded, no pair":         {near, []string{fwd, "192.0.2.1"}, own},
		"Forwarded, spaced":          {near, []string{fwd, "for = 192.0.2.1"}, own},
		"a quote opened before":      {near, []string{fwd, `for="x, for=192.0.2.1`}, "192.0.2.1"},
		"an address in a host":       {near, []string{fwd, `for=192.0.2.1;host="x, for=198.51.100.1;a="`}, own},
		"an address behind escapes":  {near, []string{fwd, `for=192.0.2.1;host="x, for=198.51.100.1;a=\""`}, own},
		"an address amid a host":     {near, []string{fwd, `for=192.0.2.1;host="x, for=198.51.100.1, y"`}, own},
		"both, the same":             {near, []string{xff, "192.0.2.1, 10.0.0.2", fwd, "for=192.0.2.1"}, "192.0.2.1"},
		"both, of which one differs": {near, []string{xff, "192.0.2.1", fwd, "for=198.51.100.1"}, own},
		"both, of which one is junk": {near, []string{xff, "192.0.2.1", fwd, "junk"}, own},
		"both are junk":              {near, []string{xff, "junk", fwd, "junk"}, own},
		"through 31 proxies":         {near, []string{xff, "192.0.2.1" + strings.Repeat(", 10.0.0.2", 31)}, "192.0.2.1"},
		"through 32 proxies":         {near, []string{xff, "192.0.2.1" + strings.Repeat(", 10.0.0.2", 32)}, own},
		"another header":             {near, []string{"X-Real-IP", "192.0.2.1", "True-Client-IP", "192.0.2.1"}, own},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request("GET", "/", test.peer, test.header...)
			want := netip.Addr{}
			if test.want != "" {
				want = netip.MustParseAddr(test.want)
			}
			if got := p.Client(r); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := (httpx.Proxies{}).Client(r); got != (httpx.Proxies{}).Client(request("GET", "/", test.peer)) {
				t.Errorf("got %s where nobody is trusted, want the peer's", got)
			}
		})
	}
}

// FuzzClient holds that no header makes a client of somebody else than the
// header's last writers vouch for, and that none hides what they appended.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1", `for="x`, "for=192.0.2.1;proto=https", `for=a;host="x, for=1.2.3.4"`, "10.0.0.2", "::ffff:10.0.0.9", "fe80::1%x", `\"`, "[::1]:_x"} {
		f.Add(seed, seed)
	}
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	own, client := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.77")
	f.Fuzz(func(t *testing.T, first, second string) {
		p := proxies(t, trusted.String())
		claimed := http.Header{xff: {first, second}, fwd: {second, first}}
		r := request("GET", "/", near)
		for _, header := range []http.Header{{xff: claimed[xff]}, {fwd: claimed[fwd]}, claimed} {
			r.Header = header
			got := p.Client(r)
			if !got.IsValid() || got.Zone() != "" || got.Is4In6() || got != own && trusted.Contains(got) {
				t.Errorf("%q: got %s", header, got)
			}
			if scheme := p.Scheme(r); scheme != "http" && scheme != "https" {
				t.Errorf("%q: got scheme %s", header, scheme)
			}
		}
		for name, appended := range map[string]string{xff: client.String(), fwd: "for=" + client.String() + ";proto=http"} {
			for _, lines := range [][]string{{first, second + ", " + appended}, {second, first, appended}} {
				r.Header = http.Header{name: lines}
				if got := p.Client(r); got != client {
					t.Errorf("%s %q: got %s, want what was appended", name, lines, got)
				}
				if got := p.Scheme(r); name == fwd && got != "http" {
					t.Errorf("%s %q: got %s, want what was appended", name, lines, got)
				}
			}
		}
		r.Header, r.RemoteAddr = claimed, direct
		if got := p.Client(r); got != netip.MustParseAddr("203.0.113.5") || p.Scheme(r) != "http" {
			t.Errorf("%q: got %s from a peer that is not trusted", claimed, got)
		}
	})
}

func TestScheme(t *testing.T) {
	t.Parallel()
	p := proxies(t, "10.0.0.0/8")
	for name, test := range map[string]struct {
		peer   string
		header []string
		want   string
	}{
		"plain":                 {direct, nil, "http"},
		"claimed by a client":   {direct, []string{proto, "https", fwd, "for=1.2.3.4;proto=https"}, "http"},
		"claimed over a socket": {"@", []string{proto, "https"}, "http"},
		"silent proxy":          {near, nil, "http"},
		"said":                  {near, []string{proto, "HTTPS"}, "https"},
		"said otherwise":        {near, []string{proto, "http"}, "http"},
		"said by all":           {near, []string{proto, "https, https", proto, "https"}, "https"},
		"said by some":          {near, []string{proto, "https, http"}, "http"},
		"nonsense":              {near, []string{proto, "wss"}, "http"},
		"empty":                 {near, []string{proto, ""}, "http"},
		"Forwarded":             {near, []string{fwd, "for=192.0.2.1;proto=https"}, "https"},
		"Forwarded, quoted":     {near, []string{fwd, `for="[2001:db8::1]:80";proto="https"`}, "https"},
		"the client's own":      {near, []string{fwd, "for=198.51.100.1;proto=http, for=192.0.2.1;proto=https, for=10.0.0.2;proto=http"}, "https"},
		"not the client's own":  {near, []string{fwd, "for=198.51.100.1;proto=https, for=192.0.2.1;proto=http, for=10.0.0.2;proto=https"}, "http"},
		"repeated by a client":  {near, []string{fwd, "for=192.0.2.1;proto=https, for=192.0.2.1;proto=http"}, "http"},
		"Forwarded, silent":     {near, []string{fwd, "for=192.0.2.1", proto, "https"}, "https"},
		"Forwarded, damaged":    {near, []string{fwd, "for=192.0.2.1;proto=https, junk"}, "http"},
		"contradiction":         {near, []string{fwd, "for=192.0.2.1;proto=http", proto, "https"}, "http"},
		"other contradiction":   {near, []string{fwd, "for=192.0.2.1;proto=https", proto, "http"}, "http"},
	} {
		if got := p.Scheme(request("GET", "/", test.peer, test.header...)); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
	r := request("GET", "/", direct)
	r.TLS = &tls.ConnectionState{}
	if got := p.Scheme(r); got != "https" {
		t.Errorf("by TLS: got %s", got)
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	got := map[string]string{"": httpx.Bucket(netip.Addr{})}
	want := map[string]string{
		"":                     "local",
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::":       "2001:db8:1:2::/64",
		"2001:db8:1:3::":       "2001:db8:1:3::/64",
		"fe80::1%eth0":         "fe80::/64",
		"::1":                  "::/64",
	}
	for address := range want {
		if address != "" {
			got[address] = httpx.Bucket(netip.MustParseAddr(address))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
}

func BenchmarkClient(b *testing.B) {
	p, err := httpx.ParseProxies("10.0.0.0/8")
	if err != nil {
		b.Fatal(err)
	}
	for name, r := range map[string]*http.Request{
		"direct":  request("GET", "/", direct),
		"proxied": request("GET", "/", near, xff, "192.0.2.1, 10.0.0.2"),
		"hostile": request("GET", "/", near, xff, strings.Repeat("1,", 16<<10)),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p.Client(r)
			}
		})
	}
}

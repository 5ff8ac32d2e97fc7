package api_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/httpx"
	"gathering/internal/ratelimit"
	"gathering/internal/store/storetest"
)

// The limits of these tests, in requests a minute.
const (
	signIns, writes, reads, ofToken = 3, 4, 6, 8
)

// limited is a service that takes few requests, with two users.
func limited(t *testing.T, trusted string) (s *service, ada, bob *person) {
	t.Helper()
	perMinute := func(n int) ratelimit.Rate { return ratelimit.Rate{Requests: n, Per: time.Minute} }
	proxies, err := httpx.ParseProxies(trusted)
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, storetest.SQLite(t), app.FrontOptions{
		Limits:  app.Limits{SignIn: perMinute(signIns), Write: perMinute(writes), Read: perMinute(reads), Token: perMinute(ofToken)},
		Proxies: proxies,
	})
	s.people = map[string]*person{}
	ada = s.settle(t, &person{name: "ada", user: s.newUser(t, "ada", gathering.RoleAdmin)})
	bob = s.settle(t, &person{name: "bob", user: s.newUser(t, "bob", gathering.RoleViewer)})
	s.clock.stop()
	return s, ada, bob
}

// lets holds that so many of a request are let through, and no more.
func (s *service) lets(t *testing.T, what string, n int, ask func() answer) {
	t.Helper()
	for i := range n + 2 {
		got := ask()
		limit := got.header.Get("Ratelimit")
		if refused := got.status == http.StatusTooManyRequests; refused != (i >= n) {
			t.Errorf("%s: request %d of %d: got %d %s", what, i+1, n, got.status, got.body)
			return
		}
		if i < n {
			continue
		}
		after, err := strconv.Atoi(got.header.Get("Retry-After"))
		if p := got.problem(t); p.Kind != gathering.KindExhausted || err != nil || after < 1 || after > 60 {
			t.Errorf("%s: got %+v with Retry-After %q and RateLimit %q", what, p, got.header.Get("Retry-After"), limit)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s, ada, bob := limited(t, "")
	read := func(p *person) func() answer {
		return func() answer { return s.ask(t, p, call{method: http.MethodGet, path: at("auth", "me")}) }
	}
	write := func(p *person) func() answer {
		return func() answer {
			return s.ask(t, p, call{method: http.MethodPatch, path: at("auth", "me"), body: `{"name":"X"}`})
		}
	}
	first := read(ada)()
	for name, want := range map[string]string{"Ratelimit-Policy": `"read";q=6;w=60`, "Ratelimit": `"read";r=5;t=10`} {
		if got := first.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	again := *ada
	s.renew(t, &again)
	s.lets(t, "by another session of the same user", reads-1, read(&again))
	s.lets(t, "by the first session", 0, read(ada))
	s.lets(t, "of somebody else", reads, read(bob))
	s.lets(t, "writing", writes, write(ada))
	if got := write(ada)().header.Get("Ratelimit-Policy"); got != `"write";q=4;w=60` {
		t.Errorf("the policy of writing is %q", got)
	}
	for _, name := range []string{"one", "another"} {
		_, secret := s.token(t, ada, "*")
		s.lets(t, name+" token", ofToken, read(&person{bring: bearer(secret)}))
	}
	s.lets(t, "nobody reading", reads, read(&person{bring: func(http.Header) {}}))
	s.lets(t, "nobody writing", writes, write(&person{bring: func(http.Header) {}}))
	for range 20 {
		if got := s.ask(t, nil, call{method: http.MethodGet, path: "/healthz"}); got.status != http.StatusOK || got.header.Get("Ratelimit") != "" {
			t.Fatalf("health: got %d %v", got.status, got.header)
		}
	}
	s.clock.pass(10 * time.Second)
	s.lets(t, "after the sixth part of a minute", 1, read(bob))
	s.clock.pass(time.Minute)
	s.lets(t, "after a minute", reads, read(ada))
}

// TestLimitOfGuesses holds that who tries tokens is not looked up for long,
// and keeps nobody else out.
func TestLimitOfGuesses(t *testing.T) {
	t.Parallel()
	s, ada, _ := limited(t, "127.0.0.1")
	guess := func(p *person, from string) answer {
		return s.ask(t, p, call{method: http.MethodGet, path: at("auth", "me"), header: map[string]string{"X-Forwarded-For": from}})
	}
	n := 0
	s.lets(t, "guesses", reads, func() answer {
		n++
		return guess(&person{bring: bearer(fmt.Sprintf("gat_%052d", n))}, "192.0.2.1")
	})
	if got := guess(ada, "192.0.2.1"); got.status != http.StatusTooManyRequests {
		t.Errorf("a good token among guesses: got %d %s", got.status, got.body)
	}
	if got := guess(ada, "192.0.2.2"); got.status != http.StatusOK {
		t.Errorf("from elsewhere: got %d %s", got.status, got.body)
	}
}

func TestLimitOfSignIns(t *testing.T) {
	t.Parallel()
	s, _, _ := limited(t, "127.0.0.1")
	n := 0
	from := func(address string) func() answer {
		return func() answer {
			n++ // each time another account, and the right password every other time
			body := map[string]string{"email": fmt.Sprintf("nobody%d@example.com", n), "password": password}
			if n%2 == 0 {
				body["email"] = "ada@example.com"
			}
			return s.ask(t, nil, call{method: http.MethodPost, path: at("auth", "login"), body: text(body), header: map[string]string{"X-Forwarded-For": address}})
		}
	}
	s.lets(t, "one address", signIns, from("192.0.2.1"))
	s.lets(t, "another address", signIns, from("192.0.2.2"))
	s.lets(t, "an address of IPv6", signIns, from("2001:db8::1"))
	s.lets(t, "another one of its network", 0, from("2001:db8::ffff:1"))
	s.lets(t, "another network", signIns, from("2001:db8:0:1::1"))
	s.lets(t, "an IPv4 address as IPv6", 0, from("::ffff:192.0.2.1"))
	s.lets(t, "what the proxy was told by the client", 0, from("203.0.113.9, 192.0.2.1"))
	s.lets(t, "set-up", 0, func() answer {
		return s.ask(t, nil, call{method: http.MethodPost, path: at("setup"), body: `{"email":"a@b.co","password":"x","code":"y"}`, header: map[string]string{"X-Forwarded-For": "192.0.2.1"}})
	})
}

// TestLimitBelievesNobody holds that a client cannot say from where it comes.
func TestLimitBelievesNobody(t *testing.T) {
	t.Parallel()
	s, _, _ := limited(t, "10.0.0.0/8")
	n := 0
	s.lets(t, "one address, by its own words many", signIns, func() answer {
		n++
		address := fmt.Sprintf("192.0.2.%d", n)
		return s.ask(t, nil, call{method: http.MethodPost, path: at("auth", "login"), body: `{"email":"a@b.co","password":"x"}`, header: map[string]string{
			"X-Forwarded-For": address, "Forwarded": "for=" + address, "X-Real-IP": address, "True-Client-IP": address, "CF-Connecting-IP": address,
		}})
	})
}

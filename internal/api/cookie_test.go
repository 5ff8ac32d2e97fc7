package api_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/app"
	"gathering/internal/audit"
	"gathering/internal/httpx"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// browsed is a service with somebody in it, and a sign-in of theirs by cookies.
func browsed(t *testing.T, trusted string, header map[string]string) (s *service, signedIn answer) {
	t.Helper()
	proxies, err := httpx.ParseProxies(trusted)
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, storetest.SQLite(t), app.FrontOptions{Proxies: proxies})
	s.people = map[string]*person{}
	s.settle(t, &person{name: "ada", user: s.newUser(t, "ada", gathering.RoleAdmin)})
	signedIn = s.ask(t, nil, call{
		method: http.MethodPost, path: at("auth", "login"), header: header,
		body: text(map[string]any{"email": "ada@example.com", "password": password, "cookies": true}),
	})
	return s, signedIn
}

// cookies are those that an answer sets.
func (a answer) cookies() map[string]*http.Cookie {
	set := map[string]*http.Cookie{}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		set[c.Name] = c
	}
	return set
}

// jar is the header that sends cookies back.
func jar(set map[string]*http.Cookie) string {
	var pairs []string
	for name, c := range set {
		pairs = append(pairs, name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

func TestCookies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		trusted string
		header  map[string]string
		secure  bool
	}{
		"plain":                    {"", nil, false},
		"said to be TLS by itself": {"", map[string]string{"X-Forwarded-Proto": "https", "Forwarded": "proto=https"}, false},
		"TLS to a trusted proxy":   {"127.0.0.1", map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, signedIn := browsed(t, test.trusted, test.header)
			told := decode[api.Tokens](t, signedIn)
			if told.AccessToken != "" || told.RefreshToken != "" || told.User.Email != "ada@example.com" || told.ExpiresIn < 800 {
				t.Errorf("the answer tells %+v", told)
			}
			set := signedIn.cookies()
			for name, path := range map[string]string{"gathering_access": "/", "gathering_refresh": "/api/v1/auth"} {
				c := set[name]
				if c == nil {
					t.Fatalf("there is no cookie %s in %v", name, signedIn.header)
				}
				if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != test.secure || c.Path != path || c.Domain != "" || c.MaxAge < 800 || c.Value == "" {
					t.Errorf("%s: got %s", name, c.Raw)
				}
			}
			if got := signedIn.header.Get("Strict-Transport-Security"); (got != "") != test.secure {
				t.Errorf("Strict-Transport-Security: %q", got)
			}
			s.refreshes(t, set)
		})
	}
}

// refreshes has cookies be refreshed, and taken away in the end.
func (s *service) refreshes(t *testing.T, set map[string]*http.Cookie) {
	t.Helper()
	page := map[string]string{"Cookie": jar(set), "Sec-Fetch-Site": "same-origin"}
	again := s.ask(t, nil, call{method: http.MethodPost, path: at("auth", "refresh"), header: page})
	fresh := again.cookies()
	if again.status != http.StatusOK || decode[api.Tokens](t, again).AccessToken != "" || fresh["gathering_refresh"] == nil || fresh["gathering_refresh"].Value == set["gathering_refresh"].Value {
		t.Fatalf("refreshed: got %d %s %v", again.status, again.body, again.header)
	}
	page["Cookie"] = jar(fresh)
	me := call{method: http.MethodGet, path: at("auth", "me"), header: page}
	if got := s.ask(t, nil, me); got.status != http.StatusOK {
		t.Errorf("with the new cookie: got %d %s", got.status, got.body)
	}
	out := s.ask(t, nil, call{method: http.MethodPost, path: at("auth", "logout"), header: page})
	for name, path := range map[string]string{"gathering_access": "/", "gathering_refresh": "/api/v1/auth"} {
		if c := out.cookies()[name]; out.status != http.StatusNoContent || c == nil || c.MaxAge >= 0 || c.Path != path || c.Value != "" {
			t.Errorf("signed out: got %d %v", out.status, out.header.Values("Set-Cookie"))
		}
	}
	if got := s.ask(t, nil, me); got.status != http.StatusUnauthorized {
		t.Errorf("signed out: got %d %s", got.status, got.body)
	}
}

// TestOtherPages holds that a page of another origin can have a browser do
// nothing, and one that is signed in by a token needs no origin.
func TestOtherPages(t *testing.T) {
	t.Parallel()
	s, signedIn := browsed(t, "", nil)
	cookie, here := jar(signedIn.cookies()), s.server.URL
	host := strings.TrimPrefix(here, "http://")
	for name, test := range map[string]struct {
		header map[string]string
		want   bool
	}{
		"this page":                       {map[string]string{"Sec-Fetch-Site": "same-origin"}, true},
		"this page, of an old browser":    {map[string]string{"Origin": here}, true},
		"this page, with both":            {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": here}, true},
		"nothing said":                    {nil, false},
		"a page of another site":          {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
		"another site, said to be here":   {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": here}, false},
		"a page of a subdomain":           {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://sub." + host}, false},
		"what somebody typed":             {map[string]string{"Sec-Fetch-Site": "none"}, false},
		"a subdomain, of an old browser":  {map[string]string{"Origin": "http://sub." + host}, false},
		"another origin, of an old one":   {map[string]string{"Origin": "https://evil.example"}, false},
		"no origin":                       {map[string]string{"Origin": "null"}, false},
		"an empty origin":                 {map[string]string{"Origin": ""}, false},
		"another scheme":                  {map[string]string{"Origin": "https://" + host}, false},
		"another port":                    {map[string]string{"Origin": "http://127.0.0.1:1"}, false},
		"an origin that begins alike":     {map[string]string{"Origin": here + ".evil.example"}, false},
		"an origin with this one as user": {map[string]string{"Origin": "http://" + host + "@evil.example"}, false},
		"a referrer alone":                {map[string]string{"Referer": here + "/"}, false},
		"another word":                    {map[string]string{"Sec-Fetch-Site": "Same-Origin"}, false},
		"another host":                    {map[string]string{"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := map[string]string{"Cookie": cookie}
			maps.Copy(header, test.header)
			write := call{method: http.MethodPatch, path: at("auth", "me"), body: `{"name":"Ada"}`, header: header}
			want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[test.want]
			if got := s.ask(t, nil, write); got.status != want {
				t.Errorf("by the cookie: got %d %s, want %d", got.status, got.body, want)
			}
			read := call{method: http.MethodGet, path: at("auth", "me"), header: header}
			if got := s.ask(t, nil, read); got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("reading: got %d %v", got.status, got.header)
			}
			if got := s.ask(t, s.people["ada"], call{method: write.method, path: write.path, body: write.body, header: test.header}); got.status != http.StatusOK {
				t.Errorf("by a token: got %d %s", got.status, got.body)
			}
			refresh := call{method: http.MethodPost, path: at("auth", "refresh"), header: header}
			if got := s.ask(t, nil, refresh); !test.want && got.status != http.StatusForbidden {
				t.Errorf("refreshing: got %d %s, want 403", got.status, got.body)
			}
		})
	}
}

// TestTokenBeforeCookie holds that who sends both is who the token says.
func TestTokenBeforeCookie(t *testing.T) {
	t.Parallel()
	s, signedIn := browsed(t, "", nil)
	me := call{method: http.MethodGet, path: at("auth", "me"), header: map[string]string{"Cookie": jar(signedIn.cookies()), "Authorization": "Bearer nonsense"}}
	if got := s.ask(t, nil, me); got.status != http.StatusUnauthorized {
		t.Errorf("a bad token with a good cookie: got %d %s", got.status, got.body)
	}
}

// TestSetUp holds that the first administrator is made once, by who read the log.
func TestSetUp(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, where store.Options) {
		s := open(t, where, app.FrontOptions{})
		order := func(code, secret string) call {
			return call{method: http.MethodPost, path: at("setup"), body: text(map[string]string{"email": "ada@example.com", "password": secret, "code": code})}
		}
		code := s.front.Auth.SetupCode()
		for name, test := range map[string]struct {
			call   call
			status int
		}{
			"no code":           {order("", password), 403},
			"another code":      {order(strings.Repeat("0", len(code)), password), 403},
			"half of the code":  {order(code[:20], password), 403},
			"no password":       {order(code, ""), 400},
			"an easy password":  {order(code, "password1234"), 400},
			"no e-mail address": {call{method: http.MethodPost, path: at("setup"), body: text(map[string]string{"email": "ada", "password": password, "code": code})}, 400},
		} {
			if got := s.ask(t, nil, test.call); got.status != test.status {
				t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, test.status)
			}
		}
		guesses, err := audit.Entries(t.Context(), s.DB.Read(), gathering.AuditFilter{Limit: 500})
		if err != nil || len(guesses) != 1 || guesses[0].Outcome != gathering.OutcomeFailed || guesses[0].Reason != "wrong set-up code" {
			t.Errorf("of wrong codes the audit trail tells %+v, %v, want one entry for all", guesses, err)
		}
		made := s.ask(t, nil, order(code, password))
		told := decode[api.Tokens](t, made)
		if made.status != http.StatusCreated || told.User.Role != gathering.RoleAdmin || told.AccessToken == "" {
			t.Errorf("got %d %s", made.status, made.body)
		}
		got := s.ask(t, &person{bring: bearer(told.AccessToken)}, call{method: http.MethodGet, path: at("users")})
		if users := decode[page](t, got).names(); len(users) != 1 {
			t.Errorf("there are %v", users)
		}
		if got := s.ask(t, nil, order(code, password)); got.status != http.StatusConflict {
			t.Errorf("a second time: got %d %s, want 409", got.status, got.body)
		}
		if log := s.log.String(); strings.Contains(log, password) || strings.Contains(log, code) {
			t.Error("the log tells a secret")
		}
	})
}

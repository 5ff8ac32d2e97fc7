package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gathering"
	"gathering/internal/auth"
)

// password is everybody's.
const password = "seven quiet lanterns drift"

// person is somebody who asks, in one of the ways in which one can.
type person struct {
	name string
	// known: they are let in at all.
	known bool
	user  gathering.User
	// roles that they have in the projects that they are members of.
	roles map[gathering.ProjectID][]gathering.Role
	// scopes are those of the API token that they ask by; nil is a session.
	scopes []string
	grant  auth.Grant
	// carry is how they bring an access token along; nil is as programs do.
	carry func(token string) func(http.Header)
	bring func(http.Header) // has a request come from them
}

// bearer brings a token along as programs do.
func bearer(token string) func(http.Header) {
	return func(h http.Header) { h.Set("Authorization", "Bearer "+token) }
}

// browsing brings an access token along as a page of this service does.
func browsing(token string) func(http.Header) {
	return func(h http.Header) {
		h.Set("Cookie", "gathering_access="+token)
		h.Set("Sec-Fetch-Site", "same-origin")
	}
}

// populate makes people of every kind.
func (s *service) populate(t *testing.T) {
	t.Helper()
	s.people, s.guest = map[string]*person{}, s.newUser(t, "guest", gathering.RoleViewer)
	s.keeper = s.settle(t, &person{name: "keeper", user: s.newUser(t, "keeper", gathering.RoleAdmin)})
	delete(s.people, s.keeper.name)
	for _, role := range gathering.Roles() {
		s.settle(t, &person{name: string(role), user: s.newUser(t, string(role), role)})
		if role != gathering.RoleNone {
			name := string(role) + " of own"
			s.settle(t, &person{name: name, user: s.newUser(t, name, gathering.RoleNone), roles: map[gathering.ProjectID][]gathering.Role{s.own.id: {role}}})
		}
	}
	everything := gathering.Roles()[:4]
	s.settle(t, &person{
		name: "everything of other", user: s.newUser(t, "everything of other", gathering.RoleNone),
		roles: map[gathering.ProjectID][]gathering.Role{s.other.id: everything},
	})
	s.settle(t, &person{
		name: "viewer of own, all of other", user: s.newUser(t, "both", gathering.RoleNone),
		roles: map[gathering.ProjectID][]gathering.Role{s.own.id: {gathering.RoleViewer}, s.other.id: everything},
	})
	s.settle(t, &person{name: "editor in a browser", user: s.newUser(t, "browser", gathering.RoleEditor), carry: browsing})
	for _, scopes := range []string{"*", "*.read", "runs.*", "pipelines.write projects.read"} {
		s.lend(t, "admin", scopes)
	}
	s.lend(t, "viewer", "*")
	s.lend(t, "operator of own", "runs.read runs.start")
	s.strangers(t)
}

func (s *service) newUser(t *testing.T, name string, role gathering.Role) gathering.User {
	t.Helper()
	email := strings.NewReplacer(" ", "-", ",", "").Replace(name) + "@example.com"
	u, err := s.front.Auth.CreateUser(t.Context(), auth.NewUser{Email: email, Role: role, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// settle makes somebody a member of their projects and signs them in.
func (s *service) settle(t *testing.T, p *person) *person {
	t.Helper()
	for project, roles := range p.roles {
		if _, err := s.Projects.SetMember(t.Context(), project, p.user.ID, roles); err != nil {
			t.Fatal(err)
		}
	}
	p.known = true
	s.people[p.name] = p
	s.renew(t, p)
	return p
}

// renew signs somebody in again.
func (s *service) renew(t *testing.T, p *person) {
	t.Helper()
	var err error
	p.grant, err = s.front.Auth.SignIn(t.Context(), p.user.Email, password, auth.Where{Address: "127.0.0.1", Network: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if p.carry == nil {
		p.carry = bearer
	}
	p.bring = p.carry(p.grant.Access)
}

// restore gives somebody back what an operation may have taken: a session, the
// password, and the patience with wrong ones.
func (s *service) restore(t *testing.T, o asking, p *person) {
	t.Helper()
	if o.Tag != "sign-in" {
		return
	}
	if err := s.front.Auth.SetPassword(t.Context(), p.user.ID, password, ""); err != nil {
		t.Fatal(err)
	}
	s.exec(t, `DELETE FROM signin_failures`)
	s.renew(t, p)
}

// token makes an API token of somebody.
func (s *service) token(t *testing.T, p *person, scopes ...string) (gathering.Token, string) {
	t.Helper()
	made, secret, err := s.front.Auth.CreateToken(t.Context(), auth.NewToken{User: p.user.ID, Name: "of the tests", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return made, secret
}

// lend adds a program that asks for somebody, within scopes.
func (s *service) lend(t *testing.T, name, scopes string) {
	t.Helper()
	p := *s.people[name]
	p.name, p.scopes = "token of "+name+" for "+scopes, strings.Fields(scopes)
	_, secret := s.token(t, &p, p.scopes...)
	p.bring = bearer(secret)
	s.people[p.name] = &p
}

// strangers adds those who are not let in, whatever they bring along.
func (s *service) strangers(t *testing.T) {
	t.Helper()
	add := func(name string, bring func(http.Header)) { s.people[name] = &person{name: name, bring: bring} }
	admin := s.keeper
	add("nobody", func(http.Header) {})
	add("a token that is none", bearer("nonsense"))
	add("an API token that is none", bearer("gat_"+strings.Repeat("A", 52)))
	add("a refresh token", bearer(admin.grant.Refresh))
	add("an unsigned access token", bearer(unsigned(admin.grant.Access)))
	add("another scheme", func(h http.Header) { h.Set("Authorization", "Basic "+admin.grant.Access) })
	add("two tokens", func(h http.Header) {
		h.Add("Authorization", "Bearer "+admin.grant.Access)
		h.Add("Authorization", "Bearer "+admin.grant.Access)
	})
	add("two cookies", func(h http.Header) {
		browsing(admin.grant.Access)(h)
		h.Set("Cookie", h.Get("Cookie")+"; "+h.Get("Cookie"))
	})
	add("a cookie that is none", browsing("nonsense"))
	add("a token in another place", func(h http.Header) { h.Set("X-Access-Token", admin.grant.Access) })

	gone := s.settle(t, &person{name: "gone", user: s.newUser(t, "gone", gathering.RoleAdmin)})
	spare, secret := s.token(t, gone, "*")
	add("an API token that was taken back", bearer(secret))
	if err := s.front.Auth.DeleteToken(t.Context(), spare.ID); err != nil {
		t.Fatal(err)
	}
	add("a session that was ended", bearer(gone.grant.Access))
	if err := s.front.Auth.SignOut(t.Context(), &gathering.Principal{User: gone.user.ID, Session: gone.grant.Session.ID}); err != nil {
		t.Fatal(err)
	}
	s.renew(t, gone)
	_, secret = s.token(t, gone, "*")
	add("a session of a disabled user", gone.bring)
	add("an API token of a disabled user", bearer(secret))
	off := false
	if _, err := s.front.Auth.UpdateUser(t.Context(), gone.user.ID, auth.UserUpdate{Active: &off}); err != nil {
		t.Fatal(err)
	}
	delete(s.people, gone.name)
	s.expired(t, admin, add)
}

// expired adds those whose time is up.
func (s *service) expired(t *testing.T, admin *person, add func(string, func(http.Header))) {
	t.Helper()
	s.clock.off.Store(-int64(auth.AccessLifetime + time.Minute))
	defer s.clock.off.Store(0)
	old, err := s.front.Auth.SignIn(t.Context(), admin.user.Email, password, auth.Where{})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := s.front.Auth.CreateToken(t.Context(), auth.NewToken{
		User: admin.user.ID, Name: "short", Scopes: []string{"*"}, Expires: s.clock.now().Add(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	add("an access token that has expired", bearer(old.Access))
	add("an API token that has expired", bearer(secret))
}

// unsigned is an access token that says of itself that it needs no signature.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	const header = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0" // {"alg":"none","typ":"JWT"}
	return header + "." + parts[1] + "."
}

// insiders lists those who are let in, by name, and outsiders the others.
func (s *service) insiders() []*person { return s.those(func(p *person) bool { return p.known }) }

func (s *service) outsiders() []*person { return s.those(func(p *person) bool { return !p.known }) }

func (s *service) those(wanted func(p *person) bool) []*person {
	var list []*person
	for _, p := range s.people {
		if wanted(p) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *person) int { return strings.Compare(a.name, b.name) })
	return list
}

// verdict is what somebody is to be told who asks for something.
type verdict int

const (
	allowed verdict = iota
	denied
	hidden
)

// expect reads the table of rights as its comments say, by itself.
func (p *person) expect(t *testing.T, action auth.Action, project gathering.ProjectID) verdict {
	t.Helper()
	i := slices.IndexFunc(auth.Rights(), func(r auth.Right) bool { return r.Action == action })
	if i < 0 {
		t.Fatalf("the table of rights has no %s", action)
	}
	right := auth.Rights()[i]
	roles := []gathering.Role{p.user.Role}
	if right.Project {
		roles = append(roles, p.roles[project]...)
		if p.user.Role == gathering.RoleNone && len(p.roles[project]) == 0 {
			return hidden
		}
	}
	may := func(role gathering.Role) bool {
		return role == gathering.RoleAdmin || slices.Contains(right.Roles, role)
	}
	switch {
	case !right.Anyone && !slices.ContainsFunc(roles, may):
		return denied
	case p.scopes != nil && (right.Session || !slices.ContainsFunc(p.scopes, func(scope string) bool { return covers(scope, string(action)) })):
		return denied
	}
	return allowed
}

// covers reports whether a scope is an action or a pattern of it.
func covers(scope, action string) bool {
	noun, verb, _ := strings.Cut(action, ".")
	return scope == "*" || scope == action || scope == noun+".*" || scope == "*."+verb
}

package auth_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// What somebody may do changes at once where it was changed, and within a second
// everywhere else.
func TestFreshness(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		here, there := newWorld(t, db, ring, c.Now), newWorld(t, db, ring, c.Now)
		u := here.user("ann@example.com", gathering.RoleViewer)
		here.user("admin@example.com", gathering.RoleAdmin)
		g := here.signIn(u.Email)
		token, secret := here.token(u)
		member := func(roles string) {
			here.exec(`INSERT INTO members (project, user_id, roles, created_at, updated_at) VALUES ('default', $1, $2, 0, 0)
				ON CONFLICT (project, user_id) DO UPDATE SET roles = excluded.roles`, string(u.ID), roles)
			here.Forget() // as whoever changes members does
		}
		can := func(w *world, token string, action auth.Action) bool {
			p, err := w.Authenticate(t.Context(), token)
			if kind := gathering.KindOf(err); err != nil && kind != gathering.KindUnauthenticated {
				t.Errorf("got %v", err)
			}
			return err == nil && auth.Judge(p, action, gathering.DefaultProject) == auth.Allowed
		}
		for _, step := range []struct {
			name   string
			do     func()
			action auth.Action
			want   [2]bool // by the session, by the token
		}{
			{"made an operator", func() { here.update(u, auth.UserUpdate{Role: new(gathering.RoleOperator)}) }, auth.RunsStart, [2]bool{true, true}},
			{"demoted", func() { here.update(u, auth.UserUpdate{Role: new(gathering.RoleNone)}) }, auth.RunsStart, [2]bool{false, false}},
			{"made a member", func() { member(`["operator"]`) }, auth.RunsStart, [2]bool{true, true}},
			{"another member", func() { member(`["viewer"]`) }, auth.RunsStart, [2]bool{false, false}},
			{"an administrator", func() { here.update(u, auth.UserUpdate{Role: new(gathering.RoleAdmin)}) }, auth.RunsDelete, [2]bool{true, true}},
			{"without the token", func() { here.must(here.DeleteToken(here.ctx(), token.ID)) }, auth.RunsDelete, [2]bool{true, false}},
			{"disabled", func() { here.update(u, auth.UserUpdate{Active: new(false)}) }, auth.RunsDelete, [2]bool{false, false}},
		} {
			before := [2]bool{can(there, g.Access, step.action), can(there, secret, step.action)}
			can(here, g.Access, step.action)
			can(here, secret, step.action)
			step.do()
			if got := [2]bool{can(here, g.Access, step.action), can(here, secret, step.action)}; got != step.want {
				t.Errorf("%s: here it is %v at once, want %v", step.name, got, step.want)
			}
			if got := [2]bool{can(there, g.Access, step.action), can(there, secret, step.action)}; got != before {
				t.Errorf("%s: there it is %v at once, want %v still: nothing is remembered", step.name, got, before)
			}
			c.pass(time.Second)
			if got := [2]bool{can(there, g.Access, step.action), can(there, secret, step.action)}; got != step.want {
				t.Errorf("%s: there it is %v after a second, want %v", step.name, got, step.want)
			}
		}
	})
}

// What is remembered is so for half a second, and no longer by a clock that was
// set back.
func TestRemembered(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	ring, c := keyring.New(noon()), newClock()
	var reads atomic.Int64
	through, _ := db.Through(func(_ context.Context, a store.Access) error {
		if a.Kind == store.Reading {
			reads.Add(1)
		}
		return a.Do()
	})
	w := newWorld(t, through, ring, c.Now)
	u := w.user("ann@example.com", gathering.RoleViewer)
	g := w.signIn(u.Email)
	for _, step := range []struct {
		pass time.Duration
		read bool
	}{
		{0, true}, {0, false}, {499 * time.Millisecond, false}, {time.Millisecond, true}, {0, false}, {-time.Millisecond, true}, {0, false}, {-time.Hour, true},
	} {
		c.pass(step.pass)
		reads.Store(0)
		w.principal(g.Access)
		if got := reads.Load() > 0; got != step.read {
			t.Errorf("after %s: the database was read: %v, want %v", step.pass, got, step.read)
		}
	}
	// What is wrong is not remembered: there is no end of it.
	for range 2 {
		reads.Store(0)
		w.refused("no token", "gat_x")
		if reads.Load() == 0 {
			t.Error("the database was not asked")
		}
	}
}

// Who was looked up while they were changed is not remembered as they were.
func TestChangedWhileLookedUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		var change atomic.Pointer[func()]
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			err := a.Do()
			if f := change.Load(); f != nil && a.Kind == store.Reading {
				(*f)() // after this was read, before it is known
			}
			return err
		})
		w := newWorld(t, through, ring, c.Now)
		w.user("admin@example.com", gathering.RoleAdmin)
		u := w.user("ann@example.com", gathering.RoleAdmin)
		g := w.signIn(u.Email)
		_, secret := w.token(u)
		for _, token := range []string{g.Access, secret} {
			w.update(u, auth.UserUpdate{Role: new(gathering.RoleAdmin)})
			reads := 0
			f := func() {
				// The second read is that of the role.
				if reads++; reads == 2 {
					change.Store(nil)
					w.update(u, auth.UserUpdate{Role: new(gathering.RoleViewer)})
				}
			}
			change.Store(&f)
			if p := w.principal(token); p.Role != gathering.RoleAdmin || reads != 2 {
				t.Fatalf("the test did not change anything in time: %+v after %d reads", p, reads)
			}
			if p := w.principal(token); p.Role != gathering.RoleViewer {
				t.Errorf("after the change it is %s still", p.Role)
			}
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), keyring.New(noon()), noon)
	if auth.Bound != 10_000 {
		t.Errorf("the bound is %d", auth.Bound)
	}
	if got := w.Remember(3 * auth.Bound); got > auth.Bound || got < auth.Bound/2 {
		t.Errorf("%d tokens are known, want %d at most", got, auth.Bound)
	}
}

// Without the database nobody is let in, nor anything told but that.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		var gone atomic.Bool
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			if gone.Load() {
				return away()
			}
			return a.Do()
		})
		w := newWorld(t, through, ring, c.Now)
		u := w.user("ann@example.com", gathering.RoleAdmin)
		g := w.signIn(u.Email)
		token, secret := w.token(u)
		p := w.principal(g.Access)
		c.pass(time.Second)
		gone.Store(true)
		ctx := t.Context() // of nobody, so that nothing is audited
		for name, do := range map[string]func() error{
			"a session":         func() error { p, err := w.Authenticate(ctx, g.Access); return letIn(t, p, err) },
			"a token":           func() error { p, err := w.Authenticate(ctx, secret); return letIn(t, p, err) },
			"no token":          func() error { p, err := w.Authenticate(ctx, "gat_x"); return letIn(t, p, err) },
			"sign in":           func() error { _, err := w.SignIn(ctx, u.Email, password, home()); return err },
			"sign in as nobody": func() error { _, err := w.SignIn(ctx, "nobody@example.com", password, home()); return err },
			"refresh":           func() error { _, err := w.Refresh(ctx, g.Refresh); return err },
			"sign out":          func() error { return w.SignOut(ctx, p) },
			"sign out all":      func() error { return w.SignOutAll(ctx, p) },
			"sessions":          func() error { _, err := w.Sessions(ctx, u.ID); return err },
			"change password":   func() error { return w.ChangePassword(ctx, p, password, another, home()) },
			"set password":      func() error { return w.SetPassword(ctx, u.ID, another, "") },
			"create user": func() error {
				_, err := w.CreateUser(ctx, auth.NewUser{Email: "b@example.com", Role: gathering.RoleViewer})
				return err
			},
			"set up": func() error {
				_, err := w.SetUp(ctx, auth.NewUser{Email: "b@example.com", Password: password})
				return err
			},
			"update user":     func() error { _, err := w.UpdateUser(ctx, u.ID, auth.UserUpdate{Name: new("x")}); return err },
			"delete user":     func() error { return w.DeleteUser(ctx, u.ID, 0) },
			"user":            func() error { _, err := w.User(ctx, u.ID); return err },
			"user by address": func() error { _, err := w.UserByEmail(ctx, u.Email); return err },
			"users":           func() error { _, err := w.Users(ctx, "", 10); return err },
			"administrators":  func() error { _, err := w.Administrators(ctx); return err },
			"create token": func() error {
				_, secret, err := w.CreateToken(ctx, auth.NewToken{User: u.ID, Name: "x", Scopes: []string{"*"}})
				if secret != "" {
					t.Error("a secret is told")
				}
				return err
			},
			"token":        func() error { _, err := w.Token(ctx, token.ID); return err },
			"tokens":       func() error { _, err := w.Tokens(ctx, u.ID, "", 10); return err },
			"delete token": func() error { return w.DeleteToken(ctx, token.ID) },
			"expire":       func() error { return w.Expire(ctx) },
		} {
			wantKind(t, name, do(), gathering.KindUnavailable)
		}
		gone.Store(false)
		w.principal(g.Access)
		w.principal(secret)
		w.refresh(g.Refresh)
		w.signIn(u.Email)
	})
}

func letIn(t *testing.T, p *gathering.Principal, err error) error {
	t.Helper()
	if p != nil {
		t.Errorf("%+v is let in", p)
	}
	return err
}

// Whichever read fails, nobody is let in for what the others said, and nothing
// of it is remembered.
func TestDatabaseAwayInBetween(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	ring, c := keyring.New(noon()), newClock()
	var left atomic.Int64
	left.Store(1 << 30)
	through, _ := db.Through(func(_ context.Context, a store.Access) error {
		if left.Add(-1) < 0 {
			return away()
		}
		return a.Do()
	})
	w := newWorld(t, through, ring, c.Now)
	u := w.user("ann@example.com", gathering.RoleAdmin)
	g := w.signIn(u.Email)
	_, secret := w.token(u)
	for _, token := range []string{g.Access, secret} {
		var failed []int64
		for n := range int64(10) {
			c.pass(time.Minute)
			left.Store(n)
			p, err := w.Authenticate(t.Context(), token)
			if err == nil {
				break
			}
			failed = append(failed, n)
			wantKind(t, "in between", err, gathering.KindUnavailable)
			if p != nil {
				t.Errorf("after %d reads %+v is let in", n, p)
			}
		}
		if !slices.Contains(failed, 1) {
			t.Errorf("it failed after %v accesses", failed)
		}
		left.Store(1 << 30)
	}
}

package auth_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// meanwhile is an instance during whose next write something else happens first.
func meanwhile(t *testing.T, db *store.DB, ring *keyring.Ring, o auth.Options) (w *world, set func(f func())) {
	t.Helper()
	var next atomic.Pointer[func()]
	through, _ := db.Through(func(_ context.Context, a store.Access) error {
		if a.Kind == store.Writing {
			if f := next.Swap(nil); f != nil {
				(*f)()
			}
		}
		return a.Do()
	})
	return newCostly(t, through, ring, o), func(f func()) { next.Store(&f) }
}

// A password that was right when it was checked is good for nothing if it is
// changed before the session begins, nor does it come back where it would have
// been stored anew.
func TestSignInAgainstAChange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		other := newWorld(t, db, ring, c.Now)
		other.user("admin@example.com", gathering.RoleAdmin)
		for cost, options := range map[string]auth.Options{
			"same": {Now: c.Now, Cost: cheap()}, "new": {Now: c.Now, Cost: auth.Cost{Memory: 128, Iterations: 1, Parallelism: 1}},
		} {
			for name, change := range map[string]func(u gathering.User) error{
				"password": func(u gathering.User) error { return other.SetPassword(other.ctx(), u.ID, another, "") },
				"disabled": func(u gathering.User) error {
					_, err := other.UpdateUser(other.ctx(), u.ID, auth.UserUpdate{Active: new(false)})
					return err
				},
				"deleted": func(u gathering.User) error { return other.DeleteUser(other.ctx(), u.ID, 0) },
				"somebody else": func(u gathering.User) error {
					if err := other.DeleteUser(other.ctx(), u.ID, 0); err != nil {
						return err
					}
					_, err := other.CreateUser(other.ctx(), auth.NewUser{Email: u.Email, Role: gathering.RoleViewer, Password: another})
					return err
				},
			} {
				w, set := meanwhile(t, db, ring, options)
				u := other.user(cost+name[:4]+"@example.com", gathering.RoleViewer)
				set(func() { w.must(change(u)) })
				_, err := w.SignIn(w.ctx(), u.Email, password, home())
				wantKind(t, cost+" cost, "+name, err, gathering.KindUnauthenticated)
				if err != nil && gathering.FailureOf(err).Message != "the e-mail address or the password is wrong" {
					t.Errorf("%s: the words are %v", name, err)
				}
				if n := w.number(`SELECT count(*) FROM sessions WHERE revoked_at IS NULL`); n != 0 {
					t.Errorf("%s: there are %d sessions", name, n)
				}
				c.pass(2 * time.Hour)
				if name == "password" || name == "somebody else" {
					_, err := w.SignIn(w.ctx(), u.Email, password, home())
					wantKind(t, name+": the old password", err, gathering.KindUnauthenticated)
					if _, err = w.SignIn(w.ctx(), u.Email, another, home()); err != nil {
						t.Errorf("%s: the new password: %v", name, err)
					}
					w.exec(`DELETE FROM sessions WHERE id <> ''`)
				}
			}
		}
	})
}

// Of several who sign in while the cost has changed all get in.
func TestSignInAgainstItself(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring := keyring.New(noon())
		newWorld(t, db, ring, noon).user("ann@example.com", gathering.RoleViewer)
		o := auth.Options{Now: noon, Cost: auth.Cost{Memory: 128, Iterations: 1, Parallelism: 1}}
		other := newCostly(t, db, ring, o)
		w, set := meanwhile(t, db, ring, o)
		set(func() { other.signIn("ann@example.com") })
		w.signIn("ann@example.com")
		var all sync.WaitGroup
		for i := range 8 {
			w := newCostly(t, db, ring, auth.Options{Now: noon, Cost: auth.Cost{Memory: 256, Iterations: 1, Parallelism: 1}})
			all.Go(func() {
				if _, err := w.SignIn(w.ctx(), "ann@example.com", password, from(string(rune('a'+i)))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := w.number(`SELECT count(*) FROM signin_failures WHERE key <> ''`); n != 0 {
			t.Errorf("%d failures are counted", n)
		}
		if n := w.number(`SELECT count(*) FROM sessions WHERE id <> ''`); n != 10 {
			t.Errorf("%d sessions, want 10", n)
		}
	})
}

// Whoever knows the old password cannot undo a change that came first.
func TestPasswordChangesAgainstEachOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring := keyring.New(noon())
		o := auth.Options{Now: noon, Cost: cheap()}
		owner := newCostly(t, db, ring, o)
		thief, set := meanwhile(t, db, ring, o)
		u := owner.user("ann@example.com", gathering.RoleViewer)
		g, stolen := owner.signIn(u.Email), owner.signIn(u.Email)
		p, q := owner.principal(g.Access), thief.principal(stolen.Access)
		set(func() { owner.must(owner.ChangePassword(owner.as(p), p, password, another, home())) })
		wantKind(t, "the thief's change", thief.ChangePassword(thief.as(q), q, password, "seven thieves stole nothing", from("away")), gathering.KindConflict)
		thief.over("the thief's session", stolen)
		owner.principal(g.Access)
		if _, err := owner.SignIn(owner.ctx(), u.Email, another, home()); err != nil {
			t.Errorf("the owner's password: %v", err)
		}
	})
}

// A session that begins while all of them are ended is either ended too or began
// after; disabled users have none.
func TestSignInAgainstDisabling(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		w, other := newWorld(t, db, ring, c.Now), newWorld(t, db, ring, c.Now)
		w.user("admin@example.com", gathering.RoleAdmin)
		u := w.user("ann@example.com", gathering.RoleViewer)
		for range 10 {
			var both sync.WaitGroup
			var grants [4]auth.Grant
			for i := range grants {
				both.Go(func() { grants[i], _ = w.SignIn(w.ctx(), u.Email, password, home()) })
			}
			both.Go(func() { other.update(u, auth.UserUpdate{Active: new(false)}) })
			both.Wait()
			c.pass(2 * time.Hour)
			if n := w.number(`SELECT count(*) FROM sessions WHERE revoked_at IS NULL`); n != 0 {
				t.Errorf("a disabled user has %d sessions", n)
			}
			other.update(u, auth.UserUpdate{Active: new(true)})
			for _, g := range grants {
				if g.Access != "" {
					w.over("from before", g)
				}
			}
		}
	})
}

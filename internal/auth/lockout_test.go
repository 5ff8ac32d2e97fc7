package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// answer is what somebody is told who signs in: the words, and how long to wait.
func (w *world) answer(email, secret string, from auth.Where) string {
	w.t.Helper()
	_, err := w.SignIn(w.ctx(), email, secret, from)
	switch kind := gathering.KindOf(err); kind {
	case "":
		return "in"
	case gathering.KindUnauthenticated, gathering.KindExhausted:
		if want := map[gathering.Kind]string{
			gathering.KindUnauthenticated: "the e-mail address or the password is wrong",
			gathering.KindExhausted:       "too many sign-ins failed: wait a little",
		}[kind]; gathering.FailureOf(err).Message != want {
			w.t.Errorf("the words are %q", err)
		}
		return strings.TrimSpace(fmt.Sprintf("%s %s", map[gathering.Kind]string{gathering.KindUnauthenticated: "wrong", gathering.KindExhausted: "wait"}[kind],
			map[bool]string{true: gathering.RetryAfter(err).String()}[kind == gathering.KindExhausted]))
	default:
		w.t.Fatal(err)
		return ""
	}
}

// whos are accounts of which nobody may tell which they are.
func whos(w *world) []string {
	w.user("there@example.com", gathering.RoleAdmin)
	w.user("admin@example.com", gathering.RoleAdmin)
	w.update(w.user("disabled@example.com", gathering.RoleViewer), auth.UserUpdate{Active: new(false)})
	_, err := w.CreateUser(w.ctx(), auth.NewUser{Email: "mute@example.com", Role: gathering.RoleViewer})
	w.must(err)
	return []string{"there@example.com", "absent@example.com", "disabled@example.com", "mute@example.com", "no address"}
}

// Failures from one network: each waits longer than the one before, and what
// is said does not tell whether there is such an account.
func TestLockOut(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		var first []string
		for _, who := range whos(w) {
			var said []string
			say := func(secret string) { said = append(said, w.answer(who, secret, home())) }
			for range 5 {
				say(another)
			}
			for _, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
				wait := time.Duration(seconds) * time.Second
				say(another)
				c.pass(wait - time.Microsecond)
				if who == "there@example.com" {
					say(password) // is right, and not looked at
				} else {
					say(another)
				}
				c.pass(time.Microsecond)
				say(another)
			}
			if first == nil {
				first = said
			}
			if diff := cmp.Diff(first, said); diff != "" {
				t.Errorf("%s is told otherwise (-there +%s):\n%s", who, who, diff)
			}
			c.pass(time.Hour + time.Second) // and forgotten
			for range 5 {
				if got := w.answer(who, another, home()); got != "wrong" {
					t.Errorf("%s after an hour: %s", who, got)
				}
			}
		}
		want := []string{"wrong", "wrong", "wrong", "wrong", "wrong", "wait 1s", "wait 1µs", "wrong", "wait 2s", "wait 1µs", "wrong", "wait 4s"}
		if diff := cmp.Diff(want, first[:len(want)]); diff != "" {
			t.Errorf("said (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"wait 15m0s", "wait 1µs", "wrong", "wait 15m0s", "wait 1µs", "wrong"}, first[len(first)-6:]); diff != "" {
			t.Errorf("said at last (-want +got):\n%s", diff)
		}

		// Elsewhere nobody waits, and whoever gets in begins anew.
		for range 4 {
			w.answer("admin@example.com", another, home())
		}
		if got := w.answer("admin@example.com", password, home()); got != "in" {
			t.Fatalf("the right password: %s", got)
		}
		for range 5 {
			if got := w.answer("admin@example.com", another, home()); got != "wrong" {
				t.Errorf("after a success: %s", got)
			}
		}
		for _, step := range []struct{ where, want string }{{"192.0.2.1", "wait 1s"}, {"192.0.2.2", "in"}} {
			if got := w.answer("admin@example.com", password, from(step.where)); got != step.want {
				t.Errorf("from %s: %s, want %s", step.where, got, step.want)
			}
		}
	})
}

// Failures from everywhere: no wait is long, the networks from which an account
// is used do not wait, and elsewhere nobody can tell whether there is one.
func TestAttackFromEverywhere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		names := whos(w)
		w.signIn("there@example.com")
		var first []string
		for _, who := range names {
			var said []string
			for i := range 60 {
				said = append(said, w.answer(who, another, from(fmt.Sprint("198.51.100.", i))))
				if strings.HasPrefix(said[len(said)-1], "wait") {
					c.pass(time.Minute)
				}
			}
			if first == nil {
				first = said
				if got := w.answer(who, password, home()); got != "in" {
					t.Errorf("at home: %s", got)
				}
			}
			if diff := cmp.Diff(first, said); diff != "" {
				t.Errorf("%s is told otherwise (-there +%s):\n%s", who, who, diff)
			}
		}
		if diff := cmp.Diff([]string{"wrong", "wrong", "wait 1s", "wrong", "wait 2s"}, first[18:23]); diff != "" {
			t.Errorf("said (-want +got):\n%s", diff)
		}

		// An attack that goes on and on, from everywhere, all the time.
		networks := 0
		attack := func(minutes int) {
			for range minutes * 6 {
				c.pass(10 * time.Second)
				for range 20 {
					networks++
					got := w.answer("there@example.com", another, from(fmt.Sprint("2001:db8::", networks)))
					if wait, _ := time.ParseDuration(strings.TrimPrefix(got, "wait ")); got == "in" || wait > time.Minute {
						t.Fatalf("an attacker is told %s", got)
					}
				}
			}
		}
		attack(4)
		if got := w.answer("there@example.com", password, home()); got != "in" {
			t.Errorf("at home, under attack: %s", got)
		}
		attack(10)
		if got := w.answer("there@example.com", password, from("on the road")); !strings.HasPrefix(got, "wait") {
			t.Errorf("elsewhere, under attack: %s", got)
		}
		c.pass(time.Minute)
		if got := w.answer("there@example.com", password, from("on the road")); got != "in" {
			t.Errorf("elsewhere, a minute after the attack: %s", got)
		}
	})
}

// An attacker on the network of a user locks that network out, and not the user.
func TestAttackFromTheSameNetwork(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	c := newClock()
	w := newWorld(t, db, keyring.New(noon()), c.Now)
	w.user("ann@example.com", gathering.RoleAdmin)
	g := w.signIn("ann@example.com")
	for range 20 {
		w.answer("ann@example.com", another, home())
		c.pass(15 * time.Minute)
	}
	w.answer("ann@example.com", another, home())
	if got := w.answer("ann@example.com", password, home()); !strings.HasPrefix(got, "wait") {
		t.Errorf("there: %s", got)
	}
	c.pass(time.Minute)
	if got := w.answer("ann@example.com", password, from("elsewhere")); got != "in" {
		t.Errorf("elsewhere, a minute later: %s", got)
	}
	w.refresh(g.Refresh) // who is in stays in
}

// Of many guesses that come at once hardly more are looked at than of as many
// that come one by one.
func TestManyGuessesAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, keyring.New(noon()), noon)
		w.user("ann@example.com", gathering.RoleAdmin)
		var all sync.WaitGroup
		var looked atomic.Int64
		for range 60 {
			all.Go(func() {
				if w.answer("ann@example.com", another, home()) == "wrong" {
					looked.Add(1)
				}
			})
		}
		all.Wait()
		if got := looked.Load(); got < 5 || got > 6 { // the other slot may have begun
			t.Errorf("%d were looked at, want 5", got)
		}
	})
}

// Hanging up does not make a guess free.
func TestGuessesOfWhoHangsUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var hangUp atomic.Pointer[context.CancelFunc]
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			if cancel := hangUp.Load(); cancel != nil && a.Kind == store.Writing {
				(*cancel)()
			}
			return a.Do()
		})
		w := newWorld(t, through, keyring.New(noon()), noon)
		w.user("ann@example.com", gathering.RoleAdmin)
		for range 5 {
			ctx, cancel := context.WithCancel(w.ctx())
			hangUp.Store(&cancel)
			_, err := w.SignIn(ctx, "ann@example.com", another, home())
			wantKind(t, "a guess", err, gathering.KindUnauthenticated)
			if ctx.Err() == nil {
				t.Fatal("nobody hung up")
			}
		}
		hangUp.Store(nil)
		if got := w.answer("ann@example.com", password, home()); got != "wait 1s" {
			t.Errorf("after five of them: %s", got)
		}
		if n := w.number(`SELECT sum(times) FROM audit WHERE action = 'auth.signed_in' AND outcome = 'failed'`); n != 1 { // the others are counted still
			t.Errorf("%d guesses are in the trail", n)
		}
	})
}

// A clock that is set back keeps nobody out for longer than waiting would have.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		w.user("ann@example.com", gathering.RoleAdmin)
		for i := range 40 {
			w.answer("ann@example.com", another, from(fmt.Sprint(i/5)))
			c.pass(time.Second)
		}
		if got := w.answer("ann@example.com", password, from("8")); !strings.HasPrefix(got, "wait") {
			t.Fatalf("before: %s", got)
		}
		c.pass(-10 * time.Minute) // more than anybody waits who was not here before
		if got := w.answer("ann@example.com", password, from("9")); got != "in" {
			t.Errorf("ten minutes before: %s", got)
		}
		c.pass(-24 * time.Hour)
		for _, network := range []string{"0", "8"} {
			if got := w.answer("ann@example.com", password, from(network)); got != "in" {
				t.Errorf("from %s: %s", network, got)
			}
		}
	})
}

// Wrong passwords for a change count as those of sign-ins do.
func TestGuessesByChangingThePassword(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		u := w.user("ann@example.com", gathering.RoleAdmin)
		p := w.principal(w.signIn(u.Email).Access)
		for range 5 {
			err := w.ChangePassword(w.as(p), p, another, another, home())
			wantKind(t, "a guess", err, gathering.KindInvalid)
			if f := gathering.FailureOf(err); len(f.Fields) != 1 || f.Fields[0].Field != "current" {
				t.Errorf("a guess: %+v", f)
			}
		}
		wantKind(t, "the right one", w.ChangePassword(w.as(p), p, password, another, home()), gathering.KindExhausted)
		if got := w.answer(u.Email, password, home()); got != "wait 1s" {
			t.Errorf("signing in: %s", got)
		}
		c.pass(time.Second)
		err := w.ChangePassword(w.as(p), p, password, "password1234", home())
		if f := gathering.FailureOf(err); f == nil || len(f.Fields) != 1 || f.Fields[0].Field != "new" {
			t.Errorf("a weak one: %v", err)
		}
		w.must(w.ChangePassword(w.as(p), p, password, another, home()))
		if got := w.answer(u.Email, another, from("elsewhere")); got != "in" {
			t.Errorf("the new one: %s", got)
		}
	})
}

// What is over is deleted, however much it is, and the rest is not.
func TestExpire(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		u := w.user("ann@example.com", gathering.RoleAdmin)
		old := w.signIn(u.Email)
		w.must(w.SignOut(w.ctx(), w.principal(old.Access)))
		c.pass(auth.SessionLifetime - time.Hour)
		ended := w.signIn(u.Email)
		w.must(w.SignOut(w.ctx(), w.principal(ended.Access)))
		g := w.signIn(u.Email)
		w.answer("old@example.com", another, home())
		c.pass(time.Hour)
		for range 5 {
			w.answer("ann@example.com", another, home())
		}
		w.exec(`INSERT INTO signin_failures (key, failures, last_at, until)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) SELECT 'k' || i, 1, 0, 0 FROM n`)
		w.must(w.Expire(t.Context()))
		left := func(when string, sessions, failures int) {
			t.Helper()
			if got := w.number(`SELECT count(*) FROM sessions WHERE id <> ''`); got != sessions {
				t.Errorf("%s: %d sessions, want %d", when, got, sessions)
			}
			if got := w.number(`SELECT count(*) FROM signin_failures WHERE key <> ''`); got != failures {
				t.Errorf("%s: %d failures, want %d", when, got, failures)
			}
		}
		left("at the end of a session", 2, 4) // the ended one is there until its time is up
		if got := w.answer("ann@example.com", password, home()); got != "wait 1s" {
			t.Errorf("who has to wait: %s", got)
		}
		w.over("ended", ended)
		w.refresh(g.Refresh)
		c.pass(time.Microsecond)
		w.must(w.Expire(t.Context()))
		left("a moment later", 2, 2)
		c.pass(auth.SessionLifetime)
		w.must(w.Expire(t.Context()))
		left("at last", 0, 0)
	})
}

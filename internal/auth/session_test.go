package auth_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestSession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		ann := w.user("ann@example.com", gathering.RoleOperator)
		w.exec(`INSERT INTO members (project, user_id, roles, created_at, updated_at) VALUES ('default', $1, '["viewer","editor"]', 0, 0)`, string(ann.ID))
		c.pass(time.Second)
		g := w.signIn(" ANN@example.com ")
		ann.SignedInAt = new(noon().Add(time.Second))
		session := gathering.Session{
			ID: g.Session.ID, User: ann.ID, CreatedAt: noon().Add(time.Second), UsedAt: noon().Add(time.Second),
			ExpiresAt: noon().Add(time.Second + 14*24*time.Hour), Address: "192.0.2.1", Agent: "curl/8",
		}
		want := auth.Grant{Access: g.Access, Expires: noon().Add(time.Second + 15*time.Minute), Refresh: g.Refresh, Session: session, User: ann}
		if diff := cmp.Diff(want, g); diff != "" {
			t.Errorf("granted (-want +got):\n%s", diff)
		}
		if got, err := w.User(t.Context(), ann.ID); err != nil || !cmp.Equal(got, ann) {
			t.Errorf("the user is %+v, %v", got, err)
		}
		who := &gathering.Principal{
			User: ann.ID, Email: "ann@example.com", Session: g.Session.ID, Role: gathering.RoleOperator,
			Projects: map[gathering.ProjectID][]gathering.Role{"default": {gathering.RoleViewer, gathering.RoleEditor}},
		}
		if diff := cmp.Diff(who, w.principal(g.Access)); diff != "" {
			t.Errorf("principal (-want +got):\n%s", diff)
		}

		c.pass(20 * time.Minute)
		w.refused("after a while", g.Access)
		next := w.refresh(g.Refresh)
		if next.Session.ID != g.Session.ID || next.Access == g.Access || next.Refresh == g.Refresh || next.User.ID != ann.ID {
			t.Errorf("a refresh gives %+v after %+v", next, g)
		}
		if diff := cmp.Diff(who, w.principal(next.Access)); diff != "" {
			t.Errorf("principal after a refresh (-want +got):\n%s", diff)
		}
		session.UsedAt, session.ExpiresAt = c.Now(), c.Now().Add(14*24*time.Hour)
		list, err := w.Sessions(t.Context(), ann.ID)
		if diff := cmp.Diff([]gathering.Session{session}, list); diff != "" || err != nil {
			t.Errorf("sessions (-want +got):\n%s%v", diff, err)
		}
	})
}

// TestEndSession ends a session of one's own from another, one time.
func TestEndSession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		ann, bob := w.user("ann@example.com", gathering.RoleViewer), w.user("bob@example.com", gathering.RoleAdmin)
		old := w.signIn(ann.Email)
		c.pass(8 * 24 * time.Hour)
		here, there, his := w.signIn(ann.Email), w.signIn(ann.Email), w.signIn(bob.Email)
		who := w.principal(here.Access)
		w.must(w.EndSession(w.as(who), who, there.Session.ID))
		w.refused("the session that was ended", there.Access)
		c.pass(7 * 24 * time.Hour) // the oldest has expired
		here = w.refresh(here.Refresh)
		who = w.principal(here.Access)
		for name, id := range map[string]gathering.SessionID{
			"one that was ended": there.Session.ID, "one that expired": old.Session.ID, "somebody else's": his.Session.ID, "none": "ses_none",
		} {
			if err := w.EndSession(w.as(who), who, id); gathering.KindOf(err) != gathering.KindNotFound {
				t.Errorf("%s: got %v, want that there is none", name, err)
			}
		}
		w.refresh(his.Refresh)
	})
}

// What somebody has after an end of sessions: those that are over, and those that go on.
func TestEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		for name, end := range map[string]struct {
			do   func(w *world, p *gathering.Principal) error
			over [3]bool // this session, the other one, the API token
		}{
			"sign out":            {func(w *world, p *gathering.Principal) error { return w.SignOut(w.as(p), p) }, [3]bool{true, false, false}},
			"sign out everywhere": {func(w *world, p *gathering.Principal) error { return w.SignOutAll(w.as(p), p) }, [3]bool{true, true, false}},
			"another password": {func(w *world, p *gathering.Principal) error {
				return w.ChangePassword(w.as(p), p, password, another, home())
			}, [3]bool{false, true, false}},
			"a password by somebody else": {func(w *world, p *gathering.Principal) error {
				return w.SetPassword(w.ctx(), p.User, another, "")
			}, [3]bool{true, true, false}},
			"disabled": {func(w *world, p *gathering.Principal) error {
				_, err := w.UpdateUser(w.ctx(), p.User, auth.UserUpdate{Active: new(false)})
				return err
			}, [3]bool{true, true, true}},
			"disabled and enabled": {func(w *world, p *gathering.Principal) error {
				w.update(gathering.User{ID: p.User}, auth.UserUpdate{Active: new(false)})
				w.update(gathering.User{ID: p.User}, auth.UserUpdate{Active: new(true)})
				return nil
			}, [3]bool{true, true, false}},
			"deleted": {func(w *world, p *gathering.Principal) error { return w.DeleteUser(w.ctx(), p.User, 0) }, [3]bool{true, true, true}},
		} {
			w, other := newWorld(t, db, ring, c.Now), newWorld(t, db, ring, c.Now)
			u := w.user(strings.ReplaceAll(name, " ", ".")+"@example.com", gathering.RoleViewer)
			stranger := w.user("x"+u.Email, gathering.RoleViewer)
			bystander := w.signIn(stranger.Email)
			first, second := w.signIn(u.Email), w.signIn(u.Email)
			_, secret := w.token(u)
			for _, i := range []*world{w, other} { // both know them by now
				for _, token := range []string{first.Access, second.Access, secret, bystander.Access} {
					i.principal(token)
				}
			}
			w.must(end.do(w, w.principal(first.Access)))
			check := func(where string, w *world) {
				t.Helper()
				for i, token := range []string{first.Access, second.Access, secret} {
					_, err := w.Authenticate(t.Context(), token)
					if want := map[bool]gathering.Kind{true: gathering.KindUnauthenticated}[end.over[i]]; gathering.KindOf(err) != want {
						t.Errorf("%s: token %d %s: %v, want %q", name, i+1, where, err, want)
					}
				}
				w.principal(bystander.Access)
			}
			check("here", w)
			c.pass(time.Second)
			check("elsewhere, within a second", other)
			for i, g := range []auth.Grant{first, second} {
				_, err := other.Refresh(other.ctx(), g.Refresh)
				if want := map[bool]gathering.Kind{true: gathering.KindUnauthenticated}[end.over[i]]; gathering.KindOf(err) != want {
					t.Errorf("%s: refresh %d: %v, want %q", name, i+1, err, want)
				}
			}
			other.refresh(bystander.Refresh)
		}
	})
}

// Every token is good to the second, whether it was looked up before or not.
func TestExpiryToTheSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		w := newWorld(t, db, keyring.New(time.Now()), time.Now)
		u := w.user("ann@example.com", gathering.RoleViewer)
		until := func(at time.Time) { <-time.After(time.Until(at)) }
		tokens := func(what, good string, till time.Time) {
			t.Helper()
			until(till.Add(-time.Nanosecond))
			w.principal(good)
			w.principal(good) // known by now
			until(till)
			w.refused(what, good)
		}
		<-time.After(345678 * time.Microsecond) // not on a full second
		begun := time.Now()
		g := w.signIn(u.Email)
		if want := begun.Truncate(time.Second).Add(15 * time.Minute); !g.Expires.Equal(want) {
			t.Errorf("the access token expires at %s, want %s", g.Expires, want)
		}
		tokens("an access token", g.Access, g.Expires)
		expires := time.Now().Add(time.Hour + 7*time.Microsecond).UTC()
		_, secret, err := w.CreateToken(w.ctx(), auth.NewToken{User: u.ID, Name: "x", Scopes: []string{"*"}, Expires: expires})
		w.must(err)
		tokens("an API token", secret, expires)

		// A session: two weeks since its last refresh, …
		until(begun.Add(auth.SessionLifetime - time.Microsecond))
		g = w.refresh(g.Refresh)
		until(g.Session.ExpiresAt)
		w.over("an unused session", g)

		// … and 90 days in all, in which its last access token ends with it.
		<-time.After(345678 * time.Microsecond)
		g = w.signIn(u.Email)
		end := g.Session.CreatedAt.Add(90 * 24 * time.Hour)
		for time.Until(end) > 10*time.Minute {
			<-time.After(min(13*24*time.Hour, time.Until(end)-5*time.Minute))
			g = w.refresh(g.Refresh)
		}
		if !g.Session.ExpiresAt.Equal(end) || !g.Expires.Equal(end.Truncate(time.Second)) {
			t.Errorf("it expires at %s, its token at %s, want %s", g.Session.ExpiresAt, g.Expires, end)
		}
		tokens("the last access token", g.Access, g.Expires)
		until(end.Add(-time.Microsecond))
		g = w.refresh(g.Refresh)
		until(end)
		w.over("the longest session", g)
	})
}

// Clocks of instances differ a little: what one made is good for the others,
// and nobody is let in for longer than the own clock says.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		w := newWorld(t, db, ring, c.Now)
		const skew = 30 * time.Second
		ahead := newWorld(t, db, ring, func() time.Time { return c.Now().Add(skew) })
		behind := newWorld(t, db, ring, func() time.Time { return c.Now().Add(-skew) })
		u := w.user("ann@example.com", gathering.RoleViewer)
		all := []*world{w, ahead, behind}
		for _, made := range all {
			g := made.signIn(u.Email)
			for _, used := range all {
				used.principal(g.Access)
				g = used.refresh(g.Refresh)
			}
			used := made.principal(g.Access)
			made.must(made.SignOut(made.as(used), used))
			c.pass(time.Second)
			for _, w := range all {
				w.over("signed out", g)
			}
		}
		g := behind.signIn(u.Email)
		c.pass(auth.AccessLifetime - skew)
		w.refused("by this clock", g.Access)
		ahead.refused("by a clock ahead", g.Access)
		behind.principal(g.Access)
	})
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	ring := keyring.New(noon())
	w := newWorld(t, db, ring, noon)
	u := w.user("ann@example.com", gathering.RoleEditor)
	g := w.signIn(u.Email)
	claims := jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithoutClaimsValidation()).ParseWithClaims(g.Access, claims, func(t *jwt.Token) (any, error) {
		key, _ := ring.PublicKey(keyring.PurposeAccess, t.Header["kid"].(string))
		return key, nil
	})
	w.must(err)
	if diff := cmp.Diff(map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": ring.Current()}, token.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	id, _ := claims["jti"].(string)
	if len(id) < 20 {
		t.Errorf("its ID is %q", id)
	}
	delete(claims, "jti")
	want := jwt.MapClaims{
		"iss": "gathering", "aud": []any{db.LogID()}, "sub": string(u.ID), "role": "editor", "sid": string(g.Session.ID),
		"iat": float64(noon().Unix()), "exp": float64(noon().Unix() + 900),
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if again := w.refresh(g.Refresh); again.Access == g.Access {
		t.Error("two tokens of the same second are the same")
	}
}

// Of many who use one refresh token at once one wins, and nobody has been robbed.
func TestConcurrentRefresh(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		w := newWorld(t, db, ring, c.Now)
		g := w.signIn(w.user("ann@example.com", gathering.RoleViewer).Email)
		for range 3 {
			const many = 12
			var (
				all  sync.WaitGroup
				errs [many]error
				got  [many]auth.Grant
			)
			for i := range many {
				other := newWorld(t, db, ring, c.Now)
				all.Go(func() { got[i], errs[i] = other.Refresh(other.ctx(), g.Refresh) })
			}
			all.Wait()
			won := 0
			for i, err := range errs {
				if err == nil {
					won++
					g = got[i]
					continue
				}
				wantKind(t, "a loser", err, gathering.KindConflict)
			}
			if won != 1 {
				t.Errorf("%d won, want 1", won)
			}
			w.principal(g.Access)
			c.pass(time.Second)
		}
		if n := w.number(`SELECT count(*) FROM audit WHERE action = 'auth.refreshed' AND outcome = 'done'`); n != 3 {
			t.Errorf("%d refreshes are in the trail, want 3", n)
		}
	})
}

// A refresh token that comes a second time ends its family, and that alone.
func TestReuse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring, c := keyring.New(noon()), newClock()
		w, other := newWorld(t, db, ring, c.Now), newWorld(t, db, ring, c.Now)
		u := w.user("ann@example.com", gathering.RoleViewer)
		bystander := w.signIn(u.Email)
		for name, reuse := range map[string]func(all []auth.Grant) auth.Grant{
			"the one before": func(all []auth.Grant) auth.Grant { return all[len(all)-2] },
			"the first":      func(all []auth.Grant) auth.Grant { return all[0] },
		} {
			all := []auth.Grant{w.signIn(u.Email)}
			for range 4 {
				all = append(all, w.refresh(all[len(all)-1].Refresh))
			}
			c.pass(10*time.Second - time.Microsecond)
			_, err := w.Refresh(w.ctx(), all[3].Refresh)
			wantKind(t, "a moment after", err, gathering.KindConflict)
			other.principal(all[4].Access)
			c.pass(time.Microsecond)
			w.principal(all[4].Access)
			_, err = w.Refresh(w.ctx(), reuse(all).Refresh)
			wantKind(t, name, err, gathering.KindUnauthenticated)
			for _, g := range all {
				w.over(name, g)
			}
			c.pass(time.Second)
			for _, g := range all {
				other.over(name+", elsewhere", g)
			}
		}
		bystander = w.refresh(bystander.Refresh)
		w.principal(bystander.Access)
		// One that is older than the one before is nobody's mistake, however soon it comes.
		second := w.refresh(bystander.Refresh)
		w.refresh(second.Refresh)
		_, err := w.Refresh(w.ctx(), bystander.Refresh)
		wantKind(t, "an older one at once", err, gathering.KindUnauthenticated)
		w.over("after an older one", second)
		if n := w.number(`SELECT count(*) FROM audit WHERE action = 'auth.refresh_reused'`); n != 3 {
			t.Errorf("%d entries tell of it, want 3", n)
		}
	})
}

// What was over is over after a restart, and the rest goes on.
func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		c, dir := newClock(), t.TempDir()
		ring, err := keyring.Open(dir, noon())
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, open(store.Options{}), ring, c.Now)
		u := w.user("ann@example.com", gathering.RoleViewer)
		kept, out, robbed := w.signIn(u.Email), w.signIn(u.Email), w.signIn(u.Email)
		used := kept
		kept = w.refresh(kept.Refresh)
		p := w.principal(out.Access)
		w.must(w.SignOut(w.as(p), p))
		next := w.refresh(robbed.Refresh)
		c.pass(time.Minute)
		_, err = w.Refresh(w.ctx(), robbed.Refresh)
		wantKind(t, "reuse", err, gathering.KindUnauthenticated)
		_, secret := w.token(u)
		gone, lost := w.token(u)
		w.must(w.DeleteToken(w.ctx(), gone.ID))
		w.must(w.db.Close())

		ring, err = keyring.Open(dir, noon())
		if err != nil {
			t.Fatal(err)
		}
		w = newWorld(t, open(store.Options{}), ring, c.Now)
		w.over("signed out", out)
		w.over("robbed", robbed)
		w.over("robbed, the next", next)
		w.refused("deleted", lost)
		w.principal(kept.Access)
		w.principal(secret)
		kept = w.refresh(kept.Refresh)

		// The ring has another current key by now: what the old one made is good.
		if err := ring.Rotated(c.Now()).Replace(dir); err != nil {
			t.Fatal(err)
		}
		if ring, err = keyring.Open(dir, noon()); err != nil {
			t.Fatal(err)
		}
		w = newWorld(t, w.db, ring, c.Now)
		w.principal(kept.Access)
		kept = w.refresh(kept.Refresh)
		w.principal(kept.Access)
		w.over("signed out before the rotation", out)
		_, err = w.Refresh(w.ctx(), used.Refresh)
		wantKind(t, "reuse after all that", err, gathering.KindUnauthenticated)
		w.over("after all that", kept)
	})
}

// A backup that is put back has sessions in it that were ended since, and
// refresh tokens that were used since: all sign in again.
func TestRestore(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		ring := keyring.New(noon())
		w := newWorld(t, open(store.Options{}), ring, noon)
		u := w.user("ann@example.com", gathering.RoleViewer)
		g := w.signIn(u.Email)
		_, secret := w.token(u)
		w.exec(`UPDATE meta SET value = 'restored' WHERE key = 'log_id'`)
		w.must(w.db.Close())
		w = newWorld(t, open(store.Options{}), ring, noon)
		w.over("before the restore", g)
		w.principal(secret)
		w.signIn(u.Email)
	})
}

// Whatever comes first, at the end nothing of a session is good that was ended
// while it was refreshed. Neither has to be undone for the other: PostgreSQL
// takes a second to notice that two wait for each other.
func TestRefreshAgainstAnEnd(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		var log safeBuffer
		db := open(store.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		ring, c := keyring.New(noon()), newClock()
		w, other := newWorld(t, db, ring, c.Now), newWorld(t, db, ring, c.Now)
		u := w.user("ann@example.com", gathering.RoleViewer)
		for round := range 30 {
			g := w.signIn(u.Email)
			p := w.principal(g.Access)
			var both sync.WaitGroup
			var refreshed auth.Grant
			both.Go(func() { refreshed, _ = other.Refresh(other.ctx(), g.Refresh) })
			both.Go(func() {
				end := []func(ctx context.Context, p *gathering.Principal) error{w.SignOut, w.SignOutAll}
				if err := end[round%2](w.as(p), p); err != nil {
					t.Error(err)
				}
			})
			both.Wait()
			c.pass(time.Second)
			other.over("ended meanwhile", g)
			if refreshed.Access != "" {
				w.over("refreshed meanwhile", refreshed)
			}
		}
		if strings.Contains(log.String(), "transaction repeated") {
			t.Errorf("they waited for each other:\n%s", log.String())
		}
	})
}

// Whoever is not active is nobody, however that came about.
func TestInactive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, keyring.New(noon()), noon)
		u := w.user("ann@example.com", gathering.RoleAdmin)
		g := w.signIn(u.Email)
		_, secret := w.token(u)
		w.exec(`UPDATE users SET active = 0 WHERE id = $1`, string(u.ID))
		w.over("a session", g)
		w.refused("a token", secret)
		w.exec(`UPDATE users SET active = 1 WHERE id = $1`, string(u.ID))
		w.refresh(g.Refresh) // it was not used up
	})
}

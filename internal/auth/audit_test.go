package auth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/auth"
	"gathering/internal/event"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// TestAudit holds what is written down of everything that somebody does or
// tries: by whom, by what, on what, what became of it and why.
func TestAudit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		names := map[string]string{} // of IDs
		told := 0
		line := func(e gathering.AuditEntry) string {
			text := fmt.Sprintf("%s %s %s by %s (%s, %s)", e.Action, e.Object, e.Outcome, e.Actor, e.ActorName, e.Credential)
			if e.Reason != "" {
				text += ": " + e.Reason
			}
			for id, name := range names {
				text = strings.ReplaceAll(text, id, name)
			}
			return text
		}
		tells := func(what string, want ...string) {
			t.Helper()
			got := []string{}
			for _, e := range w.entries()[told:] {
				got = append(got, line(e))
				if e.Address != "192.0.2.1" || e.Agent != "curl/8" || e.Request != "req_1" || !e.At.Equal(c.Now()) || e.Times != 1 {
					t.Errorf("%s: the entry is %+v", what, e)
				}
			}
			told += len(got)
			if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		set, err := w.SetUp(w.ctx(), auth.NewUser{Email: "admin@example.com", Password: password})
		w.must(err)
		names[string(set.ID)] = "ADMIN"
		tells("set up", "user.created ADMIN done by  (, ): role admin")
		g := w.signIn("admin@example.com")
		names[string(g.Session.ID)] = "SESSION"
		tells("sign in", "auth.signed_in ADMIN done by ADMIN (admin@example.com, SESSION)")
		admin := w.as(w.principal(g.Access))
		const by = " by ADMIN (admin@example.com, SESSION)"
		ann, err := w.CreateUser(admin, auth.NewUser{Email: "ann@example.com", Role: gathering.RoleViewer, Password: password})
		w.must(err)
		names[string(ann.ID)] = "ANN"
		tells("create", "user.created ANN done"+by+": role viewer")

		// Signing in in vain.
		for _, try := range []struct{ email, want string }{
			{"ann@example.com", "auth.signed_in  failed by ANN (ann@example.com, ): wrong password"},
			{"Absent@example.com", "auth.signed_in  failed by  (absent@example.com, ): no such account"},
			{"my secret password", "auth.signed_in  failed by  (nobody, ): no such account"},
		} {
			_, err := w.SignIn(w.ctx(), try.email, another, home())
			wantKind(t, try.email, err, gathering.KindUnauthenticated)
			tells(try.email, try.want)
		}
		for range 4 {
			w.answer("ann@example.com", another, home())
		}
		tells("again and again") // counted, and written later
		w.answer("ann@example.com", password, home())
		tells("locked out", "auth.signed_in  denied by  (ann@example.com, ): too many failures before it")
		c.pass(time.Hour)

		// A session.
		g = w.signIn("ann@example.com")
		names[string(g.Session.ID)] = "HERS"
		const hers = " by ANN (ann@example.com, HERS)"
		p := w.principal(g.Access)
		tells("sign in", "auth.signed_in ANN done"+hers)
		old := g
		g = w.refresh(g.Refresh)
		tells("refresh", "auth.refreshed HERS done"+hers)
		_, _ = w.Refresh(w.ctx(), old.Refresh)
		tells("late", "auth.refreshed HERS failed"+hers+": used a moment ago")
		_, _ = w.Refresh(w.ctx(), "grt_forged")
		tells("forged", "auth.refreshed  failed by  (, ): no such token")
		w.must(w.SignOut(w.as(p), p))
		tells("sign out", "auth.signed_out ANN done"+hers)
		_, _ = w.Refresh(w.ctx(), g.Refresh)
		tells("over", "auth.refreshed HERS failed"+hers+": the session is over")
		g = w.signIn("ann@example.com")
		names[string(g.Session.ID)] = "HERS"
		p = w.principal(g.Access)
		tells("sign in", "auth.signed_in ANN done"+hers)
		w.refresh(g.Refresh)
		tells("refresh", "auth.refreshed HERS done"+hers)
		c.pass(time.Minute)
		_, _ = w.Refresh(w.ctx(), g.Refresh)
		tells("reuse", "auth.refresh_reused ANN failed"+hers+": a refresh token was used twice: the session ended")
		w.must(w.SignOutAll(w.as(p), p))
		tells("sign out everywhere", "auth.signed_out ANN done"+hers+": all sessions")

		// A password.
		wantKind(t, "a wrong one", w.ChangePassword(w.as(p), p, another, another, home()), gathering.KindInvalid)
		tells("a wrong one", "auth.password_changed ANN failed"+hers+": wrong password")
		w.must(w.ChangePassword(w.as(p), p, password, another, home()))
		tells("change", "auth.password_changed ANN done"+hers)
		w.must(w.SetPassword(admin, ann.ID, password, ""))
		tells("set", "auth.password_changed ANN done"+by)
		for range 4 {
			w.answer("ann@example.com", another, home())
		}
		tells("guessed") // as it was before
		wantKind(t, "locked out", w.ChangePassword(w.as(p), p, another, another, home()), gathering.KindExhausted)
		tells("locked out", "auth.password_changed ANN denied"+hers+": too many failures before it")

		// What an administrator does.
		token, _, err := w.CreateToken(admin, auth.NewToken{User: ann.ID, Name: "build", Scopes: []string{"runs.*", "*.read"}})
		w.must(err)
		names[string(token.ID)] = "TOKEN"
		tells("token", "token.created TOKEN done"+by+": build: runs.* *.read")
		w.must(w.DeleteToken(admin, token.ID))
		tells("no token", "token.deleted TOKEN done"+by+": build: runs.* *.read")
		for _, change := range []struct {
			c    auth.UserUpdate
			want string
		}{
			{auth.UserUpdate{Role: new(gathering.RoleEditor)}, "role viewer to editor"},
			{auth.UserUpdate{Name: new("Ann Z.")}, "name"},
			{auth.UserUpdate{Active: new(false), Role: new(gathering.RoleNone)}, "role editor to none, disabled"},
		} {
			_, err := w.UpdateUser(admin, ann.ID, change.c)
			w.must(err)
			tells(change.want, "user.updated ANN done"+by+": "+change.want)
		}
		c.pass(2 * time.Hour)
		w.answer("ann@example.com", password, home())
		tells("disabled", "auth.signed_in  failed by ANN (ann@example.com, ): disabled account")
		_, err = w.UpdateUser(admin, ann.ID, auth.UserUpdate{Active: new(true)})
		w.must(err)
		tells("enabled", "user.updated ANN done"+by+": enabled")
		w.must(w.DeleteUser(admin, ann.ID, 0))
		tells("deleted", "user.deleted ANN done"+by+": ann@example.com")
		for name, err := range map[string]error{
			"the last administrator": w.DeleteUser(admin, set.ID, 0), "nobody": w.DeleteUser(admin, ann.ID, 0), "a second set-up": func() error {
				_, err := w.SetUp(admin, auth.NewUser{Email: "x@example.com", Password: password})
				return err
			}(),
		} {
			if err == nil {
				t.Errorf("%s: done", name)
			}
		}
		tells("what was not done")
	})
}

// The log of a user tells what happened, in the order in which it did.
func TestEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		w.user("admin@example.com", gathering.RoleAdmin)
		u := w.user("ann@example.com", gathering.RoleViewer)
		g := w.signIn(u.Email)
		p := w.principal(g.Access)
		w.refresh(g.Refresh)
		token, _ := w.token(u)
		w.must(w.DeleteToken(w.as(p), token.ID))
		w.update(u, auth.UserUpdate{Role: new(gathering.RoleEditor)})
		w.update(u, auth.UserUpdate{Role: new(gathering.RoleEditor)})
		w.must(w.ChangePassword(w.as(p), p, password, another, home()))
		w.must(w.SignOutAll(w.as(p), p))
		w.must(w.SetPassword(w.ctx(), u.ID, password, ""))
		robbed := w.signIn(u.Email)
		w.refresh(robbed.Refresh)
		c.pass(time.Minute)
		_, _ = w.Refresh(w.ctx(), robbed.Refresh)
		w.must(w.DeleteUser(w.ctx(), u.ID, 0))
		want := []string{
			`1 user.created {"email":"ann@example.com","role":"viewer","active":true,"by":""}`,
			`2 auth.signed_in {"session":"` + string(g.Session.ID) + `","by":"ann@example.com"}`,
			`3 token.created {"token":"` + string(token.ID) + `","name":"tests","by":""}`,
			`4 token.deleted {"token":"` + string(token.ID) + `","name":"tests","by":"ann@example.com"}`,
			`5 user.updated {"email":"ann@example.com","role":"editor","active":true,"by":""}`,
			`6 auth.password_changed {"by":"ann@example.com"}`,
			`7 auth.signed_out {"by":"ann@example.com"}`,
			`8 auth.password_changed {}`,
			`9 auth.signed_in {"session":"` + string(robbed.Session.ID) + `","by":"ann@example.com"}`,
			`10 auth.refresh_reused {"session":"` + string(robbed.Session.ID) + `"}`,
			`11 user.deleted {"email":"ann@example.com","role":"editor","active":false,"by":""}`,
		}
		if diff := cmp.Diff(want, w.log(string(u.ID))); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// A request of nobody's is not audited; what it changes is told all the same.
func TestNobodysRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), keyring.New(noon()), noon)
	u, err := w.CreateUser(audit.Nobody(w.ctx()), auth.NewUser{Email: "ann@example.com", Role: gathering.RoleViewer, Password: password})
	w.must(err)
	if got := len(w.entries()); got != 0 {
		t.Errorf("%d entries", got)
	}
	if got := len(w.log(string(u.ID))); got != 1 {
		t.Errorf("%d events", got)
	}
}

// What programs say they are is kept as far as it can be stored.
func TestAgents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, keyring.New(noon()), noon)
		u := w.user("ann@example.com", gathering.RoleViewer)
		for agent, want := range map[string]string{
			"":                               "",
			"curl/8 (x)":                     "curl/8 (x)",
			"a\x00b\nc\x7f":                  "abc",
			"\xff\xfe curl":                  "\uFFFD\uFFFD curl",
			strings.Repeat("x", 1<<20):       strings.Repeat("x", 512),
			strings.Repeat("ä", 1<<10):       strings.Repeat("ä", 256),
			"x" + strings.Repeat("ä", 1<<10): "x" + strings.Repeat("ä", 255) + "\uFFFD",
		} {
			g, err := w.SignIn(w.ctx(), u.Email, password, auth.Where{Network: "n", Agent: agent})
			if err != nil {
				t.Errorf("%.20q: %v", agent, err)
				continue
			}
			if got := w.text(`SELECT agent FROM sessions WHERE id = $1`, string(g.Session.ID)); got != want || g.Session.Agent != want {
				t.Errorf("%.20q is %q, want %q", agent, got, want)
			}
		}
	})
}

// log is what the log of a user tells.
func (w *world) log(stream string) (lines []string) {
	w.t.Helper()
	rows, err := w.db.Read().Query(w.t.Context(), `SELECT stream, seq, at, version, rows FROM noun_log WHERE stream = $1 ORDER BY seq`, stream)
	w.must(err)
	w.must(rows.Each(func(row store.Scanner) error {
		var r event.Row
		if err := row.Scan(&r.Stream, &r.Seq, &r.At, &r.Version, &r.Rows); err != nil {
			return err
		}
		events, err := event.Unpack(w.t.Context(), r, nil)
		for _, e := range events {
			lines = append(lines, fmt.Sprintf("%d %s %s", e.Seq, e.Type, e.Data))
		}
		return err
	}))
	return lines
}

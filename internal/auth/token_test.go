package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/codec"
	"gathering/internal/keyring"
	"gathering/internal/once"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		ann, bob := w.user("ann@example.com", gathering.RoleOperator), w.user("bob@example.com", gathering.RoleViewer)
		expires := noon().Add(time.Hour)
		made, secret, err := w.CreateToken(w.ctx(), auth.NewToken{User: ann.ID, Name: " the build ", Scopes: []string{"runs.*", "*.read"}, Expires: expires})
		w.must(err)
		want := gathering.Token{
			ID: made.ID, User: ann.ID, Name: "the build", Scopes: []string{"runs.*", "*.read"}, CreatedAt: noon(), ExpiresAt: &expires,
		}
		if diff := cmp.Diff(want, made); diff != "" {
			t.Errorf("made (-want +got):\n%s", diff)
		}
		if !strings.HasPrefix(secret, "gat_") || len(secret) < 40 {
			t.Errorf("the secret is %q", secret)
		}
		sum := sha256.Sum256([]byte(secret))
		if got := w.text(`SELECT hash FROM api_tokens`); got != hex.EncodeToString(sum[:]) {
			t.Errorf("stored as %q", got)
		}

		who := &gathering.Principal{
			User: ann.ID, Email: ann.Email, Token: made.ID, Role: gathering.RoleOperator,
			Projects: map[gathering.ProjectID][]gathering.Role{}, Scopes: []string{"runs.*", "*.read"},
		}
		if diff := cmp.Diff(who, w.principal(secret)); diff != "" {
			t.Errorf("principal (-want +got):\n%s", diff)
		}
		used := func(want time.Time) {
			t.Helper()
			got, err := w.Token(t.Context(), made.ID)
			if err != nil || got.UsedAt == nil || !got.UsedAt.Equal(want) {
				t.Errorf("last used at %v, %v, want %s", got.UsedAt, err, want)
			}
		}
		used(noon())
		c.pass(time.Minute - time.Microsecond)
		w.principal(secret)
		used(noon()) // to about a minute
		c.pass(time.Minute)
		w.principal(secret)
		used(c.Now())

		c.pass(time.Second)
		theirs, other := w.token(bob, "account.read")
		list := func(of gathering.UserID, after gathering.TokenID, limit int) []gathering.TokenID {
			t.Helper()
			tokens, err := w.Tokens(t.Context(), of, after, limit)
			w.must(err)
			ids := []gathering.TokenID{}
			for _, x := range tokens {
				ids = append(ids, x.ID)
			}
			return ids
		}
		for name, c := range map[string]struct{ got, want []gathering.TokenID }{
			"one's own":    {list(ann.ID, "", 10), []gathering.TokenID{made.ID}},
			"those of all": {list("", "", 10), []gathering.TokenID{made.ID, theirs.ID}},
			"after":        {list("", made.ID, 10), []gathering.TokenID{theirs.ID}},
			"one":          {list("", "", 1), []gathering.TokenID{made.ID}},
			"nobody's":     {list("usr_0", "", 10), []gathering.TokenID{}},
		} {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		w.must(w.DeleteToken(w.ctx(), theirs.ID))
		w.refused("deleted", other)
		wantKind(t, "deleting it again", w.DeleteToken(w.ctx(), theirs.ID), gathering.KindNotFound)
		_, err = w.Token(t.Context(), theirs.ID)
		wantKind(t, "reading it", err, gathering.KindNotFound)
		for name, forged := range map[string]string{
			"another": secret[:len(secret)-1] + "0", "shorter": secret[:len(secret)-1], "longer": secret + "A", "its hash": "gat_" + hex.EncodeToString(sum[:]),
			"its ID": "gat_" + string(made.ID), "without its prefix": secret[4:], "in small letters": "gat_" + strings.ToLower(secret[4:]), "with a line": secret + "\n",
		} {
			w.refused(name, forged)
		}
		w.principal(secret)
		c.pass(time.Hour)
		w.refused("expired", secret)
	})
}

func TestTokensThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), keyring.New(noon()), noon)
	u := w.user("ann@example.com", gathering.RoleAdmin)
	good := auth.NewToken{User: u.ID, Name: "x", Scopes: []string{"*"}}
	with := func(change func(n *auth.NewToken)) auth.NewToken {
		n := good
		change(&n)
		return n
	}
	for name, c := range map[string]struct {
		of    auth.NewToken
		field string
	}{
		"no name":      {with(func(n *auth.NewToken) { n.Name = " " }), "name"},
		"a long name":  {with(func(n *auth.NewToken) { n.Name = strings.Repeat("x", 201) }), "name"},
		"no text":      {with(func(n *auth.NewToken) { n.Name = "\xff" }), "name"},
		"lines":        {with(func(n *auth.NewToken) { n.Name = "a\nb" }), "name"},
		"no scopes":    {with(func(n *auth.NewToken) { n.Scopes = nil }), "scopes"},
		"empty scopes": {with(func(n *auth.NewToken) { n.Scopes = []string{} }), "scopes"},
		"many scopes":  {with(func(n *auth.NewToken) { n.Scopes = slices.Repeat([]string{"*"}, 51) }), "scopes"},
		"over by now":  {with(func(n *auth.NewToken) { n.Expires = noon() }), "expires_at"},
	} {
		_, secret, err := w.CreateToken(w.ctx(), c.of)
		wantKind(t, name, err, gathering.KindInvalid)
		if f := gathering.FailureOf(err); secret != "" || f == nil || len(f.Fields) != 1 || f.Fields[0].Field != c.field {
			t.Errorf("%s: %q, %+v, want %s", name, secret, f, c.field)
		}
	}
	for scope, valid := range map[string]bool{
		"*": true, "runs.read": true, "runs.*": true, "*.read": true, "users.read": true, "users.*": true, "account.*": true, "*.write": true,
		"": false, " ": false, "runs": false, "runs.": false, ".read": false, "*.*": false, "**": false, "Runs.Read": false, "runs.read ": false,
		"runs.fly": false, "planes.*": false, "*.fly": false, "runs.read,runs.start": false, "runs.re*": false, "*.secure": false, "\x00": false,
		"users.write": false, "account.secure": false, // which no token may
	} {
		_, secret, err := w.CreateToken(w.ctx(), auth.NewToken{User: u.ID, Name: "x", Scopes: []string{"runs.read", scope}})
		if valid != (err == nil) || valid != (secret != "") {
			t.Errorf("%q: %v, want valid %v", scope, err, valid)
		}
		if f := gathering.FailureOf(err); f != nil && f.Fields[0].Field != "scopes[1]" {
			t.Errorf("%q: the field is %s", scope, f.Fields[0].Field)
		}
	}
	bob := w.user("bob@example.com", gathering.RoleViewer)
	for range 200 {
		w.token(bob, "*")
	}
	_, _, err := w.CreateToken(w.ctx(), auth.NewToken{User: bob.ID, Name: "x", Scopes: []string{"*"}})
	wantKind(t, "one too many", err, gathering.KindConflict)
}

// A token may what its user may, and no more than its scopes say.
func TestTokensAreTheirUsers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		w.user("admin@example.com", gathering.RoleAdmin)
		u := w.user("ann@example.com", gathering.RoleViewer)
		_, all := w.token(u, "*")
		_, runs := w.token(u, "runs.*")
		for _, role := range gathering.Roles() {
			w.update(u, auth.UserUpdate{Role: new(role)})
			session := gathering.Principal{User: u.ID, Session: "ses_1", Role: role}
			for _, right := range auth.Rights() {
				want := auth.Judge(&session, right.Action, "default")
				for secret, within := range map[string]bool{all: true, runs: strings.HasPrefix(string(right.Action), "runs.")} {
					want := want
					if want == auth.Allowed && (right.Session || !within) {
						want = auth.OutOfScope
					}
					if got := auth.Judge(w.principal(secret), right.Action, "default"); got != want {
						t.Errorf("%s of a %s: %v, want %v", right.Action, role, got, want)
					}
				}
			}
		}
		w.update(u, auth.UserUpdate{Active: new(false)})
		w.refused("of a disabled user", all)
		w.update(u, auth.UserUpdate{Active: new(true)})
		w.principal(all)
		w.must(w.SetPassword(w.ctx(), u.ID, another, ""))
		w.principal(all)
		w.must(w.DeleteUser(w.ctx(), u.ID, 0))
		w.refused("of a deleted user", all)
	})
}

// What has to be sent is told once, whatever is asked again.
func TestSecretsAreToldOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, keyring.New(noon()), noon)
		u := w.user("ann@example.com", gathering.RoleViewer)
		key, err := once.NewKey(once.Request{Who: "ann", Key: "k", What: "POST /tokens", Body: []byte("{}")}, noon())
		w.must(err)
		n := auth.NewToken{User: u.ID, Name: "x", Scopes: []string{"*"}}
		made, secret, err := w.CreateToken(once.With(w.ctx(), key), n)
		w.must(err)
		again, told, err := w.CreateToken(once.With(w.ctx(), key), n)
		wantKind(t, "again", err, gathering.KindConflict)
		if told != "" || again.ID != made.ID {
			t.Errorf("again: %q, %+v", told, again)
		}
		if got := w.number(`SELECT count(*) FROM api_tokens WHERE id <> ''`); got != 1 {
			t.Errorf("%d tokens were made", got)
		}
		w.principal(secret)
		g := w.signIn(u.Email)
		w.refresh(g.Refresh)
		w.answer(u.Email, another, home())
		for _, table := range []string{"users", "sessions", "api_tokens", "audit", "idempotency", "log", "signin_failures"} {
			rows := w.dump(table)
			if rows == "" {
				t.Errorf("there is nothing in %s", table)
			}
			for name, secret := range map[string]string{
				"the API token": secret, "the password": password, "the access token": g.Access, "the refresh token": g.Refresh,
				"the refresh token's MAC": g.Refresh[strings.LastIndexByte(g.Refresh, '.')+1:], "the API token without its prefix": secret[4:],
			} {
				if strings.Contains(rows, secret) {
					t.Errorf("%s is in %s", name, table)
				}
			}
		}
	})
}

// dump is what a table holds, as text.
func (w *world) dump(table string) string {
	w.t.Helper()
	var b strings.Builder
	query := map[string]string{
		"users":           `SELECT id || email || name || role || password FROM users`,
		"sessions":        `SELECT id || user_id || address || network || agent FROM sessions`,
		"api_tokens":      `SELECT id || user_id || name || hash || scopes FROM api_tokens`,
		"audit":           `SELECT actor || actor_name || credential || action || object || reason FROM audit`,
		"idempotency":     `SELECT result FROM idempotency`,
		"log":             `SELECT DISTINCT stream FROM noun_log`,
		"signin_failures": `SELECT key FROM signin_failures`,
	}[table]
	rows, err := w.db.Read().Query(w.t.Context(), query)
	w.must(err)
	w.must(rows.Each(func(row store.Scanner) error {
		var text []byte
		err := row.Scan(&text)
		if table == "idempotency" && err == nil {
			text, err = codec.Decode(text)
		}
		b.Write(append(text, '\n'))
		return err
	}))
	if table != "log" {
		return b.String()
	}
	var lines []string
	for stream := range strings.FieldsSeq(b.String()) {
		lines = append(lines, w.log(stream)...)
	}
	return strings.Join(lines, "\n")
}

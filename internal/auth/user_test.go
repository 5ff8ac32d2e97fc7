package auth_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/once"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		w := newWorld(t, db, keyring.New(noon()), c.Now)
		ann, err := w.CreateUser(w.ctx(), auth.NewUser{Email: " Ann@Example.COM\n", Role: gathering.RoleAdmin, Password: password})
		w.must(err)
		want := gathering.User{
			ID: ann.ID, Email: "ann@example.com", Name: "ann", Role: gathering.RoleAdmin, Active: true, Revision: 1, CreatedAt: noon(), UpdatedAt: noon(),
		}
		if diff := cmp.Diff(want, ann); diff != "" {
			t.Errorf("made (-want +got):\n%s", diff)
		}
		c.pass(time.Second)
		bob, err := w.CreateUser(w.ctx(), auth.NewUser{Email: "bob@example.com", Name: " Bob B. ", Role: gathering.RoleNone})
		w.must(err)
		_, err = w.SignIn(w.ctx(), bob.Email, "", home())
		wantKind(t, "who has no password", err, gathering.KindUnauthenticated)

		c.pass(time.Second)
		changed := w.update(bob, auth.UserUpdate{Name: new("Bobby"), Role: new(gathering.RoleEditor), Revision: 1})
		want = bob
		want.Name, want.Role, want.Revision, want.UpdatedAt = "Bobby", gathering.RoleEditor, 2, noon().Add(2*time.Second)
		if diff := cmp.Diff(want, changed); diff != "" {
			t.Errorf("changed (-want +got):\n%s", diff)
		}
		if got := w.update(bob, auth.UserUpdate{Name: new(" Bobby "), Active: new(true)}); got != changed {
			t.Errorf("a change of nothing makes %+v", got)
		}
		_, err = w.UpdateUser(w.ctx(), bob.ID, auth.UserUpdate{Name: new("X"), Revision: 1})
		wantKind(t, "a change of what was", err, gathering.KindConflict)
		if got := gathering.CodeOf(err); got != gathering.CodePrecondition {
			t.Errorf("its code is %q", got)
		}
		wantKind(t, "a deletion of what was", w.DeleteUser(w.ctx(), bob.ID, 1), gathering.KindConflict)

		for _, email := range []string{"bob@example.com", " BOB@EXAMPLE.COM", "\uff42ob@example.com"} {
			got, err := w.UserByEmail(t.Context(), email)
			if err != nil || got != changed {
				t.Errorf("%q is %+v, %v", email, got, err)
			}
		}
		got, err := w.Users(t.Context(), "", 10)
		if diff := cmp.Diff([]gathering.User{ann, changed}, got); diff != "" || err != nil {
			t.Errorf("all (-want +got):\n%s%v", diff, err)
		}
		got, err = w.Users(t.Context(), ann.ID, 10)
		if diff := cmp.Diff([]gathering.User{changed}, got); diff != "" || err != nil {
			t.Errorf("those after (-want +got):\n%s%v", diff, err)
		}
		if got, err = w.Users(t.Context(), "", 1); len(got) != 1 || err != nil {
			t.Errorf("one: %v, %v", got, err)
		}

		w.exec(`INSERT INTO members (project, user_id, roles, created_at, updated_at) VALUES ('default', $1, '["viewer"]', 0, 0)`, string(bob.ID))
		w.token(bob)
		w.must(w.SetPassword(w.ctx(), bob.ID, password, ""))
		w.signIn(bob.Email)
		w.must(w.DeleteUser(w.ctx(), bob.ID, 2))
		_, err = w.User(t.Context(), bob.ID)
		wantKind(t, "deleted", err, gathering.KindNotFound)
		for _, table := range []string{"members", "api_tokens", "sessions"} {
			if n := w.number(`SELECT count(*) FROM ` + table + ` WHERE user_id <> ''`); n != 0 {
				t.Errorf("%d %s are left", n, table)
			}
		}
		for name, err := range map[string]error{
			"delete": w.DeleteUser(w.ctx(), bob.ID, 0),
			"update": func() error { _, err := w.UpdateUser(w.ctx(), bob.ID, auth.UserUpdate{}); return err }(),
			"secret": w.SetPassword(w.ctx(), bob.ID, password, ""),
			"token": func() error {
				_, _, err := w.CreateToken(w.ctx(), auth.NewToken{User: bob.ID, Name: "x", Scopes: []string{"*"}})
				return err
			}(),
			"email": func() error { _, err := w.UserByEmail(t.Context(), bob.Email); return err }(),
			"none":  func() error { _, err := w.UserByEmail(t.Context(), "no address"); return err }(),
		} {
			wantKind(t, name, err, gathering.KindNotFound)
		}
		if _, err = w.CreateUser(w.ctx(), auth.NewUser{Email: bob.Email, Role: gathering.RoleViewer}); err != nil {
			t.Errorf("the address is not free again: %v", err)
		}
	})
}

func TestUsersThatCannotBe(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, keyring.New(noon()), noon)
		ann := w.user("ann@example.com", gathering.RoleAdmin)
		for name, c := range map[string]struct {
			of   auth.NewUser
			want gathering.Kind
		}{
			"no address":       {auth.NewUser{Role: gathering.RoleViewer}, gathering.KindInvalid},
			"no role":          {auth.NewUser{Email: "b@example.com"}, gathering.KindInvalid},
			"an unknown role":  {auth.NewUser{Email: "b@example.com", Role: "owner"}, gathering.KindInvalid},
			"a long name":      {auth.NewUser{Email: "b@example.com", Role: gathering.RoleViewer, Name: strings.Repeat("x", 201)}, gathering.KindInvalid},
			"lines":            {auth.NewUser{Email: "b@example.com", Role: gathering.RoleViewer, Name: "a\nb"}, gathering.KindInvalid},
			"NUL":              {auth.NewUser{Email: "b@example.com", Role: gathering.RoleViewer, Name: "a\x00b"}, gathering.KindInvalid},
			"no text":          {auth.NewUser{Email: "b@example.com", Role: gathering.RoleViewer, Name: "\xff"}, gathering.KindInvalid},
			"a weak password":  {auth.NewUser{Email: "b@example.com", Role: gathering.RoleViewer, Password: "password1234"}, gathering.KindInvalid},
			"the same address": {auth.NewUser{Email: "ANN@example.com", Role: gathering.RoleViewer}, gathering.KindConflict},
		} {
			_, err := w.CreateUser(w.ctx(), c.of)
			wantKind(t, name, err, c.want)
		}
		for name, c := range map[string]auth.UserUpdate{
			"no text": {Name: new("\xff")}, "lines": {Name: new("a\nb")}, "no role": {Role: new(gathering.Role(""))}, "unknown": {Role: new(gathering.Role("root"))},
		} {
			_, err := w.UpdateUser(w.ctx(), ann.ID, c)
			wantKind(t, "update: "+name, err, gathering.KindInvalid)
		}
		if n := w.number(`SELECT count(*) FROM users`); n != 1 {
			t.Errorf("there are %d users", n)
		}
	})
}

// addresses are e-mail addresses as they are given, and as they are known; ""
// is none.
func addresses() map[string]string {
	return map[string]string{
		"ann@example.com":                      "ann@example.com",
		"  Ann@EXAMPLE.com\t\r\n":              "ann@example.com",
		"\u2003ann@example.com\u00a0":          "ann@example.com",
		"\uff41nn\uff20example.com":            "ann@example.com", // wide letters
		"\u212aate@example.com":                "kate@example.com",
		"a\u0308nn@example.com":                "änn@example.com",
		"ÄNN@example.com":                      "änn@example.com",
		"\u03aa\u0301ris@example.com":          "\u0390ris@example.com",
		"ann@BÜCHER.example":                   "ann@bücher.example",
		"ann+tag@example.com":                  "ann+tag@example.com", // another one, perhaps somebody else's
		"o'neil@example.com":                   "o'neil@example.com",
		"root@localhost":                       "root@localhost",
		"":                                     "",
		" ":                                    "",
		"ann":                                  "",
		"@example.com":                         "",
		"ann@":                                 "",
		"ann@example.com.":                     "",
		"ann@@example.com":                     "",
		"a..b@example.com":                     "",
		"ann smith@example.com":                "",
		"ann@exam ple.com":                     "",
		`"ann"@example.com`:                    "",
		`"ann smith"@example.com`:              "",
		"<ann@example.com>":                    "",
		"Ann <ann@example.com>":                "",
		"ann@example.com (Ann)":                "",
		"ann@example.com, bob@example.com":     "",
		"ann@example.com\x00":                  "",
		"an\x00n@example.com":                  "",
		"an\nn@example.com":                    "",
		"an\xffn@example.com":                  "",
		"ann@example.com\xff":                  "",
		"ann\u200b@example.com":                "", // what cannot be seen
		"ann\u202e@example.com":                "",
		"\ufeffann@example.com":                "",
		"ann@exam\u00adple.com":                "",
		strings.Repeat("x", 242) + "@ex.com":   strings.Repeat("x", 242) + "@ex.com",
		strings.Repeat("x", 248) + "@ex.com":   "",
		strings.Repeat("x", 1<<20) + "@ex.com": "",
		strings.Repeat("\ufdfa", 80) + "@ex.c": "", // long once it is normal
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), keyring.New(noon()), noon)
	for given, want := range addresses() {
		u, err := w.CreateUser(w.ctx(), auth.NewUser{Email: given, Name: "x", Role: gathering.RoleViewer})
		if u.Email != want {
			t.Errorf("%.60q is %.60q, want %.60q", given, u.Email, want)
		}
		if want == "" {
			wantKind(t, fmt.Sprintf("%.60q", given), err, gathering.KindInvalid)
			if len(given) > 12 && strings.Contains(fmt.Sprint(err), given) {
				t.Errorf("the error repeats what was given: %v", err)
			}
			continue
		}
		if err == nil {
			err = w.DeleteUser(w.ctx(), u.ID, 0)
		}
		if err != nil {
			t.Errorf("%.60q: %v", given, err)
		}
	}
}

// FuzzAddresses holds that an address is known by one form, which a database
// stores and a person can read.
func FuzzAddresses(f *testing.F) {
	for given := range addresses() {
		f.Add(given)
	}
	w := newWorld(f, storetest.Open(f, storetest.SQLite(f)), keyring.New(noon()), noon)
	f.Fuzz(func(t *testing.T, given string) {
		u, err := w.CreateUser(t.Context(), auth.NewUser{Email: given, Name: "x", Role: gathering.RoleViewer})
		if kind := gathering.KindOf(err); kind == gathering.KindInvalid {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(u.Email) || len(u.Email) > 254 || strings.ContainsFunc(u.Email, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
			t.Errorf("%q is known as %q", given, u.Email)
		}
		for _, again := range []string{given, u.Email, " " + u.Email + " "} {
			if got, err := w.UserByEmail(t.Context(), again); err != nil || got.ID != u.ID {
				t.Errorf("%q, made of %q, is %v, %v", again, given, got, err)
			}
		}
		if err := w.DeleteUser(t.Context(), u.ID, 0); err != nil {
			t.Error(err)
		}
	})
}

// Whatever is changed, somebody can administer.
func TestLastAdministrator(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, keyring.New(noon()), noon)
		there := func(want bool) {
			t.Helper()
			if got, err := w.Administrators(t.Context()); got != want || err != nil {
				t.Errorf("there is an administrator: %v, %v, want %v", got, err, want)
			}
		}
		there(false)
		ann := w.user("ann@example.com", gathering.RoleAdmin)
		_, err := w.CreateUser(w.ctx(), auth.NewUser{Email: "mute@example.com", Role: gathering.RoleAdmin}) // cannot sign in
		w.must(err)
		out := w.user("out@example.com", gathering.RoleAdmin)
		w.update(out, auth.UserUpdate{Active: new(false)})
		w.user("vic@example.com", gathering.RoleViewer)
		refuse := func() {
			t.Helper()
			for name, c := range map[string]auth.UserUpdate{
				"demote": {Role: new(gathering.RoleOperator)}, "disable": {Active: new(false)}, "both": {Role: new(gathering.RoleNone), Active: new(false)},
			} {
				_, err := w.UpdateUser(w.ctx(), ann.ID, c)
				wantKind(t, name, err, gathering.KindConflict)
			}
			wantKind(t, "delete", w.DeleteUser(w.ctx(), ann.ID, 0), gathering.KindConflict)
			there(true)
		}
		refuse()
		w.update(ann, auth.UserUpdate{Name: new("Ann"), Role: new(gathering.RoleAdmin), Active: new(true)})
		w.update(out, auth.UserUpdate{Active: new(true)})
		w.must(w.DeleteUser(w.ctx(), out.ID, 0)) // one of two
		refuse()
		bob := w.user("bob@example.com", gathering.RoleAdmin)
		w.update(ann, auth.UserUpdate{Role: new(gathering.RoleViewer)})
		w.update(ann, auth.UserUpdate{Role: new(gathering.RoleAdmin)})
		w.must(w.DeleteUser(w.ctx(), bob.ID, 0))
		refuse()
	})
}

// Two administrators who put each other out at once: one of them stays.
func TestAdministratorsAgainstEachOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, keyring.New(noon()), noon)
		out := []func(u gathering.User) error{
			func(u gathering.User) error {
				_, err := w.UpdateUser(w.ctx(), u.ID, auth.UserUpdate{Role: new(gathering.RoleViewer)})
				return err
			},
			func(u gathering.User) error {
				_, err := w.UpdateUser(w.ctx(), u.ID, auth.UserUpdate{Active: new(false)})
				return err
			},
			func(u gathering.User) error { return w.DeleteUser(w.ctx(), u.ID, 0) },
		}
		for round := range 12 {
			ann := w.user(fmt.Sprintf("ann%d@example.com", round), gathering.RoleAdmin)
			bob := w.user(fmt.Sprintf("bob%d@example.com", round), gathering.RoleAdmin)
			var both sync.WaitGroup
			var errs [2]error
			both.Go(func() { errs[0] = out[round%3](ann) })
			both.Go(func() { errs[1] = out[round/3%3](bob) })
			both.Wait()
			kinds := []gathering.Kind{gathering.KindOf(errs[0]), gathering.KindOf(errs[1])}
			if !slices.Contains(kinds, "") || !slices.Contains(kinds, gathering.KindConflict) {
				t.Errorf("round %d: %v", round, errs)
			}
			if there, err := w.Administrators(t.Context()); !there || err != nil {
				t.Fatalf("round %d: nobody can administer any more: %v", round, err)
			}
			w.exec(`UPDATE users SET role = 'viewer' WHERE role = 'admin'`)
		}
	})
}

func TestSetUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring := keyring.New(noon())
		w := newWorld(t, db, ring, noon)
		w.user("vic@example.com", gathering.RoleViewer)
		const many = 8
		errs := make([]error, many)
		var all sync.WaitGroup
		for i := range many {
			other := newWorld(t, db, ring, noon)
			all.Go(func() {
				_, errs[i] = other.SetUp(other.ctx(), auth.NewUser{Email: fmt.Sprintf("ann%d@example.com", i), Role: gathering.RoleViewer, Password: password})
			})
		}
		all.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
				continue
			}
			wantKind(t, "second", err, gathering.KindConflict)
		}
		if n := w.number(`SELECT count(*) FROM users WHERE role = 'admin'`); made != 1 || n != 1 {
			t.Errorf("%d were made and there are %d, want 1", made, n)
		}
		if n := w.number(`SELECT count(*) FROM audit WHERE action = 'user.created' AND reason = 'role admin'`); n != 1 {
			t.Errorf("%d entries tell of it", n)
		}
	})
}

func TestSetupCode(t *testing.T) {
	t.Parallel()
	ring := keyring.New(noon())
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), ring, noon)
	code := w.SetupCode()
	if len(code) < 32 || newWorld(t, w.db, ring, noon).SetupCode() != code {
		t.Errorf("the code is %q", code)
	}
	other := newWorld(t, storetest.Open(t, storetest.SQLite(t)), ring, noon)
	strange := newWorld(t, w.db, keyring.New(noon()), noon)
	if !w.CheckSetupCode(code) {
		t.Error("the code is refused")
	}
	for _, wrong := range []string{"", code[1:], code + "00", code[:len(code)-2], strings.Repeat("0", len(code)), other.SetupCode(), strange.SetupCode()} {
		if w.CheckSetupCode(wrong) {
			t.Errorf("%q passes", wrong)
		}
	}
}

// A request that is repeated under its key makes one user.
func TestUsersOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, keyring.New(noon()), noon)
		key, err := once.NewKey(once.Request{Who: "ann", Key: "k", What: "POST /users", Body: []byte("{}")}, noon())
		w.must(err)
		n := auth.NewUser{Email: "bob@example.com", Role: gathering.RoleViewer, Password: password}
		first, err := w.CreateUser(once.With(w.ctx(), key), n)
		w.must(err)
		again, err := w.CreateUser(once.With(w.ctx(), key), n)
		if diff := cmp.Diff(first, again); diff != "" || err != nil {
			t.Errorf("again (-first +again):\n%s%v", diff, err)
		}
		if got := len(w.entries()); got != 1 {
			t.Errorf("%d entries tell of it", got)
		}
		if n := w.number(`SELECT count(*) FROM idempotency WHERE key <> ''`); n != 1 {
			t.Errorf("%d keys are stored", n)
		}
	})
}

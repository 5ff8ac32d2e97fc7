package auth_test

import (
	"testing"
	"time"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// databases are where benchmarks run.
func databases() map[string]func(testing.TB) store.Options {
	return map[string]func(testing.TB) store.Options{"sqlite": storetest.SQLite, "postgresql": storetest.PostgreSQL}
}

// BenchmarkAuthenticate finds out who asks, by a session or by a token, that is
// known or has to be looked up.
func BenchmarkAuthenticate(b *testing.B) {
	for name, fresh := range databases() {
		c := newClock()
		w := newWorld(b, storetest.Open(b, fresh(b)), keyring.New(noon()), c.Now)
		u := w.user("ann@example.com", gathering.RoleViewer)
		w.exec(`INSERT INTO members (project, user_id, roles, created_at, updated_at) VALUES ('default', $1, '["viewer","editor"]', 0, 0)`, string(u.ID))
		_, secret := w.token(u)
		for by, token := range map[string]string{"session": w.signIn(u.Email).Access, "token": secret} {
			for how, forget := range map[string]func(){"cached": func() {}, "uncached": w.Forget} {
				b.Run(name+"/"+by+"/"+how, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						forget()
						if _, err := w.Authenticate(b.Context(), token); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkSignIn signs in at the default cost.
func BenchmarkSignIn(b *testing.B) {
	w := newCostly(b, storetest.Open(b, storetest.SQLite(b)), keyring.New(noon()), auth.Options{Now: time.Now})
	u := w.user("ann@example.com", gathering.RoleViewer)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.SignIn(w.ctx(), u.Email, password, home()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefresh goes on with a session.
func BenchmarkRefresh(b *testing.B) {
	for name, fresh := range databases() {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, storetest.Open(b, fresh(b)), keyring.New(noon()), noon)
			g := w.signIn(w.user("ann@example.com", gathering.RoleViewer).Email)
			for b.Loop() {
				g = w.refresh(g.Refresh)
			}
		})
	}
}

// BenchmarkRating rates a password that has more patterns in it than most.
func BenchmarkRating(b *testing.B) {
	w := newWorld(b, storetest.Open(b, storetest.SQLite(b)), keyring.New(noon()), noon)
	for b.Loop() {
		_, err := w.CreateUser(b.Context(), auth.NewUser{Email: "ann@example.com", Role: gathering.RoleViewer, Password: "p@$$w0rdp@$$w0rd4@8({[<6931!|17$5+%2p@$$w0rd"})
		if kind := gathering.KindOf(err); kind != gathering.KindInvalid && kind != gathering.KindConflict && kind != "" {
			b.Fatal(err)
		}
	}
}

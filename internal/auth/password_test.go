package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestPasswordsThatCanBeUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), keyring.New(noon()), noon)
	u, err := w.CreateUser(w.ctx(), auth.NewUser{Email: "xandrovik@zubrowka-labs.example", Name: "Quelthorn Pimpernel", Role: gathering.RoleViewer})
	w.must(err)
	const (
		short = "must have at least 12 characters"
		long  = "must have at most 256 bytes"
		easy  = "is too easy to guess: use a few words that do not belong together"
	)
	for i, c := range []struct{ password, want string }{
		{"", short},
		{"kJ3$xQ9!wZ7", short},
		{"kJ3$xQ9!wZ7#", ""},
		{"äöüßéèêñçøå", short}, // 11 characters, 22 bytes
		{"äöüßéèêñçøåæ", ""},
		{"e\u0301o\u0301a\u0301u\u0301i\u0301c\u0301", short}, // six letters
		{strings.Repeat("zebra lamp orbit ", 15) + "!", ""},
		{strings.Repeat("zebra lamp orbit ", 15) + "!!", long},
		{strings.Repeat("x", 1<<20), long},
		{"zebra lamp \xff orbit", "must be text in UTF-8"},
		{"zebra\x00lamp\norbit", ""},
		{"123456789012", easy},
		{"password1234", easy},
		{"Password123!", easy},
		{"P@ssw0rd1234", easy},
		{"qwertyuiop12", easy},
		{"iloveyou1234", easy},
		{"aaaaaaaaaaaa", easy},
		{strings.Repeat("a", 256), easy},
		{"abcdefghijkl", easy},
		{"administrator", easy},
		{"1qaz2wsx3edc", easy},
		{"passwordpassword", easy},
		{"ｐａｓｓｗｏｒｄ１２３４", easy}, // wide letters
		{"𝓹𝓪𝓼𝓼𝔀𝓸𝓻𝓭𝟙𝟚𝟛𝟜", easy},
		{"xandrovik@zubrowka-labs.example", easy},
		{"xandrovik2024", easy},
		{"Quelthorn2024", easy},
		{"zubrowka-labs", easy},
		{"pimpernelquelthorn", easy},
		{"quelthorn pimpernel", easy},
		{"correct horse battery staple", ""},
		{password, ""},
	} {
		err := w.SetPassword(w.ctx(), u.ID, c.password, "")
		got := ""
		if f := gathering.FailureOf(err); f != nil {
			wantKind(t, c.password, err, gathering.KindInvalid)
			if len(f.Fields) == 1 && f.Fields[0].Field == "password" {
				got = f.Fields[0].Problem
			}
			if c.password != "" && strings.Contains(err.Error(), c.password) {
				t.Errorf("the error repeats the password: %v", err)
			}
		}
		if got != c.want {
			t.Errorf("%.40q: got %q, want %q", c.password, got, c.want)
		}
		_, err = w.SignIn(w.ctx(), u.Email, c.password, from(fmt.Sprint(i)))
		if gathering.KindOf(err) != map[bool]gathering.Kind{true: "", false: gathering.KindUnauthenticated}[c.want == ""] {
			t.Errorf("signing in with %.40q: %v", c.password, err)
		}
	}
}

// The same text has several forms, of which keyboards send now one and now another.
func TestPasswordsInOtherForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), keyring.New(noon()), noon)
	const composed, apart, wide = "Äpfel sägen Übermut 7", "A\u0308pfel sa\u0308gen U\u0308bermut 7", "Ä\uff50\uff46el sägen Übermut \uff17"
	_, err := w.CreateUser(w.ctx(), auth.NewUser{Email: "ann@example.com", Role: gathering.RoleViewer, Password: apart})
	w.must(err)
	for _, p := range []string{composed, apart, wide} {
		if _, err := w.SignIn(w.ctx(), "ann@example.com", p, home()); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"äpfel sägen übermut 7", "Apfel sagen Ubermut 7", composed + " ", " " + composed, composed + "\x00", composed[:len(composed)-1]} {
		_, err := w.SignIn(w.ctx(), "ann@example.com", p, from(p))
		wantKind(t, p, err, gathering.KindUnauthenticated)
	}
}

func TestDefaultCost(t *testing.T) {
	t.Parallel()
	w := newCostly(t, storetest.Open(t, storetest.SQLite(t)), keyring.New(noon()), auth.Options{Now: noon})
	w.user("ann@example.com", gathering.RoleViewer)
	got := w.text(`SELECT password FROM users`)
	if want := "$argon2id$v=19$m=65536,t=3,p=4$"; !strings.HasPrefix(got, want) {
		t.Errorf("stored as %q, want %s…", got, want)
	}
	if strings.Contains(got, password) {
		t.Error("the password itself is stored")
	}
	w.signIn("ann@example.com")
	if now := w.text(`SELECT password FROM users`); now != got {
		t.Error("it was stored anew at the same cost")
	}
}

// A password that was stored at another cost is stored anew when it is used,
// by whoever knows it alone.
func TestCostChanges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring := keyring.New(noon())
		newWorld(t, db, ring, noon).user("ann@example.com", gathering.RoleViewer)
		w := newCostly(t, db, ring, auth.Options{Now: noon, Cost: auth.Cost{Memory: 128, Iterations: 2, Parallelism: 2}})
		first := w.text(`SELECT password FROM users`)
		_, err := w.SignIn(w.ctx(), "ann@example.com", another, home())
		wantKind(t, "a wrong password", err, gathering.KindUnauthenticated)
		if got := w.text(`SELECT password FROM users`); got != first {
			t.Errorf("a wrong password stored %q", got)
		}
		w.signIn("ann@example.com")
		second := w.text(`SELECT password FROM users`)
		if !strings.HasPrefix(second, "$argon2id$v=19$m=128,t=2,p=2$") {
			t.Errorf("stored as %q", second)
		}
		w.signIn("ann@example.com")
		if got := w.text(`SELECT password FROM users`); got != second {
			t.Error("it was stored anew once more")
		}
		if got := w.text(`SELECT email FROM users WHERE revision = 1`); got != "ann@example.com" {
			t.Error("that counts as a change")
		}
	})
}

// Checking passwords takes memory on purpose: however many sign in at once, few
// are looked at, few wait, and the rest are told to come again.
func TestManySignInAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		open := make(chan struct{})
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			if a.Kind == store.Writing { // a failure is counted before the next one's turn
				<-open
			}
			return a.Do()
		})
		ring := keyring.New(noon())
		newWorld(t, db, ring, time.Now).user("ann@example.com", gathering.RoleViewer)
		w := newWorld(t, through, ring, time.Now)
		const many = 200
		errs := make(chan error, many)
		for i := range many {
			go func() {
				_, err := w.SignIn(t.Context(), "ann@example.com", another, from(string(rune('a'+i))))
				errs <- err
			}()
		}
		synctest.Wait()
		if got, want := len(errs), many-64; got != want {
			t.Errorf("%d were sent away at once, want %d", got, want)
		}
		for range len(errs) {
			err := <-errs
			wantKind(t, "one too many", err, gathering.KindUnavailable)
			if got := gathering.RetryAfter(err); got != time.Second {
				t.Errorf("told to come again in %s", got)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.SignIn(ctx, "ann@example.com", another, home())
		if gathering.KindOf(err) != gathering.KindUnavailable {
			t.Errorf("the queue is not full: %v", err)
		}
		close(open)
		for range 64 {
			if kind := gathering.KindOf(<-errs); kind != gathering.KindUnauthenticated && kind != gathering.KindExhausted {
				t.Errorf("one that waited got %s", kind)
			}
		}
		if _, err := w.SignIn(t.Context(), "ann@example.com", password, from("late")); gathering.KindOf(err) != gathering.KindExhausted {
			t.Errorf("after so many failures: %v", err)
		}
		<-time.After(time.Minute)
		w.signIn("ann@example.com")
	})
}

// Who hangs up while they wait leaves the queue.
func TestHangingUpInTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		open := make(chan struct{})
		var held atomic.Bool
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			if a.Kind == store.Writing && held.Load() {
				<-open
			}
			return a.Do()
		})
		ring := keyring.New(noon())
		w := newWorld(t, through, ring, time.Now)
		errs := make(chan error, 100)
		try := func(ctx context.Context, i int) {
			_, err := w.SignIn(ctx, "ann@example.com", another, from(string(rune('a'+i))))
			errs <- err
		}
		for range 5 {
			w.answer("locked@example.com", another, home())
		}
		held.Store(true)
		go try(t.Context(), 0)
		go try(t.Context(), 1)
		synctest.Wait() // both are looked at
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 62 {
			go try(ctx, 2+i)
		}
		synctest.Wait()
		cancel()
		for range 62 {
			wantKind(t, "who hung up", <-errs, gathering.KindCancelled)
		}
		for i := range 62 {
			go try(t.Context(), 2+i)
		}
		synctest.Wait()
		if len(errs) > 0 {
			t.Errorf("there is no place in the queue: %v", <-errs)
		}
		_, err := w.SignIn(t.Context(), "locked@example.com", another, home())
		wantKind(t, "who has to wait, and takes nobody's place", err, gathering.KindExhausted)
		close(open)
		for range 64 {
			<-errs
		}
	})
}

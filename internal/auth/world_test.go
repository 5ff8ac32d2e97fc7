package auth_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: noon()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// cheap is a cost at which checking a password takes no time to speak of.
func cheap() auth.Cost { return auth.Cost{Memory: 64, Iterations: 1, Parallelism: 1} }

// The passwords of the tests are good ones.
const (
	password = "brass kettle umbrella nine"
	another  = "violet tractor sings badly"
)

// world is an instance of the service on a database.
type world struct {
	*auth.Service

	t  testing.TB
	db *store.DB
}

func newWorld(tb testing.TB, db *store.DB, ring *keyring.Ring, now func() time.Time) *world {
	tb.Helper()
	return newCostly(tb, db, ring, auth.Options{Now: now, Cost: cheap()})
}

func newCostly(tb testing.TB, db *store.DB, ring *keyring.Ring, o auth.Options) *world {
	tb.Helper()
	repeats := &audit.Repeats{DB: db, Now: o.Now, Logger: slog.New(slog.DiscardHandler)}
	o.DB, o.Ring, o.Repeats = db, ring, repeats
	s, err := auth.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return &world{s, tb, db}
}

// ctx is that of a request of somebody who is not known yet.
func (w *world) ctx() context.Context {
	return audit.WithCaller(w.t.Context(), audit.Caller{Address: "192.0.2.1", Agent: "curl/8", Request: "req_1"})
}

// as is that of a request of a principal.
func (w *world) as(p *gathering.Principal) context.Context {
	c, _ := audit.CallerOf(w.ctx())
	c.Actor, c.Name, c.Credential = string(p.User), p.Email, string(p.Session)+string(p.Token)
	return audit.WithCaller(w.t.Context(), c)
}

func home() auth.Where {
	return auth.Where{Address: "192.0.2.1", Network: "192.0.2.1", Agent: "curl/8"}
}

// from is another network.
func from(network string) auth.Where { return auth.Where{Address: network, Network: network} }

// user makes somebody who has the password.
func (w *world) user(email string, role gathering.Role) gathering.User {
	w.t.Helper()
	u, err := w.CreateUser(w.ctx(), auth.NewUser{Email: email, Role: role, Password: password})
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// signIn signs somebody in who has the password.
func (w *world) signIn(email string) auth.Grant {
	w.t.Helper()
	g, err := w.SignIn(w.ctx(), email, password, home())
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (w *world) refresh(token string) auth.Grant {
	w.t.Helper()
	g, err := w.Refresh(w.ctx(), token)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (w *world) principal(token string) *gathering.Principal {
	w.t.Helper()
	p, err := w.Authenticate(w.t.Context(), token)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// token makes an API token that may do anything.
func (w *world) token(u gathering.User, scopes ...string) (gathering.Token, string) {
	w.t.Helper()
	if scopes == nil {
		scopes = []string{"*"}
	}
	t, secret, err := w.CreateToken(w.ctx(), auth.NewToken{User: u.ID, Name: "tests", Scopes: scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	return t, secret
}

// refused holds that a token is good for nothing.
func (w *world) refused(what, token string) {
	w.t.Helper()
	p, err := w.Authenticate(w.t.Context(), token)
	wantKind(w.t, what, err, gathering.KindUnauthenticated)
	if p != nil {
		w.t.Errorf("%s: %+v is let in", what, p)
	}
}

// over holds that no token of a grant is good any more.
func (w *world) over(what string, g auth.Grant) {
	w.t.Helper()
	w.refused(what, g.Access)
	got, err := w.Refresh(w.ctx(), g.Refresh)
	wantKind(w.t, what+": refresh", err, gathering.KindUnauthenticated)
	if diff := cmp.Diff(auth.Grant{}, got); diff != "" {
		w.t.Errorf("%s: a refresh gives %s", what, diff)
	}
}

func (w *world) update(u gathering.User, c auth.UserUpdate) gathering.User {
	w.t.Helper()
	u, err := w.UpdateUser(w.ctx(), u.ID, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	w.must(w.db.Tx(w.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(w.t.Context(), query, args...)
		return err
	}))
}

func (w *world) number(query string, args ...any) (n int) {
	w.t.Helper()
	w.must(w.db.Read().QueryRow(w.t.Context(), query, args...).Scan(&n))
	return n
}

func (w *world) text(query string, args ...any) (text string) {
	w.t.Helper()
	w.must(w.db.Read().QueryRow(w.t.Context(), query, args...).Scan(&text))
	return text
}

// entries are those of the audit trail, the oldest first.
func (w *world) entries() []gathering.AuditEntry {
	w.t.Helper()
	entries, err := audit.Entries(w.t.Context(), w.db.Read(), gathering.AuditFilter{Limit: 500})
	w.must(err)
	for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
		entries[i], entries[j] = entries[j], entries[i]
	}
	return entries
}

func wantKind(tb testing.TB, what string, err error, want gathering.Kind) {
	tb.Helper()
	if got := gathering.KindOf(err); got != want {
		tb.Errorf("%s: got %q (%v), want %q", what, got, err, want)
	}
}

// away is what a database is that cannot be reached.
func away() error { return gathering.NewError(gathering.KindUnavailable, "the database is away") }

// safeBuffer is a log that many write.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

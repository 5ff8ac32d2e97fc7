// Package storetest gives tests real databases: a fresh SQLite directory or a
// schema of its own in PostgreSQL for each test, and the suite that both must pass.
package storetest

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"gathering/internal/store"
)

// Each runs fn on a fresh database of either kind, as parallel subtests.
func Each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		t.Helper()
		fn(t, open(store.Options{}))
	})
}

// EachOptions is [Each] for tests that open their database themselves, as often
// as they like: every call of open opens the same one, with Dir or URL filled in.
// What is still open at the end of the test is closed.
func EachOptions(t *testing.T, fn func(t *testing.T, open func(store.Options) *store.DB)) {
	t.Helper()
	for name, fresh := range map[string]func(testing.TB) store.Options{"sqlite": SQLite, "postgresql": PostgreSQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := fresh(t)
			fn(t, func(o store.Options) *store.DB {
				t.Helper()
				o.Dir, o.URL = where.Dir, where.URL
				return Open(t, o)
			})
		})
	}
}

// Open opens a database for as long as the test runs.
func Open(tb testing.TB, o store.Options) *store.DB {
	tb.Helper()
	db, err := store.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close the database: %v", err)
		}
	})
	return db
}

// SQLite names a fresh SQLite database.
func SQLite(tb testing.TB) store.Options {
	tb.Helper()
	return store.Options{Dir: tb.TempDir()}
}

// PostgreSQL names a fresh schema in PostgreSQL, which is dropped after the
// test. A machine without a server fails the test.
func PostgreSQL(tb testing.TB) store.Options {
	tb.Helper()
	url, drop, err := newSchema(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := drop(context.Background()); err != nil {
			tb.Errorf("drop the test's schema: %v", err)
		}
	})
	return store.Options{URL: url}
}

// Main is the TestMain of packages that use a database: it stops the
// PostgreSQL server, if the tests started one, and fails when goroutines are left.
func Main(m *testing.M) {
	goleak.VerifyTestMain(stopping{m})
}

// stopping stops the server after the tests and before goroutines are counted.
type stopping struct{ m *testing.M }

func (s stopping) Run() int {
	defer stopServer()
	return s.m.Run()
}

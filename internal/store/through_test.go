package store_test

import (
	"context"
	"errors"
	"testing"

	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

var errGate = errors.New("the gate is shut")

// meta is the value of a key in the table meta, "" where there is none.
func meta(t *testing.T, db *store.DB, key string) string {
	t.Helper()
	var value string
	if err := db.Read().QueryRow(t.Context(), `SELECT coalesce(max(value), '') FROM meta WHERE key = $1`, key).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func putMeta(ctx context.Context, db *store.DB, key, value string) error {
	return db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO meta (key, value) VALUES ($1, $2)`, key, value)
		return err
	})
}

func TestThroughAGate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		tests := []struct {
			name      string
			gate      store.Gate
			written   string
			ambiguous bool
			failed    bool
		}{
			{"open", func(_ context.Context, a store.Access) error { return a.Do() }, "v", false, false},
			{"shut", func(context.Context, store.Access) error { return errGate }, "", false, true},
			{"shut behind", func(_ context.Context, a store.Access) error { return errors.Join(a.Do(), errGate) }, "v", true, true},
		}
		for _, test := range tests {
			through, _ := db.Through(func(ctx context.Context, a store.Access) error {
				if a.Kind != store.Writing {
					return a.Do()
				}
				return test.gate(ctx, a)
			})
			for _, form := range []string{"tx", "batch"} {
				key := test.name + " " + form
				var b store.Batch
				b.Exec(`INSERT INTO meta (key, value) VALUES ($1, $2)`, key, "v")
				err := through.Run
				if form == "tx" {
					err = func(ctx context.Context, _ *store.Batch) error { return putMeta(ctx, through, key, "v") }
				}
				got := err(t.Context(), &b)
				if (got != nil) != test.failed || store.Ambiguous(got) != test.ambiguous {
					t.Errorf("%s: got the error %v, want one: %t, ambiguous: %t", key, got, test.failed, test.ambiguous)
				}
				if written := meta(t, through, key); written != test.written {
					t.Errorf("%s: got %q written, want %q", key, written, test.written)
				}
			}
		}
	})
}

// What is late is carried out without those who waited for it.
func TestThroughAGateLate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var late func() error
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			late = a.Straggle
			return &store.AmbiguousError{Err: errGate}
		})
		var b store.Batch
		heard := 0
		b.Query(`INSERT INTO meta (key, value) VALUES ($1, $2) RETURNING key`, func(store.Scanner) error { heard++; return nil }, "late", "v")
		ctx, cancel := context.WithCancel(t.Context())
		if err := through.Run(ctx, &b); !store.Ambiguous(err) {
			t.Errorf("got %v, want an ambiguous error", err)
		}
		cancel()
		if got := meta(t, db, "late"); got != "" {
			t.Errorf("got %q before it was late", got)
		}
		if err := late(); err != nil {
			t.Fatal(err)
		}
		if got := meta(t, db, "late"); got != "v" || heard != 0 {
			t.Errorf("got %q, heard %d times, want it written and nobody told", got, heard)
		}
	})
}

func TestKeysThroughAGate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		shut := false
		var keys []string
		through, cut := db.Through(func(_ context.Context, a store.Access) error {
			if a.Key != "" {
				keys = append(keys, a.Key)
			}
			if shut {
				return errGate
			}
			return a.Do()
		})
		alive := func(want bool, when string) {
			t.Helper()
			if got, err := db.Alive(t.Context(), "k"); err != nil || got != want {
				t.Errorf("%s: got alive %t, %v, want %t", when, got, err, want)
			}
		}
		l, err := through.HoldLiveness(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		alive(true, "held")
		cut()
		alive(false, "cut")
		shut = true
		if _, err := l.Beat(t.Context(), `UPDATE meta SET value = value`); !errors.Is(err, errGate) {
			t.Errorf("got %v, want %v", err, errGate)
		}
		alive(false, "shut")
		shut = false
		if n, err := l.Beat(t.Context(), `UPDATE meta SET value = value`); err != nil || n != 1 {
			t.Errorf("got %d rows, %v, want 1", n, err)
		}
		alive(true, "beaten")
		if err := through.Close(); err != nil {
			t.Error(err)
		}
		alive(false, "closed")
		for _, key := range keys {
			if key != "k" {
				t.Errorf("got the key %q, want k", key)
			}
		}
		other, err := db.HoldLiveness(t.Context(), "other") // it is open still
		if err == nil {
			err = other.Close(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
		if db.Exclusive() != (db.Dialect().Database == store.SQLite) || through.Exclusive() {
			t.Error("a database that is seen through a gate is nobody's alone")
		}
	})
}

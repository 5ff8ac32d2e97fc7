package keyring_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestAgree(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring := parse(t, "k1:"+secret(1))
		rotated := parse(t, "k1:"+secret(1)+",k2:"+secret(2))
		for _, step := range []struct {
			name  string
			ring  *keyring.Ring
			fails string // the key that the error names
		}{
			{"a fresh database", ring, ""},
			{"the same ring", ring, ""},
			{"a lost ring", parse(t, "k9:"+secret(9)), "k1"},
			{"another key under the same ID", parse(t, "k1:"+secret(9)), "k1"},
			{"the lost ring with the right one behind it", parse(t, "k9:"+secret(9)+",k1:"+secret(1)), ""},
			{"a rotated ring", rotated, ""},
			{"the rotated ring again", rotated, ""},
			{"the ring before the rotation", ring, "k2"},
			{"only the last key", parse(t, "k2:"+secret(2)), "k1"},
		} {
			err := step.ring.Agree(t.Context(), db)
			if step.fails == "" {
				if err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				continue
			}
			kind(t, err, gathering.KindConflict)
			if err == nil || !strings.Contains(err.Error(), "key "+step.fails) {
				t.Fatalf("%s: got %v, want it to name key %s", step.name, err, step.fails)
			}
		}
		rows, err := db.Read().Query(t.Context(), `SELECT key, value FROM meta WHERE key LIKE 'key%' ORDER BY key`)
		if err != nil {
			t.Fatal(err)
		}
		var noted []string
		if err := rows.Each(func(row store.Scanner) error {
			var name, value string
			err := row.Scan(&name, &value)
			if noted = append(noted, name); len(value) != 64 {
				t.Errorf("the database holds %q of %s, want a hash", value, name)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"key:k1", "key:k2"}, noted); diff != "" {
			t.Errorf("noted keys (-want +got):\n%s", diff)
		}
	})
}

// Of two instances with a ring each, of which neither sees what the other has
// not committed yet, one has the database.
func TestAgreeMeanwhile(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		var (
			db      *store.DB
			once    sync.Once
			between = func() {}
		)
		db = open(store.Options{Commit: func(_ context.Context, commit func() error) error {
			between()
			return commit()
		}})
		second := make(chan error, 1)
		between = func() {
			once.Do(func() {
				go func() { second <- keyring.New(noon()).Agree(t.Context(), db) }()
				select {
				case err := <-second:
					second <- err
				case <-time.After(200 * time.Millisecond): // it waits, as it should
				}
			})
		}
		ring := keyring.New(noon())
		if err := ring.Agree(t.Context(), db); err != nil {
			t.Errorf("the first: %v", err)
		}
		kind(t, <-second, gathering.KindConflict)
		if err := ring.Agree(t.Context(), db); err != nil {
			t.Errorf("the first does not agree any more: %v", err)
		}
	})
}

func TestAgreeAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ring := keyring.New(noon())
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := ring.Agree(t.Context(), db); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func TestAgreeWithoutADatabase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		kind(t, keyring.New(noon()).Agree(t.Context(), db), gathering.KindUnavailable)
	})
}

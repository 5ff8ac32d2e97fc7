package store_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// group runs the functions so that SQLite's writer takes all but the first into
// one transaction: the first holds the writer until the others wait.
func group(ctx context.Context, db *store.DB, fns ...func(tx *store.Tx) error) []error {
	letGo := make(chan struct{})
	errs := make([]error, len(fns))
	var callers sync.WaitGroup
	for i, fn := range fns {
		callers.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					errs[i] = errors.New("panicked")
				}
			}()
			errs[i] = errUnwound
			errs[i] = db.Tx(ctx, func(tx *store.Tx) error {
				if i == 0 {
					<-letGo
				}
				return fn(tx)
			})
		})
		synctest.Wait()
	}
	close(letGo)
	callers.Wait()
	return errs
}

var errUnwound = errors.New("unwound")

// One commit takes all that wait; one that fails, in whatever way, takes
// nothing with it.
func TestWriterGroups(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var commits atomic.Int64
		o := storetest.SQLite(t)
		o.Commit = func(_ context.Context, commit func() error) error {
			commits.Add(1)
			return commit()
		}
		db := storetest.Open(t, o)
		commits.Store(0)
		write := func(key string, then func() error) func(tx *store.Tx) error {
			return func(tx *store.Tx) error { return errors.Join(put(ctx, tx, key, "1"), then()) }
		}
		fine := func() error { return nil }
		errs := group(
			ctx, db,
			write("first", fine),
			write("a", fine),
			write("b", func() error { return wrong }),
			write("c", fine),
			write("a", fine), // taken
			write("d", func() error { panic("halt") }),
			write("e", func() error { runtime.Goexit(); return nil }),
			func(tx *store.Tx) error { _, err := tx.Exec(ctx, `nonsense`); return err },
			write("f", fine),
		)
		var got []string
		for _, err := range errs {
			switch {
			case err == nil:
				got = append(got, "committed")
			case errors.Is(err, wrong):
				got = append(got, "wrong")
			case store.IsUniqueViolation(err):
				got = append(got, "taken")
			default:
				word, _, _ := strings.Cut(err.Error(), " ")
				got = append(got, word)
			}
		}
		want := []string{"committed", "committed", "wrong", "committed", "taken", "panicked", "unwound", "SQL", "committed"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		wantKeys(t, db, "a", "c", "f", "first")
		if commits.Load() != 2 {
			t.Errorf("%d commits, want 2", commits.Load())
		}
	})
}

// Where SQLite answers a failure by undoing the whole transaction, those before
// it are told, and those behind it are written in another.
func TestWriterTransactionLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		db := storetest.Open(t, storetest.SQLite(t))
		err := db.Tx(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(ctx, `PRAGMA max_page_count = 1`).Scan(new(int)) // as many as there are
		})
		if err != nil {
			t.Fatal(err)
		}
		write := func(key string, size int) func(tx *store.Tx) error {
			return func(tx *store.Tx) error {
				_ = put(ctx, tx, key, strings.Repeat("x", size)) // passed over, and noticed all the same
				return nil
			}
		}
		errs := group(ctx, db, write("first", 1), write("before", 1), write("huge", 1<<20), write("behind", 1))
		for i, want := range []string{"", "the disk is full", "the disk is full", ""} {
			if want != "" {
				wantKind(t, errs[i], gathering.KindUnavailable, want)
			} else if errs[i] != nil {
				t.Errorf("caller %d: %v", i, errs[i])
			}
		}
		wantKeys(t, db, "behind", "first")
	})
}

// When the one commit fails all are told, and nothing remains.
func TestWriterCommitFails(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	tests := []struct {
		name      string
		hook      func(commit func() error) error
		ambiguous bool
		keys      []string
	}{
		{"before", func(func() error) error { return lost }, false, nil},
		{"after", func(commit func() error) error { return errors.Join(commit(), lost) }, true, []string{"a", "b", "first"}},
		{"left out", func(func() error) error { return nil }, false, nil},
		{"without an answer", func(func() error) error { return &store.AmbiguousError{Err: lost} }, true, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				var armed atomic.Bool
				o := storetest.SQLite(t)
				o.Commit = func(_ context.Context, commit func() error) error {
					if armed.Load() {
						return test.hook(commit)
					}
					return commit()
				}
				db := storetest.Open(t, o)
				armed.Store(true)
				var fns []func(tx *store.Tx) error
				for _, key := range []string{"first", "a", "b"} {
					fns = append(fns, func(tx *store.Tx) error { return put(ctx, tx, key, "1") })
				}
				for i, err := range group(ctx, db, fns...) {
					if err == nil || store.Ambiguous(err) != test.ambiguous {
						t.Errorf("caller %d: got %v", i, err)
					}
				}
				wantKeys(t, db, test.keys...)
				armed.Store(false)
				if err := db.Tx(ctx, func(tx *store.Tx) error { return put(ctx, tx, "next", "1") }); err != nil {
					t.Errorf("the next transaction: %v", err)
				}
			})
		})
	}
}

// Who gives up waiting is not written.
func TestWriterContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		letGo := make(chan struct{})
		var callers sync.WaitGroup
		callers.Go(func() {
			err := db.Tx(t.Context(), func(*store.Tx) error {
				<-letGo
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		var gaveUp sync.WaitGroup
		gaveUp.Go(func() {
			err := db.Tx(ctx, func(*store.Tx) error { t.Error("it ran"); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		gaveUp.Wait()
		close(letGo)
		callers.Wait()
	})
}

// Close lets the transaction under way finish and refuses those that wait.
func TestWriterClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		where := storetest.SQLite(t)
		db := storetest.Open(t, where)
		letGo := make(chan struct{})
		var callers sync.WaitGroup
		for i := range 3 {
			callers.Go(func() {
				err := db.Tx(t.Context(), func(tx *store.Tx) error {
					<-letGo
					return put(t.Context(), tx, strconv.Itoa(i), "1")
				})
				if i == 0 && err != nil {
					t.Error(err)
				} else if i > 0 {
					wantKind(t, err, gathering.KindUnavailable, "closed")
				}
			})
			synctest.Wait()
		}
		callers.Go(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		close(letGo)
		callers.Wait()
		wantKeys(t, storetest.Open(t, where), "0")
	})
}

package once_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/once"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

type act = func(ctx context.Context, id string, repeated bool) (answer, error)

// maker makes things under IDs, as something does that has transactions of its own.
type maker struct {
	act act // makes a thing, or finds the one that was made

	mu    sync.Mutex
	ids   int
	acted []string // the calls
}

func newMaker(t *testing.T, db *store.DB) *maker {
	t.Helper()
	if err := db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE changes (name TEXT NOT NULL PRIMARY KEY)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	m := &maker{}
	m.act = func(ctx context.Context, id string, repeated bool) (answer, error) {
		m.mu.Lock()
		m.acted = append(m.acted, fmt.Sprint(id, " ", repeated))
		m.mu.Unlock()
		if repeated {
			var n int64
			if err := db.Read().QueryRow(ctx, `SELECT count(*) FROM changes WHERE name = $1`, id).Scan(&n); err != nil || n > 0 {
				return answer{Name: id, Own: "secret"}, err
			}
		}
		_, err := once.Do(ctx, db, func(tx *store.Tx) (int64, error) { // the key is not its own
			return tx.Exec(ctx, `INSERT INTO changes (name) VALUES ($1)`, id)
		})
		if store.IsUniqueViolation(err) {
			err = gathering.NewError(gathering.KindConflict, "there is one already")
		}
		return answer{Name: id, Own: "secret"}, err
	}
	return m
}

func (m *maker) fresh() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids++
	return fmt.Sprint("thing_", m.ids)
}

func (m *maker) calls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.acted
}

// refusing acts by being refused.
func refusing(kind gathering.Kind) act {
	return func(context.Context, string, bool) (answer, error) {
		return answer{Name: "nothing"}, gathering.NewError(kind, "refused")
	}
}

func TestReserved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := newMaker(t, db)
		for range 3 {
			got, err := once.Reserved(with(t, request(), noon()), db, m.fresh, m.act)
			if diff := cmp.Diff(answer{Name: "thing_1"}, must(t, got, err)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		}
		r := request()
		r.Body = nil
		if _, err := once.Reserved(with(t, r, noon()), db, m.fresh, m.act); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("another body: got %v, want a conflict", err)
		}
		got, err := once.Reserved(t.Context(), db, m.fresh, m.act)
		if must(t, got, err).Own != "secret" {
			t.Errorf("without a key got %+v, want it as it was made", got)
		}
		if diff := cmp.Diff([]string{"thing_1 false", got.Name + " false"}, m.calls()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		changes(t, db, 2)
	})
}

// What may have happened is asked for under the same ID again; what was
// refused is forgotten.
func TestReservedFailure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := newMaker(t, db)
		other := request()
		other.Body = []byte("put right")
		for kind, forgotten := range map[gathering.Kind]bool{
			gathering.KindInvalid: true, gathering.KindNotFound: true, gathering.KindForbidden: true, gathering.KindTooLarge: true, gathering.KindConflict: true,
			gathering.KindUnavailable: false, gathering.KindTimeout: false, gathering.KindInternal: false, gathering.KindExhausted: false,
		} {
			at := noon()
			ctx := with(t, request(), at)
			if got, err := once.Reserved(ctx, db, m.fresh, refusing(kind)); gathering.KindOf(err) != kind || got.Name != "" {
				t.Errorf("%s: got %+v and %v", kind, got, err)
			}
			if known, err := once.Known(with(t, request(), at), db); err != nil || known == forgotten {
				t.Errorf("%s: the key is known: %v (%v)", kind, known, err)
			}
			if !forgotten {
				at = at.Add(time.Hour)
				first := m.ids
				got, err := once.Reserved(with(t, request(), at), db, m.fresh, m.act)
				if id := fmt.Sprint("thing_", first); must(t, got, err).Name != id || m.calls()[len(m.calls())-1] != id+" true" {
					t.Errorf("%s: got %+v after %v, want the thing of the reserved ID", kind, got, m.calls())
				}
			} else {
				got, err := once.Reserved(with(t, other, at), db, m.fresh, m.act)
				must(t, got, err)
			}
			if err := once.Expire(t.Context(), db, noon().Add(2*once.Kept)); err != nil {
				t.Fatal(err)
			}
		}
		changes(t, db, 9)
	})
}

// Of requests at the same time one makes the change, and all are told of it.
func TestReservedAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := newMaker(t, db)
		const requests = 16
		answers, errs := make([]answer, requests), make([]error, requests)
		var looked, all sync.WaitGroup
		looked.Add(2)
		for i := range requests {
			ctx, meets := with(t, request(), noon()), i < 2
			all.Go(func() {
				answers[i], errs[i] = once.Reserved(ctx, db, m.fresh, func(ctx context.Context, id string, repeated bool) (answer, error) {
					if meets { // two have found nothing and go on to make it
						meets = false
						looked.Done()
						looked.Wait()
						repeated = false
					}
					return m.act(ctx, id, repeated)
				})
				if meets {
					looked.Done()
				}
			})
		}
		all.Wait()
		for i, got := range answers {
			if diff := cmp.Diff(answers[0], must(t, got, errs[i])); diff != "" {
				t.Errorf("request %d (-first +it):\n%s", i, diff)
			}
		}
		got, err := once.Reserved(with(t, request(), noon()), db, m.fresh, refusing(gathering.KindInternal))
		if diff := cmp.Diff(answers[0], must(t, got, err)); diff != "" {
			t.Errorf("afterwards (-want +got):\n%s", diff)
		}
		changes(t, db, 1)
	})
}

// The same request that is refused, at the same time as it is answered or
// right after, takes nothing of the answer.
func TestReservedRefusedMeanwhile(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := newMaker(t, db)
		do := func(key string, act act) error {
			r := request()
			r.Key = key
			_, err := once.Reserved(with(t, r, noon()), db, m.fresh, act)
			return err
		}
		refused := func(key string, act act) {
			t.Helper()
			if err := do(key, act); gathering.KindOf(err) != gathering.KindInvalid {
				t.Errorf("got %v, want it refused", err)
			}
		}
		made := func(key string, act act) {
			t.Helper()
			if err := do(key, act); err != nil {
				t.Error(err)
			}
		}
		made("before it is answered", func(ctx context.Context, id string, repeated bool) (answer, error) {
			got, err := m.act(ctx, id, repeated)
			refused("before it is answered", refusing(gathering.KindInvalid))
			return got, err
		})
		refused("after it", func(ctx context.Context, id string, repeated bool) (answer, error) {
			made("after it", m.act)
			return refusing(gathering.KindInvalid)(ctx, id, repeated)
		})
		made("before it is answered", m.act)
		made("after it", m.act)
		changes(t, db, 2)
	})
}

// Wherever a process dies, the request that is repeated makes the one change
// or finds it.
func TestReservedCrash(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		crash := errors.New("crash")
		var left int // commits until the one that fails; 0 fails none
		var after bool
		db := open(store.Options{Commit: func(_ context.Context, commit func() error) error {
			if left--; left != 0 {
				return commit()
			}
			if after {
				return errors.Join(commit(), crash)
			}
			return crash
		}})
		m := newMaker(t, db)
		want := 0
		for _, after = range []bool{false, true} {
			for n := 1; n <= 3; n++ { // the reservation, the change, the answer
				r := request()
				r.Key = fmt.Sprint(n, after)
				left = n
				if _, err := once.Reserved(with(t, r, noon()), db, m.fresh, m.act); !errors.Is(err, crash) {
					t.Errorf("commit %d: got %v", n, err)
				}
				left = 0
				first, err := once.Reserved(with(t, r, noon()), db, m.fresh, m.act)
				must(t, first, err)
				again, err := once.Reserved(with(t, r, noon()), db, m.fresh, m.act)
				if diff := cmp.Diff(first, must(t, again, err)); diff != "" {
					t.Errorf("commit %d (-first +again):\n%s", n, diff)
				}
				want++
				changes(t, db, want)
			}
		}
	})
}

func TestKnown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		newDB(t, db)
		known := func(when string, ctx context.Context, want bool) {
			t.Helper()
			if got, err := once.Known(ctx, db); err != nil || got != want {
				t.Errorf("%s: got %v and %v, want %v", when, got, err, want)
			}
		}
		known("without a key", t.Context(), false)
		known("before", with(t, request(), noon()), false)
		a, err := change(with(t, request(), noon()), db, "one")
		must(t, a, err)
		known("after", with(t, request(), noon()), true)
		known("until its time is up", with(t, request(), noon().Add(once.Kept-time.Microsecond)), true)
		known("when its time is up", with(t, request(), noon().Add(once.Kept)), false)
		r := request()
		r.Body = nil
		if _, err := once.Known(with(t, r, noon()), db); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("another body: got %v, want a conflict", err)
		}
	})
}

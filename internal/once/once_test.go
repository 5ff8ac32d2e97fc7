package once_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/once"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

// answer is what a change comes to.
type answer struct {
	ID    int64             `json:"id"`
	Name  string            `json:"name,omitempty"`
	At    *time.Time        `json:"at"`
	Words []string          `json:"words"`
	More  map[string]string `json:"more,omitempty"`
	Own   string            `json:"-"` // is nobody's answer
}

func request() once.Request {
	return once.Request{Who: "usr_1", Key: "k", What: "POST /api/v1/users", Body: []byte(`{"email":"a@b"}`)}
}

// with returns the context of a request.
func with(t *testing.T, r once.Request, at time.Time) context.Context {
	t.Helper()
	k, err := once.NewKey(r, at)
	if err != nil {
		t.Fatal(err)
	}
	return once.With(t.Context(), k)
}

// newDB has a table of the changes that were made.
func newDB(t *testing.T, db *store.DB) *store.DB {
	t.Helper()
	if err := db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE changes (name TEXT NOT NULL)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return db
}

// make makes a change and answers with how many there are.
func change(ctx context.Context, db *store.DB, name string) (answer, error) {
	return once.Do(ctx, db, func(tx *store.Tx) (answer, error) {
		if _, err := tx.Exec(ctx, `INSERT INTO changes (name) VALUES ($1)`, name); err != nil {
			return answer{}, err
		}
		at := noon().In(time.FixedZone("", 3600))
		a := answer{Name: name, At: &at, Own: "secret"}
		return a, tx.QueryRow(ctx, `SELECT count(*) FROM changes`).Scan(&a.ID)
	})
}

func must(t *testing.T, a answer, err error) answer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func changes(t *testing.T, db *store.DB, want int) {
	t.Helper()
	var got int
	if err := db.Read().QueryRow(t.Context(), `SELECT count(*) FROM changes`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%d changes were made, want %d", got, want)
	}
}

func TestSameAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		newDB(t, db)
		do := func(r once.Request, at time.Time, name string) answer {
			t.Helper()
			a, err := change(with(t, r, at), db, name)
			return must(t, a, err)
		}
		first := do(request(), noon(), "one")
		if first.ID != 1 || first.Name != "one" || first.Own != "" {
			t.Errorf("got %+v", first)
		}
		for _, later := range []time.Duration{0, time.Second, once.Kept - time.Microsecond, -time.Hour} {
			if diff := cmp.Diff(first, do(request(), noon().Add(later), "again")); diff != "" {
				t.Errorf("%s later (-first +again):\n%s", later, diff)
			}
		}
		changes(t, db, 1)

		for name, alter := range map[string]func(r *once.Request){
			"another body": func(r *once.Request) { r.Body = append(r.Body, ' ') },
			"no body":      func(r *once.Request) { r.Body = nil },
			"another path": func(r *once.Request) { r.What += "/usr_2" },
			"moved":        func(r *once.Request) { r.What, r.Body = r.What+string(r.Body[:1]), r.Body[1:] },
		} {
			r := request()
			alter(&r)
			got, err := change(with(t, r, noon()), db, name)
			if gathering.KindOf(err) != gathering.KindConflict || got.ID != 0 {
				t.Errorf("%s: got %+v and %v, want a conflict", name, got, err)
			}
		}
		changes(t, db, 1)

		for n, r := range []once.Request{
			{Who: "usr_2", Key: "k", What: "POST /api/v1/users", Body: []byte("theirs")},
			{Who: "usr_", Key: "1k"},
			{Who: "usr_1", Key: "K"},
			{Who: "usr_1", Key: strings.Repeat("k", once.MaxKey)},
			{Who: "usr_1", Key: "\x00\xff"},
		} {
			if got := do(r, noon(), "another"); got.ID != int64(n)+2 {
				t.Errorf("%+v: got %+v, want a change of its own", r, got)
			}
		}
		for range 2 {
			a, err := change(t.Context(), db, "without a key")
			if must(t, a, err).Own != "secret" {
				t.Errorf("without a key got %+v, want it as it was made", a)
			}
		}
		changes(t, db, 8)

		// A request makes one change: a second one, which would be answered
		// with what the first came to, is refused.
		r := request()
		r.Key = "two changes"
		ctx := with(t, r, noon())
		a, err := change(ctx, db, "one")
		must(t, a, err)
		if got, err := change(ctx, db, "another"); err == nil {
			t.Errorf("got %+v, want an error", got)
		}
		changes(t, db, 9)
		stored(t, db)
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	for _, given := range []string{"", strings.Repeat("k", once.MaxKey+1)} {
		r := request()
		r.Key = given
		_, err := once.NewKey(r, noon())
		var e *gathering.Error
		if !errors.As(err, &e) || e.Kind != gathering.KindInvalid || len(e.Fields) != 1 || e.Fields[0].Field != "Idempotency-Key" {
			t.Errorf("%d bytes: got %v, want it invalid", len(given), err)
		}
	}
}

// stored holds that what is stored of a request tells neither its key nor, to
// whoever has not got that, what its body was.
func stored(t *testing.T, db *store.DB) {
	t.Helper()
	rows, err := db.Read().Query(t.Context(), `SELECT key, fingerprint FROM idempotency`)
	if err != nil {
		t.Fatal(err)
	}
	fingerprints := map[string]int{}
	if err := rows.Each(func(row store.Scanner) error {
		var key, fingerprint string
		err := row.Scan(&key, &fingerprint)
		if len(key) != 64 || len(fingerprint) != 64 {
			t.Errorf("stored are %q and %q, want hashes", key, fingerprint)
		}
		fingerprints[fingerprint]++
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for fingerprint, n := range fingerprints {
		if n > 1 {
			t.Errorf("%d keys have the fingerprint %s", n, fingerprint)
		}
	}
}

// What fails is tried anew, by the same request and by others under its key.
func TestFailure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		newDB(t, db)
		wrong := gathering.NewError(gathering.KindInvalid, "wrong")
		ctx := with(t, request(), noon())
		fails := func(what string, fn func(tx *store.Tx) (answer, error)) {
			t.Helper()
			got, err := once.Do(ctx, db, fn)
			if err == nil || got.ID != 0 {
				t.Errorf("%s: got %+v and %v, want an error and nothing", what, got, err)
			}
		}
		fails("an error", func(tx *store.Tx) (answer, error) {
			if _, err := tx.Exec(ctx, `INSERT INTO changes (name) VALUES ('undone')`); err != nil {
				return answer{}, err
			}
			return answer{ID: 7}, wrong
		})
		fails("a statement that fails", func(tx *store.Tx) (answer, error) {
			_, _ = tx.Exec(ctx, `INSERT INTO nowhere (name) VALUES ('undone')`)
			return answer{ID: 7}, nil
		})
		if _, err := once.Do(ctx, db, func(*store.Tx) (func(), error) { return func() {}, nil }); err == nil {
			t.Error("what JSON cannot tell is answered")
		}
		func() {
			defer func() { _ = recover() }()
			fails("a panic", func(*store.Tx) (answer, error) { panic("a defect") })
		}()
		changes(t, db, 0)
		r := request()
		r.Body = []byte("put right")
		a, err := change(with(t, r, noon()), db, "one")
		if got := must(t, a, err); got.ID != 1 {
			t.Errorf("got %+v", got)
		}
		changes(t, db, 1)
	})
}

// Of requests at the same time one makes the change, and all are told of it.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		newDB(t, db)
		const requests = 32
		answers := make([]answer, requests)
		errs := make([]error, requests)
		begin := make(chan struct{})
		var all sync.WaitGroup
		for i := range requests {
			ctx := with(t, request(), noon())
			all.Go(func() {
				<-begin
				answers[i], errs[i] = change(ctx, db, fmt.Sprint(i))
			})
		}
		close(begin)
		all.Wait()
		for i, got := range answers {
			if diff := cmp.Diff(answers[0], must(t, got, errs[i])); diff != "" || got.ID != 1 {
				t.Errorf("request %d (-first +it):\n%s", i, diff)
			}
		}
		changes(t, db, 1)
	})
}

// PostgreSQL may want a transaction repeated, in which it is another's answer
// that is told.
func TestRepeatedTransaction(t *testing.T) {
	t.Parallel()
	db := newDB(t, storetest.Open(t, storetest.PostgreSQL(t)))
	ctx, other := with(t, request(), noon()), with(t, request(), noon())
	var theirs answer
	var their error
	var all sync.WaitGroup
	attempts := 0
	mine, err := once.Do(ctx, db, func(tx *store.Tx) (answer, error) {
		if attempts++; attempts > 1 {
			_, err := tx.Exec(ctx, `INSERT INTO changes (name) VALUES ('mine')`)
			return answer{ID: 1, Name: "mine"}, err
		}
		all.Go(func() { theirs, their = change(other, db, "theirs") })
		_, err := tx.Exec(ctx, `DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$`)
		return answer{ID: 9, More: map[string]string{"from": "an attempt"}}, err
	})
	all.Wait()
	if diff := cmp.Diff(must(t, theirs, their), must(t, mine, err)); diff != "" {
		t.Errorf("answers (-theirs +mine):\n%s", diff)
	}
	changes(t, db, 1)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		newDB(t, db)
		a, err := change(with(t, request(), noon()), db, "one")
		must(t, a, err)
		// A key whose time is up is as good as none, before it is forgotten too.
		r := request()
		r.Body = []byte("another")
		late := noon().Add(once.Kept)
		a, err = change(with(t, r, late), db, "two")
		if got := must(t, a, err); got.ID != 2 {
			t.Errorf("when its time was up: got %+v, want a change", got)
		}
		a, err = change(with(t, r, late.Add(once.Kept-time.Microsecond)), db, "three")
		if got := must(t, a, err); got.ID != 2 {
			t.Errorf("the key taken over: got %+v, want it known", got)
		}
		rows := make([][]any, 1201)
		for i := range rows {
			rows[i] = []any{fmt.Sprint(i), "", []byte{0}, late.UnixMicro() + int64(i)}
		}
		var b store.Batch
		b.Rows(`INSERT INTO idempotency (key, fingerprint, result, expires_at) {values}`, []store.Column{
			{Name: "key", Type: store.Text}, {Name: "fingerprint", Type: store.Text}, {Name: "result", Type: store.Bytes}, {Name: "expires_at", Type: store.Int},
		}, rows, nil)
		if err := db.Run(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if err := once.Expire(t.Context(), db, late.Add(1199*time.Microsecond)); err != nil {
			t.Fatal(err)
		}
		var left, early int
		if err := db.Read().QueryRow(t.Context(), `SELECT count(*), count(CASE WHEN expires_at <= $1 THEN 1 END) FROM idempotency`,
			late.UnixMicro()+1199).Scan(&left, &early); err != nil {
			t.Fatal(err)
		}
		if left != 2 || early != 0 {
			t.Errorf("%d keys are left, %d of them out of date, want 2 that are not", left, early)
		}
	})
}

// Wherever a process dies, the request that is repeated makes the change or
// finds that it was made.
func TestCrash(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		crash := errors.New("crash")
		crashing, after := false, false
		db := newDB(t, open(store.Options{Commit: func(_ context.Context, commit func() error) error {
			switch {
			case !crashing:
				return commit()
			case after:
				return errors.Join(commit(), crash)
			}
			return crash
		}}))
		for _, after = range []bool{false, true} {
			r, want := request(), "two"
			r.Key = fmt.Sprint(after)
			if after {
				want = "one"
			}
			crashing = true
			if got, err := change(with(t, r, noon()), db, "one"); !errors.Is(err, crash) || store.Ambiguous(err) != after || got.ID != 0 {
				t.Errorf("after the commit: %v: got %+v and %v", after, got, err)
			}
			crashing = false
			for range 2 {
				a, err := change(with(t, r, noon()), db, "two")
				if got := must(t, a, err); got.Name != want {
					t.Errorf("after the commit: %v: repeated: got %+v, want the change %s", after, got, want)
				}
			}
		}
		changes(t, db, 2)
	})
}

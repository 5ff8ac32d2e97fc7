package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// scripted is a Write that notes what it is given and waits to be let go.
type scripted struct {
	letGo   chan struct{}
	answer  func(members []string) ([]error, error)
	mu      sync.Mutex
	batches []string
}

func (s *scripted) write(_ context.Context, members []string) ([]error, error) {
	s.mu.Lock()
	s.batches = append(s.batches, strings.Join(members, " "))
	s.mu.Unlock()
	<-s.letGo
	if s.answer == nil {
		return nil, nil
	}
	return s.answer(members)
}

// commitAll commits the members, queued in order, and returns what gives the
// answers once all are there.
func commitAll(ctx context.Context, c *store.Committer[string], members ...string) func() []error {
	answers := make([]error, len(members))
	var senders sync.WaitGroup
	for i, m := range members {
		senders.Go(func() { answers[i] = c.Commit(ctx, m) })
		synctest.Wait()
	}
	return func() []error {
		senders.Wait()
		return answers
	}
}

func TestCommitterGathers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{letGo: make(chan struct{})}
		c := store.NewCommitter(store.CommitterOptions[string]{
			Write: s.write, Size: func(m string) int { return len(m) }, MaxRows: 3, MaxBytes: 10,
		})
		answers := commitAll(t.Context(), c, "a", "b", "c", "d", "e", "ffffffffff", "g")
		close(s.letGo)
		if err := errors.Join(answers()...); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"a", "b c d", "e", "ffffffffff", "g"}, s.batches); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
		err := c.Commit(t.Context(), "eleven bytes")
		wantKind(t, err, gathering.KindTooLarge, "12 bytes are to be written at once; the limit is 10")
		c.Close()
	})
}

func TestCommitterContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{letGo: make(chan struct{})}
		c := store.NewCommitter(store.CommitterOptions[string]{Write: s.write})
		ctx, cancel := context.WithCancel(t.Context())
		written := commitAll(ctx, c, "written")
		queued := commitAll(ctx, c, "queued")
		after := commitAll(t.Context(), c, "after")
		cancel()
		if err := queued()[0]; !errors.Is(err, context.Canceled) { // though nothing was let go
			t.Errorf("queued: %v", err)
		}
		close(s.letGo)
		if err := errors.Join(written()[0], after()[0]); err != nil {
			t.Errorf("being written, and behind: %v", err)
		}
		if err := c.Commit(ctx, "ended"); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
		if diff := cmp.Diff([]string{"written", "after"}, s.batches); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
		c.Close()
	})
}

func TestCommitterClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{letGo: make(chan struct{})}
		c := store.NewCommitter(store.CommitterOptions[string]{Write: s.write})
		answers := commitAll(t.Context(), c, "a", "b")
		var closers sync.WaitGroup
		var closed atomic.Int32
		for range 2 {
			closers.Go(func() {
				c.Close()
				closed.Add(1)
			})
		}
		synctest.Wait()
		if closed.Load() > 0 {
			t.Error("Close returned while members waited")
		}
		wantKind(t, c.Commit(t.Context(), "late"), gathering.KindUnavailable, "closed")
		close(s.letGo)
		closers.Wait()
		if err := errors.Join(answers()...); err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

// What a batch comes to, by what Write says of it. "first" keeps the writer busy
// until the others are one batch.
func TestCommitterOutcomes(t *testing.T) {
	t.Parallel()
	wrong, fenced := errors.New("wrong"), errors.New("fenced")
	away := gathering.NewError(gathering.KindUnavailable, "the database is away")
	refuse := func(err error, culprits ...string) func([]string) ([]error, error) {
		return func(members []string) ([]error, error) {
			if slices.ContainsFunc(members, func(m string) bool { return slices.Contains(culprits, m) }) {
				return nil, fmt.Errorf("write: %w", err)
			}
			return nil, nil
		}
	}
	tests := []struct {
		name    string
		answer  func(members []string) ([]error, error)
		batches []string         // nil: any
		want    map[string]error // of those that fail
	}{
		{
			"one culprit", refuse(wrong, "c"),
			[]string{"a b c d", "a b", "c d", "c", "d"},
			map[string]error{"c": wrong},
		},
		{
			"all culprits", refuse(wrong, "a", "b", "c", "d"),
			[]string{"a b c d", "a b", "a", "b", "c d", "c", "d"},
			map[string]error{"a": wrong, "b": wrong, "c": wrong, "d": wrong},
		},
		{
			"lost fence", func(members []string) ([]error, error) {
				outcomes := make([]error, len(members))
				if i := slices.Index(members, "b"); i >= 0 {
					outcomes[i] = fenced
				}
				return outcomes, nil
			},
			[]string{"a b c d"},
			map[string]error{"b": fenced},
		},
		{
			"database away for good", refuse(away, "a"),
			nil,
			map[string]error{"a": away, "b": away, "c": away, "d": away},
		},
		{
			"ambiguous without rereading", refuse(&store.AmbiguousError{Err: wrong}, "d"),
			[]string{"a b c d"},
			map[string]error{"a": wrong, "b": wrong, "c": wrong, "d": wrong},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{letGo: make(chan struct{}), answer: test.answer}
				c := store.NewCommitter(store.CommitterOptions[string]{Write: s.write})
				defer c.Close()
				members := []string{"first", "a", "b", "c", "d"}
				answers := commitAll(t.Context(), c, members...)
				close(s.letGo)
				for i, err := range answers() {
					if want := test.want[members[i]]; !errors.Is(err, want) {
						t.Errorf("%s: got %v, want %v", members[i], err, want)
					}
				}
				if diff := cmp.Diff(test.batches, s.batches[1:]); test.batches != nil && diff != "" {
					t.Errorf("batches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// While the database is away the batch waits for it, but not for ever.
func TestCommitterPatience(t *testing.T) {
	t.Parallel()
	away := gathering.NewError(gathering.KindUnavailable, "the database is away")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		back := began.Add(2 * time.Second)
		c := store.NewCommitter(store.CommitterOptions[string]{
			Patience: 5 * time.Second,
			Write: func(context.Context, []string) ([]error, error) {
				if time.Now().Before(back) {
					return nil, away
				}
				return nil, nil
			},
		})
		defer c.Close()
		if err := c.Commit(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited < 2*time.Second || waited > 3*time.Second {
			t.Errorf("committed after %s, want 2 s and a little", waited)
		}
		began, back = time.Now(), time.Now().Add(time.Hour)
		wantKind(t, c.Commit(t.Context(), "b"), gathering.KindUnavailable, "away")
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("gave up after %s, want 5 s", waited)
		}
	})
}

// flaky is a table of unique keys whose writes can go wrong: each of the first
// ones commits or does not, now or after the next reread, and then fails.
type flaky struct {
	faults  []fault
	written map[string]int
	late    []string // committed after the next reread
	reads   []error
}

type fault struct {
	commits, late bool
	err           error
}

func (f *flaky) write(_ context.Context, members []string) ([]error, error) {
	var now fault
	if len(f.faults) > 0 {
		now, f.faults = f.faults[0], f.faults[1:]
	} else {
		now.commits = true
	}
	for _, m := range members {
		if f.written[m] > 0 {
			return nil, &pgconn.PgError{Severity: "ERROR", Code: "23505"}
		}
	}
	if now.late {
		f.late = members
	}
	if now.commits {
		f.commit(members)
	}
	return nil, now.err
}

func (f *flaky) commit(members []string) {
	for _, m := range members {
		f.written[m]++
	}
}

func (f *flaky) reread(_ context.Context, member string) (bool, error) {
	if len(f.reads) > 0 {
		err := f.reads[0]
		f.reads = f.reads[1:]
		return false, err
	}
	committed := f.written[member] > 0
	if f.late != nil && f.late[len(f.late)-1] == member {
		f.commit(f.late)
		f.late = nil
	}
	return committed, nil
}

// After a commit without an answer each member is written exactly once.
func TestCommitterAmbiguous(t *testing.T) {
	t.Parallel()
	lost := &store.AmbiguousError{Err: errors.New("connection lost")}
	away := gathering.NewError(gathering.KindUnavailable, "the database is away")
	wrong := errors.New("wrong")
	tests := []struct {
		name  string
		flaky flaky
		want  error
	}{
		{"committed", flaky{faults: []fault{{commits: true, err: lost}}}, nil},
		{"not committed", flaky{faults: []fault{{err: lost}}}, nil},
		{"not committed twice", flaky{faults: []fault{{err: lost}, {err: away}, {err: lost}}}, nil},
		{"committed after it was read", flaky{faults: []fault{{late: true, err: lost}}}, nil},
		{"read when the database is back", flaky{faults: []fault{{commits: true, err: lost}}, reads: []error{away, away, away}}, nil},
		{"away for good", flaky{faults: []fault{{commits: true, err: lost}}, reads: slices.Repeat([]error{away}, 1000)}, lost},
		{"unreadable", flaky{faults: []fault{{commits: true, err: lost}}, reads: []error{wrong, wrong, wrong}}, wrong},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				letGo := make(chan struct{})
				f := &test.flaky
				f.written = make(map[string]int)
				c := store.NewCommitter(store.CommitterOptions[string]{
					Reread: f.reread,
					Write: func(ctx context.Context, members []string) ([]error, error) {
						if members[0] == "first" {
							<-letGo
							return nil, nil
						}
						return f.write(ctx, members)
					},
				})
				members := []string{"first", "a", "b", "c"}
				answers := commitAll(t.Context(), c, members...)
				close(letGo)
				for i, err := range answers()[1:] {
					if !errors.Is(err, test.want) {
						t.Errorf("%s: got %v, want %v", members[i+1], err, test.want)
					}
				}
				c.Close()
				if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, f.written); diff != "" {
					t.Errorf("written (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// logCommitter commits log rows as run does, and rereads them.
func logCommitter(db *store.DB) *store.Committer[entry] {
	return store.NewCommitter(store.CommitterOptions[entry]{
		Write: func(ctx context.Context, members []entry) ([]error, error) {
			return nil, db.Run(ctx, appendEntries(db, members))
		},
		Reread: func(ctx context.Context, e entry) (bool, error) {
			var n int
			err := db.Read().QueryRow(ctx, `SELECT count(*) FROM run_log WHERE run_id = $1 AND seq = $2`, e.run, e.seq).Scan(&n)
			return n > 0, err
		},
	})
}

func commitEntries(t *testing.T, c *store.Committer[entry], from, to int) {
	t.Helper()
	var senders sync.WaitGroup
	for i := from; i < to; i++ {
		senders.Go(func() {
			if err := c.Commit(t.Context(), entry{run: "run_" + strconv.Itoa(i), seq: 1, rows: []byte{0, byte(i)}}); err != nil {
				t.Errorf("entry %d: %v", i, err)
			}
		})
	}
	senders.Wait()
}

// counts are the rows of the log and of the feed.
func counts(t *testing.T, db *store.DB) (logged, fed int) {
	t.Helper()
	err := db.Read().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM run_log), (SELECT count(*) FROM feed)`).Scan(&logged, &fed)
	if err != nil {
		t.Fatal(err)
	}
	return logged, fed
}

// Group commit happens: many rows, few transactions. Also when commits fail,
// before or after they happened, every row is there once.
func TestCommitterOnDatabase(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	away := gathering.NewError(gathering.KindUnavailable, "the database is away")
	commits := func(n int64, err error) func(int64, func() error) error {
		return func(nth int64, commit func() error) error {
			if nth <= n {
				return errors.Join(commit(), err)
			}
			return commit()
		}
	}
	tests := []struct {
		name string
		hook func(nth int64, commit func() error) error
	}{
		{"nothing fails", func(_ int64, commit func() error) error { return commit() }},
		{"after the commit", commits(3, lost)},
		{"before the commit", func(nth int64, commit func() error) error {
			if nth <= 3 {
				return away
			}
			return commit()
		}},
		{"without an answer", func(nth int64, commit func() error) error {
			if nth <= 3 {
				return &store.AmbiguousError{Err: lost}
			}
			return commit()
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
				open(store.Options{}).Close() // migrates and names the log
				var armed atomic.Bool
				var nth atomic.Int64
				db := open(store.Options{Commit: func(_ context.Context, commit func() error) error {
					if !armed.Load() {
						return commit()
					}
					return test.hook(nth.Add(1), commit)
				}})
				armed.Store(true)
				c := logCommitter(db)
				commitEntries(t, c, 0, 200)
				c.Close()
				logged, fed := counts(t, db)
				if logged != 200 || fed > 40 {
					t.Errorf("%d rows logged in %d transactions, want 200 in far fewer", logged, fed)
				}
			})
		})
	}
}

// A row that is there already is the culprit; its neighbours are committed.
func TestCommitterCulpritOnDatabase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := logCommitter(db)
		defer c.Close()
		if err := c.Commit(t.Context(), entry{run: "taken", seq: 1, rows: []byte{0}}); err != nil {
			t.Fatal(err)
		}
		var senders sync.WaitGroup
		for i := range 50 {
			senders.Go(func() {
				e := entry{run: "run_" + strconv.Itoa(i), seq: 1, rows: []byte{0}}
				if i == 25 {
					e.run = "taken"
				}
				if err := c.Commit(t.Context(), e); store.IsUniqueViolation(err) != (i == 25) || err != nil && i != 25 {
					t.Errorf("entry %d: %v", i, err)
				}
			})
		}
		senders.Wait()
		if logged, _ := counts(t, db); logged != 50 {
			t.Errorf("%d rows logged, want 50", logged)
		}
	})
}

package audit_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func encode(secret string) string { return base64.StdEncoding.EncodeToString([]byte(secret)) }

func put(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func inside(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// Within a second of its commit an entry is sealed.
func TestSealerStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		dir, r := t.TempDir(), ring(t, "k1")
		s := newSealer(t, db, r, dir)
		s.Now = time.Now
		s.Start(t.Context())
		for i := range 8 {
			record(t, db, gathering.AuditEntry{Action: "one"}, time.Now())
			<-time.After(time.Second)
			if report := clean(t, db, r, dir); report.Unsealed > 0 || report.Entries != int64(i+1) {
				t.Errorf("a second later: %+v", report)
			}
			<-time.After(time.Duration(i) * 97 * time.Millisecond)
		}
		record(t, db, gathering.AuditEntry{Action: "at the end"}, time.Now())
		for range 2 {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if report := clean(t, db, r, dir); report.Unsealed > 0 || report.Entries != 9 || report.Seals != 9 {
			t.Errorf("after the end: %+v", report)
		}
	})
}

// The same on PostgreSQL, by the real clock.
func TestSealerStartPostgreSQL(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.PostgreSQL(t))
	dir, r := t.TempDir(), ring(t, "k1")
	s := newSealer(t, db, r, dir)
	s.Start(t.Context())
	record(t, db, gathering.AuditEntry{Action: "one"}, noon())
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for number(t, db, `SELECT count(*) FROM audit WHERE seal IS NULL`) > 0 {
		<-tick.C
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	clean(t, db, r, dir)
}

// A database that is away is told of once, and once more when it is away again.
func TestSealerLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		var away atomic.Bool
		seen, _ := db.Through(func(_ context.Context, a store.Access) error {
			if away.Load() {
				return errors.New("it is away")
			}
			return a.Do()
		})
		var log bytes.Buffer
		s := newSealer(t, seen, ring(t, "k1"), t.TempDir())
		s.Now, s.Logger = time.Now, slog.New(slog.NewTextHandler(&log, nil))
		s.Start(t.Context())
		<-time.After(time.Minute)
		for range 2 {
			away.Store(true)
			<-time.After(5 * time.Minute)
			away.Store(false)
			<-time.After(time.Minute)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := strings.Count(log.String(), "it is away"); got != 2 {
			t.Errorf("it was told of %d times:\n%s", got, log.String())
		}
	})
}

// A sealer that stops while another seals, or that no database answers, ends.
func TestSealerStop(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSealer(t, db, ring(t, "k1"), t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		s.Start(ctx)
		cancel()
		record(t, db, gathering.AuditEntry{Action: "one"}, noon())
		if err := s.Stop(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that there was no time", err)
		}
		sealAll(t, s)
	})
}

// Entries may be committed later than those with a higher ID.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.PostgreSQL(t))
	dir, r := t.TempDir(), ring(t, "k1")
	s := newSealer(t, db, r, dir)
	written, commit := make(chan struct{}), make(chan struct{})
	var late sync.WaitGroup
	late.Go(func() {
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			err := audit.Record(as(t, "usr_1"), tx, gathering.AuditEntry{Action: "late"}, noon())
			close(written)
			<-commit
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-written
	record(t, db, gathering.AuditEntry{Action: "early"}, noon())
	sealAll(t, s)
	close(commit)
	late.Wait()
	if report := clean(t, db, r, dir); report.Unsealed != 1 || report.Entries != 1 {
		t.Errorf("got %+v", report)
	}
	sealAll(t, s)
	if report := clean(t, db, r, dir); report.Unsealed != 0 || report.Seals != 2 || report.Entries != 2 {
		t.Errorf("got %+v", report)
	}
	if got := entries(t, db, gathering.AuditFilter{Limit: 1})[0]; got.Action != "early" || got.Seal != 1 {
		t.Errorf("the newest is %+v", got)
	}
}

// between returns the database as somebody sees it in the midst of whose n-th
// access, before it is carried out, something else happens.
func between(db *store.DB, n int, what func()) (seen *store.DB, happened func() bool) {
	count := 0
	seen, _ = db.Through(func(_ context.Context, a store.Access) error {
		if count++; count == n {
			what()
		}
		return a.Do()
	})
	return seen, func() bool { return count >= n }
}

// Another instance may seal, and delete, between any two accesses.
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		now := noon()
		other := newSealer(t, db, r, dir)
		other.Now = func() time.Time { return now }
		other.Retention = func(context.Context) (time.Duration, error) { return time.Hour, nil }
		meanwhile := func() {
			record(t, db, gathering.AuditEntry{Action: "meanwhile"}, now)
			sealAll(t, other)
			prune(t, other)
		}
		first, _ := between(db, 2, func() { // of a trail without a seal
			record(t, db, gathering.AuditEntry{Action: "the first"}, now)
			sealAll(t, other)
		})
		sealAll(t, newSealer(t, first, r, dir))
		clean(t, db, r, dir)
		for doing, do := range map[string]func(s *audit.Sealer) error{
			"seal":  func(s *audit.Sealer) error { return s.Seal(t.Context()) },
			"prune": func(s *audit.Sealer) error { return s.Prune(t.Context()) },
			"verify": func(s *audit.Sealer) error {
				clean(t, s.DB, r, dir)
				return nil
			},
		} {
			for n := 1; ; n++ {
				record(t, db, gathering.AuditEntry{Action: "before"}, now)
				sealAll(t, other)
				now = now.Add(2 * time.Hour)
				record(t, db, gathering.AuditEntry{Action: "to be sealed"}, now)
				seen, happened := between(db, n, meanwhile)
				s := newSealer(t, seen, r, dir)
				s.Now, s.Retention = other.Now, other.Retention
				if err := do(s); err != nil {
					t.Errorf("before access %d of %s: %v", n, doing, err)
				}
				if !happened() {
					break
				}
				if report := verify(t, db, r, dir); len(report.Faults) > 0 {
					t.Fatalf("before access %d of %s: %+v", n, doing, report)
				}
			}
		}
		sealAll(t, other)
		if report := clean(t, db, r, dir); report.Pruned == 0 || report.Unsealed > 0 {
			t.Errorf("at the end: %+v", report)
		}
	})
}

// Sealers in several instances and writers at a time: each entry has one seal.
func TestSealersAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const writers, each = 4, 25
		r, shared, own := ring(t, "k1"), t.TempDir(), t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		var sealing, writing sync.WaitGroup
		for _, dir := range []string{shared, shared, own} {
			s := newSealer(t, db, r, dir)
			sealing.Go(func() {
				for ctx.Err() == nil {
					if err := s.Seal(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for w := range writers {
			writing.Go(func() {
				for i := range each {
					e := gathering.AuditEntry{Action: "one", Object: fmt.Sprint(w, "/", i)}
					if err := db.Tx(t.Context(), func(tx *store.Tx) error { return audit.Record(as(t, "usr_1"), tx, e, noon()) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writing.Wait()
		cancel()
		sealing.Wait()
		for _, dir := range []string{shared, own} {
			sealAll(t, newSealer(t, db, r, dir))
			if report := clean(t, db, r, dir); report.Entries != writers*each || report.Unsealed > 0 {
				t.Errorf("got %+v", report)
			}
			if got := inside(t, dir); len(got) != 1 {
				t.Errorf("in the directory are %q", got)
			}
		}
		if got, want := number(t, db, `SELECT sum(entries) FROM audit_seals`), int64(writers*each); got != want {
			t.Errorf("the seals cover %d entries, want %d", got, want)
		}
	})
}

// More than one transaction's worth is sealed at once. However much is wrong,
// a report stays short.
func TestSealMany(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		fill(t, db, 1100)
		sealAll(t, newSealer(t, db, r, dir))
		if report := clean(t, db, r, dir); report.Seals != 2 || report.Entries != 1100 || report.Unsealed > 0 {
			t.Errorf("got %+v", report)
		}
		exec(t, db, `UPDATE audit SET reason = 'forged' WHERE id > 920`)
		if got := len(verify(t, db, r, dir).Faults); got != 100 {
			t.Errorf("%d faults are told, want 100", got)
		}
	})
}

func fill(tb testing.TB, db *store.DB, n int) {
	tb.Helper()
	list := make([]gathering.AuditEntry, n)
	for i := range list {
		list[i] = audit.Caller{Actor: "usr_1", Name: "ann@example.com", Address: "192.0.2.1", Agent: "Mozilla/5.0 (X11; Linux x86_64)"}.By(
			gathering.AuditEntry{Action: "runs.cancel", Object: fmt.Sprint("run_", i), Project: "default"}, noon())
	}
	var b store.Batch
	audit.Add(&b, list)
	if err := db.Run(tb.Context(), &b); err != nil {
		tb.Fatal(err)
	}
}

// Wherever a process dies, the trail is whole for the next one.
func TestSealerCrash(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		var left int // commits until the one that fails; 0 fails none
		var after bool
		crash := errors.New("crash")
		db := open(store.Options{Commit: func(_ context.Context, commit func() error) error {
			if left--; left != 0 {
				return commit()
			}
			if after {
				return errors.Join(commit(), crash)
			}
			return crash
		}})
		dir, r := t.TempDir(), ring(t, "k1")
		now := noon()
		sealer := func() *audit.Sealer {
			s := newSealer(t, db, r, dir)
			s.Now = func() time.Time { return now }
			s.Retention = func(context.Context) (time.Duration, error) { return time.Hour, nil }
			return s
		}
		// life is that of a process, which ends early where a commit fails.
		life := func(s *audit.Sealer) error {
			for range 2 {
				if err := db.Tx(t.Context(), func(tx *store.Tx) error {
					return errors.Join(
						audit.Record(as(t, "usr_1"), tx, gathering.AuditEntry{Action: "one"}, now),
						audit.Record(as(t, "usr_1"), tx, gathering.AuditEntry{Action: "another"}, now))
				}); err != nil {
					return err
				}
				if err := errors.Join(s.Seal(t.Context()), s.Prune(t.Context())); err != nil {
					return err
				}
				now = now.Add(40 * time.Minute)
			}
			return nil
		}
		if err := life(sealer()); err != nil {
			t.Fatal(err)
		}
		for _, after = range []bool{false, true} {
			for n := 1; ; n++ {
				left = n
				err := life(sealer())
				ended := left > 0
				left = 0
				if err == nil && !ended {
					t.Errorf("the failure of commit %d (after it: %v) is not told of", n, after)
				}
				if report := verify(t, db, r, dir); len(report.Faults) > 0 {
					t.Fatalf("after commit %d (after it: %v) failed: %+v", n, after, report)
				}
				sealAll(t, sealer())
				if report := clean(t, db, r, dir); report.Unsealed > 0 {
					t.Errorf("after commit %d (after it: %v) failed: %+v", n, after, report)
				}
				if ended {
					break
				}
			}
		}
		if report := clean(t, db, r, dir); report.Pruned == 0 {
			t.Errorf("nothing was deleted: %+v", report)
		}
	})
}

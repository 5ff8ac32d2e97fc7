package audit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// keeping returns a sealer that keeps entries so long, and its clock.
func keeping(t *testing.T, db *store.DB, dir string, keep time.Duration) (*audit.Sealer, *clock) {
	t.Helper()
	s, c := newSealer(t, db, ring(t, "k1"), dir), newClock()
	s.Now = c.Now
	s.Retention = func(context.Context) (time.Duration, error) { return keep, nil }
	return s, c
}

func prune(t *testing.T, s *audit.Sealer) {
	t.Helper()
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		s, c := keeping(t, db, dir, time.Hour)
		prune(t, s) // of nothing
		for range 4 {
			for range 3 {
				record(t, db, gathering.AuditEntry{Action: "one"}, c.Now())
			}
			sealAll(t, s)
			c.set(c.Now().Add(20 * time.Minute))
		}
		record(t, db, gathering.AuditEntry{Action: "not sealed yet"}, noon())
		prune(t, s) // seal 1 is 80 minutes old, seal 2 is an hour
		want := audit.Report{Seals: 5, Entries: 9, Pruned: 3, Unsealed: 1, Faults: []audit.Fault{}, Anchored: true}
		if diff := cmp.Diff(want, verify(t, db, r, dir)); diff != "" {
			t.Errorf("after it (-want +got):\n%s", diff)
		}
		prune(t, s) // again
		if diff := cmp.Diff(want, verify(t, db, r, dir)); diff != "" {
			t.Errorf("after it was done again (-want +got):\n%s", diff)
		}
		c.set(c.Now().Add(20*time.Minute + time.Microsecond))
		prune(t, s)
		want.Seals, want.Entries, want.Pruned = 6, 3, 9
		if diff := cmp.Diff(want, verify(t, db, r, dir)); diff != "" {
			t.Errorf("later (-want +got):\n%s", diff)
		}
		restore := keep(t, db)
		for name, test := range map[string]tampering{
			"an entry of a seal that is kept": {do: []string{`DELETE FROM audit WHERE id = 11`}, want: []string{"4 1 of its 3 entries were taken away"}},
			"an entry put under one that is deleted": {do: []string{
				`INSERT INTO audit (id, ` + rowColumns + `)` + overriding(db) + ` SELECT 2, at, actor, actor_name, credential, address, agent, request,
					action, object, project, outcome, reason, times, 1, digest FROM audit WHERE id = 11`,
			}, want: []string{"1/2 " + changed, "1 2 of its 3 entries were taken away"}},
			"a seal that is deleted":         {do: []string{`DELETE FROM audit_seals WHERE number = 1`}, want: []string{"2 the seals before it are missing, back to 0"}},
			"a seal's count that is deleted": {do: []string{`UPDATE audit_seals SET entries = 0 WHERE number = 1`}, want: []string{"1 " + signature, "2 " + follow}},
			"more than is said":              {do: []string{`DELETE FROM audit WHERE seal <= 4`}, want: []string{"4 3 of its 3 entries were taken away"}},
			"more than is said, and saying it": {do: []string{
				`DELETE FROM audit WHERE seal <= 4`, `UPDATE audit_seals SET pruned = 4 WHERE number = 6`,
			}, want: []string{"6 " + signature}},
		} {
			restore(t)
			exec(t, db, test.do...)
			if diff := cmp.Diff(test.want, words(verify(t, db, r, dir))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// A clock that is wrong for a while, or at the time, does not have the young
// deleted, and without a retention nothing is.
func TestPruneNot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		s, c := keeping(t, db, dir, time.Hour)
		seal := func(at time.Time) {
			t.Helper()
			c.set(at)
			record(t, db, gathering.AuditEntry{Action: "one"}, at)
			sealAll(t, s)
		}
		seal(noon())
		seal(noon().AddDate(-10, 0, 0))
		seal(noon())
		prune(t, s)
		c.set(noon().AddDate(-10, 0, 0))
		prune(t, s)
		if report := clean(t, db, ring(t, "k1"), dir); report.Entries != 3 {
			t.Errorf("got %+v, want nothing deleted", report)
		}

		c.set(noon().AddDate(100, 0, 0))
		keep := s.Retention
		s.Retention = nil
		prune(t, s)
		s.Retention = func(context.Context) (time.Duration, error) { return 0, nil }
		prune(t, s)
		wrong := errors.New("wrong")
		s.Retention = func(context.Context) (time.Duration, error) { return time.Second, wrong }
		if err := s.Prune(t.Context()); !errors.Is(err, wrong) {
			t.Errorf("got %v", err)
		}
		if report := clean(t, db, ring(t, "k1"), dir); report.Entries != 3 || report.Seals != 3 {
			t.Errorf("got %+v, want all of it kept for ever", report)
		}

		s.Retention = keep
		c.set(noon().Add(2 * time.Hour))
		prune(t, s)
		if report := clean(t, db, ring(t, "k1"), dir); report.Pruned != 3 {
			t.Errorf("got %+v, want all of it deleted", report)
		}
	})
}

// Many entries are deleted in short transactions, by whole seals.
func TestPruneMany(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		crash := errors.New("crash")
		var left int // commits until they fail; 0 is never
		db := open(store.Options{Commit: func(_ context.Context, commit func() error) error {
			if left == 1 {
				return crash
			}
			left = max(left-1, 0)
			return commit()
		}})
		s, c := keeping(t, db, dir, time.Hour)
		for _, n := range []int{510, 1, 1, 505, 5} {
			fill(t, db, n)
			sealAll(t, s)
		}
		c.set(c.Now().Add(2 * time.Hour))
		interrupted := 0
		for n := 1; ; n++ {
			left = n
			err := s.Prune(t.Context())
			left = 0
			clean(t, db, r, dir)
			if err == nil {
				break
			}
			if !errors.Is(err, crash) {
				t.Fatal(err)
			}
			interrupted++
		}
		if interrupted < 3 {
			t.Errorf("it took %d transactions", interrupted)
		}
		if report := clean(t, db, r, dir); report.Entries != 0 || report.Pruned != 1022 {
			t.Errorf("got %+v", report)
		}
	})
}

// What is old is deleted by the sealer itself, soon after it starts and then
// every ten minutes.
func TestSealerPrunes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		dir, r := t.TempDir(), ring(t, "k1")
		s, c := keeping(t, db, dir, time.Hour)
		for i, after := range []time.Duration{0, 2 * time.Second, 11 * time.Minute, 10 * time.Minute} {
			if i == 1 {
				s.Start(t.Context())
			}
			<-time.After(after)
			if report := verify(t, db, r, dir); len(report.Faults) > 0 || report.Pruned != int64(i) {
				t.Errorf("%s later: %+v, want %d deleted", after, report, i)
			}
			fill(t, db, 1)
			<-time.After(time.Second)
			if i == 0 {
				sealAll(t, s)
			}
			c.set(c.Now().Add(2 * time.Hour))
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

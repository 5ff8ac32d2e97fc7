package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func newRepeats(db *store.DB) *audit.Repeats {
	return &audit.Repeats{DB: db, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
}

// from returns a context of a request from an address.
func from(t *testing.T, address string) context.Context {
	t.Helper()
	return audit.WithCaller(t.Context(), audit.Caller{Address: address})
}

func failed(name string) gathering.AuditEntry {
	return gathering.AuditEntry{ActorName: name, Action: "auth.signed_in", Outcome: gathering.OutcomeFailed, Reason: "wrong password"}
}

// told is who tried from where and how often, in the order of the texts.
func told(t *testing.T, db *store.DB) []string {
	t.Helper()
	list := []string{}
	for _, e := range entries(t, db, gathering.AuditFilter{Limit: 500}) {
		list = append(list, fmt.Sprintf("%s %s %d", e.ActorName, e.Address, e.Times))
	}
	sort.Strings(list)
	return list
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		r := newRepeats(db)
		r.Start(t.Context())
		holds := func(when string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(append([]string{}, want...), told(t, db)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		r.Record(t.Context(), failed("nobody asked"))
		holds("without a caller")
		for range 5 {
			r.Record(from(t, "192.0.2.1"), failed("ann"))
		}
		r.Record(from(t, "192.0.2.2"), failed("ann"))
		r.Record(from(t, "192.0.2.1"), failed("bob"))
		holds("at once", "ann 192.0.2.1 1", "ann 192.0.2.2 1", "bob 192.0.2.1 1")

		<-time.After(61 * time.Second)
		holds("after a minute", "ann 192.0.2.1 1", "ann 192.0.2.1 4", "ann 192.0.2.2 1", "bob 192.0.2.1 1")
		if last := entries(t, db, gathering.AuditFilter{Limit: 1})[0]; last.Times != 4 || !last.At.Before(time.Now().Add(-time.Minute)) {
			t.Errorf("the entry of the repeated is %+v", last)
		}
		for range 3 {
			r.Record(from(t, "192.0.2.1"), failed("ann"))
		}
		holds("begun anew", "ann 192.0.2.1 1", "ann 192.0.2.1 1", "ann 192.0.2.1 4", "ann 192.0.2.2 1", "bob 192.0.2.1 1")

		for range 2 {
			r.Stop(t.Context())
		}
		holds("after the end", "ann 192.0.2.1 1", "ann 192.0.2.1 1", "ann 192.0.2.1 2", "ann 192.0.2.1 4", "ann 192.0.2.2 1", "bob 192.0.2.1 1")
		<-time.After(time.Hour)
		holds("an hour after the end", "ann 192.0.2.1 1", "ann 192.0.2.1 1", "ann 192.0.2.1 2", "ann 192.0.2.1 4", "ann 192.0.2.2 1", "bob 192.0.2.1 1")
	})
}

// The same on both databases, without the minute.
func TestRepeatsStop(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRepeats(db)
		r.Stop(t.Context()) // before the start
		ctx, cancel := context.WithCancel(t.Context())
		r.Start(ctx)
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				for range 10 {
					r.Record(from(t, "192.0.2.1"), failed("ann"))
				}
			})
		}
		all.Wait()
		cancel()
		r.Stop(ctx) // is over already
		if diff := cmp.Diff([]string{"ann 192.0.2.1 1", "ann 192.0.2.1 319"}, told(t, db)); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

// However many different things are tried, there are few entries; their sum is
// right, though the clock be set back.
func TestRepeatsFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		r, c := newRepeats(db), newClock()
		r.Now = c.Now
		r.Start(t.Context())
		const minutes, each = 2, 400
		for minute := range minutes {
			for i := range each {
				r.Record(from(t, fmt.Sprint("2001:db8::", i)), failed("ann"))
			}
			c.set(c.Now().AddDate(-1, 0, 0))
			<-time.After(time.Minute)
			synctest.Wait()
			if got, want := number(t, db, `SELECT count(*) FROM audit`), int64(minute+1)*121; got != want {
				t.Errorf("there are %d entries after %d minutes, want %d", got, minute+1, want)
			}
		}
		r.Stop(t.Context())
		if got, want := number(t, db, `SELECT sum(times) FROM audit`), int64(minutes*each); got != want {
			t.Errorf("the entries tell of %d, want %d", got, want)
		}
		rest := entries(t, db, gathering.AuditFilter{Limit: 1})[0]
		rest.ID, rest.At = 0, time.Time{}
		want := gathering.AuditEntry{Action: "auth.signed_in", Outcome: gathering.OutcomeFailed, Reason: "of many, each for the first time", Times: each - 120}
		if diff := cmp.Diff(want, rest); diff != "" {
			t.Errorf("the rest of a minute (-want +got):\n%s", diff)
		}
	})
}

// Whatever those say of themselves who try, little of it stays in memory.
func TestRepeatsMemory(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	seen, _ := db.Through(func(context.Context, store.Access) error { return nil }) // nothing is written
	r := newRepeats(seen)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range 150 {
		long := fmt.Sprint(i) + strings.Repeat("x", 1<<20)
		for range 2 {
			r.Record(audit.WithCaller(t.Context(), audit.Caller{Address: long, Agent: long, Request: long}), failed(long))
		}
	}
	if grown := heap() - before; grown > 32<<20 { // other tests run beside this one
		t.Errorf("%d MB are kept", grown>>20)
	}
	r.Stop(t.Context())
}

// That the database is away is logged, and nothing else.
func TestRepeatsWithoutADatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		var away atomic.Bool
		away.Store(true)
		seen, _ := db.Through(func(ctx context.Context, a store.Access) error {
			if away.Load() {
				<-ctx.Done() // it does not answer
				return ctx.Err()
			}
			return a.Do()
		})
		var log bytes.Buffer
		r := newRepeats(seen)
		r.Logger = slog.New(slog.NewTextHandler(&log, nil))
		r.Start(t.Context())
		begun := time.Now()
		ctx, cancel := context.WithCancel(from(t, "192.0.2.1"))
		r.Record(ctx, failed("ann"))
		r.Record(ctx, failed("ann"))
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("who is refused waited %s", took)
		}
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if got := strings.Count(log.String(), "audit entries were not written"); got != 2 {
			t.Errorf("it is logged %d times:\n%s", got, log.String())
		}
		away.Store(false)
		cancel() // who asked is gone, and it is written all the same
		r.Record(ctx, failed("ann"))
		r.Record(ctx, failed("ann"))
		r.Stop(t.Context())
		if diff := cmp.Diff([]string{"ann 192.0.2.1 1", "ann 192.0.2.1 1"}, told(t, db)); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

// What was counted is written though the program ends at that moment.
func TestRepeatsStopMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		var slow atomic.Bool
		seen, _ := db.Through(func(ctx context.Context, a store.Access) error {
			if slow.Load() {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					return errors.New("it was given up")
				}
			}
			return a.Do()
		})
		r := newRepeats(seen)
		r.Start(t.Context())
		r.Record(from(t, "192.0.2.1"), failed("ann"))
		r.Record(from(t, "192.0.2.1"), failed("ann"))
		slow.Store(true)
		<-time.After(time.Minute + 100*time.Millisecond)
		r.Stop(t.Context())
		if diff := cmp.Diff([]string{"ann 192.0.2.1 1", "ann 192.0.2.1 1"}, told(t, db)); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

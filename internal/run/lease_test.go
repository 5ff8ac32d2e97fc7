package run_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/run"
	"gathering/internal/vital"
)

// An instance acts for its runs until four beats after its last good one began.
func TestLease(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLease(func() time.Time { return now })
	held := func(what string, want bool) {
		t.Helper()
		err := run.Fence(l)
		if (err == nil) != want {
			t.Errorf("%s: got %v", what, err)
		}
		if err != nil && (gathering.KindOf(err) != gathering.KindUnavailable || gathering.CodeOf(err) != gathering.CodeFenced) {
			t.Errorf("%s: got %v, want it unavailable and fenced", what, err)
		}
	}
	held("at the beginning", true)
	now = now.Add(8*time.Second - time.Nanosecond)
	held("just before its end", true)
	l.Renew(now)
	begun := now
	now = now.Add(7 * time.Second)
	held("after a beat", true)
	l.Renew(begun.Add(time.Second)) // the beat took six seconds: what counts is when it began
	now = now.Add(2*time.Second - time.Nanosecond)
	held("after a slow beat", true)
	now = now.Add(time.Nanosecond)
	held("at the end of a slow beat's lease", false)
	l.Renew(now)
	held("after a beat that came too late", false)

	l = newLease(func() time.Time { return now })
	held("of another instance", true)
	now = now.Add(9 * time.Second)
	l.Renew(now) // nobody had asked in between
	held("after a gap", false)

	l = newLease(func() time.Time { return now })
	l.End()
	l.Renew(now)
	held("taken for dead", false)
}

// What is done outside waits while others might take the instance for dead,
// for the next beat or for the end of the lease.
func TestEffectsWaitForABeat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		age   time.Duration // of the last good beat
		beat  time.Duration // when the next one comes; 0 is never
		stop  time.Duration // when the shift ends; 0 is never
		waits time.Duration
		fails bool
	}{
		{"fresh", time.Second, 0, 0, 0, false},
		{"a beat in time", 5 * time.Second, time.Second, 0, time.Second, false},
		{"no beat", 5 * time.Second, 0, 0, 3 * time.Second, true},
		{"the shift ends", 5 * time.Second, 0, time.Second, time.Second, true},
		{"over", 8 * time.Second, 0, 0, 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLease(time.Now)
				<-time.After(test.age)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.beat > 0 {
					time.AfterFunc(test.beat, func() { l.Renew(time.Now()) })
				}
				if test.stop > 0 {
					time.AfterFunc(test.stop, cancel)
				}
				from := time.Now()
				err := run.Steady(ctx, l)
				if took := time.Since(from); took < test.waits || took > test.waits+100*time.Millisecond {
					t.Errorf("it waited %s, want %s", took, test.waits)
				}
				if (err != nil) != test.fails {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// newLease is that of an instance that beats every two seconds, begun now.
func newLease(now func() time.Time) *vital.Lease {
	l := vital.NewLease(8*time.Second, now)
	l.Begin(now())
	return l
}

package run_test

import (
	"testing"
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

// newLease is that of an instance that beats every two seconds, begun now.
func newLease(now func() time.Time) *vital.Lease {
	l := vital.NewLease(8*time.Second, now)
	l.Begin(now())
	return l
}

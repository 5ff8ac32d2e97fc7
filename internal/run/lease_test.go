package run_test

import (
	"testing"
	"time"

	"gathering"
	"gathering/internal/run"
)

// An instance acts for its runs until four beats after its last good one began.
func TestLease(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := run.NewLease(2*time.Second, func() time.Time { return now })
	held := func(what string, want bool) {
		t.Helper()
		err := l.Fence()
		if (err == nil) != want {
			t.Errorf("%s: got %v", what, err)
		}
		if err != nil && (gathering.KindOf(err) != gathering.KindUnavailable || gathering.CodeOf(err) != gathering.CodeFenced) {
			t.Errorf("%s: got %v, want it unavailable and fenced", what, err)
		}
	}
	held("before the first beat", false)
	l.Renew(now)
	held("at the beat", true)
	now = now.Add(8*time.Second - time.Nanosecond)
	held("just before its end", true)
	now = now.Add(time.Nanosecond)
	held("at its end", false)
	begun := now
	now = now.Add(7 * time.Second) // the beat took long: what counts is when it began
	l.Renew(begun)
	held("after a slow beat", true)
	now = now.Add(time.Second)
	held("at the end of a slow beat's lease", false)
	l.Renew(now)
	held("after another beat", true)
	l.End()
	held("taken for dead", false)
}

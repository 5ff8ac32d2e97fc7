package engine

import (
	"time"

	"gathering"
)

// due does whatever is due by now: waits that end, attempts to be repeated,
// times that are up.
func (t *turn) due() {
	if d := t.s.deadline(); !d.IsZero() && !t.now.Before(d) {
		t.stop(stopTimedOut, gathering.FailureOf(gathering.NewError(gathering.KindTimeout,
			"the run did not end within its timeout of %s", t.g.Timeout)), "")
	}
	for i := range t.s.all() {
		at := t.s.nodeDue(i)
		if at.IsZero() || t.now.Before(at) {
			continue
		}
		switch t.s.nodes[i].state {
		case gathering.NodeRunning:
			if !t.lost || t.s.nodes[i].fan != nil {
				t.overdue(i)
			}
		case gathering.NodeWaiting, gathering.NodeRetrying:
			t.wake(i)
		default:
		}
	}
}

// wake ends a wait or begins the next attempt, unless the node's total time is up.
func (t *turn) wake(i int) {
	n := &t.s.nodes[i]
	switch limit := t.s.waitLimit(i); {
	case !limit.IsZero() && !t.now.Before(limit):
		t.waitedTooLong(i)
	case n.state == gathering.NodeWaiting:
		t.completed(i, Outcome{})
	default:
		t.again(i)
	}
}

// waitedTooLong fails a node whose time is up while it waits. A child run is
// stopped first, and what follows is decided at its end: it may still act.
func (t *turn) waitedTooLong(i int) {
	n := &t.s.nodes[i]
	failure := gathering.FailureOf(errTooLong)
	switch {
	case n.state == gathering.NodeWaiting && n.child != "":
		t.halt(i, failure)
	case n.state == gathering.NodeWaiting && t.mayRetry(i, failure, 0):
		t.retry(i, failure, t.backoff(i, 0))
	default:
		t.conclude(i, failure)
	}
}

// again begins the next attempt of a node that failed before.
func (t *turn) again(i int) {
	n := &t.s.nodes[i]
	if do, ok := n.spec.Do.(Child); ok {
		t.child(i, do, t.s.scope(i), n.input)
		return
	}
	next := n.attempt + 1
	if n.uncounted {
		next = n.attempt
	}
	t.begin(i, next, nil)
}

var errTooLong = gathering.NewError(gathering.KindTimeout, "the node did not end in the time allowed")

// overdue stops a map whose time is up, and gives up waiting for work that was
// told to stop and did not. The run fails with it, unless nobody needs the work
// any more.
func (t *turn) overdue(i int) {
	if t.s.nodes[i].fan != nil {
		t.halt(i, gathering.FailureOf(errTooLong))
		return
	}
	path, needed := t.s.Path(i), !t.s.halting(i)
	t.emitNode(gathering.EventNodeAbandoned, i, t.s.nodes[i].attempt, nil)
	t.effect(StopWork{i})
	if !needed {
		return
	}
	t.stop(stopFailed, gathering.FailureOf(gathering.NewError(gathering.KindTimeout,
		"node %s: it was told to stop and did not within %s", path, stopGrace)), "")
}

// NextDue is when the run moves by itself next; zero is never.
func (s *State) NextDue() time.Time {
	next := time.Time{}
	if s.stopping == "" {
		next = s.deadline()
	}
	for i := range s.nodes {
		next = earlier(next, s.nodeDue(i))
	}
	return next
}

// nodeDue is when a node moves by itself next; zero is never.
func (s *State) nodeDue(i int) time.Time {
	n := &s.nodes[i]
	if n.state != gathering.NodeRunning && n.state != gathering.NodeWaiting && n.state != gathering.NodeRetrying {
		return time.Time{}
	}
	since := s.haltingSince(i)
	switch {
	case n.state != gathering.NodeRunning && (s.paused || s.holding || !since.IsZero()):
		return time.Time{}
	case n.state != gathering.NodeRunning:
		return earlier(n.due, s.waitLimit(i))
	case n.fan != nil && (s.paused || !since.IsZero()):
		return time.Time{} // its items are waited for
	case n.fan != nil:
		return s.attemptDeadline(i)
	case !since.IsZero():
		return since.Add(stopGrace)
	}
	if d := s.attemptDeadline(i); !d.IsZero() {
		return d.Add(stopGrace)
	}
	return time.Time{}
}

func (s *State) deadline() time.Time {
	if s.graph.Timeout == 0 || s.QueuedAt.IsZero() {
		return time.Time{}
	}
	return s.QueuedAt.Add(s.graph.Timeout)
}

func (s *State) totalDeadline(i int) time.Time {
	if s.nodes[i].spec.TotalTimeout == 0 {
		return time.Time{}
	}
	return s.nodes[i].startedAt.Add(s.nodes[i].spec.TotalTimeout)
}

// waitLimit is when a wait has lasted too long: an attempt's timeout bounds
// the wait of that attempt, the total timeout the pauses between attempts too.
func (s *State) waitLimit(i int) time.Time {
	if s.nodes[i].state == gathering.NodeRetrying {
		return s.totalDeadline(i)
	}
	return s.attemptDeadline(i)
}

// attemptDeadline is when the attempt under way must have ended.
func (s *State) attemptDeadline(i int) time.Time {
	d := s.totalDeadline(i)
	if timeout := s.nodes[i].spec.Timeout; timeout > 0 {
		d = earlier(d, s.nodes[i].attemptAt.Add(timeout))
	}
	return d
}

// earlier is the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

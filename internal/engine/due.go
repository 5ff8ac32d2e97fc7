package engine

import (
	"encoding/json"
	"fmt"
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
	for _, i := range t.g.order {
		at := t.s.nodeDue(i)
		if at.IsZero() || t.now.Before(at) {
			continue
		}
		switch t.s.nodes[i].state {
		case gathering.NodeRunning:
			t.abandon(i)
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

func (t *turn) waitedTooLong(i int) {
	n := &t.s.nodes[i]
	failure := gathering.FailureOf(gathering.NewError(gathering.KindTimeout, "the node did not end in the time allowed"))
	if n.state == gathering.NodeWaiting {
		if n.child != "" {
			t.effect(CancelChild{n.child})
		}
		if t.mayRetry(i, failure, 0) {
			t.retry(i, failure, t.backoff(i, 0))
			return
		}
	}
	t.failed(i, failure)
}

// again begins the next attempt of a node that failed before.
func (t *turn) again(i int) {
	n := &t.s.nodes[i]
	if do, ok := t.g.nodes[i].Do.(Child); ok {
		t.child(i, do, t.s.scope(i), n.input)
		return
	}
	t.begin(i, n.attempt+1, nil)
}

// abandon gives up waiting for work that was told to stop and did not.
func (t *turn) abandon(i int) {
	t.emitNode(gathering.EventNodeAbandoned, i, t.s.nodes[i].attempt, nil)
	t.effect(StopWork{i})
	t.stop(stopFailed, gathering.FailureOf(gathering.NewError(gathering.KindTimeout,
		"node %s: it was told to stop and did not within %s", t.g.nodes[i].ID, stopGrace)), "")
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
	switch n.state {
	case gathering.NodeRunning:
		if s.stopping != "" {
			return s.stoppingAt.Add(stopGrace)
		}
		if d := s.attemptDeadline(i); !d.IsZero() {
			return d.Add(stopGrace)
		}
	case gathering.NodeWaiting, gathering.NodeRetrying:
		if s.stopping == "" {
			return earlier(n.due, s.waitLimit(i))
		}
	default:
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
	if s.graph.nodes[i].TotalTimeout == 0 {
		return time.Time{}
	}
	return s.nodes[i].startedAt.Add(s.graph.nodes[i].TotalTimeout)
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
	if timeout := s.graph.nodes[i].Timeout; timeout > 0 {
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

func (t *turn) mails(list []Mail) {
	for _, m := range list {
		t.mail(m)
	}
}

// mail takes an entry of the inbox. One that has nothing to say any more, or
// that nobody can read, changes nothing.
func (t *turn) mail(m Mail) {
	switch m.Kind {
	case MailCancel:
		var c CancelMail
		if t.read(m, &c) {
			t.stop(stopCancelled, nil, c.By)
		}
	case MailChildEnded:
		var c ChildEndedMail
		if t.read(m, &c) {
			t.childEnded(m, c)
		}
	case MailDecide:
		var d DecideMail
		if t.read(m, &d) {
			t.decided(d)
		}
	case MailWake:
		t.due()
	}
}

func (t *turn) read(m Mail, into any) bool {
	if len(m.Data) == 0 {
		return true
	}
	if err := json.Unmarshal(m.Data, into); err != nil {
		t.drop(m, err)
		return false
	}
	return true
}

// drop passes over mail that makes no sense: a run is not to be lost for it.
func (t *turn) drop(m Mail, why error) {
	t.Dropped = append(t.Dropped, fmt.Errorf("read %s mail %s of %s: %w", m.Kind, m.ID, t.s.ID, why))
}

func (t *turn) childEnded(m Mail, c ChildEndedMail) {
	i, err := t.g.node(c.Node)
	if err != nil {
		t.drop(m, err)
		return
	}
	n := &t.s.nodes[i]
	if n.state != gathering.NodeWaiting || n.child != c.Run {
		return
	}
	switch {
	case c.State == gathering.RunCompleted:
		t.completed(i, Outcome{Output: c.Output})
	case t.s.stopping != "":
		t.cancelNode(i)
	default:
		failure := childFailure(c)
		if t.mayRetry(i, failure, 0) {
			t.retry(i, failure, t.backoff(i, 0))
			return
		}
		t.failed(i, failure)
	}
}

func childFailure(c ChildEndedMail) *gathering.Failure {
	f := &gathering.Failure{Kind: gathering.KindConflict, Message: "child run " + string(c.Run) + " ended as " + string(c.State)}
	if c.Failure != nil {
		f.Kind, f.Code, f.Fields = c.Failure.Kind, c.Failure.Code, c.Failure.Fields
		f.Message += ": " + c.Failure.Message
	}
	return f
}

func (t *turn) decided(d DecideMail) {
	i, err := t.g.node(d.Node)
	if err != nil || t.s.nodes[i].state != gathering.NodeUnknown {
		return // decided already, or never asked
	}
	switch d.As {
	case "done":
		t.completed(i, Outcome{Output: d.Output})
	case "retry":
		if t.s.stopping == "" {
			t.retry(i, t.s.nodes[i].failure, 0)
			t.again(i)
		}
	case "fail":
		t.failed(i, t.s.nodes[i].failure)
	}
}

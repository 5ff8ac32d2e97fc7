package engine

import (
	"encoding/json"
	"fmt"

	"gathering"
)

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
	case MailPause:
		var p PauseMail
		if t.read(m, &p) {
			t.pause(p.By)
		}
	case MailResume:
		var r ResumeMail
		if t.read(m, &r) {
			t.unpause(r.By)
		}
	case MailChildEnded:
		var c ChildEndedMail
		if t.read(m, &c) {
			t.childEnded(m, c)
		}
	case MailChildBegun:
		var c ChildBegunMail
		if t.read(m, &c) {
			t.childBegun(m, c)
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
	i, err := t.s.find(c.Node)
	if err != nil {
		t.drop(m, err)
		return
	}
	n := &t.s.nodes[i]
	if n.state != gathering.NodeWaiting || n.child != c.Run {
		return
	}
	failure := childFailure(c)
	if t.s.failing(i) && !c.MayHaveActed {
		failure = n.failure
	}
	switch {
	case c.State == gathering.RunCompleted:
		t.completed(i, Outcome{Output: c.Output})
	case c.MayHaveActed && t.mayRepeat(i), !t.s.unneeded(i) && t.mayRetry(i, failure, 0):
		t.retry(i, failure, t.backoff(i, 0))
	case c.MayHaveActed:
		t.unknown(i, failure.Err())
	case t.s.unneeded(i):
		t.cancelNode(i)
	default:
		t.conclude(i, failure)
	}
}

// childBegun ends a node that only starts a child run.
func (t *turn) childBegun(m Mail, c ChildBegunMail) {
	i, err := t.s.find(c.Node)
	if err != nil {
		t.drop(m, err)
		return
	}
	if n := &t.s.nodes[i]; n.state == gathering.NodeWaiting && n.child == c.Run {
		t.completed(i, Outcome{Output: json.RawMessage(`{"run":"` + string(c.Run) + `"}`)})
	}
}

func childFailure(c ChildEndedMail) *gathering.Failure {
	f := &gathering.Failure{Kind: gathering.KindConflict, Message: "child run " + string(c.Run) + " ended as " + string(c.State)}
	if c.Failure != nil {
		f.Kind, f.Code, f.Fields = c.Failure.Kind, c.Failure.Code, c.Failure.Fields
		f.Message += ": " + c.Failure.Message
	}
	if c.MayHaveActed {
		f.Kind, f.Code, f.Fields = gathering.KindConflict, gathering.CodeUnknownOutcome, nil
		f.Message += "; it may have acted and nobody can tell"
	}
	return f
}

// CheckDecision returns which attempt of the node a decision is about, or why it
// would change nothing: an error of kind invalid or not_found, or where its
// time is not now, conflict.
func (s *State) CheckDecision(d DecideMail) (attempt int, err error) {
	if d.As != DecideDone && d.As != DecideRetry && d.As != DecideFail {
		return 0, gathering.NewError(gathering.KindInvalid, "an unknown outcome is decided as done, retry or fail").
			WithFields(gathering.FieldError{Field: "as", Problem: "must be done, retry or fail"})
	}
	if d.Output != nil && d.As != DecideDone {
		return 0, gathering.NewError(gathering.KindInvalid, "only what is done has an output").
			WithFields(gathering.FieldError{Field: "output", Problem: "goes with as: done"})
	}
	i, err := s.find(d.Node)
	if err != nil {
		return 0, gathering.NewError(gathering.KindNotFound, "run %s has no node %q", s.ID, d.Node)
	}
	n := &s.nodes[i]
	switch {
	case n.state != gathering.NodeUnknown:
		return 0, gathering.NewError(gathering.KindConflict, "the outcome of node %s is not unknown: it is %s", d.Node, n.state)
	case d.Attempt != 0 && d.Attempt != n.attempt:
		return 0, gathering.NewError(gathering.KindConflict, "attempt %d of node %s is decided; what is unknown is attempt %d", d.Attempt, d.Node, n.attempt)
	case d.As == DecideRetry && s.halting(i):
		return 0, gathering.NewError(gathering.KindConflict, "node %s is being stopped: decide it as done or fail", d.Node)
	}
	if work, ok := n.spec.Do.(Work); ok && work.Admits != nil && d.As == DecideDone {
		if err := work.Admits(d.Output); err != nil {
			return 0, err
		}
	}
	return n.attempt, nil
}

// decided ends an unknown outcome as somebody says. One that was decided
// already, or of which nobody asked, stays as it is.
func (t *turn) decided(d DecideMail) {
	if _, err := t.s.CheckDecision(d); err != nil {
		return
	}
	i, err := t.s.find(d.Node)
	if err != nil {
		return
	}
	n := &t.s.nodes[i]
	t.emitNode(gathering.EventNodeDecided, i, n.attempt, &gathering.NodeDecidedData{As: d.As, By: d.By})
	switch d.As {
	case DecideRetry:
		t.retry(i, n.failure, 0)
		if !t.resting() {
			t.again(i)
		}
	case DecideDone:
		t.completed(i, Outcome{Output: d.Output})
	default:
		t.failed(i, n.failure)
	}
}

// pause keeps the run, and the runs that it waits for, from beginning anything.
func (t *turn) pause(by string) {
	if t.s.paused || t.s.stopping != "" {
		return
	}
	t.emit(gathering.EventRunPaused, &gathering.RunPausedData{By: by})
	t.tellChildren(MailPause)
}

// unpause lets the run go on with what was left open and what is due by now.
func (t *turn) unpause(by string) {
	if !t.s.paused || t.s.stopping != "" {
		return
	}
	t.emit(gathering.EventRunResumed, &gathering.RunResumedData{Unpaused: true, By: by})
	t.tellChildren(MailResume)
	t.due()
}

func (t *turn) tellChildren(kind MailKind) {
	for i := range t.s.all() {
		if n := &t.s.nodes[i]; n.state == gathering.NodeWaiting && n.child != "" && !n.detached {
			t.tell(n.child, kind)
		}
	}
}

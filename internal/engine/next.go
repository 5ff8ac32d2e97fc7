package engine

import (
	"fmt"
	"runtime/debug"
	"time"

	"gathering"
)

// Turn is what one message brought about.
type Turn struct {
	Events  []gathering.Event
	Effects []Effect
	// Dropped says which mail could not be made sense of and was passed over.
	Dropped []error
}

// stopGrace is how long work that was told to stop may take before it is
// abandoned.
const stopGrace = 30 * time.Second

// Reasons to stop a run.
const (
	stopCancelled = "cancelled"
	stopTimedOut  = "timed_out"
	stopFailed    = "failed"
)

// Next moves the run by one message: it applies the events it returns to s.
// A run that has ended moves no more. The error says that the message or the
// state is not one that can occur, or that a node panicked while it was
// decided; the state is then of no use any more.
func Next(s *State, now time.Time, m Message) (turn Turn, err error) {
	if s.Run.Terminal() {
		return Turn{}, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decide what follows in %s: panic: %v\n%s", s.ID, p, debug.Stack())
		}
	}()
	t := newTurn(s, now)
	t.message(m)
	t.settle()
	return t.Turn, t.err
}

// turn gathers what one message brings about.
type turn struct {
	Turn

	s   *State
	g   *Graph
	now time.Time
	err error
}

// newTurn begins a turn at now, cut to the microseconds that the log keeps.
func newTurn(s *State, now time.Time) *turn {
	return &turn{s: s, g: s.graph, now: now.UTC().Truncate(time.Microsecond)}
}

func (t *turn) message(m Message) {
	switch m := m.(type) {
	case Begin:
		t.emit(gathering.EventRunStarted, nil)
		t.due()
	case Takeover:
		t.takeover(m)
		t.due()
	case Finished:
		t.finished(m)
	case Stepped:
		t.stepped(m)
	case Mail:
		t.mail(m)
	case Tick:
		t.due()
	}
}

func (t *turn) emit(kind gathering.EventType, data any) {
	t.event(gathering.Event{Type: kind}, data)
}

func (t *turn) emitNode(kind gathering.EventType, i, attempt int, data any) {
	t.event(gathering.Event{Type: kind, Node: t.g.nodes[i].ID, Attempt: attempt}, data)
}

func (t *turn) event(e gathering.Event, data any) {
	e.Stream, e.Seq, e.At = string(t.s.ID), t.s.Seq+1, t.now
	if data != nil {
		raw, err := encodeData(data)
		if err != nil {
			t.err = err
			return
		}
		e.Data = raw
	}
	t.Events = append(t.Events, e)
	t.s.apply(e, data)
}

func (t *turn) effect(e Effect) { t.Effects = append(t.Effects, e) }

// settle looks at every node whose incoming edges are decided until nothing
// moves, and ends the run when nothing is left. While the owner lets go of the
// run no node is begun; the next owner settles what was left open.
func (t *turn) settle() {
	for !t.s.holding && len(t.s.undecided) > 0 && t.err == nil {
		i := t.s.undecided[0]
		t.s.undecided = t.s.undecided[1:]
		switch {
		case t.s.nodes[i].state != gathering.NodePending:
		case t.s.stopping != "":
			t.skip(i, "run ended")
		case t.s.nodes[i].inTaken == 0 && len(t.g.in[i]) > 0:
			t.skip(i, "no edge taken")
		default:
			t.start(i)
		}
	}
	if t.err == nil && !t.s.StartedAt.IsZero() && t.idle() {
		t.endRun()
	}
}

// idle reports whether nothing will move the run any more. A node of unknown
// outcome holds a run up, but not one that is being stopped.
func (t *turn) idle() bool {
	if t.s.stopping == "" {
		return t.s.active == 0 && t.s.pending == 0
	}
	for i := range t.s.nodes {
		if st := t.s.nodes[i].state; !st.Terminal() && st != gathering.NodeUnknown {
			return false
		}
	}
	return true
}

func (t *turn) skip(i int, reason string) {
	t.emitNode(gathering.EventNodeSkipped, i, 0, &gathering.NodeSkippedData{Reason: reason})
}

func (t *turn) endRun() {
	end := &gathering.RunEndedData{Failure: t.s.Failure}
	switch t.s.stopping {
	case stopCancelled:
		t.emit(gathering.EventRunCancelled, end)
	case stopTimedOut:
		t.emit(gathering.EventRunTimedOut, end)
	case stopFailed:
		t.emit(gathering.EventRunFailed, end)
	default:
		if t.g.Output != nil {
			output, err := t.g.Output(t.s.scope(-1))
			if err != nil {
				end.Failure = gathering.FailureOf(err)
				t.emit(gathering.EventRunFailed, end)
				return
			}
			end.Output = output
		}
		t.emit(gathering.EventRunCompleted, end)
	}
}

// stop begins to stop the run: nodes not begun are skipped, waits end, work
// under way is told to stop. The run ends when all of it has.
func (t *turn) stop(reason string, failure *gathering.Failure, by string) {
	if t.s.stopping != "" {
		return
	}
	t.emit(gathering.EventRunCancelling, &gathering.RunCancellingData{Reason: reason, Failure: failure, By: by})
	for _, i := range t.g.order {
		n := &t.s.nodes[i]
		switch n.state {
		case gathering.NodePending:
			t.skip(i, "run ended")
		case gathering.NodeRetrying:
			t.cancelNode(i)
		case gathering.NodeWaiting:
			if n.child == "" {
				t.cancelNode(i)
			} else {
				t.effect(CancelChild{n.child})
			}
		case gathering.NodeRunning:
			t.effect(StopWork{i})
		default:
		}
	}
}

func (t *turn) cancelNode(i int) {
	t.emitNode(gathering.EventNodeCancelled, i, t.s.nodes[i].attempt, nil)
}

func (t *turn) takeover(m Takeover) {
	if t.s.Run == gathering.RunQueued {
		t.emit(gathering.EventRunStarted, nil)
		t.mails(m.Mail)
		return
	}
	var interrupted []string
	var running []int
	for _, i := range t.g.order {
		if t.s.nodes[i].state == gathering.NodeRunning {
			running = append(running, i)
			interrupted = append(interrupted, t.g.nodes[i].ID)
		}
	}
	t.emit(gathering.EventRunResumed, &gathering.RunResumedData{
		Instance: m.Instance, Crashed: m.Crashed, Interrupted: interrupted,
	})
	t.mails(m.Mail)
	for _, i := range running {
		t.interrupted(i)
	}
}

// interrupted decides about an attempt whose process is gone. It did not count.
func (t *turn) interrupted(i int) {
	n := &t.g.nodes[i]
	work, ok := n.Do.(Work)
	switch {
	case !ok: // cannot happen: only work is ever running after its turn
		t.startAgain(i)
	case work.Idempotent && t.s.stopping != "":
		t.cancelNode(i)
	case work.Idempotent || t.s.stopping == "" && n.OnUnknown == gathering.OnUnknownRetry:
		t.startAgain(i)
	default:
		t.unknown(i, gathering.NewError(gathering.KindConflict,
			"the attempt was interrupted and may have acted; nobody can tell").WithCode(gathering.CodeUnknownOutcome))
	}
}

// unknown handles an attempt that may or may not have acted, as the node's
// OnUnknown says.
func (t *turn) unknown(i int, err error) {
	n := &t.g.nodes[i]
	failure := gathering.FailureOf(err)
	if n.OnUnknown == gathering.OnUnknownFail && t.s.stopping == "" {
		t.failed(i, failure)
		return
	}
	t.emitNode(gathering.EventNodeUnknown, i, t.s.nodes[i].attempt,
		&gathering.NodeFailedData{State: gathering.NodeUnknown, Failure: failure})
}

func (t *turn) stepped(m Stepped) {
	i, ok := t.current(m.Node, m.Attempt)
	if !ok {
		return
	}
	kind := gathering.EventStepTool
	if m.Step.Kind == gathering.StepModel {
		kind = gathering.EventStepModel
	}
	t.emitNode(kind, i, m.Attempt, &m.Step)
}

// current finds the node of a message from an attempt and reports whether that
// attempt is still the one under way. Whatever comes from another is too late.
func (t *turn) current(id string, attempt int) (int, bool) {
	i, err := t.g.node(id)
	if err != nil {
		t.err = err
		return 0, false
	}
	n := &t.s.nodes[i]
	return i, n.state == gathering.NodeRunning && n.attempt == attempt
}

// Queue is the first turn of a run: it holds what the run begins with.
func Queue(s *State, now time.Time, data gathering.RunQueuedData) (Turn, error) {
	t := newTurn(s, now)
	t.emit(gathering.EventRunQueued, &data)
	return t.Turn, t.err
}

// GiveUp is the commit that ends a run whose state cannot be folded, after its
// last event.
func GiveUp(last gathering.Event, now time.Time, reason error) (Commit, error) {
	end := &gathering.RunEndedData{Failure: gathering.FailureOf(reason)}
	data, err := encodeData(end)
	if err != nil {
		return Commit{}, err
	}
	return Commit{
		Events: []gathering.Event{{
			Stream: last.Stream, Seq: last.Seq + 1, Type: gathering.EventRunFailed,
			At: now.UTC().Truncate(time.Microsecond), Data: data,
		}},
		State: gathering.RunFailed,
		Ended: end,
	}, nil
}

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
	// lost: what is said to be under way was lost with the former owner, and is
	// still to be decided about.
	lost bool
}

// newTurn begins a turn at now, cut to the microseconds that the log keeps.
func newTurn(s *State, now time.Time) *turn {
	t := &turn{s: s, g: s.graph, now: now.UTC().Truncate(time.Microsecond)}
	t.Events = make([]gathering.Event, 0, 2) // most turns end a node and start the next
	return t
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
	e := gathering.Event{Type: kind, Node: t.s.nodes[i].spec.ID, Attempt: attempt}
	if item := t.s.nodes[i].item; item >= 0 {
		e.Item = &item
	}
	t.event(e, data)
}

func (t *turn) event(e gathering.Event, data any) {
	e.Stream, e.Seq, e.At = string(t.s.ID), t.s.Seq+1, t.now
	if data != nil {
		gathering.CompactRunData(data)
		raw, err := encodeData(data)
		if err != nil {
			t.err = err
			return
		}
		e.Data = raw
	}
	if err := t.s.apply(e, data); err != nil {
		t.err = err
		return
	}
	t.Events = append(t.Events, e)
}

func (t *turn) effect(e Effect) { t.Effects = append(t.Effects, e) }

// settle looks at every node whose turn may have come until nothing moves, and
// ends the run when nothing is left. While the run is paused or its owner lets
// go of it nothing is begun; what was left open is settled later.
func (t *turn) settle() {
	t.checkLength()
	for t.err == nil && !t.resting() && t.look() {
		t.checkLength()
	}
	if t.err == nil && !t.s.StartedAt.IsZero() && t.idle() {
		t.endRun()
	}
}

// checkLength stops a run whose log is full.
func (t *turn) checkLength() {
	if t.err == nil && t.s.Seq-t.s.rests >= gathering.MaxEvents {
		t.stop(stopFailed, gathering.FailureOf(gathering.NewError(gathering.KindTooLarge,
			"the run's log is over the limit of %d events", gathering.MaxEvents).WithCode(gathering.CodeTooLong)), "")
	}
}

// look looks at one node or map that may move, or reports that there is none.
func (t *turn) look() bool {
	switch s := t.s; {
	case len(s.undecided) > 0:
		i := s.undecided[0]
		s.undecided = s.undecided[1:]
		t.turnOf(i)
	case len(s.maps) > 0:
		i := s.maps[0]
		s.maps = s.maps[1:]
		s.nodes[i].fan.queued = false
		t.advance(i)
	default:
		return false
	}
	return true
}

// resting reports whether nothing may be begun or decided now.
func (t *turn) resting() bool {
	return t.s.holding || t.s.paused && t.s.stopping == ""
}

// turnOf decides about a node that is pending and of whose incoming edges it
// is known whether they let it run.
func (t *turn) turnOf(i int) {
	n := &t.s.nodes[i]
	switch {
	case n.state != gathering.NodePending:
	case t.s.stopping != "":
		t.skip(i, skippedEnd)
	case n.inTaken < max(n.need(), 1) && len(t.g.in[i]) > 0:
		t.skip(i, skippedDead)
	default:
		t.start(i)
	}
}

// Why a node was skipped.
const (
	skippedEnd    = "run ended"
	skippedDead   = "no edge taken"
	skippedUnused = "not needed"
)

// idle reports whether nothing will move the run any more. A node of unknown
// outcome holds a run up, but not one that is being stopped.
func (t *turn) idle() bool {
	if t.s.stopping != "" {
		return t.s.active == t.s.unknown && t.s.pending == 0
	}
	return t.s.active == 0 && t.s.pending == 0
}

func (t *turn) skip(i int, reason string) {
	t.emitNode(gathering.EventNodeSkipped, i, 0, &gathering.NodeSkippedData{Reason: reason})
}

func (t *turn) endRun() {
	end := &gathering.RunEndedData{Failure: t.s.Failure, MayHaveActed: t.s.leavesOpen()}
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
	for i := range t.s.all() {
		t.end(i, skippedEnd)
	}
}

// halt stops node i while the run goes on. With a failure a map, or a node that
// waits for a child run, fails as soon as that has stopped.
func (t *turn) halt(i int, failure *gathering.Failure) {
	n := &t.s.nodes[i]
	switch {
	case n.state == gathering.NodeRunning, n.state == gathering.NodeUnknown, n.state == gathering.NodeWaiting && n.child != "":
		t.emitNode(gathering.EventNodeStopping, i, n.attempt, &gathering.NodeStoppingData{Failure: failure})
	default:
	}
	t.end(i, skippedUnused)
	if f := t.s.nodes[i].fan; f != nil {
		for k := range f.items {
			t.end(f.first+k, "")
		}
	}
}

// end ends node i where that can be done at once, and else tells what it does
// to stop. An item that has not begun needs no word.
func (t *turn) end(i int, skipped string) {
	n := &t.s.nodes[i]
	switch n.state {
	case gathering.NodePending:
		if n.item < 0 {
			t.skip(i, skipped)
		}
	case gathering.NodeRetrying:
		t.cancelNode(i)
	case gathering.NodeWaiting:
		switch {
		case n.child == "":
			t.cancelNode(i)
		case !n.detached: // of one that is, mail comes at once
			t.tell(n.child, MailCancel)
		}
	case gathering.NodeRunning:
		if n.fan != nil {
			t.s.lookAtMap(i)
		} else {
			t.effect(StopWork{i})
		}
	default:
	}
}

func (t *turn) tell(child gathering.RunID, kind MailKind) {
	t.effect(TellChild{ID: child, Kind: kind, Seq: t.s.Seq})
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
	for i := range t.s.all() {
		if t.s.nodes[i].state == gathering.NodeRunning && t.s.works(i) {
			running = append(running, i)
			interrupted = append(interrupted, t.s.Path(i))
		}
	}
	t.emit(gathering.EventRunResumed, &gathering.RunResumedData{
		Instance: m.Instance, Crashed: m.Crashed, Interrupted: interrupted,
	})
	t.lost = true
	t.mails(m.Mail)
	t.lost = false
	for _, i := range running {
		t.interrupted(i)
	}
}

// interrupted decides about an attempt whose process is gone. It did not count.
// Work that goes on from its steps asks itself about a call that they leave
// open, if it goes on.
func (t *turn) interrupted(i int) {
	n := t.s.nodes[i].spec
	work, _ := n.Do.(Work)
	harmless := work.Idempotent && !t.s.nodes[i].isOpen()
	again := work.Idempotent || n.OnUnknown == gathering.OnUnknownRetry
	total := t.s.totalDeadline(i)
	late := !total.IsZero() && !t.now.Before(total)
	switch halting := t.s.halting(i); {
	case halting && harmless:
		t.cancelNode(i)
	case again && !halting && t.s.paused:
		t.postpone(i, gathering.FailureOf(errInterrupted), 0)
	case again && !halting && !late:
		t.startAgain(i)
	case harmless:
		t.conclude(i, gathering.FailureOf(errTooLong))
	default:
		t.unknown(i, gathering.NewError(gathering.KindConflict,
			"the attempt was interrupted and may have acted; nobody can tell").WithCode(gathering.CodeUnknownOutcome))
	}
}

// unknown handles an attempt that may or may not have acted, as the node's
// OnUnknown says. One that is being stopped is not made again: where nobody is
// to be asked it failed. A run that is being stopped asks nobody, and keeps to
// what is known.
func (t *turn) unknown(i int, err error) {
	failure := gathering.FailureOf(err)
	on := t.s.nodes[i].spec.OnUnknown
	if t.s.stopping == "" && (on == gathering.OnUnknownFail || on == gathering.OnUnknownRetry && t.s.unneeded(i)) {
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
func (t *turn) current(path string, attempt int) (int, bool) {
	i, err := t.s.find(path)
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
	end := &gathering.RunEndedData{Failure: gathering.FailureOf(reason), MayHaveActed: true}
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

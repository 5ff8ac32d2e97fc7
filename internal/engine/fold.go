package engine

import (
	"fmt"
	"slices"
	"time"

	"gathering"
)

// Fold applies a recorded event. The error says that the log does not belong
// to the graph or is damaged.
func (s *State) Fold(e gathering.Event) error {
	data, err := e.RunData()
	if err != nil {
		return err
	}
	if e.Seq != s.Seq+1 {
		return fmt.Errorf("fold %s of %s: sequence %d follows %d", e.Type, s.ID, e.Seq, s.Seq)
	}
	if e.Node != "" {
		if _, err := s.item(e.Node, itemOf(e)); err != nil {
			return fmt.Errorf("fold %s %d of %s: %w", e.Type, e.Seq, s.ID, err)
		}
	}
	return s.apply(e, data)
}

func itemOf(e gathering.Event) int {
	if e.Item == nil {
		return -1
	}
	return *e.Item
}

func noItem(id string, item int) error {
	return fmt.Errorf("find item %d of %s: there is none", item, id)
}

// apply is the only place that changes a state. Its data has the type that
// [gathering.Event.RunData] gives. The error says that the log is damaged.
func (s *State) apply(e gathering.Event, data any) error {
	s.Seq = e.Seq
	s.shotBytes += min(len(e.Data), longValue)
	if e.Node != "" {
		i, err := s.item(e.Node, itemOf(e))
		if err != nil {
			return err
		}
		return s.applyNode(i, e, data)
	}
	switch d := data.(type) {
	case *gathering.RunQueuedData:
		s.queue(e, d)
	case *gathering.RunWaitingData:
		s.rests++
		s.resume(gathering.RunWaiting)
	case *gathering.RunPausedData:
		s.paused, s.pausedBy = true, d.By
		s.resume(gathering.RunPaused)
	case *gathering.RunResumedData:
		if !d.Unpaused {
			s.rests++
		}
		if d.Unpaused {
			s.paused, s.pausedBy = false, ""
		}
		s.resume(gathering.RunRunning)
		for _, path := range d.Interrupted {
			i, err := s.find(path)
			if err != nil {
				return err
			}
			s.interrupted(i, e.At)
		}
	case *gathering.RunCancellingData:
		s.Run, s.stopping, s.stoppingAt, s.Failure = gathering.RunCancelling, d.Reason, e.At, d.Failure
	case *gathering.RunEndedData:
		s.Run, s.EndedAt, s.Output, s.Failure = e.Type.EndState(), e.At, d.Output, d.Failure
		s.killPending()
	case nil: // run.started is the only event of a run without data
		s.StartedAt = e.At
		s.resume(gathering.RunRunning)
		s.beginCopied(e.At)
	}
	return nil
}

// beginCopied lets the time of the maps that a fork began with items of another
// run count from when the run is begun.
func (s *State) beginCopied(at time.Time) {
	for i := range s.graph.nodes {
		if n := &s.nodes[i]; n.state == gathering.NodeRunning {
			n.startedAt, n.attemptAt = at, at
		}
	}
}

func (s *State) queue(e gathering.Event, d *gathering.RunQueuedData) {
	s.Queued, s.QueuedAt = *d, e.At
	s.vars = mergeVars(s.graph.Vars, d.Vars)
	s.trigger, _ = encodeData(d.Trigger) // strings and numbers always encode
}

// resume puts the run into a state that a stop and a pause outweigh.
func (s *State) resume(state gathering.RunState) {
	switch {
	case s.stopping != "":
		s.Run = gathering.RunCancelling
	case s.paused:
		s.Run = gathering.RunPaused
	default:
		s.Run = state
	}
}

func (s *State) applyNode(i int, e gathering.Event, data any) error {
	n := &s.nodes[i]
	switch d := data.(type) {
	case *gathering.NodeStartedData:
		return s.applyStarted(i, e, d)
	case *gathering.NodeWaitingData:
		s.move(i, gathering.NodeWaiting)
		n.child, n.detached, n.due = d.Child, d.Detached, time.Time{}
		if d.Until != nil {
			n.due = *d.Until
		}
	case *gathering.NodeRetryingData:
		s.applyRetrying(i, d)
	case *gathering.NodeCompletedData:
		if n.startedAt.IsZero() {
			n.startedAt, n.attempt = e.At, e.Attempt
		}
		n.output, n.branch, n.failure, n.unknown, n.steps = d.Output, d.Branch, nil, false, nil
		s.end(i, gathering.NodeCompleted, e)
		s.forgetItems(i)
		s.decide(i, func(branch string) bool { return branch == "" || branch == d.Branch })
	case *gathering.NodeFailedData:
		s.applyFailed(i, e, d)
	case *gathering.NodeSkippedData:
		s.end(i, gathering.NodeSkipped, e)
		s.decide(i, nil)
	case *gathering.Step:
		n.steps = append(n.steps, *d)
		if d.Usage != nil {
			s.Usage.Add(*d.Usage)
		}
	case *gathering.NodeStoppingData:
		n.haltedAt, n.failing = e.At, d.Failure != nil
		if n.state != gathering.NodeUnknown {
			n.failure = d.Failure
		}
		s.lookAtMap(i)
	case *gathering.NodeDecidedData: // what was decided follows as an event of its own
	case nil:
		state := gathering.NodeCancelled
		if e.Type == gathering.EventNodeAbandoned {
			state = gathering.NodeAbandoned
		}
		s.end(i, state, e)
		s.decide(i, nil)
	}
	return nil
}

// interrupted notes that the process of an attempt is gone.
func (s *State) interrupted(i int, at time.Time) {
	n := &s.nodes[i]
	n.attemptAt, n.doubt = at, true
	work, ok := n.spec.Do.(Work)
	n.unknown = n.unknown || ok && !work.Idempotent
}

func (s *State) applyStarted(i int, e gathering.Event, d *gathering.NodeStartedData) error {
	n := &s.nodes[i]
	s.move(i, gathering.NodeRunning)
	if n.uncounted {
		s.rests++
	}
	n.attempt, n.attemptAt, n.due, n.uncounted, n.putOff = e.Attempt, e.At, time.Time{}, false, nil
	if !n.doubt {
		n.call = e.Attempt
	}
	if n.startedAt.IsZero() {
		n.startedAt, n.input = e.At, d.Input
	}
	if do, ok := n.spec.Do.(Map); ok {
		return s.spread(i, do)
	}
	return nil
}

func (s *State) applyRetrying(i int, d *gathering.NodeRetryingData) {
	n := &s.nodes[i]
	n.due, n.uncounted = d.Due, d.Uncounted
	n.stopped()
	if d.Uncounted {
		s.rests++
		n.putOff = d.Failure
	} else {
		n.failure = d.Failure
		n.unknown = n.unknownAfter(d.Failure)
		n.doubt = n.doubtAfter(d.Failure)
	}
	s.move(i, gathering.NodeRetrying)
	if mayBeMade(d.Failure) {
		n.steps = withoutOpenIntents(n.steps)
	}
}

func (s *State) applyFailed(i int, e gathering.Event, d *gathering.NodeFailedData) {
	n := &s.nodes[i]
	n.failure = d.Failure
	if n.startedAt.IsZero() {
		n.startedAt, n.attempt = e.At, e.Attempt
	}
	n.unknown = n.unknownAfter(d.Failure)
	if e.Type == gathering.EventNodeUnknown {
		n.doubt, n.unknown = true, true
		n.stopped()
		s.move(i, gathering.NodeUnknown)
		return
	}
	if n.state == gathering.NodeUnknown || mayBeMade(d.Failure) {
		n.steps = withoutOpenIntents(n.steps)
	}
	n.onError = d.OnError
	s.end(i, d.State, e)
	switch d.OnError {
	case gathering.OnErrorContinue:
		n.output = d.Output
		s.decide(i, func(branch string) bool { return branch == "" })
	case gathering.OnErrorBranch:
		s.decide(i, func(branch string) bool { return branch == gathering.BranchError })
	default:
		s.decide(i, nil)
	}
}

// move changes a node's state and keeps the counts.
func (s *State) move(i int, to gathering.NodeState) {
	n := &s.nodes[i]
	s.count(i, n.state, -1)
	n.state = to
	s.count(i, to, 1)
}

func (s *State) count(i int, state gathering.NodeState, by int) {
	n := &s.nodes[i]
	var f *fan
	if n.item >= 0 {
		f = s.nodes[n.of].fan
	}
	switch state {
	case gathering.NodePending:
		if f == nil {
			s.pending += by
		}
		return
	case gathering.NodeRunning:
		if s.works(i) {
			s.working += by
		}
	case gathering.NodeWaiting, gathering.NodeRetrying:
	case gathering.NodeUnknown:
		s.unknown += by
		if f != nil {
			f.unknown += by
		}
	default:
		return
	}
	s.active += by
	if f != nil {
		f.underway += by
	}
}

func (s *State) end(i int, state gathering.NodeState, e gathering.Event) {
	s.move(i, state)
	n := &s.nodes[i]
	n.endedAt, n.endSeq, n.due, n.uncounted, n.putOff = e.At, e.Seq, time.Time{}, false, nil
	if !n.isOpen() {
		n.steps = nil
	}
	if n.item >= 0 {
		n.input = nil // the map has the item; what was made of it is in the log
	}
	s.progress = true
}

// decide decides all outgoing edges of a node at once. A nil taken kills all.
// An error edge is taken only where taken accepts exactly that branch. An item
// has no edges: its map is to be looked at.
func (s *State) decide(i int, taken func(branch string) bool) {
	if of := s.nodes[i].of; s.nodes[i].item >= 0 {
		s.lookAtMap(of)
		return
	}
	for _, e := range s.graph.out[i] {
		to := s.graph.edges[e].to
		n := &s.nodes[to]
		n.inPending--
		s.edges[e] = edgeDead
		if taken != nil && taken(s.graph.edges[e].branch) {
			s.edges[e] = edgeTaken
			n.inTaken++
			if _, join := n.spec.Do.(Join); join {
				n.came = append(n.came, i)
			}
		}
		if n.state == gathering.NodePending && s.decided(to) {
			s.undecided = append(s.undecided, to)
		}
	}
}

// decided reports whether it is known that node i runs, or that it never will.
func (s *State) decided(i int) bool {
	n := &s.nodes[i]
	need := n.need()
	return n.inPending == 0 || need > 0 && (n.inTaken >= need || n.inTaken+n.inPending < need)
}

// need is how many of its edges a join waits for; 0 is all that are not dead.
func (n *node) need() int {
	join, _ := n.spec.Do.(Join)
	return join.Need
}

// killPending decides the edges of nodes whose outcome is still unknown when a
// run is stopped: nothing will follow them.
func (s *State) killPending() {
	for i, e := range s.edges {
		if e == edgePending {
			s.edges[i] = edgeDead
		}
	}
}

// stopped ends the stop of a node for a failure of its own: what it began has.
func (n *node) stopped() {
	if n.failing {
		n.failing, n.haltedAt = false, time.Time{}
	}
}

// mayBeMade reports whether the calls that an attempt with failure f was about
// to make may be made again: somebody or the node's OnUnknown says so, or they
// are known not to have left. After anything else, such as an interruption, an
// intent without a result stays for the next attempt to ask about.
func mayBeMade(f *gathering.Failure) bool {
	return f != nil && (f.Code == gathering.CodeUnknownOutcome || f.Code == gathering.CodeNotSent)
}

// doubtAfter reports whether a node may have acted, without a word of what came
// of it, once an attempt has ended with failure f. That a later attempt did not
// get through tells nothing about an earlier one; any other answer does.
func (n *node) doubtAfter(f *gathering.Failure) bool {
	if f == nil {
		return n.doubt
	}
	switch f.Code {
	case gathering.CodeUnknownOutcome, gathering.CodeUnanswered:
		return true
	case gathering.CodeNotSent, gathering.CodeCircuitOpen:
		return n.doubt
	}
	switch f.Kind {
	case gathering.KindTimeout, gathering.KindCancelled, gathering.KindInternal:
		return true
	case gathering.KindUnavailable, gathering.KindExhausted:
		return n.doubt
	default:
		return false
	}
}

// unknownAfter reports whether it is still to be decided whether a node acted,
// once an attempt or a wait has ended with failure f. What follows an unknown
// outcome is the decision about it.
func (n *node) unknownAfter(f *gathering.Failure) bool {
	if n.state == gathering.NodeUnknown || f == nil {
		return false
	}
	return f.Code == gathering.CodeUnknownOutcome || n.unknown && n.doubtAfter(f)
}

// isOpen reports whether a call was about to be made of which there is no result.
func (n *node) isOpen() bool {
	return len(n.steps) > 0 && len(withoutOpenIntents(slices.Clone(n.steps))) < len(n.steps)
}

// withoutOpenIntents leaves out the intents of calls that have no result: the
// next attempt is free to make them again.
func withoutOpenIntents(steps []gathering.Step) []gathering.Step {
	done := make(map[string]bool, len(steps))
	for _, s := range steps {
		done[s.Key] = done[s.Key] || s.Phase == gathering.StepDone
	}
	return slices.DeleteFunc(steps, func(s gathering.Step) bool { return !done[s.Key] })
}

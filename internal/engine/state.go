package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"gathering"
)

// State is where a run stands: the fold of its events. Only its owner touches it.
type State struct {
	ID      gathering.RunID
	Root    gathering.RunID
	Project gathering.ProjectID

	Run       gathering.RunState
	Seq       int64 // of the last event
	Queued    gathering.RunQueuedData
	QueuedAt  time.Time
	StartedAt time.Time
	EndedAt   time.Time
	Output    json.RawMessage
	Failure   *gathering.Failure
	Usage     gathering.Usage

	graph      *Graph
	vars       map[string]json.RawMessage
	trigger    json.RawMessage
	nodes      []node
	edges      []edgeState
	undecided  []int     // nodes whose incoming edges are all decided, to be looked at
	stopping   string    // why the run is being stopped; "" while it is not
	stoppingAt time.Time // since when
	active     int       // nodes running, waiting, retrying or unknown
	working    int       // of these, running
	pending    int       // nodes not begun
	progress   bool      // a node ended since the owner last asked
	holding    bool      // the owner lets go: nothing more is begun; not part of the log
}

type edgeState uint8

const (
	edgePending edgeState = iota
	edgeTaken
	edgeDead
)

type node struct {
	state     gathering.NodeState
	attempt   int
	call      int // the attempt at which the outcome of all former ones was known
	input     json.RawMessage
	output    json.RawMessage
	failure   *gathering.Failure
	steps     []gathering.Step
	child     gathering.RunID
	due       time.Time // of a wait or a retry; zero is none
	startedAt time.Time // of the first attempt
	attemptAt time.Time // of the attempt under way
	endedAt   time.Time

	inPending, inTaken int // incoming edges
}

// NewState returns the state of a run before its first event.
func NewState(graph *Graph, id, root gathering.RunID, project gathering.ProjectID) *State {
	s := &State{
		ID: id, Root: root, Project: project,
		Run:   gathering.RunQueued,
		graph: graph,
		nodes: make([]node, len(graph.nodes)),
		edges: make([]edgeState, len(graph.edges)),
	}
	s.pending = len(graph.nodes)
	for i := range s.nodes {
		s.nodes[i].state = gathering.NodePending
		s.nodes[i].inPending = len(graph.in[i])
	}
	for _, i := range graph.order {
		if len(graph.in[i]) == 0 {
			s.undecided = append(s.undecided, i)
		}
	}
	return s
}

// Fold applies a recorded event. The error says that the log does not belong
// to the graph or is damaged.
func (s *State) Fold(e gathering.Event) error {
	data, err := decodeData(e)
	if err != nil {
		return err
	}
	if e.Seq != s.Seq+1 {
		return fmt.Errorf("fold %s of %s: sequence %d follows %d", e.Type, s.ID, e.Seq, s.Seq)
	}
	if e.Node != "" {
		if _, err := s.graph.node(e.Node); err != nil {
			return err
		}
	}
	s.apply(e, data)
	return nil
}

// apply is the only place that changes a state. Its data has the type that
// decodeData gives for the event's type.
func (s *State) apply(e gathering.Event, data any) {
	s.Seq = e.Seq
	if e.Node != "" {
		s.applyNode(s.graph.index[e.Node], e, data)
		return
	}
	switch d := data.(type) {
	case *gathering.RunQueuedData:
		s.Queued, s.QueuedAt = *d, e.At
		s.vars = mergeVars(s.graph.Vars, d.Vars)
		s.trigger, _ = encodeData(d.Trigger) // strings and numbers always encode
	case *gathering.RunWaitingData:
		if s.stopping == "" {
			s.Run = gathering.RunWaiting
		}
	case *gathering.RunResumedData:
		s.Run = gathering.RunRunning
		if s.stopping != "" {
			s.Run = gathering.RunCancelling
		}
		for _, id := range d.Interrupted {
			s.nodes[s.graph.index[id]].attemptAt = e.At
		}
	case *gathering.RunCancellingData:
		s.Run, s.stopping, s.stoppingAt, s.Failure = gathering.RunCancelling, d.Reason, e.At, d.Failure
	case *gathering.RunEndedData:
		s.Run, s.EndedAt, s.Output, s.Failure = e.Type.EndState(), e.At, d.Output, d.Failure
		s.killPending()
	case nil: // run.started is the only event of a run without data
		s.Run, s.StartedAt = gathering.RunRunning, e.At
	}
}

func (s *State) applyNode(i int, e gathering.Event, data any) {
	n := &s.nodes[i]
	switch d := data.(type) {
	case *gathering.NodeStartedData:
		s.move(i, gathering.NodeRunning)
		n.attempt, n.attemptAt, n.due = e.Attempt, e.At, time.Time{}
		if n.failure == nil || n.failure.Code != gathering.CodeUnknownOutcome {
			n.call = e.Attempt
		}
		if n.startedAt.IsZero() {
			n.startedAt, n.input = e.At, d.Input
		}
	case *gathering.NodeWaitingData:
		s.move(i, gathering.NodeWaiting)
		n.child, n.due = d.Child, time.Time{}
		if d.Until != nil {
			n.due = *d.Until
		}
	case *gathering.NodeRetryingData:
		s.move(i, gathering.NodeRetrying)
		n.failure, n.due = d.Failure, d.Due
		n.steps = withoutOpenIntents(n.steps)
	case *gathering.NodeCompletedData:
		if n.startedAt.IsZero() {
			n.startedAt, n.attempt = e.At, e.Attempt
		}
		n.output, n.failure = d.Output, nil
		s.end(i, gathering.NodeCompleted, e.At)
		s.decide(i, func(branch string) bool { return branch == "" || branch == d.Branch })
	case *gathering.NodeFailedData:
		s.applyFailed(i, e, d)
	case *gathering.NodeSkippedData:
		s.end(i, gathering.NodeSkipped, e.At)
		s.decide(i, nil)
	case *gathering.Step:
		n.steps = append(n.steps, *d)
		if d.Usage != nil {
			s.Usage.Add(*d.Usage)
		}
	case nil:
		state := gathering.NodeCancelled
		if e.Type == gathering.EventNodeAbandoned {
			state = gathering.NodeAbandoned
		}
		s.end(i, state, e.At)
		s.decide(i, nil)
	}
}

func (s *State) applyFailed(i int, e gathering.Event, d *gathering.NodeFailedData) {
	n := &s.nodes[i]
	n.failure = d.Failure
	if n.startedAt.IsZero() {
		n.startedAt, n.attempt = e.At, e.Attempt
	}
	if e.Type == gathering.EventNodeUnknown {
		s.move(i, gathering.NodeUnknown)
		return
	}
	s.end(i, d.State, e.At)
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
	count := func(state gathering.NodeState, by int) {
		switch state {
		case gathering.NodePending:
			s.pending += by
		case gathering.NodeRunning:
			s.active += by
			s.working += by
		case gathering.NodeWaiting, gathering.NodeRetrying, gathering.NodeUnknown:
			s.active += by
		default:
		}
	}
	count(s.nodes[i].state, -1)
	s.nodes[i].state = to
	count(to, 1)
}

func (s *State) end(i int, state gathering.NodeState, at time.Time) {
	s.move(i, state)
	n := &s.nodes[i]
	n.endedAt, n.due, n.steps = at, time.Time{}, nil
	s.progress = true
}

// decide decides all outgoing edges of a node at once. A nil taken kills all.
// An error edge is taken only where taken accepts exactly that branch.
func (s *State) decide(i int, taken func(branch string) bool) {
	for _, e := range s.graph.out[i] {
		to := &s.nodes[s.graph.edges[e].to]
		to.inPending--
		s.edges[e] = edgeDead
		if taken != nil && taken(s.graph.edges[e].branch) {
			s.edges[e] = edgeTaken
			to.inTaken++
		}
		if to.inPending == 0 {
			s.undecided = append(s.undecided, s.graph.edges[e].to)
		}
	}
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

// withoutOpenIntents leaves out the intents of calls that have no result: the
// next attempt is free to make them again.
func withoutOpenIntents(steps []gathering.Step) []gathering.Step {
	done := make(map[string]bool, len(steps))
	for _, s := range steps {
		done[s.Key] = done[s.Key] || s.Phase == gathering.StepDone
	}
	return slices.DeleteFunc(steps, func(s gathering.Step) bool { return !done[s.Key] })
}

// Working reports whether an attempt is under way.
func (s *State) Working() bool { return s.working > 0 }

// TakeProgress reports whether a node ended since it was last asked.
func (s *State) TakeProgress() bool {
	p := s.progress
	s.progress = false
	return p
}

// Report tells where the run and each node stand.
func (s *State) Report() gathering.RunReport {
	r := gathering.RunReport{
		Run: s.ID, State: s.Run, Output: s.Output, Error: s.Failure, Usage: s.Usage,
		StartedAt: timePointer(s.StartedAt), FinishedAt: timePointer(s.EndedAt),
		Nodes: make([]gathering.NodeReport, 0, len(s.nodes)),
	}
	for _, i := range s.graph.order {
		n := &s.nodes[i]
		r.Nodes = append(r.Nodes, gathering.NodeReport{
			ID: s.graph.nodes[i].ID, Kind: s.graph.nodes[i].Kind,
			State: n.state, Attempts: n.attempt, Output: s.output(i), Error: n.failure,
			Child: n.child, Due: timePointer(n.due),
			StartedAt: timePointer(n.startedAt), FinishedAt: timePointer(n.endedAt),
		})
	}
	return r
}

// output is a node's output; a trigger's is the run's input, which the log
// holds once.
func (s *State) output(i int) json.RawMessage {
	if _, trigger := s.graph.nodes[i].Do.(Trigger); trigger && s.nodes[i].state == gathering.NodeCompleted {
		return s.Queued.Input
	}
	return s.nodes[i].output
}

func timePointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func mergeVars(base, over map[string]json.RawMessage) map[string]json.RawMessage {
	merged := make(map[string]json.RawMessage, len(base)+len(over))
	maps.Copy(merged, base)
	maps.Copy(merged, over)
	return merged
}

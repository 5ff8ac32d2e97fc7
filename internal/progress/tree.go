// Package progress shows people how a run goes on: as a tree that is redrawn in
// place on a terminal, as plain lines elsewhere.
package progress

import (
	"encoding/json"
	"fmt"
	"time"

	"gathering"
)

// Tree is where a run and its nodes stand, made of the run's events, with the
// runs that its nodes wait for. It belongs to one goroutine.
type Tree struct {
	Run      gathering.RunID
	Pipeline string
	Version  int
	State    gathering.RunState
	Begun    time.Time // zero before the first event
	Ended    time.Time // zero until it has ended
	Failure  *gathering.Failure
	Crashed  bool // it was taken over from an owner that died
	Nodes    []*Node

	index map[string]*Node
}

// Node is where one node stands.
type Node struct {
	ID, Kind string
	State    gathering.NodeState
	Attempt  int
	Begun    time.Time
	Ended    time.Time
	Due      time.Time // when it is tried again or goes on; zero is not known
	Note     string    // the last thing to know about it, one line
	Child    *Tree     // the run it waits for or waited for
	ChildRun gathering.RunID
	// Items are those of a map that has begun. One that has not is nil.
	Items []*Node
}

// NewTree returns the tree of a run of which nothing has happened yet.
func NewTree(run gathering.RunID, version int, def *gathering.Definition) *Tree {
	t := &Tree{
		Run: run, Pipeline: def.Name, Version: version, State: gathering.RunQueued,
		index: make(map[string]*Node, len(def.Nodes)),
	}
	for _, n := range def.Nodes {
		node := &Node{ID: n.ID, Kind: n.Kind, State: gathering.NodePending}
		t.Nodes = append(t.Nodes, node)
		t.index[n.ID] = node
	}
	return t
}

// Node returns the node of the given ID, or nil.
func (t *Tree) Node(id string) *Node { return t.index[id] }

// Apply takes the run's next event in.
func (t *Tree) Apply(e gathering.Event) error {
	if t.Begun.IsZero() {
		t.Begun = e.At
	}
	var err error
	if e.Node == "" {
		err = t.applyRun(e)
	} else if n := t.Of(e); n != nil {
		err = n.apply(e)
	}
	if err != nil {
		return fmt.Errorf("read %s %d of %s: %w", e.Type, e.Seq, e.Stream, err)
	}
	return nil
}

func (t *Tree) applyRun(e gathering.Event) error {
	switch e.Type {
	case gathering.EventRunStarted:
		t.State = gathering.RunRunning
	case gathering.EventRunWaiting:
		t.State = gathering.RunWaiting
	case gathering.EventRunResumed:
		var d gathering.RunResumedData
		if err := decode(e, &d); err != nil {
			return err
		}
		t.State, t.Crashed = gathering.RunRunning, t.Crashed || d.Crashed
	case gathering.EventRunCancelling:
		t.State = gathering.RunCancelling
	case gathering.EventRunCompleted, gathering.EventRunFailed, gathering.EventRunCancelled,
		gathering.EventRunTimedOut, gathering.EventRunBudgetExhausted:
		var d gathering.RunEndedData
		if err := decode(e, &d); err != nil {
			return err
		}
		t.State, t.Ended, t.Failure = e.Type.EndState(), e.At, d.Failure
	default:
	}
	return nil
}

func (n *Node) apply(e gathering.Event) error {
	if n.Begun.IsZero() {
		n.Begun = e.At
	}
	if e.Attempt > 0 {
		n.Attempt = e.Attempt
	}
	switch e.Type {
	case gathering.EventNodeStarted:
		n.State, n.Due = gathering.NodeRunning, time.Time{}
		if n.Kind == kindMap {
			return n.spread(e)
		}
	case gathering.EventNodeCompleted:
		var d gathering.NodeCompletedData
		if err := decode(e, &d); err != nil {
			return err
		}
		n.end(gathering.NodeCompleted, e.At)
		n.Note = d.Branch
		if d.Branch == "" {
			n.Note = brief(d.Output)
		}
	case gathering.EventNodeSkipped:
		n.end(gathering.NodeSkipped, e.At)
	case gathering.EventNodeCancelled:
		n.end(gathering.NodeCancelled, e.At)
	case gathering.EventNodeAbandoned:
		n.end(gathering.NodeAbandoned, e.At)
	case gathering.EventNodeFailed, gathering.EventNodeUnknown:
		return n.failed(e)
	case gathering.EventNodeRetrying:
		var d gathering.NodeRetryingData
		if err := decode(e, &d); err != nil {
			return err
		}
		n.State, n.Due, n.Note = gathering.NodeRetrying, d.Due, failure(d.Failure)
	case gathering.EventNodeWaiting:
		return n.waits(e)
	case gathering.EventStepModel, gathering.EventStepTool:
		var d gathering.Step
		if err := decode(e, &d); err != nil {
			return err
		}
		n.Note = step(d)
	default:
	}
	return nil
}

func (n *Node) end(state gathering.NodeState, at time.Time) {
	n.State, n.Ended, n.Due = state, at, time.Time{}
}

func (n *Node) failed(e gathering.Event) error {
	var d gathering.NodeFailedData
	if err := decode(e, &d); err != nil {
		return err
	}
	n.Note = failure(d.Failure)
	if e.Type == gathering.EventNodeUnknown {
		n.State = gathering.NodeUnknown
		return nil
	}
	n.end(d.State, e.At)
	return nil
}

func (n *Node) waits(e gathering.Event) error {
	var d gathering.NodeWaitingData
	if err := decode(e, &d); err != nil {
		return err
	}
	n.State, n.ChildRun = gathering.NodeWaiting, d.Child
	if d.Until != nil {
		n.Due = *d.Until
	}
	return nil
}

// Undecided returns the nodes whose outcome nobody knows, as paths through the
// child runs, if the run waits for nothing else: only somebody's decision moves
// it. Otherwise it returns nil.
func (t *Tree) Undecided() []string {
	if t.State != gathering.RunWaiting {
		return nil
	}
	return undecided(t.Nodes)
}

// undecided is [Tree.Undecided] of some nodes.
func undecided(nodes []*Node) []string {
	var paths []string
	for _, n := range nodes {
		switch {
		case n == nil: // an item whose turn has not come
		case n.State == gathering.NodeUnknown:
			paths = append(paths, n.ID)
		case n.State == gathering.NodeWaiting && n.Child != nil:
			below := n.Child.Undecided()
			if below == nil {
				return nil
			}
			for _, path := range below {
				paths = append(paths, n.ID+"/"+path)
			}
		case n.State == gathering.NodeRunning && n.Items != nil:
			below := undecided(n.Items)
			if below == nil {
				return nil
			}
			paths = append(paths, below...)
		case n.State == gathering.NodeRunning, n.State == gathering.NodeWaiting, n.State == gathering.NodeRetrying:
			return nil
		}
	}
	return paths
}

func decode(e gathering.Event, data any) error {
	if len(e.Data) == 0 {
		return nil
	}
	return json.Unmarshal(e.Data, data)
}

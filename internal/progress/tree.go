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
	// Origin is the run that this one repeats in part; nil is none.
	Origin *gathering.Origin
	Note   string // the last thing to know about the run itself, one line
	Nodes  []*Node

	index    map[string]*Node
	paused   string // and by whom; "" is not
	stopping bool
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
		n.Kept = t.Origin != nil && t.State == gathering.RunQueued && n.State.Terminal()
	}
	if err != nil {
		return fmt.Errorf("read %s %d of %s: %w", e.Type, e.Seq, e.Stream, err)
	}
	return nil
}

func (t *Tree) applyRun(e gathering.Event) error {
	switch e.Type {
	case gathering.EventRunQueued:
		var d gathering.RunQueuedData
		if err := decode(e, &d); err != nil {
			return err
		}
		t.Origin = d.Origin
	case gathering.EventRunStarted:
		t.move(gathering.RunRunning)
	case gathering.EventRunWaiting:
		t.move(gathering.RunWaiting)
	case gathering.EventRunPaused:
		var d gathering.RunPausedData
		if err := decode(e, &d); err != nil {
			return err
		}
		t.paused = "paused" + by(d.By)
		t.Note = t.paused
		t.move(gathering.RunPaused)
	case gathering.EventRunResumed:
		return t.resumed(e)
	case gathering.EventRunCancelling:
		var d gathering.RunCancellingData
		if err := decode(e, &d); err != nil {
			return err
		}
		t.stopping, t.Note = true, stops(d)
		t.move(gathering.RunCancelling)
	case gathering.EventRunCompleted, gathering.EventRunFailed, gathering.EventRunCancelled,
		gathering.EventRunTimedOut, gathering.EventRunBudgetExhausted:
		var d gathering.RunEndedData
		if err := decode(e, &d); err != nil {
			return err
		}
		t.State, t.Ended, t.Failure, t.Note = e.Type.EndState(), e.At, d.Failure, ""
	default:
	}
	return nil
}

// move puts the run into a state that a stop and a pause outweigh.
func (t *Tree) move(state gathering.RunState) {
	switch {
	case t.stopping:
		t.State = gathering.RunCancelling
	case t.paused != "":
		t.State = gathering.RunPaused
	default:
		t.State = state
	}
}

func (t *Tree) resumed(e gathering.Event) error {
	var d gathering.RunResumedData
	if err := decode(e, &d); err != nil {
		return err
	}
	switch {
	case d.Crashed:
		t.Note = "goes on where it broke off"
	case d.Unpaused:
		t.paused, t.Note = "", "resumed"+by(d.By)
	case t.paused == "" && !t.stopping:
		t.Note = ""
	}
	t.move(gathering.RunRunning)
	return nil
}

func stops(d gathering.RunCancellingData) string {
	if d.Reason == "timed_out" {
		return "is being stopped: its time is up"
	}
	return "is being stopped" + by(d.By) // what failed says so itself
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + OneLine(who)
}

// Paused says that the run is paused, and by whom; "" is that it is not.
func (t *Tree) Paused() string {
	if t.State != gathering.RunPaused {
		return ""
	}
	return t.paused
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

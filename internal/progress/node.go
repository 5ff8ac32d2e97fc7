package progress

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gathering"
)

// Node is where one node stands, or one item of a map.
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

	// Kept: it ended in the run that this one repeats in part.
	Kept bool
	// Handled says how the run goes on although it failed; "" is that it does not.
	Handled gathering.OnError
	// Stopping: it is told to stop while its run goes on.
	Stopping bool
	// Uncounted: its last attempt came to nothing and does not count.
	Uncounted bool
	// Decided is somebody's word on an outcome that nobody knew; "" is none.
	Decided string
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
		return n.started(e)
	case gathering.EventNodeCompleted:
		return n.completed(e)
	case gathering.EventNodeSkipped:
		var d gathering.NodeSkippedData
		if err := decode(e, &d); err != nil {
			return err
		}
		n.end(gathering.NodeSkipped, e.At)
		n.Note = skipped(d.Reason)
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
		n.State, n.Due, n.Note, n.Uncounted = gathering.NodeRetrying, d.Due, failure(d.Failure), d.Uncounted
	case gathering.EventNodeWaiting:
		return n.waits(e)
	case gathering.EventNodeStopping:
		return n.stops(e)
	case gathering.EventNodeDecided:
		var d gathering.NodeDecidedData
		if err := decode(e, &d); err != nil {
			return err
		}
		n.Decided = "decided as " + OneLine(d.As) + by(d.By)
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

func (n *Node) started(e gathering.Event) error {
	n.State, n.Due, n.Decided = gathering.NodeRunning, time.Time{}, ""
	if n.Kind == kindMap {
		return n.spread(e)
	}
	return nil
}

func (n *Node) completed(e gathering.Event) error {
	var d gathering.NodeCompletedData
	if err := decode(e, &d); err != nil {
		return err
	}
	n.end(gathering.NodeCompleted, e.At)
	switch {
	case d.Branch != "":
		n.Note = OneLine(d.Branch)
	case n.Kind == kindJoin:
		n.Note = came(d.Output)
	default:
		n.Note = brief(d.Output)
	}
	return nil
}

// kindJoin is the kind of nodes that wait for some of those before them.
const kindJoin = "join"

// came names the nodes that a join did not wait for in vain, in the order in
// which they came.
func came(output json.RawMessage) string {
	var list []struct {
		Node string `json:"node"`
	}
	if json.Unmarshal(output, &list) != nil || len(list) == 0 {
		return brief(output)
	}
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = one.Node
	}
	return OneLine("after " + strings.Join(names, ", "))
}

func (n *Node) end(state gathering.NodeState, at time.Time) {
	n.State, n.Ended, n.Due, n.Stopping = state, at, time.Time{}, false
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
	if d.OnError == gathering.OnErrorContinue || d.OnError == gathering.OnErrorBranch {
		n.Handled = d.OnError
	}
	return nil
}

func (n *Node) waits(e gathering.Event) error {
	var d gathering.NodeWaitingData
	if err := decode(e, &d); err != nil {
		return err
	}
	n.State = gathering.NodeWaiting
	if !d.Detached { // nobody waits for the end of one that is
		n.ChildRun = d.Child
	}
	if d.Until != nil {
		n.Due = *d.Until
	}
	return nil
}

func (n *Node) stops(e gathering.Event) error {
	var d gathering.NodeStoppingData
	if err := decode(e, &d); err != nil {
		return err
	}
	n.Stopping, n.Note = true, notNeeded
	if d.Failure != nil {
		n.Note = failure(d.Failure)
	}
	return nil
}

const notNeeded = "a join does not need it"

// skipped says why a node was passed over.
func skipped(reason string) string {
	switch reason {
	case "no edge taken":
		return "another branch was taken"
	case "run ended":
		return "the run ended before its turn"
	case "not needed":
		return notNeeded
	default:
		return OneLine(reason)
	}
}

// text is what there is to know about a node beside its state.
func (n *Node) text() string {
	if n.Decided != "" && n.Note != "" {
		return n.Decided + ": " + n.Note
	}
	return n.Decided + n.Note
}

// status is a node's state and for how long, in a frame.
func (n *Node) status(now time.Time) string {
	switch {
	case n.State == gathering.NodePending, n.State == gathering.NodeSkipped:
		return string(n.State)
	case n.Kept && n.State == gathering.NodeCompleted:
		return "kept" + n.itemsOf()
	case n.Kept:
		return "kept, " + string(n.State)
	}
	text := string(n.State)
	if n.Stopping {
		text = "stopping"
	}
	text += " " + Span(end(n.Ended, now).Sub(n.Begun)) + n.itemsOf()
	if n.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", n.Attempt)
	}
	if n.Due.After(now) {
		text += ", due in " + Span(n.Due.Sub(now))
	}
	return text + n.handled()
}

// handled says how the run goes on after a node that failed.
func (n *Node) handled() string {
	switch n.Handled {
	case gathering.OnErrorContinue:
		return ", passed over"
	case gathering.OnErrorBranch:
		return ", its error branch is taken"
	default:
		return ""
	}
}

// busy reports whether something goes on at a node, or is to be decided.
func (n *Node) busy() bool {
	switch n.State {
	case gathering.NodeRunning, gathering.NodeWaiting, gathering.NodeRetrying, gathering.NodeUnknown:
		return true
	default:
		return false
	}
}

package gathering

import (
	"encoding/json"
	"time"
)

// EventType names what happened, as "noun.verb".
type EventType string

// The events of a run, in the stream that bears the run's ID.
const (
	EventRunQueued          EventType = "run.queued"     // data: RunQueuedData
	EventRunStarted         EventType = "run.started"    // no data
	EventRunWaiting         EventType = "run.waiting"    // data: RunWaitingData
	EventRunResumed         EventType = "run.resumed"    // data: RunResumedData
	EventRunPaused          EventType = "run.paused"     // data: RunPausedData
	EventRunCancelling      EventType = "run.cancelling" // data: RunCancellingData
	EventRunCompleted       EventType = "run.completed"  // data: RunEndedData
	EventRunFailed          EventType = "run.failed"     // data: RunEndedData
	EventRunCancelled       EventType = "run.cancelled"  // data: RunEndedData
	EventRunTimedOut        EventType = "run.timed_out"  // data: RunEndedData
	EventRunBudgetExhausted EventType = "run.budget_exhausted"

	EventNodeStarted   EventType = "node.started"   // data: NodeStartedData
	EventNodeCompleted EventType = "node.completed" // data: NodeCompletedData
	EventNodeFailed    EventType = "node.failed"    // data: NodeFailedData
	EventNodeRetrying  EventType = "node.retrying"  // data: NodeRetryingData
	EventNodeSkipped   EventType = "node.skipped"   // data: NodeSkippedData
	EventNodeWaiting   EventType = "node.waiting"   // data: NodeWaitingData
	EventNodeUnknown   EventType = "node.unknown"   // data: NodeFailedData
	EventNodeDecided   EventType = "node.decided"   // data: NodeDecidedData
	EventNodeStopping  EventType = "node.stopping"  // data: NodeStoppingData
	EventNodeAbandoned EventType = "node.abandoned" // no data
	EventNodeCancelled EventType = "node.cancelled" // no data

	EventStepModel EventType = "step.model" // data: Step
	EventStepTool  EventType = "step.tool"  // data: Step
)

// EndState is the state that a run's last event puts it into, and "" for an
// event that is no run's last.
func (t EventType) EndState() RunState {
	switch t {
	case EventRunCompleted:
		return RunCompleted
	case EventRunFailed:
		return RunFailed
	case EventRunCancelled:
		return RunCancelled
	case EventRunTimedOut:
		return RunTimedOut
	case EventRunBudgetExhausted:
		return RunBudgetExhausted
	default:
		return ""
	}
}

// The events of a pipeline, in the stream that bears the pipeline's ID.
const (
	EventPipelineCreated EventType = "pipeline.created" // data: PipelineChangedData
	EventPipelineUpdated EventType = "pipeline.updated" // data: PipelineChangedData
	EventPipelineDeleted EventType = "pipeline.deleted" // data: PipelineChangedData
)

// Event is one thing that happened in one stream: a run's, or that of another
// stored object. Within a stream Seq counts from 1 without gaps.
type Event struct {
	// Pos is the event's place in the feed of everything, where it is known.
	Pos    int64     `json:"pos,omitempty"`
	Stream string    `json:"stream"`
	Seq    int64     `json:"seq"`
	Type   EventType `json:"type"`
	At     time.Time `json:"at"`
	// Node, Item and Attempt say which node it concerns, which item of a map
	// (nil outside one) and which attempt, counted from 1.
	Node    string          `json:"node,omitempty"`
	Item    *int            `json:"item,omitempty"`
	Attempt int             `json:"attempt,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// RunQueuedData is what a run begins with.
type RunQueuedData struct {
	Pipeline PipelineID                 `json:"pipeline"`
	Version  int                        `json:"version"`
	Input    json.RawMessage            `json:"input,omitempty"`
	Vars     map[string]json.RawMessage `json:"vars,omitempty"` // overrides of the pipeline's own
	Trigger  Trigger                    `json:"trigger"`
	// Workspace is the absolute directory that the run's tools read from, ""
	// for none. A child run works in its parent's.
	Workspace string `json:"workspace,omitempty"`
	// Origin is the run that this one repeats in part; nil is none.
	Origin *Origin `json:"origin,omitempty"`
}

// Origin says which run another one repeats, from which nodes on, and which
// nodes keep what they came to there.
type Origin struct {
	Run  RunID    `json:"run"`
	From []string `json:"from"`
	Kept []string `json:"kept,omitempty"`
	// Open are nodes that may have acted, there or before, and are not done again.
	Open []string `json:"open,omitempty"`
}

// Trigger says what caused a run.
type Trigger struct {
	Kind string `json:"kind"` // "manual" or "parent"
	// Run, Node and Attempt name the parent's node, where Kind is "parent".
	Run     RunID  `json:"run,omitempty"`
	Node    string `json:"node,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	// By and Request say who asked for the run and by which request, where
	// somebody did.
	By      string `json:"by,omitempty"`
	Request string `json:"request,omitempty"`
}

// RunWaitingData says what a parked run waits for.
type RunWaitingData struct {
	Until *time.Time `json:"until,omitempty"` // the nearest time that moves it, if one does
	Nodes []string   `json:"nodes"`
}

// RunResumedData says why a run goes on: it was due, had mail, was taken over
// from an owner that died, whose attempts under way are interrupted, or
// somebody ended its pause.
type RunResumedData struct {
	Instance InstanceID `json:"instance,omitempty"`
	// Crashed: since a node of it last ended, an owner died or could not move it.
	Crashed     bool     `json:"crashed,omitempty"`
	Interrupted []string `json:"interrupted,omitempty"`
	Unpaused    bool     `json:"unpaused,omitempty"`
	By          string   `json:"by,omitempty"` // who ended the pause
}

// RunPausedData says who paused a run.
type RunPausedData struct {
	By string `json:"by,omitempty"`
}

// RunCancellingData says why a run is being stopped.
type RunCancellingData struct {
	Reason  string   `json:"reason"` // "cancelled", "timed_out" or "failed"
	Failure *Failure `json:"failure,omitempty"`
	By      string   `json:"by,omitempty"`
}

// RunEndedData is what a run ends with.
type RunEndedData struct {
	Output  json.RawMessage `json:"output,omitempty"`
	Failure *Failure        `json:"failure,omitempty"`
	// MayHaveActed: it ended over something of which nobody knows whether it
	// acted, and nobody decided about that.
	MayHaveActed bool `json:"may_have_acted,omitempty"`
}

// NodeStartedData is what an attempt begins with. Input is written by the
// first attempt; later ones use the same.
type NodeStartedData struct {
	Input json.RawMessage `json:"input,omitempty"`
}

// NodeCompletedData is what a node leaves behind.
type NodeCompletedData struct {
	Output json.RawMessage `json:"output,omitempty"` // absent is null
	Branch string          `json:"branch,omitempty"` // the branch a condition chose
}

// NodeFailedData says how a node failed and what was done about it.
type NodeFailedData struct {
	State   NodeState `json:"state"` // failed or timed_out
	Failure *Failure  `json:"failure"`
	OnError OnError   `json:"on_error,omitempty"`
	// Output is the fallback that stands in for the output, where OnError is
	// continue.
	Output json.RawMessage `json:"output,omitempty"`
}

// NodeRetryingData says why an attempt failed and when the next one is due.
type NodeRetryingData struct {
	Failure *Failure  `json:"failure"`
	Due     time.Time `json:"due"`
	// Uncounted: the attempt did not come to anything and is made again under
	// its own number.
	Uncounted bool `json:"uncounted,omitempty"`
}

// NodeStoppingData says why a node is being stopped while its run goes on: a
// join needs it no more, or with a failure, it fails as soon as what it began
// has stopped: a map with its items, a node that waits for a child run with
// that.
type NodeStoppingData struct {
	Failure *Failure `json:"failure,omitempty"`
}

// NodeDecidedData is somebody's word on a node whose outcome was unknown.
type NodeDecidedData struct {
	As string `json:"as"` // "done", "retry" or "fail"
	By string `json:"by,omitempty"`
}

// NodeSkippedData says why a node did not run.
type NodeSkippedData struct {
	Reason string `json:"reason"` // "no edge taken", "run ended" or "not needed"
}

// NodeWaitingData says what a node waits for: a time or a child run.
type NodeWaitingData struct {
	Until *time.Time `json:"until,omitempty"`
	Child RunID      `json:"child,omitempty"`
	// Detached: only the child's start is waited for, not its end.
	Detached bool `json:"detached,omitempty"`
}

// PipelineChangedData says which version was added to a pipeline, or published,
// and which one is published after it.
type PipelineChangedData struct {
	Name      string `json:"name"`
	Version   int    `json:"version"`
	Published int    `json:"published,omitempty"`
	By        string `json:"by,omitempty"`
}

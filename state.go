package gathering

// RunState is what a run is doing.
//
//	queued ──claim──▶ running ◀──claim──▶ waiting
//	                   │   ▲                 │
//	     owner died    ▼   │ claim           │ cancel, timeout
//	               recovering                ▼
//	                   running ────────▶ cancelling
//	                      │                  │
//	                      ▼                  ▼
//	      completed failed timed_out budget_exhausted cancelled
type RunState string

// The states of a run. A restart changes none of them but RunRunning and
// RunCancelling, whose owner it ended: these become RunRecovering until an
// instance takes the run over.
const (
	RunQueued     RunState = "queued"     // stored, claimed by nobody yet
	RunRunning    RunState = "running"    // a live owner works on it
	RunRecovering RunState = "recovering" // its owner died; the next claim goes on from the log
	RunWaiting    RunState = "waiting"    // parked until a time or an inbox entry; costs nothing
	RunPaused     RunState = "paused"     // parked by somebody's wish until resumed
	RunCancelling RunState = "cancelling" // asked to stop; the work under way is being stopped

	RunCompleted       RunState = "completed"        // every node ended and none failed the run
	RunFailed          RunState = "failed"           // a node failed and nothing handled it
	RunCancelled       RunState = "cancelled"        // stopped as asked
	RunTimedOut        RunState = "timed_out"        // its deadline passed
	RunBudgetExhausted RunState = "budget_exhausted" // a hard spending limit was reached
)

// Terminal reports whether a run in state s has ended for good.
func (s RunState) Terminal() bool {
	switch s {
	case RunCompleted, RunFailed, RunCancelled, RunTimedOut, RunBudgetExhausted:
		return true
	case RunQueued, RunRunning, RunRecovering, RunWaiting, RunPaused, RunCancelling:
		return false
	}
	return false
}

// NodeState is what a node of a run is doing.
//
//	pending ──▶ running ──▶ completed
//	   │          │  ▲
//	   │          │  └── retrying, waiting
//	   ▼          ▼
//	skipped    failed timed_out cancelled unknown abandoned
type NodeState string

// The states of a node within one run. A restart changes none of them: a node
// found running is dispatched again and its interrupted attempt does not count.
const (
	NodePending  NodeState = "pending"  // its incoming edges are not all decided
	NodeRunning  NodeState = "running"  // an attempt is under way
	NodeWaiting  NodeState = "waiting"  // for a time, a child run or a decision
	NodeRetrying NodeState = "retrying" // an attempt failed; the next one is due later

	NodeCompleted NodeState = "completed" // it has an output
	NodeFailed    NodeState = "failed"    // its last attempt failed
	NodeSkipped   NodeState = "skipped"   // no taken edge leads to it, or the run ended first
	NodeCancelled NodeState = "cancelled" // stopped before it ended by itself
	NodeTimedOut  NodeState = "timed_out" // its time was up
	NodeUnknown   NodeState = "unknown"   // it may have acted and nobody can tell; waits for a decision
	NodeAbandoned NodeState = "abandoned" // told to stop and did not within 30 s
)

// Terminal reports whether a node in state s has ended for good. A node whose
// outcome is unknown has not: a decision ends it.
func (s NodeState) Terminal() bool {
	switch s {
	case NodeCompleted, NodeFailed, NodeSkipped, NodeCancelled, NodeTimedOut, NodeAbandoned:
		return true
	case NodePending, NodeRunning, NodeWaiting, NodeRetrying, NodeUnknown:
		return false
	}
	return false
}

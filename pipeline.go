package gathering

import (
	"encoding/json"
	"math"
	"time"
)

// Pipeline is a stored graph of nodes. It has immutable versions, of which the
// published one is what new runs use.
type Pipeline struct {
	ID        PipelineID `json:"id"`
	Project   ProjectID  `json:"project"`
	Name      string     `json:"name"` // unique within its project, until it is deleted
	Published int        `json:"published"`
	Revision  int64      `json:"revision"` // counts the changes
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	// DeletedAt is when it was deleted. It stays for the runs it had, and its
	// name is another's to take.
	DeletedAt *time.Time `json:"deleted_at,omitempty"`
}

// Version is one immutable version of a pipeline.
type Version struct {
	Pipeline  PipelineID `json:"pipeline"`
	Number    int        `json:"number"` // from 1
	Hash      string     `json:"hash"`   // SHA-256 of Document, in hex
	Document  []byte     `json:"-"`      // the definition in its canonical form, JSON
	CreatedAt time.Time  `json:"created_at"`
}

// Definition is what a pipeline file says, after parsing and before it is
// bound to models, tools and expressions.
type Definition struct {
	Name        string                     `json:"name"`
	Description string                     `json:"description,omitempty"`
	Vars        map[string]json.RawMessage `json:"vars,omitempty"`
	InputSchema json.RawMessage            `json:"input_schema,omitempty"`
	Timeout     Duration                   `json:"timeout,omitzero"` // of a whole run, parked time included; 0 is none
	Concurrency *Concurrency               `json:"concurrency,omitempty"`
	Agents      map[string]AgentSpec       `json:"agents,omitempty"`
	Nodes       []Node                     `json:"nodes"` // in the order of the file
	Edges       []Edge                     `json:"edges,omitempty"`
	Output      json.RawMessage            `json:"output,omitempty"` // a template; absent is null
}

// Concurrency bounds how many of a pipeline's runs are begun and not ended at
// a time; the others stay queued, the most urgent and then the oldest first.
type Concurrency struct {
	// Key is a text template over the run's input and vars. Runs of the same
	// project with the same text share the bound, whatever their pipeline.
	// Without it all runs of this pipeline do.
	Key string `json:"key,omitempty"`
	Max int    `json:"max"` // at least 1
}

// Node is one node of a definition. Config holds the fields that belong to its
// kind alone.
type Node struct {
	ID           string                     `json:"id"`
	Kind         string                     `json:"kind"`
	Name         string                     `json:"name,omitempty"`
	Retry        *Retry                     `json:"retry,omitempty"`
	Timeout      Duration                   `json:"timeout,omitzero"`       // per attempt; 0 is none
	TotalTimeout Duration                   `json:"total_timeout,omitzero"` // all attempts and waits; 0 is none
	OnError      OnError                    `json:"on_error,omitempty"`     // default fail
	Fallback     json.RawMessage            `json:"fallback,omitempty"`     // output after a failure with OnErrorContinue
	Idempotent   *bool                      `json:"idempotent,omitempty"`   // default: what its tool says
	OnUnknown    OnUnknown                  `json:"on_unknown,omitempty"`   // default ask
	OnOpen       OnOpen                     `json:"on_open,omitempty"`      // default wait
	Position     *[2]int                    `json:"position,omitempty"`     // where it is drawn, from the left and the top; means nothing to a run
	Config       map[string]json.RawMessage `json:"config,omitempty"`
}

// Edge leads from a node to one that needs it. Branch is the outcome it stands
// for: "" is success, BranchError a failure, anything else a branch that the
// node's kind declares.
type Edge struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Branch string `json:"branch,omitempty"`
}

// BranchError is the branch taken when a node with OnErrorBranch failed.
const BranchError = "error"

// OnError says what a node's failure means for its run.
type OnError string

// What a failure can mean.
const (
	OnErrorFail     OnError = "fail"     // the run stops its other nodes and fails
	OnErrorContinue OnError = "continue" // the run goes on with the fallback as output
	OnErrorBranch   OnError = "branch"   // the run goes on along the error edges
)

// OnUnknown says what to do about a call that may have acted.
type OnUnknown string

// What can be done about an unknown outcome.
const (
	OnUnknownAsk   OnUnknown = "ask"   // wait for a human's decision
	OnUnknownRetry OnUnknown = "retry" // make the call again
	OnUnknownFail  OnUnknown = "fail"  // treat it as a failure
)

// OnOpen says what a node does while the circuit breaker of what it calls is
// open.
type OnOpen string

// What a node can do about an open circuit.
const (
	OnOpenWait OnOpen = "wait" // wait until the circuit lets calls through; no attempt is counted
	OnOpenFail OnOpen = "fail" // fail like any call that did not get through
)

// Retry says how often, how long after and after which failures a node is
// tried again. The delay before attempt n+1 is
// InitialDelay × Factor^(n-1), at most MaxDelay, plus or minus Jitter of it.
type Retry struct {
	MaxAttempts  int      `json:"max_attempts"`
	InitialDelay Duration `json:"initial_delay,omitzero"`
	Factor       float64  `json:"factor,omitempty"`
	MaxDelay     Duration `json:"max_delay,omitzero"`
	Jitter       float64  `json:"jitter,omitempty"` // 0 to 1
	On           []Kind   `json:"on,omitempty"`
}

// Delay is the wait after an attempt, counted from 1. Where between its bounds
// the jitter puts it a number from 0 to 1 says.
func (r Retry) Delay(attempt int, within float64) time.Duration {
	delay := float64(r.InitialDelay) * math.Pow(max(r.Factor, 1), float64(attempt-1))
	if r.MaxDelay > 0 {
		delay = min(delay, float64(r.MaxDelay))
	}
	return time.Duration(delay * (1 + r.Jitter*(2*within-1)))
}

// DefaultRetry is what fields of [Retry] that are absent mean: one attempt,
// and where more are asked for, 500 ms doubling up to 30 s with a fifth of
// jitter, after failures that may pass.
func DefaultRetry() Retry {
	return Retry{
		MaxAttempts:  1,
		InitialDelay: Duration(500 * time.Millisecond),
		Factor:       2,
		MaxDelay:     Duration(30 * time.Second),
		Jitter:       0.2,
		On:           []Kind{KindUnavailable, KindExhausted, KindTimeout},
	}
}

// AgentSpec is an agent as a definition writes it: a model, what it is told to
// be, and what it may use.
type AgentSpec struct {
	Model    string   `json:"model"`            // "provider/model"
	Prompt   string   `json:"prompt,omitempty"` // the system prompt
	Tools    []string `json:"tools,omitempty"`
	MaxSteps int      `json:"max_steps,omitempty"` // model turns; 0 is DefaultMaxSteps
	// Fallback are models to ask, in this order, when the one before does not
	// answer; at most MaxFallback.
	Fallback []string `json:"fallback,omitempty"`
}

// MaxEvents is how many events a run's log may have before the run is ended as
// too long, without those that only say that it was parked and claimed again.
// What ends it follows after that.
const MaxEvents = 50_000

// MaxFallback is how many models an agent may fall back to.
const MaxFallback = 5

// DefaultMaxSteps bounds an agent's model turns where its spec does not.
const DefaultMaxSteps = 20

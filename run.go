package gathering

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Run is one execution of a pipeline version: what it is searched and claimed
// by. What happened in it is its log.
type Run struct {
	ID           RunID             `json:"id"`
	Project      ProjectID         `json:"project"`
	Pipeline     PipelineID        `json:"pipeline"`
	Version      int               `json:"version"`
	State        RunState          `json:"state"`
	Owner        InstanceID        `json:"owner,omitempty"` // who works on it now
	Epoch        int64             `json:"epoch"`           // raised by every claim; fences every append
	Crashes      int               `json:"crashes,omitempty"`
	Priority     int               `json:"priority,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Parent       RunID             `json:"parent,omitempty"`
	Root         RunID             `json:"root"` // the run that started it all; its own ID at the top
	Depth        int               `json:"depth,omitempty"`
	CreatedAt    time.Time         `json:"created_at"`
	FinishedAt   *time.Time        `json:"finished_at,omitempty"`
	ReadyAt      *time.Time        `json:"ready_at,omitempty"` // when a parked run is due by itself
	Deadline     *time.Time        `json:"deadline,omitempty"`
	PipelineName string            `json:"pipeline_name,omitempty"`
}

// RunCounts is how many runs there are of what somebody may want to look at.
type RunCounts struct {
	Queued     int `json:"queued"`
	Running    int `json:"running"`
	Recovering int `json:"recovering"`
	Waiting    int `json:"waiting"`
	Paused     int `json:"paused"`
	Cancelling int `json:"cancelling"`
	// Undecided is how many of these have a node whose outcome somebody is to decide.
	Undecided int `json:"undecided"`
	// Dead is how many ended badly and nobody has seen to.
	Dead int `json:"dead"`
	// AtLeast: there are more than were counted.
	AtLeast bool `json:"at_least,omitempty"`
}

// MaxDepth bounds how deep runs may start runs.
const MaxDepth = 16

// RunFilter selects runs, newest first. The zero value selects the newest 50.
type RunFilter struct {
	// Projects bounds what is wanted to these projects; nil does not.
	Projects []ProjectID
	Pipeline PipelineID
	Parent   RunID
	Root     RunID // those that this run led to, directly or through others
	States   []RunState
	Dead     bool // only dead letters: those that ended badly and that nobody has seen to
	// Undecided: only those with a node whose outcome somebody is to decide.
	Undecided bool
	Before    RunID // runs older than this one: the cursor of the next page
	Limit     int   // 0 is 50, at most 501
}

// RunReport is a run as its log tells it: where it stands and what each node
// did.
type RunReport struct {
	Run        RunID           `json:"run"`
	Pipeline   string          `json:"pipeline"`
	State      RunState        `json:"state"`
	PausedBy   string          `json:"paused_by,omitempty"`
	Origin     *Origin         `json:"origin,omitempty"` // the run that it repeats in part
	Output     json.RawMessage `json:"output"`
	Error      *Failure        `json:"error"`
	Nodes      []NodeReport    `json:"nodes"`
	Usage      Usage           `json:"usage"`
	StartedAt  *time.Time      `json:"started_at"`
	FinishedAt *time.Time      `json:"finished_at"`
}

// NodeReport is what one node of a run did.
type NodeReport struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	State    NodeState       `json:"state"`
	Attempts int             `json:"attempts"`
	Output   json.RawMessage `json:"output"`
	Error    *Failure        `json:"error"`
	Child    RunID           `json:"child,omitempty"`
	Due      *time.Time      `json:"due,omitempty"`
	// Uncounted: what Error tells of was no attempt; the attempt is made again
	// under its number.
	Uncounted  bool         `json:"uncounted,omitempty"`
	Items      *ItemsReport `json:"items,omitempty"` // of a map that has begun
	StartedAt  *time.Time   `json:"started_at"`
	FinishedAt *time.Time   `json:"finished_at"`
}

// Why says what a run waits for.
type Why struct {
	Run   RunID    `json:"run"`
	State RunState `json:"state"`
	// Line is all of it in one line.
	Line  string `json:"line"`
	Waits []Wait `json:"waits,omitempty"`
}

// Wait is one thing that a run waits for.
type Wait struct {
	Node   string     `json:"node,omitempty"` // "" is the run itself
	Reason string     `json:"reason"`
	Until  *time.Time `json:"until,omitempty"` // when it ends by itself, if it does
	Run    RunID      `json:"run,omitempty"`   // the child run that is waited for
}

// ItemsReport is how the items of a map stand.
type ItemsReport struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed,omitempty"` // ended otherwise, skipped ones included
	Running   int `json:"running,omitempty"`
	Unknown   int `json:"unknown,omitempty"` // with an outcome that nobody knows
	// Open lists items that are neither completed nor waiting for their turn,
	// MaxOpenItems of them: first those that wait for a decision, then those
	// under way, then those that ended badly.
	Open []ItemReport `json:"open,omitempty"`
}

// MaxOpenItems bounds the items that a report tells one by one.
const MaxOpenItems = 100

// ItemReport is what came of one item of a map.
type ItemReport struct {
	Index    int        `json:"index"`
	State    NodeState  `json:"state"`
	Attempts int        `json:"attempts"`
	Error    *Failure   `json:"error,omitempty"`
	Child    RunID      `json:"child,omitempty"`
	Due      *time.Time `json:"due,omitempty"`
	// Uncounted is as in [NodeReport].
	Uncounted bool `json:"uncounted,omitempty"`
}

// NodePath names a node of a run, or with an item that is not negative one item
// of a map, as in "each[3]".
func NodePath(node string, item int) string {
	if item < 0 {
		return node
	}
	return node + "[" + strconv.Itoa(item) + "]"
}

// ParseNodePath is the reverse of [NodePath]: the item is -1 where the path
// names none. False is a path of another form.
func ParseNodePath(path string) (node string, item int, ok bool) {
	node, rest, found := strings.Cut(path, "[")
	if !found {
		return node, -1, node != ""
	}
	digits, closed := strings.CutSuffix(rest, "]")
	item, err := strconv.Atoi(digits)
	return node, item, closed && err == nil && item >= 0 && node != "" && strconv.Itoa(item) == digits
}

// Usage is what model calls consumed.
type Usage struct {
	ModelCalls   int   `json:"model_calls"`
	ToolCalls    int   `json:"tool_calls"`
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
	// CacheReadTokens and CacheWriteTokens are those of InputTokens that the
	// provider took from its cache or put into it, at prices of their own.
	CacheReadTokens  int64 `json:"cache_read_tokens,omitempty"`
	CacheWriteTokens int64 `json:"cache_write_tokens,omitempty"`
	// CostMicros is what the calls cost whose price is known, in millionths of
	// a US dollar.
	CostMicros int64 `json:"cost_micros,omitempty"`
	// Unpriced counts the model calls that are not in CostMicros, because
	// nobody here knows what they cost.
	Unpriced int `json:"unpriced,omitempty"`
}

// Add adds what v consumed to u.
func (u *Usage) Add(v Usage) {
	u.ModelCalls += v.ModelCalls
	u.ToolCalls += v.ToolCalls
	u.InputTokens += v.InputTokens
	u.OutputTokens += v.OutputTokens
	u.CacheReadTokens += v.CacheReadTokens
	u.CacheWriteTokens += v.CacheWriteTokens
	u.CostMicros += v.CostMicros
	u.Unpriced += v.Unpriced
}

// StepKind says what a step did.
type StepKind string

// The kinds of step.
const (
	StepModel StepKind = "model" // one turn of a model
	StepTool  StepKind = "tool"  // one call of a tool
)

// Step is one recorded model turn or tool call of a node. Once it is in the
// log it is never made again: after a crash the loop reads it instead.
type Step struct {
	// Key names the step within its node, the same on every replay: "turn/3",
	// or "turn/3/call/1" for a tool call of that turn.
	Key  string   `json:"key"`
	Kind StepKind `json:"kind"`
	Name string   `json:"name"` // the model that answered, or the tool
	// Phase is StepIntent before a call that must not be made twice, StepDone
	// when its result is known.
	Phase string `json:"phase,omitempty"`
	// Request is the SHA-256 of what was asked, in hex.
	Request string          `json:"request,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Failure *Failure        `json:"failure,omitempty"`
	Usage   *Usage          `json:"usage,omitempty"`
	Took    Duration        `json:"took,omitzero"`
	// Tries is how many model calls a turn took, all models counted; 0 is one.
	Tries int `json:"tries,omitempty"`
	// Fallback says why the agent's own model did not answer a turn, where a
	// model of its fallback chain did.
	Fallback string `json:"fallback,omitempty"`
}

// The phases of a step.
const (
	StepIntent = "intent" // about to be made; without a StepDone its outcome is unknown
	StepDone   = ""       // made, with a result or a failure
)

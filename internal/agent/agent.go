// Package agent is the durable loop of an agent: the model is asked, the tools
// it calls are run, their results go back to it, until it answers.
//
// Each model turn and each tool call is a [gathering.Step], recorded before
// the loop goes on. After a crash the loop is run again with what was recorded
// and folds it into the conversation: nothing recorded is made again, whatever
// it cost or did.
//
//	turn/1 ──▶ turn/1/call/1 ─┐
//	       ──▶ turn/1/call/2 ─┴─▶ turn/2 ──▶ … ──▶ answer
//
// A call that its tool does not say is repeatable gets a step of phase intent
// before it is made. Where an intent has no result the outcome is unknown and
// [Loop.Run] returns an error of CodeUnknownOutcome. Leaving the intent out of
// [Task.Steps] makes the call again, once; [Task.OnUnknown] does so always.
package agent

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"charm.land/fantasy"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/schema"
	"gathering/internal/tool"
)

const (
	// maxParallel bounds the tool calls of one turn that run at the same time.
	maxParallel = 8
	// maxRepeats is how often in a row the same call may be asked for; the
	// last of them is not made.
	maxRepeats = 4
	// maxResult bounds, in bytes, a tool's result on its way to a model.
	maxResult = 256 << 10
)

// Loop runs agents. It keeps nothing between runs and may be used by many
// goroutines at once.
type Loop struct {
	Models *llm.Models
	Tools  *tool.Registry
	Clock  func() time.Time // nil is time.Now; only measures how long steps took
	Logger *slog.Logger     // nil logs nothing; gets the causes of tools' internal errors
	// Guard is asked about each model call, by the name "provider:openai"; nil
	// lets every call through.
	Guard llm.Guard
}

// Task is what an agent shall do, and what was already done of it.
type Task struct {
	Spec gathering.AgentSpec
	Task string
	// OutputSchema is a JSON Schema that the output must match; nil asks for
	// text. See [Answer].
	OutputSchema json.RawMessage
	// Call says who calls tools and where they may act. Its Key identifies
	// this task: the key of each tool call is made from it. Its Arguments are
	// not used.
	Call tool.Call
	// Steps were recorded for this task before. They are never made again.
	Steps []gathering.Step
	// OnUnknown, if it is OnUnknownRetry, makes calls again that were begun
	// and have no recorded result. Anything else returns CodeUnknownOutcome.
	OnUnknown gathering.OnUnknown
	// Record returns when the step is durable. It may be called from several
	// goroutines at once. What has happened is recorded even when ctx has
	// ended: the context it is called with then has not.
	Record func(ctx context.Context, step gathering.Step) error
	// Fence, if it is not nil, is asked right before each model call and each
	// tool call. Its error ends Run: that call was not made. It may be asked
	// from several goroutines at once.
	Fence func() error
	// Delta, if it is not nil, is told what goes on while it does: one thing
	// after the other, in the order of a turn. It must return soon, for the
	// loop waits for it.
	Delta func(Delta)
}

// Answer is what an agent came to.
type Answer struct {
	// Output is the JSON value that OutputSchema describes. Without a schema it
	// is an object: "text", the answer; "model", the reference of who gave it,
	// which may be of the fallback chain;
	// and, where the model has any, "notes", a list of remarks on how the answer
	// came to be, and "metadata", what the model itself says about it.
	Output json.RawMessage
	// Usage sums what all steps consumed, recorded ones included. It is set
	// beside an error, too, and then counts the failed call.
	Usage gathering.Usage
}

// Run works on t until the agent answers. Its errors:
//
//   - KindInvalid before the first call: no such model or tool, a missing key,
//     a faulty schema
//   - what the model call failed with, see [gathering.AgentSpec]: of a chain the
//     last failure of a model that was called, with a message that names them
//     all; circuit_open says that none was called in this turn. A delay that
//     the provider asked for is kept, see [gathering.RetryAfter]; of a chain it
//     is that after which the first of its models can be asked again
//   - KindExhausted with CodeMaxSteps or CodeRepeatedCall
//   - KindInvalid when the answer does not match the schema after one repair
//   - KindConflict with CodeUnknownOutcome when a call may have acted
//   - KindInternal when a recorded step belongs to another conversation
//   - the error of ctx when it ended, or of Record or Fence
//
// Errors of tools are not among them: the model gets to see them.
func (l *Loop) Run(ctx context.Context, t Task) (Answer, error) {
	c, err := l.begin(ctx, t)
	if err != nil {
		return Answer{}, err
	}
	output, err := c.run(ctx)
	return Answer{Output: output, Usage: c.usage}, err
}

// conversation is one Run under way.
type conversation struct {
	loop   *Loop
	task   Task
	models []candidate // the agent's own and its fallback chain
	at     int         // the one in use
	tools  toolbox
	schema *schema.Schema // nil: the answer is text
	log    steps

	messages []message // what was said after the system prompt
	usage    gathering.Usage
	ids      map[string]bool // of tool calls
	last     string          // the last call asked for
	repeats  int             // how often in a row
	fallback string          // why models[0] is not in use

	telling sync.Mutex // held while Delta is
}

func (l *Loop) begin(ctx context.Context, t Task) (*conversation, error) {
	c := &conversation{loop: l, task: t, log: readSteps(t.Steps), ids: map[string]bool{}}
	var err error
	if c.models, err = l.candidates(ctx, t.Spec); err != nil {
		return nil, err
	}
	if c.tools, err = newToolbox(l.Tools, t.Spec.Tools); err != nil {
		return nil, err
	}
	if t.OutputSchema != nil {
		if c.schema, err = schema.Compile(t.OutputSchema); err != nil {
			return nil, err
		}
	}
	c.messages = []message{{Role: fantasy.MessageRoleUser, Text: t.Task}}
	return c, nil
}

// run makes turns until one of them is the answer.
func (c *conversation) run(ctx context.Context) (json.RawMessage, error) {
	limit := c.task.Spec.MaxSteps
	if limit == 0 {
		limit = gathering.DefaultMaxSteps
	}
	repaired := false
	for n := 1; ; n++ {
		said, err := c.turn(ctx, n)
		if err != nil {
			return nil, err
		}
		if len(said.Calls) > 0 {
			if n >= limit {
				return nil, gathering.NewError(gathering.KindExhausted,
					"the agent made %d model turns without an answer", n).WithCode(gathering.CodeMaxSteps)
			}
			if err := c.takeCalls(ctx, n, said); err != nil {
				return nil, err
			}
			continue
		}
		output, wrong, err := c.answer(said)
		switch {
		case err != nil:
			return nil, err
		case wrong == nil:
			return output, nil
		case repaired:
			return nil, wrong
		}
		repaired = true
		c.messages = append(c.messages, said.message(), repair(wrong))
	}
}

// takeCalls makes the calls of a turn and puts their results into the conversation.
func (c *conversation) takeCalls(ctx context.Context, n int, said turn) error {
	for _, asked := range said.Calls {
		if err := c.countRepeats(asked); err != nil {
			return err
		}
	}
	results, err := c.call(ctx, n, said.Calls)
	if err != nil {
		return err
	}
	c.messages = append(c.messages, said.message(), message{Role: fantasy.MessageRoleTool, Results: results})
	return nil
}

func (c *conversation) countRepeats(asked toolCall) error {
	if this := digest(asked.Tool, canonical(asked.Arguments)); this != c.last {
		c.last, c.repeats = this, 1
		return nil
	}
	if c.repeats++; c.repeats < maxRepeats {
		return nil
	}
	return gathering.NewError(gathering.KindExhausted,
		"the agent asked for the same call of %s %d times in a row", gathering.Brief(asked.Tool), maxRepeats).
		WithCode(gathering.CodeRepeatedCall)
}

func (l *Loop) now() time.Time {
	if l.Clock == nil {
		return time.Now()
	}
	return l.Clock()
}

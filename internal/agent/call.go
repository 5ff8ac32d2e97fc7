package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"gathering"
)

// call makes the tool calls of one turn, several at a time, and returns their
// results in the order of the calls. It returns when all of them have ended.
func (c *conversation) call(ctx context.Context, n int, asked []toolCall) ([]toolResult, error) {
	for i := range asked {
		if key := callKey(n, i); c.log.unknown(key) && !c.mayRepeat(asked[i]) {
			return nil, unknownOutcome(key, asked[i].Tool, nil)
		}
	}
	var (
		made  = make([]gathering.Step, len(asked))
		errs  = make([]error, len(asked))
		slots = make(chan struct{}, maxParallel)
		calls sync.WaitGroup
	)
	for i := range asked {
		calls.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			made[i], errs[i] = c.one(ctx, n, i, asked[i])
		})
	}
	calls.Wait()
	if err := worst(errs); err != nil {
		return nil, err
	}
	results := make([]toolResult, len(asked))
	for i, step := range made {
		if step.Usage != nil {
			c.usage.Add(*step.Usage)
		}
		results[i] = toolResult{asked[i].ID, step.Result, step.Failure}
	}
	return results, nil
}

// worst returns an unknown outcome if there is one, because somebody must
// decide about it whatever else went wrong, then that of a call which was not
// made, because its intent is to be forgotten, and else the first error.
func worst(errs []error) error {
	var first, notSent error
	for _, err := range errs {
		switch gathering.CodeOf(err) {
		case gathering.CodeUnknownOutcome:
			return err
		case gathering.CodeNotSent:
			notSent = err
		}
		if first == nil {
			first = err
		}
	}
	if notSent != nil {
		return notSent
	}
	return first
}

func callKey(n, i int) string { return fmt.Sprintf("turn/%d/call/%d", n, i+1) }

// one returns the step of one call: from the log where it is recorded, and
// else by making the call, once, and recording what came of it.
func (c *conversation) one(ctx context.Context, n, i int, asked toolCall) (gathering.Step, error) {
	key := callKey(n, i)
	step := gathering.Step{
		Key: key, Kind: gathering.StepTool, Name: asked.Tool,
		Request: digest(asked.Tool, canonical(asked.Arguments)),
	}
	recorded, found, err := c.log.find(key, step.Request)
	if err != nil || found {
		return recorded, err
	}
	if err := c.mayCall(ctx); err != nil { // before an intent that would stay without a result
		return gathering.Step{}, fmt.Errorf("call %s: %w", asked.Tool, err)
	}
	t, input, err := c.accept(asked)
	if err != nil {
		// The call is not made; the model is told why.
		step.Name = gathering.Brief(asked.Tool)
		step.Failure = gathering.FailureOf(err)
		return step, c.record(ctx, step)
	}
	c.tell(Delta{Kind: DeltaCalled, Turn: n, Tool: step.Name, Step: key})
	err = c.make(ctx, &step, t, input)
	c.tell(Delta{Kind: DeltaReturned, Turn: n, Tool: step.Name, Step: key, Failed: err != nil || step.Failure != nil})
	if err != nil {
		return gathering.Step{}, err
	}
	err = c.record(ctx, step)
	if err != nil && t.once(input) {
		err = unknownOutcome(key, t.spec.Name, err)
	}
	return step, err
}

// mayRepeat reports whether a call is made again of which only an intent is
// known: where the task says so, and where the call is repeatable. Former
// versions recorded intents of such calls, too.
func (c *conversation) mayRepeat(asked toolCall) bool {
	if c.task.OnUnknown == gathering.OnUnknownRetry {
		return true
	}
	t, input, err := c.accept(asked)
	return err == nil && !t.once(input)
}

// accept returns the tool and the arguments of a call that may be made. Its
// errors are for the model.
func (c *conversation) accept(asked toolCall) (offered, json.RawMessage, error) {
	t, ok := c.tools.find(asked.Tool)
	if !ok {
		wires := make([]string, 0, len(c.tools.offered))
		for _, o := range c.tools.offered {
			wires = append(wires, o.wire)
		}
		return offered{}, nil, gathering.NewError(gathering.KindInvalid,
			"there is no such tool; the tools are: %s", strings.Join(wires, ", ")).WithCode(gathering.CodeToolMissing)
	}
	input := bytes.TrimSpace([]byte(asked.Arguments))
	if len(input) == 0 {
		input = []byte("{}")
	}
	if err := gathering.CheckJSON("arguments", input); err != nil {
		return offered{}, nil, err
	}
	if input[0] != '{' {
		return offered{}, nil, gathering.NewError(gathering.KindInvalid, "the arguments do not fit the tool").
			WithFields(gathering.FieldError{Field: "arguments", Problem: "must be a JSON object"})
	}
	return t, input, nil
}

// make makes the call and puts what came of it into step. It returns an error
// where nothing can be said to have come of it: ctx ended, the fence is up or
// the outcome is unknown.
func (c *conversation) make(ctx context.Context, step *gathering.Step, t offered, input json.RawMessage) error {
	once := t.once(input)
	if once {
		intent := *step
		intent.Phase = gathering.StepIntent
		if err := c.task.Record(ctx, intent); err != nil {
			return fmt.Errorf("record intent %s: %w", step.Key, err)
		}
	}
	if err := c.mayCall(ctx); err != nil {
		if once && ctx.Err() != nil {
			err = gathering.NewError(gathering.KindOf(err), "it was stopped before it was made").
				WithCode(gathering.CodeNotSent).WithCause(err)
		}
		return fmt.Errorf("call %s: %w", step.Name, err)
	}
	call := c.task.Call
	call.Key += "/" + step.Key
	call.Arguments = input
	began := c.loop.now()
	result, err := t.tool.Call(ctx, call)
	step.Took = gathering.Duration(c.loop.now().Sub(began))
	step.Usage = &gathering.Usage{ToolCalls: 1}
	switch {
	case err == nil && len(result) > maxResult:
		step.Failure = gathering.FailureOf(gathering.NewError(gathering.KindTooLarge,
			"the call was made; its result of %d bytes is over the limit of %d: ask for less", len(result), maxResult))
	case err == nil:
		step.Result = gathering.CompactJSON(result)
		if step.Result == nil {
			step.Result = json.RawMessage("null")
		}
	case ctx.Err() != nil && gathering.CodeOf(err) == gathering.CodeNotSent:
		return fmt.Errorf("call %s: %w", t.spec.Name, err)
	case gathering.CodeOf(err) == gathering.CodeUnknownOutcome, once && mayHaveActed(err):
		return unknownOutcome(step.Key, t.spec.Name, err)
	case ctx.Err() != nil && !once:
		return fmt.Errorf("call %s: %w", t.spec.Name, ctx.Err())
	default:
		c.logCause(ctx, step, err)
		step.Failure = gathering.FailureOf(err)
	}
	return nil
}

// mayHaveActed reports whether a call that failed with err may have reached
// the other side. A tool that knows better than the kind tells says so with
// CodeUnknownOutcome.
func mayHaveActed(err error) bool {
	if gathering.CodeOf(err) == gathering.CodeNotSent {
		return false
	}
	switch gathering.KindOf(err) {
	case gathering.KindTimeout, gathering.KindCancelled, gathering.KindInternal:
		return true
	default:
		return false
	}
}

func unknownOutcome(key, name string, cause error) error {
	err := gathering.NewError(gathering.KindConflict,
		"the call of %s (%s) may have acted and nobody can tell", name, key).WithCode(gathering.CodeUnknownOutcome)
	if cause == nil {
		return err
	}
	return err.WithCause(cause)
}

// logCause keeps the cause of an internal error, which neither the model nor
// the run's log gets to see.
func (c *conversation) logCause(ctx context.Context, step *gathering.Step, err error) {
	if c.loop.Logger == nil || gathering.KindOf(err) != gathering.KindInternal || errors.Is(err, ctx.Err()) {
		return
	}
	c.loop.Logger.LogAttrs(ctx, slog.LevelError, "tool call failed",
		slog.String("run_id", string(c.task.Call.Run)), slog.String("node", c.task.Call.Node),
		slog.String("tool", step.Name), slog.String("step", step.Key), slog.String("error", err.Error()))
}

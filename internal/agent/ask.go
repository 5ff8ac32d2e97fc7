package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"charm.land/fantasy"

	"gathering"
	"gathering/internal/llm"
)

// candidate is one model that an agent may ask.
type candidate struct {
	ref   string
	model fantasy.LanguageModel
	facts llm.Facts
}

// candidates returns the models of spec, its own first.
func (l *Loop) candidates(ctx context.Context, spec gathering.AgentSpec) ([]candidate, error) {
	var found []candidate
	for _, ref := range append([]string{spec.Model}, spec.Fallback...) {
		if slices.ContainsFunc(found, func(c candidate) bool { return c.ref == ref }) {
			continue
		}
		model, err := l.Models.Model(ctx, ref)
		if err != nil {
			return nil, err
		}
		found = append(found, candidate{ref, model, l.Models.Facts(ref)})
	}
	return found, nil
}

// asking is one turn on its way: which models were asked and what came of it.
type asking struct {
	turn     int
	key      string
	tries    int             // calls made
	used     gathering.Usage // by all of them
	failures []failure       // one for each model that failed
}

// failure is a model that did not answer, and why.
type failure struct {
	ref string
	err error
}

// text is what is told of it.
func (f failure) text() string {
	message := gathering.FailureOf(f.err).Message
	if !strings.HasPrefix(message, f.ref) {
		message = f.ref + ": " + message
	}
	return message
}

func listed(failures []failure) string {
	texts := make([]string, 0, len(failures))
	for _, f := range failures {
		texts = append(texts, f.text())
	}
	return strings.Join(texts, "; ")
}

// ask makes the model call of a turn and records what came of it. Where the
// model fails in a way that may pass, the next model of the chain is asked and
// stays in use for the rest of this Run. A failed call and an empty answer are
// not recorded: they may be made again.
func (c *conversation) ask(ctx context.Context, n int, request string) (gathering.Step, error) {
	a := &asking{turn: n, key: turnKey(n)}
	began := c.loop.now()
	response, err := c.askChain(ctx, a)
	if err != nil {
		return gathering.Step{}, fmt.Errorf("ask for %s: %w", a.key, err)
	}
	said, err := c.read(response, a.key)
	if err != nil {
		return gathering.Step{}, err
	}
	if len(a.failures) > 0 {
		c.fallback = gathering.Brief(listed(a.failures))
	}
	if c.fallback != "" {
		said.Notes = append(said.Notes, "answered by "+c.current().ref+" instead: "+c.fallback)
	}
	result, err := json.Marshal(said)
	if err != nil {
		return gathering.Step{}, fmt.Errorf("encode %s: %w", a.key, err)
	}
	step := gathering.Step{
		Key: a.key, Kind: gathering.StepModel, Name: c.current().ref, Request: request,
		Result: result, Usage: &a.used, Took: gathering.Duration(c.loop.now().Sub(began)), Fallback: c.fallback,
	}
	if a.tries > 1 {
		step.Tries = a.tries
	}
	return step, c.record(ctx, step)
}

func (c *conversation) current() candidate { return c.models[c.at] }

// askChain asks one model after the other until one answers.
func (c *conversation) askChain(ctx context.Context, a *asking) (*fantasy.Response, error) {
	for {
		response, err := c.askModel(ctx, a)
		if err == nil || !mayPass(ctx, err) {
			return response, err
		}
		a.failures = append(a.failures, failure{c.current().ref, err})
		if c.at+1 == len(c.models) {
			return nil, chainError(a.failures)
		}
		c.at++
	}
}

// askModel asks the model in use. One that is merely unavailable and does not
// say when to come back gets a second chance before another takes its place.
// Without another, the node's own retries are all there are.
func (c *conversation) askModel(ctx context.Context, a *asking) (*fantasy.Response, error) {
	response, err := c.askOnce(ctx, a)
	blip := gathering.KindOf(err) == gathering.KindUnavailable && !notCalled(err) && gathering.RetryAfter(err) == 0
	if !blip || !mayPass(ctx, err) || c.at+1 == len(c.models) {
		return response, err
	}
	response, again := c.askOnce(ctx, a)
	if notCalled(again) { // the failure before is what closed the way
		return nil, gathering.Delayed(err, gathering.RetryAfter(again))
	}
	return response, again
}

// notCalled reports whether err says that a model was not called, because its
// circuit is open.
func notCalled(err error) bool { return gathering.CodeOf(err) == gathering.CodeCircuitOpen }

// mayPass reports whether a failed call may succeed later or with another model.
func mayPass(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	switch gathering.KindOf(err) {
	case gathering.KindUnavailable, gathering.KindExhausted, gathering.KindTimeout:
		return true
	default:
		return notCalled(err)
	}
}

// chainError is the error of a chain of which no model answered. It names them
// all and is of the kind of the last one that was called: only where none was
// is it circuit_open, for which a node waits without counting an attempt. Its
// delay is the shortest that any of them leaves open: a chain waits no longer
// than one of its models alone would have to.
func chainError(failures []failure) error {
	if len(failures) == 1 {
		return failures[0].err
	}
	last, delay := failures[0].err, gathering.RetryAfter(failures[0].err)
	for _, f := range failures[1:] {
		if notCalled(last) || !notCalled(f.err) {
			last = f.err
		}
		delay = min(delay, gathering.RetryAfter(f.err))
	}
	all := gathering.NewError(gathering.KindOf(last), "no model answered: %s", listed(failures)).
		WithCode(gathering.CodeOf(last)).
		WithCause(errors.New(last.Error())) // its text alone: it may ask for a delay of its own
	return gathering.Delayed(all, delay)
}

// askOnce makes one call of the model in use.
func (c *conversation) askOnce(ctx context.Context, a *asking) (*fantasy.Response, error) {
	if err := c.mayCall(ctx); err != nil {
		return nil, err
	}
	var (
		m        = c.current()
		call     = c.prompt()
		heard    = &hearing{conversation: c, turn: a.turn, try: a.tries + 1, model: m.ref}
		made     bool
		response *fantasy.Response
	)
	err := c.guarded(ctx, "provider:"+llm.ProviderOf(m.ref), func(ctx context.Context) error {
		made = true
		stream, err := m.model.Stream(ctx, call)
		if err != nil {
			return err
		}
		response, err = llm.Collect(stream, heard.part)
		return err
	})
	if made {
		a.tries++
		used := heard.consumption(m.facts, response, err)
		a.used.Add(used)
		c.usage.Add(used)
	}
	if err == nil && empty(response) {
		err = gathering.NewError(gathering.KindUnavailable, "%s: the model answered with nothing", m.ref)
	}
	return response, err
}

func (c *conversation) guarded(ctx context.Context, name string, call func(ctx context.Context) error) error {
	if c.loop.Guard == nil {
		return call(ctx)
	}
	return c.loop.Guard.Do(ctx, name, call)
}

// mayCall returns why nothing may be called any more.
func (c *conversation) mayCall(ctx context.Context) error {
	if c.task.Fence != nil {
		if err := c.task.Fence(); err != nil {
			return err
		}
	}
	return ctx.Err() // which may have ended while the fence took its time
}

// empty reports whether a model said nothing and was not kept from saying it.
func empty(response *fantasy.Response) bool {
	if response.FinishReason == fantasy.FinishReasonContentFilter || len(response.Content.ToolCalls()) > 0 {
		return false
	}
	for _, content := range response.Content {
		if text, ok := fantasy.AsContentType[fantasy.TextContent](content); ok && strings.TrimSpace(text.Text) != "" {
			return false
		}
	}
	return true
}

// consumption is what one call of a model took and cost. A call that failed
// before anything came of it is taken to cost nothing, unless it was given up:
// the model may have been at work.
func (h *hearing) consumption(facts llm.Facts, response *fantasy.Response, err error) gathering.Usage {
	used := gathering.Usage{ModelCalls: 1}
	if err != nil {
		if kind := gathering.KindOf(err); h.any || kind == gathering.KindTimeout || kind == gathering.KindCancelled {
			used.Unpriced = 1
		}
		return used
	}
	u := response.Usage
	used.OutputTokens = llm.Tokens(u.OutputTokens)
	used.CacheReadTokens, used.CacheWriteTokens = llm.Tokens(u.CacheReadTokens), llm.Tokens(u.CacheCreationTokens)
	used.InputTokens = llm.Tokens(u.InputTokens) + used.CacheReadTokens + used.CacheWriteTokens
	free := facts.Price == llm.Price{}
	if counted := used.InputTokens+used.OutputTokens > 0; facts.Priced && (counted || free) {
		used.CostMicros = facts.Price.Cost(u)
	} else {
		used.Unpriced = 1
	}
	return used
}

package node_test

import (
	"context"
	"testing"
	"testing/synctest"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/llm/llmtest"
)

// shut lets no call of one provider through.
type shut string

func (s shut) Do(ctx context.Context, name string, call func(context.Context) error) error {
	if name == string(s) {
		return gathering.NewError(gathering.KindUnavailable, "%s is not called at the moment", name).WithCode(gathering.CodeCircuitOpen)
	}
	return call(ctx)
}

// TestChainThatWasCalled holds that an attempt counts in which a model was
// called, although the circuit of the one after it was open.
func TestChainThatWasCalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := llmtest.Turn{Err: &llm.StatusError{Status: 503}}
		b := newBench(t, away, away, away, away) // each attempt asks twice
		binder := b.binder()
		binder.Agents.Guard = shut("provider:offline")
		graph, err := binder.Bind(b.load(`
nodes:
  start: {kind: trigger}
  ask: {kind: agent, needs: [start], model: scripted/model, fallback_models: [offline/extract], task: x, retry: {max_attempts: 2}}
`))
		if err != nil {
			t.Fatal(err)
		}
		b.playGraph(graph, `null`).want(`
			ask failed unavailable: no model answered: scripted/model: the provider answered 503; offline/extract: provider:offline is not called at the moment
			run failed unavailable…`)
		if got := len(b.model.Asked()); got != 4 {
			t.Errorf("the model was asked %d times, want 4", got)
		}
	})
}

package node

import (
	"context"

	"gathering"
	"gathering/internal/agent"
	"gathering/internal/engine"
	"gathering/internal/watch"
)

// heard is what a live delta of an agent tells.
type heard struct {
	Kind   agent.DeltaKind `json:"kind"`
	Turn   int             `json:"turn"`
	Try    int             `json:"try,omitempty"`
	Model  string          `json:"model,omitempty"`
	Text   string          `json:"text,omitempty"`
	Tool   string          `json:"tool,omitempty"`
	Step   string          `json:"step,omitempty"`
	Failed bool            `json:"failed,omitempty"`
}

// live passes on what the agent of a job does right now, to those who watch.
func (b *Binder) live(ctx context.Context, job engine.Job) func(agent.Delta) {
	if b.Deltas == nil {
		return nil
	}
	topic := watch.Topic(job.Run)
	return func(d agent.Delta) {
		kind := gathering.DeltaTool
		if d.Kind == agent.DeltaText || d.Kind == agent.DeltaReasoning {
			kind = gathering.DeltaText
		}
		data, err := gathering.EncodeJSON(heard{d.Kind, d.Turn, d.Try, d.Model, d.Text, d.Tool, d.Step, d.Failed})
		if err != nil {
			return // it is worth nothing in a moment
		}
		node, item, ok := gathering.ParseNodePath(job.Node)
		delta := gathering.Delta{Type: kind, Stream: string(job.Run), Node: job.Node, Attempt: job.Attempt, Data: data}
		if ok && item >= 0 {
			delta.Node, delta.Item = node, &item
		}
		b.Deltas.Publish(ctx, topic, delta)
	}
}

package node

import (
	"context"
	"encoding/json"
	"errors"

	"gathering"
	"gathering/internal/agent"
	"gathering/internal/engine"
	"gathering/internal/schema"
	"gathering/internal/tool"
)

// call is who calls a tool on behalf of a job.
func call(job engine.Job) tool.Call {
	return tool.Call{Run: job.Run, Project: job.Project, Node: job.Node, Key: job.Key, Workspace: job.Workspace}
}

func bindTool(b *binding) (engine.Node, error) {
	with, err := b.template("with")
	if err != nil {
		return engine.Node{}, err
	}
	name := b.text("tool")
	t, ok := b.Tools.Lookup(name)
	if !ok {
		missing := gathering.NewError(gathering.KindNotFound, "there is no tool %q", name).WithCode(gathering.CodeToolMissing)
		return engine.Node{Input: input(with), Do: engine.Work{
			Idempotent: true, // it does nothing
			Run:        func(context.Context, engine.Job) (engine.Outcome, error) { return engine.Outcome{}, missing },
		}}, nil
	}
	idempotent := t.Repeatable(b.node.Config["with"])
	if b.node.Idempotent != nil {
		idempotent = *b.node.Idempotent
	}
	return engine.Node{Input: input(with), Do: engine.Work{
		Idempotent: idempotent,
		Run: func(ctx context.Context, job engine.Job) (engine.Outcome, error) {
			c := call(job)
			c.Idempotent = b.node.Idempotent
			c.Arguments = job.Input
			if c.Arguments == nil {
				c.Arguments = json.RawMessage("{}")
			}
			output, err := t.Call(ctx, c)
			return engine.Outcome{Output: output}, err
		},
	}}, nil
}

func bindAgent(b *binding) (engine.Node, error) {
	task, err := b.template("task")
	if err != nil {
		return engine.Node{}, err
	}
	spec := b.def.Agents[b.text("agent")]
	if b.has("model") {
		spec = gathering.AgentSpec{Model: b.text("model"), Prompt: b.text("prompt")}
		if err := errors.Join(b.decode("tools", &spec.Tools), b.decode("fallback_models", &spec.Fallback)); err != nil {
			return engine.Node{}, err
		}
	}
	answers, onUnknown := b.node.Config["output_schema"], b.node.OnUnknown
	return engine.Node{Input: input(task), Do: engine.Work{
		Idempotent: true, // the loop goes on from the steps recorded, and asks about those that are not
		Run: func(ctx context.Context, job engine.Job) (engine.Outcome, error) {
			var text string
			if err := json.Unmarshal(job.Input, &text); err != nil {
				return engine.Outcome{}, gathering.NewError(gathering.KindInvalid, "the task is no text").WithCause(err)
			}
			answer, err := b.Agents.Run(ctx, agent.Task{
				Spec: spec, Task: text, OutputSchema: answers, OnUnknown: onUnknown,
				Call: call(job), Steps: job.Steps, Record: job.Record, Fence: job.Fence,
				Delta: b.live(ctx, job),
			})
			return engine.Outcome{Output: answer.Output}, err
		},
		Admits: func(output json.RawMessage) error {
			if answers == nil {
				return nil
			}
			s, err := schema.Compile(answers)
			if err != nil {
				return err
			}
			return s.Validate("output", output)
		},
	}}, nil
}

package node

import (
	"encoding/json"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/engine"
)

// kind is a kind of node: how it is written and how it is bound.
type kind struct {
	definition.Kind

	bind func(b *binding) (engine.Node, error)
}

func kinds() []kind {
	return []kind{
		triggerKind(),
		parallelKind(),
		agentKind(),
		actionKind(),
		conditionKind(),
		delayKind(),
		joinKind(),
		mapKind(),
		pipelineKind(),
		toolKind(),
		transformKind(),
	}
}

// noCalls are the fields that say nothing about a node that calls nobody by
// itself.
func noCalls() map[string]string {
	const callers = "it is for nodes that call others: agent, tool and action"
	return map[string]string{"idempotent": callers, "on_open": callers}
}

// noTries are the fields that say nothing about a node that is decided or
// waits, and so is never tried twice.
func noTries() map[string]string {
	fields := noCalls()
	const workers = "it is for nodes that work: agent, tool, action and pipeline"
	fields["retry"], fields["on_unknown"] = workers, workers
	return fields
}

func triggerKind() kind {
	return kind{definition.Kind{
		Name: "trigger", Summary: "where a run begins; its output is the run's input", Refused: noTries(),
		NoItem: "put there what is to be done; each item begins by itself",
	}, bindTrigger}
}

func parallelKind() kind {
	return kind{definition.Kind{
		Name: "parallel", Summary: "a named place where branches begin", MaxIn: -1, Refused: noTries(),
		NoItem: "put a pipeline there and let it have the branches",
	}, bindParallel}
}

func agentKind() kind {
	return kind{definition.Kind{
		Name: "agent", Summary: "lets an agent work on a task", MaxIn: -1, OneOf: []string{"agent", "model"},
		Fields: []definition.Field{
			{Name: "agent", Type: definition.FieldAgent, Summary: "the agent that works"},
			{Name: "model", Type: definition.FieldModel, Summary: `the model of an agent made here, as in "offline/extract"`},
			{Name: "fallback_models", Type: definition.FieldModels, With: "model", Optional: true, Summary: "the models it falls back to, in this order"},
			{Name: "prompt", Type: definition.FieldString, With: "model", Optional: true, Summary: "what the agent made here is told to be"},
			{Name: "tools", Type: definition.FieldTools, With: "model", Optional: true, Summary: "the tools the agent made here may use"},
			{Name: "task", Type: definition.FieldText, Required: true, Summary: "what the agent is asked to do"},
			{Name: "output_schema", Type: definition.FieldSchema, Summary: "the JSON Schema of the answer"},
		},
	}, bindAgent}
}

func actionKind() kind {
	return kind{definition.Kind{
		Name: "action", Summary: "a shorter way to write an agent, a pipeline or a tool", MaxIn: -1, Resolve: resolveAction,
		Fields: []definition.Field{
			{
				Name: "action", Type: definition.FieldEnum, Required: true, Summary: "what to do",
				Values: []string{"run_task", "execute_pipeline", "send_notification", "call_api"},
			},
			{Name: "with", Type: definition.FieldObject, Required: true, Summary: "what the action needs"},
		},
	}, nil}
}

func conditionKind() kind {
	return kind{definition.Kind{
		Name: "condition", Summary: "chooses a branch", MaxIn: -1, OneOf: []string{"when", "switch"}, Branches: branches,
		Refused: noTries(), NoItem: "put a pipeline there and let it choose",
		Fields: []definition.Field{
			{Name: "when", Type: definition.FieldBool, Summary: "takes the branch true or false"},
			{Name: "switch", Type: definition.FieldValue, Summary: "takes the branch of the case it equals, or default"},
			{Name: "cases", Type: definition.FieldStrings, With: "switch", Summary: "the values that have a branch of their own"},
		},
	}, bindCondition}
}

func delayKind() kind {
	return kind{definition.Kind{
		Name: "delay", Summary: "waits", MaxIn: -1, OneOf: []string{"for", "until"}, Refused: noTries(),
		Fields: []definition.Field{
			{Name: "for", Type: definition.FieldDuration, Summary: "how long"},
			{Name: "until", Type: definition.FieldTime, Summary: "until when"},
		},
	}, bindDelay}
}

func pipelineKind() kind {
	return kind{definition.Kind{
		Name: "pipeline", Summary: "runs another pipeline", MaxIn: -1, Refused: noCalls(),
		Fields: []definition.Field{
			{Name: "pipeline", Type: definition.FieldPipeline, Required: true, Summary: "the pipeline to run"},
			{Name: "input", Type: definition.FieldTemplate, Summary: "what it is given"},
			{Name: "wait", Type: definition.FieldFlag, Summary: "false only starts it"},
		},
	}, bindPipeline}
}

func toolKind() kind {
	return kind{definition.Kind{
		Name: "tool", Summary: "calls a tool", MaxIn: -1,
		Fields: []definition.Field{
			{Name: "tool", Type: definition.FieldTool, Required: true, Summary: "the tool to call"},
			{Name: "with", Type: definition.FieldArguments, Summary: "its arguments"},
		},
	}, bindTool}
}

func transformKind() kind {
	return kind{definition.Kind{
		Name: "transform", Summary: "makes an output of expressions", MaxIn: -1, Refused: noTries(),
		Fields: []definition.Field{
			{Name: "set", Type: definition.FieldObject, Required: true, Summary: "the names and values of the output"},
		},
	}, bindTransform}
}

// Kinds is the table of kinds that definitions are checked against.
func Kinds() []definition.Kind {
	list := make([]definition.Kind, 0, len(kinds()))
	for _, k := range kinds() {
		list = append(list, k.Kind)
	}
	return list
}

// defaultBranch is the branch of a switch whose value is none of its cases.
const defaultBranch = "default"

func branches(config map[string]json.RawMessage) []string {
	if config["switch"] == nil {
		return []string{"true", "false"}
	}
	var cases []string
	if json.Unmarshal(config["cases"], &cases) != nil {
		return nil // the faulty cases are reported as such
	}
	return append(cases, defaultBranch)
}

// resolveAction turns an action into the node that it stands for.
func resolveAction(n gathering.Node) (gathering.Node, error) {
	var action string
	with := map[string]json.RawMessage{}
	_ = json.Unmarshal(n.Config["action"], &action) // what is no text is reported as such,
	_ = json.Unmarshal(n.Config["with"], &with)     // and so is what is no mapping
	switch action {
	case "run_task":
		n.Kind, n.Config = "agent", with
	case "execute_pipeline":
		n.Kind, n.Config = "pipeline", with
	case "send_notification":
		n.Kind, n.Config = "tool", map[string]json.RawMessage{"tool": json.RawMessage(`"notify.send"`), "with": n.Config["with"]}
	case "call_api":
		n.Kind, n.Config = "tool", map[string]json.RawMessage{"tool": json.RawMessage(`"http.request"`), "with": n.Config["with"]}
	}
	return n, nil
}

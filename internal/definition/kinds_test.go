package definition_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"gathering"
	"gathering/internal/definition"
)

// kinds mirrors the kinds of node that pipeline files know.
func kinds() []definition.Kind {
	return []definition.Kind{
		{Name: "trigger", Summary: "where a run begins", NoItem: "leave it out"},
		{Name: "agent", MaxIn: -1, OneOf: []string{"agent", "model"}, Fields: []definition.Field{
			{Name: "agent", Type: definition.FieldAgent, Summary: "the agent that works"},
			{Name: "model", Type: definition.FieldModel},
			{Name: "fallback_models", Type: definition.FieldModels, With: "model", Optional: true},
			{Name: "prompt", Type: definition.FieldString, With: "model", Optional: true},
			{Name: "tools", Type: definition.FieldTools, With: "model", Optional: true},
			{Name: "task", Type: definition.FieldText, Required: true, Summary: "what the agent is asked to do"},
			{Name: "output_schema", Type: definition.FieldSchema},
		}},
		{
			Name: "condition", MaxIn: -1, NoItem: "put a pipeline there and let it choose", OneOf: []string{"when", "switch"}, Branches: conditionBranches,
			Fields: []definition.Field{
				{Name: "when", Type: definition.FieldBool},
				{Name: "switch", Type: definition.FieldValue},
				{Name: "cases", Type: definition.FieldStrings, With: "switch", Summary: "the values that have a branch of their own"},
			},
		},
		{Name: "action", MaxIn: -1, Resolve: resolveAction, Fields: []definition.Field{
			{
				Name: "action", Type: definition.FieldEnum, Required: true, Summary: "what to do",
				Values: []string{"run_task", "execute_pipeline", "send_notification", "call_api"},
			},
			{Name: "with", Type: definition.FieldObject, Required: true, Summary: "what the action needs"},
		}},
		{Name: "tool", MaxIn: -1, Fields: []definition.Field{
			{Name: "tool", Type: definition.FieldTool, Required: true, Summary: "the tool to call"},
			{Name: "with", Type: definition.FieldArguments},
		}},
		{Name: "parallel", MaxIn: -1, NoItem: "put a pipeline there"},
		{Name: "transform", MaxIn: -1, Refused: map[string]string{"on_open": "it calls nobody"}, Fields: []definition.Field{
			{Name: "set", Type: definition.FieldObject, Required: true, Summary: "the names and values of the output"},
		}},
		{Name: "pipeline", MaxIn: -1, Refused: map[string]string{"on_open": "it calls nobody"}, Fields: []definition.Field{
			{Name: "pipeline", Type: definition.FieldPipeline, Required: true, Summary: "the pipeline to run"},
			{Name: "input", Type: definition.FieldTemplate},
			{Name: "wait", Type: definition.FieldFlag},
		}},
		{Name: "delay", MaxIn: -1, OneOf: []string{"for", "until"}, Fields: []definition.Field{
			{Name: "for", Type: definition.FieldDuration},
			{Name: "until", Type: definition.FieldTime},
		}},
		{
			Name: "map", MaxIn: -1, NoItem: "put a pipeline with that map there",
			Refused: map[string]string{"retry": "write it inside do"},
			Fields: []definition.Field{
				{Name: "over", Type: definition.FieldList, Required: true, Summary: "the list"},
				{Name: "as", Type: definition.FieldItem},
				{Name: "do", Type: definition.FieldNode, Required: true, Summary: "one node"},
				{Name: "max_parallel", Type: definition.FieldInt, Min: 1, Max: 1000},
				{Name: "on_item_error", Type: definition.FieldEnum, Values: []string{"fail", "skip"}},
			},
		},
		{
			Name: "join", MaxIn: -1, NoItem: "put a pipeline with that join there", Check: checkJoin,
			Fields: []definition.Field{
				{Name: "wait", Type: definition.FieldCount, Values: []string{"all", "any"}, Min: 1, Max: 5000},
			},
		},
	}
}

// checkJoin wants as many edges as it waits for.
func checkJoin(config map[string]json.RawMessage, in int) []definition.Fault {
	var n int
	if json.Unmarshal(config["wait"], &n) != nil || n <= in {
		return nil
	}
	return []definition.Fault{{Path: "wait", Problem: "is more than lead to it", Remedy: "wait for fewer"}}
}

func conditionBranches(config map[string]json.RawMessage) []string {
	if config["switch"] == nil {
		return []string{"true", "false"}
	}
	var cases []string
	_ = json.Unmarshal(config["cases"], &cases)
	return append(cases, "default")
}

func resolveAction(node gathering.Node) (gathering.Node, error) {
	var action string
	if err := json.Unmarshal(node.Config["action"], &action); err != nil {
		return node, err
	}
	var with map[string]json.RawMessage
	if err := json.Unmarshal(node.Config["with"], &with); err != nil {
		return node, err
	}
	switch action {
	case "run_task":
		node.Kind, node.Config = "agent", with
	case "execute_pipeline":
		node.Kind, node.Config = "pipeline", with
	case "send_notification":
		node.Kind = "tool"
		node.Config = map[string]json.RawMessage{"tool": json.RawMessage(`"notify.send"`), "with": node.Config["with"]}
	case "call_api":
		var method string
		if err := json.Unmarshal(with["method"], &method); err != nil {
			return node, gathering.NewError(gathering.KindInvalid, "no method").
				WithFields(gathering.FieldError{Field: "with.method", Problem: "must be the name of an HTTP method"})
		}
		if node.Idempotent == nil {
			idempotent := slices.Contains([]string{"GET", "HEAD", "PUT", "DELETE"}, method)
			node.Idempotent = &idempotent
		}
		node.Kind = "tool"
		node.Config = map[string]json.RawMessage{"tool": json.RawMessage(`"http.request"`), "with": node.Config["with"]}
	}
	return node, nil
}

func tools() map[string]gathering.ToolSpec {
	return map[string]gathering.ToolSpec{
		"http.request": {Name: "http.request", Input: json.RawMessage(`{
			"type": "object", "required": ["method", "url"], "additionalProperties": false,
			"properties": {
				"method": {"enum": ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"]},
				"url": {"type": "string"},
				"body": {},
				"retries": {"type": "integer", "minimum": 0},
				"headers": {"type": "object", "additionalProperties": {"type": "string"}}
			}}`)},
		"notify.send": {Name: "notify.send", Input: json.RawMessage(`{
			"type": "object", "required": ["text"], "additionalProperties": false,
			"properties": {"text": {"$ref": "#/$defs/text"}, "to": {"type": ["string", "null"]}},
			"$defs": {"text": {"type": "string", "maxLength": 2000}}}`)},
		"files.list": {Name: "files.list", Input: json.RawMessage(`{
			"type": "object", "additionalProperties": false,
			"properties": {"glob": {"type": "string"}, "limit": {"type": "integer"}}}`)},
	}
}

// checker knows one of everything.
func checker() *definition.Checker {
	known := tools()
	return &definition.Checker{
		Kinds: kinds(),
		Tools: []string{"files.list", "http.request", "notify.send"},
		Tool: func(name string) (gathering.ToolSpec, bool) {
			spec, ok := known[name]
			return spec, ok
		},
		Model: func(ref string) error {
			if strings.HasPrefix(ref, "offline/") {
				return nil
			}
			return gathering.NewError(gathering.KindInvalid, "set OPENAI_API_KEY to use it")
		},
		Agent:    func(name string) bool { return name == "stored" },
		Pipeline: func(name string) bool { return name == "archive" },
		File: func(path string) (string, error) {
			switch path {
			case "./archive.yaml":
				return "archive", nil
			case "./broken.yaml":
				return "", gathering.NewError(gathering.KindInvalid, "it has 2 faults of its own")
			default:
				return "", errors.New("open: no such file")
			}
		},
	}
}

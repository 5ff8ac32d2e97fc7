package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"charm.land/fantasy"

	"gathering"
	"gathering/internal/tool"
)

// maxWireName is the length that model providers allow a function's name.
const maxWireName = 64

// toolbox holds the tools that an agent may use. Models know them by wire
// names, because providers allow letters, digits, "_" and "-" alone.
type toolbox struct {
	offered []offered
}

type offered struct {
	tool     tool.Tool
	spec     gathering.ToolSpec
	wire     string
	function fantasy.FunctionTool
}

// once reports whether a call with the given arguments must not be made twice.
func (o *offered) once(input json.RawMessage) bool { return !o.tool.Repeatable(input) }

func newToolbox(registry *tool.Registry, names []string) (toolbox, error) {
	var box toolbox
	for i, name := range names {
		t, ok := registry.Lookup(name)
		if !ok {
			return toolbox{}, gathering.NewError(gathering.KindInvalid, "there is no tool %s", name).
				WithCode(gathering.CodeToolMissing).
				WithFields(gathering.FieldError{Field: fmt.Sprintf("tools[%d]", i), Problem: "names no tool"})
		}
		if slices.Contains(names[:i], name) {
			continue
		}
		spec := t.Spec()
		var input map[string]any
		if err := json.Unmarshal(spec.Input, &input); err != nil {
			return toolbox{}, fmt.Errorf("read input schema of %s: %w", name, err)
		}
		if required, ok := input["required"].([]any); ok {
			input["required"] = texts(required) // the form that fantasy reads
		}
		wire := box.freeWireName(name)
		box.offered = append(box.offered, offered{t, spec, wire, fantasy.FunctionTool{
			Name: wire, Description: spec.Description, InputSchema: input,
		}})
	}
	return box, nil
}

func texts(values []any) []string {
	found := make([]string, 0, len(values))
	for _, value := range values {
		if text, ok := value.(string); ok {
			found = append(found, text)
		}
	}
	return found
}

// freeWireName makes two tools whose names differ only in what the wire does
// not allow distinct by a number.
func (b toolbox) freeWireName(name string) string {
	base := sanitized(name)
	wire := base
	for n := 2; slices.ContainsFunc(b.offered, func(o offered) bool { return o.wire == wire }); n++ {
		suffix := "_" + strconv.Itoa(n)
		wire = base[:min(len(base), maxWireName-len(suffix))] + suffix
	}
	return wire
}

func sanitized(name string) string {
	wire := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, name)
	if wire == "" {
		return "_"
	}
	return wire[:min(len(wire), maxWireName)]
}

// find returns the tool of the given own name, if the agent may use it.
func (b toolbox) find(name string) (offered, bool) {
	i := slices.IndexFunc(b.offered, func(o offered) bool { return o.spec.Name == name })
	if i < 0 {
		return offered{}, false
	}
	return b.offered[i], true
}

// ownName returns the own name of the tool that a model named, by its wire name
// or as prompts may spell it; a name of no tool stays as it is.
func (b toolbox) ownName(said string) string {
	for _, o := range b.offered {
		if o.wire == said {
			return o.spec.Name
		}
	}
	return said
}

// wireName is the inverse of ownName.
func (b toolbox) wireName(name string) string {
	if o, ok := b.find(name); ok {
		return o.wire
	}
	return sanitized(name)
}

func (b toolbox) names() []string {
	names := make([]string, 0, len(b.offered))
	for _, o := range b.offered {
		names = append(names, o.spec.Name)
	}
	return names
}

func (b toolbox) functions() []fantasy.Tool {
	var functions []fantasy.Tool
	for _, o := range b.offered {
		functions = append(functions, o.function)
	}
	return functions
}

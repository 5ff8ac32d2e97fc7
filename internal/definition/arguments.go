package definition

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"gathering"
	"gathering/internal/schema"
)

// arguments is a tool's input schema, prepared to check arguments of which
// some are known only when a run gets there.
type arguments struct {
	required []string
	types    map[string][]string // the types of each argument; none is any
	closed   bool                // no other arguments are allowed
	each     *schema.Schema      // what holds for each argument by itself
	whole    *schema.Schema      // what holds for all of them together
}

func newArguments(input json.RawMessage) *arguments {
	var document struct {
		Required   []string `json:"required"`
		Properties map[string]struct {
			Type json.RawMessage `json:"type"`
		} `json:"properties"`
	}
	var each map[string]json.RawMessage // by keyword
	if json.Unmarshal(input, &document) != nil || json.Unmarshal(input, &each) != nil {
		return &arguments{}
	}
	a := &arguments{
		required: document.Required,
		types:    make(map[string][]string, len(document.Properties)),
		closed:   string(each["additionalProperties"]) == "false" && each["patternProperties"] == nil,
	}
	for name, property := range document.Properties {
		a.types[name] = typeNames(property.Type)
	}
	for keyword := range each {
		switch keyword {
		case "$schema", "$defs", "definitions", "type", "properties":
		default:
			delete(each, keyword)
		}
	}
	part, err := json.Marshal(each)
	if err != nil {
		return a
	}
	// A schema that does not compile is the tool's fault, which its registry
	// reports; here it only means that less is checked.
	a.each, _ = schema.Compile(part)
	a.whole, _ = schema.Compile(input)
	return a
}

// typeNames reads a schema's type, which is a name or a list of names.
func typeNames(raw json.RawMessage) []string {
	var name string
	if json.Unmarshal(raw, &name) == nil && name != "" {
		return []string{name}
	}
	var names []string
	if json.Unmarshal(raw, &names) != nil {
		return nil
	}
	return names
}

// arguments checks the arguments of a node that calls a tool: all that is
// constant against the tool's input schema, of the rest what is plain to see.
func (l *loader) arguments(d *draft) {
	name, input := d.call(l.Tool)
	if name == "" {
		return
	}
	given := d.field(name)
	if given == nil {
		given = &value{kind: kindObject}
	}
	if given.kind != kindObject {
		return
	}
	a := l.schemas[string(input)]
	if a == nil {
		a = newArguments(input)
		l.schemas[string(input)] = a
	}
	before := len(l.faults)
	known := &value{kind: kindObject}
	for i := 0; i < len(given.members) && !l.full(); i++ {
		m := given.members[i]
		types, exists := a.types[m.key]
		switch {
		case !exists && a.closed:
			l.add(d.locate(name+"."+m.key), "the tool has no argument of this name", l.orOneOf(m.key, sortedKeys(a.types)))
		case !m.value.contains("${{"):
			known.members = append(known.members, m)
		case !fits(m.value, types):
			l.add(d.locate(name+"."+m.key), "is "+m.value.kind.String()+" and must be "+strings.Join(types, " or "), "")
		}
	}
	for _, required := range a.required {
		if given.member(required) == nil {
			l.add(d.locate(name+"."+required), "is missing, and the tool needs it", "")
		}
	}
	l.against(d, name, a.each, known)
	if before == len(l.faults) && len(known.members) == len(given.members) {
		l.against(d, name, a.whole, known)
	}
}

// call returns the field that holds the arguments for the tool that the node
// calls, and the tool's input schema; "" where it calls none that is known.
func (d *draft) call(tool func(string) (gathering.ToolSpec, bool)) (field string, input json.RawMessage) {
	called := ""
	for i := range d.kind.Fields {
		v := d.field(d.kind.Fields[i].Name)
		switch d.kind.Fields[i].Type {
		case FieldArguments:
			field = d.kind.Fields[i].Name
		case FieldTool:
			if v != nil && v.kind == kindText {
				called = v.text
			}
		default:
		}
	}
	if field == "" || called == "" || tool == nil {
		return "", nil
	}
	spec, ok := tool(called)
	if !ok || len(spec.Input) == 0 {
		return "", nil
	}
	return field, spec.Input
}

// against validates arguments and reports what is wrong with them.
func (l *loader) against(d *draft, field string, s *schema.Schema, given *value) {
	if s == nil || given.bad() {
		return
	}
	invalid, ok := errors.AsType[*gathering.Error](s.Validate(field, given.json()))
	if !ok {
		return
	}
	for _, f := range invalid.Fields[:min(len(invalid.Fields), maxFaults)] {
		l.add(d.locate(f.Field), f.Problem, "")
	}
}

// mixed reports whether a text has something beside a single template, which
// makes it a text whatever the template gives.
func mixed(text string) bool {
	if !strings.HasPrefix(text, "${{") || !strings.HasSuffix(text, "}}") {
		return true
	}
	last := strings.LastIndex(text, "${{")
	return strings.Contains(text[:last], "}}")
}

// fits reports whether a value with templates in it can have one of types. A
// text that is one template as a whole can have any.
func fits(v *value, types []string) bool {
	if len(types) == 0 {
		return true
	}
	switch v.kind {
	case kindText:
		return !mixed(v.text) || slices.Contains(types, "string")
	case kindList:
		return slices.Contains(types, "array")
	case kindObject:
		return slices.Contains(types, "object")
	default:
		return true
	}
}

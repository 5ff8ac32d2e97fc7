package definition

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"gathering"
)

// fields checks the shapes of the fields of a node's kind, and that what they
// name exists. Expressions are checked later, when the graph is known.
func (l *loader) fields(d *draft) {
	for i := 0; i < len(d.config) && !l.full(); i++ {
		m := &d.config[i]
		field := d.kind.field(m.key)
		if field == nil {
			l.add(d.locate(m.key), "a node of kind "+d.kind.Name+" has no field of this name", l.orOneOf(m.key, d.fieldNames()))
			continue
		}
		l.shape(d, field, m.value)
	}
	for i := range d.kind.Fields {
		l.presence(d, &d.kind.Fields[i])
	}
	l.oneOf(d)
	l.arguments(d)
}

func (d *draft) fieldNames() []string {
	var names []string
	for i := range d.kind.Fields {
		names = append(names, d.kind.Fields[i].Name)
	}
	for _, f := range CommonFields() {
		if d.kind.Refused[f.Name] == "" && (d.item == "" || !slices.Contains(ofNodes(), f.Name)) {
			names = append(names, f.Name)
		}
	}
	return names
}

// presence reports a field that must be there and is not, or the reverse.
func (l *loader) presence(d *draft, field *Field) {
	there := d.field(field.Name) != nil
	beside := field.With != "" && d.field(field.With) != nil
	switch {
	case !there && (field.Required || beside && !field.Optional):
		l.add(d.locate(field.Name), "is missing", field.Summary)
	case there && field.With != "" && !beside:
		l.add(d.locate(field.Name), "goes with "+field.With+", which is not there", "")
	}
}

func (l *loader) oneOf(d *draft) {
	if len(d.kind.OneOf) == 0 {
		return
	}
	var there []string
	for _, name := range d.kind.OneOf {
		if d.field(name) != nil {
			there = append(there, name)
		}
	}
	switch {
	case len(there) == 0:
		l.add(d.at, "says neither "+strings.Join(d.kind.OneOf, " nor "), "write one of them")
	case len(there) > 1:
		l.add(d.locate(there[1]), "cannot stand beside "+there[0], "keep one of them")
	}
}

// shape checks one field's value as far as that needs no expression.
func (l *loader) shape(d *draft, field *Field, v *value) {
	at := d.locate(field.Name)
	switch field.Type {
	case FieldTemplate, FieldRetry, FieldJSON, FieldPosition:
	case FieldText:
		l.text(at, v, MaxText)
	case FieldObject:
		l.object(at, v, "a mapping of names to values")
	case FieldArguments:
		l.object(at, v, "a mapping of the tool's arguments")
	case FieldBool, FieldTime, FieldList, FieldValue:
		l.bare(at, v, field.Type)
	case FieldDuration:
		l.duration(at, v)
	case FieldString:
		l.text(at, v, MaxText)
	case FieldStrings:
		if texts := l.texts(at, v); texts == nil && v.kind == kindList && len(v.items) == 0 {
			l.add(at, "is empty", "write at least one")
		}
	case FieldEnum:
		l.enum(at, v, field.Values)
	case FieldInt:
		l.whole(at, v, [2]int{field.Min, field.Max})
	case FieldCount:
		l.count(at, v, field)
	case FieldFlag:
		l.flag(at, v)
	case FieldSchema:
		l.schema(v, func(path string) place {
			return d.locate(place{field.Name, 0}.in(path, 0).path)
		})
	case FieldTools:
		l.tools(at, v)
	case FieldModel:
		l.model(at, v)
	case FieldModels:
		l.models(at, v, "")
	case FieldAgent, FieldTool, FieldPipeline:
		l.reference(at, field.Type, v)
	case FieldItem:
		l.itemName(at, v)
	case FieldNode:
		l.each(d, field.Name)
	}
}

// count checks one of a few words, or a whole number.
func (l *loader) count(at place, v *value, field *Field) {
	switch {
	case v.kind == kindBad:
	case v.kind == kindNumber:
		l.whole(at, v, [2]int{field.Min, field.Max})
	case v.kind != kindText || !slices.Contains(field.Values, v.text):
		l.add(at, "must be "+strings.Join(field.Values, ", ")+" or a whole number from "+
			strconv.Itoa(field.Min)+" to "+strconv.Itoa(field.Max), "")
	}
}

// bare checks that an expression is written as text and without ${{ }}.
func (l *loader) bare(at place, v *value, as FieldType) {
	if v.kind == kindList && as == FieldList {
		l.wrongType(at, v, "an expression", `put it in quotes, as in "[1, 2]"`)
		return
	}
	text, ok := l.text(at, v, MaxText)
	if ok && strings.HasPrefix(strings.TrimSpace(text), "${{") {
		l.add(at, "is an expression by itself", "write it without ${{ }}")
	}
	if ok && as == FieldTime && isTimestamp(text) {
		l.add(at, "is a text and must be an expression", `write timestamp("…") around it`)
	}
}

func isTimestamp(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

// reference checks that what a field names exists.
func (l *loader) reference(at place, to FieldType, v *value) {
	name, ok := l.text(at, v, MaxText)
	if !ok {
		return
	}
	if strings.Contains(name, "${{") {
		l.add(at, "holds ${{ }}, and must be known before the run", "write the name itself")
		return
	}
	switch to {
	case FieldAgent:
		l.agentReference(at, name)
	case FieldTool:
		l.tool(at, name)
	default:
		l.pipelineReference(at, v)
	}
}

func (l *loader) agentReference(at place, name string) {
	if _, inline := l.def.Agents[name]; inline || l.Agent == nil || l.Agent(name) {
		return
	}
	l.add(at, "there is no agent "+quoted(name), l.orOneOf(name, sortedKeys(l.def.Agents)))
}

// pipelineReference checks the name of a pipeline. A reference to a file is
// replaced by the name of the pipeline that the file defines.
func (l *loader) pipelineReference(at place, v *value) {
	lowered := strings.ToLower(v.text)
	isFile := strings.HasSuffix(lowered, ".yaml") || strings.HasSuffix(lowered, ".yml") || strings.HasSuffix(lowered, ".json")
	switch {
	case isFile && l.File == nil:
		l.add(at, "a file can be named only where definitions are loaded from files", "write the name of a stored pipeline")
	case isFile:
		name, err := l.File(v.text)
		if err != nil {
			l.add(at, "the pipeline in this file cannot be used", fileText(err))
			return
		}
		v.text = name
	case l.Pipeline != nil && !l.Pipeline(v.text) && v.text != l.def.Name:
		l.add(at, "there is no pipeline "+quoted(v.text), "store it first, or name its file as ./file.yaml")
	}
}

// fileText is what went wrong with a file, for whoever named it.
func fileText(err error) string {
	if _, ok := errors.AsType[*gathering.Error](err); ok {
		return publicText(err)
	}
	return err.Error()
}

package definition

import (
	"errors"
	"strconv"
	"strings"

	"gathering"
	"gathering/internal/expr"
)

// expressions checks what the nodes and the output refer to.
func (l *loader) expressions() {
	if l.tooManyExpressions() {
		return
	}
	ids := make([]string, len(l.drafts))
	for i, d := range l.drafts {
		ids[i] = d.id
	}
	edges := make([]gathering.Edge, len(l.links))
	for i, e := range l.links {
		edges[i] = e.edge
	}
	s := newScopes(ids, edges, &l.def)
	for i, d := range l.drafts {
		if d.kind != nil {
			l.nodeExpressions(s, i)
		}
	}
	if l.key != nil {
		begin := newEnvs(s.Start())
		l.template(place{"concurrency.key", 0}, l.key, &scope{quick: begin, full: begin})
	}
	if l.output.absent() {
		return
	}
	l.def.Output = l.output.json()
	if !l.output.bad() {
		l.template(place{"output", 0}, l.output, newScope(s, len(ids), "", l.output))
	}
}

// template checks a template that belongs to no node.
func (l *loader) template(at place, v *value, scope *scope) {
	for _, f := range scope.template(v, &Field{}) {
		inside, _ := v.find(f.Path)
		l.add(at.in(f.Path, inside.line), f.Message, "")
	}
}

// tooManyExpressions reports more expressions than can be checked quickly.
func (l *loader) tooManyExpressions() bool {
	count := 0
	for _, d := range l.drafts {
		for i := range d.config {
			count += d.config[i].value.count("${{")
		}
	}
	for _, v := range []*value{l.output, l.key} {
		if !v.absent() {
			count += v.count("${{")
		}
	}
	if count > MaxExpressions {
		l.add(place{"", 1}, "holds more than "+strconv.Itoa(MaxExpressions)+" expressions",
			"move a part into a pipeline of its own and call it with a pipeline node")
	}
	return count > MaxExpressions
}

// nodeExpressions checks the expressions of one node.
func (l *loader) nodeExpressions(s *Scopes, node int) {
	d := l.drafts[node]
	l.draftExpressions(d, newScope(s, node, "", d.allConfig()))
	if d.each != nil && d.each.kind != nil {
		l.draftExpressions(d.each, newScope(s, node, d.each.item, d.each.allConfig()))
	}
}

func (d *draft) allConfig() *value { return &value{kind: kindObject, members: d.config} }

func (l *loader) draftExpressions(d *draft, scope *scope) {
	for i := range d.config {
		v := d.config[i].value
		field := d.kind.field(d.config[i].key)
		if field == nil || v.bad() {
			continue
		}
		var faults []expr.Fault
		switch field.Type {
		case FieldTemplate, FieldText, FieldObject, FieldArguments:
			faults = scope.template(v, field)
		case FieldBool, FieldTime, FieldList, FieldValue:
			faults = scope.expression(v, field)
		default:
		}
		for _, f := range faults {
			l.add(d.locate(place{field.Name, 0}.in(f.Path, 0).path), f.Message, "")
		}
	}
}

// scope checks the expressions of one place. It tries them with the upstream
// nodes that they name, which is quick, and where they have a fault again with
// all of them, so that the fault can tell which there are.
type scope struct {
	quick, full envs
}

// envs are the same scope without and with secrets.
type envs struct {
	plain, secret *expr.Env
}

func newScope(s *Scopes, node int, item string, v *value) *scope {
	named := words{}
	named.readAll(v)
	return &scope{quick: newEnvs(s.env(node, item, named)), full: newEnvs(s.env(node, item, nil))}
}

func newEnvs(plain *expr.Env) envs {
	return envs{plain, &expr.Env{
		Nodes: plain.Nodes, InputSchema: plain.InputSchema, Vars: plain.Vars,
		Item: plain.Item, Error: plain.Error, Secrets: true,
	}}
}

func (e envs) of(field *Field) *expr.Env {
	if field.Secrets {
		return e.secret
	}
	return e.plain
}

func (s *scope) template(v *value, field *Field) []expr.Fault {
	if !v.contains("{{") {
		return nil
	}
	raw := v.json()
	if _, faults := s.quick.of(field).Template(raw); len(faults) == 0 {
		return nil
	}
	_, faults := s.full.of(field).Template(raw)
	return faults
}

// expression checks a text that is one expression, unless its shape has a
// fault already.
func (s *scope) expression(v *value, field *Field) []expr.Fault {
	switch {
	case v.kind != kindText || v.text == "" || strings.HasPrefix(strings.TrimSpace(v.text), "${{"):
		return nil
	case field.Type == FieldTime && isTimestamp(v.text):
		return nil
	}
	want := expressionType(field.Type)
	if _, err := s.quick.of(field).Compile(v.text, want); err == nil {
		return nil
	}
	_, err := s.full.of(field).Compile(v.text, want)
	if fault, ok := errors.AsType[*expr.Fault](err); ok {
		return []expr.Fault{*fault}
	}
	return []expr.Fault{{Message: publicText(err)}}
}

func expressionType(field FieldType) expr.Type {
	switch field {
	case FieldBool:
		return expr.Bool
	case FieldTime:
		return expr.Timestamp
	case FieldList:
		return expr.List
	default:
		return expr.Any
	}
}

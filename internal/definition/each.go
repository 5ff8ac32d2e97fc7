package definition

import (
	"cmp"

	"gathering"
	"gathering/internal/expr"
)

// usualItem is what expressions call the item of a map that names none.
const usualItem = "item"

// itemName checks the name of an item.
func (l *loader) itemName(at place, v *value) {
	name, ok := l.text(at, v, MaxID)
	switch {
	case !ok:
	case !isID(name):
		l.add(at, "is no name for an item", "lower-case letters, digits and _, beginning with a letter")
	case expr.Taken(name):
		l.add(at, "means something else in expressions", "call the item something else, such as item")
	}
}

// itemOf is what expressions call the item of a map, or "" where its name has
// a fault.
func (d *draft) itemOf() string {
	for i := range d.kind.Fields {
		if d.kind.Fields[i].Type != FieldItem {
			continue
		}
		v := d.field(d.kind.Fields[i].Name)
		switch {
		case v == nil:
		case v.kind == kindText && isID(v.text) && !expr.Taken(v.text):
			return v.text
		default:
			return ""
		}
	}
	return usualItem
}

// each reads what a map does for each item, which is a node in itself. In the
// map's config it is kept in its canonical form.
func (l *loader) each(d *draft, field string) {
	v, item := d.field(field), d.itemOf()
	inner := &draft{id: d.id, at: d.at.in(field, v.line), body: v, item: cmp.Or(item, usualItem)}
	l.node(inner)
	if item == "" {
		return // nobody can tell what its expressions mean
	}
	d.each = inner
	if !inner.sound {
		return
	}
	node := inner.finished()
	document, err := encodeNode(&node)
	if err != nil {
		l.add(inner.at, "cannot be written in its stored form", "")
		return
	}
	for i := range d.config {
		if d.config[i].key == field {
			d.config[i].value = (&report{}).readJSON(document)
		}
	}
}

// ofNodes are the fields that only nodes of the graph have.
func ofNodes() []string { return []string{"name", "needs", "position"} }

// notInside reports what only a node of the graph can have.
func (l *loader) notInside(d *draft) {
	for _, name := range ofNodes() {
		if v := d.body.member(name); !v.absent() {
			l.add(d.at.in(name, v.line), "does not go with what is done for each item", "write it at the map itself")
		}
	}
	if d.node.OnError == gathering.OnErrorBranch {
		l.add(d.locate("on_error"), "an item takes no branch",
			"write on_error: branch at the map itself, or continue with a fallback here")
	}
}

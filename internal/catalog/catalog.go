// Package catalog tells what pipelines can be made of.
package catalog

import (
	"slices"
	"strconv"
	"strings"

	"gathering/internal/definition"
)

// Kind is a kind of node as scripts read it.
type Kind struct {
	Kind    string   `json:"kind"`
	Summary string   `json:"summary"`
	Fields  []Field  `json:"fields"`           // those of this kind alone
	OneOf   []string `json:"one_of,omitempty"` // of which a node has exactly one
	Common  []Field  `json:"common"`           // those that it shares with other kinds
	InMap   bool     `json:"in_map"`           // a map can do it for each item
}

// Field is a field of a kind.
type Field struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Summary  string   `json:"summary"`
	Values   []string `json:"values,omitempty"`
	Min      int      `json:"min,omitempty"`
	Max      int      `json:"max,omitempty"`
	With     string   `json:"with,omitempty"` // it goes with this field
}

// KindOf is a kind as it is told.
func KindOf(k *definition.Kind) Kind {
	d := Kind{
		Kind: k.Name, Summary: k.Summary, OneOf: k.OneOf, InMap: k.NoItem == "",
		Fields: make([]Field, len(k.Fields)), Common: []Field{},
	}
	for i := range k.Fields {
		d.Fields[i] = fieldOf(&k.Fields[i])
	}
	common := definition.CommonFields()
	for i := range common {
		if k.Refused[common[i].Name] == "" {
			d.Common = append(d.Common, fieldOf(&common[i]))
		}
	}
	return d
}

func fieldOf(f *definition.Field) Field {
	return Field{
		Name: f.Name, Type: string(f.Type), Required: f.Required, Summary: f.Summary,
		Values: f.Values, Min: f.Min, Max: f.Max, With: f.With,
	}
}

// Holds is what can be written into a field, in a few words.
func (f *Field) Holds() string {
	numbers := strconv.Itoa(f.Min) + " to " + strconv.Itoa(f.Max)
	switch definition.FieldType(f.Type) {
	case definition.FieldEnum:
		return strings.Join(f.Values, " | ")
	case definition.FieldCount:
		return strings.Join(f.Values, " | ") + " | " + numbers
	case definition.FieldInt:
		return numbers
	case definition.FieldBool, definition.FieldList, definition.FieldTime, definition.FieldValue:
		return "expression: " + f.Type
	default:
		return f.Type
	}
}

// About is what a field is and whether it must be there.
func (f *Field) About(oneOf []string) string {
	switch {
	case f.Required:
		return f.Summary + " (required)"
	case slices.Contains(oneOf, f.Name):
		return f.Summary + " (exactly one of " + strings.Join(oneOf, ", ") + ")"
	case f.With != "":
		return f.Summary + " (with " + f.With + ")"
	default:
		return f.Summary
	}
}

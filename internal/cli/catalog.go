package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/definition"
	"gathering/internal/node"
)

type kindsCmd struct {
	Kind string `arg:"" optional:"" help:"One kind, with its fields."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// kindDocument is a kind of node as scripts read it.
type kindDocument struct {
	Kind    string          `json:"kind"`
	Summary string          `json:"summary"`
	Fields  []fieldDocument `json:"fields"`           // those of this kind alone
	OneOf   []string        `json:"one_of,omitempty"` // of which a node has exactly one
	Common  []fieldDocument `json:"common"`           // those that it shares with other kinds
	InMap   bool            `json:"in_map"`           // a map can do it for each item
}

type fieldDocument struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Summary  string   `json:"summary"`
	Values   []string `json:"values,omitempty"`
	Min      int      `json:"min,omitempty"`
	Max      int      `json:"max,omitempty"`
	With     string   `json:"with,omitempty"` // it goes with this field
}

// Run tells the kinds of node.
func (c *kindsCmd) Run(s *shell) error {
	all := node.Kinds()
	documents := make([]kindDocument, len(all))
	names := make([]string, len(all))
	for i := range all {
		documents[i], names[i] = kindOf(&all[i]), all[i].Name
	}
	if c.Kind == "" {
		if c.JSON {
			return writeDocument(s.Stdout, struct {
				Items []kindDocument `json:"items"`
			}{documents})
		}
		rows := make([][]string, len(documents))
		for i, k := range documents {
			rows[i] = []string{k.Kind, k.Summary}
		}
		return s.table("KIND\tDOES", rows)
	}
	i := slices.Index(names, c.Kind)
	if i < 0 {
		return gathering.NewError(gathering.KindInvalid, "there is no kind %q; the kinds are %s", c.Kind, strings.Join(names, ", "))
	}
	if c.JSON {
		return writeDocument(s.Stdout, documents[i])
	}
	return s.kind(documents[i])
}

func kindOf(k *definition.Kind) kindDocument {
	d := kindDocument{
		Kind: k.Name, Summary: k.Summary, OneOf: k.OneOf, InMap: k.NoItem == "",
		Fields: make([]fieldDocument, len(k.Fields)), Common: []fieldDocument{},
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

func fieldOf(f *definition.Field) fieldDocument {
	return fieldDocument{
		Name: f.Name, Type: string(f.Type), Required: f.Required, Summary: f.Summary,
		Values: f.Values, Min: f.Min, Max: f.Max, With: f.With,
	}
}

// kind tells one kind of node.
func (s *shell) kind(k kindDocument) error {
	s.say("%s %s\n", k.Kind, k.Summary)
	rows := make([][]string, 0, len(k.Fields)+len(k.Common))
	for _, f := range slices.Concat(k.Fields, k.Common) {
		rows = append(rows, []string{f.Name, f.holds(), f.about(k.OneOf)})
	}
	return s.table("FIELD\tHOLDS\tIS", rows)
}

// holds is what can be written into a field, in a few words.
func (f fieldDocument) holds() string {
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

// about is what a field is and whether it must be there.
func (f fieldDocument) about(oneOf []string) string {
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

type toolsCmd struct {
	Name string `arg:"" optional:"" help:"One tool, with its arguments."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Run tells the tools.
func (c *toolsCmd) Run(s *shell) error {
	specs, err := app.ToolSpecs(s.appOptions())
	if err != nil {
		return err
	}
	if c.Name == "" {
		if c.JSON {
			return writeDocument(s.Stdout, struct {
				Items []gathering.ToolSpec `json:"items"`
			}{specs})
		}
		rows := make([][]string, len(specs))
		for i := range specs {
			first, _, _ := strings.Cut(specs[i].Description, ". ")
			rows[i] = []string{specs[i].Name, acts(&specs[i]), first}
		}
		return s.table("TOOL\tCHANGES\tDOES", rows)
	}
	i := slices.IndexFunc(specs, func(spec gathering.ToolSpec) bool { return spec.Name == c.Name })
	if i < 0 {
		names := make([]string, len(specs))
		for i := range specs {
			names[i] = specs[i].Name
		}
		return gathering.NewError(gathering.KindInvalid, "there is no tool %q; the tools are %s", c.Name, strings.Join(names, ", "))
	}
	if c.JSON {
		return writeDocument(s.Stdout, specs[i])
	}
	return s.tool(&specs[i])
}

// acts tells whether a tool changes anything outside the run.
func acts(spec *gathering.ToolSpec) string {
	switch {
	case !spec.SideEffect:
		return "nothing"
	case spec.Idempotent:
		return "twice as once" // calling it twice changes no more than calling it once
	default:
		return "each time"
	}
}

// tool tells one tool.
func (s *shell) tool(spec *gathering.ToolSpec) error {
	s.say("%s\n%s\n", spec.Name, spec.Description)
	s.say("side effect  %t", spec.SideEffect)
	s.say("idempotent   %t", spec.Idempotent || !spec.SideEffect)
	if spec.Timeout != 0 {
		s.say("timeout      %s", time.Duration(spec.Timeout))
	}
	s.say("\narguments:")
	if err := writeDocument(s.Stdout, spec.Input); err != nil {
		return err
	}
	if len(spec.Output) == 0 {
		return nil
	}
	s.say("\nresult:")
	return writeDocument(s.Stdout, spec.Output)
}

// table writes rows under a heading whose columns are separated by tabs.
func (s *shell) table(heading string, rows [][]string) error {
	w := tabwriter.NewWriter(s.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

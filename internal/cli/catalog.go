package cli

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/catalog"
	"gathering/internal/node"
)

type kindsCmd struct {
	Kind string `arg:"" optional:"" help:"One kind, with its fields."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Run tells the kinds of node.
func (c *kindsCmd) Run(s *shell) error {
	all := node.Kinds()
	documents := make([]catalog.Kind, len(all))
	names := make([]string, len(all))
	for i := range all {
		documents[i], names[i] = catalog.KindOf(&all[i]), all[i].Name
	}
	if c.Kind == "" {
		if c.JSON {
			return writeDocument(s.Stdout, struct {
				Items []catalog.Kind `json:"items"`
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

// kind tells one kind of node.
func (s *shell) kind(k catalog.Kind) error {
	s.say("%s %s\n", k.Kind, k.Summary)
	rows := make([][]string, 0, len(k.Fields)+len(k.Common))
	for _, f := range slices.Concat(k.Fields, k.Common) {
		rows = append(rows, []string{f.Name, f.Holds(), f.About(k.OneOf)})
	}
	return s.table("FIELD\tHOLDS\tIS", rows)
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

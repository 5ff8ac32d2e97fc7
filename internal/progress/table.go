package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gathering"
)

// Table writes some runs, which are given newest first, as a table. The children
// of one that is in it stand below it; another child names its parent.
func Table(out io.Writer, runs []gathering.Run, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tPIPELINE\tSTATE\tAGE\tTOOK")
	line := func(r gathering.Run, below int) {
		took := "-"
		if r.FinishedAt != nil {
			took = Span(r.FinishedAt.Sub(r.CreatedAt))
		}
		name := OneLine(r.PipelineName)
		switch {
		case below > 0:
			name = strings.Repeat("  ", below-1) + "└ " + name
		case r.Parent != "":
			name += " of " + string(r.Parent)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, name, r.State, Span(now.Sub(r.CreatedAt)), took)
	}
	arrange(runs, line)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// arrange calls line with each of some runs, which are given newest first: in
// this order, but the children of one right below it, in the order in which they
// began, and with how far below they are.
func arrange(runs []gathering.Run, line func(r gathering.Run, below int)) {
	listed := make(map[gathering.RunID]bool, len(runs))
	for _, r := range runs {
		listed[r.ID] = true
	}
	children := make(map[gathering.RunID][]gathering.Run)
	for _, r := range slices.Backward(runs) {
		if listed[r.Parent] {
			children[r.Parent] = append(children[r.Parent], r)
		}
	}
	var family func(r gathering.Run, below int)
	family = func(r gathering.Run, below int) {
		line(r, below)
		for _, child := range children[r.ID] {
			family(child, below+1)
		}
	}
	for _, r := range runs {
		if !listed[r.Parent] {
			family(r, 0)
		}
	}
}

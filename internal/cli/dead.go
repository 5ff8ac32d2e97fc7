package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/progress"
)

// resolveAll finds the runs that somebody means.
func (x *session) resolveAll(ctx context.Context, given []string) ([]gathering.Run, error) {
	runs := make([]gathering.Run, len(given))
	for i, id := range given {
		var err error
		if runs[i], err = x.resolve(ctx, id); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// overEach does something to each of some runs. What goes wrong with one of
// several is told and does not keep the others from it. A process that cannot
// be reached is not asked again.
func (s *shell) overEach(runs []gathering.Run, do func(gathering.Run) error) error {
	result := error(nil)
	for _, r := range runs {
		err := do(r)
		switch {
		case err == nil:
		case len(runs) == 1, gathering.KindOf(err) == gathering.KindUnavailable:
			return err
		default:
			s.explain(err)
			result = exitError(exitFailed)
		}
	}
	return result
}

// deadLetters are runs with what went wrong in them.
func (x *session) deadLetters(ctx context.Context, runs []gathering.Run) ([]api.DeadLetter, error) {
	letters := make([]api.DeadLetter, len(runs))
	for i, r := range runs {
		report, err := x.Runs.Report(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		letters[i] = api.DeadLetter{Run: r, Error: report.Error}
	}
	return letters, nil
}

func (s *shell) deadTable(letters []api.DeadLetter) error {
	if len(letters) == 0 {
		s.say("no dead letters")
		return nil
	}
	now := time.Now()
	w := tabwriter.NewWriter(s.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tPIPELINE\tSTATE\tAGE\tERROR")
	for _, l := range letters {
		text := ""
		if l.Error != nil {
			text = l.Error.Message
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.ID, progress.OneLine(l.PipelineRef), l.State,
			progress.Span(now.Sub(l.CreatedAt)), progress.OneLine(text))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

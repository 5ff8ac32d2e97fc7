package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/progress"
	"gathering/internal/remote"
)

// resolveAll finds the runs that somebody means, each once.
func (x *session) resolveAll(ctx context.Context, given []string) ([]gathering.Run, error) {
	var runs []gathering.Run
	seen := make(map[gathering.RunID]bool, len(given))
	for _, id := range given {
		r, err := x.resolve(ctx, id)
		if err != nil {
			return nil, err
		}
		if !seen[r.ID] {
			seen[r.ID] = true
			runs = append(runs, r)
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

type runsDismissCmd struct {
	IDs []string `arg:"" name:"id" help:"The runs, each by its ID or a unique beginning or end of it."`
}

// Run takes runs off the dead letters.
func (c *runsDismissCmd) Run(ctx context.Context, s *shell) error {
	return s.doToEach(ctx, c.IDs, "dismissed", change{
		here: func(ctx context.Context, x *session, id gathering.RunID) error {
			_, err := x.Runs.Dismiss(ctx, id, commandLine)
			return err
		},
		there: func(ctx context.Context, client *remote.Client, id gathering.RunID) error {
			return client.DismissRun(ctx, id)
		},
	})
}

type runsDeleteCmd struct {
	IDs []string `arg:"" name:"id" help:"The runs, each by its ID or a unique beginning or end of it."`
}

// Run deletes runs that have ended.
func (c *runsDeleteCmd) Run(ctx context.Context, s *shell) error {
	return s.doToEach(ctx, c.IDs, "deleted", change{
		here: func(ctx context.Context, x *session, id gathering.RunID) error { return x.Runs.Delete(ctx, id) },
		there: func(ctx context.Context, client *remote.Client, id gathering.RunID) error {
			return client.DeleteRun(ctx, id)
		},
	})
}

// change is something done to a run: here, or by the process that holds the
// data directory.
type change struct {
	here  func(ctx context.Context, x *session, id gathering.RunID) error
	there func(ctx context.Context, client *remote.Client, id gathering.RunID) error
}

// doToEach changes runs that somebody names and says of each what it is then.
func (s *shell) doToEach(ctx context.Context, given []string, done string, c change) error {
	all := func(ctx context.Context, x *session, do func(context.Context, gathering.RunID) error) error {
		runs, err := x.resolveAll(ctx, given)
		if err != nil {
			return err
		}
		return s.overEach(runs, func(r gathering.Run) error {
			if err := do(ctx, r.ID); err != nil {
				return err
			}
			s.say("%s %s", r.ID, done)
			return nil
		})
	}
	return s.hereOrThere(
		ctx,
		func(ctx context.Context, s *shell) error {
			return s.writing(ctx, func(ctx context.Context, x *session) error {
				return all(ctx, x, func(ctx context.Context, id gathering.RunID) error { return c.here(ctx, x, id) })
			})
		},
		func(ctx context.Context, s *shell) error {
			return s.reading(ctx, func(ctx context.Context, x *session) error {
				return all(ctx, x, func(ctx context.Context, id gathering.RunID) error { return c.there(ctx, x.service(), id) })
			})
		},
	)
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.ID, progress.OneLine(l.PipelineName), l.State,
			progress.Span(now.Sub(l.CreatedAt)), progress.OneLine(text))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gathering"
	"gathering/internal/progress"
	"gathering/internal/remote"
)

type runsResumeCmd struct {
	ID   string        `arg:"" optional:"" help:"End the pause of this run, if it is paused, and work on it alone, or wait while another process does. By its ID or a unique beginning or end of it."`
	Wait time.Duration `default:"0s" placeholder:"DURATION" help:"Also wait for what is due within this time, such as 30s."`
}

// Run works until nothing is runnable: of all runs, or of one.
func (c *runsResumeCmd) Run(ctx context.Context, s *shell) error {
	if c.ID == "" && s.Server != "" {
		return &usageError{errors.New("name the run: the service that --server names goes on with the others by itself")}
	}
	if c.ID == "" {
		return c.all(ctx, s)
	}
	return s.steerRun(ctx, c.ID, c.here, c.there)
}

// here ends a pause and works on the run.
func (c *runsResumeCmd) here(ctx context.Context, x *session, r gathering.Run) error {
	_, err := x.Runs.Resume(ctx, r.ID, commandLine)
	if err != nil && (r.State.Terminal() || gathering.KindOf(err) != gathering.KindConflict) {
		return err
	}
	return x.recorded(r.ID, x.goOn(ctx, r, errand{ahead: c.Wait, toRest: true}))
}

// there asks the process that holds the data directory.
func (c *runsResumeCmd) there(ctx context.Context, x *session, r gathering.Run) error {
	ask := func(client *remote.Client) error {
		_, err := client.ResumeRun(ctx, r.ID)
		return err
	}
	return x.askThere(ctx, r, gathering.EventRunResumed, ask, errand{ahead: c.Wait, toRest: true})
}

func (c *runsResumeCmd) all(ctx context.Context, s *shell) (err error) {
	ctx, stop := s.interruptible(ctx)
	defer stop()
	x, err := s.open(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, x.close()) }()
	before, err := x.list(ctx, gathering.RunFilter{States: unfinished()})
	if err != nil {
		return interrupted(ctx, err)
	}
	if err := x.work(ctx, ""); err != nil {
		return interrupted(ctx, err)
	}
	if err := x.untilIdle(ctx, c.Wait); err != nil {
		return interrupted(ctx, err)
	}
	return c.tell(ctx, x, before)
}

func unfinished() []gathering.RunState {
	return []gathering.RunState{
		gathering.RunQueued, gathering.RunRunning, gathering.RunRecovering,
		gathering.RunWaiting, gathering.RunPaused, gathering.RunCancelling,
	}
}

// untilIdle waits until nothing is runnable that the session works on, and
// nothing is due within the time ahead.
func (x *session) untilIdle(ctx context.Context, ahead time.Duration) error {
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		idle, err := x.idle(ctx, ahead)
		if err != nil || idle {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tell lists the runs that ended and those that wait.
func (c *runsResumeCmd) tell(ctx context.Context, x *session, before []gathering.Run) error {
	waiting, err := x.list(ctx, gathering.RunFilter{States: unfinished()})
	if err != nil {
		return err
	}
	left := make(map[gathering.RunID]bool, len(waiting))
	for _, r := range waiting {
		left[r.ID] = true
	}
	for _, r := range before {
		if left[r.ID] {
			continue
		}
		ended, err := x.book.Run(ctx, r.ID)
		if err != nil {
			return err
		}
		x.shell.say("%s  %s  %s", ended.ID, progress.OneLine(r.PipelineName), ended.State)
	}
	if len(waiting) == 0 {
		x.shell.say("nothing waits")
		return nil
	}
	return x.waitingTable(ctx, waiting)
}

// waitingTable lists what waits and for what. Where that is somebody's
// decision, the exit code says so.
func (x *session) waitingTable(ctx context.Context, waiting []gathering.Run) error {
	human := error(nil)
	w := tabwriter.NewWriter(x.shell.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WAITS\tPIPELINE\tSTATE\tFOR")
	for _, r := range waiting {
		tree, err := x.grown(ctx, r)
		if err != nil {
			return err
		}
		reason, err := x.waitsFor(ctx, r, tree)
		if err != nil {
			return err
		}
		if tree.Undecided() != nil {
			human = exitError(exitWaiting)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.ID, progress.OneLine(r.PipelineName), r.State, reason)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return human
}

// waitsFor says what moves a run that does not move.
func (x *session) waitsFor(ctx context.Context, r gathering.Run, tree *progress.Tree) (string, error) {
	if undecided := tree.Undecided(); undecided != nil {
		return "a human: " + strings.Join(undecided, ", ") + " may have acted and nobody can tell", nil
	}
	why, err := x.why(ctx, r)
	_, reason, _ := strings.Cut(why.Line, ": ")
	return progress.OneLine(reason), err
}

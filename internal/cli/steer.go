package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/progress"
)

type runsCancelCmd struct {
	ID string `arg:"" help:"The run, by its ID or a unique beginning or end of it."`
}

// Run stops a run: by itself, or by asking the process that holds the data directory.
func (c *runsCancelCmd) Run(ctx context.Context, s *shell) error {
	return s.hereOrThere(ctx, c.cancelHere, c.cancelThere)
}

// hereOrThere does what changes something: here, or where another process holds
// the data directory, there, by asking that process.
func (s *shell) hereOrThere(ctx context.Context, here, there func(ctx context.Context, s *shell) error) error {
	ctx, stop := s.interruptible(ctx)
	defer stop()
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	patience, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	for {
		err := here(ctx, s)
		if gathering.CodeOf(err) != gathering.CodeDirectoryHeld {
			return interrupted(ctx, err)
		}
		err = there(ctx, s)
		if gathering.KindOf(err) != gathering.KindUnavailable {
			return interrupted(ctx, err)
		}
		select {
		case <-ticker.C: // the holder is just beginning or ending
		case <-patience.Done():
			return interrupted(ctx, err)
		}
	}
}

// handOver is how long a data directory may be held by a process that does not
// listen on its control socket.
const handOver = 2 * time.Second

// interrupted is the cause of a context that ended, or else err.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// cancelHere cancels a run and works on it until it has ended.
func (c *runsCancelCmd) cancelHere(ctx context.Context, s *shell) (err error) {
	// Looking first leaves a directory alone that has no database.
	if err := s.reading(ctx, func(ctx context.Context, x *session) error { _, err := x.resolve(ctx, c.ID); return err }); err != nil {
		return err
	}
	x, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	r, err := x.resolve(ctx, c.ID)
	if err != nil {
		return err
	}
	if err := x.Runs.Cancel(ctx, r.ID, "the command line"); err != nil {
		return err
	}
	if r.Root != r.ID {
		s.say("%s is asked to stop, which it does when its root run %s is worked on: gathering runs resume", r.ID, r.Root)
		return nil
	}
	if err := x.work(ctx, r.ID); err != nil {
		return err
	}
	return x.sayEnd(ctx, r.ID)
}

// cancelThere asks the process that holds the data directory.
func (c *runsCancelCmd) cancelThere(ctx context.Context, s *shell) error {
	return s.reading(ctx, func(ctx context.Context, x *session) error {
		r, err := x.resolve(ctx, c.ID)
		if err != nil {
			return err
		}
		if _, err := api.NewClient(x.Data).CancelRun(ctx, r.ID); err != nil {
			return err
		}
		return x.sayEnd(ctx, r.ID)
	})
}

// stopping is how long a cancelled run may take to stop before the command
// stops waiting for it. Work that does not end is given up after 30 s.
const stopping = 40 * time.Second

// sayEnd waits until a run has ended and says how, or that it has not.
func (x *session) sayEnd(ctx context.Context, id gathering.RunID) error {
	patience, cancel := context.WithTimeout(ctx, stopping)
	defer cancel()
	for _, err := range x.Runs.Watch(patience, id, 0) {
		if err != nil && patience.Err() == nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r, err := x.Runs.Run(ctx, id)
	if err != nil {
		return err
	}
	x.shell.say("%s %s", r.ID, r.State)
	if r.State != gathering.RunCancelled {
		return exitError(exitFailed)
	}
	return nil
}

type runsResumeCmd struct {
	Wait time.Duration `default:"0s" placeholder:"DURATION" help:"Also wait for what is due within this time, such as 30s."`
}

// Run works until nothing is runnable.
func (c *runsResumeCmd) Run(ctx context.Context, s *shell) (err error) {
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
	if err := c.untilIdle(ctx, x); err != nil {
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

func (c *runsResumeCmd) untilIdle(ctx context.Context, x *session) error {
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		idle, err := x.worker.Idle(ctx, c.Wait)
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
		ended, err := x.Runs.Run(ctx, r.ID)
		if err != nil {
			return err
		}
		x.shell.say("%s  %s  %s", ended.ID, progress.OneLine(r.PipelineRef), ended.State)
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
		reason := waitsFor(r, tree)
		if tree.Undecided() != nil {
			human = exitError(exitWaiting)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.ID, progress.OneLine(r.PipelineRef), r.State, reason)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return human
}

// waitsFor says what moves a run that does not move.
func waitsFor(r gathering.Run, tree *progress.Tree) string {
	if undecided := tree.Undecided(); undecided != nil {
		return "a human: " + strings.Join(undecided, ", ") + " may have acted and nobody can tell"
	}
	var reasons []string
	for n := range tree.All() {
		switch {
		case n.State != gathering.NodeWaiting && n.State != gathering.NodeRetrying:
		case n.ChildRun != "":
			reasons = append(reasons, n.ID+": "+string(n.ChildRun))
		case !n.Due.IsZero():
			reasons = append(reasons, n.ID+": until "+n.Due.Local().Format("2006-01-02 15:04:05"))
		}
	}
	if len(reasons) == 0 && r.Owner != "" {
		return "another instance, which works on it"
	}
	const most = 5
	if more := len(reasons) - most; more > 0 {
		reasons = append(reasons[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(reasons, ", ")
}

package cli

import (
	"context"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/engine"
)

type runsPauseCmd struct {
	ID string `arg:"" help:"The run, by its ID or a unique beginning or end of it."`
}

// Run asks a run to begin nothing more.
func (c *runsPauseCmd) Run(ctx context.Context, s *shell) error {
	return s.hereOrThere(
		ctx,
		func(ctx context.Context, s *shell) error { return s.acting(ctx, c.ID, c.here) },
		func(ctx context.Context, s *shell) error { return s.looking(ctx, c.ID, c.there) },
	)
}

// here pauses a run and works on it until what is under way has ended.
func (c *runsPauseCmd) here(ctx context.Context, x *session, r gathering.Run) error {
	if err := x.Runs.Pause(ctx, r.ID, commandLine); err != nil {
		return err
	}
	if r.Root != r.ID {
		x.shell.say("%s is asked to pause, which it does when its root run %s is worked on: gathering runs resume", r.ID, r.Root)
		return nil
	}
	return x.goOn(ctx, r, 0)
}

// there asks the process that holds the data directory.
func (c *runsPauseCmd) there(ctx context.Context, x *session, r gathering.Run) error {
	if _, err := api.NewClient(x.Data).PauseRun(ctx, r.ID); err != nil {
		return err
	}
	return x.taken(ctx, r.ID, func(report gathering.RunReport) bool { return report.State == gathering.RunPaused })
}

type runsDecideCmd struct {
	ID     string `arg:"" help:"The run, by its ID or a unique beginning or end of it."`
	Node   string `required:"" help:"The node whose outcome nobody knows, or an item of a map, such as each[3]."`
	As     string `required:"" enum:"done,retry,fail" help:"What became of it: done (it acted), retry (it did not; do it again) or fail."`
	Output string `placeholder:"JSON|@FILE" help:"The node's output, where it is done: JSON, or a file that holds it. Default: null."`
}

// Run says what became of a node whose outcome nobody knows.
func (c *runsDecideCmd) Run(ctx context.Context, s *shell) error {
	d := api.Decision{Node: c.Node, As: c.As}
	if c.Output != "" {
		var err error
		if d.Output, err = s.inputText(c.Output); err != nil {
			return err
		}
		if err := gathering.CheckJSON("output", d.Output); err != nil {
			return err
		}
	}
	return s.hereOrThere(
		ctx,
		func(ctx context.Context, s *shell) error {
			return s.acting(ctx, c.ID, func(ctx context.Context, x *session, r gathering.Run) error {
				mail := engine.DecideMail{Node: d.Node, As: d.As, Output: d.Output, By: commandLine}
				if err := x.Runs.Decide(ctx, r.ID, mail); err != nil {
					return err
				}
				return x.goOn(ctx, r, 0)
			})
		},
		func(ctx context.Context, s *shell) error {
			return s.looking(ctx, c.ID, func(ctx context.Context, x *session, r gathering.Run) error {
				if _, err := api.NewClient(x.Data).DecideRun(ctx, r.ID, d); err != nil {
					return err
				}
				return x.taken(ctx, r.ID, func(report gathering.RunReport) bool { return !unknown(report, d.Node) })
			})
		},
	)
}

// unknown reports whether the outcome of a node, or of an item of a map, waits
// for a decision.
func unknown(report gathering.RunReport, path string) bool {
	id, item, _ := gathering.ParseNodePath(path)
	for _, n := range report.Nodes {
		switch {
		case n.ID != id:
		case item < 0:
			return n.State == gathering.NodeUnknown
		case n.Items != nil:
			for _, open := range n.Items.Open {
				if open.Index == item {
					return open.State == gathering.NodeUnknown
				}
			}
		}
	}
	return false
}

// goOn works on a run, and on the others of its family, until nothing of it is
// runnable or due within the time ahead, and says where it stands.
func (x *session) goOn(ctx context.Context, r gathering.Run, ahead time.Duration) error {
	if err := x.work(ctx, r.Root); err != nil {
		return err
	}
	if err := x.untilIdle(ctx, ahead); err != nil {
		return err
	}
	exit, err := x.sayWhere(ctx, r.ID)
	if err == nil && r.Root != r.ID {
		exit, err = x.sayWhere(ctx, r.Root) // what it led to counts
	}
	if err != nil {
		return err
	}
	return code(exit)
}

// taken waits a while until a run has taken in what the process that works on
// it was asked, and says where it stands.
func (x *session) taken(ctx context.Context, id gathering.RunID, in func(gathering.RunReport) bool) error {
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	patience, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	for {
		report, err := x.Runs.Report(ctx, id)
		if err != nil {
			return err
		}
		if report.State.Terminal() || in(report) {
			exit, err := x.sayWhere(ctx, id)
			if err != nil {
				return err
			}
			return code(exit)
		}
		select {
		case <-ticker.C:
		case <-patience.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			x.shell.say("%s is asked to, which it does as soon as somebody works on it: gathering runs resume %s", id, id)
			return nil
		}
	}
}

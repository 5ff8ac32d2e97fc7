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
	return s.steerRun(ctx, c.ID, c.here, c.there)
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
	return x.askThere(ctx, r, gathering.EventRunPaused, func(client *api.Client) error {
		_, err := client.PauseRun(ctx, r.ID)
		return err
	})
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
	here := func(ctx context.Context, x *session, r gathering.Run) error {
		mail := engine.DecideMail{Node: d.Node, As: d.As, Output: d.Output, By: commandLine}
		if err := x.Runs.Decide(ctx, r.ID, mail); err != nil {
			return err
		}
		return x.goOn(ctx, r, 0)
	}
	there := func(ctx context.Context, x *session, r gathering.Run) error {
		return x.askThere(ctx, r, gathering.EventNodeDecided, func(client *api.Client) error {
			_, err := client.DecideRun(ctx, r.ID, d)
			return err
		})
	}
	return s.steerRun(ctx, c.ID, here, there)
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

// askThere asks the process that holds the data directory something of a run,
// waits a while for the event that tells that the run has taken it in, and says
// where the run stands.
func (x *session) askThere(ctx context.Context, r gathering.Run, taken gathering.EventType, ask func(*api.Client) error) error {
	before, err := x.Runs.Events(ctx, r.ID, 0, 0)
	if err != nil {
		return err
	}
	if err := ask(api.NewClient(x.Data)); err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	for e, err := range x.Runs.Watch(patience, r.ID, int64(len(before))) {
		if err != nil {
			break
		}
		if e.Type == taken || e.Type.EndState() != "" {
			exit, err := x.sayWhere(ctx, r.ID)
			if err != nil {
				return err
			}
			return code(exit)
		}
	}
	if ctx.Err() == nil {
		x.shell.say("%s is asked to, which it does as soon as somebody works on it: gathering runs resume %s", r.ID, r.ID)
	}
	return ctx.Err()
}

package cli

import (
	"context"
	"slices"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/engine"
	"gathering/internal/remote"
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
	if _, err := x.Runs.Pause(ctx, r.ID, commandLine); err != nil {
		return err
	}
	if r.Root != r.ID {
		x.shell.say("%s is asked to pause, which it does when its root run %s is worked on: gathering runs resume", r.ID, r.Root)
		return nil
	}
	return x.recorded(r.ID, x.goOn(ctx, r, errand{}))
}

// there asks the process that holds the data directory. A run that is paused
// already writes no event of that.
func (c *runsPauseCmd) there(ctx context.Context, x *session, r gathering.Run) error {
	tree, err := x.grown(ctx, r)
	if err != nil {
		return err
	}
	if tree.Paused() != "" {
		return x.sayWhereOf(ctx, r.ID)
	}
	ask := func(client *remote.Client) error {
		_, err := client.PauseRun(ctx, r.ID)
		return err
	}
	return x.askThere(ctx, r, gathering.EventRunPaused, ask, errand{})
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
		if d.Output, err = s.values().Text(c.Output); err != nil {
			return err
		}
		if err := gathering.CheckJSON("output", d.Output); err != nil {
			return err
		}
	}
	here := func(ctx context.Context, x *session, r gathering.Run) error {
		mail := engine.DecideMail{Node: d.Node, As: d.As, Output: d.Output, By: commandLine}
		if _, err := x.Runs.Decide(ctx, r.ID, mail); err != nil {
			return err
		}
		return x.recorded(r.ID, x.goOn(ctx, r, errand{toRest: true}))
	}
	there := func(ctx context.Context, x *session, r gathering.Run) error {
		ask := func(client *remote.Client) error {
			_, err := client.DecideRun(ctx, r.ID, d)
			return err
		}
		return x.askThere(ctx, r, gathering.EventNodeDecided, ask, errand{toRest: true})
	}
	return s.steerRun(ctx, c.ID, here, there)
}

// errand is what a command waits for after it asked something of a run.
type errand struct {
	ahead  time.Duration // also for what is due within this time
	toRest bool          // also for what others work on
}

// goOn works on a run, and on the others of its family, until nothing of it is
// runnable or due, and says where it stands.
func (x *session) goOn(ctx context.Context, r gathering.Run, e errand) error {
	if err := x.work(ctx, r.Root); err != nil {
		return err
	}
	if err := x.untilIdle(ctx, e.ahead); err != nil {
		return err
	}
	return x.sayFamily(ctx, r, e)
}

// sayFamily says where a run stands, and its root, once they rest if that is
// waited for. What it led to counts.
func (x *session) sayFamily(ctx context.Context, r gathering.Run, e errand) error {
	if e.toRest {
		if err := x.untilRest(ctx, r.Root, e.ahead); err != nil {
			return err
		}
	}
	exit, err := x.sayWhere(ctx, r.ID)
	if err == nil && r.Root != r.ID {
		exit, err = x.sayWhere(ctx, r.Root)
	}
	if err != nil {
		return err
	}
	return code(exit)
}

// sayWhereOf says where a run stands alone.
func (x *session) sayWhereOf(ctx context.Context, id gathering.RunID) error {
	exit, err := x.sayWhere(ctx, id)
	if err != nil {
		return err
	}
	return code(exit)
}

// untilRest waits until nothing of a family is under way or due within the time
// ahead, whoever works on it, or until nobody does.
func (x *session) untilRest(ctx context.Context, root gathering.RunID, ahead time.Duration) error {
	ticker := time.NewTicker(x.often())
	defer ticker.Stop()
	for {
		rests := false
		err := x.patiently(ctx, func() (err error) {
			rests, err = x.rests(ctx, root, time.Now().Add(ahead))
			return err
		})
		if err != nil || rests {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (x *session) rests(ctx context.Context, root gathering.RunID, by time.Time) (bool, error) {
	if !x.attended() {
		return true, nil
	}
	family, err := x.list(ctx, gathering.RunFilter{Root: root})
	if err != nil {
		return false, err
	}
	r, err := x.book.Run(ctx, root)
	if err != nil {
		return false, err
	}
	if r, err = x.settled(ctx, r); err != nil {
		return false, err
	}
	return !slices.ContainsFunc(append(family, r), func(r gathering.Run) bool {
		due := r.ReadyAt != nil && !r.ReadyAt.After(by)
		return !r.State.Terminal() && (r.Owner != "" || due || r.State == gathering.RunRecovering)
	}), nil
}

// askThere asks the process that holds the data directory something of a run,
// waits a while for the event that tells that the run has taken it in, and says
// where the run stands.
func (x *session) askThere(ctx context.Context, r gathering.Run, taken gathering.EventType, ask func(*remote.Client) error, e errand) error {
	before, err := x.book.Events(ctx, r.ID, 0, 0)
	if err != nil {
		return err
	}
	if err := ask(x.service()); err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	for event, err := range x.book.Watch(patience, r.ID, int64(len(before))) {
		if err != nil {
			break
		}
		if event.Type == taken || event.Type.EndState() != "" {
			return x.sayFamily(ctx, r, e)
		}
	}
	if ctx.Err() == nil {
		x.shell.say("%s is asked to, which it does as soon as somebody works on it%s", r.ID, x.byResuming())
	}
	return ctx.Err()
}

package cli

import (
	"context"
	"errors"
	"time"

	"gathering"
)

type runsCancelCmd struct {
	ID string `arg:"" help:"The run, by its ID or a unique beginning or end of it."`
}

// Run stops a run: by itself, or by asking the process that holds the data directory.
func (c *runsCancelCmd) Run(ctx context.Context, s *shell) error {
	return s.steerRun(ctx, c.ID, c.here, c.there)
}

// hereOrThere does what changes something: here, or there, by asking the
// service that --server names or the process that holds the data directory.
func (s *shell) hereOrThere(ctx context.Context, here, there func(ctx context.Context, s *shell) error) error {
	ctx, stop := s.interruptible(ctx)
	defer stop()
	if s.Server != "" {
		return interrupted(ctx, there(ctx, s))
	}
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

// writing calls write with the database opened for writing, if it is there.
func (s *shell) writing(ctx context.Context, write func(ctx context.Context, x *session) error) (err error) {
	// Looking first leaves a directory alone that has no database.
	if err := s.reading(ctx, func(context.Context, *session) error { return nil }); err != nil {
		return err
	}
	x, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	return write(ctx, x)
}

// acting calls act with the database opened for writing and the run that
// somebody means.
func (s *shell) acting(ctx context.Context, given string, act func(ctx context.Context, x *session, r gathering.Run) error) error {
	return s.writing(ctx, func(ctx context.Context, x *session) error {
		r, err := x.resolve(ctx, given)
		if err != nil {
			return err
		}
		return act(ctx, x, r)
	})
}

// looking calls look with the database opened for reading and the run that
// somebody means.
func (s *shell) looking(ctx context.Context, given string, look func(ctx context.Context, x *session, r gathering.Run) error) error {
	return s.reading(ctx, func(ctx context.Context, x *session) error {
		r, err := x.resolve(ctx, given)
		if err != nil {
			return err
		}
		return look(ctx, x, r)
	})
}

// steerRun steers the run that somebody means: here, or through the process that
// holds the data directory.
func (s *shell) steerRun(ctx context.Context, given string, here, there func(ctx context.Context, x *session, r gathering.Run) error) error {
	return s.hereOrThere(
		ctx,
		func(ctx context.Context, s *shell) error { return s.acting(ctx, given, here) },
		func(ctx context.Context, s *shell) error { return s.looking(ctx, given, there) },
	)
}

// here cancels a run and works on it until it has ended.
func (c *runsCancelCmd) here(ctx context.Context, x *session, r gathering.Run) error {
	if _, err := x.Runs.Cancel(ctx, r.ID, commandLine); err != nil {
		return err
	}
	if r.Root != r.ID {
		x.shell.say("%s is asked to stop, which it does when its root run %s is worked on: gathering runs resume", r.ID, r.Root)
		return nil
	}
	if err := x.work(ctx, r.ID); err != nil {
		return x.recorded(r.ID, err)
	}
	return x.recorded(r.ID, x.sayEnd(ctx, r.ID))
}

// recorded adds to what went wrong once a run was asked something that it is
// asked all the same.
func (x *session) recorded(id gathering.RunID, err error) error {
	if _, told := errors.AsType[exitError](err); err != nil && !told {
		x.shell.tell("%s is asked to all the same, which it does as soon as somebody works on it%s", id, x.byResuming())
	}
	return err
}

// there asks the process that holds the data directory.
func (c *runsCancelCmd) there(ctx context.Context, x *session, r gathering.Run) error {
	if _, err := x.service().CancelRun(ctx, r.ID); err != nil {
		return err
	}
	return x.recorded(r.ID, x.sayEnd(ctx, r.ID))
}

// stopping is how long a cancelled run may take to stop before the command
// stops waiting for it. Work that does not end is given up after 30 s.
const stopping = 40 * time.Second

// sayEnd waits until a run has ended and says how, or that it has not.
func (x *session) sayEnd(ctx context.Context, id gathering.RunID) error {
	patience, cancel := context.WithTimeout(ctx, stopping)
	defer cancel()
	for _, err := range x.book.Watch(patience, id, 0) {
		if err != nil && patience.Err() == nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r, err := x.book.Run(ctx, id)
	if err != nil {
		return err
	}
	x.shell.say("%s %s", r.ID, r.State)
	if !r.State.Terminal() {
		x.shell.tell("%s is asked to stop and has not yet%s", r.ID, x.byResuming())
	}
	if r.State != gathering.RunCancelled {
		return exitError(exitFailed)
	}
	return nil
}

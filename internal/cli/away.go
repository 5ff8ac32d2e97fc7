package cli

import (
	"context"
	"time"

	"gathering"
)

// patiently repeats a look at the database while that is away: the worker comes
// back by itself, and whoever waits for what it does is there then. That the
// database is away is told once, and so is that it is back.
func (x *session) patiently(ctx context.Context, look func() error) error {
	ticker := time.NewTicker(x.often())
	defer ticker.Stop()
	told := false
	for {
		err := look()
		if gathering.KindOf(err) != gathering.KindUnavailable {
			if told && err == nil {
				x.tellBack()
			}
			return err
		}
		if !told {
			told = true
			x.shell.tellAway(gathering.FailureOf(err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// idle asks the worker whether it has nothing to do, as soon as that can be told.
func (x *session) idle(ctx context.Context, ahead time.Duration) (idle bool, err error) {
	err = x.patiently(ctx, func() (err error) {
		idle, err = x.worker.Idle(ctx, ahead)
		return err
	})
	return idle, err
}

func (s *shell) tellAway(f *gathering.Failure) { s.tell("%s; waiting for it", f.Message) }

func (x *session) tellBack() {
	if x.elsewhere != nil {
		x.shell.tell("the service is back")
	} else {
		x.shell.tell("the database is back")
	}
}

// often is how often it is looked whether something has changed: a service
// elsewhere limits how often it is asked.
func (x *session) often() time.Duration {
	if x.elsewhere != nil {
		return 2 * time.Second
	}
	return redraw
}

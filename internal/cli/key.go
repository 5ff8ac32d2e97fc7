package cli

import (
	"context"

	"gathering"
	"gathering/internal/run"
)

// startNew starts a run of a stored pipeline. Another run that has its key is
// worked on here: until it has been stopped, or instead of a new one, which is
// the run that is returned then.
func (x *session) startNew(ctx context.Context, p gathering.Pipeline, n run.New) (gathering.Run, error) {
	onKey := n.OnKey
	if n.Key == "" || onKey != run.KeyExisting && onKey != run.KeyCancel {
		return x.Start(ctx, p, n)
	}
	n.OnKey = run.KeyExisting
	r, err := x.Start(ctx, p, n)
	if err != nil || r.ID == n.ID {
		return r, err
	}
	if err := x.workOn(ctx, r.Root); err != nil {
		return r, err
	}
	if onKey == run.KeyExisting {
		x.shell.tell("%s has the key and is worked on instead of a new run", r.ID)
		return r, nil
	}
	x.shell.tell("stopping %s, which has the key", r.ID)
	if _, err := x.Runs.Cancel(ctx, r.ID, commandLine); err != nil && gathering.KindOf(err) != gathering.KindConflict {
		return r, err
	}
	patience, cancel := context.WithTimeout(ctx, stopping)
	defer cancel()
	if err := x.Runs.Wait(patience, r.ID); err != nil && patience.Err() == nil {
		return r, err
	}
	if err := x.workOn(ctx, n.ID); err != nil {
		return r, err
	}
	n.OnKey = onKey // which says so, if it has not ended
	return x.Start(ctx, p, n)
}

package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gathering"
	"gathering/internal/place"
	"gathering/internal/store"
)

// busy lists the owners of runs with their counters.
const busy = `SELECT owners.id, coalesce(instances.counter, 0) FROM
	(SELECT DISTINCT owner AS id FROM runs WHERE owner IS NOT NULL AND ($1 = '' OR root_run = $1)) AS owners
	LEFT JOIN instances ON instances.id = owners.id`

// Idle reports whether the worker has nothing to do: of the runs that it may
// take, it owns none, none is due within the time ahead, and those that others
// own have an owner who showed to be alive since Idle was first called. What is
// parked for longer, or for mail, does not keep it busy.
func (w *Worker) Idle(ctx context.Context, ahead time.Duration) (bool, error) {
	// What is owned comes before and after what is due: between the looks a run
	// of a dead owner can become due, and one that is due can be claimed.
	for _, look := range []func() (bool, error){
		func() (bool, error) { return w.othersWork(ctx) },
		func() (bool, error) { return w.nothingDue(ctx, ahead) },
		func() (bool, error) { return w.othersWork(ctx) },
	} {
		if idle, err := look(); err != nil || !idle {
			return false, err
		}
	}
	return true, nil
}

func (w *Worker) nothingDue(ctx context.Context, ahead time.Duration) (bool, error) {
	s := w.service
	line, err := s.line(ctx, w.options.Only)
	if err != nil {
		return false, err
	}
	places, err := place.Vacant(ctx, s.db.Read())
	if err != nil {
		return false, err
	}
	by := s.now().Add(ahead)
	return len(places) == 0 && !slices.ContainsFunc(line, func(p spot) bool { return !p.ready.After(by) }), nil
}

// othersWork reports whether every run that is owned has an owner who is
// another instance and alive.
func (w *Worker) othersWork(ctx context.Context) (bool, error) {
	var self gathering.InstanceID
	if current := w.service.local.current.Load(); current != nil {
		self = current.instance
	}
	rows, err := w.service.db.Read().Query(ctx, busy, string(w.options.Only))
	if err != nil {
		return false, fmt.Errorf("look for work: %w", err)
	}
	others := true
	err = rows.Each(func(row store.Scanner) error {
		var (
			owner   gathering.InstanceID
			counter int64
		)
		err := row.Scan(&owner, &counter)
		others = others && owner != self && w.proofs.Alive(owner, counter)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for work: %w", err)
	}
	return others, nil
}

// Orphaned reports whether a run's owner is dead and no other instance has
// taken the run over yet.
func (s *Service) Orphaned(ctx context.Context, r gathering.Run) (bool, error) {
	if r.Owner == "" || r.State.Terminal() {
		return false, nil
	}
	alive, err := s.alive(ctx, r.Owner)
	return !alive, err
}

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
	s := w.service
	var self gathering.InstanceID
	if current := s.local.current.Load(); current != nil {
		self = current.instance
	}
	// What is due comes first: in the other order a run could be claimed between.
	line, err := s.line(ctx, w.options.Only)
	if err != nil {
		return false, err
	}
	places, err := place.Vacant(ctx, s.db.Read())
	if err != nil {
		return false, err
	}
	by := s.now().Add(ahead)
	idle := len(places) == 0 && !slices.ContainsFunc(line, func(p spot) bool { return !p.ready.After(by) })
	rows, err := s.db.Read().Query(ctx, busy, string(w.options.Only))
	if err != nil {
		return false, fmt.Errorf("look for work: %w", err)
	}
	err = rows.Each(func(row store.Scanner) error {
		var (
			owner   gathering.InstanceID
			counter int64
		)
		err := row.Scan(&owner, &counter)
		idle = idle && owner != self && w.proofs.Alive(owner, counter)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for work: %w", err)
	}
	return idle, nil
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

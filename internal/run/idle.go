package run

import (
	"context"
	"fmt"
	"time"

	"gathering"
	"gathering/internal/store"
)

// Idle reports whether the worker has nothing to do: of the runs that it may
// take, it owns none, none is due within the time ahead, and those that others
// own have an owner who is alive. What is parked for longer, or for mail, does
// not keep it busy.
func (w *Worker) Idle(ctx context.Context, ahead time.Duration) (bool, error) {
	s := w.service
	var self gathering.InstanceID
	if current := s.local.current.Load(); current != nil {
		self = current.instance
	}
	rows, err := s.db.Read().Query(ctx, `SELECT DISTINCT owner FROM runs
		WHERE owner IS NOT NULL AND ($1 = '' OR root_run = $1)
		UNION ALL SELECT '' WHERE EXISTS (SELECT 1 FROM runs WHERE owner IS NULL AND ready_at IS NOT NULL
			AND ready_at <= $2 AND ($1 = '' OR root_run = $1))`,
		string(w.options.Only), s.now().Add(ahead).UnixMicro())
	if err != nil {
		return false, fmt.Errorf("look for work: %w", err)
	}
	var owners []gathering.InstanceID
	err = rows.Each(func(row store.Scanner) error {
		var owner gathering.InstanceID
		err := row.Scan(&owner)
		owners = append(owners, owner)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for work: %w", err)
	}
	for _, owner := range owners {
		if owner == "" || owner == self {
			return false, nil
		}
		alive, err := s.db.Alive(ctx, livenessKey(owner))
		if err != nil || !alive {
			return false, err
		}
	}
	return true, nil
}

// Orphaned reports whether a run's owner is dead and no other instance has
// taken the run over yet. It asks PostgreSQL; on SQLite, who holds the data
// directory has the answer.
func (s *Service) Orphaned(ctx context.Context, r gathering.Run) (bool, error) {
	if r.Owner == "" || r.State.Terminal() {
		return false, nil
	}
	alive, err := s.db.Alive(ctx, livenessKey(r.Owner))
	return !alive, err
}

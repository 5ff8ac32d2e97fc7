package run

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gathering"
	"gathering/internal/place"
	"gathering/internal/store"
)

// proofs of life: what the counters of other instances were when they were
// first looked at.
type proofs struct {
	mu    sync.Mutex
	first map[gathering.InstanceID]int64
}

// alive reports whether an instance has raised its counter since it was first
// looked at.
func (p *proofs) alive(id gathering.InstanceID, counter int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, seen := p.first[id]
	if !seen {
		if p.first == nil {
			p.first = make(map[gathering.InstanceID]int64)
		}
		p.first[id] = counter
	}
	return seen && counter != first
}

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
		idle = idle && owner != self && w.proofs.alive(owner, counter)
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

package run

import (
	"context"
	"fmt"

	"gathering"
	"gathering/internal/store"
)

// alive reports whether an instance that owns runs is alive.
func (s *Service) alive(ctx context.Context, id gathering.InstanceID) (bool, error) {
	if current := s.local.current.Load(); current != nil && current.instance == id {
		return true, nil
	}
	return s.vitals.Alive(ctx, s.db, id)
}

// show has a run whose owner is dead be recovering, though nobody has put it
// back yet.
func (s *Service) show(ctx context.Context, r *gathering.Run) error {
	if r.Owner == "" || r.State.Terminal() {
		return nil
	}
	alive, err := s.alive(ctx, r.Owner)
	if err == nil && !alive {
		r.State, r.Owner = gathering.RunRecovering, ""
	}
	return err
}

// deadOwners lists the owners of runs that are not alive.
func (s *Service) deadOwners(ctx context.Context) ([]gathering.InstanceID, error) {
	rows, err := s.db.Read().Query(ctx, `SELECT DISTINCT owner FROM runs WHERE owner IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("look who owns runs: %w", err)
	}
	var owners, dead []gathering.InstanceID
	err = rows.Each(func(row store.Scanner) error {
		var owner gathering.InstanceID
		err := row.Scan(&owner)
		owners = append(owners, owner)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look who owns runs: %w", err)
	}
	for _, owner := range owners {
		alive, err := s.alive(ctx, owner)
		if err != nil {
			return nil, err
		}
		if !alive {
			dead = append(dead, owner)
		}
	}
	return dead, nil
}

package run

import (
	"context"
	"fmt"
	"log/slog"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/once"
	"gathering/internal/purge"
	"gathering/internal/roster"
	"gathering/internal/store"
)

// Dismiss takes a run off the dead letters: somebody has seen to it. A run that
// is none is a conflict.
func (s *Service) Dismiss(ctx context.Context, id gathering.RunID, by string) (gathering.Run, error) {
	r, err := once.Do(ctx, s.db, func(tx *store.Tx) (gathering.Run, error) {
		dismissed, err := tx.Exec(ctx, `UPDATE runs SET dead_at = NULL WHERE id = $1 AND dead_at IS NOT NULL`, string(id))
		if err != nil {
			return gathering.Run{}, err
		}
		r, err := roster.Run(ctx, tx, id)
		if err == nil && dismissed == 0 {
			err = gathering.NewError(gathering.KindConflict, "run %s is no dead letter: %s", id, r.State)
		}
		if err != nil {
			return r, err
		}
		return r, audit.Record(ctx, tx, gathering.AuditEntry{Action: "run.dismiss", Object: string(id), Project: r.Project}, s.now())
	})
	if err != nil {
		return r, fmt.Errorf("dismiss %s: %w", id, err)
	}
	s.logger.InfoContext(ctx, "dead letter dismissed", slog.String("run_id", string(id)), slog.String("by", by))
	return r, nil
}

// Delete deletes a run that has ended, all runs that it led to and everything
// that is kept of them, and gives the room back. A run that has not ended, led
// to one that has not, or was started by one that is still there is a conflict.
// A Delete that was broken off is completed by the next.
func (s *Service) Delete(ctx context.Context, id gathering.RunID) error {
	r, err := roster.Run(ctx, s.db.Read(), id)
	if err != nil {
		return err
	}
	if !r.State.Terminal() {
		return gathering.NewError(gathering.KindConflict, "run %s has not ended: %s; cancel it first", id, r.State)
	}
	if r.Parent != "" {
		_, err := roster.Run(ctx, s.db.Read(), r.Parent)
		if err == nil {
			return gathering.NewError(gathering.KindConflict, "run %s belongs to run %s; delete that one", id, r.Parent)
		}
		if gathering.KindOf(err) != gathering.KindNotFound {
			return err
		}
	}
	return purge.Run(ctx, s.db, id, func(tx *store.Tx) error {
		if fresh, err := once.Note(ctx, tx); err != nil || !fresh {
			return err
		}
		return audit.Record(ctx, tx, gathering.AuditEntry{Action: "run.delete", Object: string(id), Project: r.Project}, s.now())
	})
}

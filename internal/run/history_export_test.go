package run

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/fair"
)

// ClaimRun claims one run for an instance, or reports false where it cannot be had.
func (s *Service) ClaimRun(ctx context.Context, instance gathering.InstanceID, id gathering.RunID) (gathering.Run, bool, error) {
	line, err := s.line(ctx, id)
	if err != nil {
		return gathering.Run{}, false, nil //nolint:nilerr // nothing was claimed
	}
	taken, err := s.claim(ctx, order{instance: instance, only: id, due: line, slots: 1, turns: fair.New[gathering.ProjectID]()})
	if err != nil || len(taken) == 0 {
		return gathering.Run{}, false, err
	}
	return taken[0].run, true, nil
}

// AppendOne appends an event to a run's log as its owner does, and puts the run
// into a state. In that of waiting it is given up and due at once.
func (s *Service) AppendOne(ctx context.Context, r gathering.Run, seq int64, state gathering.RunState) error {
	c := engine.Commit{State: state, Events: []gathering.Event{{
		Stream: string(r.ID), Seq: seq, Type: gathering.EventNodeStarted, Node: "a", Attempt: 1, At: s.now().UTC().Truncate(time.Microsecond),
		Data: json.RawMessage(`{}`),
	}}}
	if state == gathering.RunWaiting {
		c.Park, c.ReadyAt = true, s.now()
	}
	return newRunLog(s, r).Append(ctx, c)
}

// ReleaseRun gives up a run.
func (s *Service) ReleaseRun(ctx context.Context, r gathering.Run) error {
	return s.putBack(ctx, r, 0, 0)
}

// Orphan does to an instance what others do to the dead.
func (s *Service) Orphan(ctx context.Context, dead gathering.InstanceID) error {
	var counter int64
	err := s.db.Read().QueryRow(ctx, `SELECT counter FROM instances WHERE id = $1`, string(dead)).Scan(&counter)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.orphan(ctx, dead, counter)
}

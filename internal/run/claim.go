package run

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/store"
)

// claimed is a run that this instance owns since just now.
type claimed struct {
	run        gathering.Run
	parentNode string
	crashed    bool // its former owner died
}

// claimWindow is how many of the runs that are due longest are compared by
// their priority.
const claimWindow = 1000

// Whether a run is free is asked twice. PostgreSQL asks again of a row that
// somebody else changed before it was locked, but not what a subquery asked.
// The second time no index fits, so that the rows are found by their IDs.
const (
	claimable = `SELECT ` + runColumns + `, coalesce(parent_node, '') FROM runs WHERE id IN
		(SELECT id FROM runs WHERE owner IS NULL AND ready_at IS NOT NULL AND ready_at <= $1
			AND min_engine <= $2 AND ($3 = '' OR root_run = $3) ORDER BY ready_at LIMIT $4)
		AND coalesce(owner, '') = '' AND coalesce(ready_at, $1 + 1) <= $1
		ORDER BY priority DESC, ready_at, id LIMIT $5`
	nextToClaim = `SELECT ready_at FROM runs WHERE owner IS NULL AND ready_at IS NOT NULL
		AND min_engine <= $1 AND ($2 = '' OR root_run = $2) ORDER BY ready_at LIMIT 1`
)

// claim takes up to limit runs that are due, the most urgent first. With only
// set it takes none but that run and those it led to.
func (s *Service) claim(ctx context.Context, instance gathering.InstanceID, only gathering.RunID, limit int) ([]claimed, error) {
	var taken []claimed
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		taken = nil
		rows, err := tx.Query(ctx, claimable+tx.Dialect().Locking("FOR UPDATE SKIP LOCKED"),
			s.now().UnixMicro(), EngineVersion, string(only), claimWindow, limit)
		if err != nil {
			return err
		}
		err = rows.Each(func(row store.Scanner) error {
			var c claimed
			var err error
			c.run, err = scanRun(withLast{row, &c.parentNode})
			taken = append(taken, c)
			return err
		})
		if err != nil {
			return err
		}
		for i := range taken {
			r := &taken[i].run
			taken[i].crashed = r.State == gathering.RunRecovering && r.Crashes > 0
			r.Owner, r.State = instance, gathering.RunRunning
			r.Epoch++
			if _, err := tx.Exec(ctx, `UPDATE runs SET owner = $2, epoch = $3, state = $4, ready_at = NULL WHERE id = $1`,
				string(r.ID), string(instance), r.Epoch, string(r.State)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim runs: %w", err)
	}
	return taken, nil
}

// withLast scans one column more than it is asked for.
type withLast struct {
	store.Scanner

	last *string
}

func (w withLast) Scan(dest ...any) error { return w.Scanner.Scan(append(dest, w.last)...) }

// nextReady is when the next parked or queued run is due; zero is never.
func (s *Service) nextReady(ctx context.Context, only gathering.RunID) (time.Time, error) {
	var at sql.NullInt64
	err := s.db.Read().QueryRow(ctx, nextToClaim, EngineVersion, string(only)).Scan(&at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("look for the next run: %w", err)
	}
	return time.UnixMicro(at.Int64), nil
}

// release gives up a run that this instance owns, so that any instance goes on
// with it from its log, after a pause if there is one.
func (s *Service) release(ctx context.Context, r gathering.Run, pause time.Duration) error {
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE runs SET owner = NULL, state = $4, ready_at = $5 WHERE id = $1 AND owner = $2 AND epoch = $3`,
			string(r.ID), string(r.Owner), r.Epoch, string(gathering.RunRecovering), s.now().Add(pause).UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("release %s: %w", r.ID, err)
	}
	s.bell.Ring(topicClaim)
	return nil
}

// maxCrashes is how often in a row a run may fail to be moved.
const maxCrashes = 4

// orphan puts back the runs of an instance that is dead.
func (s *Service) orphan(ctx context.Context, dead gathering.InstanceID) error {
	var n int64
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		var err error
		n, err = tx.Exec(ctx, `UPDATE runs SET owner = NULL, state = $2, crashes = crashes + 1, ready_at = $3 WHERE owner = $1`,
			string(dead), string(gathering.RunRecovering), s.now().UnixMicro())
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM instances WHERE id = $1`, string(dead))
		return err
	})
	if err != nil {
		return fmt.Errorf("put back the runs of %s: %w", dead, err)
	}
	if n > 0 {
		s.logger.InfoContext(ctx, "took over from a dead instance", slog.String("instance", string(dead)), slog.Int64("runs", n))
		s.bell.Ring(topicClaim)
	}
	return nil
}

// adopt puts back the runs whose owner is not on the list of instances, and so
// can neither be alive nor be found dead.
func (s *Service) adopt(ctx context.Context) error {
	const ghosts = ` WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM instances)`
	var one string
	err := s.db.Read().QueryRow(ctx, `SELECT id FROM runs`+ghosts+` LIMIT 1`).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = s.db.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE runs SET owner = NULL, state = $1, crashes = crashes + 1, ready_at = $2`+ghosts,
				string(gathering.RunRecovering), s.now().UnixMicro())
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("put back runs without an instance: %w", err)
	}
	s.bell.Ring(topicClaim)
	return nil
}

// stuck puts back a run that its owner could not move, a pause later each
// time, and gives it up as failed at the fourth.
func (s *Service) stuck(ctx context.Context, l *runLog, pause time.Duration) error {
	r := l.run
	crashes := r.Crashes + 1
	if crashes >= maxCrashes {
		return s.giveUp(ctx, l)
	}
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE runs SET owner = NULL, state = $4, crashes = $5, ready_at = $6 WHERE id = $1 AND owner = $2 AND epoch = $3`,
			string(r.ID), string(r.Owner), r.Epoch, string(gathering.RunRecovering), crashes,
			s.now().Add(time.Duration(crashes)*pause).UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("put %s back: %w", r.ID, err)
	}
	return nil
}

// giveUp ends a run that cannot be moved, without folding what may be the cause.
func (s *Service) giveUp(ctx context.Context, l *runLog) error {
	r := l.run
	last := event.Row{Stream: string(r.ID)}
	err := s.db.Read().QueryRow(ctx, `SELECT seq, at, version, rows FROM run_log WHERE run_id = $1 ORDER BY seq DESC LIMIT 1`,
		string(r.ID)).Scan(&last.Seq, &last.At, &last.Version, &last.Rows)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("give up %s: it has no log", r.ID)
	}
	if err != nil {
		return fmt.Errorf("give up %s: %w", r.ID, err)
	}
	events, err := event.Unpack(ctx, last, func(context.Context, string) ([]byte, error) { return store.Encode(nil), nil })
	if err != nil {
		return fmt.Errorf("give up %s: %w", r.ID, err)
	}
	end, err := engine.GiveUp(events[len(events)-1], s.now(), gathering.NewError(gathering.KindInternal,
		"the run could not be moved or took its host down %d times in a row, and is given up", maxCrashes).WithCode(gathering.CodeCrashedHost))
	if err != nil {
		return err
	}
	return l.Append(ctx, end)
}

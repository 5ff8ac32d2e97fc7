package run

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/roster"
	"gathering/internal/store"
)

// claimed is a run that this instance owns since just now.
type claimed struct {
	run        gathering.Run
	parentNode string
	crashed    bool // its former owner died
	bounded    bool // it has a concurrency key
	early      bool // and no place yet
	undecided  int  // nodes that wait for a decision
}

// Whoever changed a row before it was locked is seen: PostgreSQL asks again
// whether the row meets the conditions.
const (
	claimColumns = `SELECT ` + roster.Columns + `, coalesce(parent_node, ''), coalesce(concurrency_key, ''), coalesce(granted_at, 0), undecided FROM runs
		WHERE owner IS NULL AND ready_at IS NOT NULL AND ready_at <= $1 AND min_engine <= $2 AND ($3 = '' OR root_run = $3)`
	claimable = claimColumns + ` AND crashes < 2 AND queue = $4 ORDER BY ready_at LIMIT $5`
	suspected = claimColumns + ` AND crashes >= 2 ORDER BY ready_at LIMIT $4`
)

// order says what an instance wants to claim.
type order struct {
	instance gathering.InstanceID
	only     gathering.RunID // "" is any
	slots    int             // at most so many
	due      []spot          // from there
	turns    projectTurns
}

// claiming is a claim under way in a transaction.
type claiming struct {
	order

	service *Service
	tx      *store.Tx
}

// claim takes runs that are due, the most urgent first and the projects in
// turns. A suspect is taken alone, if there is one among what is due: what
// happens to others in the same transaction is not to depend on it.
func (s *Service) claim(ctx context.Context, o order) ([]claimed, error) {
	var taken []claimed
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		taken = nil
		c := claiming{order: o, service: s, tx: tx}
		c.turns = o.turns.Clone() // the transaction may be repeated
		if err := c.listed(ctx); err != nil {
			return err
		}
		if len(o.due) > 0 && o.due[0].queue == suspects {
			var err error
			taken, err = c.from(ctx, o.due[0], 1)
			return err
		}
		for rest := o.due; len(rest) > 0 && len(taken) < o.slots; {
			n := 1
			for n < len(rest) && rest[n].urgency() == rest[0].urgency() {
				n++
			}
			more, err := c.among(ctx, rest[:n], o.slots-len(taken))
			if err != nil {
				return err
			}
			taken, rest = append(taken, more...), rest[n:]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim runs: %w", err)
	}
	return taken, nil
}

// errDead is why an instance that others took for dead claims nothing.
var errDead = gathering.NewError(gathering.KindConflict, "others took the instance for dead").WithCode(gathering.CodeFenced)

// listed holds that the instance is known to others, who would find it dead,
// and has it stay so until the claim is committed.
func (c *claiming) listed(ctx context.Context) error {
	var id string
	err := c.tx.QueryRow(ctx, `SELECT id FROM instances WHERE id = $1`+c.tx.Dialect().Locking("FOR KEY SHARE"), string(c.instance)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return errDead
	}
	return err
}

// among takes up to limit runs of spots of one urgency. What a spot does not
// need of its share goes to the others.
func (c *claiming) among(ctx context.Context, places []spot, limit int) ([]claimed, error) {
	var taken []claimed
	for places = slices.Clone(places); len(places) > 0 && len(taken) < limit; {
		var rest []spot
		for i, share := range c.turns.Share(projects(places), limit-len(taken)) {
			if share == 0 {
				rest = append(rest, places[i])
				continue
			}
			got, err := c.from(ctx, places[i], share)
			if err != nil {
				return nil, err
			}
			for range got {
				c.turns.Take(places[i].project())
			}
			if taken = append(taken, got...); len(got) == share {
				rest = append(rest, places[i])
			}
		}
		places = rest
	}
	return taken, nil
}

// from takes up to limit runs of one queue, those that are due longest.
func (c *claiming) from(ctx context.Context, p spot, limit int) ([]claimed, error) {
	query, args := claimable, []any{c.service.now().UnixMicro(), EngineVersion, string(c.only), p.queue, limit}
	if p.queue == suspects {
		query, args = suspected, slices.Delete(args, 3, 4)
	}
	rows, err := c.tx.Query(ctx, query+c.tx.Dialect().Locking("FOR UPDATE SKIP LOCKED"), args...)
	if err != nil {
		return nil, err
	}
	var taken []claimed
	err = rows.Each(func(row store.Scanner) error {
		var (
			is      claimed
			bound   string
			granted int64
			err     error
		)
		is.run, err = roster.Scan(row, &is.parentNode, &bound, &granted, &is.undecided)
		is.bounded, is.early = bound != "", bound != "" && granted == 0
		taken = append(taken, is)
		return err
	})
	if err != nil {
		return nil, err
	}
	if taken, err = c.withoutEarly(ctx, taken); err != nil {
		return nil, err
	}
	for i := range taken {
		r := &taken[i].run
		taken[i].crashed = r.State == gathering.RunRecovering && r.Crashes > 0
		r.Owner, r.State = c.instance, gathering.RunRunning
		r.Epoch++
		if _, err := c.tx.Exec(ctx, `UPDATE runs SET owner = $2, epoch = $3, state = $4, ready_at = NULL WHERE id = $1`,
			string(r.ID), string(r.Owner), r.Epoch, string(r.State)); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// withoutEarly leaves out the runs that wait for their place, unless it is to
// end them. The mail of those left out stays where it is.
func (c *claiming) withoutEarly(ctx context.Context, taken []claimed) ([]claimed, error) {
	var kept []claimed
	for _, is := range taken {
		r := is.run
		if !is.early || r.Deadline != nil && !r.Deadline.After(c.service.now()) {
			kept = append(kept, is)
			continue
		}
		var stop int
		err := c.tx.QueryRow(ctx, `SELECT count(*) FROM run_inbox WHERE run_id = $1 AND kind = $2`, string(r.ID), string(engine.MailCancel)).Scan(&stop)
		if err != nil {
			return nil, err
		}
		if stop > 0 {
			kept = append(kept, is)
			continue
		}
		if _, err := c.tx.Exec(ctx, `UPDATE runs SET ready_at = $2 WHERE id = $1`, string(r.ID), nullTimeMicros(r.Deadline)); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// putBack gives up a run that this instance owns, with so many crashes more, so
// that any instance goes on with it from its log, after a pause if there is
// one. A run that somebody else has by now stays as it is.
func (s *Service) putBack(ctx context.Context, r gathering.Run, crashes int, pause time.Duration) error {
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE runs SET owner = NULL, state = $4, crashes = crashes + $5, ready_at = $6 WHERE id = $1 AND owner = $2 AND epoch = $3`,
			string(r.ID), string(r.Owner), r.Epoch, string(gathering.RunRecovering), crashes, s.now().Add(pause).UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("put %s back: %w", r.ID, err)
	}
	s.bell.Ring(topicClaim)
	return nil
}

// maxCrashes is how often in a row a run may fail to be moved.
const maxCrashes = 4

// orphan puts back the runs of an instance that is dead, unless it has raised
// its counter since.
func (s *Service) orphan(ctx context.Context, dead gathering.InstanceID, counter int64) error {
	var n int64
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		// This comes first: it waits for what the instance is just claiming.
		gone, err := tx.Exec(ctx, `DELETE FROM instances WHERE id = $1 AND counter = $2`, string(dead), counter)
		if err != nil || gone == 0 {
			return err
		}
		n, err = tx.Exec(ctx, `UPDATE runs SET owner = NULL, state = $2, crashes = crashes + 1, ready_at = $3 WHERE owner = $1`,
			string(dead), string(gathering.RunRecovering), s.now().UnixMicro())
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
// time, and gives it up as failed at the fourth, or where it would be no use.
func (s *Service) stuck(ctx context.Context, l *runLog, cause error, pause time.Duration) error {
	crashes := l.run.Crashes + 1
	switch {
	case gathering.CodeOf(cause) == gathering.CodeTurnTooLarge:
		return s.giveUp(ctx, l, cause)
	case crashes >= maxCrashes:
		return s.giveUp(ctx, l, errCrashes)
	}
	return s.putBack(ctx, l.run, 1, time.Duration(crashes)*pause)
}

// errCrashes is why a run is given up that nobody could move.
var errCrashes = gathering.NewError(gathering.KindInternal,
	"the run could not be moved or took its host down %d times in a row, and is given up", maxCrashes).WithCode(gathering.CodeCrashedHost)

// giveUp ends a run that cannot be moved, without folding what may be the
// cause, and asks the runs that it waits for to stop.
func (s *Service) giveUp(ctx context.Context, l *runLog, reason error) error {
	last, err := s.lastSeq(ctx, l.run.ID)
	if err != nil {
		return fmt.Errorf("give up %s: %w", l.run.ID, err)
	}
	end, err := engine.GiveUp(gathering.Event{Stream: string(l.run.ID), Seq: last}, s.now(), reason)
	if err != nil {
		return err
	}
	if end.Tell, err = s.openChildren(ctx, l.run.ID); err != nil {
		return fmt.Errorf("give up %s: %w", l.run.ID, err)
	}
	return l.Append(ctx, end)
}

// lastSeq is the sequence number of a run's last event. If the last row cannot
// be read, and it may be why the run is given up, the feed still knows; and if
// it does not, the number is one that no event of the run can have reached.
func (s *Service) lastSeq(ctx context.Context, id gathering.RunID) (int64, error) {
	q := s.db.Read()
	row := event.Row{Stream: string(id)}
	if err := q.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM run_log WHERE run_id = $1`, string(id)).Scan(&row.Seq); err != nil || row.Seq == 0 {
		return row.Seq, err
	}
	err := q.QueryRow(ctx, `SELECT at, version, rows FROM run_log WHERE run_id = $1 AND seq = $2`, string(id), row.Seq).
		Scan(&row.At, &row.Version, &row.Rows)
	if err == nil {
		var events []gathering.Event
		events, err = event.Unpack(ctx, row, func(context.Context, string) ([]byte, error) { return codec.Encode(nil), nil })
		if err == nil && len(events) > 0 {
			return events[len(events)-1].Seq, nil
		}
	}
	if gathering.KindOf(err) == gathering.KindUnavailable || ctx.Err() != nil {
		return 0, err
	}
	s.logger.ErrorContext(ctx, "could not read the end of a log", slog.String("run_id", string(id)), slog.Any("error", err))
	last, err := event.LastOf(ctx, q, string(id), row.Seq)
	if last == 0 && err == nil {
		last = row.Seq + maxLog
	}
	return last, err
}

// maxLog is more events than a run's log can have.
const maxLog = 100_000

// openChildren lists the runs that a run waits for.
func (s *Service) openChildren(ctx context.Context, parent gathering.RunID) ([]engine.TellChild, error) {
	rows, err := s.db.Read().Query(ctx, `SELECT id FROM runs WHERE parent_run = $1 AND finished_at IS NULL`, string(parent))
	if err != nil {
		return nil, fmt.Errorf("look for its children: %w", err)
	}
	var children []engine.TellChild
	err = rows.Each(func(row store.Scanner) error {
		c := engine.TellChild{Kind: engine.MailCancel}
		err := row.Scan(&c.ID)
		children = append(children, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for its children: %w", err)
	}
	return children, nil
}

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/vital"
)

// presence says that a worker's instance is alive and finds those that are not.
//
// An instance raises its counter every beat, on a connection that holds an
// advisory lock. An observer calls it dead when, on the observer's own clock,
// the counter stood still for five beats, or for two while the lock is free: the
// beats of whichever of the two is slower. Clocks of different machines are
// never compared. On SQLite the lock on the
// data directory proves every other instance dead.
type presence struct {
	shift    *shift
	liveness store.Liveness
	seen     map[gathering.InstanceID]sighting
	held     map[gathering.RunID]held // as of the last beat
	cutOff   *time.Timer              // ends the shift when beats fail or hang for too long
}

// sighting is a counter and since when it has stood there, on our clock.
type sighting struct {
	counter int64
	since   time.Time
}

// register makes the instance known and puts back the runs of the dead. When it
// fails nothing of the presence is left but, perhaps, a row that others clear up.
func (p *presence) register(ctx context.Context) error {
	h := p.shift
	begun := h.lease.Now()
	liveness, err := h.service.db.HoldLiveness(ctx, vital.Key(h.instance))
	if err != nil {
		return err
	}
	p.liveness = liveness
	h.lease.Begin(begun)
	p.cutOff = time.AfterFunc(h.lease.Left(), func() {
		h.logger.ErrorContext(h.ctx, "the instance is cut off from the database and stops its work")
		h.stop()
	})
	err = h.service.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO instances (id, started_at, counter, host, pid, version, max_engine, beat)
			VALUES ($1, $2, 0, $3, $4, $5, $6, $7)`, string(h.instance), h.service.now().UnixMicro(),
			h.options.Host, h.options.PID, h.options.Version, EngineVersion, h.options.Beat.Microseconds())
		return err
	})
	if err == nil {
		err = p.observe(ctx)
	}
	if err != nil {
		p.cutOff.Stop()
		return errors.Join(fmt.Errorf("register %s: %w", h.instance, err), liveness.Close(context.WithoutCancel(ctx)))
	}
	return nil
}

func (p *presence) loop(ctx context.Context) {
	ticker := time.NewTicker(p.shift.options.Beat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := p.beat(ctx); err != nil && ctx.Err() == nil {
			p.shift.logger.ErrorContext(ctx, "could not say that the instance is alive", slog.String("error", err.Error()))
		}
	}
}

func (p *presence) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*p.shift.options.Beat)
	defer cancel()
	begun := p.shift.lease.Now()
	n, err := p.liveness.Beat(ctx, `UPDATE instances SET counter = counter + 1 WHERE id = $1`, string(p.shift.instance))
	if err == nil && n == 0 {
		p.shift.died()
		return nil
	}
	if err == nil {
		p.shift.lease.Renew(begun)
		p.cutOff.Reset(p.shift.lease.Left())
		err = p.observe(ctx)
	}
	if err != nil {
		clear(p.seen) // how long others were silent counts from when we can hear again
		return err
	}
	p.held, err = p.shift.reconcile(ctx, p.held)
	return err
}

// died ends the shift when others have its runs by now.
func (h *shift) died() {
	h.lease.End()
	h.logger.ErrorContext(h.ctx, "others took the instance for dead; it stops its work")
	h.stop()
}

// pulse is what an instance says of itself.
type pulse struct {
	counter int64
	beat    time.Duration // between two changes of the counter
}

// observe puts back the runs of instances that are dead.
func (p *presence) observe(ctx context.Context) error {
	db := p.shift.service.db
	asked := time.Now() // what is read is no older, however late the answer is
	rows, err := db.Read().Query(ctx, `SELECT id, counter, beat FROM instances WHERE id <> $1`, string(p.shift.instance))
	if err != nil {
		return fmt.Errorf("look at the other instances: %w", err)
	}
	others := make(map[gathering.InstanceID]pulse)
	err = rows.Each(func(row store.Scanner) error {
		var (
			id   gathering.InstanceID
			is   pulse
			beat int64
		)
		err := row.Scan(&id, &is.counter, &beat)
		is.beat = time.Duration(beat) * time.Microsecond
		others[id] = is
		return err
	})
	if err != nil {
		return fmt.Errorf("look at the other instances: %w", err)
	}
	for id, is := range others {
		dead, err := p.dead(ctx, id, is, asked)
		if err != nil {
			return err
		}
		if dead {
			if err := p.shift.service.orphan(ctx, id, is.counter); err != nil {
				return err
			}
		}
	}
	if err := p.shift.service.adopt(ctx); err != nil {
		return err
	}
	for id := range p.seen {
		if _, there := others[id]; !there {
			delete(p.seen, id)
		}
	}
	return nil
}

func (p *presence) dead(ctx context.Context, id gathering.InstanceID, is pulse, asked time.Time) (bool, error) {
	db := p.shift.service.db
	if db.Exclusive() {
		alive, err := db.Alive(ctx, vital.Key(id))
		return !alive, err
	}
	last, ok := p.seen[id]
	if !ok || last.counter != is.counter {
		p.seen[id] = sighting{is.counter, time.Now()}
		return false, nil
	}
	beat := max(is.beat, p.shift.options.Beat)
	switch silent := asked.Sub(last.since); {
	case silent >= silence*beat:
		return true, nil
	case silent >= shortSilence*beat:
		alive, err := db.Alive(ctx, vital.Key(id))
		return !alive, err
	default:
		return false, nil
	}
}

// leave takes the instance off the list. Its runs have been let go of by then.
func (p *presence) leave() {
	w := p.shift
	p.cutOff.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), w.options.Drain)
	defer cancel()
	err := w.service.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM instances WHERE id = $1
			AND NOT EXISTS (SELECT 1 FROM runs WHERE owner = $1)`, string(w.instance))
		return err
	})
	if err != nil {
		w.logger.Error("could not take the instance off the list", slog.String("error", err.Error()))
	}
	if err := p.liveness.Close(ctx); err != nil {
		w.logger.Error("could not let the instance's key go", slog.String("error", err.Error()))
	}
}

// held is a run that the database says this instance owns.
type held struct {
	run   gathering.Run
	inbox int64
}

// reconcile compares what this instance owns in the database with what it
// works on. It wakes owners that have mail from other processes, and lets go
// of runs that nobody here works on and nobody did a beat ago either: one that
// was claimed this very moment is not yet worked on. While it is not known what a
// claim took, it lets go of nothing.
func (h *shift) reconcile(ctx context.Context, before map[gathering.RunID]held) (map[gathering.RunID]held, error) {
	s := h.service
	claiming := h.claiming.Load() // before the look: what was claimed by then is owned here
	rows, err := s.db.Read().Query(ctx, `SELECT id, epoch, inbox FROM runs WHERE owner = $1`, string(h.instance))
	if err != nil {
		return before, fmt.Errorf("look at the runs owned: %w", err)
	}
	now := make(map[gathering.RunID]held)
	err = rows.Each(func(row store.Scanner) error {
		is := held{run: gathering.Run{Owner: h.instance}}
		err := row.Scan(&is.run.ID, &is.run.Epoch, &is.inbox)
		now[is.run.ID] = is
		return err
	})
	if err != nil {
		return before, fmt.Errorf("look at the runs owned: %w", err)
	}
	for id, is := range now {
		last, known := before[id]
		switch {
		case h.owns(id):
			if is.inbox != last.inbox {
				s.bell.RingHere(topicMail(id))
			}
		case !claiming && known && last.run.Epoch == is.run.Epoch:
			h.logger.WarnContext(ctx, "let go of a run that nobody worked on", slog.String("run_id", string(id)))
			if err := s.putBack(ctx, is.run, 0, 0); err != nil {
				return now, err
			}
		}
	}
	return now, nil
}

func (h *shift) owns(id gathering.RunID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, owned := h.owned[id]
	return owned
}

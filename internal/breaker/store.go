package breaker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/event"
	"gathering/internal/store"
)

// Store keeps what breakers became and their history.
type Store struct {
	DB  *store.DB
	Now func() time.Time
}

// row is a breaker as it is stored. The zero row of a name was never open.
type row struct {
	name     string
	open     bool
	since    time.Time
	until    time.Time // zero while open: until it is reset
	failures int
	reason   string
	by       string // "" for its calls
	seq      int64  // of the last event of its stream
}

// byHand reports whether somebody opened it, and not its calls.
func (r row) byHand() bool { return r.open && r.by != "" }

// heldAt reports whether somebody keeps it open at a time.
func (r row) heldAt(t time.Time) bool { return r.byHand() && (r.until.IsZero() || r.until.After(t)) }

func (r row) describe(now time.Time) gathering.Breaker {
	b := gathering.Breaker{Name: r.name, State: gathering.BreakerClosed, Reason: r.reason, By: r.by, Failures: r.failures}
	b.Since, b.Until = moment(r.since), moment(r.until)
	switch {
	case r.open && b.Until != nil && !r.until.After(now):
		b.State = gathering.BreakerHalfOpen
	case r.open:
		b.State = gathering.BreakerOpen
	}
	return b
}

// moment is a time as it is stored; nil is none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}

// settle decides what becomes of a stored breaker of which an instance says
// that its calls opened or closed it. It reports false where the stored one
// stays, to be adopted.
func settle(stored, made row) (row, bool) {
	switch {
	case stored.heldAt(made.since): // somebody's word outweighs that of calls
		return stored, false
	case made.open && stored.open && stored.until.After(made.since): // another instance was first
		return stored, false
	case !made.open && !stored.open:
		return stored, false
	}
	return made, true
}

// record writes that its calls opened or closed a breaker and returns it as it
// is stored then. It reports false where nothing was written.
func (s *Store) record(ctx context.Context, made row) (stored row, written bool, err error) {
	err = s.DB.Tx(ctx, func(tx *store.Tx) error {
		if stored, err = s.locked(ctx, tx, made.name); err != nil {
			return err
		}
		seq := stored.seq
		if stored, written = settle(stored, made); !written {
			return nil
		}
		stored.seq = seq + 1
		return write(ctx, tx, stored)
	})
	if err != nil {
		return row{}, false, fmt.Errorf("record the breaker %s: %w", made.name, err)
	}
	return stored, written, nil
}

// trip opens a breaker by hand.
func (s *Store) trip(ctx context.Context, made row) (row, error) {
	err := s.DB.Tx(ctx, func(tx *store.Tx) error {
		stored, err := s.locked(ctx, tx, made.name)
		if err != nil {
			return err
		}
		made.seq = stored.seq + 1
		return write(ctx, tx, made)
	})
	if err != nil {
		return row{}, fmt.Errorf("trip the breaker %s: %w", made.name, err)
	}
	return made, nil
}

// reset closes a breaker by hand. One that is closed stays as it is; one that
// was never open is not found.
func (s *Store) reset(ctx context.Context, made row) (stored row, err error) {
	err = s.DB.Tx(ctx, func(tx *store.Tx) error {
		var err error
		stored, err = s.read(ctx, tx, made.name, tx.Dialect().ForUpdate())
		if err != nil || !stored.open {
			return err
		}
		made.seq = stored.seq + 1
		stored = made
		return write(ctx, tx, stored)
	})
	if err != nil {
		return row{}, fmt.Errorf("reset the breaker %s: %w", made.name, err)
	}
	return stored, nil
}

// locked returns the stored breaker, which it makes where there is none, for
// the transaction to change.
func (s *Store) locked(ctx context.Context, tx *store.Tx, name string) (row, error) {
	if _, err := tx.Exec(ctx, `INSERT INTO breakers (name, state, since, failures, reason, by_whom, seq)
		VALUES ($1, 'closed', 0, 0, '', '', 0) ON CONFLICT (name) DO NOTHING`, name); err != nil {
		return row{}, err
	}
	return s.read(ctx, tx, name, tx.Dialect().ForUpdate())
}

const columns = `name, state, since, until, failures, reason, by_whom, seq`

func (s *Store) read(ctx context.Context, q store.Querier, name, clause string) (row, error) {
	r, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM breakers WHERE name = $1`+clause, name))
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, gathering.NewError(gathering.KindNotFound, "there is no circuit breaker %s", name)
	}
	return r, err
}

func scan(from store.Scanner) (row, error) {
	var (
		r     row
		state gathering.BreakerState
		since int64
		until sql.NullInt64
	)
	if err := from.Scan(&r.name, &state, &since, &until, &r.failures, &r.reason, &r.by, &r.seq); err != nil {
		return row{}, err
	}
	r.open = state == gathering.BreakerOpen
	if since != 0 {
		r.since = time.UnixMicro(since).UTC()
	}
	if until.Valid {
		r.until = time.UnixMicro(until.Int64).UTC()
	}
	return r, nil
}

// write stores what a locked breaker becomes, with the event that tells of it.
func write(ctx context.Context, tx *store.Tx, r row) error {
	state, kind := gathering.BreakerClosed, gathering.EventBreakerClosed
	if r.open {
		state, kind = gathering.BreakerOpen, gathering.EventBreakerOpened
	}
	data := gathering.BreakerChangedData{Reason: r.reason, By: r.by, Failures: r.failures, Until: moment(r.until)}
	until := sql.NullInt64{Valid: data.Until != nil}
	if until.Valid {
		until.Int64 = r.until.UnixMicro()
	}
	if _, err := tx.Exec(ctx, `UPDATE breakers SET state = $2, since = $3, until = $4, failures = $5, reason = $6, by_whom = $7, seq = $8
		WHERE name = $1`,
		r.name, string(state), r.since.UnixMicro(), until, r.failures, r.reason, r.by, r.seq); err != nil {
		return err
	}
	return audit.Tell(ctx, tx, gathering.Event{Stream: stream(r.name), Seq: r.seq, Type: kind, At: r.since}, data, gathering.AuditEntry{Reason: r.reason})
}

func stream(name string) string { return "breaker:" + name }

// open returns the breakers stored as open, at most limit of them, those that
// were opened last first.
func (s *Store) open(ctx context.Context, limit int) ([]row, error) {
	rows, err := s.DB.Read().Query(ctx, `SELECT `+columns+` FROM breakers WHERE state = 'open' ORDER BY since DESC LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("read the open breakers: %w", err)
	}
	var open []row
	err = rows.Each(func(from store.Scanner) error {
		r, err := scan(from)
		open = append(open, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the open breakers: %w", err)
	}
	return open, nil
}

// Open returns the breakers that are open or half open, as they are stored,
// those that were opened last first.
func (s *Store) Open(ctx context.Context) ([]gathering.Breaker, error) {
	rows, err := s.open(ctx, MaxNames)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	breakers := make([]gathering.Breaker, len(rows))
	for i, r := range rows {
		breakers[i] = r.describe(now)
	}
	return breakers, nil
}

// MaxHistory is how many events [Store.History] returns at most.
const MaxHistory = 1000

// History returns the last events of a breaker, at most limit of them, the
// oldest first. One that never opened has none.
func (s *Store) History(ctx context.Context, name string, limit int) ([]gathering.Event, error) {
	name, err := Name(name)
	if err != nil {
		return nil, err
	}
	rows, err := s.DB.Read().Query(ctx, `SELECT seq, at, version, rows FROM noun_log WHERE stream = $1 ORDER BY seq DESC LIMIT $2`,
		stream(name), min(max(limit, 1), MaxHistory))
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", name, err)
	}
	var events []gathering.Event
	err = rows.Each(func(from store.Scanner) error {
		r := event.Row{Stream: stream(name)}
		if err := from.Scan(&r.Seq, &r.At, &r.Version, &r.Rows); err != nil {
			return err
		}
		packed, err := event.Unpack(ctx, r, noBlob)
		slices.Reverse(packed)
		events = append(events, packed...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", name, err)
	}
	slices.Reverse(events)
	return events, nil
}

// noBlob is where long data of events is not: that of a breaker is short.
func noBlob(_ context.Context, hash string) ([]byte, error) {
	return nil, fmt.Errorf("read blob %s: breakers have none", hash)
}

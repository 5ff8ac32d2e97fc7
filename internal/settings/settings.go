// Package settings keeps what an administrator sets while the service runs. All
// instances follow within seconds.
package settings

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/once"
	"gathering/internal/ratelimit"
	"gathering/internal/store"
)

// Settings are how the service is set up.
type Settings struct {
	// AuditKept is how long audit entries are kept; 0 is for ever.
	AuditKept gathering.Duration `json:"audit_kept"`
	// Limits are how often requests may come.
	LimitSignIn ratelimit.Rate `json:"limit_sign_in"` // from one network, to sign in
	LimitWrite  ratelimit.Rate `json:"limit_write"`   // of a user, to change something
	LimitRead   ratelimit.Rate `json:"limit_read"`    // of a user, to read something
	LimitToken  ratelimit.Rate `json:"limit_token"`   // of an API token, whatever it asks
}

// WithDefaults returns the settings with what is not set as it usually is.
func (s Settings) WithDefaults() Settings {
	standard := func(r *ratelimit.Rate, requests int) {
		if *r == (ratelimit.Rate{}) {
			*r = ratelimit.Rate{Requests: requests, Per: time.Minute}
		}
	}
	standard(&s.LimitSignIn, 10)
	standard(&s.LimitWrite, 30)
	standard(&s.LimitRead, 120)
	standard(&s.LimitToken, 600)
	return s
}

// Update says what is set. What is nil stays as it is; what is set once stays
// so, whatever the service is started with.
type Update struct {
	AuditKept   *gathering.Duration `json:"audit_kept,omitempty" pattern:"^([0-9]+([.][0-9]+)?(s|m|h))+$" doc:"0s is for ever."`
	LimitSignIn *ratelimit.Rate     `json:"limit_sign_in,omitempty"`
	LimitWrite  *ratelimit.Rate     `json:"limit_write,omitempty"`
	LimitRead   *ratelimit.Rate     `json:"limit_read,omitempty"`
	LimitToken  *ratelimit.Rate     `json:"limit_token,omitempty"`
}

// put sets what the update sets.
func (u *Update) put(s *Settings) {
	set(&s.AuditKept, u.AuditKept)
	set(&s.LimitSignIn, u.LimitSignIn)
	set(&s.LimitWrite, u.LimitWrite)
	set(&s.LimitRead, u.LimitRead)
	set(&s.LimitToken, u.LimitToken)
}

func set[T any](value, to *T) {
	if to != nil {
		*value = *to
	}
}

// merge sets in u what v sets.
func (u *Update) merge(v Update) {
	replace(&u.AuditKept, v.AuditKept)
	replace(&u.LimitSignIn, v.LimitSignIn)
	replace(&u.LimitWrite, v.LimitWrite)
	replace(&u.LimitRead, v.LimitRead)
	replace(&u.LimitToken, v.LimitToken)
}

func replace[T any](value **T, by *T) {
	if by != nil {
		*value = by
	}
}

// minAuditKept is the shortest time for which audit entries can be kept.
const minAuditKept = gathering.Duration(24 * time.Hour)

func (u *Update) check() error {
	if u.AuditKept != nil && *u.AuditKept != 0 && *u.AuditKept < minAuditKept {
		return gathering.NewError(gathering.KindInvalid, "audit entries cannot be kept so shortly").
			WithFields(gathering.FieldError{Field: "audit_kept", Problem: "must be 24h at least, or 0s for ever"})
	}
	return nil
}

// Current is the settings as they are, and which revision of what was set that is.
type Current struct {
	Settings

	Revision int64 `json:"revision"`
}

// Store keeps what was set.
type Store struct {
	DB     *store.DB
	Now    func() time.Time
	Logger *slog.Logger
	// Started is what the service was started with.
	Started Settings

	current atomic.Pointer[Current]
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// name is that of the row that holds everything.
const name = "service"

// Current returns the settings as they were read last.
func (s *Store) Current() Current {
	if c := s.current.Load(); c != nil {
		return *c
	}
	return Current{s.Started.WithDefaults(), 1}
}

// Read reads the settings.
func (s *Store) Read(ctx context.Context) (Current, error) {
	set, revision, err := read(ctx, s.DB.Read(), "")
	if err != nil {
		return Current{}, err
	}
	return s.keep(set, revision), nil
}

func (s *Store) keep(set Update, revision int64) Current {
	c := Current{s.Started.WithDefaults(), revision + 1}
	set.put(&c.Settings)
	s.current.Store(&c)
	return c
}

func read(ctx context.Context, q store.Querier, clause string) (set Update, revision int64, err error) {
	var text string
	err = q.QueryRow(ctx, `SELECT value, seq FROM settings WHERE name = $1`+clause, name).Scan(&text, &revision)
	if errors.Is(err, sql.ErrNoRows) {
		return set, 0, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &set)
	}
	if err != nil {
		return set, 0, fmt.Errorf("read the settings: %w", err)
	}
	return set, revision, nil
}

// Update sets something. Revision is the one that is changed; 0 is any.
func (s *Store) Update(ctx context.Context, u Update, revision int64) (Current, error) {
	if err := u.check(); err != nil {
		return Current{}, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond)
	type row struct {
		Set      Update
		Revision int64
	}
	r, err := once.Do(ctx, s.DB, func(tx *store.Tx) (row, error) {
		// The insert locks the row, so that two who set something follow one another.
		if _, err := tx.Exec(ctx, `INSERT INTO settings (name, value, seq, updated_at) VALUES ($1, '{}', 0, $2) ON CONFLICT (name) DO NOTHING`,
			name, now.UnixMicro()); err != nil {
			return row{}, err
		}
		set, was, err := read(ctx, tx, tx.Dialect().ForUpdate())
		if err != nil {
			return row{}, err
		}
		if revision != 0 && revision != was+1 {
			return row{}, gathering.NewError(gathering.KindConflict, "it was changed by somebody else meanwhile: read it again").
				WithCode(gathering.CodePrecondition)
		}
		set.merge(u)
		text, err := json.Marshal(set)
		if err != nil {
			return row{}, err
		}
		if _, err := tx.Exec(ctx, `UPDATE settings SET value = $2, seq = $3, updated_at = $4 WHERE name = $1`,
			name, string(text), was+1, now.UnixMicro()); err != nil {
			return row{}, err
		}
		c, _ := audit.CallerOf(ctx)
		return row{set, was + 1}, audit.Tell(ctx, tx, gathering.Event{Stream: "settings", Seq: was + 1, Type: gathering.EventSettingsUpdated, At: now},
			gathering.SettingsChangedData{Settings: text, By: c.Name}, gathering.AuditEntry{Reason: "revision " + strconv.FormatInt(was+1, 10)})
	})
	if err != nil {
		return Current{}, fmt.Errorf("change the settings: %w", err)
	}
	return s.keep(r.Set, r.Revision), nil
}

// pause is how soon what another instance set is followed here.
const pause = 2 * time.Second

// Start begins to follow what other instances set. Stop it.
func (s *Store) Start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	s.ended.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			if _, err := s.Read(ctx); err != nil && ctx.Err() == nil {
				s.Logger.WarnContext(ctx, "the settings were not read", slog.String("error", err.Error()))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop ends what Start began.
func (s *Store) Stop() {
	if s.stop != nil {
		s.stop()
		s.ended.Wait()
	}
}

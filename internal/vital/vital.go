// Package vital tells which instances are alive.
package vital

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"gathering"
	"gathering/internal/store"
)

// Vitals knows which instances are alive, and remembers it for a moment, so that
// many questions about one are one. Its zero value is ready.
type Vitals struct {
	mu   sync.Mutex
	seen map[gathering.InstanceID]vital
}

type vital struct {
	alive bool
	until time.Time // on our monotonic clock
}

const (
	vitalFor  = time.Second // at most, and no longer than the instance's beat
	maxVitals = 1000        // remembered at once
)

func (v *Vitals) of(id gathering.InstanceID) (alive, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	is, ok := v.seen[id]
	return is.alive, ok && time.Now().Before(is.until)
}

func (v *Vitals) note(id gathering.InstanceID, alive bool, period time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen == nil || len(v.seen) >= maxVitals {
		v.seen = make(map[gathering.InstanceID]vital)
	}
	v.seen[id] = vital{alive, time.Now().Add(period)}
}

// Key is the key of liveness that an instance holds.
func Key(id gathering.InstanceID) string { return "gathering/" + string(id) }

// Alive reports whether an instance is on the list and holds its key.
func (v *Vitals) Alive(ctx context.Context, db *store.DB, id gathering.InstanceID) (bool, error) {
	if alive, known := v.of(id); known {
		return alive, nil
	}
	var beat int64
	err := db.Read().QueryRow(ctx, `SELECT beat FROM instances WHERE id = $1`, string(id)).Scan(&beat)
	alive := err == nil
	if alive {
		alive, err = db.Alive(ctx, Key(id))
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("look whether %s is alive: %w", id, err)
	}
	period := vitalFor
	if beat > 0 {
		period = min(period, time.Duration(beat)*time.Microsecond)
	}
	v.note(id, alive, period)
	return alive, nil
}

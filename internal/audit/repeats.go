package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gathering"
	"gathering/internal/store"
)

// Repeats records what was tried in vain, which anybody can do as often as they
// like, so that it cannot fill the disk. The first of a kind is an entry at
// once; those like it that follow within a minute become one entry that tells
// how many they were. Where there are too many kinds, the rest of a minute
// becomes one entry for each action. A crash loses what was only counted.
type Repeats struct {
	DB     *store.DB
	Now    func() time.Time
	Logger *slog.Logger

	mu     sync.Mutex
	kinds  map[kind]*repeat // of this minute
	firsts int              // entries that were written at once, in this minute

	stop  context.CancelFunc
	ended sync.WaitGroup
}

// kind is what entries have in common that are counted as one.
type kind struct{ actor, name, address, action, outcome, reason string }

type repeat struct {
	last  gathering.AuditEntry
	times int64 // that are not written yet
}

const (
	repeatWindow = time.Minute
	maxFirsts    = 120              // entries that are written at once, in each window
	writeTimeout = 10 * time.Second // whoever is refused, and Stop, wait no longer for a database
)

// Start begins to write what was counted. Stop it.
func (r *Repeats) Start(ctx context.Context) {
	ctx, r.stop = context.WithCancel(ctx)
	r.ended.Go(func() {
		tick := time.NewTicker(repeatWindow)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.flush(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop writes what is left and ends.
func (r *Repeats) Stop(ctx context.Context) {
	if r.stop != nil {
		r.stop()
		r.ended.Wait()
		r.stop = nil
	}
	r.flush(ctx)
}

// Record records an entry in a transaction of its own, now or later. That it
// cannot be written is logged: what was tried is refused all the same.
func (r *Repeats) Record(ctx context.Context, e gathering.AuditEntry) {
	c, ok := CallerOf(ctx)
	if !ok {
		return
	}
	e = c.By(e, r.Now())
	if r.counted(e) {
		return
	}
	r.write(ctx, []gathering.AuditEntry{e})
}

// counted reports whether the entry is one of a kind, and counts it.
func (r *Repeats) counted(e gathering.AuditEntry) bool {
	k := kind{e.Actor, e.ActorName, e.Address, e.Action, string(e.Outcome), e.Reason}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds == nil {
		r.kinds = make(map[kind]*repeat)
	}
	known := r.kinds[k]
	if known == nil && r.firsts < maxFirsts {
		r.kinds[k] = &repeat{}
		r.firsts++
		return false
	}
	if known == nil {
		k = kind{action: e.Action, outcome: string(e.Outcome)}
		e.Actor, e.ActorName, e.Credential, e.Address, e.Agent, e.Request, e.Object, e.Project = "", "", "", "", "", "", "", ""
		e.Reason = "of many, each for the first time"
		if known = r.kinds[k]; known == nil {
			known = &repeat{}
			r.kinds[k] = known
		}
	}
	known.last = e
	known.times++
	return true
}

// flush writes what was counted and begins anew.
func (r *Repeats) flush(ctx context.Context) {
	r.mu.Lock()
	kinds := r.kinds
	r.kinds, r.firsts = nil, 0
	r.mu.Unlock()
	var entries []gathering.AuditEntry
	for _, k := range kinds {
		if k.times > 0 {
			k.last.Times = k.times
			entries = append(entries, k.last)
		}
	}
	r.write(ctx, entries)
}

// write writes entries, even where the request or the program comes to its end.
func (r *Repeats) write(ctx context.Context, entries []gathering.AuditEntry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	var b store.Batch
	Add(&b, entries)
	if err := r.DB.Run(ctx, &b); err != nil {
		r.Logger.ErrorContext(ctx, "audit entries were not written", slog.Int("entries", len(entries)), slog.String("error", err.Error()))
	}
}

package breaker

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"gathering"
	"gathering/internal/store"
)

// Bounds of what a registry has to do with the database.
const (
	maxWaiting = 1000            // changes that wait to be written; the oldest give way
	roundTime  = 5 * time.Second // of writing and looking
	lastTime   = 2 * time.Second // of writing what is left when a registry stops
	retryTime  = time.Second     // after a round that failed
	lookTime   = time.Second     // where there are other instances
)

// Start makes the registry know what the store says is open, and from then on
// write what changes and see what others write. That the database is away is
// no error. Start a registry once, and stop it.
func (r *Registry) Start(ctx context.Context, s *Store) {
	r.mu.Lock()
	r.store = s
	r.mu.Unlock()
	if r.interval == 0 && s.DB.Dialect().Database == store.PostgreSQL {
		r.interval = lookTime
	}
	rings, cancelRings := r.rings()
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &keeper{Registry: r, rings: rings}
	next := k.round(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.run(running, next)
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop = func() {
		cancel()
		<-ended
		cancelRings()
	}
}

func (r *Registry) rings() (rings <-chan struct{}, cancel func()) {
	if r.bell == nil {
		return nil, func() {}
	}
	return r.bell.Subscribe(Topic)
}

// Stop writes what waits to be written, for 2 s at most, and ends what Start
// began. It may be called more than once.
func (r *Registry) Stop() {
	r.mu.Lock()
	stop := r.stop
	r.stop = nil
	r.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	ctx, cancel := context.WithTimeout(context.Background(), lastTime)
	defer cancel()
	if err := r.withStore(ctx, func(*Store) error { return nil }); err != nil {
		r.logger.Warn("changes of circuit breakers are not written", slog.String("error", err.Error()))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store, r.waiting = nil, nil
}

// keeper is the goroutine that writes and looks.
type keeper struct {
	*Registry

	rings <-chan struct{}
	away  bool // the last round failed
}

// run does a round whenever there is reason to, next after the time given;
// below 0 there is none.
func (k *keeper) run(ctx context.Context, next time.Duration) {
	timer := time.NewTimer(max(next, 0))
	defer timer.Stop()
	if next < 0 {
		timer.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.news:
		case <-k.rings:
		case <-timer.C:
		}
		if next = k.round(ctx); next >= 0 {
			timer.Reset(next)
		}
	}
}

// round writes what waits and looks at what others wrote, and returns after
// what time to do so again; below 0 it need not.
func (k *keeper) round(ctx context.Context) time.Duration {
	bounded, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	err := k.withStore(bounded, func(s *Store) error { return k.look(bounded, s) })
	if ctx.Err() != nil {
		return -1
	}
	if away := err != nil; away != k.away {
		k.away = away
		if away {
			k.logger.WarnContext(ctx, "circuit breakers work on without the database", slog.String("error", err.Error()))
		} else {
			k.logger.InfoContext(ctx, "circuit breakers have the database again")
		}
	}
	switch {
	case err != nil:
		return retryTime
	case k.interval > 0:
		return k.interval
	default:
		return -1
	}
}

// withStore calls fn while nobody else has to do with the database and all that
// waited is written.
func (r *Registry) withStore(ctx context.Context, fn func(s *Store) error) error {
	r.mu.Lock()
	s := r.store
	r.mu.Unlock()
	if s == nil {
		return gathering.NewError(gathering.KindUnavailable, "there is no database that keeps circuit breakers")
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := r.write(ctx, s); err != nil {
		return err
	}
	return fn(s)
}

// enqueue has a change written. The caller holds the lock.
func (r *Registry) enqueue(made row) {
	if r.store == nil {
		return
	}
	if len(r.waiting) == maxWaiting {
		r.logger.Warn("history of a circuit breaker is lost", slog.String("breaker", r.waiting[0].name))
		r.waiting = slices.Delete(r.waiting, 0, 1)
	}
	r.waiting = append(r.waiting, made)
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// write writes what waits. What the database knows better is adopted.
func (r *Registry) write(ctx context.Context, s *Store) error {
	wrote := false
	defer func() {
		if wrote {
			r.ring()
		}
	}()
	for {
		made, ok := r.oldest()
		if !ok {
			return nil
		}
		stored, written, err := s.record(ctx, made)
		if err != nil {
			return err
		}
		wrote = wrote || written
		r.settled(made, stored)
	}
}

func (r *Registry) ring() {
	if r.bell != nil {
		r.bell.Ring(Topic)
	}
}

func (r *Registry) oldest() (row, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return row{}, false
	}
	return r.waiting[0], true
}

// settled notes how a change is stored.
func (r *Registry) settled(made, stored row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 && r.waiting[0] == made { // it may have given way meanwhile
		r.waiting = slices.Delete(r.waiting, 0, 1)
	}
	if r.waits(made.name) {
		return
	}
	c := r.circuit(made.name)
	if c.open == stored.open && c.since.Equal(made.since) && stored.since.Equal(made.since) {
		c.seq = stored.seq
		return
	}
	r.adopt(stored)
}

func (r *Registry) waits(name string) bool {
	return slices.ContainsFunc(r.waiting, func(w row) bool { return w.name == name })
}

func (r *Registry) adopt(stored row) {
	c := r.circuit(stored.name)
	c.adopt(stored)
	r.keep(c)
}

// look adopts what others wrote.
func (r *Registry) look(ctx context.Context, s *Store) error {
	stored, err := s.open(ctx, r.names)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	there := make(map[string]bool, len(stored))
	for _, b := range stored {
		there[b.name] = true
		if c := r.circuit(b.name); (c.seq != b.seq || !c.open) && !r.waits(b.name) {
			r.adopt(b)
		}
	}
	if len(stored) == r.names {
		return nil // there may be more
	}
	for _, c := range r.opened.Values() {
		if !there[c.name] && c.seq > 0 && !r.waits(c.name) {
			r.adopt(row{name: c.name, since: r.now(), reason: "closed elsewhere", seq: c.seq})
		}
	}
	return nil
}

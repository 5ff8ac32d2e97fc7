package breaker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"gathering"
)

// Trip opens a breaker by hand, until it is reset or, where until is not zero,
// until then. It is written when Trip returns without an error. By says who
// does it and reason why, in a few words that whoever is refused gets to see.
func (r *Registry) Trip(ctx context.Context, name, by, reason string, until time.Time) (gathering.Breaker, error) {
	made, err := r.order(name, by, reason)
	if err != nil {
		return gathering.Breaker{}, err
	}
	made.open, made.until = true, until
	if !until.IsZero() && !until.After(made.since) {
		return gathering.Breaker{}, gathering.NewError(gathering.KindInvalid, "the circuit breaker cannot be tripped as asked").
			WithFields(gathering.FieldError{Field: "until", Problem: "must be in the future"})
	}
	return r.carryOut(ctx, func(s *Store) (row, error) { return s.trip(ctx, made) })
}

// Reset closes a breaker by hand and forgets its failures; elsewhere within a
// second. It is written when Reset returns without an error. One that is
// neither stored nor known by calls is KindNotFound.
func (r *Registry) Reset(ctx context.Context, name, by string) (gathering.Breaker, error) {
	made, err := r.order(name, by, "")
	if err != nil {
		return gathering.Breaker{}, err
	}
	return r.carryOut(ctx, func(s *Store) (row, error) {
		stored, err := s.reset(ctx, made)
		if gathering.KindOf(err) == gathering.KindNotFound && r.knows(made.name) {
			return row{name: made.name}, nil
		}
		return stored, err
	})
}

func (r *Registry) knows(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed.Contains(name) || r.opened.Contains(name)
}

// order is what somebody wants a breaker to be.
func (r *Registry) order(name, by, reason string) (row, error) {
	name, err := Name(name)
	if err != nil {
		return row{}, err
	}
	if by == "" {
		return row{}, errors.New("steer a circuit breaker: nobody says who does it")
	}
	return row{name: name, since: r.now(), by: gathering.Brief(by), reason: gathering.Brief(reason)}, nil
}

func (r *Registry) carryOut(ctx context.Context, write func(s *Store) (row, error)) (b gathering.Breaker, err error) {
	err = r.withStore(ctx, func(s *Store) error {
		stored, err := write(s)
		if err == nil {
			b = r.take(stored)
			r.tell(stored)
		}
		return err
	})
	if err == nil {
		r.ring()
	}
	return b, err
}

// take adopts what is stored and describes it.
func (r *Registry) take(stored row) gathering.Breaker {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.adopt(stored)
	return r.circuit(stored.name).describe(r.now())
}

// List returns the breakers that are open, half open, or known to this
// instance by calls that it made; the closed ones last, each by name.
func (r *Registry) List(ctx context.Context) []gathering.Breaker {
	if err := r.withStore(ctx, func(s *Store) error { return r.look(ctx, s) }); err != nil {
		r.logger.InfoContext(ctx, "circuit breakers are listed as this instance knows them", slog.String("error", err.Error()))
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]gathering.Breaker, 0, r.opened.Len()+r.closed.Len())
	for _, c := range slices.Concat(r.opened.Values(), r.closed.Values()) {
		list = append(list, c.describe(now))
	}
	slices.SortFunc(list, func(a, b gathering.Breaker) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(a.Name, b.Name))
	})
	return list
}

func rank(b gathering.Breaker) int {
	if b.State == gathering.BreakerClosed {
		return 1
	}
	return 0
}

// History returns the last events of a breaker, at most limit of them, the
// oldest first. One that never opened has none.
func (r *Registry) History(ctx context.Context, name string, limit int) ([]gathering.Event, error) {
	var events []gathering.Event
	err := r.withStore(ctx, func(s *Store) (err error) {
		events, err = s.History(ctx, name, limit)
		return err
	})
	return events, err
}

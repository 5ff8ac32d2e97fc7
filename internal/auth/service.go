package auth

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"gathering/internal/audit"
	"gathering/internal/keyring"
	"gathering/internal/store"
)

// Options configure a [Service].
type Options struct {
	DB      *store.DB
	Ring    *keyring.Ring
	Repeats *audit.Repeats
	Logger  *slog.Logger     // nil: nobody hears
	Now     func() time.Time // nil is time.Now
	// Cost of checking a password. A stored one of another cost is stored anew
	// when it is used.
	Cost Cost
}

// Service keeps users, their sessions and their tokens.
type Service struct {
	db      *store.DB
	ring    *keyring.Ring
	repeats *audit.Repeats
	logger  *slog.Logger
	clock   func() time.Time
	hasher  *hasher
	known   *otter.Cache[[32]byte, known] // by the hash of the token
	changes atomic.Int64                  // of who tokens stand for, made here
}

// maxKnown bounds how many tokens are known at a time.
const maxKnown = 10_000

// New returns a service.
func New(o Options) (*Service, error) {
	s := &Service{db: o.DB, ring: o.Ring, repeats: o.Repeats, logger: o.Logger, clock: o.Now}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.hasher = newHasher(o.Cost)
	var err error
	s.known, err = otter.New(&otter.Options[[32]byte, known]{MaximumSize: maxKnown})
	return s, err
}

// now is the time as it is stored.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Forget has who tokens stand for read anew. It comes after each change to
// that, here; other instances follow within [freshness]. What is being read
// meanwhile, perhaps as it was before, is for who asked already and nobody else.
func (s *Service) Forget() { s.changes.Add(1) }

// by is the name of who does something.
func by(ctx context.Context) string {
	c, _ := audit.CallerOf(ctx)
	return c.Name
}

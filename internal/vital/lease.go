package vital

import (
	"sync"
	"time"
)

// Lease is for how long an instance may act for its runs: nobody takes it for
// dead before. Once it has run out it stays so. Make one by [NewLease].
type Lease struct {
	term time.Duration
	now  func() time.Time

	mu   sync.Mutex
	from time.Time
	over bool
}

// NewLease returns a lease that goes on for the term after its last renewal. It
// has not begun.
func NewLease(term time.Duration, now func() time.Time) *Lease {
	return &Lease{term: term, now: now}
}

// Now is the time on the lease's clock.
func (l *Lease) Now() time.Time { return l.now() }

// Begin begins the lease, as of when the instance began to make itself known.
func (l *Lease) Begin(begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = begun
}

// Renew prolongs the lease by a good beat, as of when it began.
func (l *Lease) Renew(begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.remains() > 0 {
		l.from = begun
	}
}

// End ends the lease at once.
func (l *Lease) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// Left is how long the lease goes on; 0 when it has run out.
func (l *Lease) Left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remains()
}

// remains counts by the clock that says more time has passed: the monotonic one
// stands still while the machine is suspended, the other may be set back.
func (l *Lease) remains() time.Duration {
	now := l.now()
	remains := l.term - max(now.Sub(l.from), now.Round(0).Sub(l.from.Round(0)))
	if l.over = l.over || remains <= 0; l.over {
		return 0
	}
	return remains
}

package run

import (
	"sync"
	"time"

	"gathering"
)

// patience is how many beats an instance may miss, from the beginning of the
// last good one on, before it stops its work: others may take it for dead soon.
const patience = 4

// An instance is dead after a silence of so many beats, or of the short one
// while nobody holds its key. Silence is longer than patience, so that it has
// stopped by then.
const (
	silence      = patience + 1
	shortSilence = 2
)

// lease is for how long an instance may act for its runs: nobody takes it for
// dead before. Once it has run out it stays so.
type lease struct {
	term time.Duration
	now  func() time.Time // of the monotonic clock

	mu   sync.Mutex
	from time.Time
	over bool
}

// errCutOff is why an instance does nothing more for its runs. Whether somebody
// else has them by now is not known.
var errCutOff = gathering.NewError(gathering.KindUnavailable,
	"the instance is cut off from the database and may have lost the run").WithCode(gathering.CodeFenced)

// begin begins the lease, as of when the instance began to make itself known.
func (l *lease) begin(begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = begun
}

// renew prolongs the lease by a good beat, as of when it began.
func (l *lease) renew(begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.remains() > 0 {
		l.from = begun
	}
}

// end ends the lease at once.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// left is how long the lease goes on; 0 when it has run out.
func (l *lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remains()
}

func (l *lease) remains() time.Duration {
	remains := l.term - l.now().Sub(l.from)
	if l.over = l.over || remains <= 0; l.over {
		return 0
	}
	return remains
}

// fence is asked before anything that another owner of the run must not see
// done: it fails once others may take this instance for dead.
func (h *shift) fence() error {
	if h.lease.left() == 0 {
		return errCutOff
	}
	return nil
}

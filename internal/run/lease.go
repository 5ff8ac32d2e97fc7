package run

import (
	"context"
	"time"

	"gathering"
	"gathering/internal/event"
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

// errCutOff is why an instance does nothing more for its runs. Whether somebody
// else has them by now is not known.
var errCutOff = gathering.NewError(gathering.KindUnavailable,
	"the instance is cut off from the database and may have lost the run").WithCode(gathering.CodeFenced)

// fence is asked before anything that another owner of the run must not see
// done: it fails once others may take this instance for dead.
func (h *shift) fence() error {
	if h.lease.Left() == 0 {
		return errCutOff
	}
	return nil
}

// steady is asked right before anything is done outside. Others take an
// instance for dead after a short silence already if its key is free, which it
// may not have noticed: by then it waits for its next beat, or its end.
func (h *shift) steady() error {
	const sure = patience - shortSilence // of the lease's beats, that many are left
	if h.lease.Left() > sure*h.options.Beat {
		return h.fence()
	}
	look := time.NewTicker(max(h.options.Beat/20, time.Millisecond))
	defer look.Stop()
	for {
		switch left := h.lease.Left(); {
		case left == 0:
			return errCutOff
		case left > sure*h.options.Beat:
			return nil
		}
		select {
		case <-look.C:
		case <-h.ctx.Done():
			return errCutOff
		}
	}
}

// writeHeld writes the members whose owners may still act; those who waited for
// longer than that are refused.
func (s *Service) writeHeld(ctx context.Context, members []*member) ([]error, error) {
	outcomes := make([]error, len(members))
	held := make([]*member, 0, len(members))
	for i, m := range members {
		if m.shift != nil {
			outcomes[i] = m.shift.fence()
		}
		if outcomes[i] == nil {
			held = append(held, m)
		}
	}
	if len(held) == 0 {
		return outcomes, nil
	}
	written, err := s.write(ctx, held)
	if err == nil {
		s.bell.Ring(event.TopicFeed)
	}
	if err != nil || len(held) == len(members) {
		return written, err
	}
	for i := range members {
		if outcomes[i] == nil {
			outcomes[i], written = written[0], written[1:]
		}
	}
	return outcomes, nil
}

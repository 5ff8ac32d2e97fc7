package run_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// A commit that waited for the database until its instance may have been taken
// for dead is not written, and the work is done again by whoever has the run.
func TestCommitThatWaitedForTooLong(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const beat = 100 * time.Millisecond
		var away atomic.Bool
		gate := func(_ context.Context, a store.Access) error {
			if away.Load() && a.Kind != store.Reading {
				return errAway
			}
			return a.Do()
		}
		p := newPipelines()
		back := make(chan struct{})
		p.add(t, "line", []engine.Node{trigger(), does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
			if p.called("a"); p.count("a") == 1 {
				away.Store(true)
				time.AfterFunc(10*beat, func() {
					away.Store(false)
					close(back)
				})
			}
			return engine.Outcome{}, nil
		})}, "t→a")
		gated, cut := db.Through(gate)
		defer cut()
		h := openHouseWith(t, run.Options{DB: gated, Pipelines: p, Patience: patience}).workWith(run.WorkerOptions{Beat: beat})
		id := h.start("line")
		<-back
		h.wantEnd(id, gathering.RunCompleted)
		if got := p.count("a"); got != 2 {
			t.Errorf("the work was done %d times, want twice: its first result came too late", got)
		}
	})
}

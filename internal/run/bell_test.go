package run_test

import (
	"context"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// Instances hear one another's bells: nothing here waits for a poll or a beat.
func TestBellBetweenInstances(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	begun := make(chan struct{}, 2)
	p := newPipelines()
	p.add(t, "long", []engine.Node{trigger(), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return engine.Outcome{}, ctx.Err()
	})}, "t→a")
	p.add(t, "parked", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
	p.add(t, "bound", []engine.Node{trigger(), p.work("b")}, "t→b")
	p.bound("bound", "k", 1)
	slow := run.WorkerOptions{Poll: time.Hour, Beat: time.Hour}
	owner := openHouse(t, storetest.Open(t, where), p).workWith(slow)
	other := openHouse(t, storetest.Open(t, store.Options{URL: where.URL}), p)
	cancel := func(id gathering.RunID) {
		t.Helper()
		if _, err := other.Cancel(t.Context(), id, "me"); err != nil {
			t.Fatal(err)
		}
		other.wantEnd(id, gathering.RunCancelled)
	}
	id := owner.start("long")
	<-begun
	cancel(id) // mail of a run that is under way elsewhere
	id = other.start("long")
	<-begun // claimed elsewhere
	cancel(id)
	id = owner.start("parked")
	owner.until(id, gathering.EventRunWaiting, "")
	cancel(id) // mail of a parked run
	other.wantEnd(other.start("bound"), gathering.RunCompleted)
}

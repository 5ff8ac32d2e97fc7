package run_test

import (
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestRunThatEndsWithItsFirstCommit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "pure", []engine.Node{trigger()})
		h := openHouse(t, db, p).work()
		id := h.start("pure")
		h.until(id, gathering.EventRunCompleted, "")
		r := h.wantState(id, gathering.RunCompleted)
		if r.Owner != "" || r.FinishedAt == nil || r.ReadyAt != nil {
			t.Errorf("got %+v, want an ended run that nobody owns and that is never due", r)
		}
	})
}

func TestIdle(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "sleeper", []engine.Node{trigger(), sleep("nap", time.Hour)}, "t→nap")
		h := openHouse(t, db, p)
		id := h.start("sleeper")
		w, err := h.Work(t.Context(), run.WorkerOptions{Poll: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		h.until(id, gathering.EventRunWaiting, "")
		if idle, err := w.Idle(t.Context(), 0); !idle || err != nil {
			t.Errorf("with a run that is due in an hour: idle is %v, %v, want true", idle, err)
		}
		if idle, err := w.Idle(t.Context(), 2*time.Hour); idle || err != nil {
			t.Errorf("with a run that is due within the time ahead: idle is %v, %v, want false", idle, err)
		}
	})
}

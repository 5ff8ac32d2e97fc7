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

func TestChildOfTheFirstCommitWorksInItsParentsDirectory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		where := make(chan string, 1)
		p.add(t, "below", []engine.Node{trigger(), does("look", func(_ context.Context, j engine.Job) (engine.Outcome, error) {
			where <- j.Workspace
			return engine.Outcome{}, nil
		})}, "t→look")
		p.add(t, "above", []engine.Node{trigger(), child("c", "below")}, "t→c")
		h := openHouse(t, db, p).work()
		r, err := h.Start(t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "above", Version: 1, Workspace: "/somewhere"})
		if err != nil {
			t.Fatal(err)
		}
		h.until(r.ID, gathering.EventRunCompleted, "")
		if got, want := <-where, "/somewhere"; got != want {
			t.Errorf("the child works in %q, want %q", got, want)
		}
	})
}

func TestWhatOthersWorkOnKeepsNobodyBusyOnceTheyShowedToBeAlive(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	p := newPipelines()
	begun, finish := make(chan struct{}), make(chan struct{})
	p.add(t, "slow", []engine.Node{trigger(), does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
		close(begun)
		<-finish
		return engine.Outcome{}, nil
	})}, "t→a")
	other := openHouse(t, storetest.Open(t, where), p)
	// An hour between its beats: to others it is as if it were dead.
	w, err := other.Work(t.Context(), run.WorkerOptions{Beat: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	t.Cleanup(func() { close(finish) })
	other.start("slow")
	<-begun

	db := storetest.Open(t, where)
	h := openHouse(t, db, p)
	mine, err := h.Work(t.Context(), run.WorkerOptions{Beat: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mine.Stop)
	for range 3 {
		if idle, err := mine.Idle(t.Context(), 0); idle || err != nil {
			t.Fatalf("while nobody knows whether the owner lives: idle is %v, %v, want false", idle, err)
		}
	}
	err = db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE instances SET counter = counter + 1`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if idle, err := mine.Idle(t.Context(), 0); !idle || err != nil {
		t.Errorf("after the owner's next beat: idle is %v, %v, want true", idle, err)
	}
}

// TestIdleSeesRunsChangeHands has the run of a dead owner become due at every
// look that Idle takes.
func TestIdleSeesRunsChangeHands(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var left atomic.Int64 // looks until it becomes due
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			if a.Kind == store.Reading && left.Add(-1) == 0 {
				change(t, db, `UPDATE runs SET owner = NULL, state = 'recovering', ready_at = 1`)
			}
			return a.Do()
		})
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
		h := openHouse(t, through, p)
		w, err := h.Work(t.Context(), run.WorkerOptions{Poll: time.Hour, Beat: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		change(t, db, `INSERT INTO instances (id, started_at, counter, host, pid, version, max_engine) VALUES ('ins_dead', 1, 1, '', 1, '', 1)`)
		openHouse(t, db, p).start("line") // whose bell this worker does not hear
		for look := range int64(10) {
			change(t, db, `UPDATE runs SET owner = 'ins_dead', state = 'running', ready_at = NULL`)
			left.Store(look + 1)
			if idle, err := w.Idle(t.Context(), 0); idle || err != nil {
				t.Errorf("at look %d: idle is %v, %v, want false", look+1, idle, err)
			}
		}
	})
}

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

// wantShown holds that a run is shown in that state, however it is asked for.
func (h *house) wantShown(id gathering.RunID, want gathering.RunState) {
	h.t.Helper()
	h.wantState(id, want)
	report, err := h.Report(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	if report.State != want {
		h.t.Errorf("the report of %s says %s, want %s", id, report.State, want)
	}
	for _, state := range []gathering.RunState{gathering.RunRunning, gathering.RunRecovering} {
		runs, err := h.Runs(h.t.Context(), gathering.RunFilter{States: []gathering.RunState{state}})
		if err != nil {
			h.t.Fatal(err)
		}
		found := false
		for _, r := range runs {
			found = found || r.ID == id
			if r.State != state {
				h.t.Errorf("%s is listed as %s and is %s", r.ID, state, r.State)
			}
		}
		if found != (state == want) {
			h.t.Errorf("%s is %s and listed as %s: %t", id, want, state, found)
		}
	}
}

// own has a run be one that an instance owns, of which there is nothing else.
func own(t *testing.T, db *store.DB, id gathering.RunID, instance string) {
	t.Helper()
	change(t, db, `UPDATE runs SET owner = $2, epoch = 1, ready_at = NULL, state = 'running' WHERE id = $1`, string(id), instance)
}

func register(t *testing.T, db *store.DB, instance string) {
	t.Helper()
	change(t, db, `INSERT INTO instances (id, started_at, counter, host, pid, version, max_engine) VALUES ($1, 0, 0, '', 0, '', 1)`, instance)
}

// A run that is shown as running has a live owner, before anybody puts those of
// the dead back.
func TestRunOfADeadOwnerIsRecovering(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		begun := make(chan struct{})
		p.add(t, "line", []engine.Node{trigger()})
		p.add(t, "long", []engine.Node{trigger(), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			close(begun)
			<-ctx.Done()
			return engine.Outcome{}, ctx.Err()
		})}, "t→a")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{Slots: 1, Beat: time.Hour})
		live := h.start("long")
		<-begun // and has no slot for another run
		reader := openHouse(t, db, p)
		gone, silent := reader.start("line"), reader.start("line")
		own(t, db, gone, "ins_gone")
		own(t, db, silent, "ins_silent")
		register(t, db, "ins_silent")
		for _, who := range []*house{h, reader} {
			who.wantShown(live, gathering.RunRunning)
			who.wantShown(gone, gathering.RunRecovering)
			who.wantShown(silent, gathering.RunRecovering)
		}
	})
}

// Beside a process that holds the directory its runs are running; without one
// nobody's are.
func TestRunsOfADirectoryThatNobodyHolds(t *testing.T) {
	t.Parallel()
	options := storetest.SQLite(t)
	p := newPipelines()
	p.add(t, "line", []engine.Node{trigger()})
	db := storetest.Open(t, options)
	h := openHouse(t, db, p)
	id := h.start("line")
	own(t, db, id, "ins_one")
	register(t, db, "ins_one")
	readOnly := func() *house {
		t.Helper()
		beside := options
		beside.ReadOnly = true
		return openHouse(t, storetest.Open(t, beside), p)
	}
	readOnly().wantShown(id, gathering.RunRunning)
	h.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	readOnly().wantShown(id, gathering.RunRecovering)
}

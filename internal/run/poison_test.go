package run_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// kill puts back what the owner of a run has, as its death would be found out.
func kill(ctx context.Context, db *store.DB, id gathering.RunID) error {
	return db.Tx(ctx, func(tx *store.Tx) error {
		var owner string
		if err := tx.QueryRow(ctx, `SELECT owner FROM runs WHERE id = $1`, string(id)).Scan(&owner); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM instances WHERE id = $1`, owner); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE runs SET owner = NULL, state = 'recovering', crashes = crashes + 1, ready_at = $2 WHERE owner = $1`,
			owner, time.Now().UnixMicro())
		return err
	})
}

// A run that takes its host down is a dead letter the fourth time. Those that
// happened to be in the same process are not.
func TestPoisonIsIsolated(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var alone, together, most atomic.Int32
		p := newPipelines()
		p.add(t, "poison", []engine.Node{trigger(), does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			p.called("poison")
			if alone.Load() > 0 {
				together.Add(1)
			}
			if err := kill(ctx, db, j.Run); err != nil {
				return engine.Outcome{}, err
			}
			<-ctx.Done()
			return engine.Outcome{}, ctx.Err()
		})}, "t→a")
		p.add(t, "innocent", []engine.Node{trigger(), does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			var crashes int32
			if err := db.Read().QueryRow(ctx, `SELECT crashes FROM runs WHERE id = $1`, string(j.Run)).Scan(&crashes); err != nil {
				return engine.Outcome{}, err
			}
			if most.Store(max(most.Load(), crashes)); crashes >= 2 {
				alone.Add(1)
				defer alone.Add(-1)
			}
			select {
			case <-time.After(20 * time.Millisecond):
				return engine.Outcome{}, nil
			case <-ctx.Done():
				return engine.Outcome{}, ctx.Err()
			}
		})}, "t→a")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{Beat: 250 * time.Millisecond}) // long enough for slow machines
		var innocent []gathering.RunID
		for range 5 {
			innocent = append(innocent, h.start("innocent"))
		}
		poison := h.start("poison")
		for range 5 {
			innocent = append(innocent, h.start("innocent"))
		}
		h.wantGivenUp(poison)
		for _, id := range innocent {
			h.wantEnd(id, gathering.RunCompleted)
		}
		if got := p.count("poison"); got != 4 {
			t.Errorf("the run took its host down %d times, want 4", got)
		}
		if most.Load() > 2 || together.Load() > 0 {
			t.Errorf("a run was in %d crashes, want 2 at most; suspects worked beside one another %d times", most.Load(), together.Load())
		}
	})
}

// Nobody waits any more for the runs that a run waited for when it is given up.
func TestChildrenOfARunThatIsGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "inner", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		p.add(t, "outer", []engine.Node{trigger(), child("c", "inner"), child("d", "inner")}, "t→c", "t→d")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		id := h.start("outer")
		h.until(id, gathering.EventRunWaiting, "")
		change(t, db, `UPDATE runs SET crashes = 4, ready_at = 1 WHERE id = $1`, string(id))
		children, err := h.Runs(t.Context(), gathering.RunFilter{Parent: id})
		if err != nil || len(children) != 2 {
			t.Fatalf("got %d children (%v), want 2", len(children), err)
		}
		h.worker.Stop()
		h.workWith(run.WorkerOptions{})
		h.wantGivenUp(id)
		for _, c := range children {
			h.wantEnd(c.ID, gathering.RunCancelled)
		}
		if n := number(t, db, `SELECT count(*) FROM run_inbox`); n != 0 {
			t.Errorf("%d entries are left in inboxes", n)
		}
	})
}

// A log that cannot be read may be why a run is given up, and does not keep it
// from being.
func TestDamagedLogIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string][]string{
		"codec":            {`UPDATE run_log SET rows = $2 WHERE run_id = $1 AND seq > 2`},
		"version":          {`UPDATE run_log SET version = 99, rows = $2 WHERE run_id = $1 AND seq > 2`},
		"and nothing else": {`UPDATE run_log SET rows = $2 WHERE run_id = $1 AND seq > 2`, `DELETE FROM feed WHERE $1 <> $2`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				p := newPipelines()
				p.add(t, "line", []engine.Node{trigger(), p.work("a"), sleep("z", time.Hour)}, "t→a", "a→z")
				h := openHouse(t, db, p).workWith(run.WorkerOptions{})
				id := h.start("line")
				h.until(id, gathering.EventRunWaiting, "")
				h.worker.Stop()
				events, err := h.Events(t.Context(), id, 0, 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, query := range damage {
					var rows any = []byte{0xee, 1}
					if len(damage) > 1 && query == damage[1] {
						rows = ""
					}
					change(t, db, query, string(id), rows)
				}
				change(t, db, `UPDATE runs SET ready_at = 1 WHERE id = $1`, string(id))
				h.workWith(run.WorkerOptions{})
				if h.wantEnd(id, gathering.RunFailed); t.Failed() {
					t.Fatal(fmt.Sprint(events))
				}
				last := number(t, db, `SELECT max(seq) FROM run_log WHERE run_id = $1`, string(id))
				if want := events[len(events)-1].Seq + 1; len(damage) == 1 && last != want || last < want {
					t.Errorf("the end has the number %d, want %d", last, want)
				}
			})
		})
	}
}

package run_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// A run that is asked to stop while nobody has it begins nothing and repeats
// nothing once somebody has.
func TestCancelOfARunThatNobodyHas(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		begun := make(chan struct{}, 1)
		p.add(t, "queued", []engine.Node{trigger(), p.work("a")}, "t→a")
		p.add(t, "parked", []engine.Node{trigger(), sleep("z", time.Hour), p.work("b")}, "t→z", "z→b")
		p.add(t, "interrupted", []engine.Node{trigger(), does("c", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			p.called("c")
			begun <- struct{}{}
			<-ctx.Done()
			return engine.Outcome{}, ctx.Err()
		}), p.work("d")}, "t→c", "c→d")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		ids := map[string]gathering.RunID{"parked": h.start("parked"), "interrupted": h.start("interrupted")}
		h.until(ids["parked"], gathering.EventRunWaiting, "")
		<-begun
		h.worker.Stop()
		ids["queued"] = h.start("queued")
		h.wantState(ids["interrupted"], gathering.RunRecovering)
		for _, id := range ids {
			if _, err := h.Cancel(t.Context(), id, "me"); err != nil {
				t.Fatal(err)
			}
		}
		later := openHouseWith(t, run.Options{DB: db, Pipelines: p, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }})
		later.workWith(run.WorkerOptions{}) // by now the delay is over
		for name, want := range map[string]string{
			"queued":      "run.queued run.started run.cancelling t:skipped a:skipped run.cancelled",
			"parked":      "run.queued run.started t:completed z:started z:waiting run.waiting run.resumed run.cancelling z:cancelled b:skipped run.cancelled",
			"interrupted": "run.queued run.started t:completed c:started run.resumed run.cancelling d:skipped c:cancelled run.cancelled",
		} {
			later.wantEnd(ids[name], gathering.RunCancelled)
			later.wantHistory(ids[name], want)
		}
		if a, b, c, d := p.count("a"), p.count("b"), p.count("c"), p.count("d"); a+b+d > 0 || c != 1 {
			t.Errorf("the nodes worked %d, %d, %d and %d times, want 0, 0, 1 and 0", a, b, c, d)
		}
		if n := number(t, db, `SELECT count(*) FROM run_inbox`); n != 0 {
			t.Errorf("%d entries are left in the inboxes of ended runs", n)
		}
	})
}

// A cancel that was answered before the last result is as good as any other,
// even where the result is there by the time the inbox is.
func TestCancelBeforeTheLastResult(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		var letGo sync.Map // by run: chan struct{}
		p.add(t, "line", []engine.Node{trigger(), does("a", func(_ context.Context, j engine.Job) (engine.Outcome, error) {
			c, _ := letGo.LoadOrStore(j.Run, make(chan struct{}))
			<-c.(chan struct{})
			return engine.Outcome{}, nil
		})}, "t→a")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		var ids []gathering.RunID
		for range 50 {
			id := h.start("line")
			c, _ := letGo.LoadOrStore(id, make(chan struct{}))
			if _, err := h.Cancel(t.Context(), id, "me"); err != nil {
				t.Fatal(err)
			}
			close(c.(chan struct{}))
			ids = append(ids, id)
		}
		for _, id := range ids {
			h.wantEnd(id, gathering.RunCancelled)
		}
	})
}

// A cancel may meet a run that is just ending. It is answered one way or the
// other, and nothing of it is left behind.
func TestCancelOfARunThatEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "inner", []engine.Node{trigger(), p.work("in")}, "t→in")
		p.add(t, "outer", []engine.Node{trigger(), child("c", "inner")}, "t→c")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		var cancels sync.WaitGroup
		for range 4 {
			cancels.Go(func() {
				for range 12 {
					r, err := h.Start(t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "outer", Version: 1})
					if err != nil {
						t.Error(err)
						return
					}
					_, err = h.Cancel(t.Context(), r.ID, "me")
					if kind := gathering.KindOf(err); err != nil && kind != gathering.KindConflict {
						t.Errorf("got %v, want an answer or a conflict", err)
					}
					if err := h.Wait(t.Context(), r.ID); err != nil {
						t.Error(err)
					}
					if history := h.history(r.ID); strings.Contains(history, "run.completed") && strings.Contains(history, "run.cancelling") {
						t.Errorf("a run was told to stop and completed: %s", history)
					}
				}
			})
		}
		cancels.Wait()
		await(t, "the children to end", func() bool { return number(t, db, `SELECT count(*) FROM runs WHERE finished_at IS NULL`) == 0 })
		if n := number(t, db, `SELECT count(*) FROM run_inbox`); n != 0 {
			t.Errorf("%d entries are left in the inboxes of ended runs", n)
		}
	})
}

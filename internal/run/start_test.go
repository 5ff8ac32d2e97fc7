package run_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestStartOfARunThatExists(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		letGo := make(chan struct{})
		p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
		p.add(t, "long", []engine.Node{trigger(), does("b", func(context.Context, engine.Job) (engine.Outcome, error) {
			p.called("b")
			<-letGo
			return engine.Outcome{}, nil
		})}, "t→b")
		start := func(h *house, id gathering.RunID, pipeline gathering.PipelineID) error {
			_, err := h.Start(t.Context(), run.New{ID: id, Project: gathering.DefaultProject, Pipeline: pipeline, Version: 1, Input: randomText(100 << 10)})
			return err
		}
		h := openHouse(t, db, p)
		refused := func(state string, id gathering.RunID) {
			t.Helper()
			before, history := tables(t, db), h.history(id)
			for _, pipeline := range []gathering.PipelineID{"line", "long"} {
				if err := start(h, id, pipeline); gathering.KindOf(err) != gathering.KindConflict {
					t.Errorf("%s: got %v, want a conflict", state, err)
				}
			}
			if diff := cmp.Diff(before, tables(t, db)); diff != "" {
				t.Errorf("%s: rows (-before +after):\n%s", state, diff)
			}
			h.wantHistory(id, history)
		}
		queued := gathering.NewRunID(time.Now())
		if err := start(h, queued, "line"); err != nil {
			t.Fatal(err)
		}
		refused("queued, without a worker", queued)
		h.workWith(run.WorkerOptions{})
		h.wantEnd(queued, gathering.RunCompleted)
		refused("ended", queued)
		running := h.start("long")
		await(t, "the run to work", func() bool { return p.count("b") == 1 })
		refused("running", running)
		close(letGo)
		h.wantEnd(running, gathering.RunCompleted)
		if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, p.endings()); diff != "" {
			t.Errorf("work done (-want +got):\n%s", diff)
		}
	})
}

// Many start a run of the same ID at once: one of them does.
func TestStartsOfOneID(t *testing.T) {
	t.Parallel()
	for name, work := range map[string]func(*house){
		"without a worker": func(*house) {},
		"with a worker":    func(h *house) { h.workWith(run.WorkerOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				p := newPipelines()
				p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
				h := openHouse(t, db, p)
				work(h)
				for range 20 {
					id := gathering.NewRunID(time.Now())
					var started, refused atomic.Int32
					var starts sync.WaitGroup
					for range 8 {
						starts.Go(func() {
							_, err := h.Start(t.Context(), run.New{ID: id, Project: gathering.DefaultProject, Pipeline: "line", Version: 1})
							switch gathering.KindOf(err) {
							case "":
								started.Add(1)
							case gathering.KindConflict:
								refused.Add(1)
							default:
								t.Error(err)
							}
						})
					}
					starts.Wait()
					if started.Load() != 1 || refused.Load() != 7 {
						t.Fatalf("%d started the run and %d were refused, want one and 7", started.Load(), refused.Load())
					}
				}
				if h.worker == nil {
					h.workWith(run.WorkerOptions{})
				}
				await(t, "all to end", func() bool { return number(t, db, `SELECT count(*) FROM runs WHERE finished_at IS NOT NULL`) == 20 })
				if got, want := p.count("a"), 20; got != want {
					t.Errorf("the runs worked %d times, want %d", got, want)
				}
				announced(t, db)
			})
		})
	}
}

func TestStartWithABadID(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger()})
		h := openHouse(t, db, p).work()
		good := string(gathering.NewRunID(time.Now()))
		for _, id := range []string{"x", "run_", "run_x", good + "0", good[:len(good)-1], "ins_" + good[4:], good[:len(good)-1] + "W", good[:len(good)-1] + "\x00", good[:len(good)-1] + "'"} {
			_, err := h.Start(t.Context(), run.New{ID: gathering.RunID(id), Project: gathering.DefaultProject, Pipeline: "line", Version: 1})
			if got, want := gathering.KindOf(err), gathering.KindInvalid; got != want {
				t.Errorf("%q: got %v, want an error of kind %s", id, err, want)
			}
		}
		if got := number(t, db, `SELECT count(*) FROM runs`); got != 0 {
			t.Errorf("%d runs were started", got)
		}
	})
}

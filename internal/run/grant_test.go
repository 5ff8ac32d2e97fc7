package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// bound bounds the runs of a pipeline.
func (p *pipelines) bound(name, key string, most int) {
	p.graphs[name].Concurrency = func(*expr.Scope) (engine.Concurrency, error) {
		return engine.Concurrency{Key: key, Max: most}, nil
	}
}

// together is work that counts how many do it at the same time.
type together struct{ now, most, all atomic.Int32 }

func (w *together) work(context.Context, engine.Job) (engine.Outcome, error) {
	n := w.now.Add(1)
	defer w.now.Add(-1)
	for {
		most := w.most.Load()
		if n <= most || w.most.CompareAndSwap(most, n) {
			break
		}
	}
	w.all.Add(1)
	<-time.After(time.Millisecond)
	return engine.Outcome{}, nil
}

// A key with one place is a lock, however many instances there are.
func TestBoundOfOneIsALock(t *testing.T) {
	t.Parallel()
	const runs = 200
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		db := open(store.Options{})
		var w together
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), does("a", w.work)}, "t→a")
		p.bound("line", "k", 1)
		h := openHouse(t, db, p).work()
		houses := []*house{h}
		if db.Dialect().Database == store.PostgreSQL {
			houses = append(houses, openHouse(t, open(store.Options{}), p).work())
		}
		ids := make([]gathering.RunID, runs)
		var starts sync.WaitGroup
		for i := range ids {
			starts.Go(func() { ids[i] = houses[i%len(houses)].start("line") })
		}
		starts.Wait()
		for _, id := range ids {
			h.wantEnd(id, gathering.RunCompleted)
		}
		if w.most.Load() != 1 || w.all.Load() != runs {
			t.Errorf("%d worked at the same time, %d in all, want one and %d", w.most.Load(), w.all.Load(), runs)
		}
	})
}

// All places are used, and none is free while a run is parked or taken over.
func TestPlacesOfABound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		begun, letGo := make(chan struct{}, 10), make(chan struct{})
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), sleep("z", 30*time.Millisecond), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			begun <- struct{}{}
			select {
			case <-letGo:
				return engine.Outcome{}, nil
			case <-ctx.Done():
				return engine.Outcome{}, ctx.Err()
			}
		})}, "t→z", "z→a")
		p.bound("line", "", 3)
		h := openHouse(t, db, p).work()
		var ids []gathering.RunID
		for range 6 {
			ids = append(ids, h.start("line"))
		}
		places := func() int64 {
			return number(t, db, `SELECT count(*) FROM runs WHERE granted_at IS NOT NULL AND finished_at IS NULL`)
		}
		for range 3 {
			<-begun
		}
		if err := kill(t.Context(), db, ids[0]); err != nil { // and of all three
			t.Fatal(err)
		}
		for range 3 {
			<-begun
		}
		if got := places(); got != 3 {
			t.Errorf("%d places are taken, want 3", got)
		}
		for i, id := range ids {
			want := gathering.RunRunning
			if i >= 3 {
				want = gathering.RunQueued
			}
			h.wantState(id, want)
		}
		why, err := h.Why(t.Context(), ids[5])
		if err != nil || !strings.Contains(why.Line, "3 of 3 runs with the concurrency key \"pipeline:line\" are under way") {
			t.Errorf("got %q (%v), want the reason to be the bound", why.Line, err)
		}
		close(letGo)
		for _, id := range ids {
			h.wantEnd(id, gathering.RunCompleted)
		}
		if got := places(); got != 0 {
			t.Errorf("%d places are taken after the end", got)
		}
	})
}

// Whoever waits for a place can be told to stop, and nothing else.
func TestCancelOfARunThatWaitsForItsPlace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		letGo := make(chan struct{})
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), does("a", func(_ context.Context, j engine.Job) (engine.Outcome, error) {
			p.called(string(j.Run))
			<-letGo
			return engine.Outcome{}, nil
		})}, "t→a")
		p.bound("line", "k", 1)
		h := openHouse(t, db, p).work()
		first, second, third := h.start("line"), h.start("line"), h.start("line")
		await(t, "the first to work", func() bool { return p.count(string(first)) == 1 })
		if _, err := h.Pause(t.Context(), second, "me"); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("got %v, want a conflict", err)
		}
		if _, err := h.Cancel(t.Context(), second, "me"); err != nil {
			t.Fatal(err)
		}
		h.wantEnd(second, gathering.RunCancelled)
		h.wantState(third, gathering.RunQueued)
		close(letGo)
		h.wantEnd(first, gathering.RunCompleted)
		h.wantEnd(third, gathering.RunCompleted)
		if got := p.count(string(second)); got != 0 {
			t.Errorf("the cancelled run worked %d times", got)
		}
	})
}

// Mail that does not stop it has a run wait on, as the pause of its parent does.
func TestMailOfARunThatWaitsForItsPlace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
		p.bound("line", "k", 1)
		h := openHouse(t, db, p)
		first, second := h.start("line"), h.start("line")
		change(t, db, `UPDATE runs SET granted_at = 1 WHERE id = $1`, string(first)) // and so never done
		change(t, db, `INSERT INTO run_inbox (run_id, id, kind, at, data) VALUES ($1, 'box_1', 'resume', 1, $2)`, string(second), codec.Encode([]byte(`{}`)))
		change(t, db, `UPDATE runs SET inbox = inbox + 1, ready_at = 1 WHERE id = $1`, string(second))
		h.work()
		await(t, "the run to be put back", func() bool {
			return number(t, db, `SELECT count(*) FROM runs WHERE id = $1 AND ready_at IS NULL AND owner IS NULL AND epoch = 0`, string(second)) == 1
		})
		change(t, db, `UPDATE runs SET ready_at = 1 WHERE id = $1`, string(first))
		h.wantEnd(second, gathering.RunCompleted)
		h.wantEnd(first, gathering.RunCompleted)
	})
}

// A run does not wait for its place beyond its time.
func TestTimeoutOfARunThatWaitsForItsPlace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		letGo := make(chan struct{})
		defer close(letGo)
		p := newPipelines()
		node := does("a", func(_ context.Context, j engine.Job) (engine.Outcome, error) {
			p.called(string(j.Run))
			<-letGo
			return engine.Outcome{}, nil
		})
		p.add(t, "line", []engine.Node{trigger(), node}, "t→a")
		p.add(t, "short", []engine.Node{trigger(), node}, "t→a")
		p.graphs["short"].Timeout = 100 * time.Millisecond
		p.bound("line", "k", 1)
		p.bound("short", "k", 1)
		h := openHouse(t, db, p).work()
		first := h.start("line")
		await(t, "the first to work", func() bool { return p.count(string(first)) == 1 })
		second := h.start("short")
		h.wantEnd(second, gathering.RunTimedOut)
		if got := p.count(string(second)); got != 0 {
			t.Errorf("the run worked %d times", got)
		}
	})
}

// Places go to the most urgent and then to the oldest.
func TestOrderOfPlaces(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var (
			mu    sync.Mutex
			order []gathering.RunID
		)
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), does("a", func(_ context.Context, j engine.Job) (engine.Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, j.Run)
			return engine.Outcome{}, nil
		})}, "t→a")
		p.bound("line", "k", 1)
		h := openHouse(t, db, p)
		var ids []gathering.RunID
		for _, priority := range []int{0, 5, 0, 5, -5} {
			ids = append(ids, h.startIn("default", priority))
		}
		h.work()
		for _, id := range ids {
			h.wantEnd(id, gathering.RunCompleted)
		}
		if want := []gathering.RunID{ids[1], ids[3], ids[0], ids[2], ids[4]}; !slices.Equal(order, want) {
			t.Errorf("got the order %v, want %v", order, want)
		}
	})
}

// Runs that others start are bounded too.
func TestBoundedChildren(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var w together
		p := newPipelines()
		p.add(t, "inner", []engine.Node{trigger(), does("a", w.work)}, "t→a")
		p.bound("inner", "k", 2)
		nodes, edges := []engine.Node{trigger()}, []string(nil)
		for i := range 10 {
			id := fmt.Sprint("c", i)
			nodes, edges = append(nodes, child(id, "inner")), append(edges, "t→"+id)
		}
		p.add(t, "outer", nodes, edges...)
		h := openHouse(t, db, p).work()
		h.wantEnd(h.start("outer"), gathering.RunCompleted)
		if w.most.Load() > 2 || w.all.Load() != 10 {
			t.Errorf("%d worked at the same time, %d in all, want 2 at most and 10", w.most.Load(), w.all.Load())
		}
	})
}

// What bounds a run is rendered with what is known of it, and refused where it
// makes no sense.
func TestBoundOfARun(t *testing.T) {
	t.Parallel()
	bad := gathering.NewError(gathering.KindInvalid, "the key is no text")
	tests := []struct {
		name, key string
		most      int
		err       error
		want      string
	}{
		{"a key", "k", 2, nil, "default/k"},
		{"none", "", 1, nil, "default/pipeline:line"},
		{"no place", "k", 0, nil, ""},
		{"long", strings.Repeat("k", 201), 1, nil, ""},
		{"null byte", "k\x00", 1, nil, ""},
		{"not rendered", "k", 1, bad, ""},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, test := range tests {
			p := newPipelines()
			p.add(t, "line", []engine.Node{trigger()})
			var seen *expr.Scope
			p.graphs["line"].Vars = map[string]json.RawMessage{"a": json.RawMessage(`1`), "b": json.RawMessage(`1`)}
			p.graphs["line"].Concurrency = func(s *expr.Scope) (engine.Concurrency, error) {
				seen = s
				return engine.Concurrency{Key: test.key, Max: test.most}, test.err
			}
			h := openHouse(t, db, p)
			r, err := h.Start(t.Context(), run.New{
				Project: gathering.DefaultProject, Pipeline: "line", Version: 1,
				Input: json.RawMessage(`[1]`), Vars: map[string]json.RawMessage{"b": json.RawMessage(`2`)},
			})
			if test.want == "" {
				if gathering.KindOf(err) != gathering.KindInvalid {
					t.Errorf("%s: got %v, want it invalid", test.name, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := number(t, db, `SELECT count(*) FROM runs WHERE id = $1 AND concurrency_key = $2 AND ready_at IS NULL`, string(r.ID), test.want); n != 1 {
				t.Errorf("%s: the run has another key, want %s", test.name, test.want)
			}
			got := fmt.Sprintf("%s %s %s %s %s", seen.Input, seen.Vars["a"], seen.Vars["b"], seen.Trigger, seen.Run.Project)
			if want := `[1] 1 2 {"kind":"manual"} default`; got != want {
				t.Errorf("%s: got %s in scope, want %s", test.name, got, want)
			}
		}
	})
}

package run_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// held is the pipeline "held", t→a→b, whose node a goes on until it is let go,
// and "pure", which ends with its first commit where a worker has a slot.
type held struct {
	*pipelines

	begun, letGo chan struct{}
}

func newHeld(t *testing.T) held {
	t.Helper()
	p := held{newPipelines(), make(chan struct{}, 1), make(chan struct{})}
	p.add(t, "held", []engine.Node{trigger(), does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
		p.called("a")
		p.begun <- struct{}{}
		<-p.letGo
		return engine.Outcome{Output: json.RawMessage(`"a"`)}, nil
	}), p.work("b")}, "t→a", "a→b")
	p.add(t, "pure", []engine.Node{trigger()})
	return p
}

// draining begins to drain the worker, and returns once it takes no more runs
// with one that it did not take. Drained is closed at the end.
func (h *house) draining() (left gathering.RunID, drained <-chan struct{}) {
	h.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.worker.Drain(context.Background())
	}()
	await(h.t, "a run that is not taken", func() bool {
		r, err := h.Start(h.t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "pure", Version: 1})
		if err != nil {
			h.t.Fatal(err)
		}
		left = r.ID
		return r.State == gathering.RunQueued
	})
	return left, done
}

func ended(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s does not end", what)
	}
}

// TestDrain drains a worker while a node works: its result is kept, the next
// node is not begun, no run is claimed any more, and another worker does the
// rest and nothing twice.
func TestDrain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newHeld(t)
		h := openHouse(t, db, p.pipelines).workWith(run.WorkerOptions{Beat: 100 * time.Millisecond, Poll: 5 * time.Millisecond})
		id := h.start("held")
		ended(t, "the beginning of a", p.begun)
		left, drained := h.draining()
		select {
		case <-drained:
			t.Error("nobody waits for the node under way")
		case <-time.After(50 * time.Millisecond): // ten looks for runs to claim
		}
		h.wantState(left, gathering.RunQueued)
		if r := h.wantState(id, gathering.RunRunning); r.Owner == "" {
			t.Error("the run under way was let go of")
		}
		close(p.letGo)
		ended(t, "the drain", drained)

		h.wantHistory(id, "run.queued run.started t:completed a:started a:completed")
		h.wantState(left, gathering.RunQueued)
		for _, none := range []string{"runs WHERE owner IS NOT NULL", "instances"} {
			if n := number(t, db, `SELECT count(*) FROM `+none); n != 0 {
				t.Errorf("%d rows are left of %s", n, none)
			}
		}
		other := openHouse(t, db, p.pipelines).work()
		other.wantEnd(id, gathering.RunCompleted)
		other.wantEnd(left, gathering.RunCompleted)
		for _, node := range []string{"a", "b"} {
			if got := p.count(node); got != 1 {
				t.Errorf("%s was done %d times, want once", node, got)
			}
		}
	})
}

// TestDrainedRunsGoOnElsewhere holds that another instance takes over what is
// let go of, and what is accepted meanwhile, without waiting for its next look.
func TestDrainedRunsGoOnElsewhere(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	p := newHeld(t)
	h := openHouse(t, storetest.Open(t, where), p.pipelines).work()
	id := h.start("held")
	ended(t, "the beginning of a", p.begun)
	other := openHouse(t, storetest.Open(t, where), p.pipelines).workWith(run.WorkerOptions{Beat: 100 * time.Millisecond, Poll: time.Hour})
	left, drained := h.draining()
	other.wantEnd(left, gathering.RunCompleted)
	close(p.letGo)
	other.wantEnd(id, gathering.RunCompleted)
	ended(t, "the drain", drained)
	if a, b := p.count("a"), p.count("b"); a != 1 || b != 1 {
		t.Errorf("a was done %d times and b %d times, want once each", a, b)
	}
}

// TestDrainThatTakesTooLong ends the context of a drain: what is under way is
// stopped, what it has done by then is kept, and the rest is done elsewhere.
func TestDrainThatTakesTooLong(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		var begun sync.WaitGroup
		begun.Add(2)
		stopped := func(id string, then error) engine.Node {
			return does(id, func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
				if p.called(id); p.count(id) > 1 {
					return engine.Outcome{}, nil
				}
				begun.Done()
				<-ctx.Done()
				return engine.Outcome{Output: json.RawMessage(`1`)}, then
			})
		}
		p.add(t, "long", []engine.Node{trigger(), stopped("kept", nil), stopped("lost", context.Canceled)}, "t→kept", "t→lost")
		h := openHouse(t, db, p).work()
		id := h.start("long")
		begun.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		h.worker.Drain(ctx)
		if ctx.Err() == nil {
			t.Error("it did not wait")
		}
		h.wantHistory(id, "run.queued run.started t:completed kept:started lost:started kept:completed")
		if r := h.wantState(id, gathering.RunRecovering); r.Owner != "" || r.Crashes != 0 {
			t.Errorf("got %+v, want a run that was let go of, without a crash", r)
		}
		other := openHouse(t, db, p).work()
		other.wantEnd(id, gathering.RunCompleted)
		if kept, lost := p.count("kept"), p.count("lost"); kept != 1 || lost != 2 {
			t.Errorf("kept was done %d times and lost %d times, want once and twice", kept, lost)
		}
	})
}

// TestDrainAgain drains a worker from several sides, and stops it as well.
func TestDrainAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newHeld(t)
		h := openHouse(t, db, p.pipelines).work()
		id := h.start("held")
		ended(t, "the beginning of a", p.begun)
		_, drained := h.draining()
		_, again := h.draining()
		close(p.letGo)
		ended(t, "the drain", drained)
		ended(t, "the second drain", again)
		h.worker.Drain(t.Context())
		h.worker.Stop()
		h.worker.Drain(t.Context())
		h.wantHistory(id, "run.queued run.started t:completed a:started a:completed")
	})
}

// TestDrainThatIsCutShort stops a worker that drains.
func TestDrainThatIsCutShort(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		begun := make(chan struct{}, 1)
		p.add(t, "long", []engine.Node{trigger(), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return engine.Outcome{}, ctx.Err()
		})}, "t→a")
		p.add(t, "pure", []engine.Node{trigger()})
		h := openHouse(t, db, p).work()
		id := h.start("long")
		ended(t, "the beginning of a", begun)
		_, drained := h.draining()
		h.worker.Stop()
		ended(t, "the drain", drained)
		h.wantState(id, gathering.RunRecovering)
	})
}

// TestDrainWithoutAShift drains a worker that was cut off from the database and
// does not come back.
func TestDrainWithoutAShift(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var away atomic.Bool
		through, cut := db.Through(func(_ context.Context, a store.Access) error {
			if away.Load() && (a.Kind == store.Beating || a.Kind == store.Holding) {
				return errAway
			}
			return a.Do()
		})
		defer cut()
		h := openHouse(t, through, newPipelines()).workWith(run.WorkerOptions{Beat: 10 * time.Millisecond})
		away.Store(true)
		await(t, "the end of the shift", func() bool { return number(t, db, `SELECT count(*) FROM instances`) == 0 })
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.worker.Drain(context.Background())
		}()
		ended(t, "the drain", done)
	})
}

// TestDrainWhileRunsAreClaimed drains a worker whose claim is under way: what it
// took is put back as it was, and it claims no more, though there is more and a
// node keeps the worker from ending.
func TestDrainWhileRunsAreClaimed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newHeld(t)
		p.add(t, "short", []engine.Node{trigger(), p.work("c")}, "t→c")
		var armed atomic.Bool
		claiming, claim := make(chan struct{}), make(chan struct{})
		through, cut := db.Through(func(_ context.Context, a store.Access) error {
			if a.Kind == store.Writing && armed.CompareAndSwap(true, false) {
				close(claiming)
				<-claim
			}
			return a.Do()
		})
		defer cut()
		h := openHouse(t, through, p.pipelines).workWith(run.WorkerOptions{Beat: time.Minute, Poll: 5 * time.Millisecond, Slots: 3})
		h.start("held")
		ended(t, "the beginning of a", p.begun)
		other := openHouse(t, db, p.pipelines)
		armed.Store(true)
		ids := make([]gathering.RunID, 10)
		for i := range ids {
			ids[i] = other.start("short")
		}
		ended(t, "the beginning of a claim", claiming)
		_, drained := h.draining()
		close(claim)
		claims := func() int64 { return number(t, db, `SELECT sum(epoch) FROM runs WHERE pipeline = 'short'`) }
		await(t, "the claim", func() bool { return claims() > 0 })
		await(t, "what was claimed to be put back", func() bool {
			return number(t, db, `SELECT count(*) FROM runs WHERE pipeline = 'short' AND owner IS NOT NULL`) == 0
		})
		<-time.After(250 * time.Millisecond) // what was put back is due again by then
		if got := claims(); got < 1 || got > 2 {
			t.Errorf("%d runs were claimed, want those for which there was a slot before, and none after", got)
		}
		close(p.letGo)
		ended(t, "the drain", drained)
		if got := p.count("c"); got != 0 {
			t.Errorf("%d runs were begun", got)
		}
		other.work()
		for _, id := range ids {
			other.wantEnd(id, gathering.RunCompleted)
		}
		if got := p.count("c"); got != len(ids) {
			t.Errorf("%d runs did their work, want %d, each once", got, len(ids))
		}
	})
}

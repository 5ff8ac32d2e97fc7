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

// pay is a call that never answers and must not be made twice.
func (p *pipelines) pay(id string) engine.Node {
	return engine.Node{ID: id, Do: engine.Work{Run: func(context.Context, engine.Job) (engine.Outcome, error) {
		p.called(id)
		return engine.Outcome{}, gathering.NewError(gathering.KindTimeout, "no answer")
	}}}
}

// wantUndecided holds how many runs are counted that wait for somebody's word.
func (h *house) wantUndecided(want int) {
	h.t.Helper()
	c, err := h.Counts(h.t.Context(), nil)
	if err != nil || c.Undecided != want {
		h.t.Errorf("%d runs wait for somebody's word, %v, want %d", c.Undecided, err, want)
	}
}

// TestOpenCallsOfChildrenAreAskedAbout has a child end over a call of unknown
// outcome: its parent neither tries again nor is redriven before somebody says so.
func TestOpenCallsOfChildrenAreAskedAbout(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "inner", []engine.Node{trigger(), p.pay("pay")}, "t→pay")
		p.graphs["inner"].Timeout = 300 * time.Millisecond
		c := child("c", "inner")
		c.Retry = gathering.DefaultRetry()
		c.Retry.MaxAttempts, c.Retry.InitialDelay = 5, 1
		p.add(t, "outer", []engine.Node{trigger(), c}, "t→c")
		h := openHouse(t, db, p).work()
		id := h.start("outer")
		h.until(id, gathering.EventNodeUnknown, "c")
		h.wantWhy(id, "c: it may have acted and nobody can tell")
		h.wantUndecided(1)
		if _, err := h.Cancel(t.Context(), id, "ann"); err != nil {
			t.Fatal(err)
		}
		h.wantEnd(id, gathering.RunCancelled)
		h.wantUndecided(0)
		if _, err := h.Redrive(t.Context(), id, run.Again{}); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("redriven without a word: %v", err)
		}
		if got := p.count("pay"); got != 1 {
			t.Errorf("it was called %d times, want once", got)
		}
		again, err := h.Redrive(t.Context(), id, run.Again{From: []string{"c"}})
		if err != nil {
			t.Fatal(err)
		}
		h.until(again.ID, gathering.EventNodeUnknown, "c")
		if got := p.count("pay"); got != 2 {
			t.Errorf("it was called %d times, want once more", got)
		}
		h.wantUndecided(1)
		if _, err := h.Decide(t.Context(), again.ID, engine.DecideMail{Node: "c", As: engine.DecideDone, Output: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		h.wantEnd(again.ID, gathering.RunCompleted)
		h.wantUndecided(0)
	})
}

// TestLateChildrenEndFirst has a node run out of time while its child acts: the
// next attempt begins when the child has ended.
func TestLateChildrenEndFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		var now, most atomic.Int32
		p.add(t, "inner", []engine.Node{trigger(), does("slow", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			p.called("slow")
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			<-ctx.Done()
			<-time.After(200 * time.Millisecond) // it takes a moment to stop
			return engine.Outcome{}, ctx.Err()
		})}, "t→slow")
		c := child("c", "inner")
		c.Timeout = 200 * time.Millisecond
		c.Retry = gathering.DefaultRetry()
		c.Retry.MaxAttempts, c.Retry.InitialDelay = 2, 1
		p.add(t, "outer", []engine.Node{trigger(), c}, "t→c")
		h := openHouse(t, db, p).work()
		id := h.start("outer")
		h.wantEnd(id, gathering.RunFailed)
		h.allEnded(db)
		if p.count("slow") != 2 || most.Load() != 1 {
			t.Errorf("%d calls, %d at once, want 2 and one at a time", p.count("slow"), most.Load())
		}
	})
}

// TestWhyOfAChildThatCouldNotBe asks while the news of that is still mail.
func TestWhyOfAChildThatCouldNotBe(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	p := newPipelines()
	p.add(t, "outer", []engine.Node{trigger(), child("c", "nobody")}, "t→c")
	var dead atomic.Bool
	through, cut := db.Through(func(_ context.Context, a store.Access) error {
		if dead.Load() {
			return gathering.NewError(gathering.KindUnavailable, "it is dead")
		}
		err := a.Do()
		if a.Kind == store.Writing && number(t, db, `SELECT count(*) FROM run_inbox`) > 0 {
			dead.Store(true)
		}
		return err
	})
	id := openHouse(t, through, p).work().start("outer")
	await(t, "the news", dead.Load)
	cut()
	openHouse(t, db, p).wantWhy(id, "c: waits for run run_")
}

// TestDatabaseThatNeverAnswers is a network that swallows packets: the work is
// told to stop all the same, and so is the worker done in its time.
func TestDatabaseThatNeverAnswers(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	var hole, hanging atomic.Bool
	open := make(chan struct{})
	through, _ := db.Through(func(ctx context.Context, a store.Access) error {
		if hole.Load() && a.Kind != store.Writing {
			hanging.Store(true)
			select {
			case <-ctx.Done():
				return gathering.NewError(gathering.KindUnavailable, "it is away").WithCause(ctx.Err())
			case <-open:
			}
		}
		return a.Do()
	})
	defer close(open)
	p := newPipelines()
	begun, told := make(chan struct{}), make(chan struct{})
	p.add(t, "line", []engine.Node{trigger(), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
		close(begun)
		<-ctx.Done()
		close(told)
		return engine.Outcome{}, ctx.Err()
	})}, "t→a")
	h := openHouse(t, through, p).work()
	id := h.start("line")
	<-begun
	hole.Store(true)
	if _, err := h.Cancel(t.Context(), id, "ann"); err != nil { // it has the owner look into its inbox
		t.Fatal(err)
	}
	await(t, "somebody to ask in vain", hanging.Load)
	stopped := make(chan struct{})
	go func() {
		h.worker.Stop()
		close(stopped)
	}()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for what, done := range map[string]chan struct{}{"the work to be told to stop": told, "the worker to stop": stopped} {
		select {
		case <-done:
		case <-limit.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

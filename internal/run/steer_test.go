package run_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// gate is work that begins, says so, and waits to be let through.
type gate struct {
	begun chan string
	open  chan error
}

func newGate() *gate { return &gate{begun: make(chan string, 100), open: make(chan error, 100)} }

func (g *gate) work(id string) engine.Node {
	return engine.Node{ID: id, Do: engine.Work{Idempotent: true, Run: func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
		g.begun <- j.Node
		select {
		case err := <-g.open:
			return engine.Outcome{Output: json.RawMessage(`"` + j.Node + `"`)}, err
		case <-ctx.Done():
			return engine.Outcome{}, ctx.Err()
		}
	}}}
}

func (h *house) wantWhy(id gathering.RunID, want ...string) {
	h.t.Helper()
	why, err := h.Why(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, part := range want {
		if !strings.Contains(why.Line, part) {
			h.t.Errorf("why %s: got %q, want %q in it", id, why.Line, part)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p, g := newPipelines(), newGate()
		p.add(t, "line", []engine.Node{trigger(), g.work("a"), p.work("b")}, "t→a", "a→b")
		p.add(t, "parent", []engine.Node{trigger(), child("c", "line")}, "t→c")
		h := openHouse(t, db, p).work()
		id := h.start("parent")
		h.until(id, gathering.EventRunWaiting, "")
		if got := <-g.begun; got != "a" {
			t.Fatalf("got work of %s", got)
		}
		if _, err := h.Pause(t.Context(), id, "ann"); err != nil {
			t.Fatal(err)
		}
		kids, err := h.Runs(t.Context(), gathering.RunFilter{Parent: id})
		if err != nil || len(kids) != 1 {
			t.Fatalf("got %d children, %v", len(kids), err)
		}
		h.until(kids[0].ID, gathering.EventRunPaused, "")
		g.open <- nil
		h.until(kids[0].ID, gathering.EventNodeCompleted, "a")
		await(t, "both runs to be parked", func() bool {
			return number(t, db, `SELECT count(*) FROM runs WHERE owner IS NULL AND state = 'paused'`) == 2
		})
		h.wantWhy(id, "paused: until somebody resumes it; ann paused it", "c: waits for run "+string(kids[0].ID), "(paused: until somebody resumes it; "+string(id)+" paused it")
		if _, err := h.Resume(t.Context(), id, "ann"); err != nil {
			t.Fatal(err)
		}
		h.wantEnd(id, gathering.RunCompleted)
		if _, err := h.Resume(t.Context(), id, "ann"); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("resume of a run that ended: %v", err)
		}
		if got, want := p.count("b"), 1; got != want {
			t.Errorf("b worked %d times, want %d", got, want)
		}
	})
}

func TestDecide(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		items := []json.RawMessage{json.RawMessage(`1`), json.RawMessage(`2`)}
		breaks := engine.Node{ID: "m", Do: engine.Work{Run: func(_ context.Context, j engine.Job) (engine.Outcome, error) {
			p.called(j.Node)
			if p.count(j.Node) == 1 {
				return engine.Outcome{}, context.DeadlineExceeded
			}
			return engine.Outcome{Output: json.RawMessage(`"` + j.Node + `"`)}, nil
		}}}
		p.add(t, "each", []engine.Node{trigger(), {ID: "m", Do: engine.Map{
			Over: func(*expr.Scope) ([]json.RawMessage, error) { return items, nil }, Do: breaks,
		}}}, "t→m")
		h := openHouse(t, db, p).work()
		id := h.start("each")
		await(t, "the run to be parked", func() bool { return h.wantRun(id).State == gathering.RunWaiting })
		h.wantWhy(id, "m: 0 of 2 items have ended", "m[1]: it may have acted", "--node 'm[1]'")
		for _, refused := range []struct {
			decision engine.DecideMail
			want     gathering.Kind
		}{
			{engine.DecideMail{Node: "x", As: "done"}, gathering.KindNotFound},
			{engine.DecideMail{Node: "m[2]", As: "done"}, gathering.KindNotFound},
			{engine.DecideMail{Node: "m", As: "done"}, gathering.KindConflict},
			{engine.DecideMail{Node: "m[0]", As: "perhaps"}, gathering.KindInvalid},
			{engine.DecideMail{Node: "m[0]", As: "fail", Output: json.RawMessage(`1`)}, gathering.KindInvalid},
			{engine.DecideMail{Node: "m[0]", As: "done", Output: json.RawMessage(`{`)}, gathering.KindInvalid},
		} {
			if _, err := h.Decide(t.Context(), id, refused.decision); gathering.KindOf(err) != refused.want {
				t.Errorf("%+v: got %v, want %s", refused.decision, err, refused.want)
			}
		}
		for _, d := range []engine.DecideMail{
			{Node: "m[0]", As: engine.DecideDone, Output: json.RawMessage(`"mine"`), By: "ann"},
			{Node: "m[1]", As: engine.DecideRetry, By: "ann"},
		} {
			if _, err := h.Decide(t.Context(), id, d); err != nil {
				t.Fatal(err)
			}
		}
		h.wantEnd(id, gathering.RunCompleted)
		h.wantOutput(id, "m", `["mine","m[1]"]`)
		if got, want := p.count("m[0]")+p.count("m[1]"), 3; got != want {
			t.Errorf("the items worked %d times, want %d", got, want)
		}
	})
}

func (h *house) wantRun(id gathering.RunID) gathering.Run {
	h.t.Helper()
	r, err := h.Run(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) wantOutput(id gathering.RunID, node, want string) {
	h.t.Helper()
	report, err := h.Report(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, n := range report.Nodes {
		if n.ID == node && string(n.Output) != want {
			h.t.Errorf("output of %s: got %s, want %s", node, n.Output, want)
		}
	}
}

func TestRedrive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p, g := newPipelines(), newGate()
		big := engine.Node{ID: "big", Do: engine.Work{Idempotent: true, Run: func(context.Context, engine.Job) (engine.Outcome, error) {
			p.called("big")
			return engine.Outcome{Output: randomText(100_000)}, nil
		}}}
		p.add(t, "line", []engine.Node{trigger(), big, g.work("a"), p.work("b")}, "t→big", "big→a", "a→b")
		h := openHouse(t, db, p).work()
		id := h.start("line")
		g.open <- gathering.NewError(gathering.KindInvalid, "no")
		h.wantEnd(id, gathering.RunFailed)
		if n := number(t, db, `SELECT count(*) FROM runs WHERE id = $1 AND dead_at IS NOT NULL`, string(id)); n != 1 {
			t.Error("a failed run is no dead letter")
		}
		next, err := h.Redrive(t.Context(), id, run.Again{})
		if err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, `SELECT count(*) FROM runs WHERE dead_at IS NOT NULL`); n != 0 {
			t.Error("a run that is redriven is still a dead letter")
		}
		<-g.begun
		<-g.begun
		if _, err := h.Redrive(t.Context(), id, run.Again{}); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("a second redrive: got %v, want a conflict", err)
		}
		if _, err := h.Redrive(t.Context(), next.ID, run.Again{}); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("redrive of a running run: got %v, want a conflict", err)
		}
		g.open <- nil
		h.wantEnd(next.ID, gathering.RunCompleted)
		_, err = h.Redrive(t.Context(), id, run.Again{})
		if gathering.KindOf(err) != gathering.KindConflict || !strings.Contains(err.Error(), "was redriven as run "+string(next.ID)) {
			t.Errorf("a redrive after another completed: got %v, want a conflict that names it", err)
		}
		h.wantHistory(next.ID, "run.queued t:completed big:completed run.started a:started a:completed b:started b:completed run.completed")
		if got, want := p.count("big"), 1; got != want {
			t.Errorf("what was done was done %d times, want %d", got, want)
		}
		if _, err := h.Redrive(t.Context(), next.ID, run.Again{}); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("redrive of a completed run: got %v, want a conflict", err)
		}
		report, err := h.Report(t.Context(), next.ID)
		if err != nil || report.Origin == nil || report.Origin.Run != id {
			t.Errorf("got origin %+v, %v", report.Origin, err)
		}
	})
}

func TestFork(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a"), p.work("b"), p.work("c")}, "t→a", "a→b", "b→c")
		h := openHouse(t, db, p).work()
		id := h.start("line")
		h.wantEnd(id, gathering.RunCompleted)
		next, err := h.Fork(t.Context(), id, run.Again{From: []string{"b"}, Input: json.RawMessage(`{"n": 2}`)})
		if err != nil {
			t.Fatal(err)
		}
		h.wantEnd(next.ID, gathering.RunCompleted)
		h.wantOutput(next.ID, "t", `{"n":2}`)
		if a, b, c := p.count("a"), p.count("b"), p.count("c"); a != 1 || b != 2 || c != 2 {
			t.Errorf("the nodes worked %d, %d and %d times, want 1, 2 and 2", a, b, c)
		}
		for _, from := range [][]string{nil, {"nobody"}} {
			if _, err := h.Fork(t.Context(), id, run.Again{From: from}); gathering.KindOf(err) != gathering.KindInvalid {
				t.Errorf("fork from %v: got %v", from, err)
			}
		}
		if _, err := h.Fork(t.Context(), "run_00000000000000000000000000", run.Again{From: []string{"a"}}); gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("fork of nothing: %v", err)
		}
	})
}

// A run of many events is folded from a snapshot, and long values are in it.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p, g := newPipelines(), newGate()
		const items = 1200
		p.add(t, "long", []engine.Node{
			trigger(), does("big", func(context.Context, engine.Job) (engine.Outcome, error) {
				return engine.Outcome{Output: randomText(100_000)}, nil
			}),
			{ID: "m", Do: engine.Map{
				MaxParallel: 64,
				Over: func(*expr.Scope) ([]json.RawMessage, error) {
					list := make([]json.RawMessage, items)
					for i := range list {
						list[i] = json.RawMessage(strconv.Itoa(i))
					}
					return list, nil
				},
				Do: does("m", func(_ context.Context, j engine.Job) (engine.Outcome, error) {
					p.called(j.Node)
					return engine.Outcome{Output: json.RawMessage(`"` + j.Node + `"`)}, nil
				}),
			}},
			g.work("a"),
		}, "t→big", "big→m", "m→a")
		h := openHouse(t, db, p).work()
		id := h.start("long")
		<-g.begun
		want, err := h.Report(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, `SELECT coalesce(max(seq), 0) FROM snapshots WHERE run_id = $1`, string(id)); n < 2000 {
			t.Errorf("the last snapshot is at %d, of %d items", n, items)
		}
		// What the snapshot covers is not read again.
		change(t, db, `UPDATE run_log SET rows = $2 WHERE run_id = $1 AND seq < 1000`, string(id), []byte{9})
		h.worker.Stop()
		later := openHouse(t, db, p).work()
		<-g.begun
		g.open <- nil
		later.wantEnd(id, gathering.RunCompleted)
		got, err := later.Report(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if string(got.Nodes[i].Output) != string(want.Nodes[i].Output) || got.Nodes[i].State != want.Nodes[i].State {
				t.Errorf("node %s differs after the fold from a snapshot", got.Nodes[i].ID)
			}
		}
		for i := range items {
			if n := p.count(gathering.NodePath("m", i)); n != 1 {
				t.Errorf("item %d was done %d times", i, n)
			}
		}
	})
}

func TestWhy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p, g := newPipelines(), newGate()
		p.add(t, "waits", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		p.add(t, "works", []engine.Node{trigger(), g.work("a")}, "t→a")
		h := openHouse(t, db, p)
		id := h.start("waits")
		h.wantWhy(id, "queued: no worker is running")
		h.work()
		h.until(id, gathering.EventRunWaiting, "")
		h.wantWhy(id, "waiting: z: waits until ")
		busy := h.start("works")
		<-g.begun
		h.wantWhy(busy, "running: a: attempt 1 is under way")
		g.open <- gathering.NewError(gathering.KindInvalid, "no")
		h.wantEnd(busy, gathering.RunFailed)
		h.wantWhy(busy, "failed: node a: no")
	})
}

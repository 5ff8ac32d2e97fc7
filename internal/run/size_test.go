package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// An output of many megabytes that nothing compresses goes from a child to its
// parent as mail.
func TestLongOutputOfAChild(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		output := randomText(6 << 20)
		p.add(t, "inner", []engine.Node{trigger(), p.work("in")}, "t→in")
		p.graphs["inner"].Output = func(*expr.Scope) (json.RawMessage, error) { return output, nil }
		p.add(t, "outer", []engine.Node{trigger(), child("c", "inner")}, "t→c")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		id := h.start("outer")
		h.wantEnd(id, gathering.RunCompleted)
		report, err := h.Report(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := report.Nodes[1].Output; string(got) != string(output) {
			t.Errorf("the parent has %d bytes %.20s…, want %d bytes %.20s…", len(got), got, len(output), output)
		}
		if got := p.count("in"); got != 1 {
			t.Errorf("the child worked %d times, want once", got)
		}
	})
}

// One turn decides hundreds of nodes, each short enough for the row.
func TestWideTurn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		nodes, edges, outputs := []engine.Node{trigger()}, []string(nil), map[string]string{"t": ""}
		for i := range 300 {
			id, output := fmt.Sprintf("n%d", i), randomText(20<<10)
			outputs[id] = string(output)
			nodes = append(nodes, engine.Node{ID: id, Do: engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) {
				return engine.Outcome{Output: output}, nil
			})})
			edges = append(edges, "t→"+id)
		}
		p.add(t, "wide", nodes, edges...)
		p.add(t, "outer", []engine.Node{trigger(), child("c", "wide")}, "t→c")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		wide, outer := h.start("wide"), h.start("outer")
		h.wantEnd(outer, gathering.RunCompleted)
		h.wantEnd(wide, gathering.RunCompleted)
		report, err := h.Report(t.Context(), wide)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range report.Nodes {
			if string(n.Output) != outputs[n.ID] {
				t.Errorf("%s: got %.20s…, want %.20s…", n.ID, n.Output, outputs[n.ID])
			}
		}
	})
}

func TestTurnThatStartsManyChildren(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "inner", []engine.Node{trigger(), does("in", func(context.Context, engine.Job) (engine.Outcome, error) {
			p.called("in")
			return engine.Outcome{}, nil
		})}, "t→in")
		nodes, edges := []engine.Node{trigger()}, []string(nil)
		for i := range 100 {
			input := randomText(30 << 10)
			nodes = append(nodes, engine.Node{
				ID: fmt.Sprintf("c%d", i),
				Do: engine.Child(func(*expr.Scope, json.RawMessage) (engine.ChildSpec, error) {
					return engine.ChildSpec{Pipeline: "inner", Input: input, Wait: true}, nil
				}),
			})
			edges = append(edges, fmt.Sprintf("t→c%d", i))
		}
		p.add(t, "outer", nodes, edges...)
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		h.wantEnd(h.start("outer"), gathering.RunCompleted)
		if got, want := p.count("in"), 100; got != want {
			t.Errorf("%d children worked, want %d", got, want)
		}
	})
}

// A turn that cannot be written ends its run by name, and at once. Results that
// come together are written in several turns.
func TestTurnsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	p := newPipelines()
	text := randomText(1 << 20)
	output := func(i int) engine.Outcome { return engine.Outcome{Output: fmt.Appendf(nil, "[%d,%s]", i, text)} }
	var together sync.WaitGroup
	together.Add(10)
	works, pures := []engine.Node{trigger()}, []engine.Node{trigger(), p.work("a")}
	var begin, after []string
	for i := range 10 {
		id := fmt.Sprintf("n%d", i)
		works = append(works, does(id, func(context.Context, engine.Job) (engine.Outcome, error) {
			together.Done()
			together.Wait()
			return output(i), nil
		}))
		begin = append(begin, "t→"+id)
		pures = append(pures, engine.Node{ID: id, Do: engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) {
			return output(i), nil
		})})
		after = append(after, "a→"+id)
	}
	p.add(t, "results", works, begin...)
	p.add(t, "turn", pures, append(after, "t→a")...)
	h := openHouseWith(t, run.Options{DB: storetest.Open(t, storetest.SQLite(t)), Pipelines: p, MaxTurn: 8 << 20})
	h.workWith(run.WorkerOptions{CrashPause: time.Hour})
	h.wantEnd(h.start("results"), gathering.RunCompleted)
	id := h.start("turn")
	h.wantEnd(id, gathering.RunFailed)
	report, err := h.Report(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if report.Error == nil || report.Error.Code != gathering.CodeTurnTooLarge {
		t.Errorf("got %+v, want that the turn is too large", report.Error)
	}
}

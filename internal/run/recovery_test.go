package run_test

import (
	"context"
	"encoding/json"
	"strings"
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

// panics are pipelines that none can move past the node a: what follows it
// panics when it is decided.
func panics(t *testing.T, p *pipelines) []string {
	t.Helper()
	followers := map[string]engine.Node{
		"input": {
			Input: func(*expr.Scope) (json.RawMessage, error) { panic("of an input") },
			Do:    engine.Work{Run: func(context.Context, engine.Job) (engine.Outcome, error) { return engine.Outcome{}, nil }},
		},
		"pure":  {Do: engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) { panic("of a decision") })},
		"sleep": {Do: engine.Sleep(func(*expr.Scope, time.Time) (time.Time, error) { panic("of a delay") })},
		"child": {Do: engine.Child(func(*expr.Scope, json.RawMessage) (engine.ChildSpec, error) { panic("of a child") })},
	}
	names := []string{"output"}
	p.add(t, "output", []engine.Node{trigger(), p.work("x output"), p.work("a output")}, "t→x output", "x output→a output")
	p.graphs["output"].Output = func(*expr.Scope) (json.RawMessage, error) { panic("of an output") }
	for name, follower := range followers {
		names = append(names, name)
		follower.ID = "b"
		x, a := "x "+name, "a "+name
		p.add(t, name, []engine.Node{trigger(), p.work(x), p.work(a), follower}, "t→"+x, x+"→"+a, a+"→b")
	}
	return names
}

// What ended before is folded each time the run is claimed, and must not pass
// for progress.
func TestRunThatCannotBeMovedIsGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		names := panics(t, p)
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		ids := map[string]gathering.RunID{}
		for _, name := range names {
			ids[name] = h.start(name)
		}
		for name, id := range ids {
			h.wantGivenUp(id)
			if got, want := [2]int{p.count("x " + name), p.count("a " + name)}, [2]int{1, 4}; got != want {
				t.Errorf("%s: the nodes before the panic worked %v times, want %v", name, got, want)
			}
			if got, want := h.history(id), "run.queued run.started t:completed x "+name+":started x "+name+":completed a "+name+":started "+
				"run.resumed run.resumed run.resumed run.failed"; got != want {
				t.Errorf("%s: history\n got %s\nwant %s", name, got, want)
			}
		}
	})
}

func TestRunWhosePipelineIsGoneIsGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
		id := openHouse(t, db, p).start("line")
		h := openHouse(t, db, newPipelines()).work()
		h.wantGivenUp(id)
		h.wantHistory(id, "run.queued run.failed")
	})
}

func TestPanicInTheFirstTurnRefusesTheRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "broken", []engine.Node{trigger(), {
			ID: "b", Do: engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) { panic("at once") }),
		}}, "t→b")
		p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
		h := openHouse(t, db, p)
		queued := h.start("broken") // with nobody to work on it yet
		h.workWith(run.WorkerOptions{Slots: 1})
		h.wantGivenUp(queued)
		_, err := h.Start(t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "broken", Version: 1})
		if got, want := gathering.KindOf(err), gathering.KindInternal; got != want {
			t.Errorf("got %v, want an error of kind %s", err, want)
		}
		h.wantEnd(h.start("line"), gathering.RunCompleted) // the one slot is free again
	})
}

func TestParentOfARunThatIsGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		panics(t, p)
		c := child("c", "pure")
		p.add(t, "fails", []engine.Node{trigger(), c, p.work("after")}, "t→c", "c→after")
		c.OnError, c.Fallback = gathering.OnErrorContinue, json.RawMessage(`"instead"`)
		p.add(t, "continues", []engine.Node{trigger(), c, p.work("after")}, "t→c", "c→after")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		for pipeline, want := range map[string]gathering.RunState{"fails": gathering.RunFailed, "continues": gathering.RunCompleted} {
			id := h.start(pipeline)
			h.until(id, gathering.EventNodeUnknown, "c") // nobody can fold what it did
			h.wantWhy(id, "c: it may have acted and nobody can tell")
			if _, err := h.Decide(t.Context(), id, engine.DecideMail{Node: "c", As: engine.DecideFail}); err != nil {
				t.Fatal(err)
			}
			h.wantEnd(id, want)
			report, err := h.Report(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if c := report.Nodes[1]; c.State != gathering.NodeFailed || c.Error == nil || !strings.Contains(c.Error.Message, "given up") {
				t.Errorf("%s: got the node %+v, want it failed as its child did", pipeline, c)
			}
		}
		if got := p.count("after"); got != 1 {
			t.Errorf("what follows the child worked %d times, want once: in the run that continues", got)
		}
	})
}

// A run is not lost for mail that nobody can read.
func TestMailThatMakesNoSenseIsPassedOver(t *testing.T) {
	t.Parallel()
	letters := map[string]struct {
		kind engine.MailKind
		data []byte
	}{
		"box_text":     {engine.MailCancel, codec.Encode([]byte(`{`))},
		"box_type":     {engine.MailChildEnded, codec.Encode([]byte(`[]`))},
		"box_node":     {engine.MailChildEnded, codec.Encode([]byte(`{"run":"run_x","node":"nowhere","state":"completed"}`))},
		"box_decision": {engine.MailDecide, codec.Encode([]byte(`{"node":"nowhere","as":"done"}`))},
		"box_codec":    {engine.MailCancel, []byte{0xee, 1}},
		"box_kind":     {"song", codec.Encode([]byte(`{}`))},
	}
	deliver := func(t *testing.T, db *store.DB, to gathering.RunID) {
		t.Helper()
		for id, letter := range letters {
			change(t, db, `INSERT INTO run_inbox (run_id, id, kind, at, data) VALUES ($1, $2, $3, $4, $5)`,
				string(to), id, string(letter.kind), int64(1), letter.data)
		}
		change(t, db, `UPDATE runs SET inbox = inbox + 1 WHERE id = $1`, string(to))
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		letGo := make(chan struct{})
		p.add(t, "line", []engine.Node{trigger(), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			p.called("a")
			select {
			case <-letGo:
				return engine.Outcome{}, nil
			case <-ctx.Done():
				return engine.Outcome{}, ctx.Err()
			}
		})}, "t→a")
		h := openHouse(t, db, p)
		queued := h.start("line")
		deliver(t, db, queued)
		h.workWith(run.WorkerOptions{Beat: 200 * time.Millisecond})
		underWay := h.start("line")
		deliver(t, db, underWay)
		await(t, "the mail to be consumed", func() bool { return number(t, db, `SELECT count(*) FROM run_inbox`) == 0 })
		await(t, "both runs to work", func() bool { return p.count("a") == 2 })
		close(letGo)
		for _, id := range []gathering.RunID{queued, underWay} {
			h.wantEnd(id, gathering.RunCompleted)
			h.wantHistory(id, "run.queued run.started t:completed a:started a:completed run.completed")
		}
	})
}

// TestFullDisk has a disk with room for what is short alone, so that a long
// output cannot be kept.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		roomFrom int // at which call of the work there is room again
		calls    int
		want     gathering.RunState
	}{
		{"room is made", 3, 3, gathering.RunCompleted},
		{"room is never made", 1000, 4, gathering.RunFailed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, storetest.SQLite(t))
			limit := func(pages string) {
				err := db.Tx(t.Context(), func(tx *store.Tx) error {
					var now int64
					return tx.QueryRow(t.Context(), `PRAGMA max_page_count = `+pages).Scan(&now)
				})
				if err != nil {
					t.Error(err)
				}
			}
			p := newPipelines()
			output := randomText(2 << 20)
			p.add(t, "line", []engine.Node{trigger(), does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
				p.called("a")
				if p.count("a") == test.roomFrom {
					limit("1000000")
				}
				return engine.Outcome{Output: output}, nil
			})}, "t→a")
			h := openHouseWith(t, run.Options{DB: db, Pipelines: p, Patience: 100 * time.Millisecond})
			limit("200")
			h.workWith(run.WorkerOptions{})
			id := h.start("line")
			h.wantEnd(id, test.want)
			if got, want := p.count("a"), test.calls; got != want {
				t.Errorf("the work was done %d times, want %d", got, want)
			}
		})
	}
}

// TestNothingCanBeWritten refuses every commit for longer than anybody waits:
// neither the work's result can be kept nor the run let go of.
func TestNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		var full atomic.Bool
		var refused atomic.Int32
		db := open(store.Options{Commit: func(_ context.Context, commit func() error) error {
			if full.Load() {
				refused.Add(1)
				return gathering.NewError(gathering.KindUnavailable, "the disk is full")
			}
			return commit()
		}})
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
			if p.called("a"); p.count("a") == 1 {
				full.Store(true)
			}
			return engine.Outcome{}, nil
		})}, "t→a")
		h := openHouseWith(t, run.Options{DB: db, Pipelines: p, Patience: 100 * time.Millisecond}).work()
		id := h.start("line")
		await(t, "the worker to give up several times", func() bool { return refused.Load() > 20 })
		full.Store(false)
		h.wantEnd(id, gathering.RunCompleted)
		if got, want := p.count("a"), 2; got > want {
			t.Errorf("the work was done %d times, want at most %d", got, want)
		}
	})
}

// A run that takes its hosts down is not claimed for ever.
func TestRunThatTakesItsHostsDownIsGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
		h := openHouse(t, db, p)
		id := h.start("line")
		h.workWith(run.WorkerOptions{Only: "run_other", Beat: 50 * time.Millisecond}) // finds the dead and claims nothing
		for i := range 4 {
			host := "ins_dead_" + string(rune('a'+i))
			change(t, db, `INSERT INTO instances (id, started_at, counter, host, pid, version, max_engine) VALUES ($1, 0, 0, '', 0, '', 1)`, host)
			change(t, db, `UPDATE runs SET owner = $2, epoch = epoch + 1, ready_at = NULL, state = 'running' WHERE id = $1`, string(id), host)
			await(t, "the run to be put back", func() bool {
				return number(t, db, `SELECT count(*) FROM runs WHERE owner IS NULL AND crashes = $1`, i+1) == 1
			})
		}
		h.worker.Stop()
		h.work()
		h.wantGivenUp(id)
		if got := p.count("a"); got != 0 {
			t.Errorf("the run's node worked %d times, want never", got)
		}
	})
}

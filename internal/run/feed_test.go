package run_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// announced is the last event of each stream that the feed tells of. Each
// entry must go on where the one before it ended.
func announced(t *testing.T, db *store.DB) map[string]int64 {
	t.Helper()
	last := map[string]int64{}
	for after := int64(0); ; {
		feed, err := event.Feed(t.Context(), db.Read(), after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(feed) == 0 {
			return last
		}
		for _, a := range feed {
			after = a.Pos
			for _, e := range a.Entries {
				if got, want := e.First, last[e.Stream]+1; got != want {
					t.Errorf("the feed goes on with %s at %d, want %d", e.Stream, got, want)
				}
				last[e.Stream] = e.Last
			}
		}
	}
}

// tables counts everything that a commit of a run writes.
func tables(t *testing.T, db *store.DB) map[string]int64 {
	t.Helper()
	return map[string]int64{
		"runs":      number(t, db, `SELECT count(*) FROM runs`),
		"run_log":   number(t, db, `SELECT count(*) FROM run_log`),
		"run_inbox": number(t, db, `SELECT count(*) FROM run_inbox`),
		"blobs":     number(t, db, `SELECT count(*) FROM blobs`),
		"feed":      number(t, db, `SELECT count(*) FROM feed`),
	}
}

// TestRefusedCommitLeavesNoTrace takes a run from its owner, which then has a
// long result to record and a child to start.
func TestRefusedCommitLeavesNoTrace(t *testing.T) {
	t.Parallel()
	taken := map[string]string{
		"put back":           `UPDATE runs SET owner = NULL, state = 'recovering', crashes = crashes + 1, ready_at = $2 WHERE id = $1`,
		"claimed and let go": `UPDATE runs SET owner = NULL, state = 'recovering', epoch = epoch + 1, ready_at = $2 WHERE id = $1`,
	}
	for name, take := range taken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				p := newPipelines()
				begun, goOn := make(chan struct{}), make(chan struct{})
				p.add(t, "inner", []engine.Node{trigger(), p.work("in")}, "t→in")
				p.add(t, "outer", []engine.Node{trigger(), does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
					close(begun)
					<-goOn
					return engine.Outcome{Output: randomText(100 << 10)}, nil
				}), child("c", "inner")}, "t→a", "a→c")
				h := openHouse(t, db, p).workWith(run.WorkerOptions{})
				id := h.start("outer")
				<-begun
				change(t, db, take, string(id), time.Now().Add(time.Hour).UnixMicro())
				before := tables(t, db)
				close(goOn)
				h.worker.Stop() // it records what it has, if it may
				if diff := cmp.Diff(before, tables(t, db)); diff != "" {
					t.Errorf("rows (-before the refused commit +after):\n%s", diff)
				}
				h.wantHistory(id, "run.queued run.started t:completed a:started")
				if got, want := announced(t, db)[string(id)], int64(4); got != want {
					t.Errorf("the feed tells of %d events, want %d", got, want)
				}
			})
		})
	}
}

func TestWatchOfWhatHasEnded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "pure", []engine.Node{trigger()})
		h := openHouse(t, db, p).work()
		id := h.start("pure")
		h.wantEnd(id, gathering.RunCompleted)
		events, err := h.Events(t.Context(), id, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for e, err := range h.Watch(ctx, id, events[len(events)-1].Seq) {
			t.Errorf("after the last event: got %s, %v, want nothing", e.Type, err)
		}
		var got error
		for _, got = range h.Watch(ctx, "run_none", 0) {
		}
		if got, want := gathering.KindOf(got), gathering.KindNotFound; got != want {
			t.Errorf("of no run: got %q, want %q", got, want)
		}
	})
}

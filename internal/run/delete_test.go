package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// kept is how many rows there are of runs.
func kept(t *testing.T, db *store.DB) int64 {
	t.Helper()
	return number(t, db, `SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM run_log) + (SELECT count(*) FROM blobs)
		+ (SELECT count(*) FROM snapshots) + (SELECT count(*) FROM run_inbox)`)
}

// big is a pipeline whose run leaves something everywhere: children, some of
// which it does not wait for, long values, a long log.
func big(t *testing.T) *pipelines {
	t.Helper()
	p := newPipelines()
	output := randomText(1 << 20)
	long := does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
		for i := range 12 {
			step := gathering.Step{Key: fmt.Sprint(i), Kind: gathering.StepTool, Result: randomText(33 << 10)}
			if err := j.Record(ctx, step); err != nil {
				return engine.Outcome{}, err
			}
		}
		return engine.Outcome{Output: output}, nil
	})
	forget := engine.Node{ID: "f", Do: engine.Child(func(*expr.Scope, json.RawMessage) (engine.ChildSpec, error) {
		return engine.ChildSpec{Pipeline: "inner"}, nil
	})}
	p.add(t, "inner", []engine.Node{trigger(), long}, "t→a")
	p.add(t, "middle", []engine.Node{trigger(), child("c", "inner"), forget}, "t→c", "t→f")
	p.add(t, "outer", []engine.Node{trigger(), child("c", "middle"), child("d", "inner"), forget}, "t→c", "t→d", "t→f")
	return p
}

func (h *house) allEnded(db *store.DB) {
	h.t.Helper()
	await(h.t, "all runs to end", func() bool { return number(h.t, db, `SELECT count(*) FROM runs WHERE finished_at IS NULL`) == 0 })
}

// Nothing is left of a run that was deleted nor of those it led to, and the
// others are as they were.
func TestDelete(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := openHouse(t, db, big(t)).workWith(run.WorkerOptions{})
		other := h.start("inner")
		h.allEnded(db)
		before := kept(t, db)
		id := h.start("outer")
		h.allEnded(db)
		change(t, db, `INSERT INTO snapshots (run_id, seq, at, version, data) VALUES ($1, 1, 1, 1, $2)`, string(id), []byte{0})
		if err := h.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, db); got != before {
			t.Errorf("%d rows are kept, want the %d of the other run", got, before)
		}
		if _, err := h.Report(t.Context(), other); err != nil {
			t.Errorf("the other run: %v", err)
		}
		if err := h.Delete(t.Context(), id); gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("got %v, want it not found", err)
		}
		if err := h.Delete(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, db); got != 0 {
			t.Errorf("%d rows are kept of nothing", got)
		}
	})
}

// The file of the database is as small as before.
func TestDeleteGivesRoomBack(t *testing.T) {
	t.Parallel()
	options := storetest.SQLite(t)
	db := storetest.Open(t, options)
	h := openHouse(t, db, big(t)).workWith(run.WorkerOptions{})
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(filepath.Join(options.Dir, "gathering.db"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if err := db.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	empty := size()
	var ids []gathering.RunID
	for range 5 {
		ids = append(ids, h.start("outer"))
	}
	h.allEnded(db)
	if err := db.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	full := size()
	for _, id := range ids {
		if err := h.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if full < empty+10<<20 {
		t.Fatalf("the file had %d bytes, then %d: too little to tell", empty, full)
	}
	await(t, "the file to be as small as before, when no reader of the worker is in the way", func() bool {
		if err := db.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
		return size() <= empty+1<<20
	})
}

func TestDeleteIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "inner", []engine.Node{trigger(), p.work("a")}, "t→a")
		p.add(t, "long", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		p.add(t, "outer", []engine.Node{trigger(), child("c", "inner")}, "t→c")
		p.add(t, "leaves", []engine.Node{trigger(), {ID: "f", Do: engine.Child(func(*expr.Scope, json.RawMessage) (engine.ChildSpec, error) {
			return engine.ChildSpec{Pipeline: "long"}, nil
		})}}, "t→f")
		h := openHouse(t, db, p).work()
		long, outer, leaves := h.start("long"), h.start("outer"), h.start("leaves")
		h.wantEnd(outer, gathering.RunCompleted)
		h.wantEnd(leaves, gathering.RunCompleted)
		await(t, "the long runs to be parked", func() bool { return number(t, db, `SELECT count(*) FROM runs WHERE state = 'waiting'`) == 2 })
		children, err := h.Runs(t.Context(), gathering.RunFilter{Parent: outer})
		if err != nil || len(children) != 1 {
			t.Fatalf("got %d children (%v), want one", len(children), err)
		}
		before := kept(t, db)
		for what, id := range map[string]gathering.RunID{"not ended": long, "a child": children[0].ID, "led to one that has not ended": leaves} {
			if err := h.Delete(t.Context(), id); gathering.KindOf(err) != gathering.KindConflict {
				t.Errorf("%s: got %v, want a conflict", what, err)
			}
		}
		if err := h.Delete(t.Context(), gathering.NewRunID(time.Now())); gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("got %v, want it not found", err)
		}
		if got := kept(t, db); got != before {
			t.Errorf("%d rows are kept, want %d", got, before)
		}
	})
}

// A Delete that fails at any of its commits is completed by the next.
func TestDeleteAtEveryCommit(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		s := &saboteur{forever: true, fault: func(func() error) error { return errAway }}
		db := open(store.Options{Commit: s.commit})
		for n := 1; ; n++ {
			s.aim(n)
			h := openHouse(t, db, big(t)).workWith(run.WorkerOptions{})
			id := h.start("outer")
			h.allEnded(db)
			h.worker.Stop()
			s.set(true)
			err := h.Delete(t.Context(), id)
			s.set(false)
			if err != nil {
				err = h.Delete(t.Context(), id)
			}
			if err != nil && gathering.KindOf(err) != gathering.KindNotFound {
				t.Fatalf("after a fault at commit %d: %v", n, err)
			}
			if got := kept(t, db); got != 0 {
				t.Fatalf("after a fault at commit %d: %d rows are kept", n, got)
			}
			if !s.struck() {
				t.Logf("a Delete takes %d commits", n-1)
				return
			}
		}
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		fails := does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
			return engine.Outcome{}, gathering.NewError(gathering.KindInvalid, "it cannot be")
		})
		p.add(t, "fails", []engine.Node{trigger(), fails}, "t→a")
		p.add(t, "outer", []engine.Node{trigger(), child("c", "fails")}, "t→c")
		p.add(t, "late", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		p.graphs["late"].Timeout = time.Millisecond
		p.add(t, "line", []engine.Node{trigger()})
		h := openHouse(t, db, p).work()
		dead := []gathering.RunID{h.start("fails"), h.start("outer"), h.start("late")}
		alive := h.start("line")
		h.allEnded(db)
		letters := func(f gathering.RunFilter) (ids []gathering.RunID) {
			t.Helper()
			f.Dead = true
			runs, err := h.Runs(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				ids = append(ids, r.ID)
			}
			return ids
		}
		want := func(what string, got []gathering.RunID, want ...gathering.RunID) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, want %v", what, got, want)
			}
		}
		want("all", letters(gathering.RunFilter{}), dead[2], dead[1], dead[0])
		want("a page", letters(gathering.RunFilter{Limit: 1, Before: dead[2]}), dead[1])
		want("of a state", letters(gathering.RunFilter{States: []gathering.RunState{gathering.RunTimedOut}}), dead[2])
		want("elsewhere", letters(gathering.RunFilter{Projects: []gathering.ProjectID{"elsewhere"}}))
		if _, err := h.Dismiss(t.Context(), dead[1], "me"); err != nil {
			t.Fatal(err)
		}
		want("one dismissed", letters(gathering.RunFilter{}), dead[2], dead[0])
		for _, id := range []gathering.RunID{dead[1], alive} {
			if _, err := h.Dismiss(t.Context(), id, "me"); gathering.KindOf(err) != gathering.KindConflict {
				t.Errorf("got %v, want a conflict", err)
			}
		}
		if _, err := h.Dismiss(t.Context(), gathering.NewRunID(time.Now()), "me"); gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("got %v, want it not found", err)
		}
		if err := h.Delete(t.Context(), dead[0]); err != nil {
			t.Fatal(err)
		}
		want("one deleted", letters(gathering.RunFilter{}), dead[2])
	})
}

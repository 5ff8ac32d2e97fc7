package run_test

import (
	"context"
	"strings"
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

func TestRunKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "long", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		h := openHouse(t, db, p).work()
		start := func(on run.OnKey, key string) (gathering.Run, error) {
			return h.Start(t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "long", Version: 1, Key: key, OnKey: on})
		}
		first, err := start("", "k")
		if err != nil {
			t.Fatal(err)
		}
		for _, on := range []run.OnKey{"", run.KeyReject} {
			if _, err := start(on, "k"); gathering.KindOf(err) != gathering.KindConflict || !strings.Contains(err.Error(), string(first.ID)) {
				t.Errorf("got %v, want a conflict that names %s", err, first.ID)
			}
		}
		if r, err := start(run.KeyExisting, "k"); err != nil || r.ID != first.ID {
			t.Errorf("got %s (%v), want %s", r.ID, err, first.ID)
		}
		if _, err := start("", "other"); err != nil {
			t.Errorf("got %v: another key is free", err)
		}
		if _, err := h.Start(t.Context(), run.New{Project: "elsewhere", Pipeline: "long", Version: 1, Key: "k"}); err != nil {
			t.Errorf("got %v: another project's keys are its own", err)
		}
		next, err := start(run.KeyCancel, "k")
		if err != nil {
			t.Fatal(err)
		}
		h.wantState(first.ID, gathering.RunCancelled)
		if r, err := start(run.KeyExisting, "k"); err != nil || r.ID != next.ID {
			t.Errorf("got %s (%v), want %s", r.ID, err, next.ID)
		}
		if _, err := h.Cancel(t.Context(), next.ID, ""); err != nil {
			t.Fatal(err)
		}
		h.wantEnd(next.ID, gathering.RunCancelled)
		if _, err := start("", "k"); err != nil {
			t.Errorf("got %v: the key is free after the end", err)
		}
		_, err = start("", strings.Repeat("k", 201))
		wantField(t, err, "key")
		_, err = start("", "redrive:x")
		wantField(t, err, "key")
		_, err = start("sometimes", "k")
		wantField(t, err, "on_key")
	})
}

// The wait for the other to stop ends with the caller's patience.
func TestRunKeyOfARunThatDoesNotStop(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "long", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		h := openHouse(t, db, p) // nobody works
		n := run.New{Project: gathering.DefaultProject, Pipeline: "long", Version: 1, Key: "k", OnKey: run.KeyCancel}
		first, err := h.Start(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := h.Start(ctx, n); gathering.KindOf(err) != gathering.KindConflict && gathering.KindOf(err) != gathering.KindTimeout {
			t.Errorf("got %v", err)
		}
		if n := number(t, db, `SELECT count(*) FROM runs WHERE id <> $1`, string(first.ID)); n != 0 {
			t.Errorf("%d runs more are there", n)
		}
	})
}

// A request that is repeated while it is under way starts its run under the
// same ID: the run that has the key is the one that is wanted, and goes on.
func TestRunKeyOfTheSameRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "long", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		h := openHouse(t, db, p).work()
		for _, on := range []run.OnKey{run.KeyReject, run.KeyExisting, run.KeyCancel} {
			n := run.New{
				ID: gathering.NewRunID(time.Now()), Project: gathering.DefaultProject, Pipeline: "long", Version: 1, Key: string(on), OnKey: on,
			}
			for range 2 {
				if r, err := h.Start(t.Context(), n); err != nil || r.ID != n.ID || r.State.Terminal() || r.State == gathering.RunCancelling {
					t.Errorf("%s: got %+v, %v, want run %s under way", on, r, err, n.ID)
				}
			}
		}
	})
}

// Many start a run of one key at once: exactly one does, and it is the one that
// all are told of.
func TestStartsOfOneKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "long", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		h := openHouse(t, db, p).work()
		for _, on := range []run.OnKey{run.KeyReject, run.KeyExisting} {
			var started, refused atomic.Int32
			var starts sync.WaitGroup
			ids := make([]gathering.RunID, 16)
			for i := range ids {
				starts.Go(func() {
					r, err := h.Start(t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "long", Version: 1, Key: string(on), OnKey: on})
					switch gathering.KindOf(err) {
					case "":
						started.Add(1)
						ids[i] = r.ID
					case gathering.KindConflict:
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			starts.Wait()
			want := int32(1)
			if on == run.KeyExisting {
				want = 16
			}
			if started.Load() != want || refused.Load() != 16-want {
				t.Errorf("%s: %d started and %d were refused, want %d", on, started.Load(), refused.Load(), want)
			}
			if n := number(t, db, `SELECT count(*) FROM runs WHERE run_key = $1`, string(on)); n != 1 {
				t.Errorf("%s: there are %d runs, want one", on, n)
			}
		}
	})
}

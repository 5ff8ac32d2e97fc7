package run_test

import (
	"testing"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// Several instances that claim at the same moment share the runs out: none
// takes what another has just taken.
func TestRunsAreClaimedOnce(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	db := storetest.Open(t, where)
	p := newPipelines()
	p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
	h := openHouse(t, db, p)
	var ids []gathering.RunID
	for range 300 {
		ids = append(ids, h.start("line"))
	}
	for range 4 {
		openHouse(t, storetest.Open(t, store.Options{URL: where.URL}), p).workWith(run.WorkerOptions{Slots: 8})
	}
	for _, id := range ids {
		if r := h.wantEnd(id, gathering.RunCompleted); r.Epoch != 1 {
			t.Errorf("%s was claimed %d times: %s", id, r.Epoch, h.history(id))
		}
	}
	if got, want := p.count("a"), len(ids); got != want {
		t.Errorf("%d runs worked %d times", want, got)
	}
}

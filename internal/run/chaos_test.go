package run_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gathering"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// crowd starts runs on several houses until told to stop, and returns those
// that were accepted.
func crowd(t *testing.T, houses ...*house) (stop func() []gathering.RunID) {
	t.Helper()
	over := make(chan struct{})
	var (
		starts sync.WaitGroup
		mu     sync.Mutex
		ids    []gathering.RunID
	)
	for _, h := range houses {
		starts.Go(func() {
			tick := time.NewTicker(15 * time.Millisecond)
			defer tick.Stop()
			for {
				r, err := h.Start(t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "outer", Version: 1})
				if err == nil {
					mu.Lock()
					ids = append(ids, r.ID)
					mu.Unlock()
				}
				select {
				case <-tick.C:
				case <-over:
					return
				}
			}
		})
	}
	return func() []gathering.RunID {
		close(over)
		starts.Wait()
		return ids
	}
}

// wantAllWhole holds that each run, and whatever else was started, has done
// all of its work, that the feed tells of every event once and in order, and
// that nothing is left over.
func (h *house) wantAllWhole(db *store.DB, ids []gathering.RunID) {
	h.t.Helper()
	for _, id := range ids {
		h.wantEnd(id, gathering.RunCompleted)
		h.wantWhole(id)
		if h.t.Failed() {
			return
		}
	}
	await(h.t, "the runs whose start was not answered", func() bool {
		return number(h.t, db, `SELECT count(*) FROM runs WHERE finished_at IS NULL`) == 0
	})
	last := announced(h.t, db)
	for _, id := range ids {
		events, err := h.Events(h.t.Context(), id, 0, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		if got, want := last[string(id)], events[len(events)-1].Seq; got != want {
			h.t.Errorf("the feed tells of %d events of %s, want %d", got, id, want)
		}
	}
	if n := number(h.t, db, `SELECT count(*) FROM run_inbox`); n != 0 {
		h.t.Errorf("%d entries are left in the inboxes of ended runs", n)
	}
}

// TestConnectionsCutAgainAndAgain holds that an instance whose connections all
// break several times a second does all of its work, once.
func TestConnectionsCutAgainAndAgain(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	address, name := named(t, where.URL)
	admin := storetest.Open(t, where)
	p := everything(t)
	h := openHouse(t, storetest.Open(t, store.Options{URL: address}), p).workWith(run.WorkerOptions{Beat: time.Second})
	stop := crowd(t, h, h)
	for range 10 {
		<-time.After(100 * time.Millisecond) // so that the next cut meets connections again
		cut(t, admin, name)
	}
	ids := stop()
	h.wantAllWhole(admin, ids)
	started := int(number(t, admin, `SELECT count(*) FROM runs WHERE depth = 0`))
	for what, times := range p.endings() {
		if times != started {
			t.Errorf("%s was done %d times in %d runs", what, times, started)
		}
	}
}

// TestChaos has three instances whose connections are cut, which are taken for
// dead while they are not, and which are stopped and started.
func TestChaos(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	address, name := named(t, where.URL)
	admin := storetest.Open(t, where)
	p := everything(t)
	var houses []*house
	for range 3 {
		houses = append(houses, openHouse(t, storetest.Open(t, store.Options{URL: address}), p).workWith(run.WorkerOptions{Beat: 300 * time.Millisecond}))
	}
	stop := crowd(t, houses...)
	for n := range 12 {
		<-time.After(120 * time.Millisecond) // so that there is work to disturb again
		switch n % 3 {
		case 0:
			cut(t, admin, name)
		case 1:
			takeForDead(t, admin)
		default:
			h := houses[rand.IntN(len(houses))]
			h.worker.Stop()
			h.workWith(run.WorkerOptions{Beat: 300 * time.Millisecond})
		}
	}
	houses[0].wantAllWhole(admin, stop())
}

// takeForDead does to one of the instances what others do to the dead.
func takeForDead(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		var id string
		if err := tx.QueryRow(t.Context(), `SELECT id FROM instances ORDER BY random() LIMIT 1`).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `DELETE FROM instances WHERE id = $1`, id)
		if err == nil {
			_, err = tx.Exec(t.Context(), `UPDATE runs SET owner = NULL, state = 'recovering', crashes = crashes + 1, ready_at = $2 WHERE owner = $1`,
				id, time.Now().UnixMicro())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

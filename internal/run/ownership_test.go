package run_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// with is a database URL with a parameter set.
func with(t *testing.T, where, parameter, value string) string {
	t.Helper()
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(parameter, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// cut ends the connections of everybody named so.
func cut(t *testing.T, admin *store.DB, name string) {
	t.Helper()
	number(t, admin, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1`, name)
}

// named is a URL under which a test's connections can be told from all others.
func named(t *testing.T, where string) (address, name string) {
	t.Helper()
	name = strings.ToLower(string(gathering.NewInstanceID(time.Now())))
	return with(t, where, "application_name", name), name
}

// watched is work that is done once at a time by whoever has the run. The first
// attempt goes on until it is told to stop.
type watched struct {
	begun   chan struct{}
	stopped chan time.Time
	first   atomic.Bool
	working atomic.Bool
	overlap atomic.Int64 // how long the second attempt found the first at work
}

func newWatched() *watched {
	return &watched{begun: make(chan struct{}, 1), stopped: make(chan time.Time, 1)}
}

func (w *watched) work(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
	if w.first.CompareAndSwap(false, true) {
		w.working.Store(true)
		defer w.working.Store(false)
		w.begun <- struct{}{}
		<-ctx.Done()
		w.stopped <- time.Now()
		return engine.Outcome{}, ctx.Err()
	}
	from := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.working.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return engine.Outcome{}, ctx.Err()
		}
	}
	w.overlap.Store(int64(time.Since(from)))
	return engine.Outcome{}, nil
}

// TestHungConnectionEndsTheShift stops the backend of the connection on which an
// instance says that it is alive: it is not told, and must find out by itself
// before others take its runs.
func TestHungConnectionEndsTheShift(t *testing.T) {
	t.Parallel()
	if os.Getenv("TEST_DATABASE_URL") != "" {
		t.Skip("the server's processes are not this test's")
	}
	const beat = 200 * time.Millisecond
	where := storetest.PostgreSQL(t)
	address, name := named(t, where.URL)
	p, w := newPipelines(), newWatched()
	p.add(t, "long", []engine.Node{trigger(), does("a", w.work)}, "t→a")
	p.add(t, "short", []engine.Node{trigger(), p.work("b")}, "t→b")
	db := storetest.Open(t, where)
	h := openHouse(t, storetest.Open(t, store.Options{URL: address}), p).workWith(run.WorkerOptions{Beat: beat})
	other := openHouse(t, db, p).workWith(run.WorkerOptions{Beat: beat})
	pid := number(t, db, `SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid)
		WHERE l.locktype = 'advisory' AND a.application_name = $1`, name)
	id := h.start("long")
	<-w.begun
	former := h.wantState(id, gathering.RunRunning).Owner

	if err := syscall.Kill(int(pid), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(int(pid), syscall.SIGCONT) }()
	hung := time.Now()
	other.wantEnd(id, gathering.RunCompleted)
	const slack = time.Second // of a busy machine
	if took := (<-w.stopped).Sub(hung); took > 4*beat+slack {
		t.Errorf("the work was stopped %s after the connection hung, want within four beats of %s", took, beat)
	}
	if overlap := time.Duration(w.overlap.Load()); overlap > slack {
		t.Errorf("two worked at the same time for %s", overlap)
	}
	await(t, "the instance to come back as another", func() bool {
		return number(t, db, `SELECT count(*) FROM instances`) == 2 &&
			number(t, db, `SELECT count(*) FROM instances WHERE id = $1`, string(former)) == 0
	})
	r := h.wantEnd(h.start("short"), gathering.RunCompleted)
	if r.Epoch != 1 {
		t.Errorf("got epoch %d, want 1: the instance that came back takes new runs itself", r.Epoch)
	}
}

// TestOutageTakesNoRuns cuts the connections on which the instances say that they
// are alive, and refuses new ones for a beat. All were silent then, none is
// dead, and nobody may say so of the others before it could have heard them again.
func TestOutageTakesNoRuns(t *testing.T) {
	t.Parallel()
	const beat = 300 * time.Millisecond
	where := storetest.PostgreSQL(t) // of those who only look
	admin := storetest.Open(t, where)
	role := "role_" + strings.TrimPrefix(string(gathering.NewInstanceID(time.Now())), "ins_")
	change(t, admin, `CREATE ROLE `+role+` SUPERUSER LOGIN`)
	t.Cleanup(func() { // after the schema of those who work was dropped
		db, err := store.Open(context.Background(), where)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = db.Close() }()
		err = db.Tx(context.Background(), func(tx *store.Tx) error {
			_, err := tx.Exec(context.Background(), `DROP ROLE `+role)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(storetest.PostgreSQL(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	p := newPipelines()
	letGo := make(chan struct{})
	var brokenOff atomic.Int32
	p.add(t, "long", []engine.Node{trigger(), {ID: "a", Do: engine.Work{Run: func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
		p.called("a")
		select {
		case <-letGo:
		case <-ctx.Done():
			brokenOff.Add(1)
		}
		return engine.Outcome{}, ctx.Err()
	}}}}, "t→a")
	var (
		db     *store.DB
		houses []*house
		ids    []gathering.RunID
	)
	for range 3 {
		db = storetest.Open(t, store.Options{URL: u.String()})
		h := openHouse(t, db, p).workWith(run.WorkerOptions{Beat: beat})
		houses = append(houses, h)
		ids = append(ids, h.start("long"), h.start("long"))
		<-time.After(beat / 3) // so that the beats of the three fall apart
	}
	await(t, "all to work", func() bool { return p.count("a") == len(ids) })

	change(t, admin, `ALTER ROLE `+role+` NOLOGIN`)
	lost := number(t, admin, `SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
		WHERE l.locktype = 'advisory' AND a.usename = $1`, role)
	if lost != 3 {
		t.Fatalf("%d connections were cut, want 3", lost)
	}
	<-time.After(beat)
	change(t, admin, `ALTER ROLE `+role+` LOGIN`)
	counters := func() (n int64) {
		err := db.Read().QueryRow(t.Context(), `SELECT coalesce(min(counter), 0) FROM instances`).Scan(&n)
		if err != nil {
			return 0
		}
		return n
	}
	after := int64(0)
	await(t, "an answer", func() bool { after = counters(); return after > 0 })
	await(t, "every instance to go on for long enough to be missed", func() bool { return counters() >= after+6 })
	close(letGo)
	for _, id := range ids {
		houses[0].wantEnd(id, gathering.RunCompleted)
	}
	if got, want := p.count("a"), len(ids); got != want || brokenOff.Load() > 0 {
		t.Errorf("the work of %d runs was begun %d times and broken off %d times", want, got, brokenOff.Load())
	}
}

// How long others were silent counts from when they could be heard again.
func TestMissedBeatForgetsTheSilenceOfOthers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := openHouse(t, db, newPipelines()).workWith(run.WorkerOptions{Beat: time.Hour})
		if got := h.worker.FailBeat(); got != 0 {
			t.Errorf("%d instances are remembered", got)
		}
	})
}

func TestCutConnectionsDoNotStopTheWork(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	address, name := named(t, where.URL)
	admin := storetest.Open(t, where)
	p := newPipelines()
	letGo := make(chan struct{})
	var brokenOff atomic.Int32
	nodes, edges := []engine.Node{trigger()}, []string{"t→x"}
	for i := range 6 { // whose ends arrive as mail, one after the other
		name := fmt.Sprintf("c%d", i)
		p.add(t, name, []engine.Node{trigger(), sleep("z", time.Duration(i*60)*time.Millisecond)}, "t→z")
		nodes, edges = append(nodes, child(name, name)), append(edges, "t→"+name)
	}
	p.add(t, "outer", append(nodes, engine.Node{ID: "x", Do: engine.Work{Run: func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
		p.called("x")
		select {
		case <-letGo:
		case <-ctx.Done():
			brokenOff.Add(1)
		}
		return engine.Outcome{}, ctx.Err()
	}}}), edges...)
	h := openHouse(t, storetest.Open(t, store.Options{URL: address}), p).workWith(run.WorkerOptions{Beat: time.Second})
	var ids []gathering.RunID
	for range 20 {
		ids = append(ids, h.start("outer"))
	}
	for range 15 {
		cut(t, admin, name)
		<-time.After(30 * time.Millisecond) // so that the next cut meets connections again
	}
	close(letGo)
	for _, id := range ids {
		h.wantEnd(id, gathering.RunCompleted)
	}
	if got, want := p.count("x"), len(ids); got != want || brokenOff.Load() > 0 {
		t.Errorf("the work of %d runs was begun %d times and broken off %d times", want, got, brokenOff.Load())
	}
}

// A run can be left to an instance that is on no list, so that nobody would
// ever find it dead.
func TestRunOfAnUnlistedInstanceIsPutBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
		h := openHouse(t, db, p)
		h.workWith(run.WorkerOptions{Only: "run_other", Beat: 50 * time.Millisecond}) // anybody, even one that may not take the run
		id := h.start("line")
		change(t, db, `UPDATE runs SET owner = 'ins_gone', epoch = 1, ready_at = NULL, state = 'running' WHERE id = $1`, string(id))
		await(t, "the run to be put back", func() bool {
			return number(t, db, `SELECT count(*) FROM runs WHERE owner IS NULL AND state = 'recovering' AND ready_at IS NOT NULL`) == 1
		})
		h.worker.Stop()
		h.work()
		h.wantEnd(id, gathering.RunCompleted)
	})
}

// What follows a result that came while the worker stopped is not begun, and so
// is not in doubt afterwards.
func TestStopBetweenTwoNodes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		begun := make(chan struct{})
		p.add(t, "line", []engine.Node{
			trigger(),
			{ID: "a", Do: engine.Work{Run: func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
				close(begun)
				<-ctx.Done()
				return engine.Outcome{}, nil // it was done all the same
			}}},
			{ID: "b", Do: engine.Work{Run: func(context.Context, engine.Job) (engine.Outcome, error) {
				p.called("b")
				return engine.Outcome{}, nil
			}}},
		}, "t→a", "a→b")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{})
		id := h.start("line")
		<-begun
		h.worker.Stop()
		h.wantHistory(id, "run.queued run.started t:completed a:started a:completed")
		h.workWith(run.WorkerOptions{})
		h.wantEnd(id, gathering.RunCompleted)
		h.wantHistory(id, "run.queued run.started t:completed a:started a:completed run.resumed b:started b:completed run.completed")
		if got := p.count("b"); got != 1 {
			t.Errorf("b worked %d times, want once", got)
		}
	})
}

// A run can be claimable while its former owner in this process still waits for
// work that does not stop. It is looked at now and then, not again and again.
func TestClaimWhileTheFormerOwnerStillJoins(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		begun, lost, letGo := make(chan struct{}, 2), make(chan struct{}), make(chan struct{})
		var again atomic.Bool
		once := func(wait <-chan struct{}) func(context.Context, engine.Job) (engine.Outcome, error) {
			return func(context.Context, engine.Job) (engine.Outcome, error) {
				if !again.Load() {
					begun <- struct{}{}
					<-wait // whatever ctx says
				}
				return engine.Outcome{}, nil
			}
		}
		p.add(t, "line", []engine.Node{trigger(), does("a", once(lost)), does("b", once(letGo))}, "t→a", "t→b")
		h := openHouse(t, db, p).workWith(run.WorkerOptions{Poll: 10 * time.Millisecond})
		var stop sync.Once
		defer stop.Do(func() { close(letGo) })
		id := h.start("line")
		<-begun
		<-begun
		again.Store(true)
		change(t, db, `UPDATE runs SET owner = NULL, state = 'recovering', crashes = crashes + 1, ready_at = 1 WHERE id = $1`, string(id))
		close(lost) // its owner sees that it has lost the run, and waits for b
		<-time.After(500 * time.Millisecond)
		if again := number(t, db, `SELECT epoch FROM runs WHERE id = $1`, string(id)) - 1; again < 1 || again > 20 {
			t.Errorf("the run was claimed %d times in half a second, want it now and then", again)
		}
		stop.Do(func() { close(letGo) })
		h.wantEnd(id, gathering.RunCompleted)
	})
}

// TestClaimsAnsweredLate has a claim that is carried out at once and answered
// beats later: what it took is not let go of meanwhile.
func TestClaimsAnsweredLate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const beat = 50 * time.Millisecond
		var late atomic.Bool
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			err := a.Do()
			if a.Kind == store.Writing && !late.Load() && number(t, db, `SELECT count(*) FROM runs WHERE owner IS NOT NULL`) > 0 {
				late.Store(true)
				<-time.After(10 * beat)
			}
			return err
		})
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
		id := openHouse(t, db, p).start("line") // nobody works on it yet
		h := openHouse(t, through, p).workWith(run.WorkerOptions{Beat: beat})
		h.wantEnd(id, gathering.RunCompleted)
		if r := h.wantRun(id); r.Epoch != 1 || !late.Load() {
			t.Errorf("it was claimed %d times, want once; the answer was late: %t", r.Epoch, late.Load())
		}
	})
}

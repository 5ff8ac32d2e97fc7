package run_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

var (
	oneSeed   = flag.Int64("seed", -1, "the one seed that the simulation plays; -1 is many")
	manySeeds = flag.Int("seeds", 100, "how many seeds the simulation plays")
)

// TestSimulation plays random runs on one to five instances that share a
// database, and lets everything befall them: commits that fail, whose answers
// are lost or late, or that happen long after they were given up; databases out
// of reach, for one or for all; beats that fail alone; processes that are
// stopped and go on as if nothing had been, that die, and that are missed or
// not; clocks minutes apart. Meanwhile runs are started, cancelled, paused,
// decided and redriven. Whatever happens, what is promised holds: see check.
//
// A seed that fails is printed with what happened in it. It is played again by
// go test ./internal/run -run TestSimulation -seed N. The seed decides what
// befalls whom and when; who is first in one instant, the scheduler.
func TestSimulation(t *testing.T) {
	t.Parallel()
	const bubbles = 4
	for b := range bubbles {
		t.Run(fmt.Sprint(b), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db := simulationDatabase(t)
				total := map[string]int{}
				if *oneSeed >= 0 {
					if b == 0 {
						newWorld(t, db, uint64(*oneSeed), total).play()
					}
					return
				}
				begun := time.Now()
				for seed := b; seed < *manySeeds && !t.Failed(); seed += bubbles {
					newWorld(t, db, uint64(seed), total).play()
				}
				t.Logf("in %s: %v", time.Since(begun), total)
			})
		})
	}
}

// simulationDatabase is a database that notes who had which run, and what must
// never happen to a run.
func simulationDatabase(t *testing.T) *store.DB {
	t.Helper()
	where := storetest.SQLite(t)
	if _, err := os.Stat("/dev/shm"); err == nil { // in memory nobody waits for a disk
		where.Dir = filepath.Join("/dev/shm", "gathering-simulation-"+rand.Text())
		t.Cleanup(func() { _ = os.RemoveAll(where.Dir) })
	}
	db := storetest.Open(t, where)
	for _, statement := range []string{
		`CREATE TABLE sim_owners (n INTEGER PRIMARY KEY, run TEXT NOT NULL, epoch BIGINT NOT NULL, owner TEXT NOT NULL)`,
		`CREATE TABLE sim_wrongs (what TEXT NOT NULL)`,
		`CREATE TABLE sim_gone (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL)`,
		`CREATE TRIGGER sim_left AFTER DELETE ON instances BEGIN INSERT INTO sim_gone (id) VALUES (old.id); END`,
		`CREATE TRIGGER sim_begun AFTER INSERT ON runs BEGIN
			INSERT INTO sim_owners (run, epoch, owner) VALUES (new.id, new.epoch, coalesce(new.owner, '')); END`,
		`CREATE TRIGGER sim_owned AFTER UPDATE ON runs WHEN old.owner IS NOT new.owner OR old.epoch <> new.epoch BEGIN
			INSERT INTO sim_owners (run, epoch, owner) VALUES (new.id, new.epoch, coalesce(new.owner, '')); END`,
		`CREATE TRIGGER sim_ended AFTER UPDATE ON runs WHEN old.finished_at IS NOT NULL AND (new.state <> old.state
				OR new.owner IS NOT NULL OR new.finished_at IS NOT old.finished_at OR new.epoch <> old.epoch OR new.ready_at IS NOT NULL) BEGIN
			INSERT INTO sim_wrongs VALUES (new.id || ' changed after its end from ' || old.state || ' to ' || new.state); END`,
		`CREATE TRIGGER sim_logged AFTER INSERT ON run_log WHEN (SELECT finished_at FROM runs WHERE id = new.run_id) IS NOT NULL BEGIN
			INSERT INTO sim_wrongs VALUES (new.run_id || ' got the event ' || new.seq || ' after its end'); END`,
		`CREATE TRIGGER sim_once AFTER UPDATE ON run_log BEGIN
			INSERT INTO sim_wrongs VALUES ('event ' || new.seq || ' of ' || new.run_id || ' was written twice'); END`,
		`CREATE TRIGGER sim_mail AFTER INSERT ON run_inbox WHEN (SELECT finished_at FROM runs WHERE id = new.run_id) IS NOT NULL BEGIN
			INSERT INTO sim_wrongs VALUES (new.run_id || ' got ' || new.kind || ' mail after its end'); END`,
	} {
		change(t, db, statement)
	}
	return db
}

func newWorld(t *testing.T, db *store.DB, seed uint64, counts map[string]int) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, db: db, from: time.Now(), counts: counts, lateReads: make(chan struct{}, 2),
		past: map[string][]*execution{}, made: map[string]int{}, cancelled: map[gathering.RunID]bool{},
	}
	r := w.dice("world")
	w.specs = randomPipelines(r)
	w.workers = run.WorkerOptions{
		Slots: pick(r, 1, 2, 256), Poll: pick(r, time.Second, 2*time.Second), Drain: pick(r, time.Second, 5*time.Second),
	}
	w.admin = run.NewService(run.Options{DB: db, Pipelines: w.bind(nil), Logger: logger(t)})
	return w
}

// deed is something that happens at a time.
type deed struct {
	at time.Duration
	do func()
}

// play plays the seed and holds what must be so.
func (w *world) play() {
	w.t.Helper()
	defer w.admin.Close()
	w.live()
	if len(w.wrongs) == 0 {
		w.check()
	}
	w.counts["seeds"]++
	if len(w.wrongs) > 0 {
		w.t.Errorf("seed %d: %s\nreplay it: go test ./internal/run -run TestSimulation -seed %d\n%s\n%s",
			w.seed, strings.Join(w.wrongs, "\n\t"), w.seed, strings.Join(w.lines, "\n"), w.stories())
	}
	w.wipe()
}

// live has everything happen: first with all trouble, then without until all
// runs have ended. Nothing of it goes on afterwards.
func (w *world) live() {
	for _, d := range w.plan() {
		<-time.After(d.at - w.elapsed())
		d.do()
	}
	w.heal()
	w.settle()
	w.end()
}

// wipe leaves the database as it was found.
func (w *world) wipe() {
	for _, table := range []string{
		"runs", "run_log", "run_inbox", "snapshots", "blobs", "feed", "instances", "sim_owners", "sim_wrongs", "sim_gone",
	} {
		change(w.t, w.db, `DELETE FROM `+table)
	}
}

// stories tells what the logs say of the runs that something is wrong with.
func (w *world) stories() string {
	var b strings.Builder
	ids := regexp.MustCompile(`run_[0-9a-v]{26}`).FindAllString(strings.Join(w.wrongs, " "), -1)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		fmt.Fprintf(&b, "the log of %s:\n", id)
		for _, e := range w.log(gathering.RunID(id)) {
			fmt.Fprintf(&b, "  %3d %9.3f %s %s %d %s\n", e.Seq, e.At.Sub(w.from).Seconds(), e.Type, path(e), e.Attempt, e.Data)
		}
	}
	return b.String()
}

// plan is what happens while there is trouble, in order.
func (w *world) plan() []deed {
	r := w.dice("plan")
	var deeds []deed
	add := func(at time.Duration, do func()) { deeds = append(deeds, deed{at, do}) }
	length := seconds(r, 20, 60)
	for n := range 1 + r.IntN(5) {
		skew := time.Duration(0)
		if r.IntN(3) == 0 {
			skew = seconds(r, -180, 180)
		}
		add(seconds(r, 0, pick(r, 0.001, 0.001, 10)), func() { w.newInstance(string(rune('A'+n)), skew).begin() })
	}
	for n := range 1 + r.IntN(6) {
		dice := w.dice("start", n)
		add(seconds(r, 0.01, length.Seconds()*0.7), func() { w.asked(dice, w.start(n)) })
	}
	for n := range r.IntN(9) {
		dice := w.dice("ask", n)
		add(seconds(r, 1, length.Seconds()), func() { w.asked(dice, w.request(dice, n)) })
	}
	for n := range 1 + r.IntN(10) {
		dice := w.dice("befall", n)
		add(seconds(r, 0, length.Seconds()), func() { w.befall(dice) })
	}
	slices.SortStableFunc(deeds, func(a, b deed) int { return cmp.Compare(a.at, b.at) })
	return deeds
}

// alive lists the instances that were not told to stop.
func (w *world) alive() []*instance {
	w.mu.Lock()
	all := slices.Clone(w.instances)
	w.mu.Unlock()
	return slices.DeleteFunc(all, func(i *instance) bool { return i.isGone() })
}

// asked has an instance asked for something, by somebody who waits a while.
func (w *world) asked(r *mathrand.Rand, what func(ctx context.Context, i *instance) (string, error)) {
	alive := w.alive()
	if len(alive) == 0 || what == nil {
		return
	}
	i := pick(r, alive...)
	w.underWay(1)
	w.tasks.Go(func() {
		defer w.underWay(-1)
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		name, err := what(ctx, i)
		w.trace("%s is asked to %s: %v", i.name, name, err)
		if i.isDead() || err == nil || ctx.Err() != nil {
			return
		}
		switch gathering.KindOf(err) {
		case gathering.KindUnavailable, gathering.KindConflict, gathering.KindNotFound, gathering.KindInvalid:
		default:
			if !store.Ambiguous(err) {
				w.wrong("%s is asked to %s: %v", i.name, name, err)
			}
		}
	})
}

// underWay counts what may still change a run, and returns how much that is.
func (w *world) underWay(more int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open += more
	return w.open
}

// start starts the n-th run.
func (w *world) start(n int) func(context.Context, *instance) (string, error) {
	id := w.runID(n)
	return func(ctx context.Context, i *instance) (string, error) {
		_, err := i.service.Start(ctx, run.New{
			ID: id, Project: gathering.DefaultProject, Pipeline: gathering.PipelineID(pipelineName(n % 2)), Version: 1,
		})
		w.accept(id, err)
		return "start " + string(id), err
	}
}

func (w *world) accept(id gathering.RunID, err error) {
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted = append(w.accepted, id)
}

// request asks something of one of the runs that there are.
func (w *world) request(r *mathrand.Rand, n int) func(context.Context, *instance) (string, error) {
	ids := w.ids(`SELECT id FROM runs ORDER BY id`)
	if len(ids) == 0 {
		return nil
	}
	id := pick(r, ids...)
	kind := r.IntN(8)
	return func(ctx context.Context, i *instance) (string, error) {
		switch kind {
		case 0, 1:
			_, err := i.service.Cancel(ctx, id, "somebody")
			if err == nil {
				w.mu.Lock()
				w.cancelled[id] = true
				w.mu.Unlock()
			}
			return "cancel " + string(id), err
		case 2, 3, 4:
			_, err := i.service.Pause(ctx, id, "somebody")
			return "pause " + string(id), err
		case 5:
			_, err := i.service.Resume(ctx, id, "somebody")
			return "resume " + string(id), err
		default:
			next := w.runID(1000 + n)
			_, err := i.service.Redrive(ctx, id, run.Again{ID: next})
			w.accept(next, err)
			return "redrive " + string(id) + " as " + string(next), err
		}
	}
}

func (w *world) ids(query string) []gathering.RunID {
	rows, err := w.db.Read().Query(context.Background(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []gathering.RunID
	err = rows.Each(func(s store.Scanner) error {
		var id gathering.RunID
		err := s.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// befall puts one instance, or all, into trouble.
func (w *world) befall(r *mathrand.Rand) {
	alive := w.alive()
	if len(alive) == 0 {
		return
	}
	i := pick(r, alive...)
	d := pick(r, seconds(r, 0.1, 5), seconds(r, 5, 12), seconds(r, 12, 30))
	strikes := func(do func()) {
		if r.IntN(2) == 0 {
			do()
		} else {
			i.arm(strike{accesses: r.IntN(12), at: pick(r, before, after), do: do})
		}
	}
	switch r.IntN(10) {
	case 0:
		if r.IntN(2) == 0 {
			i.cut()
		}
		i.suffer(outage, d)
	case 1:
		for _, one := range alive {
			one.suffer(outage, d)
		}
	case 2:
		i.suffer(mute, d)
	case 3, 4, 5:
		i.suffer(flaky, 2*d)
	case 6, 7:
		strikes(func() { i.freeze(d) })
	case 8:
		how := pick(r, killed, killed, hung)
		strikes(func() {
			i.die(how)
			w.again(i, d)
		})
	default:
		w.count("stops")
		w.trace("%s is told to stop", i.name)
		w.tasks.Go(func() {
			i.stop()
			w.again(i, 0)
		})
	}
}

// again has another instance take the place of one that is gone, after a while.
func (w *world) again(i *instance, after time.Duration) {
	w.tasks.Go(func() {
		<-time.After(after)
		if next := w.newInstance(i.name+"'", i.skew); !w.isOver() {
			next.begin()
		}
	})
}

func (w *world) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// heal ends all trouble.
func (w *world) heal() {
	w.trace("all trouble is to end")
	w.mu.Lock()
	all := slices.Clone(w.instances)
	w.mu.Unlock()
	for _, i := range all {
		i.mu.Lock()
		i.strike, i.troubles = nil, nil
		i.mu.Unlock()
	}
}

// settle waits for all runs to end, and does what people do: it resumes what is
// paused and decides what is unknown.
func (w *world) settle() {
	const bound = 30 * time.Minute
	from := time.Now()
	for n := 0; ; n++ {
		<-time.After(2 * time.Second)
		unanswered := w.underWay(0)
		open := w.ids(`SELECT id FROM runs WHERE finished_at IS NULL ORDER BY id`)
		if len(open) == 0 && unanswered == 0 {
			return
		}
		if time.Since(from) > bound {
			for _, id := range open {
				why, err := w.admin.Why(context.Background(), id)
				w.wrong("%s has not ended: %s, %v", id, why.Line, err)
			}
			return
		}
		for _, id := range open {
			w.attend(id, w.dice("attend", id, n))
		}
	}
}

// attend does for a run what it waits for somebody to do.
func (w *world) attend(id gathering.RunID, r *mathrand.Rand) {
	report, err := w.admin.Report(context.Background(), id)
	if err != nil {
		w.wrong("report %s: %v", id, err)
		return
	}
	if report.State == gathering.RunPaused || report.PausedBy != "" {
		w.asked(r, func(ctx context.Context, i *instance) (string, error) {
			_, err := i.service.Resume(ctx, id, "somebody")
			return "resume " + string(id), err
		})
	}
	for _, path := range unknowns(report) {
		d := engine.DecideMail{Node: path, As: pick(r, engine.DecideDone, engine.DecideRetry, engine.DecideFail)}
		w.asked(r, func(ctx context.Context, i *instance) (string, error) {
			_, err := i.service.Decide(ctx, id, d)
			return fmt.Sprintf("decide %s of %s as %s", path, id, d.As), err
		})
	}
}

// unknowns lists what has an unknown outcome.
func unknowns(report gathering.RunReport) []string {
	var paths []string
	for _, n := range report.Nodes {
		if n.State == gathering.NodeUnknown {
			paths = append(paths, n.ID)
		}
		if n.Items == nil {
			continue
		}
		for _, item := range n.Items.Open {
			if item.State == gathering.NodeUnknown {
				paths = append(paths, gathering.NodePath(n.ID, item.Index))
			}
		}
	}
	return paths
}

// end stops all that is left, once every run has ended.
func (w *world) end() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	for _, i := range w.alive() {
		w.tasks.Go(i.stop)
	}
	w.tasks.Wait()
	w.mu.Lock()
	all := slices.Clone(w.instances)
	w.mu.Unlock()
	for _, i := range all {
		i.service.Close()
		_ = i.view.Close()
	}
}

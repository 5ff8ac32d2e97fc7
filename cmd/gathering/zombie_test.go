package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/app"
	runs "gathering/internal/run"
	"gathering/internal/store"
)

// await waits until something holds.
func await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// stage is where a test decides what each process is in the middle of.
type stage struct {
	siege
	*app.App

	pipelines map[string]gathering.Pipeline
}

func newStage(t *testing.T, database string) *stage {
	t.Helper()
	return newStageWith(t, database, beat)
}

func newStageWith(tb testing.TB, database string, beat time.Duration) *stage {
	tb.Helper()
	s := &stage{pipelines: map[string]gathering.Pipeline{}}
	s.service = newCounting(tb, 1)
	s.place = newLoad(tb, database, s.service, beat)
	call := func(node, method, more string) string {
		return fmt.Sprintf(`{kind: action, action: call_api, with: {method: %s, url: "%s/${{ run.id }}/%s"}, %s}`,
			method, s.service.server.URL, node, more)
	}
	for name, nodes := range map[string]string{
		"repeatable": "get_held: " + call("get_held", "GET", "needs: [start]") + "\n  put_quick: " + call("put_quick", "PUT", "needs: [get_held]"),
		"risky":      "ask_held: " + call("ask_held", "POST", "needs: [start]") + "\n  put_quick: " + call("put_quick", "PUT", "needs: [ask_held]"),
		"later":      "pause: {kind: delay, needs: [start], for: 900ms}\n  ask_quick: " + call("ask_quick", "POST", "needs: [pause]"),
	} {
		text := "name: " + name + "\nnodes:\n  start: {kind: trigger}\n  " + nodes + "\n"
		if err := os.WriteFile(filepath.Join(s.dir, name+".yaml"), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// enter opens the database and stores the pipelines.
func (s *stage) enter() {
	s.t.Helper()
	s.App = s.open(app.Options{})
	for _, name := range []string{"repeatable", "risky", "later"} {
		p, err := s.SaveFile(s.t.Context(), gathering.DefaultProject, filepath.Join(s.dir, name+".yaml"))
		if err != nil {
			s.t.Fatal(err)
		}
		s.pipelines[name] = p
	}
}

func (s *stage) leave() {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *stage) begin(pipeline string) gathering.RunID {
	s.t.Helper()
	r, err := s.Start(s.t.Context(), s.pipelines[pipeline], runs.New{})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.ID
}

func (s *stage) row(id gathering.RunID) gathering.Run {
	s.t.Helper()
	r, err := s.Runs.Run(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// stopBetween stops a process when the intent of the run's call is recorded
// and the process has not heard so yet. It reports false where it came too late.
func (s *stage) stopBetween(r *process, id gathering.RunID) bool {
	s.t.Helper()
	await(s.t, "the pause before the call", func() bool {
		return s.history(s.App, id).node("pause").state == gathering.EventNodeWaiting
	})
	err := s.DB.Tx(s.t.Context(), func(tx *store.Tx) error {
		// Who holds this lock lets nobody else commit to the feed, and so to a log.
		if _, err := tx.Exec(s.t.Context(), tx.Dialect().FeedLock()); err != nil {
			return err
		}
		var self int
		if err := tx.QueryRow(s.t.Context(), `SELECT pg_backend_pid()`).Scan(&self); err != nil {
			return err
		}
		await(s.t, "a commit that waits", func() bool {
			var n int
			err := s.DB.Read().QueryRow(s.t.Context(), `SELECT count(*) FROM pg_locks
				WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))`, self).Scan(&n)
			return err != nil || n > 0
		})
		r.signal(syscall.SIGSTOP)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(s.service.of(string(id)+"/ask_quick")) > 0 {
		return false
	}
	await(s.t, "the intent to be recorded", func() bool {
		return s.history(s.App, id).node("ask_quick").started == 1
	})
	return true
}

// written is everything that is stored of runs.
func (s *stage) written(ids []gathering.RunID) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, id := range ids {
		r := s.row(id)
		all[string(id)] = fmt.Sprintf("%s %s %d", r.State, r.Owner, r.Epoch)
		rows, err := s.DB.Read().Query(s.t.Context(), `SELECT seq, rows FROM run_log WHERE run_id = $1`, string(id))
		if err != nil {
			s.t.Fatal(err)
		}
		err = rows.Each(func(row store.Scanner) error {
			var (
				seq  int64
				data []byte
			)
			err := row.Scan(&seq, &data)
			all[fmt.Sprintf("%s %d", id, seq)] = string(data)
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return all
}

// TestZombie stops an instance for longer than its lease, in the middle of
// calls and between a recorded intent and its call. When it wakes up it makes
// no call and writes nothing more to the runs that others have by then, says
// so, and comes back as another.
func TestZombie(t *testing.T) {
	t.Parallel()
	s := newStage(t, "postgresql")
	s.enter()
	defer s.leave()
	ids := []gathering.RunID{
		s.begin("repeatable"), s.begin("repeatable"), s.begin("risky"), s.begin("risky"), s.begin("later"),
	}
	later := ids[4]
	zombie := s.worker()
	await(t, "the calls", func() bool { return s.service.count() == 4 })
	if !s.stopBetween(zombie, later) {
		t.Fatal("the call was made before the process stopped")
	}
	former := s.row(ids[0]).Owner

	peer := s.worker()
	await(t, "the repeatable calls to be repeated", func() bool { return s.service.count() == 6 })
	s.service.letGo()
	peer.exits(3) // all that is left waits for a decision
	for i, want := range []gathering.RunState{
		gathering.RunCompleted, gathering.RunCompleted, gathering.RunWaiting, gathering.RunWaiting, gathering.RunWaiting,
	} {
		if r := s.row(ids[i]); r.State != want || r.Owner != "" {
			t.Errorf("%s is %s of %q, want %s of nobody", r.ID, r.State, r.Owner, want)
		}
	}
	before, called := s.written(ids), s.service.count()
	fresh := s.begin("later")

	zombie.signal(syscall.SIGCONT)
	await(t, "the zombie to take a new run", func() bool { return s.row(fresh).Owner != "" || s.row(fresh).State.Terminal() })
	if now := s.row(fresh); now.Owner == former || now.Epoch != 1 {
		t.Errorf("the new run is of %s in epoch %d, want it of another instance than %s in the first", now.Owner, now.Epoch, former)
	}
	zombie.exits(3)
	if got := s.row(fresh).State; got != gathering.RunCompleted {
		t.Errorf("the new run is %s, want it completed", got)
	}
	if diff := cmp.Diff(before, s.written(ids)); diff != "" {
		t.Errorf("what the zombie changed (-before +after):\n%s", diff)
	}
	if got, want := s.service.count(), called+1; got != want {
		t.Errorf("the service heard %d calls from the zombie, want 1, of the new run: %+v", got-called, s.service.calls[called:])
	}
	for _, id := range ids[2:4] {
		if got := len(s.service.of(string(id) + "/ask_held")); got != 1 {
			t.Errorf("the risky call of %s was made %d times, want once", id, got)
		}
	}
	if said := zombie.stderr.String(); !strings.Contains(said, "cut off from the database") && !strings.Contains(said, "took the instance for dead") {
		t.Errorf("the zombie does not say that it was cut off: %s", said)
	}
}

// TestStoppedHolder stops the process that holds a data directory. Nobody else
// gets it, and when the process goes on, so does its run.
func TestStoppedHolder(t *testing.T) {
	t.Parallel()
	s := newStage(t, "sqlite")
	s.enter()
	id := s.begin("risky")
	s.leave()
	holder := s.worker()
	await(t, "the call", func() bool { return s.service.count() == 1 })
	holder.signal(syscall.SIGSTOP)
	second := s.worker()
	second.exits(1)
	want := fmt.Sprintf("the data directory is held by pid %d", holder.cmd.Process.Pid)
	if !strings.Contains(second.stderr.String(), want) {
		t.Errorf("stderr lacks %q: %s", want, second.stderr.String())
	}
	<-time.After(6 * beat) // longer than any lease
	s.service.letGo()
	holder.signal(syscall.SIGCONT)
	holder.exits(0)
	s.enter()
	defer s.leave()
	if got := s.row(id); got.State != gathering.RunCompleted || got.Crashes != 0 {
		t.Errorf("got %+v, want it completed by the one who began it", got)
	}
	if got := len(s.service.of(string(id) + "/ask_held")); got != 1 {
		t.Errorf("the call was made %d times, want once", got)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/engine"
)

// soaking is set where there is time: make soak.
const soaking = "GATHERING_SOAK"

// seed is that of a test's choices: GATHERING_SEED, or any.
func seed(tb testing.TB) uint64 {
	tb.Helper()
	n := rand.Uint64N(1_000_000)
	if given := os.Getenv("GATHERING_SEED"); given != "" {
		var err error
		if n, err = strconv.ParseUint(given, 10, 64); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Logf("GATHERING_SEED=%d", n)
	return n
}

// siege is a load on a service under which processes are killed.
type siege struct {
	*place
	service *counting
	random  *rand.Rand
	runs    []gathering.RunID // that were accepted
	wanted  int               // how many runs are to be accepted in all
	begun   int               // processes
	kills   int
}

// beat is that of the processes of a siege. The default would leave what was
// killed alone for longer than the next kill takes to come.
const beat = 250 * time.Millisecond

func newSiege(t *testing.T, database string) *siege {
	t.Helper()
	n := seed(t)
	s := &siege{service: newCounting(t, n), random: rand.New(rand.NewPCG(n, 2)), wanted: 200}
	s.place = newLoad(t, database, s.service, beat)
	return s
}

// TestKilledAgainAndAgain kills processes that work on 200 runs, whose calls
// go to a service that counts them, and holds that nothing accepted is lost,
// nothing recorded is done again, and nothing of unknown outcome either unless
// somebody said so.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	for database, atOnce := range map[string]int{"sqlite": 1, "postgresql": 2} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			s := newSiege(t, database)
			kills := 50
			if os.Getenv(soaking) != "" {
				kills, s.wanted = 4*kills, 4*s.wanted
			}
			s.killAgainAndAgain(atOnce, kills)
			killed := time.Since(begun)
			s.finish()
			s.wantWhole()
			t.Logf("%d kills in %s, the rest in %s", s.kills, killed.Round(time.Second), (time.Since(begun) - killed).Round(time.Second))
		})
	}
}

// killAgainAndAgain keeps so many processes at work and kills them, one at a
// time at random moments, until enough were killed.
func (s *siege) killAgainAndAgain(atOnce, kills int) {
	s.t.Helper()
	processes := make([]*process, atOnce)
	for i := range processes {
		processes[i] = s.next(kills)
	}
	for s.kills < kills && s.begun < 10*kills && !s.t.Failed() {
		i := s.random.IntN(atOnce)
		victim := processes[i]
		s.letWork(victim)
		if s.kill(victim) {
			s.kills++
		}
		if s.kills%10 == 0 && atOnce == 1 {
			s.decide()
		}
		processes[i] = s.next(kills)
	}
	for _, r := range processes {
		s.kill(r)
	}
}

// kill kills a process, or reports false where it ended by itself: a worker
// that has nothing to do does so.
func (s *siege) kill(r *process) bool {
	s.t.Helper()
	_ = r.cmd.Process.Kill() // it may just have ended
	s.runs = append(s.runs, accepted(r)...)
	if r.cmd.ProcessState.Exited() {
		if code := r.cmd.ProcessState.ExitCode(); code != 0 && code != 3 {
			s.t.Errorf("%v: exit code %d: %s", r.cmd.Args[1:], code, r.stderr.String())
		}
		return false
	}
	return true
}

// next starts a process that starts runs, or one that only works. Together they
// start what is left to be started, at an even pace.
func (s *siege) next(kills int) *process {
	s.t.Helper()
	defer func() { s.begun++ }()
	if left := s.wanted - len(s.runs); left > 0 && (s.begun%3 != 2 || s.kills > kills/2) {
		return s.loader(min(left, 2*s.wanted/kills))
	}
	return s.worker()
}

// letWork waits for a random moment, which is mostly one after the process has
// begun to work.
func (s *siege) letWork(r *process) {
	s.t.Helper()
	limit := time.NewTimer(5 * time.Second)
	defer limit.Stop()
	if s.random.IntN(8) > 0 {
		before := s.service.count()
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for s.service.count() == before {
			select {
			case <-tick.C:
				continue
			case <-r.ended:
			case <-limit.C:
			}
			break
		}
	}
	select {
	case <-r.ended:
	case <-time.After(time.Duration(s.random.IntN(300)) * time.Millisecond):
	}
}

// finish decides what is unknown and works until every run has ended, and
// starts what is left to be started.
func (s *siege) finish() {
	s.t.Helper()
	for left := s.wanted - len(s.runs); left > 0; left = s.wanted - len(s.runs) {
		r := s.loader(left)
		s.letWork(r)
		s.kill(r)
	}
	for range 50 {
		r := s.worker()
		select {
		case <-r.ended:
		case <-time.After(2 * patience):
			r.signal(syscall.SIGQUIT)
			<-r.ended
			s.t.Fatalf("it does not end\nstdout:\n%s\nstderr:\n%s", r.stdout.String(), r.stderr.String())
		}
		if s.decide() == 0 {
			return
		}
	}
	s.t.Fatal("there is always something to be decided")
}

// open opens the database beside whoever else has it open.
func (s *siege) open(o app.Options) *app.App {
	s.t.Helper()
	o.Data = filepath.Join(s.dir, "data")
	for _, v := range s.env {
		fmt.Sscanf(v, "GATHERING_DATABASE_URL=%s", &o.Database)
	}
	a, err := app.Open(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// every returns every run, the newest first.
func (s *siege) every(a *app.App, f gathering.RunFilter) []gathering.Run {
	s.t.Helper()
	var all []gathering.Run
	f.Limit = 500
	for {
		page, err := a.Runs.Runs(s.t.Context(), f)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < f.Limit {
			return all
		}
		f.Before = page[len(page)-1].ID
	}
}

// decide tells the truth about every call of unknown outcome, and returns how
// many there were.
func (s *siege) decide() int {
	s.t.Helper()
	a := s.open(app.Options{})
	defer func() {
		if err := a.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	n := 0
	for _, r := range s.every(a, gathering.RunFilter{}) {
		if r.State.Terminal() {
			continue
		}
		for path, at := range s.history(a, r.ID).nodes {
			if at.state != gathering.EventNodeUnknown {
				continue
			}
			n++
			d := engine.DecideMail{Node: path, As: engine.DecideRetry, By: "the test"}
			if account := s.service.ledger()[callOf(r.ID, path)]; account != nil && account.acted > 0 {
				d.As, d.Output = engine.DecideDone, json.RawMessage(fmt.Sprintf(`{"body":{"call":%d}}`, account.last))
			}
			if _, err := a.Runs.Decide(s.t.Context(), r.ID, d); err != nil {
				s.t.Errorf("decide %s of %s: %v", path, r.ID, err)
			}
		}
	}
	return n
}

package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/engine"
)

// TestSimulation plays random graphs through owners that are stopped, lose
// their log and its answers, and get mail, with work that fails in every way.
// Whatever happens: the run ends, its log folds to its state, no effect comes
// before its event, work that must not be done twice is not, and a step that
// was said to be recorded is.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				newSimulation(t, seed).run()
			})
		})
	}
}

type simulation struct {
	*stage

	seed uint64
	mu   sync.Mutex
	r    *rand.Rand
	done map[string]int  // attempts of work that must not be done twice
	kept map[string]bool // steps that were said to be recorded
	told map[gathering.RunID]bool
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	s := &simulation{
		seed: seed, r: rand.New(rand.NewPCG(seed, 2)),
		done: map[string]int{}, kept: map[string]bool{}, told: map[gathering.RunID]bool{},
	}
	nodes, edges := randomGraph(s.r)
	for i, n := range nodes {
		if work, ok := n.Do.(engine.Work); ok {
			limit := 1 // how often an attempt may be made
			if work.Idempotent || n.OnUnknown == gathering.OnUnknownRetry {
				limit = 1000
			}
			work.Run = s.work(limit)
			nodes[i].Do = work
		}
	}
	graph, err := engine.NewGraph(nodes, edges)
	if err != nil {
		t.Fatal(err)
	}
	s.stage = newStageOf(t, graph)
	s.log.before = s.fault
	s.log.after = s.fault
	return s
}

// chance is true once in n times.
func (s *simulation) chance(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.IntN(n) == 0
}

func (s *simulation) fault(int, *engine.Commit) error {
	if s.chance(25) {
		return errAway
	}
	return nil
}

// work is what a node does; how it goes depends on the run, node and attempt.
func (s *simulation) work(limit int) func(context.Context, engine.Job) (engine.Outcome, error) {
	return func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
		h := fnv.New64a()
		fmt.Fprint(h, s.seed, j.Node, j.Attempt)
		r := rand.New(rand.NewPCG(h.Sum64(), 3))
		s.begin(j, limit)
		for i := range r.IntN(3) {
			key := fmt.Sprintf("%s/%d/%d", j.Node, j.Attempt, i)
			if slices.ContainsFunc(j.Steps, func(made gathering.Step) bool { return made.Key == key }) {
				continue
			}
			if err := j.Record(ctx, step(key)); err != nil {
				return engine.Outcome{}, err
			}
			s.mu.Lock()
			s.kept[key] = true
			s.mu.Unlock()
		}
		ends := ctx.Done()
		if r.IntN(8) == 0 {
			ends = nil // it does not listen
		}
		select {
		case <-time.After(time.Duration(r.IntN(60_000)) * time.Millisecond):
		case <-ends:
			return engine.Outcome{}, ctx.Err()
		}
		switch r.IntN(10) {
		case 0:
			panic("by chance")
		case 1:
			return engine.Outcome{}, gathering.NewError(gathering.KindInvalid, "no")
		case 2, 3:
			return engine.Outcome{}, errAway
		case 4:
			return engine.Outcome{}, unknown.Err()
		default:
			return engine.Outcome{Output: json.RawMessage(`1`)}, nil
		}
	}
}

// begin counts an attempt, which may be made limit times.
func (s *simulation) begin(j engine.Job, limit int) {
	if !s.log.holds(j.Node + ":started") {
		s.t.Errorf("seed %d: %s begins before its start is durable", s.seed, j.Node)
	}
	key := fmt.Sprintf("%s/%d", j.Node, j.Attempt)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[key]++
	if s.done[key] > limit {
		s.t.Errorf("seed %d: attempt %s was made %d times: %s", s.seed, key, s.done[key], s.log.history())
	}
}

func (s *simulation) run() {
	s.t.Helper()
	defer func() { <-time.After(2 * time.Minute) }() // by when work that does not listen has ended
	for range 500 {
		lifetime := []time.Duration{24 * time.Hour, time.Duration(s.r.IntN(30_000)) * time.Millisecond}[s.r.IntN(2)]
		ctx, stop := context.WithTimeout(s.t.Context(), lifetime)
		end := <-s.start(ctx)
		stop()
		switch {
		case end.err != nil && !errors.Is(end.err, errAway):
			s.t.Fatalf("seed %d: the owner gave up: %v", s.seed, end.err)
		case end.err == nil && end.ending == engine.Ended:
			s.check()
			return
		}
		s.meanwhile()
	}
	s.t.Fatalf("seed %d: the run did not end: %s", s.seed, s.log.history())
}

// meanwhile is what happens while a run has no owner: time passes, children
// end, people decide, and now and then somebody cancels.
func (s *simulation) meanwhile() {
	<-time.After(time.Duration(s.r.IntN(20_000)) * time.Millisecond)
	if s.chance(30) {
		s.send("cancel", engine.MailCancel, "")
	}
	s.log.mu.Lock()
	commits := slices.Clone(s.log.commits)
	s.log.mu.Unlock()
	for _, c := range commits {
		for _, start := range c.Start {
			if !start.Spec.Wait || s.told[start.ID] || s.chance(2) {
				continue
			}
			s.told[start.ID] = true
			state := []gathering.RunState{gathering.RunCompleted, gathering.RunFailed, gathering.RunCancelled}[s.r.IntN(3)]
			s.send("ended_"+string(start.ID), engine.MailChildEnded,
				fmt.Sprintf(`{"run":%q,"node":%q,"state":%q,"may_have_acted":%t}`, start.ID, start.Trigger.Node, state, s.chance(4)))
		}
	}
	for i, n := range s.state.Report().Nodes {
		if n.State == gathering.NodeUnknown {
			as := []string{"done", "retry", "fail"}[s.r.IntN(3)]
			s.send(fmt.Sprintf("decide_%d_%d", len(commits), i), engine.MailDecide, fmt.Sprintf(`{"node":%q,"as":%q}`, n.ID, as))
		}
	}
}

func (s *simulation) check() {
	s.t.Helper()
	s.log.mu.Lock()
	w := &world{t: s.t, graph: s.graph, state: s.state, log: slices.Clone(s.log.events)}
	s.log.mu.Unlock()
	w.checkEnd()
	inLog := s.keys()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.kept {
		if !inLog[key] {
			s.t.Errorf("seed %d: step %s was said to be recorded and is not", s.seed, key)
		}
	}
}

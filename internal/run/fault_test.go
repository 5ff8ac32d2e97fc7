package run_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
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

// saboteur makes the n-th commit from its arming on fail.
type saboteur struct {
	mu      sync.Mutex
	armed   bool
	commits int
	n       int
	fault   func(commit func() error) error
	forever bool // and every later one, as if the process were dead
	hit     bool
}

func (s *saboteur) commit(_ context.Context, commit func() error) error {
	s.mu.Lock()
	if !s.armed {
		s.mu.Unlock()
		return commit()
	}
	s.commits++
	now := s.commits == s.n || s.forever && s.commits > s.n
	s.hit = s.hit || now
	s.mu.Unlock()
	if now {
		return s.fault(commit)
	}
	return commit()
}

func (s *saboteur) set(armed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = armed
}

// aim chooses the commit that fails next. The saboteur is not armed by it.
func (s *saboteur) aim(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.commits, s.armed, s.hit = n, 0, false, false
}

func (s *saboteur) struck() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hit
}

var errAway = gathering.NewError(gathering.KindUnavailable, "the database cannot be reached")

// everything is a pipeline that writes each kind of commit: branches, steps, a
// wait that parks, a child run, a join and an end.
func everything(t *testing.T) *pipelines {
	t.Helper()
	p := newPipelines()
	p.add(t, "inner", []engine.Node{trigger(), p.work("in")}, "t→in")
	p.add(t, "outer", []engine.Node{
		trigger(), p.work("a"), p.steps("b"), child("c", "inner"), sleep("z", 20*time.Millisecond), p.work("d"),
	}, "t→a", "t→b", "a→c", "b→z", "c→d", "z→d")
	return p
}

// steps makes two steps and counts each.
func (p *pipelines) steps(id string) engine.Node {
	return does(id, func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
		done := map[string]bool{}
		for _, s := range j.Steps {
			done[s.Key] = true
		}
		for _, key := range []string{"1", "2"} {
			if done[key] {
				continue
			}
			p.called(id + "/" + key)
			if err := j.Record(ctx, gathering.Step{Key: key, Kind: gathering.StepTool, Result: json.RawMessage(`1`)}); err != nil {
				return engine.Outcome{}, err
			}
		}
		return engine.Outcome{Output: json.RawMessage(`2`)}, nil
	})
}

// endings is how often each thing of the pipeline was done.
func (p *pipelines) endings() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := map[string]int{}
	maps.Copy(counts, p.calls)
	return counts
}

var parking = regexp.MustCompile(` run\.(waiting|resumed)`)

// wantWhole holds that the run did all of its work: the same events as in a
// run without faults, in an order that its edges allow.
func (h *house) wantWhole(id gathering.RunID) {
	h.t.Helper()
	got := parking.ReplaceAllString(h.history(id), "")
	for _, node := range []string{"a", "b", "c", "z", "d"} {
		for _, event := range []string{"started", "completed"} {
			n := len(regexp.MustCompile(`\b`+node+`:`+event+`\b`).FindAllString(got, -1))
			if event == "started" { // an attempt that was stopped before it did anything is made again
				n -= len(regexp.MustCompile(`\b`+node+`:retrying\b`).FindAllString(got, -1))
			}
			if n != 1 {
				h.t.Errorf("%s:%s is in the log %d times, want once: %s", node, event, n, got)
			}
		}
	}
	if n := len(regexp.MustCompile(`b:step\.tool`).FindAllString(got, -1)); n != 2 {
		h.t.Errorf("%d steps are in the log, want 2: %s", n, got)
	}
	if !regexp.MustCompile(`^run\.queued run\.started t:completed .* d:started d:completed run\.completed$`).MatchString(got) {
		h.t.Errorf("got %s", got)
	}
}

// TestFaultAtEveryCommit fails each commit of a run in turn, before it
// happened or after, and holds that the run goes on as if nothing were.
func TestFaultAtEveryCommit(t *testing.T) {
	t.Parallel()
	faults := map[string]func(commit func() error) error{
		"before": func(func() error) error { return errAway },
		"after": func(commit func() error) error {
			if err := commit(); err != nil {
				return err
			}
			return errAway
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
				s := &saboteur{fault: fault}
				db := open(store.Options{Commit: s.commit})
				for n := 1; ; n++ {
					s.aim(n)
					p := everything(t)
					h := openHouse(t, db, p).work()
					s.set(true)
					id := h.start("outer")
					h.until(id, gathering.EventRunCompleted, "")
					s.set(false)
					h.worker.Stop()
					h.wantWhole(id)
					for what, times := range p.endings() {
						if times != 1 {
							t.Errorf("commit %d: %s was done %d times, want once", n, what, times)
						}
					}
					if !s.struck() {
						t.Logf("a run takes %d commits", n-1)
						return
					}
					if t.Failed() {
						t.Fatalf("after a fault at commit %d", n)
					}
				}
			})
		})
	}
}

// TestDeathAtEveryCommit lets the process die at each commit of a run in turn,
// just before or just after it, and holds that another goes on: whatever was
// recorded is not done again, and nothing is left out.
func TestDeathAtEveryCommit(t *testing.T) {
	t.Parallel()
	dead := errors.New("the process is dead")
	deaths := map[string]func(commit func() error) error{
		"before": func(func() error) error { return dead },
		"after": func(commit func() error) error {
			_ = commit() // nobody lives to see its result
			return dead
		},
	}
	for name, death := range deaths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
				for n := 1; ; n++ {
					var died atomic.Bool
					s := &saboteur{n: n, forever: true}
					s.fault = func(commit func() error) error {
						if died.CompareAndSwap(false, true) {
							return death(commit)
						}
						return dead // a dead process reaches the database no more
					}
					if !dieAndResume(t, open, s) {
						t.Logf("a run takes %d commits", n-1)
						return
					}
					if t.Failed() {
						t.Fatalf("after a death at commit %d", n)
					}
				}
			})
		})
	}
}

// dieAndResume reports false if the run ended before it could die.
func dieAndResume(t *testing.T, open func(store.Options) *store.DB, s *saboteur) bool {
	t.Helper()
	db := open(store.Options{Commit: s.commit})
	p := everything(t)
	h := openHouse(t, db, p).work()
	id := gathering.NewRunID(time.Now())
	s.set(true)
	_, err := h.Start(t.Context(), run.New{ID: id, Project: gathering.DefaultProject, Pipeline: "outer", Version: 1})
	if err == nil {
		h.untilStruck(id, s)
	}
	h.worker.Stop()
	h.Close()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if !s.struck() {
		return false
	}

	db = open(store.Options{})
	defer func() { _ = db.Close() }()
	h = openHouse(t, db, p)
	defer h.Close()
	accepted := err == nil
	if _, err := h.Run(t.Context(), id); err != nil {
		if accepted || gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("the run was accepted and is lost: %v", err)
		}
		return true
	}
	before := p.endings()
	recorded := h.recorded(id)
	h.work()
	h.until(id, gathering.EventRunCompleted, "")
	h.worker.Stop()
	h.wantWhole(id)
	for what, times := range p.endings() {
		if recorded[what] && times != before[what] {
			t.Errorf("%s was recorded and done again", what)
		}
		if times > 2 {
			t.Errorf("%s was done %d times", what, times)
		}
	}
	return true
}

// untilStruck waits until the saboteur struck or the run has ended.
func (h *house) untilStruck(id gathering.RunID, s *saboteur) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !s.struck() {
		if r, err := h.Run(ctx, id); err == nil && r.State.Terminal() {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("neither a fault nor an end: %s", h.history(id))
		}
	}
}

// recorded is what the log holds as done.
func (h *house) recorded(id gathering.RunID) map[string]bool {
	h.t.Helper()
	events, err := h.Events(h.t.Context(), id, 0, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	done := map[string]bool{}
	for _, e := range events {
		switch e.Type {
		case gathering.EventNodeCompleted:
			done[e.Node] = true
		case gathering.EventStepTool:
			var step gathering.Step
			if err := json.Unmarshal(e.Data, &step); err != nil {
				h.t.Fatal(err)
			}
			done[fmt.Sprintf("%s/%s", e.Node, step.Key)] = true
		default:
		}
	}
	return done
}

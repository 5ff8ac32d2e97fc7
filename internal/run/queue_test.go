package run_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// sequence is work that notes whose it is, in the order in which it began.
type sequence struct {
	mu    sync.Mutex
	order []string
}

func (s *sequence) work(_ context.Context, j engine.Job) (engine.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = append(s.order, string(j.Project))
	return engine.Outcome{}, nil
}

func (s *sequence) so(t *testing.T) []string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

func (h *house) startIn(project string, priority int) gathering.RunID {
	h.t.Helper()
	r, err := h.Start(h.t.Context(), run.New{Project: gathering.ProjectID(project), Pipeline: "line", Version: 1, Priority: priority})
	if err != nil {
		h.t.Fatal(err)
	}
	return r.ID
}

// backlog starts runs for which nobody works yet, at once.
func (h *house) backlogOf(n int, project string) {
	h.t.Helper()
	var starts sync.WaitGroup
	for range 50 {
		starts.Go(func() {
			for range n / 50 {
				h.startIn(project, 0)
			}
		})
	}
	starts.Wait()
}

// A project of which thousands of runs wait does not keep others waiting, those
// that come later included.
func TestProjectsTakeTurns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const many = 5000
		s, p := &sequence{}, newPipelines()
		p.add(t, "line", []engine.Node{trigger(), does("a", s.work)}, "t→a")
		h := openHouse(t, db, p)
		h.backlogOf(many, "greedy")
		single := h.startIn("modest", 0)
		h.workWith(run.WorkerOptions{Slots: 4})
		h.wantEnd(single, gathering.RunCompleted)
		late := h.startIn("late", 0)
		h.wantEnd(late, gathering.RunCompleted)
		order := s.so(t)
		if at := slices.Index(order, "modest"); at > 8 {
			t.Errorf("the single run of a project was begun after %d others", at)
		}
		if len(order) > many/2 {
			t.Errorf("a run that came later ended after %d others", len(order))
		}
	})
}

// With fewer slots than projects each gets its turn.
func TestProjectsShareOneSlot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, p := &sequence{}, newPipelines()
		p.add(t, "line", []engine.Node{trigger(), does("a", s.work)}, "t→a")
		h := openHouse(t, db, p)
		projects := []string{"a", "b", "c", "d"}
		var ids []gathering.RunID
		for _, project := range projects {
			for range 5 {
				ids = append(ids, h.startIn(project, 0))
			}
		}
		h.workWith(run.WorkerOptions{Slots: 1})
		for _, id := range ids {
			h.wantEnd(id, gathering.RunCompleted)
		}
		for i, order := 0, s.so(t); i < len(order); i += len(projects) {
			round := slices.Sorted(slices.Values(order[i : i+len(projects)]))
			if !slices.Equal(round, projects) {
				t.Fatalf("got the order %v, want each project once in each round", order)
			}
		}
	})
}

func TestHighPriorityGoesFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, p := &sequence{}, newPipelines()
		p.add(t, "line", []engine.Node{trigger(), does("a", s.work)}, "t→a")
		h := openHouse(t, db, p)
		var ids []gathering.RunID
		for i, priority := range []int{-100, -1, 0, 1, 9, 10, 100} {
			ids = append(ids, h.startIn(fmt.Sprint("p", i), priority), h.startIn(fmt.Sprint("p", i), priority))
		}
		h.workWith(run.WorkerOptions{Slots: 1})
		for _, id := range ids {
			h.wantEnd(id, gathering.RunCompleted)
		}
		want := []string{"p6", "p6", "p5", "p5", "p4", "p4", "p3", "p3", "p2", "p2", "p1", "p1", "p0", "p0"}
		if got := s.so(t); !slices.Equal(got, want) {
			t.Errorf("got the order %v, want %v", got, want)
		}
	})
}

func TestPriorityOutOfRange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger()})
		h := openHouse(t, db, p)
		for _, priority := range []int{-101, 101} {
			_, err := h.Start(t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "line", Version: 1, Priority: priority})
			wantField(t, err, "priority")
		}
	})
}

// wantField holds that err is about that field and is the caller's fault.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	if got := gathering.FailureOf(err); got == nil || got.Kind != gathering.KindInvalid || len(got.Fields) != 1 || got.Fields[0].Field != field {
		t.Errorf("got %v, want an invalid %s", err, field)
	}
}

func TestOptionsOfAWorker(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := openHouse(t, db, newPipelines())
		for field, o := range map[string]run.WorkerOptions{
			"slots":       {Slots: -1},
			"beat":        {Beat: 1},
			"poll":        {Poll: -1},
			"park_after":  {ParkAfter: -1},
			"drain":       {Drain: -1},
			"crash_pause": {CrashPause: -1},
		} {
			_, err := h.Work(t.Context(), o)
			wantField(t, err, field)
		}
		if n := number(t, db, `SELECT count(*) FROM instances`); n != 0 {
			t.Errorf("%d instances are left", n)
		}
	})
}

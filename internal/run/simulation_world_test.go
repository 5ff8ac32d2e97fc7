package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/run"
	"gathering/internal/store"
)

// world is what one seed is played in: pipelines, instances, and what really
// happened, which is held against what the database says.
type world struct {
	t       *testing.T
	seed    uint64
	db      *store.DB
	admin   *run.Service // beside all instances, and never in trouble
	from    time.Time
	specs   []pipelineSpec
	workers run.WorkerOptions
	// goneSeen is the last entry of sim_gone that was looked at.
	goneSeen atomic.Int64
	writes   sync.Mutex
	// lateReads has room for the answers that may be held up at a time.
	lateReads chan struct{}
	tasks     sync.WaitGroup // whatever was begun and must be over at the end

	mu        sync.Mutex
	instances []*instance
	past      map[string][]*execution // by run and path
	made      map[string]int          // steps by run, path and key
	accepted  []gathering.RunID       // starts and redrives that were answered well
	cancelled map[gathering.RunID]bool
	open      int  // requests without an answer, and writes that still arrive
	over      bool // no instance begins any more
	lines     []string
	wrongs    []string
	counts    map[string]int // of faults and whatever else happened
}

// execution is one time that the work of a node was really done.
type execution struct {
	by      *instance
	attempt int
	// ended says how it ended, as whoever did it knows: "" is not yet, or
	// nobody can tell.
	ended  executionEnd
	output string
}

type executionEnd string

const (
	endedWell  executionEnd = "well"
	endedBadly executionEnd = "badly" // and definitely without having acted
)

func (w *world) elapsed() time.Duration { return time.Since(w.from) }

// trace notes what the seed is doing.
func (w *world) trace(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf("%9.3f ", time.Since(w.from).Seconds())+fmt.Sprintf(format, args...))
}

// wrong notes that a promise was broken.
func (w *world) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.trace("WRONG %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrongs = append(w.wrongs, text)
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// dice are random numbers that depend on the seed and the words alone.
func (w *world) dice(words ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, words...)
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

// runID is the ID of the n-th run that the seed starts.
func (w *world) runID(n int) gathering.RunID {
	return gathering.RunID(fmt.Sprintf("run_%010d%016d", w.seed, n))
}

// pipelineSpec is a pipeline before it is bound to an instance: its work does
// nothing yet.
type pipelineSpec struct {
	name    string
	nodes   []engine.Node
	edges   []gathering.Edge
	timeout time.Duration
}

const levels = 3

// randomPipelines makes one pipeline of each level; those of a level start runs
// of the next.
func randomPipelines(r *rand.Rand) []pipelineSpec {
	var specs []pipelineSpec
	for level := range levels {
		s := pipelineSpec{name: pipelineName(level), nodes: []engine.Node{{ID: "n0", Do: engine.Trigger{}}}}
		for i := 1; i < 3+r.IntN(6-2*level); i++ {
			n := randomNode(r, fmt.Sprintf("n%d", i), level)
			incoming := 1 + r.IntN(2)
			if r.IntN(7) == 0 {
				n = engine.Node{ID: n.ID, Do: engine.Join{Need: r.IntN(incoming + 1), CancelRest: r.IntN(2) == 0}}
			}
			s.nodes = append(s.nodes, n)
			for range incoming {
				s.edges = append(s.edges, gathering.Edge{
					From: fmt.Sprintf("n%d", r.IntN(i)), To: n.ID, Branch: pick(r, "", "", "", "", "yes", "no", "error"),
				})
			}
		}
		if r.IntN(4) == 0 {
			s.timeout = seconds(r, 20, 120)
		}
		specs = append(specs, s)
	}
	return specs
}

func pipelineName(level int) string { return fmt.Sprintf("level %d", level) }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// seconds is a random time between two numbers of seconds.
func seconds(r *rand.Rand, least, most float64) time.Duration {
	return time.Duration((least + r.Float64()*(most-least)) * float64(time.Second)).Truncate(time.Microsecond)
}

func randomNode(r *rand.Rand, id string, level int) engine.Node {
	n := engine.Node{
		ID:        id,
		OnError:   pick(r, gathering.OnErrorFail, gathering.OnErrorContinue, gathering.OnErrorContinue, gathering.OnErrorBranch),
		OnUnknown: pick(r, gathering.OnUnknownAsk, gathering.OnUnknownRetry, gathering.OnUnknownFail),
	}
	if r.IntN(2) == 0 {
		n.Retry = gathering.Retry{
			MaxAttempts: 1 + r.IntN(3), InitialDelay: gathering.Duration(seconds(r, 0.1, 4)), Factor: 2, Jitter: 0.2,
			On: []gathering.Kind{gathering.KindUnavailable, gathering.KindTimeout},
		}
	}
	if r.IntN(6) == 0 {
		n.Timeout = seconds(r, 1, 15)
	}
	if r.IntN(8) == 0 {
		n.TotalTimeout = seconds(r, 5, 40)
	}
	n.Do = randomBehaviour(r, level)
	if _, pure := n.Do.(engine.Pure); !pure && r.IntN(6) == 0 {
		do := n
		do.OnError = pick(r, "", gathering.OnErrorFail, gathering.OnErrorContinue)
		items := r.IntN(4)
		n.Retry = gathering.Retry{}
		n.Do = engine.Map{
			Over: func(*expr.Scope) ([]json.RawMessage, error) {
				return slices.Repeat([]json.RawMessage{json.RawMessage(`1`)}, items), nil
			},
			Do: do, MaxParallel: 1 + r.IntN(3), SkipFailed: r.IntN(2) == 0,
		}
	}
	return n
}

func randomBehaviour(r *rand.Rand, level int) engine.Behaviour {
	switch n := r.IntN(10); {
	case n == 0:
		branch := pick(r, "yes", "no")
		return engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) {
			return engine.Outcome{Output: json.RawMessage(`"` + branch + `"`), Branch: branch}, nil
		})
	case n == 1:
		d := seconds(r, 0, 15)
		return engine.Sleep(func(_ *expr.Scope, now time.Time) (time.Time, error) { return now.Add(d), nil })
	case n <= 3 && level+1 < levels:
		spec := engine.ChildSpec{Pipeline: pipelineName(level + 1), Wait: r.IntN(4) > 0}
		return engine.Child(func(*expr.Scope, json.RawMessage) (engine.ChildSpec, error) { return spec, nil })
	case n <= 6:
		return engine.Work{Idempotent: true}
	default:
		return engine.Work{}
	}
}

// binding is the pipelines of the seed, bound to one instance.
type binding struct {
	by     *instance
	graphs map[string]*engine.Graph
}

func (w *world) bind(i *instance) *binding {
	b := &binding{by: i, graphs: map[string]*engine.Graph{}}
	for _, s := range w.specs {
		g, err := s.graph(func(n engine.Node) engine.Node { return w.bindNode(i, n) })
		if err != nil {
			w.t.Fatal(err)
		}
		b.graphs[s.name] = g
	}
	return b
}

func (s pipelineSpec) graph(bind func(engine.Node) engine.Node) (*engine.Graph, error) {
	nodes := slices.Clone(s.nodes)
	for k := range nodes {
		nodes[k] = bind(nodes[k])
	}
	g, err := engine.NewGraph(nodes, s.edges)
	if err == nil {
		g.Timeout = s.timeout
	}
	return g, err
}

func (w *world) bindNode(i *instance, n engine.Node) engine.Node {
	switch do := n.Do.(type) {
	case engine.Work:
		spec := n
		do.Run = func(ctx context.Context, j engine.Job) (engine.Outcome, error) { return w.work(ctx, i, spec, j) }
		n.Do = do
	case engine.Map:
		do.Do = w.bindNode(i, do.Do)
		n.Do = do
	default:
	}
	return n
}

// Graph implements [run.Pipelines].
func (b *binding) Graph(_ context.Context, id gathering.PipelineID, _ int) (*engine.Graph, error) {
	if b.by != nil {
		b.by.rest()
	}
	g, ok := b.graphs[string(id)]
	if !ok {
		return nil, gathering.NewError(gathering.KindNotFound, "there is no pipeline %q", id)
	}
	return g, nil
}

// Admit implements [run.Pipelines].
func (b *binding) Admit(ctx context.Context, _ gathering.ProjectID, name string, _ json.RawMessage) (gathering.PipelineID, int, error) {
	_, err := b.Graph(ctx, gathering.PipelineID(name), 1)
	return gathering.PipelineID(name), 1, err
}

// work is what a node does. What it is up to depends on the seed, the run, the
// node and the attempt; whether it comes to that, on the instance.
func (w *world) work(ctx context.Context, i *instance, n engine.Node, j engine.Job) (engine.Outcome, error) {
	e, err := w.begin(i, n, j)
	if err != nil {
		return engine.Outcome{}, err
	}
	w.tasks.Add(1)
	defer w.tasks.Done()
	r := w.dice(j.Run, j.Node, j.Attempt)
	if j.Attempt > 3 { // or a node might go on being tried for ever
		output := w.output(i, j)
		w.ended(e, j, endedWell, output)
		return engine.Outcome{Output: json.RawMessage(output)}, nil
	}
	if err := w.steps(ctx, i, j); err != nil {
		w.trace("%s %s of %s was broken off: %v", i.name, j.Node, j.Run, err)
		return engine.Outcome{}, err
	}
	ends := ctx.Done()
	if r.IntN(8) == 0 {
		ends = nil // it does not listen
	}
	select {
	case <-time.After(seconds(r, 0, pick(r, 0.01, 3, 12))):
	case <-ends:
		i.rest()
		w.trace("%s %s of %s was stopped", i.name, j.Node, j.Run)
		return engine.Outcome{}, ctx.Err()
	}
	i.rest()
	if i.isDead() {
		return engine.Outcome{}, errDead
	}
	switch r.IntN(12) {
	case 0:
		w.ended(e, j, endedBadly, "")
		return engine.Outcome{}, gathering.NewError(gathering.KindInvalid, "no")
	case 1, 2:
		w.ended(e, j, endedBadly, "")
		return engine.Outcome{}, errAway
	case 3:
		panic("by chance")
	}
	output := w.output(i, j)
	w.ended(e, j, endedWell, output)
	return engine.Outcome{Output: json.RawMessage(output)}, nil
}

// output tells one execution from any other.
func (w *world) output(i *instance, j engine.Job) string {
	return fmt.Sprintf(`"%s %s %d %s %d"`, j.Run, j.Node, j.Attempt, i.name, w.elapsed())
}

func (w *world) ended(e *execution, j engine.Job, how executionEnd, output string) {
	w.trace("%s %s of %s ended %s", e.by.name, j.Node, j.Run, how)
	w.mu.Lock()
	defer w.mu.Unlock()
	e.ended, e.output = how, output
}

// steps makes the steps of an attempt that were not recorded before.
func (w *world) steps(ctx context.Context, i *instance, j engine.Job) error {
	r := w.dice(j.Run, j.Node)
	for k := range max(r.IntN(4)-1, 0) {
		key := fmt.Sprintf("s%d", k)
		if slices.ContainsFunc(j.Steps, func(s gathering.Step) bool { return s.Key == key }) {
			continue
		}
		if k > 0 {
			select {
			case <-time.After(seconds(r, 0, 4)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		i.rest()
		if i.isDead() {
			return errDead
		}
		if err := j.Fence(); err != nil {
			return err
		}
		w.make(i, j, key)
		if err := j.Record(ctx, gathering.Step{Key: key, Kind: gathering.StepTool, Result: json.RawMessage(`1`)}); err != nil {
			return err
		}
		w.mu.Lock()
		w.made[stepKey(j.Run, j.Node, key)]++
		w.mu.Unlock()
	}
	return nil
}

func stepKey(id gathering.RunID, path, key string) string { return fmt.Sprint(id, " ", path, " ", key) }

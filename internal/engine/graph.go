package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gathering"
	"gathering/internal/expr"
)

// Node is one node of a graph, bound to what it does.
type Node struct {
	ID   string
	Kind string
	// Input renders what the node is given, once, at its first start. Nil is null.
	Input func(scope *expr.Scope) (json.RawMessage, error)
	Do    Behaviour

	Retry        gathering.Retry
	Timeout      time.Duration // of one attempt; 0 is none
	TotalTimeout time.Duration // of all attempts and waits; 0 is none
	OnError      gathering.OnError
	Fallback     json.RawMessage
	OnUnknown    gathering.OnUnknown
	OnOpen       gathering.OnOpen
}

// Behaviour is what a node does when its turn comes: one of [Trigger], [Pure],
// [Work], [Sleep], [Child], [Map] and [Join].
type Behaviour interface{ behaviour() }

// Trigger begins a run. Its output is the run's input.
type Trigger struct{}

// Pure decides a node from what is already known, without any effect. It is
// called once: its outcome is durable with the events that led to it.
type Pure func(scope *expr.Scope, input json.RawMessage) (Outcome, error)

// Work does something that takes time or acts on the world, in a goroutine of
// its own.
type Work struct {
	Run func(ctx context.Context, job Job) (Outcome, error)
	// Idempotent work is simply done again when an attempt was interrupted.
	// Any other has an unknown outcome then, as it has when it was stopped, timed
	// out or broke without saying why, and the node's OnUnknown decides.
	Idempotent bool
	// Admits refuses the output with which somebody decides that the work is
	// done, with an error of kind invalid. Nil admits any.
	Admits func(output json.RawMessage) error
}

// Sleep waits until the time it returns, which may lie in the past. Now is the
// time of the node's start.
type Sleep func(scope *expr.Scope, now time.Time) (time.Time, error)

// Child starts another run and, if asked to, waits for its end.
type Child func(scope *expr.Scope, input json.RawMessage) (ChildSpec, error)

// ChildSpec says which pipeline a child run executes and with what.
type ChildSpec struct {
	Pipeline string // the name of a stored pipeline of the same project
	Input    json.RawMessage
	Wait     bool
}

func (Trigger) behaviour() {}
func (Pure) behaviour()    {}
func (Work) behaviour()    {}
func (Sleep) behaviour()   {}
func (Child) behaviour()   {}

// Outcome is what a node leaves behind when it succeeds.
type Outcome struct {
	Output json.RawMessage // nil is null
	Branch string          // the branch chosen, for nodes that declare branches
}

// Job is one attempt of a [Work] node.
type Job struct {
	Run       gathering.RunID
	Root      gathering.RunID
	Project   gathering.ProjectID
	Workspace string
	Node      string
	Attempt   int
	// Key stays the same while nobody knows whether the job acted, and changes
	// after a definite failure: an idempotency key for what it calls.
	Key   string
	Input json.RawMessage
	// Steps were recorded by this node before, in any attempt.
	Steps []gathering.Step
	// Fence returns an error once the run may have another owner. It is to be
	// asked right before each call that acts outside.
	Fence func() error
	// Record returns when the step is durable. It may be called from several
	// goroutines at once.
	Record func(ctx context.Context, step gathering.Step) error
}

// Graph is a validated graph of nodes. It is immutable and shared by the runs
// of one pipeline version.
type Graph struct {
	// Output renders a completed run's output. Nil is null.
	Output  func(scope *expr.Scope) (json.RawMessage, error)
	Timeout time.Duration // of a run, parked time included; 0 is none
	Vars    map[string]json.RawMessage
	// Concurrency renders what bounds how many runs are under way at once. Nil
	// is no bound.
	Concurrency func(scope *expr.Scope) (Concurrency, error)

	nodes   []Node
	edges   []edge
	in, out [][]int // by node: indexes into edges
	index   map[string]int
	order   []int // topological
	// rest is, by join that stops the rest, the nodes that lead to nothing but
	// it, in topological order.
	rest map[int][]int
}

// Concurrency bounds how many runs with one key are begun and not ended.
type Concurrency struct {
	Key string // "" is the pipeline
	Max int
}

type edge struct {
	from, to int
	branch   string
}

// NewGraph binds nodes by edges. It returns an error of kind invalid if an ID
// is used twice, an edge leads nowhere or there is a cycle.
func NewGraph(nodes []Node, edges []gathering.Edge) (*Graph, error) {
	g := &Graph{
		nodes: nodes,
		in:    make([][]int, len(nodes)),
		out:   make([][]int, len(nodes)),
		index: make(map[string]int, len(nodes)),
	}
	for i, n := range nodes {
		if _, twice := g.index[n.ID]; twice {
			return nil, gathering.NewError(gathering.KindInvalid, "there are two nodes %q", n.ID)
		}
		g.index[n.ID] = i
	}
	for _, e := range edges {
		from, fromOK := g.index[e.From]
		to, toOK := g.index[e.To]
		if !fromOK || !toOK {
			return nil, gathering.NewError(gathering.KindInvalid, "the edge from %q to %q leads to no node", e.From, e.To)
		}
		g.out[from] = append(g.out[from], len(g.edges))
		g.in[to] = append(g.in[to], len(g.edges))
		g.edges = append(g.edges, edge{from, to, e.Branch})
	}
	if err := g.sort(); err != nil {
		return nil, err
	}
	g.rest = make(map[int][]int)
	for i := range nodes {
		if join, ok := nodes[i].Do.(Join); ok && join.CancelRest {
			g.rest[i] = g.onlyFor(i)
		}
	}
	return g, nil
}

// onlyFor lists the nodes of which every edge leads to join, directly or
// through others such.
func (g *Graph) onlyFor(join int) []int {
	only := map[int]bool{join: true}
	var list []int
	for _, i := range slices.Backward(g.order) {
		leads := len(g.out[i]) > 0 && !slices.ContainsFunc(g.out[i], func(e int) bool { return !only[g.edges[e].to] })
		if leads && i != join {
			only[i] = true
			list = append(list, i)
		}
	}
	slices.Reverse(list)
	return list
}

// sort fills the topological order, keeping the order of the nodes as given
// wherever the edges leave it open.
func (g *Graph) sort() error {
	pending := make([]int, len(g.nodes))
	for i := range g.nodes {
		pending[i] = len(g.in[i])
	}
	done := make([]bool, len(g.nodes))
	for len(g.order) < len(g.nodes) {
		before := len(g.order)
		for i := range g.nodes {
			if done[i] || pending[i] > 0 {
				continue
			}
			done[i] = true
			g.order = append(g.order, i)
			for _, e := range g.out[i] {
				pending[g.edges[e].to]--
			}
		}
		if len(g.order) == before {
			stuck := slices.Index(done, false)
			return gathering.NewError(gathering.KindInvalid, "node %q is part of a cycle", g.nodes[stuck].ID)
		}
	}
	return nil
}

// Nodes lists the graph's nodes in topological order.
func (g *Graph) Nodes() []Node {
	nodes := make([]Node, len(g.order))
	for i, n := range g.order {
		nodes[i] = g.nodes[n]
	}
	return nodes
}

func (g *Graph) node(id string) (int, error) {
	i, ok := g.index[id]
	if !ok {
		return 0, fmt.Errorf("find node %q: the graph has none", id)
	}
	return i, nil
}

package engine

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"time"

	"gathering"
)

// State is where a run stands: the fold of its events. Only its owner touches it.
type State struct {
	ID      gathering.RunID
	Root    gathering.RunID
	Project gathering.ProjectID

	Run       gathering.RunState
	Seq       int64 // of the last event
	Queued    gathering.RunQueuedData
	QueuedAt  time.Time
	StartedAt time.Time
	EndedAt   time.Time
	Output    json.RawMessage
	Failure   *gathering.Failure
	Usage     gathering.Usage

	graph   *Graph
	vars    map[string]json.RawMessage
	trigger json.RawMessage
	// nodes begins with the graph's nodes, by their indexes there. The items of
	// a map follow when it has begun.
	nodes      []node
	edges      []edgeState
	undecided  []int // nodes whose turn may have come, to be looked at
	maps       []int // maps of which an item moved, to be looked at
	paused     bool  // somebody wishes that nothing is begun
	pausedBy   string
	stopping   string    // why the run is being stopped; "" while it is not
	stoppingAt time.Time // since when
	active     int       // nodes and items running, waiting, retrying or unknown
	working    int       // of these, attempts under way
	unknown    int       // of these, with an unknown outcome
	pending    int       // nodes not begun
	progress   bool      // a node ended since the owner last asked
	holding    bool      // the owner lets go: nothing more is begun; not part of the log
	rests      int64     // events that only say that the run was parked, or claimed again
	shotSeq    int64     // of the last snapshot
	shotBytes  int       // of events since then
}

type edgeState uint8

const (
	edgePending edgeState = iota
	edgeTaken
	edgeDead
)

// node is a node of the run, or one item of a map.
type node struct {
	spec *Node
	item int // -1 for a node of the graph
	of   int // the map of an item

	state     gathering.NodeState
	attempt   int
	uncounted bool // the next attempt bears the number of the last
	call      int  // the attempt at which the outcome of all former ones was known
	doubt     bool // an attempt may have acted, and nobody knows what came of it
	unknown   bool // it must not be done twice, may have acted, and nobody decided about that
	input     json.RawMessage
	output    json.RawMessage
	branch    string
	onError   gathering.OnError // what was done about its failure
	failure   *gathering.Failure
	putOff    *gathering.Failure // why the attempt that is made again was none
	steps     []gathering.Step
	child     gathering.RunID
	detached  bool      // only the child's start is waited for
	due       time.Time // of a wait or a retry; zero is none
	startedAt time.Time // of the first attempt
	attemptAt time.Time // of the attempt under way
	endedAt   time.Time
	endSeq    int64     // of the event that ended it
	haltedAt  time.Time // since when it is being stopped while the run goes on; zero is not
	failing   bool      // it is being stopped for a failure of its own

	inPending, inTaken int   // incoming edges
	came               []int // of a join: whose edges were taken, in that order
	fan                *fan  // of a map that has begun
}

// fan is where a map's items stand.
type fan struct {
	items    []json.RawMessage
	first    int // the index among the nodes of item 0
	next     int // items before this one have begun
	underway int // begun and not ended, unknown ones included
	unknown  int
	queued   bool // it is among State.maps
}

// NewState returns the state of a run before its first event.
func NewState(graph *Graph, id, root gathering.RunID, project gathering.ProjectID) *State {
	s := &State{
		ID: id, Root: root, Project: project,
		Run:   gathering.RunQueued,
		graph: graph,
		nodes: make([]node, len(graph.nodes)),
		edges: make([]edgeState, len(graph.edges)),
	}
	s.pending = len(graph.nodes)
	for i := range s.nodes {
		s.nodes[i].spec, s.nodes[i].item = &graph.nodes[i], -1
		s.nodes[i].state = gathering.NodePending
		s.nodes[i].inPending = len(graph.in[i])
	}
	for _, i := range graph.order {
		if len(graph.in[i]) == 0 {
			s.undecided = append(s.undecided, i)
		}
	}
	return s
}

// all yields the graph's nodes in topological order, then the items of maps.
func (s *State) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, i := range s.graph.order {
			if !yield(i) {
				return
			}
		}
		for i := len(s.graph.nodes); i < len(s.nodes); i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// Path names the node, or the item, with the index that effects name.
func (s *State) Path(i int) string {
	n := &s.nodes[i]
	if n.item < 0 {
		return s.graph.nodes[i].ID
	}
	return gathering.NodePath(s.graph.nodes[n.of].ID, n.item)
}

// find returns the node or the item of a path.
func (s *State) find(path string) (int, error) {
	id, item, ok := gathering.ParseNodePath(path)
	if !ok {
		return 0, fmt.Errorf("find node %q: it is no path of a node", path)
	}
	return s.item(id, item)
}

// item returns a node of the graph, or one of its items where item is not negative.
func (s *State) item(id string, item int) (int, error) {
	i, err := s.graph.node(id)
	if err != nil || item < 0 {
		return i, err
	}
	f := s.nodes[i].fan
	if f == nil || item >= len(f.items) {
		return 0, noItem(id, item)
	}
	return f.first + item, nil
}

// works reports whether node i is of a kind whose attempts run beside the owner.
func (s *State) works(i int) bool {
	_, ok := s.nodes[i].spec.Do.(Work)
	return ok
}

// halting reports whether node i is being stopped: with the run, by itself, or
// with the map of which it is an item.
func (s *State) halting(i int) bool { return !s.haltingSince(i).IsZero() }

func (s *State) haltingSince(i int) time.Time {
	n := &s.nodes[i]
	since := n.haltedAt
	if n.item >= 0 {
		since = earlier(since, s.nodes[n.of].haltedAt)
	}
	if s.stopping != "" {
		since = earlier(since, s.stoppingAt)
	}
	return since
}

// failing reports whether node i fails as soon as what it began has stopped: a
// map its items, a node that waited too long its child run. It is needed still.
func (s *State) failing(i int) bool {
	n := &s.nodes[i]
	return n.failing && s.stopping == "" && (n.item < 0 || s.nodes[n.of].haltedAt.IsZero())
}

// unneeded reports whether node i is being stopped and nobody asks what came of it.
func (s *State) unneeded(i int) bool { return s.halting(i) && !s.failing(i) }

// open reports whether node i, which is no map, may have acted, or still does,
// and nobody knows what came of it.
func (s *State) open(i int) bool {
	n := &s.nodes[i]
	switch do := n.spec.Do.(type) {
	case Child:
		return n.unknown || n.state == gathering.NodeWaiting
	case Work:
		left := n.state == gathering.NodeRunning || n.state == gathering.NodeAbandoned
		return n.unknown || n.isOpen() || !do.Idempotent && left
	default:
		return false
	}
}

// leavesOpen reports whether something is open about which nobody decided, not
// even beforehand by letting it count as failed.
func (s *State) leavesOpen() bool {
	for i := range s.nodes {
		n := &s.nodes[i]
		counted := n.state == gathering.NodeFailed && n.failure != nil && n.failure.Code == gathering.CodeUnknownOutcome
		if !counted && s.open(i) {
			return true
		}
	}
	return false
}

// Paused reports whether somebody wishes that nothing is begun.
func (s *State) Paused() bool { return s.paused }

// Working reports whether an attempt is under way.
func (s *State) Working() bool { return s.working > 0 }

// TakeProgress reports whether a node ended since it was last asked.
func (s *State) TakeProgress() bool {
	p := s.progress
	s.progress = false
	return p
}

// output is a node's output; a trigger's is the run's input, which the log
// holds once.
func (s *State) output(i int) json.RawMessage {
	if _, trigger := s.nodes[i].spec.Do.(Trigger); trigger && s.nodes[i].state == gathering.NodeCompleted {
		return s.Queued.Input
	}
	return s.nodes[i].output
}

func timePointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func mergeVars(base, over map[string]json.RawMessage) map[string]json.RawMessage {
	merged := make(map[string]json.RawMessage, len(base)+len(over))
	maps.Copy(merged, base)
	maps.Copy(merged, over)
	return merged
}

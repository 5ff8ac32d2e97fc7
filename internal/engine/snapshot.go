package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"gathering"
)

// SnapshotVersion is the form in which [State.Snapshot] writes.
const SnapshotVersion = 1

const (
	// A snapshot is due after this many events, or bytes of events.
	snapshotEvents = 1000
	snapshotBytes  = 1 << 20
	// longValue is the size in bytes over which a value is kept beside a snapshot.
	longValue = 32 << 10
	// A state whose values have more bytes than this is not written down: the
	// log is folded from its beginning, and no commit grows out of bounds.
	maxSnapshot = 32 << 20
)

// Snapshot is where a run stood after an event, so that its log is folded from
// there on.
type Snapshot struct {
	Seq  int64
	Data []byte
	// Values are long values that Data names by their SHA-256 in hex.
	Values map[string]json.RawMessage
}

// The written form. Fields may be added, never changed.
type (
	writtenState struct {
		Run        gathering.RunState      `json:"run"`
		Seq        int64                   `json:"seq"`
		Queued     gathering.RunQueuedData `json:"queued"`
		Input      writtenValue            `json:"input,omitzero"`
		QueuedAt   time.Time               `json:"queued_at"`
		StartedAt  time.Time               `json:"started_at,omitzero"`
		EndedAt    time.Time               `json:"ended_at,omitzero"`
		Output     writtenValue            `json:"output,omitzero"`
		Failure    *gathering.Failure      `json:"failure,omitempty"`
		Usage      gathering.Usage         `json:"usage,omitzero"`
		Rests      int64                   `json:"rests,omitempty"`
		Paused     bool                    `json:"paused,omitempty"`
		PausedBy   string                  `json:"paused_by,omitempty"`
		Stopping   string                  `json:"stopping,omitempty"`
		StoppingAt time.Time               `json:"stopping_at,omitzero"`
		Nodes      map[string]writtenNode  `json:"nodes"`
		Edges      []edgeState             `json:"edges"`
		Undecided  []string                `json:"undecided,omitempty"`
		Fans       []writtenFan            `json:"fans,omitempty"` // in the order in which they began
	}
	writtenNode struct {
		State     gathering.NodeState `json:"s"`
		Attempt   int                 `json:"a,omitempty"`
		Uncounted bool                `json:"u,omitempty"`
		Call      int                 `json:"c,omitempty"`
		Doubt     bool                `json:"d,omitempty"`
		Unknown   bool                `json:"unknown,omitempty"`
		Input     writtenValue        `json:"i,omitzero"`
		Output    writtenValue        `json:"o,omitzero"`
		Branch    string              `json:"b,omitempty"`
		OnError   gathering.OnError   `json:"e,omitempty"`
		Failure   *gathering.Failure  `json:"f,omitempty"`
		PutOff    *gathering.Failure  `json:"off,omitempty"`
		Steps     []gathering.Step    `json:"steps,omitempty"`
		Child     gathering.RunID     `json:"child,omitempty"`
		Detached  bool                `json:"detached,omitempty"`
		Due       time.Time           `json:"due,omitzero"`
		StartedAt time.Time           `json:"started,omitzero"`
		AttemptAt time.Time           `json:"attempt,omitzero"`
		EndedAt   time.Time           `json:"ended,omitzero"`
		EndSeq    int64               `json:"end,omitempty"`
		HaltedAt  time.Time           `json:"halted,omitzero"`
		Failing   bool                `json:"failing,omitempty"`
		InPending int                 `json:"pending,omitempty"`
		InTaken   int                 `json:"taken,omitempty"`
		Came      []string            `json:"came,omitempty"`
	}
	writtenFan struct {
		Node  string       `json:"node"`
		Items writtenValue `json:"items"`
	}
	// writtenValue is a value, or where it is long, its name.
	writtenValue struct {
		Value json.RawMessage `json:"v,omitempty"`
		Hash  string          `json:"h,omitempty"`
	}
)

// nextSnapshot returns a snapshot where a fold from the last one would take
// long, unless it would have too much to write, and else nil.
func (s *State) nextSnapshot() (*Snapshot, error) {
	if s.Seq-s.shotSeq < snapshotEvents && s.shotBytes < snapshotBytes {
		return nil, nil //nolint:nilnil // none is due
	}
	if s.weight() > maxSnapshot {
		s.shotSeq, s.shotBytes = s.Seq, 0
		return nil, nil //nolint:nilnil // none is made
	}
	shot, err := s.Snapshot()
	return &shot, err
}

// weight is how many bytes the values have that a snapshot writes.
func (s *State) weight() int {
	bytes := len(s.Queued.Input) + len(s.Output)
	for _, value := range s.Queued.Vars {
		bytes += len(value)
	}
	for i := range s.nodes {
		n := &s.nodes[i]
		bytes += len(n.input) + len(n.output)
		for k := range n.steps {
			bytes += len(n.steps[k].Result)
		}
	}
	return bytes
}

// Snapshot writes the state down.
func (s *State) Snapshot() (Snapshot, error) {
	s.shotSeq, s.shotBytes = s.Seq, 0
	shot := Snapshot{Seq: s.Seq, Values: make(map[string]json.RawMessage)}
	w := writtenState{
		Run: s.Run, Seq: s.Seq, Queued: s.Queued, Input: shot.value(s.Queued.Input), QueuedAt: s.QueuedAt, StartedAt: s.StartedAt, EndedAt: s.EndedAt,
		Output: shot.value(s.Output), Failure: s.Failure, Usage: s.Usage,
		Rests: s.rests, Paused: s.paused, PausedBy: s.pausedBy, Stopping: s.stopping, StoppingAt: s.stoppingAt,
		Nodes: make(map[string]writtenNode, len(s.nodes)), Edges: s.edges,
	}
	w.Queued.Input = nil
	for _, i := range s.undecided {
		w.Undecided = append(w.Undecided, s.Path(i))
	}
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.item == 0 {
			w.Fans = append(w.Fans, writtenFan{Node: s.Path(n.of), Items: shot.value(joinItems(s.nodes[n.of].fan.items))})
		}
		if n.state != gathering.NodePending || n.inPending != len(s.incoming(i)) {
			w.Nodes[s.Path(i)] = s.written(i, &shot)
		}
	}
	for i := range s.graph.nodes {
		if f := s.nodes[i].fan; f != nil && len(f.items) == 0 {
			w.Fans = append(w.Fans, writtenFan{Node: s.Path(i), Items: writtenValue{Value: json.RawMessage("[]")}})
		}
	}
	data, err := encodeData(w)
	if err != nil {
		return Snapshot{}, fmt.Errorf("write a snapshot of %s: %w", s.ID, err)
	}
	shot.Data = data
	return shot, nil
}

// incoming lists the edges that lead to node i; an item has none.
func (s *State) incoming(i int) []int {
	if s.nodes[i].item >= 0 {
		return nil
	}
	return s.graph.in[i]
}

func (shot *Snapshot) value(v json.RawMessage) writtenValue {
	if len(v) <= longValue {
		return writtenValue{Value: v}
	}
	sum := sha256.Sum256(v)
	hash := hex.EncodeToString(sum[:])
	shot.Values[hash] = v
	return writtenValue{Hash: hash}
}

func (s *State) written(i int, shot *Snapshot) writtenNode {
	n := &s.nodes[i]
	w := writtenNode{
		State: n.state, Attempt: n.attempt, Uncounted: n.uncounted, Call: n.call, Doubt: n.doubt, Unknown: n.unknown, Output: shot.value(n.output),
		Branch: n.branch, OnError: n.onError, Failure: n.failure, PutOff: n.putOff, Steps: n.steps, Child: n.child, Detached: n.detached,
		Due: n.due, StartedAt: n.startedAt, AttemptAt: n.attemptAt, EndedAt: n.endedAt, EndSeq: n.endSeq, HaltedAt: n.haltedAt, Failing: n.failing,
		InPending: n.inPending, InTaken: n.inTaken,
	}
	if n.fan == nil {
		w.Input = shot.value(n.input)
	}
	for _, from := range n.came {
		w.Came = append(w.Came, s.Path(from))
	}
	return w
}

// Restore reads a snapshot back. Value fetches a long value by its name.
func Restore(s *State, data []byte, value func(hash string) (json.RawMessage, error)) error {
	var w writtenState
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read the snapshot of %s: %w", s.ID, err)
	}
	if len(w.Edges) != len(s.edges) {
		return fmt.Errorf("read the snapshot of %s: it has %d edges and the graph %d", s.ID, len(w.Edges), len(s.edges))
	}
	r := restoring{state: s, value: value}
	w.Queued.Input = r.read(w.Input)
	s.queue(gathering.Event{At: w.QueuedAt}, &w.Queued)
	s.Run, s.Seq, s.StartedAt, s.EndedAt = w.Run, w.Seq, w.StartedAt, w.EndedAt
	s.shotSeq, s.rests = w.Seq, w.Rests
	s.Output, s.Failure, s.Usage = r.read(w.Output), w.Failure, w.Usage
	s.paused, s.pausedBy, s.stopping, s.stoppingAt, s.edges = w.Paused, w.PausedBy, w.Stopping, w.StoppingAt, w.Edges
	for _, f := range w.Fans {
		r.fan(f)
	}
	for path, n := range w.Nodes {
		r.node(path, n)
	}
	s.undecided = nil
	for _, path := range w.Undecided {
		s.undecided = append(s.undecided, r.find(path))
	}
	if r.err != nil {
		return fmt.Errorf("read the snapshot of %s: %w", s.ID, r.err)
	}
	return nil
}

// restoring keeps the first thing that is wrong with a snapshot.
type restoring struct {
	state *State
	value func(hash string) (json.RawMessage, error)
	err   error
}

func (r *restoring) read(v writtenValue) json.RawMessage {
	if v.Hash == "" || r.err != nil {
		return v.Value
	}
	long, err := r.value(v.Hash)
	if err != nil {
		r.err = err
	}
	return long
}

func (r *restoring) find(path string) int {
	i, err := r.state.find(path)
	if err != nil && r.err == nil {
		r.err = err
	}
	return i
}

func (r *restoring) fan(f writtenFan) {
	i := r.find(f.Node)
	do, ok := r.state.nodes[i].spec.Do.(Map)
	if r.err != nil || !ok {
		return
	}
	r.state.nodes[i].input = r.read(f.Items)
	if err := r.state.spread(i, do); err != nil && r.err == nil {
		r.err = err
	}
}

func (r *restoring) node(path string, w writtenNode) {
	i := r.find(path)
	if r.err != nil {
		return
	}
	s := r.state
	n := &s.nodes[i]
	s.move(i, w.State)
	n.attempt, n.uncounted, n.call = w.Attempt, w.Uncounted, w.Call
	// The first snapshots did not say so.
	unknown := w.Failure != nil && w.Failure.Code == gathering.CodeUnknownOutcome
	n.doubt = w.Doubt || unknown && s.works(i) && !w.State.Terminal()
	n.unknown = w.Unknown || w.State == gathering.NodeUnknown
	n.output, n.branch, n.onError, n.failure = r.read(w.Output), w.Branch, w.OnError, w.Failure
	n.putOff, n.endSeq = w.PutOff, w.EndSeq
	n.steps, n.child, n.detached, n.due = w.Steps, w.Child, w.Detached, w.Due
	n.startedAt, n.attemptAt, n.endedAt, n.haltedAt = w.StartedAt, w.AttemptAt, w.EndedAt, w.HaltedAt
	n.inPending, n.inTaken = w.InPending, w.InTaken
	n.failing = w.Failing || n.fan != nil && !w.HaltedAt.IsZero() && w.Failure != nil // as the first snapshots said it
	if n.fan == nil {
		n.input = r.read(w.Input)
	}
	for _, from := range w.Came {
		n.came = append(n.came, r.find(from))
	}
}

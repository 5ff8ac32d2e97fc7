package engine

import (
	"bytes"
	"encoding/json"
	"fmt"

	"gathering"
)

// spread makes room for the items of map i, which has just begun: its input is
// the list of them.
func (s *State) spread(i int, do Map) error {
	var items []json.RawMessage
	if err := json.Unmarshal(s.nodes[i].input, &items); err != nil {
		return fmt.Errorf("read the items of %s: %w", s.Path(i), err)
	}
	spec := do.Do
	spec.ID = s.nodes[i].spec.ID
	f := &fan{items: items}
	if len(items) > 0 {
		f.first = len(s.nodes)
	}
	for k := range items {
		s.nodes = append(s.nodes, node{spec: &spec, item: k, of: i, state: gathering.NodePending})
	}
	s.nodes[i].fan = f
	s.lookAtMap(i)
	return nil
}

// forgetItems lets go of what the items of map i left behind, once it is in the
// map's own output.
func (s *State) forgetItems(i int) {
	f := s.nodes[i].fan
	if f == nil {
		return
	}
	for k := range f.items {
		s.nodes[f.first+k].output = nil
	}
}

// spreadsChildren reports whether a map has child runs under way.
func (s *State) spreadsChildren() bool {
	for i := range s.graph.nodes {
		do, ok := s.graph.nodes[i].Do.(Map)
		if !ok || s.nodes[i].state != gathering.NodeRunning || s.nodes[i].fan.underway == 0 {
			continue
		}
		if _, ok := do.Do.Do.(Child); ok {
			return true
		}
	}
	return false
}

// lookAtMap puts a map among those to be looked at.
func (s *State) lookAtMap(i int) {
	if f := s.nodes[i].fan; f != nil && !f.queued {
		f.queued = true
		s.maps = append(s.maps, i)
	}
}

// spreadOut begins a map: its items are what it is over.
func (t *turn) spreadOut(i int, do Map) {
	items, err := do.Over(t.s.scope(i))
	if err == nil && len(items) > MaxItems {
		err = gathering.NewError(gathering.KindTooLarge, "it is over %d items; the limit is %d", len(items), MaxItems)
	}
	if err != nil {
		t.failed(i, gathering.FailureOf(err))
		return
	}
	list := joinItems(items)
	if len(list) > gathering.MaxValueBytes {
		t.failed(i, gathering.FailureOf(gathering.NewError(gathering.KindTooLarge,
			"its items are over the limit of %d bytes", gathering.MaxValueBytes)))
		return
	}
	t.emitNode(gathering.EventNodeStarted, i, 1, &gathering.NodeStartedData{Input: list})
}

// advance begins as many of a map's items as may be under way, and ends the map
// after the last.
func (t *turn) advance(i int) {
	n := &t.s.nodes[i]
	do, ok := n.spec.Do.(Map)
	if !ok || n.state != gathering.NodeRunning {
		return
	}
	f := n.fan
	limit := do.MaxParallel
	if limit <= 0 {
		limit = DefaultMaxParallel
	}
	for t.err == nil && !t.s.halting(i) && f.underway < limit && f.next < len(f.items) {
		k := f.first + f.next
		f.next++
		if t.s.nodes[k].state == gathering.NodePending {
			t.start(k)
		}
	}
	halting, open := t.s.halting(i), f.underway
	if t.s.stopping != "" {
		open -= f.unknown
	}
	switch {
	case t.err != nil || open > 0:
	case !halting && f.next < len(f.items):
	case t.s.failing(i):
		t.failed(i, n.failure)
	case halting:
		t.cancelNode(i)
	default:
		t.completed(i, Outcome{Output: t.gather(f)})
	}
}

// gather lists the outputs of a map's items.
func (t *turn) gather(f *fan) json.RawMessage {
	outputs := make([]json.RawMessage, len(f.items))
	for k := range outputs {
		outputs[k] = t.s.nodes[f.first+k].output
	}
	return joinItems(outputs)
}

func joinItems(items []json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		if item == nil {
			item = json.RawMessage("null")
		}
		b.Write(item)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// arrived is what a join leaves behind: who came, in that order, with what.
func (t *turn) arrived(i int) Outcome {
	var b bytes.Buffer
	b.WriteByte('[')
	came := t.s.nodes[i].came
	if need := t.s.nodes[i].need(); need > 0 {
		came = came[:min(need, len(came))] // what came later changes nothing
	}
	for k, from := range came {
		if k > 0 {
			b.WriteByte(',')
		}
		output := t.s.output(from)
		if output == nil {
			output = json.RawMessage("null")
		}
		b.WriteString(`{"node":"` + t.g.nodes[from].ID + `","output":`)
		b.Write(output)
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return Outcome{Output: b.Bytes()}
}

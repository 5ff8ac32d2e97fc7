package engine

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"gathering"
)

// Fork is the first turn of a run that repeats another from some nodes on. The
// nodes that these do not lead to keep what they came to; their ends are
// written into the new run's log. Without nodes it goes on where the other did
// not: from everything that did not end well. A map whose items are the same
// keeps those that are done, unless it is named. S is the new run's state
// before its first event, of the graph that the old run had. The error is of
// kind invalid where a node is not there, of kind conflict where there is
// nothing to repeat, or something that may have acted and is not named.
func Fork(s, old *State, now time.Time, data gathering.RunQueuedData, from []string) (Turn, error) {
	f := fork{old: old, named: make(map[int]bool), again: make([]bool, len(old.graph.nodes))}
	for _, id := range from {
		i, err := old.graph.node(id)
		if err != nil {
			return Turn{}, gathering.NewError(gathering.KindInvalid, "the run has no node %q", id).
				WithFields(gathering.FieldError{Field: "from", Problem: "must name nodes of the run's pipeline"})
		}
		f.named[i] = true
	}
	f.sameInput = bytes.Equal(gathering.CompactJSON(data.Input), gathering.CompactJSON(old.Queued.Input)) && len(data.Vars) == len(old.Queued.Vars)
	for name, value := range data.Vars {
		f.sameInput = f.sameInput && bytes.Equal(value, old.Queued.Vars[name])
	}
	f.spread()
	if err := f.refuse(); err != nil {
		return Turn{}, err
	}
	origin := &gathering.Origin{Run: old.ID}
	for _, i := range old.graph.order {
		switch {
		case !f.again[i]:
			if f.open(i) {
				origin.Open = append(origin.Open, old.graph.nodes[i].ID)
			}
			if f.kept(i) {
				origin.Kept = append(origin.Kept, old.graph.nodes[i].ID)
			}
		case f.first(i):
			origin.From = append(origin.From, old.graph.nodes[i].ID)
		}
	}
	if len(origin.From) == 0 {
		return Turn{}, gathering.NewError(gathering.KindConflict, "every node of run %s ended well; say from which node on it is to be repeated", old.ID)
	}
	data.Origin = origin
	t := newTurn(s, now)
	t.emit(gathering.EventRunQueued, &data)
	for _, i := range f.inOrder() {
		f.copy(t, i)
	}
	return t.Turn, t.err
}

// fork decides what of an old run is done again.
type fork struct {
	old       *State
	named     map[int]bool
	again     []bool
	sameInput bool
}

// inOrder lists the nodes in the order in which they ended, so that a join that
// is done again is come to as before; then the others.
func (f *fork) inOrder() []int {
	order := slices.Clone(f.old.graph.order)
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := f.old.nodes[a].endSeq, f.old.nodes[b].endSeq
		if x == 0 || y == 0 {
			return cmp.Compare(y, x)
		}
		return cmp.Compare(x, y)
	})
	return order
}

// spread finds the nodes that are done again: those named, or what did not end
// well, and all that follow. What a join did not need is left alone while the
// join itself is.
func (f *fork) spread() {
	for more := true; more; {
		more = false
		unneeded := f.unneeded()
		for _, i := range f.old.graph.order {
			again := f.again[i] || f.named[i] || !f.well(i) && !unneeded[i] && !f.leftOut(i)
			for _, e := range f.old.graph.in[i] {
				again = again || f.again[f.old.graph.edges[e].from]
			}
			more = more || again != f.again[i]
			f.again[i] = again
		}
	}
}

// unneeded finds what did not end well before joins that are kept.
func (f *fork) unneeded() map[int]bool {
	nodes := make(map[int]bool)
	for join, rest := range f.old.graph.rest {
		if f.old.nodes[join].state != gathering.NodeCompleted || f.again[join] {
			continue
		}
		for _, i := range rest {
			nodes[i] = !f.well(i)
		}
	}
	return nodes
}

// refuse returns an error where something would be done again of which nobody
// knows whether it was done, and that was not asked for by name.
func (f *fork) refuse() error {
	var open []string
	for _, i := range f.old.graph.order {
		if f.again[i] && !f.named[i] && f.open(i) {
			open = append(open, f.old.graph.nodes[i].ID)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return gathering.NewError(gathering.KindConflict, "%s of run %s may have acted and nobody can tell; what is to be done again all the same must be named as where to begin",
		strings.Join(open, ", "), f.old.ID)
}

// open reports whether node i, or an item of it, may have acted or still does,
// in the old run or one that it repeats.
func (f *fork) open(i int) bool {
	n := &f.old.nodes[i]
	if origin := f.old.Queued.Origin; origin != nil && slices.Contains(origin.Open, n.spec.ID) {
		return true
	}
	if n.fan == nil {
		return f.old.open(i)
	}
	for k := range n.fan.items {
		if f.old.open(n.fan.first + k) {
			return true
		}
	}
	return false
}

// well reports whether a node ended and its outcome was dealt with.
func (f *fork) well(i int) bool {
	n := &f.old.nodes[i]
	if n.state == gathering.NodeFailed || n.state == gathering.NodeTimedOut {
		return n.onError == gathering.OnErrorContinue || n.onError == gathering.OnErrorBranch
	}
	return n.state == gathering.NodeCompleted
}

// leftOut reports whether a node was skipped because its edges did not let it
// run, and not because the run was stopped before its turn.
func (f *fork) leftOut(i int) bool {
	n := &f.old.nodes[i]
	return n.state == gathering.NodeSkipped && len(f.old.graph.in[i]) > 0 && n.inTaken < max(n.need(), 1)
}

func (f *fork) kept(i int) bool { return !f.again[i] && f.well(i) }

// first reports whether a node is done again by itself and not only because of
// one before it.
func (f *fork) first(i int) bool {
	before := slices.ContainsFunc(f.old.graph.in[i], func(e int) bool { return f.again[f.old.graph.edges[e].from] })
	return f.again[i] && !before
}

// copy writes the end that a node keeps.
func (f *fork) copy(t *turn, i int) {
	n := &f.old.nodes[i]
	switch {
	case f.again[i]:
		f.copyItems(t, i)
	case n.state == gathering.NodeCompleted:
		t.emitNode(gathering.EventNodeCompleted, i, n.attempt, &gathering.NodeCompletedData{Output: n.output, Branch: n.branch})
		for _, rest := range t.g.rest[i] {
			if !f.well(rest) && t.s.nodes[rest].state == gathering.NodePending {
				t.skip(rest, skippedUnused)
			}
		}
	case f.well(i):
		t.emitNode(gathering.EventNodeFailed, i, n.attempt, &gathering.NodeFailedData{
			State: n.state, Failure: n.failure, OnError: n.onError, Output: n.output,
		})
	}
}

// copyItems begins a map that did not end well with those of its items that did.
func (f *fork) copyItems(t *turn, i int) {
	fan := f.old.nodes[i].fan
	if fan == nil || f.named[i] || !f.first(i) || !f.sameInput || f.old.nodes[i].state == gathering.NodeCompleted {
		return
	}
	t.emitNode(gathering.EventNodeStarted, i, 1, &gathering.NodeStartedData{Input: joinItems(fan.items)})
	for k := range fan.items {
		item := &f.old.nodes[fan.first+k]
		if to := t.s.nodes[i].fan; t.err == nil && item.state == gathering.NodeCompleted {
			t.emitNode(gathering.EventNodeCompleted, to.first+k, item.attempt, &gathering.NodeCompletedData{Output: item.output})
		}
	}
}

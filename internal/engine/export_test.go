package engine

import (
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// DiffStates tells how two states of one graph differ.
func DiffStates(want, got *State) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(State{}, node{}, fan{}),
		cmpopts.IgnoreFields(State{}, "graph", "progress", "undecided", "maps", "holding", "shotSeq", "shotBytes"), cmpopts.IgnoreFields(node{}, "spec"),
		cmpopts.IgnoreFields(fan{}, "next", "queued"), cmpopts.EquateEmpty())
}

// NextSnapshot is what a commit of the state would bring along.
func (s *State) NextSnapshot() (*Snapshot, error) { return s.nextSnapshot() }

// Undecided counts the edges that are neither taken nor dead.
func (s *State) Undecided() int {
	n := 0
	for _, e := range s.edges {
		if e == edgePending {
			n++
		}
	}
	return n
}

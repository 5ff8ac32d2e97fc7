package engine

import (
	"gathering"
	"gathering/internal/expr"
)

// scope is what the expressions of node i see; -1 is the run's output. It
// reads the state and holds only within the turn that made it.
func (s *State) scope(i int) *expr.Scope {
	scope := &expr.Scope{
		Input:   s.Queued.Input,
		Trigger: s.trigger,
		Vars:    s.vars,
		Node:    s.scopeNode,
		Run:     expr.Run{ID: string(s.ID), StartedAt: s.StartedAt, Project: string(s.Project)},
	}
	if i < 0 {
		return scope
	}
	at := i
	if n := &s.nodes[i]; n.item >= 0 {
		at = n.of
		scope.Item, scope.Index = s.nodes[at].fan.items[n.item], n.item
	}
	for _, e := range s.graph.in[at] {
		if s.edges[e] == edgeTaken && s.graph.edges[e].branch == gathering.BranchError {
			scope.Error = s.nodes[s.graph.edges[e].from].failure
		}
	}
	return scope
}

func (s *State) scopeNode(id string) (expr.Node, bool) {
	i, ok := s.graph.index[id]
	if !ok {
		return expr.Node{}, false
	}
	return expr.Node{
		Output:     s.output(i),
		State:      string(s.nodes[i].state),
		FinishedAt: s.nodes[i].endedAt,
	}, true
}

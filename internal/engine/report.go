package engine

import (
	"slices"

	"gathering"
)

// Report tells where the run and each node stand.
func (s *State) Report() gathering.RunReport {
	r := gathering.RunReport{
		Run: s.ID, State: s.Run, PausedBy: s.pausedBy, Origin: s.Queued.Origin, Output: s.Output, Error: s.Failure, Usage: s.Usage,
		StartedAt: timePointer(s.StartedAt), FinishedAt: timePointer(s.EndedAt),
		Nodes: make([]gathering.NodeReport, 0, len(s.graph.nodes)),
	}
	for _, i := range s.graph.order {
		n := &s.nodes[i]
		r.Nodes = append(r.Nodes, gathering.NodeReport{
			ID: n.spec.ID, Kind: n.spec.Kind,
			State: n.state, Attempts: n.attempt, Output: s.output(i), Error: n.why(),
			Child: n.child, Due: timePointer(n.due), Uncounted: n.uncounted, Items: s.itemsReport(n.fan),
			StartedAt: timePointer(n.startedAt), FinishedAt: timePointer(n.endedAt),
		})
	}
	return r
}

func (s *State) itemsReport(f *fan) *gathering.ItemsReport {
	if f == nil {
		return nil
	}
	r := &gathering.ItemsReport{Total: len(f.items)}
	var asking, underway, ended []int
	for k := range f.items {
		n := &s.nodes[f.first+k]
		switch {
		case n.state == gathering.NodePending:
			continue
		case n.state == gathering.NodeCompleted:
			r.Completed++
			continue
		case n.state.Terminal():
			r.Failed++
			ended = append(ended, k)
		case n.state == gathering.NodeUnknown:
			r.Unknown++
			asking = append(asking, k)
		default:
			r.Running++
			underway = append(underway, k)
		}
	}
	open := slices.Concat(asking, underway, ended)
	for _, k := range open[:min(len(open), gathering.MaxOpenItems)] {
		n := &s.nodes[f.first+k]
		r.Open = append(r.Open, gathering.ItemReport{
			Index: k, State: n.state, Attempts: n.attempt, Error: n.why(), Child: n.child, Due: timePointer(n.due), Uncounted: n.uncounted,
		})
	}
	return r
}

// why is what a node failed with, or for which its attempt is made again.
func (n *node) why() *gathering.Failure {
	if n.putOff != nil {
		return n.putOff
	}
	return n.failure
}

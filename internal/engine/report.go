package engine

import (
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
			State: n.state, Attempts: n.attempt, Output: s.output(i), Error: n.failure,
			Child: n.child, Due: timePointer(n.due), Items: s.itemsReport(n.fan),
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
		case n.state == gathering.NodeUnknown:
			r.Unknown++
		default:
			r.Running++
		}
		if len(r.Open) < gathering.MaxOpenItems {
			r.Open = append(r.Open, gathering.ItemReport{
				Index: k, State: n.state, Attempts: n.attempt, Error: n.failure, Child: n.child, Due: timePointer(n.due),
			})
		}
	}
	return r
}

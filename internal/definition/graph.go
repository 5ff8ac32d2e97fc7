package definition

import (
	"strconv"
	"strings"

	"gathering"
)

const (
	maxCycles     = 20 // reported by one load
	maxCycleNodes = 12 // named of one cycle
)

// graph checks what only the whole graph tells.
func (l *loader) graph() {
	in := make([]int, len(l.drafts))
	errorOut := make([]bool, len(l.drafts))
	seen := make(map[gathering.Edge]bool, len(l.links)) // needs and the list of edges may repeat each other
	for _, e := range l.links {
		if !seen[e.edge] {
			in[l.index[e.edge.To]]++
		}
		seen[e.edge] = true
		if e.edge.Branch == gathering.BranchError {
			errorOut[l.index[e.edge.From]] = true
		}
	}
	l.triggers(in)
	l.cycles()
	for i, d := range l.drafts {
		if d.node.OnError == gathering.OnErrorBranch && !errorOut[i] {
			l.add(d.locate("on_error"), "no edge leads from its error branch", "let a node need "+d.id+".error")
		}
		if d.kind != nil && d.kind.MaxIn > 0 && in[i] > d.kind.MaxIn {
			l.add(d.at, "has more edges leading to it than its kind allows", "at most "+strconv.Itoa(d.kind.MaxIn))
		}
		if d.sound && d.kind.Check != nil && !d.faultyEdge {
			for _, f := range d.kind.Check(d.rawConfig(), in[i]) {
				l.add(d.locate(f.Path), f.Problem, f.Remedy)
			}
		}
	}
}

// triggers checks that the graph begins at one place, and that every node can
// be reached from there. Whatever lies behind a node that cannot is not
// reported for it again.
func (l *loader) triggers(in []int) {
	var first *draft
	unknown := false // a node of unknown kind may be meant to be the trigger
	for i, d := range l.drafts {
		switch {
		case d.kind == nil:
			unknown = true
		case d.kind.trigger() && in[i] > 0:
			l.add(d.locate("needs"), "a trigger begins the run and needs nothing", "remove the edges that lead to it")
		}
		switch {
		case d.kind == nil || !d.kind.trigger():
		case first == nil:
			first = d
		default:
			l.add(d.at, "is a second trigger", "the first is "+first.id+" on line "+strconv.Itoa(first.at.line)+"; keep one")
		}
	}
	if first == nil {
		if len(l.drafts) > 0 && !unknown {
			l.add(place{"nodes", l.drafts[0].at.line}, "there is no trigger, so a run has no beginning", "add start: {kind: trigger}")
		}
		return
	}
	for i, d := range l.drafts {
		if in[i] == 0 && d.kind != nil && !d.kind.trigger() && !d.faultyEdge && d.needs.usable() {
			l.add(d.at, "can never run, because nothing leads to it", "write needs: ["+first.id+"] or the node it comes after")
		}
	}
}

// usable reports whether a list of needs can be read, so that a fault in it
// is not the reason why it says nothing.
func (v *value) usable() bool { return v.absent() || v.kind == kindList && len(v.items) == 0 }

// cycles reports the edges that close a cycle, each with the way around.
func (l *loader) cycles() {
	out := make([][]int, len(l.drafts)) // by node: indexes of links
	for i, e := range l.links {
		from := l.index[e.edge.From]
		out[from] = append(out[from], i)
	}
	w := cycleWalk{loader: l, out: out, state: make([]visit, len(l.drafts))}
	for i := range l.drafts {
		w.walk(i)
	}
}

type visit int

const (
	unseen visit = iota
	open         // on the way that is being walked
	done
)

// cycleWalk walks the graph depth first.
type cycleWalk struct {
	*loader
	out    [][]int
	state  []visit
	way    []int // the open nodes
	cycles int
}

func (w *cycleWalk) walk(node int) {
	if w.state[node] != unseen {
		return
	}
	w.state[node] = open
	w.way = append(w.way, node)
	for _, i := range w.out[node] {
		to := w.index[w.links[i].edge.To]
		if w.state[to] == open {
			w.closed(to, w.links[i].at)
		}
		w.walk(to)
	}
	w.way = w.way[:len(w.way)-1]
	w.state[node] = done
}

// closed reports the cycle from a node along the way and back to it.
func (w *cycleWalk) closed(node int, at place) {
	if w.cycles++; w.cycles > maxCycles {
		return
	}
	start := len(w.way) - 1
	for w.way[start] != node {
		start--
	}
	cycle := w.way[start:]
	names := make([]string, 0, maxCycleNodes+2)
	for i, n := range cycle {
		if i == maxCycleNodes-1 && len(cycle) > maxCycleNodes {
			names = append(names, strconv.Itoa(len(cycle)-i-1)+" more")
			n = cycle[len(cycle)-1]
			names = append(names, w.drafts[n].id)
			break
		}
		names = append(names, w.drafts[n].id)
	}
	names = append(names, w.drafts[node].id)
	w.add(at, "the nodes wait for each other: "+strings.Join(names, " → "), "remove one of these edges")
}

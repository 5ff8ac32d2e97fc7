package definition

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"gathering"
)

// link is an edge and where it is written: in a node's needs, or in the list
// of edges, which may repeat each other.
type link struct {
	at   place
	edge gathering.Edge
}

// edges reads the needs of all nodes and the list of edges.
func (l *loader) edges(list *value) {
	for _, d := range l.drafts {
		l.ownBranches(d)
		l.needs(d)
	}
	if !list.absent() {
		l.edgeList(list)
	}
	if len(l.links) > MaxEdges {
		l.add(place{"edges", 1}, "there are more than "+strconv.Itoa(MaxEdges)+" edges",
			"move a part into a pipeline of its own and call it with a pipeline node")
		l.links = nil
	}
}

// ownBranches checks that the branches of a node can be told apart.
func (l *loader) ownBranches(d *draft) {
	if !d.sound {
		return
	}
	d.branches = d.kind.branches(d)
	sorted := slices.Sorted(slices.Values(d.branches))
	switch {
	case slices.Contains(sorted, gathering.BranchError):
		l.add(d.at, `has a branch called "error", which is the name of the branch that a failure takes`, "call it something else")
	case len(slices.Compact(sorted)) < len(d.branches):
		l.add(d.at, "has two branches of one name", "call one of them something else")
	}
}

func (l *loader) needs(d *draft) {
	if d.needs == nil {
		return
	}
	at := d.at.in("needs", d.needs.line)
	if d.needs.kind != kindList {
		l.wrongType(at, d.needs, "a list of node IDs", "put the IDs in brackets: [a, b]")
		return
	}
	seen := make(map[gathering.Edge]bool, len(d.needs.items))
	for i, item := range d.needs.items {
		here := at.item(i, item.line)
		text, ok := l.text(here, item, MaxID+1+MaxName)
		if !ok {
			continue
		}
		from, branch, dotted := strings.Cut(text, ".")
		if dotted && branch == "" {
			l.add(here, "ends with a dot", "write the node's ID, or ID.branch")
			continue
		}
		l.link(here, gathering.Edge{From: from, To: d.id, Branch: branch}, seen)
	}
}

func (l *loader) edgeList(list *value) {
	at := place{"edges", list.line}
	if list.kind != kindList {
		l.wrongType(at, list, "a list", "write [{from: a, to: b}]")
		return
	}
	seen := make(map[gathering.Edge]bool, len(list.items))
	for i, item := range list.items {
		here := at.item(i, item.line)
		if !l.object(here, item, "a mapping such as {from: a, to: b}") {
			continue
		}
		l.unknown(here, item, []string{"from", "to", "branch"}, "an edge")
		from, ok := l.end(here, item, "from")
		to, alsoOK := l.end(here, item, "to")
		branch := ""
		if v := item.member("branch"); !v.absent() {
			branch, _ = l.text(here.in("branch", v.line), v, MaxName)
		}
		if ok && alsoOK {
			l.link(here, gathering.Edge{From: from, To: to, Branch: branch}, seen)
		}
	}
}

func (l *loader) end(at place, edge *value, name string) (string, bool) {
	v := edge.member(name)
	if v.absent() {
		l.add(at.in(name, edge.line), "is missing", "the ID of a node")
		return "", false
	}
	return l.text(at.in(name, v.line), v, MaxName)
}

// link keeps an edge between nodes that exist. Seen are those of the same list.
func (l *loader) link(at place, edge gathering.Edge, seen map[gathering.Edge]bool) {
	from, fromOK := l.index[edge.From]
	to, toOK := l.index[edge.To]
	l.unknownNode(at, edge.From)
	l.unknownNode(at, edge.To)
	switch {
	case !toOK:
		return
	case !fromOK:
		l.drafts[to].faultyEdge = true
		return
	case from == to:
		l.drafts[to].faultyEdge = true
		l.add(at, "a node cannot need itself", "remove the edge")
		return
	case seen[edge]:
		l.add(at, "this edge is listed twice", "keep one")
		return
	}
	seen[edge] = true
	l.links = append(l.links, link{at, edge})
	l.branch(at, l.drafts[from], edge.Branch)
}

func (l *loader) unknownNode(at place, id string) {
	if _, ok := l.index[id]; ok {
		return
	}
	ids := make([]string, len(l.drafts))
	for i, d := range l.drafts {
		ids[i] = d.id
	}
	l.add(at, "there is no node "+quoted(id), l.orOneOf(id, ids))
}

// branch checks that a node has the branch that an edge stands for.
func (l *loader) branch(at place, from *draft, branch string) {
	if branch == "" {
		return
	}
	if branch == gathering.BranchError {
		if from.kind != nil && from.node.OnError != gathering.OnErrorBranch {
			l.add(at, quoted(from.id)+" has no error branch", "give it on_error: branch")
		}
		return
	}
	if !from.sound {
		return // its branches cannot be known
	}
	switch {
	case slices.Contains(from.branches, branch):
	case len(from.branches) == 0:
		l.add(at, quoted(from.id)+" has no branches", "write the ID alone")
	default:
		l.add(at, quoted(from.id)+" has no branch "+quoted(branch), l.orOneOf(branch, from.branches))
	}
}

// sortedEdges is every edge once, by the order of the nodes it leads to and
// comes from.
func (l *loader) sortedEdges() []gathering.Edge {
	edges := make([]gathering.Edge, len(l.links))
	for i, e := range l.links {
		edges[i] = e.edge
	}
	slices.SortFunc(edges, func(a, b gathering.Edge) int {
		return cmp.Or(
			cmp.Compare(l.index[a.To], l.index[b.To]),
			cmp.Compare(l.index[a.From], l.index[b.From]),
			strings.Compare(a.Branch, b.Branch),
		)
	})
	edges = slices.Compact(edges)
	if len(edges) == 0 {
		return nil
	}
	return edges
}

package definition

import (
	"encoding/json"
	"slices"
	"strings"

	"gathering"
	"gathering/internal/expr"
	"gathering/internal/schema"
)

// CheckInput reports whether a run of def may begin with input; nil is null.
// Its error is of kind invalid and names the fields, as in "input.text".
func CheckInput(def *gathering.Definition, input json.RawMessage) error {
	if len(input) == 0 {
		input = json.RawMessage("null")
	}
	if err := gathering.CheckJSON("input", input); err != nil {
		return err
	}
	if len(def.InputSchema) == 0 {
		return nil
	}
	s, err := schema.Compile(def.InputSchema)
	if err != nil {
		return err
	}
	return s.Validate("input", input)
}

// Scopes says what the expressions of a definition may refer to. Of the nodes
// upstream of a place it gives only those that the texts there name, so that
// an [expr.Env] is quick to use. Secrets are out of scope: a field that may
// read them says so ([Field.Secrets]).
type Scopes struct {
	def     *gathering.Definition
	index   map[string]int
	above   [][]string // by node; and last, all nodes
	onError []bool     // an error edge leads to it
}

// NewScopes returns the scopes of a checked definition.
func NewScopes(def *gathering.Definition) *Scopes {
	ids := make([]string, len(def.Nodes))
	for i := range def.Nodes {
		ids[i] = def.Nodes[i].ID
	}
	return newScopes(ids, def.Edges, def)
}

func newScopes(ids []string, edges []gathering.Edge, def *gathering.Definition) *Scopes {
	s := &Scopes{
		def: def, index: make(map[string]int, len(ids)),
		above: append(upstream(ids, edges), ids), onError: make([]bool, len(ids)+1),
	}
	for i, id := range ids {
		s.index[id] = i
	}
	for _, e := range edges {
		if i, ok := s.index[e.To]; ok && e.Branch == gathering.BranchError {
			s.onError[i] = true
		}
	}
	return s
}

// Node is what the node of an ID sees.
func (s *Scopes) Node(id string) *expr.Env { return s.Item(id, "") }

// Item is what the map of an ID sees in what it does for each item, which it
// calls by the name given.
func (s *Scopes) Item(id, name string) *expr.Env {
	i, named := s.index[id], words{}
	for _, raw := range s.def.Nodes[i].Config {
		named.readAll((&report{}).readJSON(raw))
	}
	return s.env(i, name, named)
}

// Output is what the definition's output sees: all nodes.
func (s *Scopes) Output() *expr.Env {
	named := words{}
	if len(s.def.Output) > 0 {
		named.readAll((&report{}).readJSON(s.def.Output))
	}
	return s.env(len(s.index), "", named)
}

// Start is what can be seen before a run begins, as by the key of its
// concurrency.
func (s *Scopes) Start() *expr.Env {
	return &expr.Env{InputSchema: s.def.InputSchema, Vars: s.def.Vars, Queued: true}
}

// env is the scope of node i, with those upstream nodes that are named; a nil
// named is all of them.
func (s *Scopes) env(i int, item string, named words) *expr.Env {
	nodes := s.above[i]
	if named != nil {
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(id string) bool { return !named[id] })
	}
	return &expr.Env{Nodes: nodes, InputSchema: s.def.InputSchema, Vars: s.def.Vars, Item: item, Error: s.onError[i]}
}

// words are the identifiers in a text.
type words map[string]bool

// readAll adds the identifiers in every text of a value.
func (w words) readAll(v *value) {
	for word := range strings.FieldsFuncSeq(v.text, notInWord) {
		w[word] = true
	}
	for _, item := range v.items {
		w.readAll(item)
	}
	for i := range v.members {
		w.readAll(v.members[i].value)
	}
}

func notInWord(c rune) bool {
	return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
}

// bits is a set of nodes by number.
type bits []uint64

func (b bits) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// merge adds c to b and reports whether that brought anything new.
func (b bits) merge(c bits) bool {
	grown := false
	for i := range b {
		merged := b[i] | c[i]
		grown = grown || merged != b[i]
		b[i] = merged
	}
	return grown
}

// upstream lists for every node those that edges lead from, directly or
// through others. In a cycle every node is upstream of itself.
func upstream(ids []string, edges []gathering.Edge) [][]string {
	index := make(map[string]int, len(ids))
	above := make([]bits, len(ids))
	for i, id := range ids {
		index[id] = i
		above[i] = make(bits, len(ids)/64+1)
	}
	out := make([][]int, len(ids))
	for _, e := range edges {
		from, fromOK := index[e.From]
		to, toOK := index[e.To]
		if fromOK && toOK {
			above[to].add(from)
			out[from] = append(out[from], to)
		}
	}
	// From the beginning of the graph to its end, once is enough; it takes
	// another round for every cycle within a cycle.
	order := topDown(out)
	for grown := true; grown; {
		grown = false
		for _, node := range order {
			for _, to := range out[node] {
				grown = above[to].merge(above[node]) || grown
			}
		}
	}
	lists := make([][]string, len(ids))
	for i := range ids {
		for j := range ids {
			if above[i].has(j) {
				lists[i] = append(lists[i], ids[j])
			}
		}
	}
	return lists
}

// topDown orders nodes so that edges lead onwards, where there is no cycle.
func topDown(out [][]int) []int {
	order := make([]int, 0, len(out))
	seen := make([]bool, len(out))
	var walk func(node int)
	walk = func(node int) {
		if seen[node] {
			return
		}
		seen[node] = true
		for _, to := range out[node] {
			walk(to)
		}
		order = append(order, node)
	}
	for node := range out {
		walk(node)
	}
	slices.Reverse(order)
	return order
}

package definition

import (
	"encoding/json"
	"slices"
	"strings"

	"gathering"
	"gathering/internal/expr"
	"gathering/internal/schema"
)

// Env says what expressions of a node may refer to; node "" stands for the
// definition's output, which sees all nodes. Of the upstream nodes it holds
// only those that the node's own texts name, so that it is quick to use.
// Secrets are out of scope: a field that may read them says so
// ([Field.Secrets]).
func Env(def *gathering.Definition, node string) *expr.Env {
	return Envs(def)[node]
}

// Envs is [Env] of every node by its ID, and of the output under "".
func Envs(def *gathering.Definition) map[string]*expr.Env {
	s := newScopes(nodeIDs(def), def.Edges, def)
	envs := make(map[string]*expr.Env, len(def.Nodes)+1)
	for i := range def.Nodes {
		named := words{}
		for _, raw := range def.Nodes[i].Config {
			named.readAll((&report{}).readJSON(raw))
		}
		envs[def.Nodes[i].ID] = s.env(i, named)
	}
	named := words{}
	if len(def.Output) > 0 {
		named.readAll((&report{}).readJSON(def.Output))
	}
	envs[""] = s.env(len(def.Nodes), named)
	return envs
}

// Upstream lists, for every node, the nodes from which edges lead to it,
// directly or through others, in the order of the definition.
func Upstream(def *gathering.Definition) map[string][]string {
	ids := nodeIDs(def)
	upstream := upstream(ids, def.Edges)
	byNode := make(map[string][]string, len(ids))
	for i, id := range ids {
		byNode[id] = upstream[i]
	}
	return byNode
}

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

func nodeIDs(def *gathering.Definition) []string {
	ids := make([]string, len(def.Nodes))
	for i := range def.Nodes {
		ids[i] = def.Nodes[i].ID
	}
	return ids
}

// scopes says what is in scope at each node.
type scopes struct {
	def     *gathering.Definition
	above   [][]string // by node; and last, all nodes
	onError []bool     // an error edge leads to it
}

func newScopes(ids []string, edges []gathering.Edge, def *gathering.Definition) *scopes {
	s := &scopes{def: def, above: append(upstream(ids, edges), ids), onError: make([]bool, len(ids)+1)}
	index := make(map[string]int, len(ids))
	for i, id := range ids {
		index[id] = i
	}
	for _, e := range edges {
		if i, ok := index[e.To]; ok && e.Branch == gathering.BranchError {
			s.onError[i] = true
		}
	}
	return s
}

// env is the scope of node i, with those upstream nodes that are named; a nil
// named is all of them.
func (s *scopes) env(i int, named words) *expr.Env {
	nodes := s.above[i]
	if named != nil {
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(id string) bool { return !named[id] })
	}
	return &expr.Env{Nodes: nodes, InputSchema: s.def.InputSchema, Vars: s.def.Vars, Error: s.onError[i]}
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

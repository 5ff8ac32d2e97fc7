package definition

import (
	"encoding/json"
	"slices"

	"gathering"
	"gathering/internal/expr"
	"gathering/internal/schema"
)

// Env says what expressions of a node may refer to; node "" stands for the
// definition's output, which sees all nodes. Secrets are out of scope: a field
// that may read them says so ([Field.Secrets]).
func Env(def *gathering.Definition, node string) *expr.Env {
	envs := environments(nodeIDs(def), def.Edges, def)
	for i := range def.Nodes {
		if def.Nodes[i].ID == node {
			return &envs[i]
		}
	}
	return &envs[len(def.Nodes)]
}

// Envs is [Env] of every node by its ID, and of the output under "".
func Envs(def *gathering.Definition) map[string]*expr.Env {
	envs := environments(nodeIDs(def), def.Edges, def)
	byNode := make(map[string]*expr.Env, len(envs))
	for i := range def.Nodes {
		byNode[def.Nodes[i].ID] = &envs[i]
	}
	byNode[""] = &envs[len(def.Nodes)]
	return byNode
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

// environments are what is in scope at each of the nodes, and last at the
// output.
func environments(ids []string, edges []gathering.Edge, def *gathering.Definition) []expr.Env {
	envs := make([]expr.Env, len(ids)+1)
	for i := range envs {
		envs[i] = expr.Env{InputSchema: def.InputSchema, Vars: def.Vars}
	}
	index := make(map[string]int, len(ids))
	for i, above := range upstream(ids, edges) {
		envs[i].Nodes = above
		index[ids[i]] = i
	}
	for _, e := range edges {
		if i, ok := index[e.To]; ok && e.Branch == gathering.BranchError {
			envs[i].Error = true
		}
	}
	envs[len(ids)].Nodes = ids
	return envs
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

package node

import (
	"encoding/json"
	"fmt"
	"time"

	"gathering"
	"gathering/internal/agent"
	"gathering/internal/definition"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/expr"
	"gathering/internal/tool"
)

// Binder binds definitions to the tools and models of this process.
type Binder struct {
	Tools  *tool.Registry
	Agents *agent.Loop
	Deltas *event.Deltas // of what agents do right now; nil tells nobody
}

// binding is one node being bound.
type binding struct {
	*Binder

	def    *gathering.Definition
	kinds  map[string]func(*binding) (engine.Node, error)
	scopes *definition.Scopes
	node   *gathering.Node
	env    *expr.Env
}

// Bind makes a graph of a checked definition. A tool or model that is not
// there is no error here: the definition may be older than this process, and
// its node fails if it is reached.
func (b *Binder) Bind(def *gathering.Definition) (*engine.Graph, error) {
	table := make(map[string]func(*binding) (engine.Node, error))
	for _, k := range kinds() {
		table[k.Name] = k.bind
	}
	scopes := definition.NewScopes(def)
	nodes := make([]engine.Node, 0, len(def.Nodes))
	for i := range def.Nodes {
		n := &def.Nodes[i]
		bound, err := (&binding{Binder: b, def: def, kinds: table, scopes: scopes, node: n, env: scopes.Node(n.ID)}).bind()
		if err != nil {
			return nil, fmt.Errorf("bind node %s: %w", n.ID, err)
		}
		nodes = append(nodes, bound)
	}
	graph, err := engine.NewGraph(nodes, def.Edges)
	if err != nil {
		return nil, err
	}
	graph.Vars = def.Vars
	graph.Timeout = time.Duration(def.Timeout)
	if def.Concurrency != nil {
		if graph.Concurrency, err = concurrency(scopes, def.Concurrency); err != nil {
			return nil, fmt.Errorf("bind the bound on concurrency: %w", err)
		}
	}
	if def.Output != nil {
		template, err := compileTemplate(scopes.Output(), def.Output)
		if err != nil {
			return nil, fmt.Errorf("bind the output: %w", err)
		}
		graph.Output = template.Render
	}
	return graph, nil
}

// bind makes the node runnable, with what holds for nodes of every kind.
func (b *binding) bind() (engine.Node, error) {
	bind := b.kinds[b.node.Kind]
	if bind == nil {
		return engine.Node{}, gathering.NewError(gathering.KindInvalid, "node %s is of the unknown kind %q", b.node.ID, b.node.Kind)
	}
	bound, err := bind(b)
	return withPolicy(bound, b.node), err
}

func withPolicy(bound engine.Node, n *gathering.Node) engine.Node {
	bound.ID, bound.Kind = n.ID, n.Kind
	bound.Retry = gathering.DefaultRetry()
	if n.Retry != nil {
		bound.Retry = *n.Retry
	}
	bound.Timeout = time.Duration(n.Timeout)
	bound.TotalTimeout = time.Duration(n.TotalTimeout)
	bound.OnError, bound.Fallback, bound.OnUnknown, bound.OnOpen = n.OnError, n.Fallback, n.OnUnknown, n.OnOpen
	return bound
}

func compileTemplate(env *expr.Env, value json.RawMessage) (*expr.Template, error) {
	template, faults := env.Template(value)
	if len(faults) > 0 {
		return nil, gathering.NewError(gathering.KindInvalid, "%s", faults[0].Error())
	}
	return template, nil
}

// template compiles a field that holds a template; an absent one is nil.
func (b *binding) template(field string) (*expr.Template, error) {
	if b.node.Config[field] == nil {
		return nil, nil //nolint:nilnil // an absent field has no template
	}
	return compileTemplate(b.env, b.node.Config[field])
}

// input renders a template as a node's input; nil renders null.
func input(t *expr.Template) func(*expr.Scope) (json.RawMessage, error) {
	if t == nil {
		return nil
	}
	return t.Render
}

// expression compiles a field that holds an expression.
func (b *binding) expression(field string, want expr.Type) (*expr.Program, error) {
	return b.env.Compile(b.text(field), want)
}

// text is a field that holds a string, which was checked when it was stored.
func (b *binding) text(field string) string {
	var text string
	_ = json.Unmarshal(b.node.Config[field], &text) // checked when stored; absent is ""
	return text
}

func (b *binding) has(field string) bool { return b.node.Config[field] != nil }

// decode reads a field that was checked when it was stored; absent changes nothing.
func (b *binding) decode(field string, into any) error {
	if b.node.Config[field] == nil {
		return nil
	}
	if err := json.Unmarshal(b.node.Config[field], into); err != nil {
		return fmt.Errorf("read %s: %w", field, err)
	}
	return nil
}

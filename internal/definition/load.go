package definition

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"gathering"
	"gathering/internal/expr"
)

// Load reads a definition from YAML or JSON and checks all of it. Its error is
// [Faults]: everything that is wrong, sorted by line.
func (c *Checker) Load(data []byte) (*gathering.Definition, error) {
	l := &loader{
		Checker: c,
		kinds:   make(map[string]*Kind, len(c.Kinds)),
		index:   map[string]int{},
		schemas: map[string]*arguments{},
	}
	for i := range c.Kinds {
		l.kinds[c.Kinds[i].Name] = &c.Kinds[i]
	}
	if root := l.read(data); root != nil {
		l.definition(root)
	}
	if len(l.faults) == 0 {
		l.finish()
	}
	if len(l.faults) > 0 {
		return nil, l.sorted()
	}
	return &l.def, nil
}

// loader is one load under way.
type loader struct {
	*Checker
	report
	kinds   map[string]*Kind
	def     gathering.Definition
	key     *value // of the bound on concurrency; nil is none
	output  *value
	drafts  []*draft       // the nodes, in the order of the file
	index   map[string]int // node ID to its place in drafts
	links   []link
	schemas map[string]*arguments // by tool
}

// finish puts what was checked together.
func (l *loader) finish() {
	for _, d := range l.drafts {
		l.def.Nodes = append(l.def.Nodes, d.finished())
	}
	l.def.Edges = l.sortedEdges()
	document, err := Encode(&l.def)
	switch {
	case err != nil:
		l.add(place{"", 1}, "cannot be written in its stored form", "")
	case len(document) > MaxDocumentBytes:
		l.add(place{"", 1}, "its stored form is over 1 MiB", "move long texts into the run's input")
	}
}

// topFields are the fields of a definition.
func topFields() []string {
	return []string{
		"name", "description", "vars", "input_schema", "timeout", "concurrency", "agents", "nodes", "edges", "output",
	}
}

func (l *loader) definition(root *value) {
	top := place{"", root.line}
	if root.kind != kindObject {
		l.wrongType(top, root, "a mapping that begins with a name", "")
		return
	}
	l.unknown(top, root, topFields(), "a definition")
	l.name(root)
	if v := root.member("description"); !v.absent() {
		l.def.Description, _ = l.text(place{"description", v.line}, v, MaxText)
	}
	l.vars(root.member("vars"))
	if v := root.member("input_schema"); !v.absent() {
		l.schema(v, func(path string) place {
			inside, _ := v.find(path)
			return place{"input_schema", 0}.in(path, inside.line)
		})
		l.def.InputSchema = v.json()
	}
	if v := root.member("timeout"); !v.absent() {
		l.def.Timeout = l.duration(place{"timeout", v.line}, v)
	}
	if v := root.member("concurrency"); !v.absent() {
		l.concurrency(v)
	}
	l.agents(root.member("agents"))
	l.nodes(root)
	l.edges(root.member("edges"))
	l.graph()
	l.output = root.member("output")
	l.expressions()
}

func (l *loader) name(root *value) {
	v := root.member("name")
	if v.absent() {
		l.add(place{"name", root.line}, "is missing", "begin the file with: name: my-pipeline")
		return
	}
	at := place{"name", v.line}
	name, ok := l.text(at, v, MaxName)
	if ok && !isName(name) {
		l.add(at, "is no name", "lower-case letters, digits, dots, - and _, beginning with a letter or digit")
	}
	l.def.Name = name
}

func (l *loader) vars(v *value) {
	for _, m := range l.members(place{path: "vars"}, v, "a mapping of names to values") {
		at := place{"vars." + m.key, m.value.line}
		if !isVariable(m.key) || len(m.key) > MaxID {
			l.add(at, "is no name for a variable", "letters, digits and _, beginning with a letter, at most 64")
			continue
		}
		if l.def.Vars == nil {
			l.def.Vars = map[string]json.RawMessage{}
		}
		l.def.Vars[m.key] = m.value.json()
	}
}

func (l *loader) agents(v *value) {
	for _, m := range l.members(place{path: "agents"}, v, "a mapping of names to agents") {
		at := place{"agents." + m.key, m.value.line}
		if !isName(m.key) || len(m.key) > MaxName {
			l.add(at, "is no name for an agent", "lower-case letters, digits, dots, - and _, at most 100")
		}
		if l.def.Agents == nil {
			l.def.Agents = map[string]gathering.AgentSpec{}
		}
		l.def.Agents[m.key] = l.agent(at, m.value)
	}
}

func (l *loader) agent(at place, v *value) gathering.AgentSpec {
	var spec gathering.AgentSpec
	if !l.object(at, v, "a mapping such as {model: offline/extract, prompt: …}") {
		return spec
	}
	l.unknown(at, v, []string{"model", "fallback", "prompt", "tools", "max_steps"}, "an agent")
	if model := v.member("model"); model.absent() {
		l.add(at.in("model", v.line), "is missing", "the model it uses, as provider/model")
	} else {
		spec.Model = l.model(at.in("model", model.line), model)
	}
	if fallback := v.member("fallback"); !fallback.absent() {
		spec.Fallback = l.models(at.in("fallback", fallback.line), fallback, spec.Model)
	}
	if prompt := v.member("prompt"); !prompt.absent() {
		here := at.in("prompt", prompt.line)
		spec.Prompt, _ = l.text(here, prompt, MaxText)
		if holdsTemplate(prompt) {
			l.add(here, "holds ${{ }}, and a prompt is used as it is", "put what changes into the node's task")
		}
	}
	if tools := v.member("tools"); !tools.absent() {
		spec.Tools = l.tools(at.in("tools", tools.line), tools)
	}
	if steps := v.member("max_steps"); !steps.absent() {
		spec.MaxSteps = l.whole(at.in("max_steps", steps.line), steps, [2]int{1, MaxSteps})
	}
	return spec
}

func (l *loader) model(at place, v *value) string {
	ref, ok := l.text(at, v, MaxName)
	switch provider, model, found := strings.Cut(ref, "/"); {
	case !ok:
	case !found || provider == "" || model == "":
		l.add(at, "is no model", "write provider/model, such as offline/extract")
	case l.Model != nil:
		if err := l.Model(ref); err != nil {
			l.add(at, "this model cannot be used", publicText(err))
		}
	}
	return ref
}

// models reads the models that an agent falls back to from its own.
func (l *loader) models(at place, v *value, own string) []string {
	refs := l.texts(at, v)
	for i, item := range v.items {
		if ref := l.model(at.item(i, item.line), item); ref != "" && ref == own {
			l.add(at.item(i, item.line), "is the agent's own model", "leave it out")
		}
	}
	if len(v.items) > gathering.MaxFallback {
		l.add(at, "are "+strconv.Itoa(len(v.items))+" models", "at most "+strconv.Itoa(gathering.MaxFallback))
	}
	return refs
}

// tools reads a list of tools, reporting those that do not exist.
func (l *loader) tools(at place, v *value) []string {
	names := l.texts(at, v)
	for i, name := range names {
		l.tool(at.item(i, v.items[i].line), name)
	}
	return names
}

// tool reports a tool that does not exist.
func (l *loader) tool(at place, name string) {
	if l.Tool == nil {
		return
	}
	if _, ok := l.Tool(name); !ok {
		l.add(at, "there is no tool "+quoted(name), l.orOneOf(name, l.Tools))
	}
}

func (l *loader) nodes(root *value) {
	v := root.member("nodes")
	if v.absent() {
		l.add(place{"nodes", root.line}, "is missing", "nodes: {start: {kind: trigger}}")
		return
	}
	members := l.members(place{path: "nodes"}, v, "a mapping of IDs to nodes, such as start: {kind: trigger}")
	if v.kind == kindObject && len(members) == 0 {
		l.add(place{"nodes", v.line}, "is empty", "nodes: {start: {kind: trigger}}")
	}
	if len(members) > MaxNodes {
		l.add(place{"nodes", v.line}, "has more than "+strconv.Itoa(MaxNodes)+" nodes",
			"move a part into a pipeline of its own and call it with a pipeline node")
		return
	}
	for _, m := range members {
		l.index[m.key] = len(l.drafts)
		l.drafts = append(l.drafts, &draft{id: m.key, at: place{"nodes." + m.key, m.value.line}, body: m.value})
	}
	for _, d := range l.drafts {
		l.id(d)
		l.node(d)
	}
}

func (l *loader) id(d *draft) {
	switch {
	case !isID(d.id) || len(d.id) > MaxID:
		l.add(d.at, "is no ID for a node", "lower-case letters, digits and _, beginning with a letter, at most 64; a title goes into the field name")
	case expr.Reserved(d.id):
		l.add(d.at, "is a word of the expression language", "choose another ID")
	}
}

// unknown reports the members of v that are not among known.
func (l *loader) unknown(at place, v *value, known []string, owner string) {
	for i := range v.members {
		m := &v.members[i]
		if !slices.Contains(known, m.key) {
			l.add(at.in(m.key, m.value.line), owner+" has no field of this name", l.orOneOf(m.key, known))
		}
	}
}

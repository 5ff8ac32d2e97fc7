package definition

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"gathering"
)

// DefaultAttempts is how often a node with a retry is tried where the retry
// does not say. A node without one is tried once.
const DefaultAttempts = 3

// MaxAttempts bounds how often a node may be tried.
const MaxAttempts = 100

// retryKinds are the kinds of failure that another attempt may cure, in the
// order in which a definition keeps them. What was refused, cancelled or not
// found stays so.
func retryKinds() []gathering.Kind {
	return []gathering.Kind{
		gathering.KindUnavailable, gathering.KindExhausted, gathering.KindTimeout,
		gathering.KindConflict, gathering.KindInvalid, gathering.KindInternal,
	}
}

// draft is a node while it is checked.
type draft struct {
	id   string
	at   place
	body *value // as written

	node       gathering.Node
	kind       *Kind // what it is by now; nil if that is unknown
	config     []member
	resolved   bool // it was sugar
	sound      bool // the fields of its kind have the right shapes
	needs      *value
	branches   []string // those of its kind
	faultyEdge bool     // an edge to it has a fault and is left out

	// item is what expressions call the item that a map does this node for; ""
	// is a node of the graph.
	item string
	each *draft // what a map does for each item
}

// locate finds where a field of the node's config is written. Sugar keeps the
// fields of what it stands for under "with".
func (d *draft) locate(path string) place {
	v, whole := d.body.find(path)
	if path == "tool" && d.resolved && !whole {
		path = "action" // which stands for the tool
		v, _ = d.body.find(path)
	}
	if !whole && d.resolved && v == d.body {
		if inside, found := d.body.find("with." + path); found || d.body.has("with") {
			v, path = inside, "with."+path
		}
	}
	line := v.line
	if v == d.body {
		line = d.at.line
	}
	return d.at.in(path, line)
}

// field is the value of a field of the node's config, or nil.
func (d *draft) field(name string) *value {
	for i := range d.config {
		if d.config[i].key == name {
			return d.config[i].value
		}
	}
	return nil
}

func (d *draft) rawConfig() map[string]json.RawMessage {
	if len(d.config) == 0 {
		return nil
	}
	config := make(map[string]json.RawMessage, len(d.config))
	for i := range d.config {
		config[d.config[i].key] = d.config[i].value.json()
	}
	return config
}

// branches are those that a node of this kind can take.
func (k *Kind) branches(d *draft) []string {
	if k.Branches == nil {
		return nil
	}
	return k.Branches(d.rawConfig())
}

// finished is the node as the definition keeps it.
func (d *draft) finished() gathering.Node {
	n := d.node
	n.Config = d.rawConfig()
	return n
}

// node reads one node: what every kind has, then what is its kind's own.
func (l *loader) node(d *draft) {
	d.node.ID = d.id
	if d.body.absent() {
		d.body = &value{kind: kindObject, line: d.at.line}
	}
	example := "a mapping such as {kind: trigger}"
	if d.item != "" {
		example = "one node, such as {kind: tool, tool: …}"
	}
	if !l.object(d.at, d.body, example) {
		return
	}
	d.kind = l.kindOf(d)
	l.common(d)
	if d.item != "" {
		l.notInside(d)
	}
	if d.kind == nil {
		return
	}
	for i := range d.body.members {
		m := d.body.members[i]
		if !isCommon(m.key) && !m.value.absent() {
			d.config = append(d.config, m)
		}
	}
	before := len(l.faults)
	l.fields(d)
	d.sound = len(l.faults) == before && !d.body.bad()
	if d.sound && d.kind.Resolve != nil {
		l.resolve(d)
		d.sound = len(l.faults) == before
	}
	l.refused(d)
}

// refused reports the fields that every kind but this one has.
func (l *loader) refused(d *draft) {
	for i := range d.body.members {
		m := &d.body.members[i]
		if d.kind == nil || m.value.absent() {
			continue
		}
		if remedy := d.kind.Refused[m.key]; remedy != "" {
			l.add(d.at.in(m.key, m.value.line), "does not go with a node of kind "+d.kind.Name, remedy)
		}
	}
}

func (l *loader) kindOf(d *draft) *Kind {
	v := d.body.member("kind")
	if v.absent() {
		l.add(place{d.at.path + ".kind", d.at.line}, "is missing", "one of: "+strings.Join(l.kindNames(d), ", "))
		return nil
	}
	at := d.at.in("kind", v.line)
	name, ok := l.text(at, v, MaxName)
	kind := l.kinds[name]
	switch {
	case ok && kind == nil:
		l.add(at, "there is no kind "+quoted(name), l.orOneOf(name, l.kindNames(d)))
	case ok && d.item != "" && kind.NoItem != "":
		l.add(at, "a map cannot do a node of kind "+name+" for each item", kind.NoItem)
		return nil
	}
	d.node.Kind = name
	return kind
}

// kindNames are the kinds that a node can be of.
func (l *loader) kindNames(d *draft) []string {
	names := make([]string, 0, len(l.Kinds))
	for i := range l.Kinds {
		if d.item == "" || l.Kinds[i].NoItem == "" {
			names = append(names, l.Kinds[i].Name)
		}
	}
	return names
}

// common reads the fields that every kind has.
func (l *loader) common(d *draft) {
	for _, m := range d.body.members {
		at, v := d.at.in(m.key, m.value.line), m.value
		if v.absent() {
			continue
		}
		switch m.key {
		case "name":
			d.node.Name, _ = l.text(at, v, MaxTitle)
		case "needs":
			d.needs = v
		case "retry":
			d.node.Retry = l.retry(at, v)
		case "timeout":
			d.node.Timeout = l.duration(at, v)
		case "total_timeout":
			d.node.TotalTimeout = l.duration(at, v)
		case "on_error":
			d.node.OnError = gathering.OnError(l.enum(at, v, []string{"fail", "continue", "branch"}))
		case "fallback":
			d.node.Fallback = l.fallback(d, at, v)
		case "idempotent":
			d.node.Idempotent = l.flag(at, v)
		case "on_unknown":
			d.node.OnUnknown = gathering.OnUnknown(l.enum(at, v, []string{"ask", "retry", "fail"}))
		case "on_open":
			d.node.OnOpen = gathering.OnOpen(l.enum(at, v, []string{"wait", "fail"}))
		case "position":
			d.node.Position = l.position(at, v)
		}
	}
	n := &d.node
	if n.TotalTimeout > 0 && n.TotalTimeout < n.Timeout {
		l.add(d.locate("total_timeout"), "is shorter than timeout, which is for one attempt", "total_timeout covers all attempts and the waits between them")
	}
	if n.OnError == gathering.OnErrorFail {
		n.OnError = "" // the default
	}
	if n.OnUnknown == gathering.OnUnknownAsk {
		n.OnUnknown = ""
	}
	if n.OnOpen == gathering.OnOpenWait {
		n.OnOpen = ""
	}
}

// MaxPosition is how far from the origin a node may be drawn.
const MaxPosition = 1_000_000

// position reads where a node is drawn.
func (l *loader) position(at place, v *value) *[2]int {
	if v.kind != kindList || len(v.items) != 2 {
		l.wrongType(at, v, "two whole numbers", "write [x, y]")
		return nil
	}
	var position [2]int
	for i, item := range v.items {
		position[i] = l.whole(at.item(i, item.line), item, [2]int{-MaxPosition, MaxPosition})
	}
	return &position
}

// fallback reads the output that stands in for a failed node's.
func (l *loader) fallback(d *draft, at place, v *value) json.RawMessage {
	if how := d.body.member("on_error"); how == nil || how.text != string(gathering.OnErrorContinue) {
		l.add(at, "is never used", "a fallback goes with on_error: continue")
	}
	if holdsTemplate(v) || d.item != "" && v.contains("${{ "+d.item) {
		l.add(at, "holds ${{ }}, and a fallback is used as it is", "write a plain value; a transform node can build another from it")
	}
	return v.json()
}

// holdsTemplate reports whether v, which is used as it is, holds what was
// meant as a template. Others write ${{ }} too, and texts may be about them.
func holdsTemplate(v *value) bool {
	for _, root := range []string{"input", "vars", "nodes", "run", "trigger", "item", "error"} {
		if v.contains("${{ "+root) || v.contains("${{"+root) {
			return true
		}
	}
	return false
}

// retry reads a retry policy. Fields that are absent are those of
// [gathering.DefaultRetry], and max_attempts is [DefaultAttempts].
func (l *loader) retry(at place, v *value) *gathering.Retry {
	retry := gathering.DefaultRetry()
	retry.MaxAttempts = DefaultAttempts
	if !l.object(at, v, "a mapping such as {max_attempts: 4}") {
		return nil
	}
	l.unknown(at, v, []string{"max_attempts", "initial_delay", "factor", "max_delay", "jitter", "on"}, "a retry")
	for _, m := range v.members {
		here, field := at.in(m.key, m.value.line), m.value
		if field.absent() {
			continue
		}
		switch m.key {
		case "max_attempts":
			retry.MaxAttempts = l.whole(here, field, [2]int{1, MaxAttempts})
		case "initial_delay":
			retry.InitialDelay = l.duration(here, field)
		case "factor":
			retry.Factor = l.number(here, field, [2]float64{1, 100})
		case "max_delay":
			retry.MaxDelay = l.duration(here, field)
		case "jitter":
			retry.Jitter = l.number(here, field, [2]float64{0, 1})
		case "on":
			retry.On = l.retryOn(here, field)
		}
	}
	if retry.MaxDelay > 0 && retry.InitialDelay > retry.MaxDelay {
		l.add(at, "initial_delay is longer than max_delay", "max_delay is 30s unless it says otherwise")
	}
	return &retry
}

func (l *loader) retryOn(at place, v *value) []gathering.Kind {
	if v.kind == kindList && len(v.items) == 0 {
		l.add(at, "is empty, so nothing would be tried again", "name kinds of failure, or leave out the retry")
	}
	l.texts(at, v)
	known := make([]string, len(retryKinds()))
	for i, kind := range retryKinds() {
		known[i] = string(kind)
	}
	var kinds []gathering.Kind
	for i, item := range v.items {
		switch at := at.item(i, item.line); {
		case item.kind != kindText || item.text == "":
		case !slices.Contains(known, item.text):
			l.add(at, "is no kind of failure that another attempt may cure", "one of: "+strings.Join(known, ", "))
		default:
			kinds = append(kinds, gathering.Kind(item.text))
		}
	}
	slices.SortFunc(kinds, func(a, b gathering.Kind) int {
		return cmp.Compare(slices.Index(known, string(a)), slices.Index(known, string(b)))
	})
	return kinds
}

// resolve replaces sugar by the node that it stands for.
func (l *loader) resolve(d *draft) {
	node, err := d.kind.Resolve(d.finished())
	if err != nil {
		l.resolveFault(d, err)
		return
	}
	d.resolved = true
	d.node, d.node.ID, d.node.Config = node, d.id, nil
	d.kind = l.kinds[node.Kind]
	if d.kind == nil {
		l.add(d.locate("kind"), "stands for a kind of node that does not exist here", "")
		return
	}
	d.config = nil
	for _, name := range sortedKeys(node.Config) {
		v := (&report{}).readJSON(node.Config[name])
		if !v.absent() {
			d.config = append(d.config, member{name, v})
		}
	}
	l.fields(d)
}

func (l *loader) resolveFault(d *draft, err error) {
	invalid, ok := errors.AsType[*gathering.Error](err)
	if !ok || len(invalid.Fields) == 0 {
		l.add(d.at, "cannot be resolved", publicText(err))
		return
	}
	for _, f := range invalid.Fields {
		l.add(d.locate(f.Field), f.Problem, "")
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

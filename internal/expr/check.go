package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// check parses source, checks its names and types, and returns the checked tree.
func (p *place) check(source string) (*cel.Env, *ast.AST, *Fault) {
	switch {
	case strings.TrimSpace(source) == "":
		return nil, nil, &Fault{Message: "the expression is empty"}
	case len(source) > MaxSource:
		return nil, nil, &Fault{Message: fmt.Sprintf("the expression is %d bytes long; the limit is %d", len(source), MaxSource)}
	}
	parsed, issues := p.cel.Parse(source)
	if issues.Err() != nil {
		return nil, nil, &Fault{Message: p.syntaxFault(issues)}
	}
	w, root := walker{place: p}, parsed.NativeRep().Expr()
	if w.walk(root, nil); w.fault != "" {
		return nil, nil, &Fault{Message: w.fault}
	}
	useOwnOperators(root)
	env, err := p.with(w.names)
	if err != nil {
		return nil, nil, &Fault{Message: "the expression cannot be used: " + err.Error()}
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, nil, &Fault{Message: p.typeFault(issues)}
	}
	return env, checked.NativeRep(), nil
}

// walker looks for names that are not there, before types are checked, so that
// it can say which names are.
type walker struct {
	place *place
	names []string // of nodes and secrets that are referred to
	fault string   // the first one found
}

// locals are the variables that loops around an expression declare.
type locals []string

func (w *walker) fail(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
	}
}

func (w *walker) walk(e ast.Expr, around locals) {
	if w.fault != "" {
		return
	}
	switch e.Kind() {
	case ast.IdentKind:
		w.chain(e.AsIdent(), nil, around)
	case ast.SelectKind:
		w.path(e, around)
	case ast.CallKind:
		w.call(e, around)
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			w.walk(element, around)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			w.walk(entry.AsMapEntry().Key(), around)
			w.walk(entry.AsMapEntry().Value(), around)
		}
	case ast.StructKind:
		w.fail("there is no type %s; an object is written {\"key\": value}", e.AsStruct().TypeName())
	case ast.ComprehensionKind:
		w.loop(e.AsComprehension(), around)
	default: // a literal
	}
}

func (w *walker) loop(c ast.ComprehensionExpr, around locals) {
	w.walk(c.IterRange(), around)
	w.walk(c.AccuInit(), around)
	inner := append(slices.Clip(around), c.IterVar(), c.IterVar2(), c.AccuVar())
	for _, name := range []string{c.IterVar(), c.IterVar2()} {
		if slices.Contains(w.place.roots(), name) || name == "nodes" {
			w.fail("%s is a name in scope already; call the loop's variable something else", name)
		}
	}
	w.walk(c.LoopCondition(), inner)
	w.walk(c.LoopStep(), inner)
	w.walk(c.Result(), inner)
}

func (w *walker) call(e ast.Expr, around locals) {
	call := e.AsCall()
	if selects(call) {
		w.path(e, around)
		return
	}
	if call.IsMemberFunction() {
		if target := call.Target(); target.Kind() != ast.IdentKind || !w.namespace(target.AsIdent(), call.FunctionName(), around) {
			w.walk(target, around)
		}
	}
	for _, arg := range call.Args() {
		w.walk(arg, around)
	}
}

// namespace reports whether name.function is a function rather than a call on
// a variable.
func (w *walker) namespace(name, function string, around locals) bool {
	return !slices.Contains(around, name) && w.place.cel.HasFunction(name+"."+function)
}

// link is one step of a chain as it is written.
type link struct {
	key     string // the field or constant key, or ""
	indexed bool   // written with [ ] or ?
	test    bool   // inside has(…)
}

// path walks a chain of selections down to what it begins with.
func (w *walker) path(e ast.Expr, around locals) {
	var links []link
	for {
		switch e.Kind() {
		case ast.SelectKind:
			links = append(links, link{key: e.AsSelect().FieldName(), test: e.AsSelect().IsTestOnly()})
			e = e.AsSelect().Operand()
			continue
		case ast.CallKind:
			if call := e.AsCall(); selects(call) {
				links = append(links, link{key: w.key(call.Args()[1], around), indexed: true})
				e = call.Args()[0]
				continue
			}
		case ast.IdentKind:
			slices.Reverse(links)
			w.chain(e.AsIdent(), links, around)
			return
		default:
		}
		w.walk(e, around)
		return
	}
}

// selects reports whether a call is a selection: a[b], a[?b] or a.?b.
func selects(call ast.CallExpr) bool {
	switch call.FunctionName() {
	case operators.Index, operators.OptIndex, operators.OptSelect:
		return len(call.Args()) == 2
	}
	return false
}

// key returns the constant key of a selection, or "" for any other, whose
// names it checks.
func (w *walker) key(e ast.Expr, around locals) string {
	if e.Kind() != ast.LiteralKind {
		w.walk(e, around)
		return ""
	}
	text, _ := e.AsLiteral().(types.String)
	return string(text)
}

// chain checks the names of root.links[0].links[1]….
func (w *walker) chain(root string, links []link, around locals) {
	if slices.Contains(around, root) {
		return
	}
	switch root {
	case "nodes":
		w.node(links)
		return
	case "item", "index":
		if w.place.env.Item == "" {
			w.fail("%s exists only inside a map's do", root)
			return
		}
	case "error":
		if !w.place.env.Error {
			w.fail("error exists only on an error branch")
			return
		}
	case "run":
		if w.place.env.Queued && (len(links) == 0 || links[0].key != "project") {
			w.fail("of a run that has not begun, only run.project is known")
			return
		}
	case "secrets":
		w.secret(links)
		return
	case "vars":
		w.declaredVar(links)
		return
	}
	if _, ok := w.place.variables[root]; ok || typeName(root) {
		return
	}
	w.fail("there is no %s here%s; in scope: %s", root, didYouMean(root, append(w.place.roots(), "nodes")),
		strings.Join(append(w.place.roots(), "nodes.ID.output"), ", "))
}

// node checks nodes.ID.FIELD.
func (w *walker) node(links []link) {
	ids := w.place.env.Nodes
	switch {
	case len(ids) == 0:
		w.fail("no node is upstream of here, so there is nothing in nodes")
	case len(links) == 0 || links[0].key == "":
		w.fail("write nodes.ID.output with the ID of an upstream node: %s", strings.Join(ids, ", "))
	case !slices.Contains(ids, links[0].key):
		w.fail("nodes.%s is not upstream of here%s; upstream: %s", links[0].key, didYouMean(links[0].key, ids), strings.Join(ids, ", "))
	case links[0].indexed:
		w.fail("write nodes.%s.output instead of nodes[…]", links[0].key)
	case len(links) == 1:
		w.fail("write nodes.%s.output, .state or .finished_at", links[0].key)
	case links[1].test:
		w.fail("nodes.%s.%s is always there; compare it with null instead", links[0].key, links[1].key)
	default:
		name := "nodes." + links[0].key + "." + links[1].key
		if _, ok := w.place.variable(name); !ok || links[1].indexed {
			w.fail("a node has .output, .state and .finished_at, but no %q; its result is nodes.%s.output", links[1].key, links[0].key)
			return
		}
		w.refer(name)
	}
}

// refer notes a name that is to be declared.
func (w *walker) refer(name string) {
	if !slices.Contains(w.names, name) {
		w.names = append(w.names, name)
	}
}

func (w *walker) declaredVar(links []link) {
	if len(links) == 0 || links[0].key == "" {
		return
	}
	declared := slices.Sorted(maps.Keys(w.place.env.Vars))
	if slices.Contains(declared, links[0].key) {
		return
	}
	if len(declared) == 0 {
		w.fail("vars.%s is not declared; the pipeline has no vars", links[0].key)
		return
	}
	w.fail("vars.%s is not declared%s; declared: %s", links[0].key, didYouMean(links[0].key, declared), strings.Join(declared, ", "))
}

func (w *walker) secret(links []link) {
	switch {
	case !w.place.env.Secrets:
		w.fail("secrets may be used only in what a node sends out, such as a request's headers or body")
	case len(links) == 0 || links[0].indexed || links[0].test:
		w.fail("write secrets.NAME with the name of one secret")
	default:
		w.refer("secrets." + links[0].key)
	}
}

// roots returns the names in scope that stand alone, sorted.
func (p *place) roots() []string {
	var roots []string
	for name := range p.variables {
		if !strings.Contains(name, ".") {
			roots = append(roots, name)
		}
	}
	if p.env.Secrets {
		roots = append(roots, "secrets")
	}
	slices.Sort(roots)
	return roots
}

// typeName reports whether name is a type that an expression may mention.
func typeName(name string) bool {
	switch name {
	case "bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint", "google":
		return true
	}
	return strings.HasPrefix(name, "@")
}

// didYouMean returns a question that names the candidate nearest to name, or
// nothing where none is near.
func didYouMean(name string, candidates []string) string {
	best, nearest := "", 3
	if len(name) < 4 {
		nearest = 2
	}
	for _, candidate := range candidates {
		if d := distance(name, candidate); d < nearest {
			best, nearest = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// distance is the number of letters to add, drop or change to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := previous
			if a[i] != b[j] {
				change++
			}
			previous = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// wrongResult is the fault of an expression whose result cannot be what is wanted.
func wrongResult(got *cel.Type, want Type) *Fault {
	wanted := want.wanted()
	if want == Any || got.Kind() == types.DynKind || slices.Contains(wanted.kinds, got.Kind()) {
		return nil
	}
	remedy := wanted.remedy
	if describe(got) == "an optional value" {
		remedy = "; end it with .orValue(…)"
	}
	return &Fault{Message: fmt.Sprintf("this must be %s, but it is %s%s", want, describe(got), remedy)}
}

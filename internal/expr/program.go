package expr

import (
	"encoding/json"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Program is a compiled expression. It is immutable and may be used by many
// goroutines at a time.
type Program struct {
	source  string
	want    Type
	checked *ast.AST
	secret  bool // whether it refers to secrets, whose values must not get into errors

	path     *reference      // set where the expression is nothing but a path
	constant json.RawMessage // set where it refers to nothing
	names    []name
	program  cel.Program
	// selections are told about when one leads nowhere.
	selections []selection
}

// selection is a part of an expression that selects a field or an element.
type selection struct {
	id        int64     // of the part
	reference reference // what it refers to, where that is known
	known     bool
	owner     string // otherwise what it selects from, "" where that has no name
	field     string
}

// name is a variable that a program refers to.
type name struct {
	name string
	variable
}

// Compile checks source and makes it ready to run. A result that cannot be of
// the wanted type is a fault. Its error is a [*Fault].
func (e *Env) Compile(source string, want Type) (*Program, error) {
	p, err := e.ready()
	if err != nil {
		return nil, &Fault{Message: "expressions cannot be used here: " + err.Error()}
	}
	program, fault := p.compile(source, want)
	if fault != nil {
		return nil, fault
	}
	return program, nil
}

func (p *place) compile(source string, want Type) (*Program, *Fault) {
	env, checked, fault := p.check(source)
	if fault != nil {
		return nil, fault
	}
	if fault := wrongResult(checked.GetType(checked.Expr().ID()), want); fault != nil {
		return nil, fault
	}
	program := &Program{source: source, want: want, checked: checked}
	p.refer(program)
	if path, ok := p.pathOf(checked.Expr()); ok {
		program.path = &path
		return program, nil
	}
	program.selections = p.selections(checked.Expr())
	planned, err := env.PlanProgram(checked,
		cel.CostLimit(MaxCost), cel.CostTracking(costs{}), cel.EvalOptions(cel.OptOptimize),
		cel.CustomDecoratorV2(ownMatches))
	if err != nil {
		return nil, &Fault{Message: "the expression cannot be used: " + err.Error()}
	}
	program.program = planned
	if len(program.names) == 0 && checked.Expr().Kind() == ast.LiteralKind {
		if text, err := program.Value(&Scope{}); err == nil {
			program.constant = text
		}
	}
	return program, nil
}

// refer notes which variables the program refers to.
func (p *place) refer(program *Program) {
	for _, r := range program.checked.ReferenceMap() {
		v, ok := p.variable(r.Name)
		if !ok || slices.ContainsFunc(program.names, func(n name) bool { return n.name == r.Name }) {
			continue
		}
		program.names = append(program.names, name{r.Name, v})
		program.secret = program.secret || v.reference.root == rootSecrets
	}
}

// selections returns the selections within e.
func (p *place) selections(e ast.Expr) []selection {
	var found []selection
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.SelectKind && e.Kind() != ast.CallKind {
			return
		}
		r, ok := p.pathOf(e)
		switch {
		case ok:
			found = append(found, selection{id: e.ID(), reference: r, known: true})
		case !ok && e.Kind() == ast.SelectKind:
			found = append(found, selection{id: e.ID(), owner: written(e.AsSelect().Operand()), field: e.AsSelect().FieldName()})
		}
	}))
	return found
}

// written returns a chain of fields as the expression writes it, or "".
func written(e ast.Expr) string {
	switch e.Kind() {
	case ast.IdentKind:
		if name := e.AsIdent(); identifier(name) {
			return name
		}
	case ast.SelectKind:
		if owner := written(e.AsSelect().Operand()); owner != "" {
			return owner + "." + e.AsSelect().FieldName()
		}
	default:
	}
	return ""
}

// pathOf returns the reference that e is, if it is nothing else.
func (p *place) pathOf(e ast.Expr) (reference, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		v, ok := p.variable(e.AsIdent())
		return reference{v.reference.root, v.reference.name, slices.Clone(v.reference.path)}, ok
	case ast.SelectKind:
		selected := e.AsSelect()
		if selected.IsTestOnly() {
			return reference{}, false
		}
		r, ok := p.pathOf(selected.Operand())
		r.path = append(r.path, segment{key: selected.FieldName(), keyed: true})
		return r, ok
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.Index || call.Args()[1].Kind() != ast.LiteralKind {
			return reference{}, false
		}
		r, ok := p.pathOf(call.Args()[0])
		switch at := call.Args()[1].AsLiteral().(type) {
		case types.String:
			r.path = append(r.path, segment{key: string(at), keyed: true})
			return r, ok
		case types.Int:
			r.path = append(r.path, segment{index: int(at)})
			return r, ok && at >= 0
		}
	default:
	}
	return reference{}, false
}

// Value returns the result as JSON. An expression that is a path alone gives
// the very bytes that are there.
func (p *Program) Value(s *Scope) (json.RawMessage, error) {
	text, err := p.text(s)
	if err != nil {
		return nil, err
	}
	if err := p.want.accepts(text); err != nil {
		return nil, p.explain(err, s)
	}
	return text, nil
}

func (p *Program) text(s *Scope) (json.RawMessage, error) {
	switch {
	case p.constant != nil:
		return slices.Clone(p.constant), nil
	case p.path != nil:
		text, err := p.path.text(s)
		if err != nil {
			return nil, p.explain(err, s)
		}
		return text, nil
	}
	value, err := p.run(s)
	if err != nil {
		return nil, err
	}
	text, err := encode(value)
	if err != nil {
		return nil, p.explain(err, s)
	}
	return text, nil
}

// Bool returns the result, which must be true or false.
func (p *Program) Bool(s *Scope) (bool, error) {
	if p.path != nil || p.constant != nil {
		text, err := p.text(s)
		if err != nil {
			return false, err
		}
		switch string(trim(text)) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return false, p.explain(errWrong(Bool, typeOf(text)), s)
	}
	value, err := p.run(s)
	if err != nil {
		return false, err
	}
	result, ok := value.(types.Bool)
	if !ok {
		return false, p.explain(errWrong(Bool, kindOf(value)), s)
	}
	return bool(result), nil
}

// Time returns the result, which must be a timestamp or its RFC 3339 text.
func (p *Program) Time(s *Scope) (time.Time, error) {
	text, err := p.text(s)
	if err != nil {
		return time.Time{}, err
	}
	if typeOf(text) == "a string" {
		if t, err := time.Parse(time.RFC3339, decodeString(trim(text))); err == nil {
			return t, nil
		}
	}
	return time.Time{}, p.explain(errWrong(Timestamp, typeOf(text)), s)
}

// run evaluates the program under its limits.
func (p *Program) run(s *Scope) (ref.Val, error) {
	value, _, err := p.program.Eval(&activation{program: p, scope: s})
	if err != nil {
		return nil, p.explain(err, s)
	}
	return value, nil
}

// activation gives one evaluation the values of the names it refers to, each
// converted once.
type activation struct {
	program *Program
	scope   *Scope
	values  []ref.Val
}

// Parent is nothing.
func (a *activation) Parent() cel.Activation { return nil }

// ResolveName returns the value of a variable, or an error value where it has none.
func (a *activation) ResolveName(name string) (any, bool) {
	for i := range a.program.names {
		if a.program.names[i].name != name {
			continue
		}
		if a.values == nil {
			a.values = make([]ref.Val, len(a.program.names))
		}
		if a.values[i] == nil {
			a.values[i] = a.program.names[i].value(a.scope)
		}
		return a.values[i], true
	}
	return nil, false
}

// value returns what the variable stands for in s, of the declared type.
func (v variable) value(s *Scope) ref.Val {
	switch r := v.reference; {
	case r.root == rootFinished:
		return timeValue(s.node(r.name).FinishedAt)
	case r.root == rootRun && v.kind == cel.TimestampType:
		return timeValue(s.Run.StartedAt)
	}
	text, err := v.reference.text(s)
	if err != nil {
		return types.WrapErr(err)
	}
	return v.typed(valueOf(text))
}

func timeValue(t time.Time) ref.Val {
	if t.IsZero() {
		return types.NullValue
	}
	return types.Timestamp{Time: t.UTC()}
}

// typed returns value as the declared type, which the checker relied on.
func (v variable) typed(value ref.Val) ref.Val {
	if types.IsError(value) || v.kind == types.DynType {
		return value
	}
	want, ok := describe(v.kind), true
	switch v.kind.Kind() {
	case types.StringKind:
		_, ok = value.(types.String)
	case types.BoolKind:
		_, ok = value.(types.Bool)
	case types.ListKind:
		_, ok = value.(*list)
	case types.DoubleKind:
		want = "a number"
		switch n := value.(type) {
		case types.Double, wideInt:
		case types.Int:
			if types.Int(types.Double(n)) == n {
				return types.Double(n)
			}
		default:
			ok = false
		}
	case types.IntKind:
		switch n := value.(type) {
		case types.Int, wideInt:
		case types.Double: // JSON Schema calls 7.0 an integer too
			if n == types.Double(types.Int(n)) {
				return types.Int(n)
			}
			ok = false
		default:
			ok = false
		}
	default:
	}
	if !ok {
		return problem("%s is %s, not %s", v.reference, kindOf(value), want)
	}
	return value
}

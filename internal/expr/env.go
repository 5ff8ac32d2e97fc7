package expr

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// Limits of one expression.
const (
	// MaxSource is the length of an expression in bytes.
	MaxSource = 4 << 10
	// MaxNesting is how deep an expression's parts may stand in one another.
	MaxNesting = 32
	// MaxCost is how much work one evaluation may do, in the interpreter's
	// units: about one per operation and one per ten bytes of text handled.
	MaxCost = 5_000_000
	// MaxRange is the length of the longest list that lists.range makes.
	MaxRange = 100_000
	// maxPattern is the size of the program of a regular expression.
	maxPattern = 1_000
	// maxPrecision is how many digits after the point format writes.
	maxPrecision = 100
	// maxNodes is the number of an expression's parts, macros expanded.
	maxNodes = 10_000
)

// Env says what the expressions of one place may refer to. Its zero value
// allows input, vars (none declared), nodes (none upstream), run and trigger.
// It may be used by many goroutines, and not changed after its first use.
type Env struct {
	// Nodes are the IDs of the upstream nodes.
	Nodes []string
	// InputSchema gives the types of input's fields, where it says them; nil
	// leaves them to be checked when the expression runs.
	InputSchema json.RawMessage
	// Vars are the declared variables.
	Vars map[string]json.RawMessage
	// Item is what a map calls its item, in what it does for each. "" is no
	// map, and then there is no index either.
	Item string
	// Error and Secrets say whether error and secrets are in scope.
	Error, Secrets bool
	// Queued: the run has not begun, so that nothing but its project is known
	// of it.
	Queued bool

	once  sync.Once
	place *place
	err   error
}

// Type is what an expression's result must be. Where that cannot be told
// before it runs, it is checked then.
type Type int

// The types of a result.
const (
	Any       Type = iota
	Bool           // true or false
	String         // a string
	Number         // any number
	List           // a list
	Timestamp      // a point in time, or its RFC 3339 text
	Duration       // a span of time, or its text, such as "90s"
)

// Fault is what is wrong with an expression, and what would be right.
type Fault struct { //nolint:errname // a fault is also listed, not only returned
	// Path is the place within the value that holds the expression, as in
	// "body.text[2]"; "" at its top.
	Path string
	// Message is for whoever wrote the expression.
	Message string
}

// Error is the message, after the path where there is one.
func (f *Fault) Error() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// place is an Env made ready for compiling.
type place struct {
	env       *Env
	cel       *cel.Env
	variables map[string]variable
}

// variable is a name that expressions may use and what it stands for.
type variable struct {
	reference reference
	kind      *cel.Type
}

func (e *Env) ready() (*place, error) {
	e.once.Do(func() { e.place, e.err = newPlace(e) })
	return e.place, e.err
}

func newPlace(e *Env) (*place, error) {
	p := &place{env: e, variables: map[string]variable{}}
	p.declare("input", reference{root: rootInput}, types.DynType)
	p.declare("trigger", reference{root: rootTrigger}, types.DynType)
	p.declare("vars", reference{root: rootVars}, cel.MapType(cel.StringType, cel.DynType))
	p.declare("run", reference{root: rootRun}, cel.MapType(cel.StringType, cel.DynType))
	p.declare("run.id", reference{root: rootRun, path: keys("id")}, cel.StringType)
	p.declare("run.started_at", reference{root: rootRun, path: keys("started_at")}, cel.TimestampType)
	p.declare("run.project", reference{root: rootRun, path: keys("project")}, cel.StringType)
	if e.Item != "" {
		p.declare(e.Item, reference{root: rootItem, name: e.Item}, cel.DynType)
		p.declare("index", reference{root: rootIndex}, cel.IntType)
	}
	if e.Error {
		p.declare("error", reference{root: rootError}, cel.DynType)
		for _, field := range []string{"kind", "code", "message"} {
			p.declare("error."+field, reference{root: rootError, path: keys(field)}, cel.StringType)
		}
	}
	var schema inputSchema
	if len(e.InputSchema) > 0 && json.Unmarshal(e.InputSchema, &schema) == nil {
		p.declareFields("input", nil, schema, 0)
	}

	base, err := language()
	if err != nil {
		return nil, err
	}
	options := make([]cel.EnvOption, 0, len(p.variables))
	for name, v := range p.variables {
		options = append(options, cel.Variable(name, v.kind))
	}
	if p.cel, err = base.Extend(options...); err != nil {
		return nil, fmt.Errorf("declare the names in scope: %w", err)
	}
	return p, nil
}

// variable returns what a name stands for. Those of nodes and secrets are made
// as they are asked for: there may be many, and an expression refers to few.
func (p *place) variable(name string) (variable, bool) {
	if v, ok := p.variables[name]; ok {
		return v, true
	}
	if secret, ok := strings.CutPrefix(name, "secrets."); ok {
		return variable{reference{root: rootSecrets, path: keys(secret)}, cel.StringType}, true
	}
	inside, ok := strings.CutPrefix(name, "nodes.")
	if !ok {
		return variable{}, false
	}
	id, field, _ := strings.Cut(inside, ".")
	switch field {
	case "output":
		return variable{reference{root: rootOutput, name: id}, cel.DynType}, true
	case "state":
		return variable{reference{root: rootState, name: id}, cel.StringType}, true
	case "finished_at":
		return variable{reference{root: rootFinished, name: id}, cel.TimestampType}, true
	}
	return variable{}, false
}

// with returns the place's checker with names of nodes and secrets declared.
func (p *place) with(names []string) (*cel.Env, error) {
	if len(names) == 0 {
		return p.cel, nil
	}
	options := make([]cel.EnvOption, len(names))
	for i, name := range names {
		v, _ := p.variable(name)
		options[i] = cel.Variable(name, v.kind)
	}
	env, err := p.cel.Extend(options...)
	if err != nil {
		return nil, fmt.Errorf("declare %s: %w", strings.Join(names, ", "), err)
	}
	return env, nil
}

func (p *place) declare(name string, r reference, kind *cel.Type) {
	p.variables[name] = variable{reference: r, kind: kind}
}

// keys returns a path of keys.
func keys(names ...string) []segment {
	path := make([]segment, len(names))
	for i, name := range names {
		path[i] = segment{key: name, keyed: true}
	}
	return path
}

// inputSchema is the part of a JSON Schema that types can be read from.
type inputSchema struct {
	Type       json.RawMessage            `json:"type"`
	Properties map[string]json.RawMessage `json:"properties"`
}

// declareFields declares the fields of input whose type the schema says, and
// those of the objects within it.
func (p *place) declareFields(name string, path []segment, schema inputSchema, depth int) {
	for field, property := range schema.Properties {
		var inner inputSchema
		if !identifier(field) || Reserved(field) || depth > maxTypedDepth || json.Unmarshal(property, &inner) != nil {
			continue
		}
		full := name + "." + field
		r := reference{root: rootInput, path: append(slices.Clone(path), segment{key: field, keyed: true})}
		switch string(inner.Type) {
		case `"string"`:
			p.declare(full, r, cel.StringType)
		case `"boolean"`:
			p.declare(full, r, cel.BoolType)
		case `"integer"`:
			p.declare(full, r, cel.IntType)
		case `"number"`:
			p.declare(full, r, cel.DoubleType)
		case `"array"`:
			p.declare(full, r, cel.ListType(cel.DynType))
		case `"object"`:
			p.declareFields(full, r.path, inner, depth+1)
		}
	}
}

// maxTypedDepth is how deep into input's objects the schema's types are used.
const maxTypedDepth = 8

// Reserved reports whether the language keeps word for itself, so that nothing
// may be called so.
func Reserved(word string) bool {
	switch word {
	case "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
		"let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while":
		return true
	}
	return false
}

// Taken reports whether name means something wherever expressions stand, so
// that no map may call its items so.
func Taken(name string) bool {
	switch name {
	case "input", "vars", "nodes", "run", "trigger", "index", "error", "secrets":
		return true
	}
	return Reserved(name) || typeName(name)
}

// language returns what all expressions share: the standard functions and the
// extensions. It is built once.
var language = sync.OnceValues(newLanguage) //nolint:gochecknoglobals // immutable once built, and building takes milliseconds

func newLanguage() (*cel.Env, error) {
	base, err := cel.NewEnv(
		cel.CustomTypeAdapter(defaultAdapter()),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.CostModelVersion(1),
		cel.ParserRecursionLimit(MaxNesting),
		cel.ParserExpressionSizeLimit(MaxSource),
		cel.ParserErrorRecoveryLimit(1),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxPattern),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		ext.Strings(ext.StringsMaxPrecision(maxPrecision)),
		ext.Lists(ext.ListsMaxRangeSize(MaxRange)),
		ext.Sets(),
		ext.Math(),
		ext.Encoders(ext.EncodersVersion(0)),
		cel.Function("json.parse", cel.Overload("json_parse", []*cel.Type{cel.StringType}, cel.DynType, cel.UnaryBinding(parseJSON))),
		cel.Function("json.format", cel.Overload("json_format", []*cel.Type{cel.DynType}, cel.StringType, cel.UnaryBinding(formatJSON))),
		cel.Function("sum", cel.MemberOverload("list_sum", []*cel.Type{cel.ListType(cel.DynType)}, cel.DynType, cel.UnaryBinding(sum))),
		roundingOfInts,
		guardFunctions,
		listCosts(),
		declareOperators,
		fixTypes,
	)
	if err != nil {
		return nil, fmt.Errorf("build the expression language: %w", err)
	}
	return base, nil
}

// fixedProvider knows the types that were registered and takes no more. Unlike
// a registry it need not be copied for every place.
type fixedProvider struct{ types.Provider }

func fixTypes(env *cel.Env) (*cel.Env, error) {
	return cel.CustomTypeProvider(fixedProvider{env.CELTypeProvider()})(env)
}

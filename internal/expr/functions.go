package expr

import (
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"gathering"
)

// jsonFunctions adds json.parse, which turns JSON text into the value it
// stands for, and json.format, which writes a value as JSON text.
func jsonFunctions() cel.EnvOption {
	parse := cel.Function("json.parse", cel.Overload("json_parse", []*cel.Type{cel.StringType}, cel.DynType,
		cel.UnaryBinding(func(value ref.Val) ref.Val {
			text, ok := value.(types.String)
			if !ok {
				return types.MaybeNoSuchOverloadErr(value)
			}
			if gathering.CheckJSON("text", []byte(text)) != nil {
				return problem("json.parse was given text that is not JSON")
			}
			return valueOf([]byte(text))
		})))
	format := cel.Function("json.format", cel.Overload("json_format", []*cel.Type{cel.DynType}, cel.StringType,
		cel.UnaryBinding(func(value ref.Val) ref.Val {
			text, err := encode(value)
			if err != nil {
				return types.WrapErr(err)
			}
			return types.String(appendCompact(nil, text))
		})))
	return func(env *cel.Env) (*cel.Env, error) {
		env, err := parse(env)
		if err != nil {
			return nil, err
		}
		return format(env)
	}
}

// arithmetic is an operator that stands in the place of one of the language's
// so that whole and fractional numbers mix in it. JSON has one kind of number:
// whether a field's value is an int or a double depends on the value, and an
// expression must not work for 7 and fail for 7.5. Where one side is a double,
// the result is one.
type arithmetic struct {
	operator string // as the parser names it
	name     string // what stands in its place; no expression can write it
	apply    func(left, right ref.Val) ref.Val
	// signatures are beside those of numbers: left, right, result.
	signatures [][3]*cel.Type
}

func arithmetics() []arithmetic {
	elements := cel.ListType(cel.TypeParamType("A"))
	return []arithmetic{
		{operators.Add, "@add", add, [][3]*cel.Type{
			{cel.StringType, cel.StringType, cel.StringType},
			{cel.BytesType, cel.BytesType, cel.BytesType},
			{elements, elements, elements},
			{cel.TimestampType, cel.DurationType, cel.TimestampType},
			{cel.DurationType, cel.TimestampType, cel.TimestampType},
			{cel.DurationType, cel.DurationType, cel.DurationType},
		}},
		{operators.Subtract, "@subtract", subtract, [][3]*cel.Type{
			{cel.TimestampType, cel.TimestampType, cel.DurationType},
			{cel.TimestampType, cel.DurationType, cel.TimestampType},
			{cel.DurationType, cel.DurationType, cel.DurationType},
		}},
		{operators.Multiply, "@multiply", multiply, nil},
		{operators.Divide, "@divide", divide, nil},
	}
}

func add(left, right ref.Val) ref.Val {
	if l, ok := left.(traits.Adder); ok {
		return l.Add(right)
	}
	return types.MaybeNoSuchOverloadErr(left)
}

func subtract(left, right ref.Val) ref.Val {
	if l, ok := left.(traits.Subtractor); ok {
		return l.Subtract(right)
	}
	return types.MaybeNoSuchOverloadErr(left)
}

func multiply(left, right ref.Val) ref.Val {
	if l, ok := left.(traits.Multiplier); ok {
		return l.Multiply(right)
	}
	return types.MaybeNoSuchOverloadErr(left)
}

func divide(left, right ref.Val) ref.Val {
	if l, ok := left.(traits.Divider); ok {
		return l.Divide(right)
	}
	return types.MaybeNoSuchOverloadErr(left)
}

// mixedArithmetic declares the operators of arithmetics.
func mixedArithmetic(env *cel.Env) (*cel.Env, error) {
	numbers := [][3]*cel.Type{
		{cel.IntType, cel.IntType, cel.IntType},
		{cel.UintType, cel.UintType, cel.UintType},
		{cel.DoubleType, cel.DoubleType, cel.DoubleType},
		{cel.IntType, cel.DoubleType, cel.DoubleType},
		{cel.DoubleType, cel.IntType, cel.DoubleType},
	}
	for _, op := range arithmetics() {
		options := []cel.FunctionOpt{cel.SingletonBinaryBinding(func(left, right ref.Val) ref.Val {
			return op.apply(widen(left, right))
		})}
		for i, s := range append(slices.Clone(numbers), op.signatures...) {
			options = append(options, cel.Overload(op.name+strconv.Itoa(i), []*cel.Type{s[0], s[1]}, s[2]))
		}
		var err error
		if env, err = cel.Function(op.name, options...)(env); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// widen turns the whole one of two numbers into a double where the other is one.
func widen(left, right ref.Val) (ref.Val, ref.Val) {
	switch l := left.(type) {
	case types.Int:
		if _, ok := right.(types.Double); ok {
			return types.Double(l), right
		}
	case types.Double:
		if r, ok := right.(types.Int); ok {
			return left, types.Double(r)
		}
	}
	if _, ok := right.(wideInt); ok {
		return right, left // for its error
	}
	return left, right
}

// useArithmetics puts the operators of arithmetics in the place of the
// language's own, except where a macro collects its result.
func useArithmetics(root ast.Expr) {
	factory, ops := ast.NewExprFactory(), arithmetics()
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		for _, op := range ops {
			if call.FunctionName() != op.operator || len(call.Args()) != 2 {
				continue
			}
			if first := call.Args()[0]; first.Kind() != ast.IdentKind || !strings.HasPrefix(first.AsIdent(), "@") {
				e.SetKindCase(factory.NewCall(e.ID(), op.name, call.Args()...))
			}
		}
	}))
}

// costs charges for calls whose types were not known before they ran: by the
// length of the text and lists they handled.
type costs struct{}

// CallCost returns the cost of one call, or nil where the interpreter knows it.
func (costs) CallCost(function, overload string, args []ref.Val, result ref.Val) *uint64 {
	if overload != "" && function != "@add" && !strings.HasPrefix(function, "json.") {
		return nil
	}
	total := 1 + workOf(result)
	for _, arg := range args {
		total += workOf(arg)
	}
	return &total
}

func workOf(value ref.Val) uint64 {
	switch v := value.(type) {
	case types.String:
		return uint64(len(v)) / 10
	case types.Bytes:
		return uint64(len(v)) / 10
	case *object:
		return uint64(len(v.text)) / 10
	case *list:
		return uint64(len(v.text)) / 10
	case traits.Sizer:
		if size, ok := v.Size().(types.Int); ok && size > 0 {
			return uint64(size)
		}
	}
	return 0
}

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
)

// operator stands in the place of one of the language's so that whole and
// fractional numbers mix in it. JSON has one kind of number: whether a field's
// value is an int or a double depends on the value, and an expression must not
// work for 7 and fail for 7.5. Where one side of an arithmetic operator is a
// double, so is the result.
type operator struct {
	original string // as the parser names it
	name     string // what stands in its place; no expression can write it
	verb     string // what it does, for people
	apply    func(left, right ref.Val) ref.Val
	// signatures are left, right and result.
	signatures [][3]*cel.Type
}

// ownOperators are the operators put in the place of the language's.
func ownOperators() []operator {
	elements := cel.ListType(cel.TypeParamType("A"))
	arithmetic := [][3]*cel.Type{
		{cel.IntType, cel.IntType, cel.IntType},
		{cel.UintType, cel.UintType, cel.UintType},
		{cel.DoubleType, cel.DoubleType, cel.DoubleType},
		{cel.IntType, cel.DoubleType, cel.DoubleType},
		{cel.DoubleType, cel.IntType, cel.DoubleType},
	}
	kinds := comparables()
	return []operator{
		{operators.Add, "@add", "add", mixed(traits.Adder.Add), append(slices.Clone(arithmetic),
			[3]*cel.Type{cel.StringType, cel.StringType, cel.StringType},
			[3]*cel.Type{cel.BytesType, cel.BytesType, cel.BytesType},
			[3]*cel.Type{elements, elements, elements},
			[3]*cel.Type{cel.TimestampType, cel.DurationType, cel.TimestampType},
			[3]*cel.Type{cel.DurationType, cel.TimestampType, cel.TimestampType},
			[3]*cel.Type{cel.DurationType, cel.DurationType, cel.DurationType})},
		{operators.Subtract, "@subtract", "subtract", mixed(traits.Subtractor.Subtract), append(slices.Clone(arithmetic),
			[3]*cel.Type{cel.TimestampType, cel.TimestampType, cel.DurationType},
			[3]*cel.Type{cel.TimestampType, cel.DurationType, cel.TimestampType},
			[3]*cel.Type{cel.DurationType, cel.DurationType, cel.DurationType})},
		{operators.Multiply, "@multiply", "multiply", mixed(traits.Multiplier.Multiply), arithmetic},
		{operators.Divide, "@divide", "divide", mixed(traits.Divider.Divide), arithmetic},
		{operators.Less, "@less", "order", order(func(c types.Int) bool { return c < 0 }), kinds.ordered},
		{operators.LessEquals, "@most", "order", order(func(c types.Int) bool { return c <= 0 }), kinds.ordered},
		{operators.Greater, "@more", "order", order(func(c types.Int) bool { return c > 0 }), kinds.ordered},
		{operators.GreaterEquals, "@least", "order", order(func(c types.Int) bool { return c >= 0 }), kinds.ordered},
		{operators.Equals, "@equals", "compare", equals, kinds.equal},
		{operators.NotEquals, "@differs", "compare", differs, kinds.equal},
		{operators.In, "@within", "look for", within, kinds.within},
	}
}

// comparison lists the signatures of <, == and in.
type comparison struct{ ordered, equal, within [][3]*cel.Type }

func comparables() comparison {
	a, b := cel.TypeParamType("A"), cel.TypeParamType("B")
	pairs := [][2]*cel.Type{{cel.IntType, cel.DoubleType}, {cel.DoubleType, cel.IntType}}
	for _, kind := range []*cel.Type{
		cel.BoolType, cel.StringType, cel.BytesType, cel.IntType, cel.UintType, cel.DoubleType, cel.TimestampType, cel.DurationType,
	} {
		pairs = append(pairs, [2]*cel.Type{kind, kind})
	}
	var c comparison
	for _, pair := range pairs {
		c.ordered = append(c.ordered, [3]*cel.Type{pair[0], pair[1], cel.BoolType})
	}
	for _, kind := range []*cel.Type{
		cel.NullType, cel.ListType(a), cel.MapType(a, b), cel.OptionalType(a), types.NewTypeTypeWithParam(a),
	} {
		pairs = append(pairs, [2]*cel.Type{kind, kind})
	}
	for _, pair := range pairs {
		c.equal = append(c.equal, [3]*cel.Type{pair[0], pair[1], cel.BoolType})
		c.within = append(c.within, [3]*cel.Type{pair[0], cel.ListType(pair[1]), cel.BoolType})
	}
	for _, key := range []*cel.Type{cel.StringType, cel.IntType, cel.BoolType} {
		c.within = append(c.within, [3]*cel.Type{key, cel.MapType(key, b), cel.BoolType})
	}
	return c
}

// mixed makes an operator on two numbers of one kind work on any two. T is
// what the left side must be able to do.
func mixed[T any](apply func(left T, right ref.Val) ref.Val) func(left, right ref.Val) ref.Val {
	return func(left, right ref.Val) ref.Val {
		left, right = widen(left, right)
		if l, ok := left.(T); ok {
			return apply(l, right)
		}
		return types.MaybeNoSuchOverloadErr(left)
	}
}

// order returns the operator that holds where the order of its sides is right.
func order(holds func(c types.Int) bool) func(left, right ref.Val) ref.Val {
	return func(left, right ref.Val) ref.Val {
		if _, ok := right.(wideInt); ok {
			return wideProblem()
		}
		l, ok := left.(traits.Comparer)
		if !ok {
			return types.MaybeNoSuchOverloadErr(left)
		}
		result := l.Compare(right)
		c, ok := result.(types.Int)
		if !ok {
			return result
		}
		return types.Bool(holds(c))
	}
}

func equals(left, right ref.Val) ref.Val {
	if isLarge(left) && isLarge(right) {
		return tooMuchWork()
	}
	if _, ok := right.(wideInt); ok {
		return types.Equal(right, left)
	}
	return types.Equal(left, right)
}

func differs(left, right ref.Val) ref.Val {
	equal, ok := equals(left, right).(types.Bool)
	if !ok {
		return equals(left, right)
	}
	return !equal
}

func within(value, container ref.Val) ref.Val {
	if _, isList := container.(traits.Lister); isList && isLarge(container) {
		return tooMuchWork()
	}
	if c, ok := container.(traits.Container); ok {
		return c.Contains(value)
	}
	return types.MaybeNoSuchOverloadErr(container)
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

// declareOperators declares what ownOperators lists.
func declareOperators(env *cel.Env) (*cel.Env, error) {
	for _, op := range ownOperators() {
		binding := func(left, right ref.Val) ref.Val {
			result := op.apply(left, right)
			if isNoOverload(result) {
				return problem("%s", mismatch(op.verb, kindOf(left), kindOf(right)))
			}
			return result
		}
		options := []cel.FunctionOpt{cel.SingletonBinaryBinding(binding)}
		for i, s := range op.signatures {
			options = append(options, cel.Overload(op.name+strconv.Itoa(i), []*cel.Type{s[0], s[1]}, s[2]))
		}
		var err error
		if env, err = cel.Function(op.name, options...)(env); err != nil {
			return nil, err
		}
	}
	return env, nil
}

func isNoOverload(value ref.Val) bool {
	e, ok := value.(*types.Err)
	return ok && strings.HasPrefix(e.Error(), "no such overload")
}

// useOwnOperators puts them in the place of the language's, except where a
// macro collects its result.
func useOwnOperators(root ast.Expr) {
	factory, ops := ast.NewExprFactory(), ownOperators()
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		i := slices.IndexFunc(ops, func(op operator) bool { return op.original == call.FunctionName() })
		if i < 0 || len(call.Args()) != 2 {
			return
		}
		if first := call.Args()[0]; first.Kind() != ast.IdentKind || !strings.HasPrefix(first.AsIdent(), "@") {
			e.SetKindCase(factory.NewCall(e.ID(), ops[i].name, call.Args()...))
		}
	}))
}

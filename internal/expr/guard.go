package expr

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"gathering"
)

// The interpreter charges for a call after it was made. The guards here refuse
// a call beforehand whose one result would be enormous or take very long.

// maxWork is what a single call may handle, in units of an element or of ten
// bytes of text.
const maxWork = 1_000_000

func tooMuchWork() ref.Val {
	return problem("it does more work than an expression may")
}

func tooLargeResult() ref.Val { return types.WrapErr(errTooLarge()) }

// guards returns for each guarded function what refuses its arguments, by
// returning an error value, or nil to let them pass.
func guards() map[string]func(args []ref.Val) ref.Val {
	return map[string]func(args []ref.Val) ref.Val{
		"replace":         guardReplace,
		"join":            guardJoin,
		"split":           guardSplit,
		"format":          guardDeep,
		"flatten":         guardDeep,
		"sets.contains":   guardPairs,
		"sets.equivalent": guardPairs,
		"sets.intersects": guardPairs,
	}
}

func guardReplace(args []ref.Val) ref.Val {
	text, ok := args[0].(types.String)
	old, okOld := args[1].(types.String)
	replacement, okNew := args[2].(types.String)
	if !ok || !okOld || !okNew {
		return nil
	}
	count := strings.Count(string(text), string(old))
	if len(args) == 4 {
		if limit, ok := args[3].(types.Int); ok && limit >= 0 {
			count = min(count, int(limit))
		}
	}
	if len(text)+count*(len(replacement)-len(old)) > gathering.MaxValueBytes {
		return tooLargeResult()
	}
	return nil
}

func guardJoin(args []ref.Val) ref.Val {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return nil
	}
	separator := 0
	if len(args) == 2 {
		if text, ok := args[1].(types.String); ok {
			separator = len(text)
		}
	}
	total := 0
	for it := list.Iterator(); it.HasNext() == types.True; {
		if text, ok := it.Next().(types.String); ok {
			total += len(text) + separator
		}
		if total > gathering.MaxValueBytes {
			return tooLargeResult()
		}
	}
	return nil
}

func guardSplit(args []ref.Val) ref.Val {
	text, ok := args[0].(types.String)
	separator, okSeparator := args[1].(types.String)
	if ok && okSeparator && strings.Count(string(text), string(separator)) > maxWork {
		return tooMuchWork()
	}
	return nil
}

func guardDeep(args []ref.Val) ref.Val {
	if slices.ContainsFunc(args, isLarge) {
		return tooMuchWork()
	}
	return nil
}

func guardPairs(args []ref.Val) ref.Val {
	if deepWork(args[0], maxWork)*deepWork(args[1], maxWork) > 4*maxWork {
		return tooMuchWork()
	}
	return nil
}

// isLarge reports whether one look at all of value is more than maxWork.
func isLarge(value ref.Val) bool { return deepWork(value, maxWork) > maxWork }

// deepWork returns how much there is to value, everything within it counted as
// often as it occurs. It stops counting above limit.
func deepWork(value ref.Val, limit int) int {
	total := 1
	switch v := value.(type) {
	case types.String:
		total += len(v) / 10
	case types.Bytes:
		total += len(v) / 10
	case *object:
		total += len(v.text) / 10
	case *list:
		total += len(v.text) / 10
	case *types.Optional:
		if v.HasValue() {
			total += deepWork(v.GetValue(), limit)
		}
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True && total <= limit; {
			total += deepWork(it.Next(), limit-total)
		}
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True && total <= limit; {
			key := it.Next()
			total += deepWork(key, limit-total) + deepWork(v.Get(key), limit-total)
		}
	}
	return total
}

// guardFunctions puts the guards before the functions they guard, and our
// distinct in the place of the library's.
func guardFunctions(env *cel.Env) (*cel.Env, error) {
	for name, refuse := range guards() {
		var err error
		env, err = redefine(env, name, func(original *functions.Overload) func(args []ref.Val) ref.Val {
			return func(args []ref.Val) ref.Val {
				if refused := refuse(args); refused != nil {
					return refused
				}
				return invoke(original, args)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return redefine(env, "distinct", func(*functions.Overload) func(args []ref.Val) ref.Val { return distinct })
}

// redefine replaces what the overloads of a function do.
func redefine(env *cel.Env, name string, replace func(original *functions.Overload) func(args []ref.Val) ref.Val) (*cel.Env, error) {
	declared, ok := env.Functions()[name]
	if !ok {
		return nil, fmt.Errorf("guard function %s: there is none", name)
	}
	bindings, err := declared.Bindings()
	if err != nil {
		return nil, fmt.Errorf("guard function %s: %w", name, err)
	}
	byID := make(map[string]*functions.Overload, len(bindings))
	for _, b := range bindings {
		byID[b.Operator] = b
	}
	var options []cel.FunctionOpt
	for _, overload := range declared.OverloadDecls() {
		declare := cel.Overload
		if overload.IsMemberFunction() {
			declare = cel.MemberOverload
		}
		options = append(options, declare(overload.ID(), overload.ArgTypes(), overload.ResultType(),
			bind(len(overload.ArgTypes()), replace(byID[overload.ID()]))))
	}
	return cel.Function(name, options...)(env)
}

func bind(arity int, call func(args []ref.Val) ref.Val) cel.OverloadOpt {
	switch arity {
	case 1:
		return cel.UnaryBinding(func(value ref.Val) ref.Val { return call([]ref.Val{value}) })
	case 2:
		return cel.BinaryBinding(func(left, right ref.Val) ref.Val { return call([]ref.Val{left, right}) })
	}
	return cel.FunctionBinding(func(args ...ref.Val) ref.Val { return call(args) })
}

func invoke(overload *functions.Overload, args []ref.Val) ref.Val {
	switch {
	case len(args) == 1 && overload.Unary != nil:
		return overload.Unary(args[0])
	case len(args) == 2 && overload.Binary != nil:
		return overload.Binary(args[0], args[1])
	case overload.Function != nil:
		return overload.Function(args...)
	}
	return types.NewErr("no such overload")
}

// costs charges for the calls whose work depends on the length of what they
// are given.
type costs struct{}

// CallCost returns the cost of one call, or nil where the interpreter's own
// measure is right.
func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	total := 1
	switch function {
	case "_+_", "_[_]", "_[?_]", "_?._", "_&&_", "_||_", "!_", "_?_:_", "@not_strictly_false":
		return nil
	case "@add":
		for _, arg := range args {
			if _, isList := arg.(traits.Lister); !isList {
				total += work([]ref.Val{arg})
			}
		}
	case "@equals", "@differs":
		total += min(deepWork(args[0], maxWork), deepWork(args[1], maxWork))
	case "@within":
		if _, isList := args[1].(traits.Lister); isList {
			total += deepWork(args[1], maxWork)
		}
	case matchesFunction: // it measures itself
		if charged, ok := args[0].(types.Int); ok {
			total = int(charged)
		}
	case "size":
		switch args[0].(type) {
		case types.String, types.Bytes:
			total += work(args)
		}
	default:
		if len(args) == 2 && strings.HasPrefix(function, "get") {
			total += zoneCost
		}
		total += work(args) + work([]ref.Val{result})
	}
	charged := uint64(total)
	return &charged
}

// listCosts charges for sorting what sorting takes, and for distinct, which
// bounds itself, likewise; the library's own models are quadratic.
func listCosts() cel.EnvOption {
	linear := func(length cost.QuantityExpr) cost.OverloadModelOption {
		return cost.EvalCost(cost.AllocList(cost.Scale(length, comparisonsPerElement)))
	}
	models := []cost.OverloadModel{cost.MemberOverload("list_distinct", linear(cost.Length(cost.Target())))}
	for _, element := range []string{"int", "uint", "double", "bool", "google.protobuf.Duration", "google.protobuf.Timestamp", "string", "bytes"} {
		models = append(models,
			cost.MemberOverload("list_"+element+"_sort", linear(cost.Length(cost.Target()))),
			cost.MemberOverload("list_"+element+"_sortByAssociatedKeys", linear(cost.Length(cost.Target()))))
	}
	return cel.CostModel(models...)
}

// comparisonsPerElement is how many comparisons sorting a list of a million
// elements makes for each.
const comparisonsPerElement = 20

// zoneCost is what finding a time zone's rules costs.
const zoneCost = 200

// work is how much the text and the elements at the top of values come to.
func work(values []ref.Val) int {
	total := 0
	for _, value := range values {
		switch v := value.(type) {
		case types.String, types.Bytes, *object, *list:
			total += deepWork(value, maxWork) - 1
		case traits.Sizer:
			if size, ok := v.Size().(types.Int); ok {
				total += int(size)
			}
		}
	}
	return total
}

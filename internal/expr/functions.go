package expr

import (
	"encoding/json"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"gathering"
)

// parseJSON is json.parse: the value that JSON text stands for.
func parseJSON(value ref.Val) ref.Val {
	text, ok := value.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(value)
	}
	if !json.Valid([]byte(text)) {
		return problem("json.parse was given text that is not JSON")
	}
	if err := gathering.CheckJSON("its text", []byte(text)); err != nil {
		return problem("json.parse was given what cannot be used: %s", gathering.FailureOf(err).Message)
	}
	return valueOf([]byte(text))
}

// formatJSON is json.format: a value as JSON text.
func formatJSON(value ref.Val) ref.Val {
	text, err := encode(value)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.String(appendCompact(nil, text))
}

// roundingOfInts lets the functions that round fractional numbers take whole
// ones too, which a JSON value may happen to be.
func roundingOfInts(env *cel.Env) (*cel.Env, error) {
	for _, name := range []string{"math.ceil", "math.floor", "math.round", "math.trunc"} {
		same := cel.Overload(name+"_whole", []*cel.Type{cel.IntType}, cel.IntType,
			cel.UnaryBinding(func(value ref.Val) ref.Val { return value }))
		var err error
		if env, err = cel.Function(name, same)(env); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// distinct returns the elements of a list without repetitions, in the order
// of their first occurrence. Scalars are told apart in one step each.
func distinct(args []ref.Val) ref.Val {
	all, ok := args[0].(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(args[0])
	}
	if isLarge(all) {
		return tooMuchWork()
	}
	var kept, compound []ref.Val
	seen, work := map[any]bool{}, 0
	for it := all.Iterator(); it.HasNext() == types.True; {
		value := it.Next()
		if key := scalarKey(value); key != nil {
			if !seen[key] {
				seen[key] = true
				kept = append(kept, value)
			}
			continue
		}
		if work += len(compound) * deepWork(value, maxWork); work > maxWork {
			return tooMuchWork()
		}
		repeated := false
		for _, other := range compound {
			repeated = repeated || types.Equal(other, value) == types.True
		}
		if !repeated {
			compound = append(compound, value)
			kept = append(kept, value)
		}
	}
	return types.NewRefValList(defaultAdapter(), kept)
}

// scalarKey returns what is equal for equal scalars only, or nil for a value
// that is none.
func scalarKey(value ref.Val) any {
	switch v := value.(type) {
	case types.String, types.Bool, types.Null, types.Int, wideInt:
		return v
	case types.Double:
		if whole := types.Int(v); types.Double(whole) == v && v > -1<<53 && v < 1<<53 {
			return whole
		}
		return v // NaN too, which is never found again
	}
	return nil
}

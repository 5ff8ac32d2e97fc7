package expr

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// sum adds up the numbers of a list: whole ones to a whole one, 0 for none.
func sum(value ref.Val) ref.Val {
	list, ok := value.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(value)
	}
	add := mixed(traits.Adder.Add)
	var total ref.Val = types.IntZero
	for it := list.Iterator(); it.HasNext() == types.True; {
		next := it.Next()
		switch next.(type) {
		case types.Int, types.Double, wideInt:
			total = add(total, next)
		default:
			return problem("sum was given a list that holds something other than numbers")
		}
		if types.IsError(total) {
			return total
		}
	}
	return total
}

package expr

import (
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"gathering"
)

// secrets is the object that secrets.NAME selects from. It is never a result,
// and nothing can be learned from it but one secret by its name.
type secrets struct{ scope *Scope }

// Find returns the secret of the given name.
func (s secrets) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	value, err := s.scope.secret(string(name))
	if err != nil {
		return types.WrapErr(err), false
	}
	return types.String(value), true
}

// Get returns the secret of the given name or an error.
func (s secrets) Get(key ref.Val) ref.Val {
	value, found := s.Find(key)
	if !found {
		return types.ValOrErr(value, "no such key")
	}
	return value
}

// Contains reports whether there is a secret of the given name.
func (s secrets) Contains(key ref.Val) ref.Val {
	_, found := s.Find(key)
	return types.Bool(found)
}

// Size is nothing that an expression may know.
func (s secrets) Size() ref.Val { return types.NoSuchOverloadErr() }

// Iterator walks nothing.
func (s secrets) Iterator() traits.Iterator {
	return &iterator{at: func(int) ref.Val { return types.NullValue }}
}

// ConvertToNative is refused.
func (s secrets) ConvertToNative(reflect.Type) (any, error) { return nil, errSecrets() }

// ConvertToType is refused.
func (s secrets) ConvertToType(ref.Type) ref.Val { return types.WrapErr(errSecrets()) }

// Equal is refused.
func (s secrets) Equal(ref.Val) ref.Val { return types.WrapErr(errSecrets()) }

// Type is map.
func (s secrets) Type() ref.Type { return types.MapType }

// Value is nothing.
func (s secrets) Value() any { return nil }

func errSecrets() error {
	return gathering.NewError(gathering.KindInvalid, "write secrets.NAME with the name of one secret")
}

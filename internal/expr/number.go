package expr

import (
	"bytes"
	"math"
	"math/big"
	"reflect"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"gathering"
)

// numberValue converts the text of a JSON number: a whole number that fits 64
// bits to int, one that does not to wideInt, any other to double.
func numberValue(text []byte) ref.Val {
	if bytes.ContainsAny(text, ".eE") || string(text) == "-0" {
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return problem("a number is beyond the range of a 64-bit float")
		}
		return types.Double(f)
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return wideInt(text)
	}
	return types.Int(n)
}

// problem returns a value that ends the evaluation with the given message.
func problem(format string, args ...any) ref.Val {
	return types.WrapErr(gathering.NewError(gathering.KindInvalid, format, args...))
}

// wideInt is a whole number beyond 64 bits, in its digits. It may be passed
// on, compared for equality and turned into a string, all exactly. To compute
// with it is an error rather than a loss.
type wideInt string

func wideProblem() ref.Val {
	return problem("a whole number beyond 64 bits cannot be computed with exactly; pass it on as it is, or write string(…) or double(…)")
}

// Add is an error.
func (w wideInt) Add(ref.Val) ref.Val { return wideProblem() }

// Subtract is an error.
func (w wideInt) Subtract(ref.Val) ref.Val { return wideProblem() }

// Multiply is an error.
func (w wideInt) Multiply(ref.Val) ref.Val { return wideProblem() }

// Divide is an error.
func (w wideInt) Divide(ref.Val) ref.Val { return wideProblem() }

// Modulo is an error.
func (w wideInt) Modulo(ref.Val) ref.Val { return wideProblem() }

// Negate is an error.
func (w wideInt) Negate() ref.Val { return wideProblem() }

// Compare is an error.
func (w wideInt) Compare(ref.Val) ref.Val { return wideProblem() }

// ConvertToNative returns the digits where a string is asked for.
func (w wideInt) ConvertToNative(desc reflect.Type) (any, error) {
	if desc.Kind() == reflect.String {
		return string(w), nil
	}
	return nil, gathering.NewError(gathering.KindInvalid, "a whole number beyond 64 bits cannot be converted")
}

// ConvertToType turns the number into a string exactly or, where that is what
// was asked for, into the nearest double.
func (w wideInt) ConvertToType(target ref.Type) ref.Val {
	switch target {
	case types.StringType:
		return types.String(w)
	case types.DoubleType:
		f, err := strconv.ParseFloat(string(w), 64)
		if err != nil || math.IsInf(f, 0) {
			return wideProblem()
		}
		return types.Double(f)
	case types.TypeType:
		return types.IntType
	}
	return wideProblem()
}

// Equal compares exactly with numbers of every kind.
func (w wideInt) Equal(other ref.Val) ref.Val {
	n, ok := new(big.Int).SetString(string(w), 10)
	if !ok {
		return types.False
	}
	switch o := other.(type) {
	case wideInt:
		m, ok := new(big.Int).SetString(string(o), 10)
		return types.Bool(ok && n.Cmp(m) == 0)
	case types.Uint:
		return types.Bool(n.IsUint64() && n.Uint64() == uint64(o))
	case types.Double:
		if math.IsNaN(float64(o)) || math.IsInf(float64(o), 0) {
			return types.False
		}
		m, accuracy := big.NewFloat(float64(o)).Int(nil)
		return types.Bool(accuracy == big.Exact && n.Cmp(m) == 0)
	}
	return types.False
}

// Type returns a type with a number's traits, so that operators reach the
// methods above and report their error.
func (w wideInt) Type() ref.Type { return wideIntType{} }

// Value returns the digits.
func (w wideInt) Value() any { return string(w) }

type wideIntType struct{}

// HasTrait reports whether the trait is one of a number's.
func (wideIntType) HasTrait(trait int) bool { return types.IntType.HasTrait(trait) }

// TypeName returns the name shown for the type.
func (wideIntType) TypeName() string { return "int" }

var _ interface {
	traits.Adder
	traits.Comparer
	traits.Divider
	traits.Modder
	traits.Multiplier
	traits.Negater
	traits.Subtractor
} = wideInt("")

package schema

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxSteps is how many times parts of a schema may be applied to parts of a
// value in one validation, where that is not bounded by their sizes.
const maxSteps = 300_000

// maxUnfolded is the number of a schema's parts, references followed, up to
// which validating is sure to be quick.
const maxUnfolded = 200

// errBudget ends a validation that takes too long.
var errBudget = errors.New("the schema's budget is used up")

// budget bounds the work of validations, which it lets in one at a time.
type budget struct {
	mu   sync.Mutex
	left int
}

// budgetFor returns a budget that the schema's every part spends from, or nil
// where the schema needs none: where it is small and does not refer to itself.
// Alternatives within a schema that refers to itself can multiply at every
// level of a value.
func budgetFor(root *jsonschema.Schema) *budget {
	u := unfolding{sizes: map[*jsonschema.Schema]int{}}
	if u.size(root) <= maxUnfolded {
		return nil
	}
	b := &budget{}
	for part := range u.sizes {
		if part.Format != nil {
			original := part.Format.Validate
			part.Format = &jsonschema.Format{Name: part.Format.Name, Validate: func(value any) error {
				b.spend()
				return original(value)
			}}
			continue
		}
		part.Format = &jsonschema.Format{Validate: func(any) error {
			b.spend()
			return nil
		}}
	}
	return b
}

func (b *budget) spend() {
	if b.left--; b.left < 0 {
		panic(errBudget)
	}
}

// unfolding counts the parts of a schema with its references followed.
type unfolding struct {
	sizes map[*jsonschema.Schema]int // underWay while being counted
}

const (
	underWay = -1
	endless  = 1 << 20
)

func (u *unfolding) size(s *jsonschema.Schema) int {
	switch size, known := u.sizes[s]; {
	case known && size == underWay:
		return endless
	case known:
		return size
	}
	u.sizes[s] = underWay
	total := 1
	for _, part := range parts(s) {
		total = min(endless, total+u.size(part))
	}
	u.sizes[s] = total
	return total
}

// parts returns the schemas that s applies to a value or to parts of it.
func parts(s *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{
		s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties,
		s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	}
	if s.DynamicRef != nil {
		all = append(all, s.DynamicRef.Ref)
	}
	for _, list := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems} {
		all = append(all, list...)
	}
	all = slices.AppendSeq(all, maps.Values(s.Properties))
	all = slices.AppendSeq(all, maps.Values(s.PatternProperties))
	all = slices.AppendSeq(all, maps.Values(s.DependentSchemas))
	untyped := []any{s.AdditionalProperties, s.Items, s.AdditionalItems}
	untyped = slices.AppendSeq(untyped, maps.Values(s.Dependencies))
	for _, part := range untyped {
		switch p := part.(type) {
		case *jsonschema.Schema:
			all = append(all, p)
		case []*jsonschema.Schema:
			all = append(all, p...)
		}
	}
	return slices.DeleteFunc(all, func(part *jsonschema.Schema) bool { return part == nil })
}

// elements counts the values in JSON text, roughly: its commas and opening braces.
func elements(text []byte) int {
	count, inString := 1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == '[' || c == '{'):
			count++
		}
	}
	return count
}

// Limits of numbers that can be compared exactly in reasonable time.
const (
	maxDigits   = 1000
	maxExponent = 1000
)

// uncheckable finds a number that would take too long to compare.
func uncheckable(value any, path string) (at, problem string) {
	switch v := value.(type) {
	case json.Number:
		if len(v) > maxDigits {
			return path, "is a number of more than " + strconv.Itoa(maxDigits) + " digits"
		}
		if e := strings.IndexAny(string(v), "eE"); e >= 0 {
			exponent, err := strconv.Atoi(string(v[e+1:]))
			if err != nil || exponent > maxExponent || exponent < -maxExponent {
				return path, "is a number with an exponent beyond " + strconv.Itoa(maxExponent)
			}
		}
	case map[string]any:
		for key, item := range v {
			if at, problem := uncheckable(item, join(path, key)); problem != "" {
				return at, problem
			}
		}
	case []any:
		for i, item := range v {
			if at, problem := uncheckable(item, index(path, i)); problem != "" {
				return at, problem
			}
		}
	}
	return "", ""
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func sortedKeys(object map[string]any) []string { return slices.Sorted(maps.Keys(object)) }

package schema

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"gathering"
)

// reporter turns the tree of a failed validation into a list of what is wrong
// with which field.
type reporter struct {
	field    string
	value    any
	document any
	problems []gathering.FieldError
}

// add notes a problem of the field at the location, or of a member of it.
func (r *reporter) add(location []string, problem string) {
	r.problems = append(r.problems, gathering.FieldError{Field: r.path(location), Problem: problem})
}

// path writes a location as "input.a.b[0]".
func (r *reporter) path(location []string) string {
	path, value := r.field, r.value
	for _, token := range location {
		switch v := value.(type) {
		case []any:
			i, err := strconv.Atoi(token)
			if err == nil && i >= 0 && i < len(v) {
				value = v[i]
			}
			path += "[" + token + "]"
		case map[string]any:
			value = v[token]
			path = join(path, token)
		default:
			path = join(path, token)
		}
	}
	return path
}

// sorted returns the problems by field, each once.
func (r *reporter) sorted() []gathering.FieldError {
	slices.SortStableFunc(r.problems, func(a, b gathering.FieldError) int {
		return cmp.Or(natural(a.Field, b.Field), cmp.Compare(a.Problem, b.Problem))
	})
	return slices.Compact(r.problems)
}

// natural orders paths so that [2] comes before [10].
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			if c := cmp.Or(cmp.Compare(x, y), cmp.Compare(a[:x], b[:y])); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits returns how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// report notes what a failure and those that caused it say.
func (r *reporter) report(e *jsonschema.ValidationError) {
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf:
		r.alternatives(e)
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			r.add(e.InstanceLocation, "fits more than one of the allowed forms; it must fit exactly one")
			return
		}
		r.alternatives(e)
	case *kind.Required:
		r.missing(e.InstanceLocation, k.Missing, "is required")
	case *kind.DependentRequired:
		r.missing(e.InstanceLocation, k.Missing, "is required where "+k.Prop+" is given")
	case *kind.Dependency:
		r.missing(e.InstanceLocation, k.Missing, "is required where "+k.Prop+" is given")
	case *kind.AdditionalProperties:
		allowed := r.allowed(e.SchemaURL)
		for _, name := range k.Properties {
			r.add(append(slices.Clip(e.InstanceLocation), name), "is not allowed here"+allowed)
		}
	case *kind.PropertyNames:
		r.add(append(slices.Clip(e.InstanceLocation), k.Property), "is not an allowed name")
	case *kind.Contains, *kind.MinContains, *kind.MaxContains, *kind.Not:
		r.add(e.InstanceLocation, words(e.ErrorKind))
	default:
		if len(e.Causes) == 0 {
			r.add(e.InstanceLocation, words(e.ErrorKind))
			return
		}
		for _, cause := range e.Causes {
			r.report(cause)
		}
	}
}

func (r *reporter) missing(location, names []string, problem string) {
	for _, name := range names {
		r.add(append(slices.Clip(location), name), problem)
	}
}

// allowed lists the fields that the schema at the URL knows.
func (r *reporter) allowed(schemaURL string) string {
	object, _ := lookup(r.document, pointer(schemaURL)).(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	if len(properties) == 0 {
		return ""
	}
	return "; allowed: " + shorten(sortedKeys(properties), ", ")
}

// alternatives reports a value that fits none of several forms: by the form it
// was most likely meant to have, where there is one.
func (r *reporter) alternatives(e *jsonschema.ValidationError) {
	if names := typesOf(e); len(names) > 0 {
		r.add(e.InstanceLocation, "must be "+or(names))
		return
	}
	var meant []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		if !mismatched(cause, len(e.InstanceLocation)) {
			meant = append(meant, cause)
		}
	}
	if len(meant) == 1 {
		r.report(meant[0])
		return
	}
	r.add(e.InstanceLocation, "fits none of the allowed forms")
}

// typesOf returns the types that the alternatives ask for, if the type is all
// that is wrong in each.
func typesOf(e *jsonschema.ValidationError) []string {
	var names []string
	for _, cause := range e.Causes {
		leaf := onlyLeaf(cause)
		if leaf == nil || len(leaf.InstanceLocation) != len(e.InstanceLocation) {
			return nil
		}
		wrong, ok := leaf.ErrorKind.(*kind.Type)
		if !ok {
			return nil
		}
		for _, name := range wrong.Want {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// onlyLeaf follows single causes down to their end.
func onlyLeaf(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) == 1 {
		e = e.Causes[0]
	}
	if len(e.Causes) > 1 {
		return nil
	}
	return e
}

// mismatched reports whether an alternative fails on what tells the forms
// apart: the value's own type, or a constant at depth or one below.
func mismatched(e *jsonschema.ValidationError, depth int) bool {
	at := len(e.InstanceLocation) - depth
	switch e.ErrorKind.(type) {
	case *kind.Type, *kind.FalseSchema:
		return at == 0
	case *kind.Const:
		return at <= 1
	case *kind.Enum:
		return at == 1
	}
	return slices.ContainsFunc(e.Causes, func(cause *jsonschema.ValidationError) bool { return mismatched(cause, depth) })
}

const badPattern = "must be a regular expression in RE2 syntax, which has no look-around and no back-references"

// words says what would be right in the place of what failed.
func words(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "must be " + or(k.Want)
	case *kind.Enum:
		return "must be one of " + values(k.Want)
	case *kind.Const:
		return "must be " + values([]any{k.Want})
	case *kind.Format:
		if k.Want == "regex" {
			return badPattern
		}
		return "must be written as a " + k.Want
	case *kind.Pattern:
		return "must match the pattern " + k.Want
	case *kind.FalseSchema:
		return "is not allowed here"
	case *kind.Not:
		return "has a form that is ruled out"
	case *kind.UniqueItems:
		return fmt.Sprintf("must not repeat an element; [%d] and [%d] are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d more elements than allowed", k.Count)
	case *kind.Contains:
		return "must have an element of the described form"
	case *kind.MinContains:
		return fmt.Sprintf("must have at least %s of the described form", count(k.Want, "element"))
	case *kind.MaxContains:
		return fmt.Sprintf("must have at most %s of the described form", count(k.Want, "element"))
	case *kind.RefCycle:
		return "cannot be checked, because the schema refers to itself without end"
	}
	return sizeWords(k)
}

// sizeWords says which bound a size or number is beyond.
func sizeWords(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want)
	case *kind.MinLength:
		return "must have at least " + count(k.Want, "character")
	case *kind.MaxLength:
		return "must have at most " + count(k.Want, "character")
	case *kind.MinItems:
		return "must have at least " + count(k.Want, "element")
	case *kind.MaxItems:
		return "must have at most " + count(k.Want, "element")
	case *kind.MinProperties:
		return "must have at least " + count(k.Want, "field")
	case *kind.MaxProperties:
		return "must have at most " + count(k.Want, "field")
	}
	return "does not fit the schema"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// number writes a bound of the schema's as it would be written in JSON.
func number(n *big.Rat) string {
	if n.IsInt() {
		return n.Num().String()
	}
	f, _ := n.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// or lists types by their names in plain words.
func or(names []string) string {
	words := make([]string, len(names))
	for i, name := range names {
		switch name {
		case "string", "number":
			words[i] = "a " + name
		case "boolean":
			words[i] = "true or false"
		case "integer":
			words[i] = "a whole number"
		case "array":
			words[i] = "a list"
		case "object":
			words[i] = "an object"
		default:
			words[i] = name
		}
	}
	return strings.Join(words, " or ")
}

// values lists values of the schema's as JSON.
func values(all []any) string {
	texts := make([]string, len(all))
	for i, value := range all {
		text, err := json.Marshal(value)
		if err != nil {
			return "the allowed values"
		}
		texts[i] = string(text)
	}
	return shorten(texts, ", ")
}

// maxListed is how many names or values a message lists, maxText how long one may be.
const (
	maxListed = 12
	maxText   = 60
)

func shorten(texts []string, separator string) string {
	more := ""
	if len(texts) > maxListed {
		more = fmt.Sprintf("%s… (%d in all)", separator, len(texts))
		texts = texts[:maxListed]
	}
	texts = slices.Clone(texts)
	for i, text := range texts {
		if len(text) > maxText {
			texts[i] = strings.ToValidUTF8(text[:maxText], "") + "…"
		}
	}
	return strings.Join(texts, separator) + more
}

// compileFault says what is wrong with a schema document.
func compileFault(err error, document any) error {
	if wrong, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if violation, ok := errors.AsType[*jsonschema.ValidationError](wrong.Err); ok {
			r := reporter{value: document}
			r.report(violation)
			problems := r.sorted()
			return gathering.NewError(gathering.KindInvalid, "this is not a usable JSON Schema").
				WithFields(problems[:min(len(problems), MaxProblems)]...)
		}
	}
	r := reporter{value: document}
	at := func(schemaURL string) string { return r.path(pointer(schemaURL)) }
	if e, ok := errors.AsType[*jsonschema.InvalidRegexError](err); ok {
		return fault(at(e.URL), badPattern).WithCause(err)
	}
	if e, ok := errors.AsType[*jsonschema.JSONPointerNotFoundError](err); ok {
		return fault(referrer(document, e.URL), "refers to a place that is not in the schema").WithCause(err)
	}
	if e, ok := errors.AsType[*jsonschema.AnchorNotFoundError](err); ok {
		return fault(referrer(document, e.Reference), "refers to an anchor that is not in the schema").WithCause(err)
	}
	if _, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return fault("$schema", "names no draft that is known: 4, 6, 7, 2019-09 or 2020-12").WithCause(err)
	}
	return fault("", "is not a JSON Schema that can be used").WithCause(err)
}

// referrer returns the path of the first reference in the document that ends
// with the fragment of target.
func referrer(value any, target string) string {
	_, fragment, _ := strings.Cut(target, "#")
	found := ""
	var search func(value any, path string) bool
	search = func(value any, path string) bool {
		switch v := value.(type) {
		case map[string]any:
			for _, key := range sortedKeys(v) {
				text, _ := v[key].(string)
				if isReference(key) && strings.TrimPrefix(text, "#") == fragment {
					found = join(path, key)
					return true
				}
				if search(v[key], join(path, key)) {
					return true
				}
			}
		case []any:
			return slices.ContainsFunc(slices.Collect(indexes(v)), func(i int) bool { return search(v[i], index(path, i)) })
		}
		return false
	}
	search(value, "")
	return found
}

func indexes(list []any) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range list {
			if !yield(i) {
				return
			}
		}
	}
}

// pointer returns the tokens of the JSON pointer in a URL's fragment.
func pointer(schemaURL string) []string {
	_, fragment, _ := strings.Cut(schemaURL, "#")
	text, err := url.PathUnescape(fragment)
	if err != nil || !strings.HasPrefix(text, "/") {
		return nil
	}
	tokens := strings.Split(text[1:], "/")
	for i, token := range tokens {
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	}
	return tokens
}

// lookup follows the tokens of a JSON pointer.
func lookup(value any, tokens []string) any {
	for _, token := range tokens {
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

package expr

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"gathering"
)

// String names what is wanted, with its article.
func (t Type) String() string {
	switch t {
	case Bool:
		return "true or false"
	case String:
		return "a string"
	case Int:
		return "a whole number"
	case Number:
		return "a number"
	case List:
		return "a list"
	case Object:
		return "an object"
	case Timestamp:
		return `a point in time, such as timestamp("2026-01-31T09:00:00Z")`
	case Duration:
		return `a span of time, such as duration("90s")`
	case Any:
	}
	return "any value"
}

// kinds are the checker's types that t accepts.
func (t Type) kinds() []types.Kind {
	switch t {
	case Bool:
		return []types.Kind{types.BoolKind}
	case String:
		return []types.Kind{types.StringKind}
	case Int:
		return []types.Kind{types.IntKind, types.UintKind}
	case Number:
		return []types.Kind{types.IntKind, types.UintKind, types.DoubleKind}
	case List:
		return []types.Kind{types.ListKind}
	case Object:
		return []types.Kind{types.MapKind}
	case Timestamp:
		return []types.Kind{types.TimestampKind, types.StringKind}
	case Duration:
		return []types.Kind{types.DurationKind, types.StringKind}
	case Any:
	}
	return nil
}

// accepts returns an error unless the JSON text is of type t.
func (t Type) accepts(text []byte) error {
	got := typeOf(text)
	ok := true
	switch t {
	case Any:
	case Bool:
		ok = got == "true or false"
	case String:
		ok = got == "a string"
	case Int:
		ok = got == "a number" && !strings.ContainsAny(string(text), ".eE")
	case Number:
		ok = got == "a number"
	case List:
		ok = got == "a list"
	case Object:
		ok = got == "an object"
	case Timestamp:
		_, err := time.Parse(time.RFC3339, decodeString(trim(text)))
		ok = got == "a string" && err == nil
	case Duration:
		_, err := time.ParseDuration(decodeString(trim(text)))
		ok = got == "a string" && err == nil
	}
	if ok {
		return nil
	}
	return errWrong(t, got)
}

func errWrong(want Type, got string) error {
	return gathering.NewError(gathering.KindInvalid, "the result must be %s, but it is %s", want, got)
}

// explain turns what went wrong while p ran into an error whose message people
// can act on. It never repeats a value.
func (p *Program) explain(err error, s *Scope) error {
	if e, ok := errors.AsType[*gathering.Error](err); ok {
		told := *e
		told.Message += p.where()
		return &told
	}
	message := "it could not be evaluated"
	text := err.Error()
	_, stopped := errors.AsType[interpreter.EvalCancelledError](err)
	switch {
	case stopped:
		message = fmt.Sprintf("it does more work than allowed (limit %d)", MaxCost)
	case strings.HasPrefix(text, "no such overload: "):
		message = noOverload(strings.TrimPrefix(text, "no such overload: "))
	case strings.HasPrefix(text, "no such overload"):
		message = "an operator or function was given a value of a kind it does not work on"
	case strings.HasPrefix(text, "no such key"):
		message = p.missingField(err, s)
	case strings.HasPrefix(text, "index out of bounds"), strings.Contains(text, "out of range"):
		message = "an index is beyond the end of its list or text"
	case strings.HasPrefix(text, "division by zero"), strings.HasPrefix(text, "modulus by zero"):
		message = "it divides by zero"
	case strings.Contains(text, "overflow"):
		message = "a number or time gets too large"
	case strings.Contains(text, "optional.none() dereference"):
		message = "an optional value is not there; give a default with .orValue(…)"
	case strings.HasPrefix(text, "list elements must"):
		message = "the elements of a list to be sorted must be of one kind that has an order"
	case strings.Contains(text, "exceeds maximum allowed"):
		message = fmt.Sprintf("lists.range makes at most %d elements", MaxRange)
	case strings.Contains(text, "regexp"), strings.Contains(text, "regex"):
		message = "a pattern is no regular expression that can be used (RE2 syntax, without look-around)"
	case conversionPattern.MatchString(text):
		found := conversionPattern.FindStringSubmatch(text)
		message = fmt.Sprintf("%s could not be converted to %s", describeName(found[1]), describeName(found[2]))
	case strings.Contains(text, "strconv."), strings.Contains(text, "timestamp"),
		strings.Contains(text, "invalid duration"), strings.Contains(text, "invalid syntax"):
		message = "a value cannot be converted to the type that is asked for"
	}
	told := gathering.NewError(gathering.KindInvalid, "%s%s", message, p.where())
	if p.secret {
		return told
	}
	return told.WithCause(err)
}

// noOverload says that a function does not work on what it was given:
// "join(list, string)", as the interpreter puts it.
func noOverload(call string) string {
	name, kinds, ok := strings.Cut(call, "(")
	if !ok {
		return "an operator or function was given a value of a kind it does not work on"
	}
	return fmt.Sprintf("%s does not work on %s", strings.TrimPrefix(name, "@"), strings.Join(arguments("("+kinds), " and "))
}

// missingField says which field is not there. Where the part of the expression
// that failed is a path, it can be told exactly.
func (p *Program) missingField(err error, s *Scope) string {
	const advice = "test it with has(…) or give a default with .?field.orValue(…)"
	failed, ok := errors.AsType[*types.Err](err)
	if !ok {
		return "a field is missing; " + advice
	}
	for _, part := range p.selections {
		if part.id != failed.NodeID() {
			continue
		}
		if part.known {
			if _, err := part.reference.text(s); err != nil {
				return publicText(err)
			}
		}
		if part.owner != "" {
			return fmt.Sprintf("%[1]s has no %[2]q; test it with has(%[1]s.%[2]s) or give a default with %[1]s.?%[2]s.orValue(…)", part.owner, part.field)
		}
	}
	return "a field is missing; " + advice
}

func publicText(err error) string {
	if e, ok := errors.AsType[*gathering.Error](err); ok {
		return e.Public()
	}
	return "a field is missing"
}

// where names the expression in a message.
func (p *Program) where() string {
	source := strings.Join(strings.Fields(p.source), " ")
	if len(source) > 80 {
		source = strings.ToValidUTF8(source[:77], "") + "…"
	}
	return " (in the expression " + source + ")"
}

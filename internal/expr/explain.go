package expr

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
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

// describe names a type of the checker's, with its article.
func describe(t *cel.Type) string {
	switch t.Kind() {
	case types.BoolKind:
		return "true or false"
	case types.StringKind:
		return "a string"
	case types.IntKind, types.UintKind:
		return "a whole number"
	case types.DoubleKind:
		return "a fractional number"
	case types.ListKind:
		return "a list"
	case types.MapKind:
		return "an object"
	case types.TimestampKind:
		return "a timestamp"
	case types.DurationKind:
		return "a duration"
	case types.BytesKind:
		return "bytes"
	case types.NullTypeKind:
		return "null"
	}
	return "a " + cel.FormatCELType(t)
}

// kindOf names the kind of a value, with its article.
func kindOf(value ref.Val) string {
	if _, ok := value.(wideInt); ok {
		return "a whole number"
	}
	if t, ok := value.Type().(*cel.Type); ok {
		return describe(t)
	}
	return "a " + value.Type().TypeName()
}

func syntaxFault(source string, issues *cel.Issues) string {
	return firstIssue(issues)
}

func (p *place) typeFault(issues *cel.Issues) string {
	return firstIssue(issues)
}

func planFault(err error) string { return err.Error() }

func firstIssue(issues *cel.Issues) string {
	for _, e := range issues.Errors() {
		return fmt.Sprintf("column %d: %s", e.Location.Column()+1, e.Message)
	}
	return "the expression is not valid"
}

// explain turns what went wrong while p ran into an error whose message people
// can act on. It never repeats a value.
func (p *Program) explain(err error, _ *Scope) error {
	if e, ok := errors.AsType[*gathering.Error](err); ok {
		told := *e
		told.Message += p.where()
		return &told
	}
	message := "it could not be evaluated"
	var cancelled interpreter.EvalCancelledError
	text := err.Error()
	switch {
	case errors.As(err, &cancelled):
		message = fmt.Sprintf("it does more work than allowed (limit %d)", MaxCost)
	case strings.Contains(text, "no such overload"):
		message = "an operator or function was given a value of a kind it does not work on"
	case strings.Contains(text, "no such key"):
		message = "a field is missing; test it with has(…) or give a default with .?field.orValue(…)"
	case strings.Contains(text, "index out of bounds"), strings.Contains(text, "out of range"):
		message = "an index is beyond the end of its list"
	case strings.Contains(text, "division by zero"), strings.Contains(text, "modulus by zero"):
		message = "it divides by zero"
	case strings.Contains(text, "overflow"):
		message = "a number gets too large for 64 bits"
	}
	told := gathering.NewError(gathering.KindInvalid, "%s%s", message, p.where())
	if p.secret {
		return told
	}
	return told.WithCause(err)
}

// where names the expression in a message.
func (p *Program) where() string {
	source := strings.Join(strings.Fields(p.source), " ")
	if len(source) > 80 {
		source = strings.ToValidUTF8(source[:77], "") + "…"
	}
	return " (in the expression " + source + ")"
}

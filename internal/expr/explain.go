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

// wanted says what results a Type accepts.
type wanted struct {
	name   string       // with its article
	kinds  []types.Kind // of the checker's types
	remedy string       // for a result of another type
	fits   func(text []byte) bool
}

func (t Type) wanted() wanted {
	is := func(kind string) func(text []byte) bool {
		return func(text []byte) bool { return typeOf(text) == kind }
	}
	switch t {
	case Bool:
		return wanted{"true or false", []types.Kind{types.BoolKind}, "; compare it with something, as in … == …", is("true or false")}
	case String:
		return wanted{"a string", []types.Kind{types.StringKind}, "; write string(…) around it", is("a string")}
	case Number:
		return wanted{"a number", []types.Kind{types.IntKind, types.UintKind, types.DoubleKind}, "; write double(…) around it", is("a number")}
	case List:
		return wanted{"a list", []types.Kind{types.ListKind}, "", is("a list")}
	case Timestamp:
		return wanted{
			`a point in time, such as timestamp("2026-01-31T09:00:00Z")`,
			[]types.Kind{types.TimestampKind, types.StringKind},
			"; write timestamp(…) around it", func(text []byte) bool {
				_, err := time.Parse(time.RFC3339, decodeString(trim(text)))
				return typeOf(text) == "a string" && err == nil
			},
		}
	case Duration:
		return wanted{
			`a span of time, such as duration("90s")`,
			[]types.Kind{types.DurationKind, types.StringKind},
			"; write duration(…) around it", func(text []byte) bool {
				_, err := time.ParseDuration(decodeString(trim(text)))
				return typeOf(text) == "a string" && err == nil
			},
		}
	case Any:
	}
	return wanted{name: "any value", fits: func([]byte) bool { return true }}
}

// String names what is wanted, with its article.
func (t Type) String() string { return t.wanted().name }

// accepts returns an error unless the JSON text is of type t.
func (t Type) accepts(text []byte) error {
	if t == Any || t.wanted().fits(text) {
		return nil
	}
	return errWrong(t, typeOf(text))
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
	call, mismatched := strings.CutPrefix(text, "no such overload: ")
	switch found := conversionPattern.FindStringSubmatch(text); {
	case stopped:
		message = fmt.Sprintf("it does more work than allowed (limit %d)", MaxCost)
	case mismatched:
		message = noOverload(call)
	case strings.HasPrefix(text, "no such key"):
		message = p.missingField(err, s)
	case found != nil:
		message = fmt.Sprintf("%s could not be converted to %s", describeName(found[1]), describeName(found[2]))
	default:
		for _, known := range knownErrors() {
			if strings.Contains(text, known[0]) {
				message = known[1]
				break
			}
		}
	}
	told := gathering.NewError(gathering.KindInvalid, "%s%s", message, p.where())
	if p.secret {
		return told
	}
	return told.WithCause(err)
}

// knownErrors are what the interpreter says, in part, and plainer words for it.
func knownErrors() [][2]string {
	const conversion = "a value cannot be converted to the type that is asked for"
	const pattern = "a pattern is no regular expression that can be used (RE2 syntax, without look-around)"
	return [][2]string{
		{"no such overload", "an operator or function was given a value of a kind it does not work on"},
		{"index out of bounds", "an index is beyond the end of its list or text"},
		{"maximum allowed precision", fmt.Sprintf("format writes at most %d digits after the point", maxPrecision)},
		{"lists.range: size must be", "lists.range takes how many elements to make, which is never negative"},
		{"lists.range: size", fmt.Sprintf("lists.range makes at most %d elements", MaxRange)},
		{"out of range", "an index is beyond the end of its list or text"},
		{"by zero", "it divides by zero"},
		{"overflow", "a number or time gets too large"},
		{"optional.none() dereference", "an optional value is not there; give a default with .orValue(…)"},
		{"list elements must", "the elements of a list to be sorted must be of one kind that has an order"},
		{"regex program size", fmt.Sprintf("the program of a pattern has more than %d instructions", maxPattern)},
		{"regex", pattern},
		{"timestamp", conversion},
		{"invalid duration", conversion},
		{"invalid syntax", conversion},
	}
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
			_, err := part.reference.text(s)
			if e, ok := errors.AsType[*gathering.Error](err); ok {
				return e.Message
			}
		}
		if part.owner != "" {
			return fmt.Sprintf("%[1]s has no %[2]q; test it with has(%[1]s.%[2]s) or give a default with %[1]s.?%[2]s.orValue(…)", part.owner, part.field)
		}
	}
	return "a field is missing; " + advice
}

// where names the expression in a message.
func (p *Program) where() string {
	source := strings.Join(strings.Fields(p.source), " ")
	if len(source) > 80 {
		source = strings.ToValidUTF8(source[:77], "") + "…"
	}
	return " (in the expression " + source + ")"
}

package expr

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
)

// describe names a type of the checker's, with its article.
func describe(t *cel.Type) string { return describeName(cel.FormatCELType(t)) }

// describeName names a type, as the checker writes it, with its article.
func describeName(name string) string {
	base, _, _ := strings.Cut(name, "(")
	switch base {
	case "bool", "wrapper":
		return "true or false"
	case "string":
		return "a string"
	case "int", "uint":
		return "a whole number"
	case "double":
		return "a fractional number"
	case "list":
		return "a list"
	case "map":
		return "an object"
	case "timestamp", "google.protobuf.Timestamp":
		return "a timestamp"
	case "duration", "google.protobuf.Duration":
		return "a duration"
	case "bytes":
		return "bytes"
	case "null", "null_type":
		return "null"
	case "optional_type":
		return "an optional value"
	case "type":
		return "a type"
	}
	return "any value"
}

// kindOf names the kind of a value, with its article.
func kindOf(value ref.Val) string { return describeName(value.Type().TypeName()) }

// mismatch says that an operator does not work on values of two kinds, and
// what would make it.
func mismatch(verb, left, right string) string {
	text := fmt.Sprintf("cannot %s %s and %s", verb, left, right)
	kinds := []string{left, right}
	has := func(kind string) bool { return slices.Contains(kinds, kind) }
	number := has("a whole number") || has("a fractional number")
	switch {
	case has("an optional value"):
		return text + "; end the optional value with .orValue(…)"
	case has("null") && verb == "compare":
		return text + ": a value of that kind is never null"
	case has("null"):
		return text + "; test with … != null before"
	case verb == "add" && has("a string"):
		return text + "; write string(…) around what is not a string"
	case has("a string") && number:
		return text + "; write int(…) or double(…) around the string"
	case has("a string") && has("a timestamp"):
		return text + "; write timestamp(…) around the string"
	case has("a string") && has("a duration"):
		return text + "; write duration(…) around the string"
	}
	return text
}

// syntaxFault says in plain words where source cannot be read.
func (p *place) syntaxFault(issues *cel.Issues) string {
	return located(issues, func(message string) string {
		message = strings.TrimPrefix(message, "Syntax error: ")
		if found := inputPattern.FindStringSubmatch(message); found != nil {
			return unexpected(found[1])
		}
		if found := missingPattern.FindStringSubmatch(message); found != nil {
			return "a " + found[1] + " is missing"
		}
		if strings.Contains(message, "recursion ") || strings.Contains(message, "node count") {
			return "the expression is nested too deeply or too long"
		}
		if word, ok := strings.CutPrefix(message, "reserved identifier: "); ok {
			return word + " is a word of the language and names nothing"
		}
		if strings.Contains(message, "invalid argument to has() macro") {
			return "has(…) takes a path that ends in a field, as in has(input.text)"
		}
		return message
	})
}

// maxToken is how much of a token a message repeats.
const maxToken = 30

// unexpected says what to write in the place of a token that does not fit.
func unexpected(token string) string {
	if token == "<EOF>" {
		return "the expression ends too early"
	}
	words := strings.Fields(token)
	if len(words) == 0 {
		return "unexpected space"
	}
	last := words[len(words)-1]
	instead := map[string]string{"and": "&&", "or": "||", "not": "!", "is": "==", "=": "==", "&": "&&", "|": "||", "===": "=="}[strings.TrimSpace(last)]
	if instead != "" {
		return "unexpected " + last + "; write " + instead
	}
	if len(last) > maxToken {
		last = strings.ToValidUTF8(last[:maxToken], "") + "…"
	}
	return "unexpected " + last
}

// typeFault says in plain words which kinds of value do not go together.
func (p *place) typeFault(issues *cel.Issues) string {
	return located(issues, func(message string) string {
		if found := overloadPattern.FindStringSubmatch(message); found != nil {
			return p.overloadFault(found[1], found[2], arguments(found[3]))
		}
		if found := undeclaredPattern.FindStringSubmatch(message); found != nil {
			return p.functionFault(found[1])
		}
		if found := expectedPattern.FindStringSubmatch(message); found != nil {
			return fmt.Sprintf("this must be %s, but it is %s", describeName(found[1]), describeName(found[2]))
		}
		if found := fieldPattern.FindStringSubmatch(message); found != nil {
			return describeName(found[1]) + " has no fields"
		}
		switch {
		case strings.Contains(message, "invalid timestamp argument"):
			return `a point in time is written as timestamp("2026-01-31T09:00:00Z")`
		case strings.Contains(message, "invalid duration argument"):
			return `a span of time is written as duration("1h30m")`
		case strings.Contains(message, "invalid matches argument"), strings.Contains(message, "regex"):
			return "the pattern is no regular expression that can be used (RE2 syntax, without look-around)"
		}
		return message
	})
}

// overloadFault says that an operator or function does not take such arguments.
func (p *place) overloadFault(name, target string, kinds []string) string {
	for _, op := range ownOperators() {
		if op.name == name && len(kinds) == 2 {
			return mismatch(op.verb, kinds[0], kinds[1])
		}
	}
	switch name {
	case "_?_:_":
		if len(kinds) == 3 && kinds[0] != "true or false" {
			return "what stands before ? must be true or false, but it is " + kinds[0]
		}
		return "both outcomes of ? : must be of one kind, but they are " + strings.Join(kinds[min(1, len(kinds)):], " and ") +
			"; write dyn(…) around one where that is meant"
	case "!_":
		return "! takes true or false, but this is " + strings.Join(kinds, "")
	case "-_":
		return "- takes a number, but this is " + strings.Join(kinds, "")
	case "_%_":
		return "% takes two whole numbers, but these are " + strings.Join(kinds, " and ")
	case "_[_]":
		return "cannot index " + strings.Join(kinds, " with ")
	}
	given := "nothing"
	if len(kinds) > 0 {
		given = strings.Join(kinds, " and ")
	}
	called := strings.TrimPrefix(name, "@")
	if target != "" {
		called += " of " + describeName(target)
	}
	return fmt.Sprintf("%s does not take %s; it is used as %s", called, given, p.usage(name))
}

// usage lists how a function may be called.
func (p *place) usage(name string) string {
	declared, ok := p.cel.Functions()[name]
	if !ok {
		return name + "(…)"
	}
	var forms []string
	for _, overload := range declared.OverloadDecls() {
		arguments := make([]string, len(overload.ArgTypes()))
		for i, t := range overload.ArgTypes() {
			arguments[i] = cel.FormatCELType(t)
		}
		form := name
		if overload.IsMemberFunction() {
			form, arguments = arguments[0]+"."+name, arguments[1:]
		}
		forms = append(forms, form+"("+strings.Join(arguments, ", ")+")")
	}
	const most = 4
	if len(forms) > most {
		forms = append(forms[:most], "…")
	}
	return strings.Join(forms, " or ")
}

func (p *place) functionFault(name string) string {
	var known []string
	for function := range maps.Keys(p.cel.Functions()) {
		if identifier(strings.ReplaceAll(function, ".", "_")) {
			known = append(known, function)
		}
	}
	for _, macro := range p.cel.Macros() {
		known = append(known, macro.Function())
	}
	slices.Sort(known)
	if slices.Contains(known, name) {
		return name + " does not take arguments like these"
	}
	return "there is no function " + name + didYouMean(name, known)
}

// arguments names the kinds in a list of types as the checker writes it,
// "(string, int)".
func arguments(text string) []string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "("), ")")
	if text == "" {
		return nil
	}
	var kinds []string
	depth, start := 0, 0
	for i, c := range text + "," {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				kinds = append(kinds, describeName(strings.TrimSpace(text[start:i])))
				start = i + 1
			}
		}
	}
	return kinds
}

// located returns the first issue in plain words, after its place.
func located(issues *cel.Issues, say func(message string) string) string {
	all := issues.Errors()
	if len(all) == 0 {
		return "the expression cannot be read"
	}
	line, column := all[0].Location.Line(), all[0].Location.Column()+1
	switch words := say(all[0].Message); {
	case line < 1:
		return words
	case line == 1:
		return fmt.Sprintf("column %d: %s", column, words)
	default:
		return fmt.Sprintf("line %d, column %d: %s", line, column, words)
	}
}

// What the parser and the checker say, where it can be put more plainly.
var (
	inputPattern      = regexp.MustCompile(`(?s)^(?:mismatched input|extraneous input|no viable alternative at input|token recognition error at:) '(.*?)'(?: expecting .*)?$`)
	missingPattern    = regexp.MustCompile(`^missing '(.*?)' at `)
	overloadPattern   = regexp.MustCompile(`(?s)^found no matching overload for '(.*?)' applied to '(?:(.*?)\.)?(\(.*\))'$`)
	undeclaredPattern = regexp.MustCompile(`^undeclared reference to '(.*?)'`)
	expectedPattern   = regexp.MustCompile(`^expected type '(.*?)' but found '(.*?)'$`)
	conversionPattern = regexp.MustCompile(`^type conversion error from '(.*?)' to '(.*?)'$`)
	fieldPattern      = regexp.MustCompile(`^type '(.*?)' does not support field selection$`)
)

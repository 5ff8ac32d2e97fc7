package expr

import (
	"encoding/json"
	"strconv"
	"strings"

	"gathering"
)

// Template is a compiled JSON value whose strings may hold expressions. It is
// immutable and may be used by many goroutines at a time.
type Template struct {
	parts    []part
	constant json.RawMessage // set where there is nothing to evaluate
}

// part is literal JSON text, followed by the result of program where there is one.
type part struct {
	literal []byte
	program *Program
	inText  bool // the result stands inside a string
}

// Template compiles a JSON value whose strings may hold ${{ expression }}. A
// string that is one expression and nothing else becomes that expression's
// result, of its type. Within other text a string is inserted as it is, null
// as nothing and everything else as compact JSON. $${{ writes ${{ itself. The
// keys of objects hold no expressions. It returns every fault there is.
func (e *Env) Template(value json.RawMessage) (*Template, []Fault) {
	place, err := e.ready()
	if err != nil {
		return nil, []Fault{{Message: "expressions cannot be used here: " + err.Error()}}
	}
	if len(trim(value)) == 0 {
		value = json.RawMessage("null")
	}
	if !json.Valid(value) {
		return nil, []Fault{{Message: "this is not valid JSON"}}
	}
	b := templateBuilder{place: place, value: value}
	b.walk(trim(value), "")
	if len(b.faults) > 0 {
		return nil, b.faults
	}
	if !b.changed {
		return &Template{constant: value}, nil
	}
	b.flush(nil, false)
	t := &Template{parts: b.parts}
	if len(b.parts) == 1 && b.parts[0].program == nil {
		t.constant = b.parts[0].literal
	}
	return t, nil
}

// Render returns the value with every expression in it replaced by its result.
// Its error names the first expression that failed.
func (t *Template) Render(s *Scope) (json.RawMessage, error) {
	if t.constant != nil {
		return t.constant, nil
	}
	var out []byte
	for _, p := range t.parts {
		out = append(out, p.literal...)
		if p.program == nil {
			continue
		}
		text, err := p.program.Value(s)
		if err != nil {
			return nil, err
		}
		if len(t.parts) == 1 && len(p.literal) == 0 {
			return text, nil
		}
		if p.inText {
			out = appendInText(out, text)
		} else {
			out = append(out, text...)
		}
		if len(out) > gathering.MaxValueBytes {
			return nil, errTooLarge()
		}
	}
	if depthOf(out) > gathering.MaxValueDepth {
		return nil, errTooDeep()
	}
	return out, nil
}

// templateBuilder takes a JSON value apart into parts.
type templateBuilder struct {
	place  *place
	value  []byte
	parts  []part
	text   []byte // literal text since the last part
	faults []Fault
	// changed: there is something to evaluate or an escape to undo.
	changed bool
}

// flush ends the literal text with a program, or with nothing at the very end.
func (b *templateBuilder) flush(program *Program, inText bool) {
	if program == nil && len(b.text) == 0 {
		return
	}
	b.parts = append(b.parts, part{literal: b.text, program: program, inText: inText})
	b.text = nil
}

func (b *templateBuilder) walk(text []byte, path string) {
	switch text[0] {
	case '"':
		b.stringValue(text, path)
	case '{', '[':
		b.nested(text, path)
	default:
		b.text = append(b.text, text...)
	}
}

func (b *templateBuilder) nested(text []byte, path string) {
	keyed := text[0] == '{'
	b.text = append(b.text, text[0])
	i := 0
	members(text, func(m member) bool {
		if i > 0 {
			b.text = append(b.text, ',')
		}
		inner := path + "[" + strconv.Itoa(i) + "]"
		if keyed {
			b.text = append(append(b.text, m.name...), ':')
			inner = strings.TrimPrefix(path+"."+m.key(), ".")
		}
		b.walk(m.text, inner)
		i++
		return true
	})
	b.text = append(b.text, text[len(text)-1])
}

// stringValue compiles one string.
func (b *templateBuilder) stringValue(text []byte, path string) {
	source := decodeString(text)
	pieces, fault := split(source)
	switch {
	case fault != "":
		b.faults = append(b.faults, Fault{path, fault})
		return
	case len(pieces) == 1 && !pieces[0].expression && pieces[0].text == source, len(pieces) == 0:
		b.text = append(b.text, text...)
		return
	}
	b.changed = true
	if len(pieces) == 1 && pieces[0].expression {
		if program := b.compile(pieces[0].text, path); program != nil {
			b.flush(program, false)
		}
		return
	}
	b.text = append(b.text, '"')
	for _, piece := range pieces {
		if !piece.expression {
			b.text = appendEscaped(b.text, piece.text)
		} else if program := b.compile(piece.text, path); program != nil {
			b.flush(program, true)
		}
	}
	b.text = append(b.text, '"')
}

func (b *templateBuilder) compile(source, path string) *Program {
	program, fault := b.place.compile(source, Any)
	if fault != nil {
		b.faults = append(b.faults, Fault{path, fault.Message})
		return nil
	}
	return program
}

// piece is a stretch of a string: an expression or plain text.
type piece struct {
	text       string
	expression bool
}

// split takes a string apart at its ${{ … }}. It returns what is wrong, if
// something is.
func split(source string) (pieces []piece, fault string) {
	var plain strings.Builder
	for {
		open := strings.Index(source, "${{")
		if open < 0 {
			plain.WriteString(source)
			break
		}
		if open > 0 && source[open-1] == '$' {
			plain.WriteString(source[:open-1] + "${{")
			source = source[open+len("${{"):]
			continue
		}
		plain.WriteString(source[:open])
		source = source[open+len("${{"):]
		end := endOfExpression(source)
		if end < 0 {
			return nil, "a ${{ is not closed by }}; close it, or write $${{ for the characters themselves"
		}
		if plain.Len() > 0 {
			pieces = append(pieces, piece{text: plain.String()})
			plain.Reset()
		}
		pieces = append(pieces, piece{text: strings.TrimSpace(source[:end]), expression: true})
		source = source[end+len("}}"):]
	}
	if plain.Len() > 0 {
		pieces = append(pieces, piece{text: plain.String()})
	}
	return pieces, ""
}

// endOfExpression returns the index of the }} that ends the expression at the
// beginning of source, or -1. A }} inside a string literal or one that closes
// an object of the expression's does not end it.
func endOfExpression(source string) int {
	depth := 0
	for i := 0; i < len(source); {
		switch c := source[i]; {
		case c == '"' || c == '\'':
			if i = skipLiteral(source, i); i < 0 {
				return -1
			}
			continue
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case strings.HasPrefix(source[i:], "}}"):
			return i
		case strings.HasPrefix(source[i:], "//"):
			for i < len(source) && source[i] != '\n' && !strings.HasPrefix(source[i:], "}}") {
				i++
			}
			continue
		}
		i++
	}
	return -1
}

// skipLiteral returns the index after the string literal whose first quote is
// at i, or -1.
func skipLiteral(source string, i int) int {
	raw := false
	for j := i - 1; j >= 0 && j >= i-2; j-- {
		if c := source[j]; c == 'r' || c == 'R' {
			raw = true
		} else if c != 'b' && c != 'B' {
			break
		}
	}
	quote := source[i : i+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(source[i:], triple) {
		quote = triple
	}
	for i += len(quote); i < len(source); i++ {
		if strings.HasPrefix(source[i:], quote) {
			return i + len(quote)
		}
		if source[i] == '\\' && !raw {
			i++
		}
	}
	return -1
}

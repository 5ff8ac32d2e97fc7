package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"gathering"
)

// looksLikeJSON reports whether data is a JSON document. YAML readers do not
// know JSON's surrogate pairs, so JSON is read as JSON.
func looksLikeJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == '{' && json.Valid(data)
}

// jsonReader turns JSON text that json.Valid accepted into values.
type jsonReader struct {
	*report
	decoder *json.Decoder
	data    []byte
	offset  int64 // the end of the last token
	counted int64 // line feeds before it are in line
	line    int
}

func (r *report) readJSON(data []byte) *value {
	j := jsonReader{report: r, decoder: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	j.decoder.UseNumber()
	return j.value(place{}, 0)
}

// token returns the next token and the text that it was written as. It keeps
// the line that the token stands on.
func (j *jsonReader) token() (json.Token, []byte) {
	token, err := j.decoder.Token()
	if err != nil {
		return nil, nil // not in valid JSON
	}
	end := j.decoder.InputOffset()
	raw := bytes.TrimLeft(j.data[j.offset:end], " \t\r\n,:")
	j.line += bytes.Count(j.data[j.counted:end], []byte("\n"))
	j.offset, j.counted = end, end
	return token, raw
}

func (j *jsonReader) value(at place, depth int) *value {
	token, raw := j.token()
	at.line = j.line
	v := &value{line: j.line}
	switch token := token.(type) {
	case json.Delim:
		return j.compound(at, token, depth)
	case nil:
		v.kind = kindNull
	case bool:
		v.kind, v.text = kindFlag, strconv.FormatBool(token)
	case json.Number:
		v.kind, v.text = kindNumber, string(token)
		j.check(at, v, raw)
	case string:
		v.kind, v.text = kindText, token
		j.check(at, v, raw)
	}
	return v
}

// check reports a string or number that cannot be kept as it is.
func (j *jsonReader) check(at place, v *value, raw []byte) {
	problem := jsonProblem(raw)
	if problem == "" {
		return
	}
	remedy := "put it in quotes if it is text"
	if v.kind == kindText {
		remedy = "write the character itself, or both of its escapes"
	}
	j.add(at, problem, remedy)
	v.kind = kindBad
}

// jsonProblem says what keeps a string or a number from coming back as it is.
func jsonProblem(raw []byte) string {
	invalid, ok := errors.AsType[*gathering.Error](gathering.CheckJSON("", raw))
	if !ok || len(invalid.Fields) == 0 {
		return ""
	}
	return invalid.Fields[0].Problem
}

func (j *jsonReader) compound(at place, open json.Delim, depth int) *value {
	v := &value{kind: kindList, line: j.line}
	if open == '{' {
		v.kind = kindObject
	}
	tooDeep := depth == gathering.MaxValueDepth+1
	if tooDeep {
		j.add(at, "is nested too deeply", "the limit is "+strconv.Itoa(gathering.MaxValueDepth))
	}
	if depth > gathering.MaxValueDepth {
		v.kind = kindBad
	}
	lines := map[string]int{}
	for j.decoder.More() {
		if open == '[' {
			v.items = append(v.items, j.value(at.item(len(v.items), j.line), depth+1))
			continue
		}
		j.member(at, v, lines, depth)
	}
	j.token() // the closing brace
	return v
}

func (j *jsonReader) member(at place, object *value, lines map[string]int, depth int) {
	token, raw := j.token()
	key, _ := token.(string)
	line := j.line
	here := at.in(key, line)
	problem := jsonProblem(raw)
	v := j.value(here, depth+1)
	first, twice := lines[key]
	switch {
	case problem != "":
		j.add(place{at.path, line}, "has a name that "+problem, "write the character itself, or both of its escapes")
	case twice:
		j.add(here, "is there twice", "the first is on line "+strconv.Itoa(first)+"; keep one")
	default:
		lines[key], v.line = line, line
		object.members = append(object.members, member{key, v})
	}
}

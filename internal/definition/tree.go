package definition

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// valueKind is the JSON type of a value.
type valueKind int

const (
	kindBad valueKind = iota // its fault is reported; nothing more is said about it
	kindNull
	kindFlag
	kindNumber
	kindText
	kindList
	kindObject
)

func (k valueKind) String() string {
	return [...]string{"unreadable", "null", "true or false", "a number", "text", "a list", "a mapping"}[k]
}

// value is one JSON value and where it was written.
type value struct {
	kind    valueKind
	line    int      // of its name, where it has one
	text    string   // of kindText: the text; of kindFlag and kindNumber: the JSON spelling
	items   []*value // of kindList
	members []member // of kindObject, in the order of the file, keys unique
}

type member struct {
	key   string
	value *value
}

// absent reports whether v says nothing.
func (v *value) absent() bool { return v == nil || v.kind == kindNull }

// member returns the value under key, or nil.
func (v *value) member(key string) *value {
	if v == nil {
		return nil
	}
	for i := range v.members {
		if v.members[i].key == key {
			return v.members[i].value
		}
	}
	return nil
}

// has reports whether there is a member that is not null.
func (v *value) has(key string) bool { return !v.member(key).absent() }

// json is the value as compact JSON, members in the order of the file.
func (v *value) json() json.RawMessage {
	var b bytes.Buffer
	v.write(&b)
	return b.Bytes()
}

func (v *value) write(b *bytes.Buffer) {
	switch v.kind {
	case kindBad, kindNull:
		b.WriteString("null")
	case kindFlag, kindNumber:
		b.WriteString(v.text)
	case kindText:
		writeText(b, v.text)
	case kindList:
		b.WriteByte('[')
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.write(b)
		}
		b.WriteByte(']')
	case kindObject:
		b.WriteByte('{')
		for i := range v.members {
			if i > 0 {
				b.WriteByte(',')
			}
			writeText(b, v.members[i].key)
			b.WriteByte(':')
			v.members[i].value.write(b)
		}
		b.WriteByte('}')
	}
}

// writeText writes text as a JSON string, leaving <, > and & as they are.
func writeText(b *bytes.Buffer, text string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return // which writing a text to a buffer cannot
	}
	b.Truncate(b.Len() - 1) // the line feed that Encode adds
}

// bad reports whether v holds something whose fault is reported already.
func (v *value) bad() bool {
	if v.kind == kindBad {
		return true
	}
	for _, item := range v.items {
		if item.bad() {
			return true
		}
	}
	for i := range v.members {
		if v.members[i].value.bad() {
			return true
		}
	}
	return false
}

// find follows a path such as "body.items[0].text" as far as it leads. It
// returns the value it ends at and whether that is the whole way.
func (v *value) find(path string) (*value, bool) {
	for path != "" {
		next, rest := v.step(path)
		if next == nil {
			return v, false
		}
		v, path = next, rest
	}
	return v, true
}

// step takes the first segment off path. Keys may hold dots, so the longest
// key that fits is taken.
func (v *value) step(path string) (*value, string) {
	if inside, ok := strings.CutPrefix(path, "["); ok && v.kind == kindList {
		number, rest, closed := strings.Cut(inside, "]")
		i, err := strconv.Atoi(number)
		if !closed || err != nil || i < 0 || i >= len(v.items) {
			return nil, ""
		}
		return v.items[i], strings.TrimPrefix(rest, ".")
	}
	var found *member
	for i := range v.members {
		m := &v.members[i]
		rest, ok := strings.CutPrefix(path, m.key)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') && (found == nil || len(m.key) > len(found.key)) {
			found = m
		}
	}
	if found == nil {
		return nil, ""
	}
	return found.value, strings.TrimPrefix(path[len(found.key):], ".")
}

// contains reports whether a text in v contains part.
func (v *value) contains(part string) bool { return v.count(part) > 0 }

// count is how often part occurs in the texts in v.
func (v *value) count(part string) int {
	n := strings.Count(v.text, part)
	for _, item := range v.items {
		n += item.count(part)
	}
	for i := range v.members {
		n += v.members[i].value.count(part)
	}
	return n
}

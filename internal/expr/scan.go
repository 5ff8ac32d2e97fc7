package expr

import (
	"bytes"
	"encoding/json"
)

// The functions here walk JSON text that was checked when it was taken in.
// Text that is not JSON makes them give up, never panic or loop.

// skipSpace returns the index of the first byte at or after i that is no
// JSON space.
func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// trim returns data without the space around it.
func trim(data []byte) []byte { return bytes.Trim(data, " \n\t\r") }

// skipString returns the index after the string that starts at i, or -1.
func skipString(data []byte, i int) int {
	for i++; i < len(data); {
		quote := bytes.IndexByte(data[i:], '"')
		if quote < 0 {
			return -1
		}
		escape := bytes.IndexByte(data[i:i+quote], '\\')
		if escape < 0 {
			return i + quote + 1
		}
		i += escape + 2
	}
	return -1
}

// skipValue returns the index after the value that starts at i, or -1.
func skipValue(data []byte, i int) int {
	if i >= len(data) {
		return -1
	}
	switch data[i] {
	case '"':
		return skipString(data, i)
	case '{', '[':
		return skipNested(data, i)
	}
	start := i
	for i < len(data) && scalarByte(data[i]) {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// scalarByte reports whether c may stand in a number, true, false or null.
func scalarByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '.' || c == '-' || c == '+' || c == 'E'
}

// skipNested returns the index after the object or array that starts at i, or -1.
func skipNested(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		switch data[i] {
		case '"':
			if i = skipString(data, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// member is one element of an object or array: its text, and in an object
// its key as it is written, quotes included.
type member struct {
	name, text []byte
}

// key returns the decoded key.
func (m member) key() string { return decodeString(m.name) }

// is reports whether the key is the given one.
func (m member) is(key string) bool {
	if bytes.IndexByte(m.name, '\\') >= 0 {
		return m.key() == key
	}
	return len(m.name) == len(key)+2 && string(m.name[1:len(m.name)-1]) == key
}

// members calls yield for each element of the object or array in data until
// yield returns false or the text is not well-formed.
func members(data []byte, yield func(member) bool) {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '{' && data[i] != '[' {
		return
	}
	keyed := data[i] == '{'
	i = skipSpace(data, i+1)
	for i >= 0 && i < len(data) && data[i] != '}' && data[i] != ']' {
		var m member
		if keyed {
			if m.name, i = nameAt(data, i); i < 0 {
				return
			}
		}
		end := skipValue(data, i)
		if end < 0 {
			return
		}
		m.text = data[i:end:end]
		if !yield(m) {
			return
		}
		if i = skipSpace(data, end); i < len(data) && data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
}

// nameAt returns the key at i and the index of its value, or -1.
func nameAt(data []byte, i int) (name []byte, value int) {
	if data[i] != '"' {
		return nil, -1
	}
	end := skipString(data, i)
	if end < 0 {
		return nil, -1
	}
	colon := skipSpace(data, end)
	if colon >= len(data) || data[colon] != ':' {
		return nil, -1
	}
	return data[i:end], skipSpace(data, colon+1)
}

// decodeString returns what the JSON string text, quotes included, stands for.
func decodeString(text []byte) string {
	if len(text) < 2 {
		return ""
	}
	inside := text[1 : len(text)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside)
	}
	var decoded string
	if json.Unmarshal(text, &decoded) != nil {
		return ""
	}
	return decoded
}

// depthOf returns how many objects and arrays stand within one another in data.
func depthOf(data []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			end := skipString(data, i)
			if end < 0 {
				return deepest
			}
			i = end - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// typeOf names the kind of value that data holds, with its article.
func typeOf(data []byte) string {
	data = trim(data)
	if len(data) == 0 {
		return "null"
	}
	switch data[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

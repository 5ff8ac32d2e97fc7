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
// its decoded key.
type member struct {
	key  string
	text []byte
}

// members calls yield for each element of the object or array in data until
// yield returns false. It reports whether the text was well-formed as far as
// it was read.
func members(data []byte, yield func(member) bool) bool {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '{' && data[i] != '[' {
		return false
	}
	keyed := data[i] == '{'
	if i = skipSpace(data, i+1); i < len(data) && (data[i] == '}' || data[i] == ']') {
		return true
	}
	for i < len(data) {
		var m member
		if keyed {
			end := -1
			if data[i] == '"' {
				end = skipString(data, i)
			}
			if end < 0 {
				return false
			}
			m.key = decodeString(data[i:end])
			if i = skipSpace(data, end); i >= len(data) || data[i] != ':' {
				return false
			}
			i = skipSpace(data, i+1)
		}
		end := skipValue(data, i)
		if end < 0 {
			return false
		}
		m.text = data[i:end:end]
		if !yield(m) {
			return true
		}
		if i = skipSpace(data, end); i >= len(data) || data[i] != ',' {
			return i < len(data) && (data[i] == '}' || data[i] == ']')
		}
		i = skipSpace(data, i+1)
	}
	return false
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

package gathering

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a JSON value that GatheRing takes in or passes between nodes.
const (
	MaxValueBytes = 16 << 20 // bytes of JSON text
	MaxValueDepth = 64       // arrays and objects within one another
)

// CheckJSON reports whether value may be stored under the given field name and
// come back exactly as it is: well-formed JSON in valid UTF-8, within
// [MaxValueBytes] and [MaxValueDepth], without a surrogate that stands alone
// (RFC 8259, section 8.2, leaves open what such a string means), without two
// members of one name in an object (section 4 leaves open which of them counts)
// and without a number beyond the range of a 64-bit float. Its error names the
// place within the value and never repeats the value.
func CheckJSON(field string, value []byte) error {
	if len(value) > MaxValueBytes {
		return NewError(KindTooLarge, "%s is %d bytes long; the limit is %d", field, len(value), MaxValueBytes).
			WithFields(FieldError{field, "is over the limit of 16 MiB"})
	}
	s := jsonScan{data: value, path: []string{field}}
	switch {
	case !utf8.Valid(value):
		return s.fault("is not valid UTF-8")
	case !json.Valid(value):
		return s.fault("is not valid JSON")
	}
	return s.value(0)
}

// EncodeJSON writes a value as compact JSON and leaves <, > and & in its strings
// as they are: what was given comes back as it was written.
func EncodeJSON(value any) (json.RawMessage, error) {
	data, err := json.Marshal(value)
	if err != nil || !bytes.Contains(data, []byte(`\u`)) {
		return data, err // nothing was escaped
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// CompactJSON returns value without insignificant space, and nil for null and
// for nothing at all, so that equal values that were written alike are equal bytes.
func CompactJSON(value []byte) json.RawMessage {
	var b bytes.Buffer
	if len(value) == 0 || json.Compact(&b, value) != nil || b.String() == "null" {
		return nil
	}
	return b.Bytes()
}

// jsonScan walks JSON text that json.Valid accepted, so it looks only for what
// json.Valid lets pass.
type jsonScan struct {
	data []byte
	at   int
	path []string
}

func (s *jsonScan) fault(problem string) error {
	where := strings.Join(s.path, "")
	return NewError(KindInvalid, "%s %s", where, problem).WithFields(FieldError{where, problem})
}

func (s *jsonScan) space() {
	for s.at < len(s.data) && strings.IndexByte(" \t\r\n", s.data[s.at]) >= 0 {
		s.at++
	}
}

func (s *jsonScan) value(depth int) error {
	if depth > MaxValueDepth {
		return s.fault("is nested too deeply; the limit is " + strconv.Itoa(MaxValueDepth))
	}
	s.space()
	switch s.data[s.at] {
	case '{':
		return s.members(depth, '}')
	case '[':
		return s.members(depth, ']')
	case '"':
		_, err := s.text()
		return err
	case 't', 'n':
		s.at += len("true")
	case 'f':
		s.at += len("false")
	default:
		return s.number()
	}
	return nil
}

// members walks an object or an array from its opening to its closing brace.
func (s *jsonScan) members(depth int, closing byte) error {
	s.at++
	var names nameSet
	for i := 0; ; i++ {
		s.space()
		if s.data[s.at] == closing {
			s.at++
			return nil
		}
		if s.data[s.at] == ',' {
			s.at++
			s.space()
		}
		segment := "[" + strconv.Itoa(i) + "]"
		if closing == '}' {
			key, err := s.text()
			if err != nil {
				return err
			}
			segment = "." + key
			if !names.add(key) {
				s.path = append(s.path, segment)
				return s.fault("is there twice")
			}
			s.space()
			s.at++ // the colon
		}
		s.path = append(s.path, segment)
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
	}
}

// nameSet is the names of an object's members. Most objects have few, which
// are quicker compared one by one.
type nameSet struct {
	few  []string
	many map[string]bool
}

// add adds a name, as JSON writes it between the quotes. It returns false for
// one that is there already.
func (n *nameSet) add(raw string) bool {
	const limit = 16
	name := raw
	if strings.IndexByte(raw, '\\') >= 0 && json.Unmarshal([]byte(`"`+raw+`"`), &name) != nil {
		name = raw // which valid JSON does not lead to
	}
	if n.many == nil && len(n.few) < limit {
		if slices.Contains(n.few, name) {
			return false
		}
		n.few = append(n.few, name)
		return true
	}
	if n.many == nil {
		n.many = make(map[string]bool, 2*limit)
		for _, known := range n.few {
			n.many[known] = true
		}
	}
	twice := n.many[name]
	n.many[name] = true
	return !twice
}

// text walks a string and returns its raw inside, for paths.
func (s *jsonScan) text() (string, error) {
	s.at++
	start := s.at
	for s.data[s.at] != '"' {
		if s.data[s.at] != '\\' {
			s.at++
			continue
		}
		if s.data[s.at+1] != 'u' {
			s.at += 2
			continue
		}
		unit := s.unit(s.at)
		s.at += 6
		switch {
		case unit >= 0xdc00 && unit <= 0xdfff:
			return "", s.fault("holds half of a surrogate pair")
		case unit >= 0xd800 && unit <= 0xdbff:
			if low := s.unit(s.at); low < 0xdc00 || low > 0xdfff {
				return "", s.fault("holds half of a surrogate pair")
			}
			s.at += 6
		}
	}
	inside := string(s.data[start:s.at])
	s.at++
	return inside, nil
}

// unit reads the \uXXXX escape at i, or returns 0 where there is none.
func (s *jsonScan) unit(i int) uint64 {
	if i+6 > len(s.data) || s.data[i] != '\\' || s.data[i+1] != 'u' {
		return 0
	}
	n, _ := strconv.ParseUint(string(s.data[i+2:i+6]), 16, 32)
	return n
}

func (s *jsonScan) number() error {
	start := s.at
	for s.at < len(s.data) && strings.IndexByte("+-.eE0123456789", s.data[s.at]) >= 0 {
		s.at++
	}
	if _, err := strconv.ParseFloat(string(s.data[start:s.at]), 64); err != nil {
		return s.fault("is a number beyond the range of a 64-bit float")
	}
	return nil
}

package expr

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gathering"
)

// Scope is what an expression sees. It is immutable and may be used by many
// goroutines at a time. JSON in it was checked when it was taken in.
type Scope struct {
	// Input, Trigger and Item are JSON; nil is null.
	Input, Trigger, Item json.RawMessage
	Vars                 map[string]json.RawMessage
	// Node returns an upstream node as it ended. False is a node that left
	// nothing: its output is null.
	Node  func(id string) (Node, bool)
	Run   Run
	Index int
	// Error is the failure on whose branch the expression stands; nil is null.
	Error *gathering.Failure
	// Secrets returns the secret of the given name.
	Secrets func(name string) (string, error)
}

// Node is what expressions see of an upstream node.
type Node struct {
	Output     json.RawMessage // nil is null
	State      string
	FinishedAt time.Time // zero is null
}

// Run is what expressions see of the run.
type Run struct {
	ID        string
	StartedAt time.Time
	Project   string
}

// root is where a reference begins; [reference.String] has their names in this
// order.
type root int

const (
	rootInput root = iota
	rootTrigger
	rootItem
	rootIndex
	rootError
	rootVars
	rootSecrets
	rootRun
	rootOutput
	rootState
	rootFinished
)

// segment is one step of a path: a key, or an index where key is nil.
type segment struct {
	key   string
	index int
	keyed bool
}

// reference is a path that begins at a root: nodes.grade.output.list[2].
type reference struct {
	root root
	name string // of an item, and of the node for rootOutput, rootState and rootFinished
	path []segment
}

// String returns the reference as an expression writes it.
func (r reference) String() string {
	node := "nodes." + r.name
	return [...]string{
		"input", "trigger", r.name, "index", "error", "vars", "secrets", "run", node + ".output", node + ".state", node + ".finished_at",
	}[r.root] + pathText(r.path)
}

func pathText(path []segment) string {
	var text strings.Builder
	for _, s := range path {
		switch {
		case !s.keyed:
			text.WriteString("[" + strconv.Itoa(s.index) + "]")
		case identifier(s.key):
			text.WriteString("." + s.key)
		default:
			text.WriteString("[" + strconv.Quote(s.key) + "]")
		}
	}
	return text.String()
}

// identifier reports whether name may follow a dot.
func identifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// text returns the JSON that r refers to in s: the very bytes, where s has it
// as JSON.
func (r reference) text(s *Scope) (json.RawMessage, error) {
	base, path := json.RawMessage(nil), r.path
	switch r.root {
	case rootInput:
		base = s.Input
	case rootTrigger:
		base = s.Trigger
	case rootItem:
		base = s.Item
	case rootIndex:
		base = strconv.AppendInt(nil, int64(s.Index), 10)
	case rootError:
		base = s.failure()
	case rootRun:
		base = s.run()
	case rootSecrets:
		secret, err := s.secret(path[0].key)
		if err != nil {
			return nil, err
		}
		base, path = appendString(nil, secret), path[1:]
	case rootVars:
		if len(path) == 0 {
			base = s.vars()
			break
		}
		value, ok := s.Vars[path[0].key]
		if !ok {
			return nil, gathering.NewError(gathering.KindInvalid, "there is no variable %s", reference{root: rootVars, path: path[:1]})
		}
		base, path = value, path[1:]
	case rootOutput:
		base = s.node(r.name).Output
	case rootState:
		base = appendString(nil, s.node(r.name).State)
	case rootFinished:
		base = timeText(s.node(r.name).FinishedAt)
	}
	value, err := follow(base, path)
	if err != nil {
		err.reference = r
		err.reference.path = r.path[:len(r.path)-len(path)+err.at]
		err.segment = r.path[len(r.path)-len(path)+err.at]
		return nil, err.problem()
	}
	return value, nil
}

func (s *Scope) node(id string) Node {
	if s.Node == nil {
		return Node{}
	}
	node, _ := s.Node(id)
	return node
}

func (s *Scope) secret(name string) (string, error) {
	if s.Secrets == nil {
		return "", gathering.NewError(gathering.KindInvalid, "secrets.%s cannot be used here", name)
	}
	return s.Secrets(name)
}

func (s *Scope) failure() json.RawMessage {
	if s.Error == nil {
		return nil
	}
	return fmt.Appendf(nil, `{"kind":%s,"code":%s,"message":%s}`,
		appendString(nil, string(s.Error.Kind)), appendString(nil, s.Error.Code), appendString(nil, s.Error.Message))
}

func (s *Scope) run() json.RawMessage {
	return fmt.Appendf(nil, `{"id":%s,"started_at":%s,"project":%s}`,
		appendString(nil, s.Run.ID), timeText(s.Run.StartedAt), appendString(nil, s.Run.Project))
}

func (s *Scope) vars() json.RawMessage {
	values := make(map[string]json.RawMessage, len(s.Vars))
	for name, value := range s.Vars {
		if len(value) == 0 {
			value = json.RawMessage("null")
		}
		values[name] = value
	}
	text, err := json.Marshal(values)
	if err != nil {
		return nil
	}
	return text
}

func timeText(t time.Time) json.RawMessage {
	if t.IsZero() {
		return json.RawMessage("null")
	}
	return append(t.UTC().AppendFormat([]byte{'"'}, time.RFC3339Nano), '"')
}

// missing says where a path left what is there.
type missing struct {
	reference reference // as far as there was something
	segment   segment   // what was not there
	at        int       // its place in the path
	found     []byte    // what was there instead
}

// problem is what people read about it.
func (m *missing) problem() *gathering.Error {
	place := m.reference.String()
	full := m.reference
	full.path = append(append([]segment(nil), full.path...), m.segment)
	kind := typeOf(m.found)
	if !m.segment.keyed {
		if kind != "a list" {
			return gathering.NewError(gathering.KindInvalid, "%s is %s, not a list, so it has no [%d]", place, kind, m.segment.index)
		}
		size := 0
		members(m.found, func(member) bool { size++; return true })
		return gathering.NewError(gathering.KindInvalid, "%s has %d elements, so there is no [%d]; elements count from 0",
			place, size, m.segment.index)
	}
	optional := place + "[?" + strconv.Quote(m.segment.key) + "]"
	if identifier(m.segment.key) {
		optional = place + ".?" + m.segment.key
	}
	if kind == "an object" {
		return gathering.NewError(gathering.KindInvalid, "%s has no %q; test it with has(%s) or give a default with %s.orValue(…)",
			place, m.segment.key, full, optional)
	}
	return gathering.NewError(gathering.KindInvalid, "%s is %s, so it has no %q; give a default with %s.orValue(…)",
		place, kind, m.segment.key, optional)
}

// follow walks path into the JSON text and returns the very bytes it ends at.
func follow(text []byte, path []segment) (json.RawMessage, *missing) {
	for at, s := range path {
		text = trim(text)
		found, ok := step(text, s)
		if !ok {
			return nil, &missing{at: at, found: text}
		}
		text = found
	}
	if len(text) == 0 {
		return json.RawMessage("null"), nil
	}
	return text, nil
}

func step(text []byte, s segment) (found []byte, ok bool) {
	if len(text) == 0 || s.keyed != (text[0] == '{') {
		return nil, false
	}
	i := 0
	members(text, func(m member) bool {
		if s.keyed {
			if m.is(s.key) { // of equal keys the last one counts
				found, ok = m.text, true
			}
			return true
		}
		if i == s.index {
			found, ok = m.text, true
		}
		i++
		return !ok
	})
	return found, ok
}

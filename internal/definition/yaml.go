package definition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"gathering"
)

// Limits of a file.
const (
	MaxDocumentBytes = 1 << 20 // of a file and of its canonical form
	MaxNodes         = 500
	MaxEdges         = 5000
	MaxExpressions   = 5000
	// MaxAliasValues and MaxDocumentBytes bound what all aliases of a file
	// stand for together.
	MaxAliasValues = 20_000
)

// read turns a file into a tree. It returns nil where a file is so broken that
// nothing more can be said than what it reports.
func (r *report) read(data []byte) *value {
	switch {
	case len(data) > MaxDocumentBytes:
		r.add(place{"", 1}, "the file is over 1 MiB", "move texts of that size into the run's input")
		return nil
	case !utf8.Valid(data):
		r.add(place{"", 1 + bytes.Count(validPrefix(data), []byte("\n"))}, "is not UTF-8", "save the file as UTF-8")
		return nil
	}
	if looksLikeJSON(data) {
		return r.readJSON(data)
	}
	return r.readYAML(data)
}

func validPrefix(data []byte) []byte {
	end := 0
	for end < len(data) {
		c, size := utf8.DecodeRune(data[end:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		end += size
	}
	return data[:end]
}

func (r *report) readYAML(data []byte) *value {
	documents, err := parseYAML(data)
	if err != nil {
		r.add(yamlFault(err, data))
		return nil
	}
	if len(documents) == 0 {
		r.add(place{"", 1}, "the file is empty", "begin with: name: my-pipeline")
		return nil
	}
	if len(documents) > 1 {
		r.add(place{"", documents[1].Line}, "a second document begins here", "one file holds one definition; remove the line ---")
		return nil
	}
	root := documents[0]
	if len(root.Content) == 0 {
		return &value{kind: kindNull, line: 1}
	}
	y := yamlReader{report: r}
	return y.value(place{}, root.Content[0], 0)
}

// parseYAML returns the first documents of data, at most two.
func parseYAML(data []byte) (documents []*yaml.Node, err error) {
	// The library reports faults as errors, and its own defects by panicking
	// on what it calls internal errors; a file must not end the process.
	defer func() {
		if recover() != nil {
			documents, err = nil, errors.New("the reader cannot make sense of it")
		}
	}()
	limits := loaderlimits.New(loaderlimits.DepthValue(gathering.MaxValueDepth + 2))
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(limits))
	if err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	for len(documents) < 2 {
		var document yaml.Node
		switch err := loader.Load(&document); {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return nil, fmt.Errorf("read YAML: %w", err)
		}
		documents = append(documents, &document)
	}
	return documents, nil
}

// yamlFault says in plain words why a file cannot be read as YAML.
func yamlFault(err error, data []byte) (at place, problem, remedy string) {
	fault, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return place{"", 1}, "is not well-formed YAML", "compare it with an example"
	}
	at = place{"", fault.Mark.Line}
	if indentedByTab(data, fault.Mark.Line) {
		return at, "a tab stands where spaces must", "indent with spaces"
	}
	for _, known := range yamlProblems() {
		if !strings.Contains(fault.Message, known[0]) {
			continue
		}
		problem, remedy = known[1], known[2]
		if begun := fault.ContextMark.Line; begun > 0 && begun < at.line {
			remedy += "; it begins on line " + strconv.Itoa(begun)
		}
		return at, problem, remedy
	}
	return at, "is not well-formed YAML", "check quotes, brackets and indentation from here upwards"
}

func indentedByTab(data []byte, line int) bool {
	n := 0
	for text := range bytes.Lines(data) {
		if n++; n == line {
			indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
			return bytes.ContainsRune(indent, '\t')
		}
	}
	return false
}

// yamlProblems are parts of the library's messages, what they mean and what
// helps.
func yamlProblems() [][3]string {
	return [][3]string{
		{"mapping values are not allowed", "a colon stands where no value can begin", "put text that contains a colon and a space in quotes, or check the indentation"},
		{"tab", "a tab stands where spaces must", "indent with spaces"},
		{"cannot start any token", "a value begins with a character that YAML keeps for itself", "put the value in quotes; indent with spaces, not with tabs"},
		{"expected ',' or '}'", "a { is not closed before this line, or a comma is missing", "separate with commas and close with }"},
		{"expected ',' or ']'", "a [ is not closed before this line, or a comma is missing", "separate with commas and close with ]"},
		{"did not find expected key", "the indentation does not fit the lines above", "lines of one mapping begin in the same column"},
		{"expected '-' indicator", "the indentation does not fit the list above", "the items of one list begin in the same column"},
		{"could not find expected ':'", "a name has no colon behind it", "write name: value"},
		{"unexpected end of stream", "a quote is not closed", "close it with the same quote"},
		{"invalid Unicode character", "an escape stands for half of a character", `write the character itself, or \U and its eight digits`},
		{"unknown escape character", `a backslash escape is unknown`, `write \\ for a backslash, or use single quotes`},
		{"unknown anchor", "an alias names an anchor that does not exist above it", "define it with &name first"},
		{"exceeded max depth", "is nested too deeply", "the limit is " + strconv.Itoa(gathering.MaxValueDepth)},
		{"control characters", "holds a control character", "write it as an escape in double quotes"},
		{"block sequence entries", "a list item stands where none can begin", "begin the list on its own line, indented"},
		{"undefined tag handle", "has a tag that is not known here", "remove the tag"},
	}
}

// yamlReader turns YAML nodes into values by the rules of the YAML 1.2 core
// schema, writing aliases out.
type yamlReader struct {
	*report
	expanding       []*yaml.Node // the anchors being written out
	outermost       int          // the line of the alias that is being written out
	aliased, copied int          // values and bytes written out through aliases
	exceeded        bool
}

func (y *yamlReader) fault(at place, problem, remedy string) *value {
	y.add(at, problem, remedy)
	return &value{line: at.line}
}

func (y *yamlReader) value(at place, n *yaml.Node, depth int) *value {
	at.line = n.Line
	if depth > gathering.MaxValueDepth {
		return y.fault(at, "is nested too deeply", "the limit is "+strconv.Itoa(gathering.MaxValueDepth))
	}
	if n.Kind == yaml.AliasNode {
		return y.alias(at, n, depth)
	}
	if len(y.expanding) > 0 {
		y.aliased++
		y.copied += len(n.Value)
		if y.exceeded || y.aliased > MaxAliasValues || y.copied > MaxDocumentBytes {
			return y.tooMuch(at)
		}
	}
	if remedy := refusedTag(n); remedy != "" {
		return y.fault(at, "has a tag that is not known here", remedy)
	}
	switch n.Kind {
	case yaml.MappingNode:
		return y.mapping(at, n, depth)
	case yaml.SequenceNode:
		list := &value{kind: kindList, line: n.Line, items: make([]*value, len(n.Content))}
		for i, item := range n.Content {
			list.items[i] = y.value(at.item(i, item.Line), item, depth+1)
		}
		return list
	default:
		return y.scalar(at, n)
	}
}

// tooMuch says once that aliases stand for too much.
func (y *yamlReader) tooMuch(at place) *value {
	if !y.exceeded {
		y.exceeded = true
		y.add(place{"", y.outermost}, "the aliases of the file stand for too much",
			"all together may stand for 20,000 values and 1 MiB")
	}
	return &value{line: at.line}
}

func (y *yamlReader) alias(at place, n *yaml.Node, depth int) *value {
	switch {
	case slices.Contains(y.expanding, n.Alias):
		return y.fault(at, "an alias stands within what it stands for", "write the value out")
	case y.exceeded:
		return &value{line: at.line}
	}
	if len(y.expanding) == 0 {
		y.outermost = n.Line
	}
	y.expanding = append(y.expanding, n.Alias)
	v := y.value(at, n.Alias, depth)
	y.expanding = y.expanding[:len(y.expanding)-1]
	return v
}

func (y *yamlReader) mapping(at place, n *yaml.Node, depth int) *value {
	object := &value{kind: kindObject, line: n.Line}
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, ok := y.key(at, n.Content[i])
		if !ok {
			continue
		}
		line := n.Content[i].Line
		if len(y.expanding) > 0 {
			y.copied += len(key)
		}
		v := y.value(at.in(key, line), n.Content[i+1], depth+1)
		if first, twice := lines[key]; twice {
			y.add(at.in(key, line), "is there twice", "the first is on line "+strconv.Itoa(first)+"; keep one")
			continue
		}
		lines[key], v.line = line, line
		object.members = append(object.members, member{key, v})
	}
	return object
}

// key is the text of a mapping's key.
func (y *yamlReader) key(at place, n *yaml.Node) (string, bool) {
	at.line = n.Line
	switch {
	case n.Kind == yaml.AliasNode || n.Kind != yaml.ScalarNode:
		y.add(at, "has a name that is not text", "write the name out")
	case refusedTag(n) != "":
		y.add(at, "has a name with a tag", "remove the tag")
	case plain(n) && n.Value == "<<":
		y.add(at, "has a merge key, which YAML 1.2 does not know", "write the fields out; an alias may stand for a whole value")
	case plain(n) && plainKind(n.Value) != kindText:
		y.add(at, "has a name that is "+plainKind(n.Value).String(), "put the name in quotes")
	default:
		return n.Value, true
	}
	return "", false
}

// scalar gives a scalar its JSON type and spelling.
func (y *yamlReader) scalar(at place, n *yaml.Node) *value {
	v := &value{kind: kindText, line: n.Line, text: n.Value}
	tagged := n.Style&yaml.TaggedStyle != 0
	if !plain(n) && !tagged || tagged && n.Tag == "!!str" {
		return v
	}
	v.kind = plainKind(n.Value)
	if tagged && !tagFits(n.Tag, v.kind) {
		return y.fault(at, "is not what its tag says", "remove the tag")
	}
	switch v.kind {
	case kindBad:
		return y.fault(at, "is not a number that JSON knows", "infinity and NaN are not allowed; put text in quotes")
	case kindFlag:
		v.text = strings.ToLower(v.text)
	case kindNumber:
		v.text = jsonNumber(n.Value)
		if gathering.CheckJSON("", []byte(v.text)) != nil {
			return y.fault(at, "is a number beyond the range of a 64-bit float", "put it in quotes if it is text")
		}
	default:
	}
	return v
}

// plain reports whether a scalar is written without quotes and so has the type
// that it looks like.
func plain(n *yaml.Node) bool {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Style&quoted == 0
}

// refusedTag says what to do about a tag outside the core schema, and is ""
// for every other.
func refusedTag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle == 0 && n.Tag != "!" {
		return ""
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
		return ""
	case "!!binary":
		return "write binary data as base64 text, without the tag"
	default:
		return "remove the tag"
	}
}

func tagFits(tag string, kind valueKind) bool {
	switch tag {
	case "!!int", "!!float":
		return kind == kindNumber
	case "!!bool":
		return kind == kindFlag
	case "!!null":
		return kind == kindNull
	default:
		return false
	}
}

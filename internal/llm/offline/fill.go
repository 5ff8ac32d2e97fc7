package offline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gathering"
)

// maxListed is how many sentences a list has where its schema sets no bound.
const maxListed = 5

// shape is the part of a JSON Schema that says which form a value has.
type shape struct {
	Type       json.RawMessage  `json:"type"`
	Properties map[string]shape `json:"properties"`
	Required   []string         `json:"required"`
	Items      *shape           `json:"items"`
	Enum       []any            `json:"enum"`
	Const      json.RawMessage  `json:"const"`
	Pattern    string           `json:"pattern"`
	Format     string           `json:"format"`
	MaxLength  *int             `json:"maxLength"` //nolint:tagliatelle // a keyword of JSON Schema
	MaxItems   *int             `json:"maxItems"`  //nolint:tagliatelle // a keyword of JSON Schema
}

// kind returns the first type that is not null, "object" where properties say so.
func (s shape) kind() string {
	var one string
	var several []string
	switch {
	case json.Unmarshal(s.Type, &one) == nil:
		return one
	case json.Unmarshal(s.Type, &several) == nil:
		several = slices.DeleteFunc(several, func(t string) bool { return t == "null" })
		if len(several) > 0 {
			return several[0]
		}
	case s.Properties != nil:
		return "object"
	}
	return ""
}

// filler fills a shape from a document and notes what it cannot.
type filler struct {
	doc   *document
	quote *sentence // what an object in a list is about; nil: the whole text
	fails *[]string // required fields that take a decision
}

// fill returns the JSON value that the schema describes.
func (d *document) fill(schema json.RawMessage) (string, error) {
	var s shape
	if err := json.Unmarshal(schema, &s); err != nil {
		return "", gathering.NewError(gathering.KindInvalid, "%s cannot follow this output schema; use a language model", Ref).WithCause(err)
	}
	var fails []string
	f := filler{doc: d, fails: &fails}
	value, ok := f.value("", "summary", s)
	if len(fails) == 0 && !ok {
		fails = []string{"the output"}
	}
	if len(fails) > 0 {
		fields := make([]gathering.FieldError, 0, len(fails))
		for _, name := range fails {
			fields = append(fields, gathering.FieldError{Field: "output." + name, Problem: "takes a decision, which " + Ref + " cannot make"})
		}
		return "", gathering.NewError(gathering.KindInvalid,
			"%s cannot decide %s; use a language model", Ref, strings.Join(fails, ", ")).WithFields(fields...)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("encode the filled schema: %w", err)
	}
	return strings.TrimSpace(b.String()), nil
}

// value returns what a field of the given name holds, or false where that
// takes a decision. Path is the name with those of the objects around it.
func (f filler) value(path, name string, s shape) (any, bool) {
	if s.Const != nil {
		return s.Const, true
	}
	if len(s.Enum) > 0 {
		return s.Enum[0], len(s.Enum) == 1
	}
	switch s.kind() {
	case "object":
		return f.object(path, s)
	case "array":
		return f.list(path, name, s)
	case "string":
		if s.Pattern != "" || s.Format != "" {
			return nil, false
		}
		text, ok := f.text(name)
		if s.MaxLength != nil && utf8.RuneCountInString(text) > *s.MaxLength {
			text = cut(text, *s.MaxLength)
		}
		return text, ok
	case "integer", "number":
		return f.count(name)
	}
	return nil, false
}

// object fills what it can; a required field that it cannot fill is noted.
func (f filler) object(path string, s shape) (any, bool) {
	filled := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		inner := strings.TrimPrefix(path+"."+name, ".")
		before := len(*f.fails)
		value, ok := f.value(inner, name, s.Properties[name])
		required := slices.Contains(s.Required, name)
		switch {
		case ok && len(*f.fails) == before:
			filled[name] = value
		case !required:
			*f.fails = (*f.fails)[:before]
		case len(*f.fails) == before:
			*f.fails = append(*f.fails, inner)
		}
	}
	for _, name := range s.Required {
		if _, described := s.Properties[name]; !described {
			*f.fails = append(*f.fails, strings.TrimPrefix(path+"."+name, "."))
		}
	}
	return filled, len(filled) > 0 || len(s.Properties) == 0
}

// list fills an array of sentences, or of objects about one sentence each.
func (f filler) list(path, name string, s shape) (any, bool) {
	if s.Items == nil {
		return nil, false
	}
	count := maxListed
	if s.MaxItems != nil {
		count = min(count, *s.MaxItems)
	}
	if texts, ok := f.texts(name, count); ok && s.Items.kind() == "string" && s.Items.Enum == nil && s.Items.Pattern == "" {
		return texts, true
	}
	if s.Items.kind() != "object" || f.quote != nil {
		return nil, false
	}
	chosen := f.sentences(name, count)
	objects := make([]any, 0, len(chosen))
	for i, about := range chosen {
		object, ok := filler{f.doc, about, f.fails}.object(fmt.Sprintf("%s[%d]", path, i), *s.Items)
		if !ok || len(*f.fails) > 0 {
			return nil, false
		}
		objects = append(objects, object)
	}
	return objects, len(objects) > 0
}

// text returns what a string field of the given name holds: what the name says
// in general, or the best sentence that mentions what it names.
func (f filler) text(name string) (string, bool) {
	sentences := f.doc.choose(1, nil)
	if f.quote != nil {
		sentences = []*sentence{f.quote}
	}
	switch key(name) {
	case "model", "generator":
		return Ref, true
	case "method", "note", "notes":
		return Method, true
	case "title", "headline", "subject":
		if f.quote == nil && len(f.doc.headings) > 0 {
			return f.doc.headings[0], true
		}
		return sentences[0].text, true
	case "heading", "section", "where", "source":
		return sentences[0].heading, f.quote != nil
	case "summary", "text", "abstract", "overview", "digest", "gist", "tldr", "answer", "content", "description":
		if f.quote != nil {
			return f.quote.text, true
		}
		return join(f.doc.choose(summaryLength(len(f.doc.sentences)), nil)), true
	case "quote", "excerpt", "sentence":
		return sentences[0].text, true
	}
	if f.quote != nil {
		return "", false
	}
	found := f.doc.choose(1, mentions(name))
	if len(found) == 0 {
		return "", false
	}
	return found[0].text, true
}

func (f filler) texts(name string, count int) ([]string, bool) {
	switch key(name) {
	case "keywords", "keyterms", "terms":
		return f.doc.keywords(count), true
	case "headings", "sections":
		return f.doc.headings[:min(count, len(f.doc.headings))], len(f.doc.headings) > 0
	case "notes":
		return []string{Method}, true
	}
	chosen := f.sentences(name, count)
	texts := make([]string, 0, len(chosen))
	for _, s := range chosen {
		texts = append(texts, s.text)
	}
	return texts, len(texts) > 0
}

// sentences returns the best sentences, or where name is no general one the
// best of those that mention what it names.
func (f filler) sentences(name string, count int) []*sentence {
	switch key(name) {
	case "summary", "quotes", "excerpts", "sentences", "highlights", "keypoints", "points", "keysentences", "takeaways", "bullets", "facts":
		return f.doc.choose(count, nil)
	}
	return f.doc.choose(count, mentions(name))
}

func (f filler) count(name string) (any, bool) {
	if f.quote != nil {
		switch key(name) {
		case "line", "position":
			return f.quote.line, true
		}
		return nil, false
	}
	switch key(name) {
	case "words", "wordcount":
		return f.doc.words, true
	case "sentences", "sentencecount":
		return len(f.doc.sentences), true
	}
	return nil, false
}

// key is a field's name without regard to how its words are joined.
func key(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// mentions returns whether a sentence holds a word that begins like one of name.
func mentions(name string) func(*sentence) bool {
	var stems []string
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '_' || r == '-' || unicode.IsSpace(r) }) {
		if stem := strings.TrimSuffix(strings.ToLower(word), "s"); utf8.RuneCountInString(stem) >= 3 {
			stems = append(stems, stem)
		}
	}
	return func(s *sentence) bool {
		for _, stem := range stems {
			if slices.ContainsFunc(s.terms, func(term string) bool { return strings.HasPrefix(term, stem) }) {
				return true
			}
		}
		return false
	}
}

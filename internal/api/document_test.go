package api_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering/internal/app"
	"gathering/internal/store/storetest"
)

// document is the service's OpenAPI document, as far as tests read it.
type document struct {
	OpenAPI    string                          `json:"openapi"`
	Paths      map[string]map[string]described `json:"paths"`
	Components struct {
		Schemas         map[string]*shape `json:"schemas"`
		SecuritySchemes map[string]any    `json:"securitySchemes"`
	} `json:"components"`
	Tags []tag `json:"tags"`
}

// described is an operation in the document.
type described struct {
	ID          string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Tags        []string              `json:"tags"`
	Security    []map[string][]string `json:"security"`
	Parameters  []parameter           `json:"parameters"`
	RequestBody *struct {
		Required bool `json:"required"`
		Content  map[string]struct {
			Schema *shape `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]struct {
			Schema *shape `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

type parameter struct {
	Name   string `json:"name"`
	In     string `json:"in"`
	Schema *shape `json:"schema"`
}

type tag struct {
	Name string `json:"name"`
}

// shape is a JSON Schema in the document.
type shape struct {
	Ref                  string            `json:"$ref"`
	Type                 any               `json:"type"` // a word or a list of them
	Format               string            `json:"format"`
	Properties           map[string]*shape `json:"properties"`
	Items                *shape            `json:"items"`
	Enum                 []any             `json:"enum"`
	AdditionalProperties any               `json:"additionalProperties"`
}

// is reports whether values of the shape are of a type.
func (s *shape) is(name string) bool {
	if list, ok := s.Type.([]any); ok {
		return slices.Contains(list, any(name))
	}
	return s.Type == name
}

// document is what the service says of itself.
func (s *service) document(t *testing.T) *document {
	t.Helper()
	d := decode[document](t, s.ask(t, nil, call{method: http.MethodGet, path: "/openapi.json"}))
	return &d
}

// resolve follows references.
func (d *document) resolve(s *shape) *shape {
	for s != nil && s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

// of is an operation as the document has it.
func (d *document) of(o asking) described { return d.Paths[o.Path][strings.ToLower(o.Method)] }

// body is the shape of an operation's body; nil where it takes none.
func (d *document) body(o asking) *shape {
	body := d.of(o).RequestBody
	if body == nil {
		return nil
	}
	return d.resolve(body.Content["application/json"].Schema)
}

func TestDocument(t *testing.T) {
	t.Parallel()
	s := open(t, storetest.SQLite(t), app.FrontOptions{})
	answer := s.ask(t, nil, call{method: http.MethodGet, path: "/openapi.json"})
	if answer.status != http.StatusOK || answer.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", answer.status, answer.header.Get("Content-Type"))
	}
	d := s.document(t)
	if !strings.HasPrefix(d.OpenAPI, "3.1") {
		t.Errorf("it is OpenAPI %s", d.OpenAPI)
	}
	var listed, there []string
	ids := map[string]bool{}
	for path, methods := range d.Paths {
		for method := range methods {
			listed = append(listed, strings.ToUpper(method)+" "+path)
		}
	}
	for _, o := range s.operations(t) {
		there = append(there, o.Method+" "+o.Path)
		if ids[o.ID] {
			t.Errorf("two operations are called %s", o.ID)
		}
		ids[o.ID] = true
		d.check(t, o)
	}
	slices.Sort(listed)
	slices.Sort(there)
	if diff := cmp.Diff(there, listed); diff != "" {
		t.Errorf("operations (-there +in the document):\n%s", diff)
	}
	for ref := range references(answer.body) {
		if d.Components.Schemas[ref] == nil {
			t.Errorf("the document refers to %s, which it has not", ref)
		}
	}
}

// check holds what is asked of every operation in the document.
func (d *document) check(t *testing.T, o asking) {
	t.Helper()
	is := d.of(o)
	if is.ID != o.ID || is.Summary == "" || len(is.Tags) != 1 {
		t.Errorf("%s %s is described as %q %q %v", o.Method, o.Path, is.ID, is.Summary, is.Tags)
	}
	for _, name := range is.Tags {
		if !slices.ContainsFunc(d.Tags, func(known tag) bool { return known.Name == name }) {
			t.Errorf("%s has the tag %s, which is not described", o.ID, name)
		}
	}
	if open := !slices.ContainsFunc(is.Security, func(one map[string][]string) bool { return len(one) > 0 }); open != o.open() {
		t.Errorf("%s is open by the document: %t, want %t", o.ID, open, o.open())
	}
	for _, one := range is.Security {
		for scheme := range one {
			if d.Components.SecuritySchemes[scheme] == nil {
				t.Errorf("%s is asked by %s, which is not described", o.ID, scheme)
			}
		}
	}
	if _, ok := is.Responses["422"]; ok {
		t.Errorf("%s answers with 422, by the document", o.ID)
	}
	if problem, ok := is.Responses["default"].Content["application/problem+json"]; !ok || problem.Schema == nil {
		t.Errorf("%s tells no problem document: %v", o.ID, is.Responses)
	}
	for name := range pathParameters(o.Path) {
		if !slices.ContainsFunc(is.Parameters, func(p parameter) bool { return p.Name == name && p.In == "path" }) {
			t.Errorf("%s does not describe {%s}", o.ID, name)
		}
	}
}

var (
	wildcard  = regexp.MustCompile(`\{(\w+)\}`)
	reference = regexp.MustCompile(`"\$ref":\s*"#/components/schemas/(\w+)"`)
)

func pathParameters(path string) map[string]bool { return found(wildcard, path) }

func references(text string) map[string]bool { return found(reference, text) }

// found is what the first group of an expression matches in a text.
func found(e *regexp.Regexp, text string) map[string]bool {
	names := map[string]bool{}
	for _, match := range e.FindAllStringSubmatch(text, -1) {
		names[match[1]] = true
	}
	return names
}

// members is a body, which must be an object, taken apart.
func members(t *testing.T, body string) map[string]json.RawMessage {
	t.Helper()
	m := map[string]json.RawMessage{}
	if body != "" {
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
	}
	return m
}

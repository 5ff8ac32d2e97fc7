package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/schema"
)

func raw(text string) json.RawMessage { return json.RawMessage(text) }

func compile(tb testing.TB, document string) *schema.Schema {
	tb.Helper()
	s, err := schema.Compile(raw(document))
	if err != nil {
		tb.Fatalf("compile %s: %v", document, err)
	}
	return s
}

// problems lists what err says about fields, one "field: problem" a line.
func problems(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*gathering.Error](err)
	if !ok || e.Kind != gathering.KindInvalid {
		t.Fatalf("got %v, want an invalid error", err)
	}
	var lines []string
	for _, f := range e.Fields {
		lines = append(lines, f.Field+": "+f.Problem)
	}
	if len(lines) == 0 {
		lines = append(lines, e.Message)
	}
	return lines
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, schema, value string
		want                []string
	}{
		{"fits", `{"type": "object", "required": ["a"]}`, `{"a": 1}`, nil},
		{"always", `true`, `1`, nil},
		{"never", `false`, `1`, []string{"input: is not allowed here"}},
		{"nothing is null", `{"type": "null"}`, ``, nil},
		{"not JSON", `{}`, `{`, []string{"input: is not valid JSON"}},

		{"string", `{"type": "string"}`, `1`, []string{"input: must be a string"}},
		{"number", `{"type": "number"}`, `"1"`, []string{"input: must be a number"}},
		{"integer", `{"type": "integer"}`, `1.5`, []string{"input: must be a whole number"}},
		{"integer with fraction 0", `{"type": "integer"}`, `1.0`, nil},
		{"integer of any length", `{"type": "integer"}`, `123456789012345678901234567890`, nil},
		{"boolean", `{"type": "boolean"}`, `"true"`, []string{"input: must be true or false"}},
		{"list", `{"type": "array"}`, `{}`, []string{"input: must be a list"}},
		{"object", `{"type": "object"}`, `[]`, []string{"input: must be an object"}},
		{"null", `{"type": "null"}`, `0`, []string{"input: must be null"}},
		{"two types", `{"type": ["string", "null"]}`, `0`, []string{"input: must be null or a string"}},

		{"required", `{"required": ["a", "b"]}`, `{}`, []string{"input.a: is required", "input.b: is required"}},
		{"required within", `{"properties": {"list": {"items": {"required": ["id"]}}}}`, `{"list": [{"id": 1}, {}]}`, []string{"input.list[1].id: is required"}},
		{"unknown field", `{"properties": {"b": true, "a": true}, "additionalProperties": false}`, `{"a": 1, "c": 2}`, []string{"input.c: is not allowed here; allowed: a, b"}},
		{"no field at all", `{"additionalProperties": false}`, `{"c": 2}`, []string{"input.c: is not allowed here"}},
		{"unevaluated", `{"properties": {"a": true}, "unevaluatedProperties": false}`, `{"b": 1}`, []string{"input.b: is not allowed here"}},
		{"field names", `{"propertyNames": {"pattern": "^[a-z]+$"}}`, `{"A": 1}`, []string{"input.A: is not an allowed name"}},
		{"dependent", `{"dependentRequired": {"a": ["b"]}}`, `{"a": 1}`, []string{"input.b: is required where a is given"}},
		{"fewer fields", `{"maxProperties": 1}`, `{"a": 1, "b": 2}`, []string{"input: must have at most 1 field"}},
		{"more fields", `{"minProperties": 2}`, `{}`, []string{"input: must have at least 2 fields"}},

		{"enum", `{"enum": ["low", "high", 3, null]}`, `"secret"`, []string{`input: must be one of "low", "high", 3, null`}},
		{"const", `{"const": {"a": 1}}`, `"secret"`, []string{`input: must be {"a":1}`}},
		{"minimum", `{"minimum": 2.5}`, `2`, []string{"input: must be at least 2.5"}},
		{"maximum", `{"maximum": 10}`, `11`, []string{"input: must be at most 10"}},
		{"more than", `{"exclusiveMinimum": 0}`, `0`, []string{"input: must be more than 0"}},
		{"less than", `{"exclusiveMaximum": 1}`, `1`, []string{"input: must be less than 1"}},
		{"multiple", `{"multipleOf": 0.1}`, `0.25`, []string{"input: must be a multiple of 0.1"}},
		{"exact multiple", `{"multipleOf": 0.1}`, `0.3`, nil},
		{"exact bound", `{"maximum": 9007199254740992}`, `9007199254740993`, []string{"input: must be at most 9007199254740992"}},
		{"longer", `{"minLength": 2}`, `"é"`, []string{"input: must have at least 2 characters"}},
		{"shorter", `{"maxLength": 1}`, `"ab"`, []string{"input: must have at most 1 character"}},
		{"pattern", `{"pattern": "^[a-z]+$"}`, `"A"`, []string{"input: must match the pattern ^[a-z]+$"}},
		{"format is a note", `{"format": "email"}`, `"nobody"`, nil},
		{"format in draft 7", `{"$schema": "http://json-schema.org/draft-07/schema#", "format": "date"}`, `"nobody"`, []string{"input: must be written as a date"}},

		{"more elements", `{"minItems": 2}`, `[1]`, []string{"input: must have at least 2 elements"}},
		{"fewer elements", `{"maxItems": 1}`, `[1, 2]`, []string{"input: must have at most 1 element"}},
		{"unique", `{"uniqueItems": true}`, `[1, 2, 1.0]`, []string{"input: must not repeat an element; [0] and [2] are equal"}},
		{"contains", `{"contains": {"type": "string"}}`, `[1, 2]`, []string{"input: must have an element of the described form"}},
		{"contains more", `{"contains": {"type": "string"}, "minContains": 2}`, `["a", 2]`, []string{"input: must have at least 2 elements of the described form"}},
		{"tuple", `{"prefixItems": [{"type": "string"}], "items": false}`, `[1, 2]`, []string{"input[0]: must be a string", "input[1]: is not allowed here"}},
		{"order of indices", `{"items": {"type": "string"}}`, `["", "", 1, "", "", "", "", "", "", "", 1]`, []string{"input[2]: must be a string", "input[10]: must be a string"}},

		{"not", `{"not": {"required": ["a"]}}`, `{"a": 1}`, []string{"input: has a form that is ruled out"}},
		{"all of", `{"allOf": [{"required": ["a"]}, {"required": ["b"]}]}`, `{}`, []string{"input.a: is required", "input.b: is required"}},
		{"said twice", `{"allOf": [{"required": ["a"]}, {"required": ["a"]}]}`, `{}`, []string{"input.a: is required"}},
		{"any of types", `{"anyOf": [{"type": "string"}, {"type": "null"}]}`, `1`, []string{"input: must be a string or null"}},
		{"any of a type", `{"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}`, `["a", 1]`, []string{"input[1]: must be a string"}},
		{
			"one of by constant", `{"oneOf": [
			{"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]},
			{"properties": {"kind": {"const": "dog"}, "tricks": {"type": "array"}}, "required": ["kind"]}]}`,
			`{"kind": "dog", "tricks": 1}`,
			[]string{"input.tricks: must be a list"},
		},
		{"none of", `{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}`, `{}`, []string{"input: fits none of the allowed forms"}},
		{"two of one", `{"oneOf": [{"minimum": 1}, {"minimum": 2}]}`, `3`, []string{"input: fits more than one of the allowed forms; it must fit exactly one"}},
		{"if then", `{"if": {"required": ["a"]}, "then": {"required": ["b"]}}`, `{"a": 1}`, []string{"input.b: is required"}},
		{"reference", `{"$defs": {"id": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/id"}}}`, `{"a": "x"}`, []string{"input.a: must be a whole number"}},
		{"recursion", `{"properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}}`, `{"child": {"child": {"n": "x"}}}`, []string{"input.child.child.n: must be a whole number"}},
		{"key with a slash", `{"properties": {"a/b~c": {"additionalProperties": false, "properties": {"x": true}}}}`, `{"a/b~c": {"y": 1}}`, []string{"input.a/b~c.y: is not allowed here; allowed: x"}},
		{"key like an index", `{"properties": {"0": {"type": "string"}}}`, `{"0": 1}`, []string{"input.0: must be a string"}},
		{"many values", `{"enum": [1,2,3,4,5,6,7,8,9,10,11,12,13,14]}`, `0`, []string{"input: must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, … (14 in all)"}},
		{"tiny exponent", `{"minimum": 0}`, `{"a": 1e-99999999}`, []string{"input.a: is a number with an exponent beyond 1000"}},
		{"endless digits", `{"minimum": 0}`, `[0.` + strings.Repeat("1", 2000) + `]`, []string{"input[0]: is a number of more than 1000 digits"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := compile(t, test.schema).Validate("input", raw(test.value))
			if diff := cmp.Diff(test.want, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the value is repeated in %v", err)
			}
		})
	}
}

func TestCompileFaults(t *testing.T) {
	t.Parallel()
	const types = `"array", "boolean", "integer", "null", "number", "object", "string"`
	const pattern = "must be a regular expression in RE2 syntax, which has no look-around and no back-references"
	tests := []struct {
		name, schema string
		want         []string
	}{
		{"nothing", ``, []string{`the schema is empty; a schema is an object such as {"type": "object"}`}},
		{"not JSON", `{`, []string{"the schema is not valid JSON"}},
		{"not an object", `"string"`, []string{`the schema must be an object such as {"type": "object"}`}},
		{"unknown type", `{"properties": {"a": {"type": "text"}}}`, []string{"properties.a.type: must be one of " + types}},
		{"several", `{"required": "a", "minLength": -1}`, []string{"minLength: must be at least 0", "required: must be a list"}},
		{"properties is a list", `{"properties": []}`, []string{"properties: must be an object"}},
		{"pattern", `{"properties": {"a": {"pattern": "(?=x)"}}}`, []string{"properties.a.pattern: " + pattern}},
		{"pattern as key", `{"patternProperties": {"[": true}}`, []string{"patternProperties.[: is not an allowed name"}},
		{"file", `{"properties": {"a": {"$ref": "file:///etc/passwd"}}}`, []string{"properties.a.$ref: refers to another document; a schema may refer only to itself, as in #/$defs/name"}},
		{"network", `{"allOf": [{"$ref": "http://127.0.0.1/x"}]}`, []string{"allOf[0].$ref: refers to another document; a schema may refer only to itself, as in #/$defs/name"}},
		{"relative", `{"$ref": "other.json#/a"}`, []string{"$ref: refers to another document; a schema may refer only to itself, as in #/$defs/name"}},
		{"place that is not there", `{"$ref": "#/$defs/a"}`, []string{"$ref: refers to a place that is not in the schema"}},
		{"anchor that is not there", `{"items": {"$ref": "#a"}}`, []string{"items.$ref: refers to an anchor that is not in the schema"}},
		{"unknown draft", `{"$schema": "https://example.com/schema"}`, []string{"$schema: names no draft that is known: 4, 6, 7, 2019-09 or 2020-12"}},
		{"tiny exponent", `{"items": {"minimum": 1e-999999999}}`, []string{"items.minimum: is a number with an exponent beyond 1000"}},
		{"half a pair", `{"title": "\ud800"}`, []string{"title: holds half of a surrogate pair"}},
		{"too deep", strings.Repeat(`{"items":`, 100) + `{}` + strings.Repeat(`}`, 100), []string{strings.TrimPrefix(strings.Repeat(".items", 65), ".") + ": is nested too deeply; the limit is 64"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.Compile(raw(test.schema))
			if diff := cmp.Diff(test.want, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOldDrafts(t *testing.T) {
	t.Parallel()
	for _, draft := range []string{
		"http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-07/schema#",
		"https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema",
	} {
		s := compile(t, fmt.Sprintf(`{"$schema": %q, "type": "object", "definitions": {"a": {"type": "string"}}, "properties": {"a": {"$ref": "#/definitions/a"}}}`, draft))
		if diff := cmp.Diff([]string{"input.a: must be a string"}, problems(t, s.Validate("input", raw(`{"a": 1}`)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", draft, diff)
		}
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	_, err := schema.Compile(raw(`{"title": "` + strings.Repeat("x", schema.MaxBytes) + `"}`))
	if gathering.KindOf(err) != gathering.KindTooLarge {
		t.Errorf("document: got %v", err)
	}
	err = compile(t, `{}`).Validate("input", raw(`[`+strings.Repeat("1,", schema.MaxElements)+`1]`))
	if gathering.KindOf(err) != gathering.KindTooLarge {
		t.Errorf("value: got %v", err)
	}
	if err := compile(t, `{}`).Validate("input", raw(`"`+strings.Repeat(`,[\"{`, schema.MaxElements)+`"`)); err != nil {
		t.Errorf("text: got %v", err)
	}
}

func TestManyProblems(t *testing.T) {
	t.Parallel()
	err := compile(t, `{"items": {"type": "string"}}`).Validate("input", raw(`[`+strings.Repeat("1,", 999)+`1]`))
	e, ok := errors.AsType[*gathering.Error](err)
	if !ok || len(e.Fields) != schema.MaxProblems || e.Message != "input does not fit its schema; the first 100 of 1000 problems are listed" {
		t.Errorf("got %.200v", err)
	}
}

// TestHostile checks values against schemas made to take for ever.
func TestHostile(t *testing.T) {
	t.Parallel()
	nested := func(open, inner, closing string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(closing, n)
	}
	var chain strings.Builder
	for i := range 60 {
		fmt.Fprintf(&chain, `"d%d": {"anyOf": [{"$ref": "#/$defs/d%d"}, {"$ref": "#/$defs/d%d"}]}, `, i, i+1, i+1)
	}
	var numbers strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&numbers, `{"n": %d.0},`, i)
	}
	deep := nested(`{"a":`, `1`, `}`, 60)
	tests := []struct {
		name, schema, value string
		tooLong             bool
	}{
		{"doubling references", `{"$defs": {` + chain.String() + `"d60": false}, "$ref": "#/$defs/d0"}`, `1`, true},
		{"doubling by depth", `{"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": ["x"]}, {"properties": {"a": {"$ref": "#"}}, "required": ["y"]}]}`, deep, true},
		{"doubling under not", `{"not": {"$ref": "#/$defs/n"}, "$defs": {"n": {"patternProperties": {"a": {"$ref": "#/$defs/n"}, "^a": {"$ref": "#/$defs/n"}}, "type": "object"}}}`, deep, true},
		{"doubling by contains", `{"not": {"$ref": "#/$defs/n"}, "$defs": {"n": {"items": {"$ref": "#/$defs/n"}, "contains": {"$ref": "#/$defs/n"}, "type": "array"}}}`, nested(`[`, `1`, `]`, 60), true},
		{"grammar", `{"$ref": "#/$defs/e", "$defs": {"e": {"anyOf": [{"type": "number"}, {"required": ["add"], "properties": {"add": {"items": {"$ref": "#/$defs/e"}}}}]}}}`, nested(`{"add": [1, `, `2`, `]}`, 25), false},
		{"endless reference", `{"$ref": "#"}`, `1`, false},
		{"endless all of", `{"allOf": [{"$ref": "#"}]}`, `1`, false},
		{"unique", `{"uniqueItems": true}`, `[` + numbers.String() + `0]`, false},
		{"pattern", `{"items": {"pattern": "^(a*)*b$"}}`, `["` + strings.Repeat("a", 100_000) + `"]`, false},
		{"many faults", `{"items": {"type": "string"}}`, `[` + numbers.String() + `0]`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := compile(t, test.schema)
			start := time.Now()
			err := s.Validate("input", raw(test.value))
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
			if err != nil && gathering.KindOf(err) != gathering.KindInvalid {
				t.Errorf("got %v", err)
			}
			if tooLong := err != nil && strings.Contains(err.Error(), "takes too long"); tooLong != test.tooLong {
				t.Errorf("got %.200v, want it to take too long: %v", err, test.tooLong)
			}
		})
	}
}

// TestConcurrentUse validates with one schema, whose work is bounded, from
// many goroutines.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": false}`)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if err := s.Validate("input", raw(`{"child": {"child": {}}}`)); err != nil {
					t.Error(err)
				}
				if err := s.Validate("input", raw(`{"child": {"x": {}}}`)); gathering.KindOf(err) != gathering.KindInvalid {
					t.Errorf("got %v, want an invalid error", err)
				}
			}
		})
	}
	group.Wait()
}

func FuzzSchema(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"type": "object", "required": ["a"]}`, `{}`},
		{`{"anyOf": [{"$ref": "#"}, {"type": "string"}]}`, `[1]`},
		{`{"$defs": {"a": {"$dynamicAnchor": "x"}}, "$dynamicRef": "#x"}`, `1`},
		{`{"properties": {"a": {"enum": [1, "x"]}}, "unevaluatedProperties": false}`, `{"a": 2, "b": 1}`},
		{`{"minimum": 1e308, "multipleOf": 1e-300}`, `1e-300`},
		{`{"$id": "http://x/y", "$anchor": "a", "$ref": "#a"}`, `null`},
		{`{"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true}`, `1`},
		{`{"contentMediaType": "application/json", "format": "regex", "pattern": "["}`, `"["`},
		{`{"dependencies": {"a": ["b"], "c": {"not": {}}}}`, `{"a": 1, "c": 2}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, document, value []byte) {
		s, err := schema.Compile(document)
		if err != nil {
			if kind := gathering.KindOf(err); kind != gathering.KindInvalid && kind != gathering.KindTooLarge {
				t.Errorf("compile: %v", err)
			}
			return
		}
		if err := s.Validate("v", value); err != nil {
			if kind := gathering.KindOf(err); kind != gathering.KindInvalid && kind != gathering.KindTooLarge {
				t.Errorf("validate: %v", err)
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	s := compile(b, `{"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "n": {"type": "integer", "minimum": 0}}}`)
	value := raw(`{"text": "hello", "n": 7}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate("input", value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	document := raw(`{"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "n": {"type": "integer", "minimum": 0}}}`)
	for b.Loop() {
		if _, err := schema.Compile(document); err != nil {
			b.Fatal(err)
		}
	}
}

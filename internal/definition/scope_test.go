package definition_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/expr"
)

func TestCheckInput(t *testing.T) {
	t.Parallel()
	def, err := checker().Load(read(t, "testdata/valid/triage.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, input string
		fields      []string // nil: it may begin
	}{
		{"fits", `{"text": "hello"}`, nil},
		{"more than is asked for", `{"text": "hello", "more": [1]}`, nil},
		{"wrong type", `{"text": 7}`, []string{"input.text"}},
		{"missing", `{}`, []string{"input.text"}},
		{"null", `null`, []string{"input"}},
		{"nothing", ``, []string{"input"}},
		{"broken", `{"text": `, []string{"input"}},
		{"half a character", `{"text": "\ud83d"}`, []string{"input.text"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := definition.CheckInput(def, json.RawMessage(test.input))
			var got []string
			if invalid, ok := errors.AsType[*gathering.Error](err); ok {
				for _, f := range invalid.Fields {
					got = append(got, f.Field)
				}
			}
			if diff := cmp.Diff(test.fields, got); diff != "" || (err == nil) != (test.fields == nil) {
				t.Errorf("CheckInput = %v (-want +got fields):\n%s", err, diff)
			}
		})
	}
	if err := definition.CheckInput(&gathering.Definition{}, nil); err != nil {
		t.Errorf("without a schema: %v", err)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	def, err := checker().Load([]byte(`name: env
vars: {limit: 3}
nodes:
  start: {kind: trigger}
  a: {kind: parallel, needs: [start], on_error: branch}
  b: {kind: transform, needs: [a], set: {one: "${{ nodes.\n start.output }}", two: "a"}}
  c: {kind: transform, needs: [a.error], set: {one: "${{ error.message + nodes.a.state }}"}}
  d: {kind: map, needs: [b], over: nodes.b.output.two, as: letter, do: {kind: delay, until: "timestamp(nodes.a.output + letter)"}}
output: "${{ nodes.b.output }}"
`))
	if err != nil {
		t.Fatal(err)
	}
	s := definition.NewScopes(def)
	tests := []struct {
		name string
		env  *expr.Env
		want *expr.Env
	}{
		{"start", s.Node("start"), &expr.Env{}},
		{"a", s.Node("a"), &expr.Env{}},
		{"b", s.Node("b"), &expr.Env{Nodes: []string{"start", "a"}}},
		{"c", s.Node("c"), &expr.Env{Nodes: []string{"a"}, Error: true}},
		{"d", s.Node("d"), &expr.Env{Nodes: []string{"a", "b"}}},
		{"each of d", s.Item("d", "letter"), &expr.Env{Nodes: []string{"a", "b"}, Item: "letter"}},
		{"the output", s.Output(), &expr.Env{Nodes: []string{"b"}}},
		{"the beginning", s.Start(), &expr.Env{Queued: true}},
	}
	for _, test := range tests {
		test.want.Vars = def.Vars
		if diff := cmp.Diff(test.want, test.env, cmpopts.IgnoreUnexported(expr.Env{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("scope of %s (-want +got):\n%s", test.name, diff)
		}
	}
}

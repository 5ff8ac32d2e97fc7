package definition_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/definition"
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

func TestEnv(t *testing.T) {
	t.Parallel()
	def, err := checker().Load([]byte(`name: env
vars: {limit: 3}
nodes:
  start: {kind: trigger}
  a: {kind: parallel, needs: [start], on_error: branch}
  b: {kind: transform, needs: [a], set: {one: "${{ nodes.\n start.output }}", two: "a"}}
  c: {kind: transform, needs: [a.error], set: {one: "${{ error.message + nodes.a.state }}"}}
output: "${{ nodes.b.output }}"
`))
	if err != nil {
		t.Fatal(err)
	}
	wantUpstream := map[string][]string{
		"start": nil, "a": {"start"}, "b": {"start", "a"}, "c": {"start", "a"},
	}
	if diff := cmp.Diff(wantUpstream, definition.Upstream(def)); diff != "" {
		t.Errorf("upstream (-want +got):\n%s", diff)
	}
	tests := []struct {
		node    string
		nodes   []string
		onError bool
	}{
		{"start", []string{}, false},
		{"a", []string{}, false},
		{"b", []string{"start", "a"}, false},
		{"c", []string{"a"}, true},
		{"", []string{"b"}, false},
	}
	for _, test := range tests {
		env := definition.Env(def, test.node)
		if diff := cmp.Diff(test.nodes, env.Nodes, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Errorf("nodes in scope at %q (-want +got):\n%s", test.node, diff)
		}
		if env.Error != test.onError || env.Secrets || env.Item {
			t.Errorf("scope at %q: error %t, secrets %t, item %t", test.node, env.Error, env.Secrets, env.Item)
		}
		if diff := cmp.Diff(def.Vars, env.Vars); diff != "" {
			t.Errorf("vars at %q (-want +got):\n%s", test.node, diff)
		}
	}
}

package definition_test

import (
	"testing"

	"gathering/internal/definition"
)

// TestSame holds that files of the same meaning have the same stored form.
func TestSame(t *testing.T) {
	t.Parallel()
	const first = `name: same
vars: {a: 1, b: [x, 2.50]}
timeout: 90s
nodes:
  start: {kind: trigger}
  ask: {kind: agent, needs: [start], agent: stored, task: "Say \"hello\".", retry: {max_attempts: 3}, on_error: branch}
  done: {kind: parallel, needs: [start, ask]}
  failed: {kind: parallel, needs: [ask.error]}
output: {a: "${{ nodes.ask.output }}"}
`
	tests := map[string]string{
		"itself": first,
		"other spacing, quotes and comments": `# A comment.
name: "same"   # another
vars:
  b:
    - 'x'
    - 2.50
  a: 0x1
timeout: 1m30s

nodes:
  start:
    kind: trigger
  ask:
    # The order of fields says nothing.
    on_error: branch
    retry: {}
    task: >-
      Say
      "hello".
    agent: stored
    kind: agent
    needs:
      - start
  done: {needs: [ask, start], kind: parallel}
  failed: {needs: [ask.error], kind: parallel}
output:
  a: ${{ nodes.ask.output }}
`,
		"edges for needs, and defaults written out": `name: same
description:
vars: {b: [x, 2.50], a: 1}
timeout: 1.5m
nodes:
  start: {kind: trigger, name: null, needs: []}
  ask:
    kind: agent
    agent: stored
    task: 'Say "hello".'
    on_error: branch
    on_unknown: ask
    output_schema:
    retry: {initial_delay: 0.5s, factor: 2.0, max_delay: 30000ms, jitter: .2, on: [timeout, exhausted, unavailable]}
  done: {kind: parallel, needs: [ask], on_error: fail}
  failed: {kind: parallel}
edges:
  - {to: failed, from: ask, branch: error}
  - {from: start, to: done}
  - {from: ask, to: done}
  - {from: start, to: ask}
output: {"a": "${{ nodes.ask.output }}"}
`,
		"an alias": `name: same
vars: {a: 1, b: &list [x, 2.50]}
timeout: 90s
nodes:
  start: {kind: trigger}
  ask: {kind: &kind agent, needs: &start [start], agent: stored, task: "Say \"hello\".", retry: {max_attempts: 3}, on_error: branch}
  done: {kind: parallel, needs: [start, ask]}
  failed: {kind: parallel, needs: [ask.error]}
edges: []
output: {a: "${{ nodes.ask.output }}"}
`,
	}
	want := encoded(t, first)
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := encoded(t, file); got != want {
				t.Errorf("stored form is\n%s, want\n%s", got, want)
			}
		})
	}
}

func encoded(t *testing.T, file string) string {
	t.Helper()
	def, err := checker().Load([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(roundTrip(t, def))
}

// TestSmallerChecker holds that what nobody can tell is not a fault.
func TestSmallerChecker(t *testing.T) {
	t.Parallel()
	c := definition.Checker{Kinds: kinds()}
	_, err := c.Load([]byte(`name: small
agents: {a: {model: any/thing, tools: [any]}}
nodes:
  start: {kind: trigger}
  one: {kind: tool, needs: [start], tool: any, with: {a: 1}}
  two: {kind: agent, needs: [one], agent: elsewhere, task: Do.}
  three: {kind: pipeline, needs: [two], pipeline: another}
`))
	if err != nil {
		t.Errorf("Load = %v, want no fault", err)
	}
}

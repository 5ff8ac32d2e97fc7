package node_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"

	"gathering/internal/llm/llmtest"
)

// TestMany runs maps and joins through the real engine.
func TestMany(t *testing.T) {
	t.Parallel()
	const say = "\n  each: {kind: map, needs: [start], over: input, "
	tests := []struct {
		name, text, input string
		want              string
		took              time.Duration
		calls             int // of tools
	}{
		{
			name: "a map in the order of its items", input: `["a","b","c"]`, calls: 3,
			text: say + `do: {kind: tool, tool: text.say, with: {text: "${{ item }}${{ index }}"}}}
  next: {kind: transform, needs: [each], set: {all: "${{ nodes.each.output.map(o, o.said).join(' ') }}"}}`,
			want: `
			each completed [{"said":"a0"},{"said":"b1"},{"said":"c2"}]
			next completed {"all":"a0 b1 c2"}
			run completed`,
		},
		{
			name: "a map over nothing", input: `[]`,
			text: say + `do: {kind: tool, tool: text.say}}`,
			want: `
			each completed []
			run completed`,
		},
		{
			name: "a map of what is known already", input: `[1, "x", null, {"a": 2.50}]`,
			text: say + `as: it, do: {kind: transform, set: {it: "${{ it }}", at: "${{ index }}"}}}`,
			want: `
			each completed [{"it":1,"at":0},{"it":"x","at":1},{"it":null,"at":2},{"it":{"a":2.50},"at":3}]
			run completed`,
		},
		{
			name: "a map over no list", input: `{"a":1}`,
			text: say + `do: {kind: tool, tool: text.say}}`,
			want: `
			each failed invalid: …
			run failed invalid: node each: …`,
		},
		{
			name: "an item that fails ends the map", input: `["a", 7, "c"]`, calls: 1,
			text: say + `max_parallel: 1, do: {kind: tool, tool: text.say, with: {text: "${{ item }}"}}}`,
			want: `
			each failed invalid: …
			run failed invalid: node each: …`,
		},
		{
			name: "an item that fails is skipped", input: `["a", 7, "c"]`, calls: 2,
			text: say + `on_item_error: skip, do: {kind: tool, tool: text.say, with: {text: "${{ item }}"}}}`,
			want: `
			each completed [{"said":"a"},null,{"said":"c"}]
			run completed`,
		},
		{
			name: "an item that fails has a fallback", input: `["a", 7]`, calls: 1,
			text: say + `do: {kind: tool, tool: text.say, with: {text: "${{ item }}"}, on_error: continue, fallback: {said: nothing}}}`,
			want: `
			each completed [{"said":"a"},{"said":"nothing"}]
			run completed`,
		},
		{
			name: "a map that fails is branched on", input: `["a"]`, calls: 1,
			text: say + `on_error: branch, do: {kind: tool, tool: text.fail}}
  sorry: {kind: transform, needs: [each.error], set: {why: "${{ error.code }}"}}`,
			want: `
			each failed unavailable hoarse: …
			sorry completed {"why":"hoarse"}
			run completed`,
		},
		{
			name: "a map that fails has a fallback", input: `["a"]`, calls: 1,
			text: say + `on_error: continue, fallback: [], do: {kind: tool, tool: text.fail}}`,
			want: `
			each failed [] unavailable hoarse: …
			run completed`,
		},
		{
			name: "each item is tried again", input: `[1, 2]`, calls: 6, took: 3 * time.Second,
			text: say + `on_item_error: skip, do: {kind: tool, tool: text.fail, retry: {max_attempts: 3, initial_delay: 1s, jitter: 0}}}`,
			want: `
			each completed [null,null]
			run completed`,
		},
		{
			name: "two at a time", input: `[1, 2, 3, 4, 5]`, took: 3 * time.Second,
			text: say + `max_parallel: 2, do: {kind: delay, for: 1s}}`,
			want: `
			each completed [null,null,null,null,null]
			run completed`,
		},
		{
			name: "until what each says", input: `["1s", "5s", "3s"]`, took: 5 * time.Second,
			text: say + `as: wait, do: {kind: delay, until: "run.started_at + duration(wait)"}}`,
			want: `
			each completed [null,null,null]
			run completed`,
		},
		{
			name: "a pipeline for each", input: `["a", "fail", "c"]`,
			text: say + `on_item_error: skip, do: {kind: pipeline, pipeline: other, input: "${{ item }}"}}`,
			want: `
			each completed ["a",null,"c"]
			run completed`,
		},
		{
			name: "a map of what an earlier map made", input: `["a", "b"]`, calls: 2,
			text: say + `do: {kind: tool, tool: text.say, with: {text: "${{ item }}"}}}
  again: {kind: map, needs: [each], over: nodes.each.output, as: out, do: {kind: transform, set: {n: "${{ size(nodes.each.output) }}", t: "${{ out.said }}"}}}`,
			want: `
			each completed [{"said":"a"},{"said":"b"}]
			again completed [{"n":2,"t":"a"},{"n":2,"t":"b"}]
			run completed`,
		},
		{
			name: "the first wins", input: `null`, took: time.Second,
			text: `
  slow: {kind: delay, needs: [start], for: 1h}
  quick: {kind: delay, needs: [start], for: 1s}
  after: {kind: tool, needs: [slow], tool: text.say}
  first: {kind: join, needs: [after, quick], wait: any, cancel_rest: true}
  next: {kind: transform, needs: [first], set: {by: "${{ nodes.first.output[0].node }}"}}`,
			want: `
			slow cancelled
			quick completed
			after skipped
			first completed [{"node":"quick","output":null}]
			next completed {"by":"quick"}
			run completed`,
		},
		{
			name: "the first wins and the rest goes on", input: `null`, took: time.Hour, calls: 1,
			text: `
  slow: {kind: delay, needs: [start], for: 1h}
  quick: {kind: tool, needs: [start], tool: text.say, with: {text: a}}
  first: {kind: join, needs: [slow, quick], wait: any}`,
			want: `
			slow completed
			quick completed {"said":"a"}
			first completed [{"node":"quick","output":{"said":"a"}}]
			run completed`,
		},
		{
			name: "two of three, as they come", input: `null`, took: 2 * time.Second,
			text: `
  a: {kind: delay, needs: [start], for: 3s}
  b: {kind: delay, needs: [start], for: 2s}
  c: {kind: delay, needs: [start], for: 1s}
  two: {kind: join, needs: [a, b, c], wait: 2, cancel_rest: true}`,
			want: `
			a cancelled
			b completed
			c completed
			two completed [{"node":"c","output":null},{"node":"b","output":null}]
			run completed`,
		},
		{
			name: "all that are not left out", input: `null`, calls: 2,
			text: `
  pick: {kind: condition, needs: [start], when: "input == null"}
  yes: {kind: tool, needs: [pick.true], tool: text.say, with: {text: yes}}
  no: {kind: tool, needs: [pick.false], tool: text.say, with: {text: no}}
  both: {kind: tool, needs: [start], tool: text.say, with: {text: both}}
  all: {kind: join, needs: [yes, no, both]}
  n: {kind: transform, needs: [all], set: {n: "${{ size(nodes.all.output) }}"}}`,
			want: `
			pick completed true
			yes completed {"said":"yes"}
			no skipped
			both completed {"said":"both"}
			all completed …
			n completed {"n":2}
			run completed`,
		},
		{
			name: "too few are left", input: `null`, calls: 1,
			text: `
  a: {kind: tool, needs: [start], tool: text.fail, on_error: branch}
  sorry: {kind: parallel, needs: [a.error]}
  b: {kind: delay, needs: [start], for: 1s}
  both: {kind: join, needs: [a, b], wait: 2}`, took: time.Second,
			want: `
			a failed unavailable hoarse: no voice
			sorry completed
			b completed
			both skipped
			run completed`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				p := b.play("nodes:\n  start: {kind: trigger}"+test.text+"\n", test.input)
				p.want(test.want)
				if p.took != test.took {
					t.Errorf("it took %s, want %s", p.took, test.took)
				}
				if len(b.calls) != test.calls {
					t.Errorf("%d calls of tools, want %d", len(b.calls), test.calls)
				}
			})
		})
	}
}

// TestItemsHaveKeysOfTheirOwn holds that what is called for two items can tell
// them apart, and that it is told to run for the map.
func TestItemsHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.play(`
nodes:
  start: {kind: trigger}
  each: {kind: map, needs: [start], over: "[1, 2]", do: {kind: tool, tool: mail.send, with: {text: x}}}
`, `null`)
		var keys []string
		for _, c := range b.calls {
			keys = append(keys, c.Key)
			if !strings.HasPrefix(c.Node, "each") {
				t.Errorf("a call comes from node %q, want each", c.Node)
			}
		}
		slices.Sort(keys)
		if len(slices.Compact(keys)) != 2 {
			t.Errorf("keys %q, want two that differ", keys)
		}
	})
}

func TestAgentForEachItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, llmtest.Turn{Text: "one"}, llmtest.Turn{Text: "two"})
		b.play(`
agents: {reader: {model: scripted/model}}
nodes:
  start: {kind: trigger}
  each: {kind: map, needs: [start], over: input, as: text, max_parallel: 1, do: {kind: agent, agent: reader, task: "Read ${{ text }}."}}
output: "${{ nodes.each.output.map(a, a.text) }}"
`, `["a", "b"]`).want(`
			each completed …
			run completed ["one","two"]`)
		var told []string
		for _, asked := range b.model.Asked() {
			for _, m := range asked.Prompt {
				if text := messageText(m); strings.HasPrefix(text, "Read ") {
					told = append(told, text)
				}
			}
		}
		if diff := cmp.Diff([]string{"Read a.", "Read b."}, told); diff != "" {
			t.Errorf("the model was told (-want +got):\n%s", diff)
		}
	})
}

// messageText is the text of a message's first part.
func messageText(m fantasy.Message) string {
	for _, part := range m.Content {
		if text, ok := part.(fantasy.TextPart); ok {
			return text.Text
		}
	}
	return ""
}

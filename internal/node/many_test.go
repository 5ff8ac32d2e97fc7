package node_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/engine"
	"gathering/internal/expr"
)

// faults are those of a definition, as people read them.
func (b *bench) faults(text string) string {
	b.t.Helper()
	_, err := b.checker().Load([]byte("name: test\n" + text))
	found, ok := errors.AsType[definition.Faults](err)
	if !ok && err != nil {
		b.t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, f.Text("test.yaml"))
	}
	return strings.Join(lines, "\n")
}

func TestManyFaults(t *testing.T) {
	t.Parallel()
	const head = "nodes:\n  start: {kind: trigger}\n  a: {kind: parallel, needs: [start]}\n  b: {kind: parallel, needs: [start]}\n  "
	const each = head + "each: {kind: map, needs: [start], over: input, do: "
	tests := []struct{ name, text, want string }{
		{"a map alone", head + "each: {kind: map, needs: [start]}", `
			test.yaml:6: nodes.each.over: is missing (the list)
			test.yaml:6: nodes.each.do: is missing (what is done for each item: one node, without ID and needs)`},
		{"what holds for items, at the map", each + "{kind: tool, tool: text.say}, retry: {}, idempotent: true, on_unknown: fail, on_open: fail}", `
			test.yaml:6: nodes.each.retry: does not go with a node of kind map (write it inside do, where it holds for each item)
			test.yaml:6: nodes.each.idempotent: does not go with a node of kind map (write it inside do, where it holds for each item)
			test.yaml:6: nodes.each.on_unknown: does not go with a node of kind map (write it inside do, where it holds for each item)
			test.yaml:6: nodes.each.on_open: does not go with a node of kind map (write it inside do, where it holds for each item)`},
		{"too many at once", each + "{kind: tool, tool: text.say}, max_parallel: 1001}", `
			test.yaml:6: nodes.each.max_parallel: must be a whole number from 1 to 1000`},
		{"do a map", each + "{kind: map, over: item, do: {kind: delay, for: 1s}}}", `
			test.yaml:6: nodes.each.do.kind: a map cannot do a node of kind map for each item (put a pipeline there and let it hold that map)`},
		{"do a join", each + "{kind: join}}", `
			test.yaml:6: nodes.each.do.kind: a map cannot do a node of kind join for each item (put a pipeline there and let it join its own branches)`},
		{"do a condition", each + "{kind: condition, when: item}}", `
			test.yaml:6: nodes.each.do.kind: a map cannot do a node of kind condition for each item (put a pipeline there and let it choose)`},
		{"do a parallel", each + "{kind: parallel}}", `
			test.yaml:6: nodes.each.do.kind: a map cannot do a node of kind parallel for each item (put a pipeline there and let it have the branches)`},
		{"do a trigger", each + "{kind: trigger}}", `
			test.yaml:6: nodes.each.do.kind: a map cannot do a node of kind trigger for each item (put there what is to be done; each item begins by itself)`},
		{"an open circuit where nobody is called", each + "{kind: transform, set: {a: 1}, on_open: wait}}", `
			test.yaml:6: nodes.each.do.on_open: does not go with a node of kind transform (it is for nodes that call others: agent, tool and action)`},
		{"an open circuit behind sugar", head + "run: {kind: action, needs: [start], action: execute_pipeline, with: {pipeline: other}, on_open: fail}", `
			test.yaml:6: nodes.run.on_open: does not go with a node of kind pipeline (it is for nodes that call others: agent, tool and action)`},
		{"tries of what is decided at once", head + "two: {kind: join, needs: [a, b], retry: {max_attempts: 2}, idempotent: true}", `
			test.yaml:6: nodes.two.retry: does not go with a node of kind join (it is for nodes that work: agent, tool, action and pipeline)
			test.yaml:6: nodes.two.idempotent: does not go with a node of kind join (it is for nodes that call others: agent, tool and action)`},
		{"an item called as a root", head + "each: {kind: map, needs: [start], over: input, as: run, do: {kind: transform, set: {a: '${{ run }}'}}}", `
			test.yaml:6: nodes.each.as: means something else in expressions (call the item something else, such as item)`},
		{"a join of one", head + "one: {kind: join, needs: [a]}", `
			test.yaml:6: nodes.one: joins fewer than two edges (let it need two nodes or more)`},
		{"a join that waits for too many", head + "two: {kind: join, needs: [a, b], wait: 3}", `
			test.yaml:6: nodes.two.wait: is more than lead to it (a whole number from 1 to 2)`},
		{"a join of all that cancels the rest", head + "two: {kind: join, needs: [a, b], wait: all, cancel_rest: true}", `
			test.yaml:6: nodes.two.cancel_rest: has nothing to cancel, because it waits for all (write wait: any or a number, or leave it out)`},
		{"a join that cancels the rest and says nothing", head + "two: {kind: join, needs: [a, b], cancel_rest: true}", `
			test.yaml:6: nodes.two.cancel_rest: has nothing to cancel, because it waits for all (write wait: any or a number, or leave it out)`},
		{"a join that keeps the rest", head + "two: {kind: join, needs: [a, b], cancel_rest: false}", ``},
		{"a join of what is not there", head + "two: {kind: join, needs: [a, c]}", `
			test.yaml:6: nodes.two.needs[1]: there is no node "c" (did you mean "a"?)`},
		{"a join of both branches of one node", head + "pick: {kind: condition, needs: [a], when: input}\n  two: {kind: join, needs: [pick.true, pick.false], wait: 2}", ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := strings.ReplaceAll(strings.TrimSpace(test.want), "\t", "")
			if diff := cmp.Diff(want, newBench(t).faults(test.text)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBindMap(t *testing.T) {
	t.Parallel()
	graph := newBench(t).bind(`
nodes:
  start: {kind: trigger}
  usual: {kind: map, needs: [start], over: input.list, do: {kind: tool, tool: mail.send, with: {text: "${{ item }} ${{ index }}"}}}
  all:
    kind: map
    needs: [start]
    over: "[1, 2].map(n, n * 2)"
    as: n
    max_parallel: 3
    on_item_error: skip
    timeout: 1h
    on_error: continue
    fallback: []
    do:
      kind: tool
      tool: mail.send
      with: {text: "${{ string(n) + nodes.start.state }}"}
      idempotent: true
      retry: {max_attempts: 2}
      timeout: 1s
      total_timeout: 2s
      on_error: continue
      fallback: 7
      on_unknown: fail
      on_open: fail
`)
	retry := gathering.DefaultRetry()
	retry.MaxAttempts = 2
	tests := []struct {
		id         string
		node       engine.Node
		do         engine.Map
		items      string
		input      string // of the second item
		idempotent bool
	}{
		{
			id: "usual", node: engine.Node{ID: "usual", Kind: "map", Retry: gathering.DefaultRetry()},
			do: engine.Map{
				MaxParallel: engine.DefaultMaxParallel,
				Do:          engine.Node{ID: "usual", Kind: "tool", Retry: gathering.DefaultRetry()},
			},
			items: `["a" null {"b":1}]`, input: `{"text":"x 1"}`,
		},
		{
			id: "all", node: engine.Node{
				ID: "all", Kind: "map", Retry: gathering.DefaultRetry(), Timeout: time.Hour,
				OnError: gathering.OnErrorContinue, Fallback: json.RawMessage("[]"),
			},
			do: engine.Map{MaxParallel: 3, SkipFailed: true, Do: engine.Node{
				ID: "all", Kind: "tool", Retry: retry, Timeout: time.Second, TotalTimeout: 2 * time.Second,
				OnError: gathering.OnErrorContinue, Fallback: json.RawMessage("7"),
				OnUnknown: gathering.OnUnknownFail, OnOpen: gathering.OnOpenFail,
			}},
			items: `[2 4]`, input: `{"text":"xcompleted"}`, idempotent: true,
		},
	}
	scope := &expr.Scope{
		Input: json.RawMessage(`{"list":["a", null, {"b":1}]}`), Item: json.RawMessage(`"x"`), Index: 1,
		Node: func(string) (expr.Node, bool) { return expr.Node{State: "completed"}, true },
	}
	nodes := map[string]engine.Node{}
	for _, n := range graph.Nodes() {
		nodes[n.ID] = n
	}
	for _, test := range tests {
		t.Run(test.id, func(t *testing.T) {
			t.Parallel()
			got := nodes[test.id]
			do, ok := got.Do.(engine.Map)
			if !ok {
				t.Fatalf("it does %T, want a map", got.Do)
			}
			hidden := cmpopts.IgnoreFields(engine.Node{}, "Input", "Do")
			if diff := cmp.Diff(test.node, got, hidden); diff != "" {
				t.Errorf("node (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.do, do, hidden, cmpopts.IgnoreFields(engine.Map{}, "Over")); diff != "" {
				t.Errorf("map (-want +got):\n%s", diff)
			}
			items, err := do.Over(scope)
			if got := "[" + strings.Join(texts(items), " ") + "]"; err != nil || got != test.items {
				t.Errorf("it is over %s, %v, want %s", got, err, test.items)
			}
			input, err := do.Do.Input(scope)
			if err != nil || string(input) != test.input {
				t.Errorf("an item is given %s, %v, want %s", input, err, test.input)
			}
			if work, ok := do.Do.Do.(engine.Work); !ok || work.Idempotent != test.idempotent {
				t.Errorf("an item does %#v, want work, idempotent %t", do.Do.Do, test.idempotent)
			}
		})
	}
}

func texts(list []json.RawMessage) []string {
	all := make([]string, len(list))
	for i, raw := range list {
		all[i] = string(raw)
	}
	return all
}

func TestBindMapOverNoList(t *testing.T) {
	t.Parallel()
	graph := newBench(t).bind(`
nodes:
  start: {kind: trigger}
  each: {kind: map, needs: [start], over: input, do: {kind: delay, for: 1s}}
`)
	_, err := graph.Nodes()[1].Do.(engine.Map).Over(&expr.Scope{Input: json.RawMessage(`{"a":1}`)})
	if gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), "list") {
		t.Errorf("got %v, want an invalid error that speaks of a list", err)
	}
}

// TestBindWhatAMapDoes holds that every kind that a map can do becomes what the
// engine can do for an item.
func TestBindWhatAMapDoes(t *testing.T) {
	t.Parallel()
	for do, want := range map[string]engine.Behaviour{
		`{kind: agent, model: scripted/model, task: "Read ${{ item }}"}`:                                          engine.Work{},
		`{kind: action, action: run_task, with: {model: scripted/model, task: "${{ item }}"}}`:                    engine.Work{},
		`{kind: action, action: call_api, with: {text: "${{ item }}"}}`:                                           engine.Work{},
		`{kind: tool, tool: text.say, with: {text: "${{ item }}"}}`:                                               engine.Work{},
		`{kind: transform, set: {a: "${{ item }}"}}`:                                                              engine.Pure(nil),
		`{kind: pipeline, pipeline: other, input: "${{ item }}"}`:                                                 engine.Child(nil),
		`{kind: action, action: execute_pipeline, with: {pipeline: ./archive.yaml, input: {at: "${{ index }}"}}}`: engine.Child(nil),
		`{kind: delay, for: 1s}`:                  engine.Sleep(nil),
		`{kind: delay, until: "timestamp(item)"}`: engine.Sleep(nil),
	} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			graph := newBench(t).bind("nodes:\n  start: {kind: trigger}\n  each: {kind: map, needs: [start], over: input, do: " + do + "}\n")
			got := graph.Nodes()[1].Do.(engine.Map).Do.Do
			if diff := cmp.Diff(typeName(want), typeName(got)); diff != "" {
				t.Errorf("behaviour (-want +got):\n%s", diff)
			}
		})
	}
}

func typeName(b engine.Behaviour) string {
	switch b.(type) {
	case engine.Work:
		return "work"
	case engine.Pure:
		return "pure"
	case engine.Child:
		return "child"
	case engine.Sleep:
		return "sleep"
	default:
		return "something else"
	}
}

func TestBindJoin(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]engine.Join{
		``:                               {},
		`, wait: all`:                    {},
		`, wait: any`:                    {Need: 1},
		`, wait: 1`:                      {Need: 1},
		`, wait: 2, cancel_rest: true`:   {Need: 2, CancelRest: true},
		`, wait: any, cancel_rest: true`: {Need: 1, CancelRest: true},
		`, cancel_rest: false`:           {},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			graph := newBench(t).bind(`
nodes:
  start: {kind: trigger}
  a: {kind: parallel, needs: [start]}
  b: {kind: parallel, needs: [start]}
  meet: {kind: join, needs: [a, b]` + text + "}\n")
			if diff := cmp.Diff(engine.Behaviour(want), graph.Nodes()[3].Do); diff != "" {
				t.Errorf("join (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBindConcurrency(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, bound, input string
		want               engine.Concurrency
		problem            string
	}{
		{name: "a number", bound: `{max: 4}`, want: engine.Concurrency{Max: 4}},
		{name: "a key alone", bound: `{key: deploy}`, want: engine.Concurrency{Key: "deploy", Max: 1}},
		{
			name: "a rendered key", bound: `{key: "${{ input.by }}/${{ vars.n }}/${{ run.project }}/${{ trigger.kind }}", max: 2}`,
			input: `"Ada"`, want: engine.Concurrency{Key: "Ada/7/default/manual", Max: 2},
		},
		{name: "text", bound: `{key: "${{ input.by }}"}`, input: ` "Zoë" `, want: engine.Concurrency{Key: "Zoë", Max: 1}},
		{name: "a number as key", bound: `{key: "${{ input.by }}"}`, input: ` 7.50 `, want: engine.Concurrency{Key: "7.50", Max: 1}},
		{name: "true", bound: `{key: "${{ input.by }}"}`, input: `true`, want: engine.Concurrency{Key: "true", Max: 1}},
		{name: "200 bytes", bound: `{key: "${{ input.by }}"}`, input: `"` + strings.Repeat("x", 200) + `"`, want: engine.Concurrency{Key: strings.Repeat("x", 200), Max: 1}},
		{name: "201 bytes", bound: `{key: "${{ input.by }}"}`, input: `"` + strings.Repeat("x", 199) + `é"`, problem: "is 201 bytes long; the limit is 200"},
		{name: "nothing", bound: `{key: "${{ input.by }}"}`, input: `""`, problem: "is empty"},
		{name: "null", bound: `{key: "${{ input.by }}"}`, input: `null`, problem: "must be text, a number or true or false"},
		{name: "an object", bound: `{key: "${{ input.by }}"}`, input: `{"a":1}`, problem: "must be text, a number or true or false"},
		{name: "a list", bound: `{key: "${{ input.by }}"}`, input: `[1]`, problem: "must be text, a number or true or false"},
		{name: "a null byte", bound: `{key: "a ${{ input.by }}"}`, input: `"\u0000"`, problem: "holds a control character"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			graph := newBench(t).bind("vars: {n: 7}\nconcurrency: " + test.bound + "\nnodes: {start: {kind: trigger}}\n")
			got, err := graph.Concurrency(&expr.Scope{
				Input: json.RawMessage(`{"by":` + test.input + `}`), Trigger: json.RawMessage(`{"kind":"manual"}`),
				Vars: graph.Vars, Run: expr.Run{Project: "default"},
			})
			if test.problem == "" {
				if err != nil || got != test.want {
					t.Errorf("got %+v, %v, want %+v", got, err, test.want)
				}
				return
			}
			invalid, ok := errors.AsType[*gathering.Error](err)
			want := []gathering.FieldError{{Field: "concurrency.key", Problem: test.problem}}
			if !ok || invalid.Kind != gathering.KindInvalid || !cmp.Equal(want, invalid.Fields) {
				t.Errorf("got %v, want an invalid error of %v", err, want)
			}
		})
	}
	if graph := newBench(t).bind("nodes: {start: {kind: trigger}}\n"); graph.Concurrency != nil {
		t.Error("a definition without concurrency has a bound")
	}
}

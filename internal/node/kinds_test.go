package node_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/llm/llmtest"
	"gathering/internal/node"
	"gathering/internal/tool"
)

// TestKinds runs definitions of every kind of node through the real engine.
func TestKinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, input string
		want              string
	}{
		{"a trigger alone", `
nodes: {start: {kind: trigger}}
output: "${{ nodes.start.output }}"`, `{"a":[1,2.50]}`, `run completed {"a":[1,2.50]}`},
		{
			"transform keeps types", `
vars: {limit: 7}
nodes:
  start: {kind: trigger}
  make:
    kind: transform
    needs: [start]
    set:
      number: "${{ input.n }}"
      big: 123456789012345678901234567890
      text: "n is ${{ input.n }}"
      list: "${{ input.list }}"
      deep: {a: ["${{ vars.limit }}", x, null, true]}
      nothing: "${{ input.none }}"`,
			`{"n":12345678901234567,"list":[1,"2",{"b":null}],"none":null}`, `
			make completed {"number":12345678901234567,"big":123456789012345678901234567890,"text":"n is 12345678901234567","list":[1,"2",{"b":null}],"deep":{"a":[7,"x",null,true]},"nothing":null}
			run completed`,
		},
		{"transform that cannot be made", `
nodes:
  start: {kind: trigger}
  make: {kind: transform, needs: [start], set: {a: "${{ input.there }}"}}`, `{}`, `
			make failed invalid: input has no "there"…
			run failed invalid: node make: input has no "there"…`},
		{"a condition that holds", `
nodes:
  start: {kind: trigger}
  big: {kind: condition, needs: [start], when: "input.n > 3"}
  yes: {kind: transform, needs: [big.true], set: {is: big}}
  no: {kind: transform, needs: [big.false], set: {is: small}}`, `{"n":4}`, `
			big completed true
			yes completed {"is":"big"}
			no skipped
			run completed`},
		{"a condition that does not", `
nodes:
  start: {kind: trigger}
  big: {kind: condition, needs: [start], when: "input.n > 3"}
  yes: {kind: transform, needs: [big.true], set: {is: big}}
  no: {kind: transform, needs: [big.false], set: {is: small}}
  both: {kind: transform, needs: [yes, no], set: {of: "${{ [nodes.yes.state, nodes.no.state, nodes.yes.output] }}"}}`, `{"n":3}`, `
			big completed false
			yes skipped
			no completed {"is":"small"}
			both completed {"of":["skipped","completed",null]}
			run completed`},
		{"parallel branches meet", `
nodes:
  start: {kind: trigger}
  fan: {kind: parallel, needs: [start]}
  a: {kind: tool, needs: [fan], tool: text.say, with: {text: a}}
  b: {kind: tool, needs: [fan], tool: text.say, with: {text: b, times: "${{ input }}"}}
  both: {kind: transform, needs: [a, b], set: {said: "${{ nodes.a.output.said + nodes.b.output.said }}"}}
output: "${{ nodes.both.output.said }}"`, `3`, `
			fan completed
			a completed {"said":"a"}
			b completed {"said":"bbb"}
			both completed {"said":"abbb"}
			run completed "abbb"`},
		{"a tool without arguments", `
nodes:
  start: {kind: trigger}
  say: {kind: tool, needs: [start], tool: text.say}`, `null`, `
			say completed {"said":""}
			run completed`},
		{"arguments that do not fit, seen when they are known", `
nodes:
  start: {kind: trigger}
  say: {kind: tool, needs: [start], tool: text.say, with: {text: "${{ input }}"}}`, `7`, `
			say failed invalid: arguments does not fit its schema [arguments.text]
			run failed invalid: node say: arguments does not fit its schema [arguments.text]`},
		{"a tool that fails and is branched on", `
nodes:
  start: {kind: trigger}
  fail: {kind: tool, needs: [start], tool: text.fail, on_error: branch}
  fine: {kind: tool, needs: [fail], tool: text.say}
  sorry: {kind: transform, needs: [fail.error], set: {why: "${{ error.kind + '/' + error.code + '/' + error.message }}", state: "${{ nodes.fail.state }}"}}`, `null`, `
			fail failed unavailable hoarse: no voice
			fine skipped
			sorry completed {"why":"unavailable/hoarse/no voice","state":"failed"}
			run completed`},
		{"a tool that fails and has a fallback", `
nodes:
  start: {kind: trigger}
  fail: {kind: tool, needs: [start], tool: text.fail, on_error: continue, fallback: {said: nothing}}
  next: {kind: tool, needs: [fail], tool: text.say, with: {text: "${{ nodes.fail.output.said }}"}}`, `null`, `
			fail failed {"said":"nothing"} unavailable hoarse: no voice
			next completed {"said":"nothing"}
			run completed`},
		{"a tool that fails for good", `
nodes:
  start: {kind: trigger}
  fail: {kind: tool, needs: [start], tool: text.fail, retry: {max_attempts: 2, initial_delay: 1s, jitter: 0}}
  next: {kind: tool, needs: [fail], tool: text.say}`, `null`, `
			fail failed unavailable hoarse: no voice
			next skipped
			run failed unavailable hoarse: node fail: no voice`},
		{"a pipeline that is waited for", `
nodes:
  start: {kind: trigger}
  sub: {kind: pipeline, needs: [start], pipeline: other, input: {n: "${{ input }}"}}
  next: {kind: transform, needs: [sub], set: {got: "${{ nodes.sub.output.n }}"}}`, `5`, `
			sub completed {"n":5}
			next completed {"got":5}
			run completed`},
		{"a pipeline that fails", `
nodes:
  start: {kind: trigger}
  sub: {kind: pipeline, needs: [start], pipeline: other, input: "${{ input }}", on_error: continue, fallback: 0}`, `"fail"`, `
			sub failed 0 invalid: child run CHILD ended as failed: no
			run completed`},
		{"a pipeline that is only started", `
nodes:
  start: {kind: trigger}
  sub: {kind: action, needs: [start], action: execute_pipeline, with: {pipeline: other, wait: false}}`, `5`, `
			sub completed {"run":"CHILD"}
			run completed`},
		{"an output that cannot be made", `
nodes:
  start: {kind: trigger}
output: "${{ input.a }}"`, `{}`, `run failed invalid: input has no "a"…`},
		{"a notification", `
nodes:
  start: {kind: trigger}
  tell: {kind: action, needs: [start], action: send_notification, with: {text: "${{ input }}"}}`, `"hi"`, `
			tell completed {"said":"hi"}
			run completed`},
		{"a call of an API", `
nodes:
  start: {kind: trigger}
  ask: {kind: action, needs: [start], action: call_api, with: {text: ho}}`, `"hi"`, `
			ask completed {"said":"ho"}
			run completed`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newBench(t).play(test.text, test.input)
				want := test.want
				for _, c := range p.log.children {
					want = strings.ReplaceAll(want, "CHILD", string(c.ID))
				}
				p.want(want)
			})
		})
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	const text = `
nodes:
  start: {kind: trigger}
  pick: {kind: condition, needs: [start], switch: "input", cases: [red, "7", "true", "null", '{"a":1}', "1.5"]}
  to_red: {kind: parallel, needs: [pick.red]}
  to_7: {kind: parallel, needs: ["pick.7"]}
  to_true: {kind: parallel, needs: ["pick.true"]}
  to_null: {kind: parallel, needs: ["pick.null"]}
  to_object: {kind: parallel, needs: ['pick.{"a":1}']}
  to_rest: {kind: parallel, needs: [pick.default]}
`
	for input, want := range map[string]string{
		`"red"`: "to_red", `7`: "to_7", `"7"`: "to_7", `true`: "to_true", `"true"`: "to_true",
		`null`: "to_null", `"null"`: "to_null", `{ "a": 1 }`: "to_object",
		`"blue"`: "to_rest", `8`: "to_rest", `"default"`: "to_rest", `""`: "to_rest", `[]`: "to_rest", `"Red"`: "to_rest", `7.5`: "to_rest",
	} {
		t.Run(input, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newBench(t).play(text, input)
				var taken []string
				for _, n := range p.state.Report().Nodes {
					if n.State == gathering.NodeCompleted && strings.HasPrefix(n.ID, "to_") {
						taken = append(taken, n.ID)
					}
				}
				if diff := cmp.Diff([]string{want}, taken); diff != "" {
					t.Errorf("taken (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, delay string
		want        time.Duration
	}{
		{"for", `for: 90s`, 90 * time.Second},
		{"until", `until: "run.started_at + duration('1h')"`, time.Hour},
		{"until a time of the input", `until: "timestamp(input.at)"`, 36 * time.Hour},
		{"until a time long past", `until: "timestamp('1999-01-01T00:00:00Z')"`, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				at := time.Now().Add(36 * time.Hour).UTC().Format(time.RFC3339)
				p := newBench(t).play("nodes:\n  start: {kind: trigger}\n  wait: {kind: delay, needs: [start], "+test.delay+"}\n", `{"at":"`+at+`"}`)
				p.want("wait completed\nrun completed")
				if p.took != test.want {
					t.Errorf("the run took %s, want %s", p.took, test.want)
				}
			})
		})
	}
}

func TestDelayUntilWhatIsNoTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newBench(t).play("nodes:\n  start: {kind: trigger}\n  wait: {kind: delay, needs: [start], until: input.at}\n", `{"at":"soon"}`)
		n := p.state.Report().Nodes[1]
		if n.State != gathering.NodeFailed || n.Error.Kind != gathering.KindInvalid || p.took != 0 {
			t.Errorf("got %s %+v after %s, want a failure at once", n.State, n.Error, p.took)
		}
	})
}

func TestToolCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.play(`
nodes:
  start: {kind: trigger}
  fail: {kind: tool, needs: [start], tool: text.fail, with: {text: x}, on_error: continue, retry: {max_attempts: 2}}
`, `null`)
		var keys []string
		for _, c := range b.calls {
			keys = append(keys, c.Key)
			if diff := cmp.Diff(tool.Call{
				Run: "run_1", Project: gathering.DefaultProject, Node: "fail", Workspace: "/work", Key: c.Key, Arguments: json.RawMessage(`{"text":"x"}`),
			}, c); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		}
		if diff := cmp.Diff([]string{"run_1/fail/1", "run_1/fail/2"}, keys); diff != "" {
			t.Errorf("keys (-want +got): a definite failure is followed by a new one\n%s", diff)
		}
	})
}

func TestIdempotence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, node string
		want       bool
	}{
		{"no side effect", `kind: tool, tool: text.say`, true},
		{"a side effect", `kind: tool, tool: mail.send`, false},
		{"a side effect that may come twice", `kind: tool, tool: mail.file`, true},
		{"the node knows better", `kind: tool, tool: mail.send, idempotent: true`, true},
		{"the node knows worse", `kind: tool, tool: text.say, idempotent: false`, false},
		{"an agent goes on from its steps", `kind: agent, model: scripted/model, task: work`, true},
		{"a call of an API by GET", `kind: action, action: call_api, with: {method: GET}`, true},
		{"a call of an API by POST", `kind: action, action: call_api, with: {method: POST}`, false},
		{"a call of an API by POST that is better", `kind: action, action: call_api, idempotent: true, with: {method: POST}`, true},
		{"a request without arguments", `kind: tool, tool: http.request`, true},
		{"a request by GET", `kind: tool, tool: http.request, with: {method: GET, text: "${{ input.text }}"}`, true},
		{"a request by POST", `kind: tool, tool: http.request, with: {method: POST}`, false},
		{"a request by whatever", `kind: tool, tool: http.request, with: {method: "${{ input.method }}"}`, false},
		{"a request by GET that is worse", `kind: tool, tool: http.request, idempotent: false, with: {method: GET}`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			graph := newBench(t).bind("nodes:\n  start: {kind: trigger}\n  do: {needs: [start], " + test.node + "}\n")
			if got := graph.Nodes()[1].Do.(engine.Work).Idempotent; got != test.want {
				t.Errorf("got idempotent %t, want %t", got, test.want)
			}
		})
	}
}

// TestCallAPI holds that whether a call of an API may be repeated is left to the
// tool behind it, unless the node says so.
func TestCallAPI(t *testing.T) {
	t.Parallel()
	var resolve func(gathering.Node) (gathering.Node, error)
	for _, k := range node.Kinds() {
		if k.Name == "action" {
			resolve = k.Resolve
		}
	}
	yes, no := true, false
	for _, said := range []*bool{nil, &yes, &no} {
		got, err := resolve(gathering.Node{
			Kind: "action", Idempotent: said,
			Config: map[string]json.RawMessage{"action": json.RawMessage(`"call_api"`), "with": json.RawMessage(`{"method":"GET"}`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := gathering.Node{
			Kind: "tool", Idempotent: said,
			Config: map[string]json.RawMessage{"tool": json.RawMessage(`"http.request"`), "with": json.RawMessage(`{"method":"GET"}`)},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestMissingTool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		def := b.load(`
nodes:
  start: {kind: trigger}
  gone: {kind: tool, needs: [start], tool: text.say, with: {text: x}, on_error: branch}
  sorry: {kind: transform, needs: [gone.error], set: {code: "${{ error.code }}"}}
`)
		binder := b.binder()
		binder.Tools, _ = tool.NewRegistry()
		graph, err := binder.Bind(def)
		if err != nil {
			t.Fatalf("got %v: a tool that is gone is no reason not to bind", err)
		}
		b.playGraph(graph, `null`).want(`
			gone failed not_found tool_missing: there is no tool "text.say"
			sorry completed {"code":"tool_missing"}
			run completed`)
	})
}

// Who says what an agent would have answered says it as the agent would have.
func TestDecidedAnswersMatchTheSchema(t *testing.T) {
	t.Parallel()
	graph := newBench(t).bind(`
agents: {triager: {model: scripted/model, prompt: "You grade."}}
nodes:
  start: {kind: trigger}
  grade: {kind: agent, needs: [start], agent: triager, task: "Grade.", output_schema: {type: object, required: [priority]}}
  say: {kind: agent, needs: [start], agent: triager, task: "Say."}
`)
	for _, n := range graph.Nodes() {
		work, ok := n.Do.(engine.Work)
		if !ok {
			continue
		}
		for output, refused := range map[string]bool{`{"priority":1}`: false, `{}`: n.ID == "grade", ``: n.ID == "grade", `"done"`: n.ID == "grade"} {
			if err := work.Admits(json.RawMessage(output)); (err != nil) != refused || err != nil && gathering.KindOf(err) != gathering.KindInvalid {
				t.Errorf("%s, %s: got %v", n.ID, output, err)
			}
		}
	}
}

func TestUnknownKindIsNotBound(t *testing.T) {
	t.Parallel()
	_, err := newBench(t).binder().Bind(&gathering.Definition{Name: "x", Nodes: []gathering.Node{{ID: "a", Kind: "circle"}}})
	if gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), `"circle"`) {
		t.Errorf("got %v, want an error that names the kind", err)
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	graph := newBench(t).bind(`
timeout: 1h
vars: {a: 1}
nodes:
  start: {kind: trigger}
  plain: {kind: parallel, needs: [start]}
  all:
    kind: tool
    needs: [start]
    tool: text.say
    retry: {max_attempts: 4, on: [timeout]}
    timeout: 10s
    total_timeout: 1m
    on_error: continue
    fallback: [1]
    on_unknown: fail
`)
	nodes := map[string]engine.Node{}
	for _, n := range graph.Nodes() {
		n.Input, n.Do = nil, nil
		nodes[n.ID] = n
	}
	retry := gathering.DefaultRetry()
	retry.MaxAttempts, retry.On = 4, []gathering.Kind{gathering.KindTimeout}
	want := map[string]engine.Node{
		"start": {ID: "start", Kind: "trigger", Retry: gathering.DefaultRetry()},
		"plain": {ID: "plain", Kind: "parallel", Retry: gathering.DefaultRetry()},
		"all": {
			ID: "all", Kind: "tool", Retry: retry, Timeout: 10 * time.Second, TotalTimeout: time.Minute,
			OnError: gathering.OnErrorContinue, Fallback: json.RawMessage(`[1]`), OnUnknown: gathering.OnUnknownFail,
		},
	}
	if diff := cmp.Diff(want, nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if graph.Timeout != time.Hour || string(graph.Vars["a"]) != "1" {
		t.Errorf("got timeout %s, vars %s, want those of the definition", graph.Timeout, graph.Vars)
	}
}

func TestAgents(t *testing.T) {
	t.Parallel()
	grade := llmtest.Turn{Text: `{"priority":9}`}
	tests := []struct {
		name, text string
		turns      []llmtest.Turn
		want       string
		system     string // what the model is told to be
		user       string // what it is asked
	}{
		{
			"of the definition", `
agents: {triager: {model: scripted/model, prompt: You grade messages.}}
nodes:
  start: {kind: trigger}
  grade: {kind: agent, needs: [start], agent: triager, task: "Grade this: ${{ input.text }}", output_schema: {type: object, required: [priority], properties: {priority: {type: integer}}}}
output: "${{ nodes.grade.output }}"`, []llmtest.Turn{grade}, `
			grade completed {"priority":9}
			run completed {"priority":9}`, "You grade messages.", "Grade this: help!",
		},
		{
			"made in the node", `
nodes:
  start: {kind: trigger}
  grade: {kind: agent, needs: [start], model: scripted/model, prompt: Be brief., task: "Say ${{ input.text }}"}`,
			[]llmtest.Turn{{Text: "ok"}},
			`
			grade completed {"text":"ok","model":"scripted/model"}
			run completed`, "Be brief.", "Say help!",
		},
		{
			"as an action, with a tool", `
nodes:
  start: {kind: trigger}
  grade: {kind: action, needs: [start], action: run_task, with: {model: scripted/model, tools: [text.say], task: "Say ${{ input.text }}"}}`,
			[]llmtest.Turn{{Calls: []llmtest.Call{{Tool: "text_say", Args: map[string]any{"text": "a", "times": 2}}}}, {Text: "done"}},
			`
			grade completed {"text":"done","model":"scripted/model"}
			run completed`, "", "Say help!",
		},
		{
			"that cannot answer", `
nodes:
  start: {kind: trigger}
  grade: {kind: agent, needs: [start], model: scripted/model, task: hm, on_error: continue}`,
			[]llmtest.Turn{{Err: gathering.NewError(gathering.KindUnavailable, "the model is away")}},
			`
			grade failed unavailable: the model is away
			run completed`, "", "hm",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, test.turns...)
				b.play(test.text, `{"text":"help!"}`).want(test.want)
				asked := b.model.Asked()
				if len(asked) != len(test.turns) {
					t.Fatalf("the model was asked %d times, want %d", len(asked), len(test.turns))
				}
				told := map[fantasy.MessageRole]string{}
				for _, m := range asked[0].Prompt {
					for _, part := range m.Content {
						if text, ok := part.(fantasy.TextPart); ok {
							told[m.Role] += text.Text
						}
					}
				}
				if !strings.HasPrefix(told[fantasy.MessageRoleSystem], test.system) || !strings.HasPrefix(told[fantasy.MessageRoleUser], test.user) {
					t.Errorf("the model was told %q, want to be %q and asked %q", told, test.system, test.user)
				}
			})
		})
	}
}

// TestAgentGoesOnFromItsSteps gives a node the steps of an attempt that was
// interrupted: neither the model nor the tool is asked again for them.
func TestAgentGoesOnFromItsSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t,
			llmtest.Turn{Calls: []llmtest.Call{{Tool: "mail_send", Args: map[string]any{"text": "a"}}}},
			llmtest.Turn{Err: gathering.NewError(gathering.KindUnavailable, "away")},
			llmtest.Turn{Text: "done"},
		)
		p := b.play(`
nodes:
  start: {kind: trigger}
  work: {kind: agent, needs: [start], model: scripted/model, tools: [mail.send], task: Send it., retry: {max_attempts: 2}}`, `null`)
		p.want(`
			work completed {"text":"done","model":"scripted/model"}
			run completed`)
		if len(b.calls) != 1 || len(b.model.Asked()) != 3 {
			t.Errorf("got %d calls of the tool and %d of the model, want 1 and 3", len(b.calls), len(b.model.Asked()))
		}
		var steps []string
		for _, e := range p.log.events {
			if e.Type != gathering.EventStepModel && e.Type != gathering.EventStepTool {
				continue
			}
			var s gathering.Step
			if err := json.Unmarshal(e.Data, &s); err != nil {
				t.Fatal(err)
			}
			steps = append(steps, strings.TrimSpace(s.Key+" "+s.Phase))
		}
		if diff := cmp.Diff([]string{"turn/1", "turn/1/call/1 intent", "turn/1/call/1", "turn/2"}, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

const manual = "../definition/testdata/valid/triage.yaml"

// TestPipelineOfTheManual runs the example that documents the file format.
func TestPipelineOfTheManual(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	// Its API takes what the stand-in for http.request takes.
	text := strings.Replace(string(data), `{method: POST, url: "https://…", body: {text: "${{ input.text }}"}}`, `{text: "${{ input.text }}"}`, 1)
	for answer, want := range map[string]string{
		`{"priority":8}`: `
			grade completed {"priority":8}
			urgent completed true
			page completed {"said":"help!"}
			cool skipped
			file skipped
			run completed {"priority":8}`,
		`{"priority":6}`: `
			grade completed {"priority":6}
			urgent completed false
			page skipped
			cool completed
			file completed {"text":"help!"}
			run completed {"priority":6}`,
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newBench(t, llmtest.Turn{Text: answer}).play(text, `{"text":"help!"}`)
				p.want(want)
				for _, c := range p.log.children {
					if c.Spec.Pipeline != "archive" || !c.Spec.Wait {
						t.Errorf("got a child of %+v, want one of archive", c.Spec)
					}
				}
			})
		})
	}
}

package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gathering"
	"gathering/internal/agent"
	"gathering/internal/llm"
	"gathering/internal/llm/llmtest"
	"gathering/internal/llm/offline"
	"gathering/internal/tool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal records steps as a run's log does.
type journal struct {
	mu    sync.Mutex
	steps []gathering.Step
	fail  func(n int) (stored bool, err error) // of the n-th step, from 1; nil never fails
	n     int
}

func (j *journal) record(ctx context.Context, step gathering.Step) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	j.n++
	if j.fail != nil {
		if stored, err := j.fail(j.n); err != nil {
			if stored {
				j.steps = append(j.steps, step)
			}
			return err
		}
	}
	j.steps = append(j.steps, step)
	return nil
}

func (j *journal) keys() []string {
	var keys []string
	for _, s := range j.steps {
		key := s.Key
		if s.Phase != "" {
			key += " " + s.Phase
		}
		if s.Failure != nil {
			key += " " + string(s.Failure.Kind)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

type echoIn struct {
	Text string `json:"text" jsonschema:"what to say"`
}

type echoOut struct {
	Said string `json:"said"`
}

// asker is a tool of which what is said decides whether it may be said again.
type asker struct{ tool.Tool }

func (asker) Repeatable(arguments json.RawMessage) bool {
	var in echoIn
	return json.Unmarshal(arguments, &in) == nil && in.Text == "get"
}

// workshop has real tools and counts how often each call was made, by its key.
type workshop struct {
	registry *tool.Registry
	mu       sync.Mutex
	made     map[string]int
	do       func(ctx context.Context, name string) error
}

func newWorkshop(t *testing.T, do func(ctx context.Context, name string) error) *workshop {
	t.Helper()
	w := &workshop{made: map[string]int{}, do: do}
	specs := []gathering.ToolSpec{
		{Name: "text.echo", Description: "Says it again."},
		{Name: "text_echo", Description: "Has almost the same name."},
		{Name: "mail.send", Description: "Sends mail.", SideEffect: true},
		{Name: "mail.file", Description: "Files mail.", SideEffect: true, Idempotent: true},
		{Name: "web.ask", Description: "Asks.", SideEffect: true},
	}
	var tools []tool.Tool
	for _, spec := range specs {
		made, err := tool.New(spec, func(ctx context.Context, call tool.Call, in echoIn) (echoOut, error) {
			w.mu.Lock()
			w.made[call.Key]++
			w.mu.Unlock()
			if w.do != nil {
				if err := w.do(ctx, spec.Name); err != nil {
					return echoOut{}, err
				}
			}
			return echoOut{in.Text}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if spec.Name == "web.ask" {
			made = asker{made}
		}
		tools = append(tools, made)
	}
	var err error
	if w.registry, err = tool.NewRegistry(tools...); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *workshop) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, made := range w.made {
		n += made
	}
	return n
}

func say(text string) map[string]string { return map[string]string{"text": text} }

func call(name string, args any) llmtest.Call { return llmtest.Call{Tool: name, Args: args} }

func task(j *journal, tools ...string) agent.Task {
	return agent.Task{
		Spec:   gathering.AgentSpec{Model: llmtest.Ref, Prompt: "Be brief.", Tools: tools},
		Task:   "Do it.",
		Call:   tool.Call{Run: "run_1", Node: "n", Key: "run_1/n"},
		Record: j.record,
	}
}

func loop(script *llmtest.Script, w *workshop) *agent.Loop {
	tick := time.Unix(0, 0)
	var mu sync.Mutex
	return &agent.Loop{Models: llmtest.Models(script), Tools: w.registry, Clock: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		tick = tick.Add(time.Second)
		return tick
	}}
}

// lastText is what the model was told last.
func lastText(t *testing.T, script *llmtest.Script) string {
	t.Helper()
	asked := script.Asked()
	var b strings.Builder
	prompt := asked[len(asked)-1].Prompt
	for _, part := range prompt[len(prompt)-1].Content {
		switch p := part.(type) {
		case fantasy.TextPart:
			b.WriteString(p.Text + "\n")
		case fantasy.ToolResultPart:
			switch o := p.Output.(type) {
			case fantasy.ToolResultOutputContentText:
				b.WriteString(p.ToolCallID + ": " + o.Text + "\n")
			case fantasy.ToolResultOutputContentError:
				b.WriteString(p.ToolCallID + ": " + o.Error.Error() + "\n")
			}
		}
	}
	return b.String()
}

func wantError(t *testing.T, err error, kind gathering.Kind, code string) {
	t.Helper()
	if gathering.KindOf(err) != kind || gathering.CodeOf(err) != code {
		t.Fatalf("got %q %q (%v), want %q %q", gathering.KindOf(err), gathering.CodeOf(err), err, kind, code)
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	w, j := newWorkshop(t, nil), &journal{}
	script := llmtest.New(
		llmtest.Turn{Text: "Let me see.", Reasoning: "Hmm.", Calls: []llmtest.Call{
			{ID: "same", Tool: "text_echo", Args: say("a")}, {ID: "same", Tool: "mail_file", Args: say("b")},
		}},
		llmtest.Turn{Text: "Done.", Usage: fantasy.Usage{InputTokens: 1, CacheReadTokens: 2, OutputTokens: 3}},
	)
	answer, err := loop(script, w).Run(t.Context(), task(j, "text.echo", "mail.file", "text.echo"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"text":"Done.","model":"scripted/model"}`, string(answer.Output)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	want := gathering.Usage{ModelCalls: 2, ToolCalls: 2, InputTokens: 13, OutputTokens: 8, CacheReadTokens: 2}
	if diff := cmp.Diff(want, answer.Usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	var summed gathering.Usage
	for _, s := range j.steps {
		summed.Add(*s.Usage)
		if s.Took <= 0 {
			t.Errorf("step %s took %v", s.Key, s.Took)
		}
	}
	if diff := cmp.Diff(want, summed); diff != "" {
		t.Errorf("usage of the steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"turn/1", "turn/1/call/1", "turn/1/call/2", "turn/2"}, j.keys()); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	wantMade := map[string]int{"run_1/n/turn/1/call/1": 1, "run_1/n/turn/1/call/2": 1}
	if diff := cmp.Diff(wantMade, w.made); diff != "" {
		t.Errorf("calls made (-want +got):\n%s", diff)
	}
	if got, want := lastText(t, script), "same: {\"said\":\"a\"}\nturn_1_call_2: {\"said\":\"b\"}\n"; got != want {
		t.Errorf("the model was told %q, want %q", got, want)
	}
	said := script.Asked()[1].Prompt[2].Content
	if reasoning, _ := fantasy.AsMessagePart[fantasy.ReasoningPart](said[0]); reasoning.Text != "Hmm." || len(said) != 4 {
		t.Errorf("the model got back %+v, want its reasoning, text and calls", said)
	}
	first := script.Asked()[0]
	if len(first.Prompt) != 2 || len(first.Tools) != 2 || first.Tools[0].GetName() != "text_echo" {
		t.Errorf("asked %+v", first)
	}
}

// TestWireNames holds that tools whose names differ only by what providers do
// not allow stay apart.
func TestWireNames(t *testing.T) {
	t.Parallel()
	w, j := newWorkshop(t, nil), &journal{}
	script := llmtest.New(
		llmtest.Turn{Calls: []llmtest.Call{call("text_echo", say("a")), call("text_echo_2", say("b"))}},
		llmtest.Turn{Text: "ok"},
	)
	if _, err := loop(script, w).Run(t.Context(), task(j, "text.echo", "text_echo")); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range j.steps {
		names[s.Name] = true
	}
	want := []string{"scripted/model", "text.echo", "text_echo"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(names))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// story is an agent's work of several turns that depends on nothing but the
// conversation, so that it can be taken up anywhere.
func story(_ int, c fantasy.Call) llmtest.Turn {
	switch turnOf(c) {
	case 1:
		return llmtest.Turn{Calls: []llmtest.Call{
			{ID: "a", Tool: "text_echo", Args: say("one")},
			{ID: "b", Tool: "mail_file", Args: say("two")},
			{ID: "c", Tool: "invented", Args: say("three")},
		}}
	case 2:
		return llmtest.Turn{Text: "Now it is sent.", Calls: []llmtest.Call{{ID: "d", Tool: "mail_send", Args: say("four")}}}
	case 3:
		return llmtest.Turn{Text: "not JSON"}
	}
	return llmtest.Turn{Text: `{"ok": true}`}
}

// turnOf counts what the model has said already.
func turnOf(c fantasy.Call) int {
	n := 1
	for _, m := range c.Prompt {
		if m.Role == fantasy.MessageRoleAssistant {
			n++
		}
	}
	return n
}

// TestCrash stops the agent at each of its steps, before and after the step is
// durable, and goes on with what was recorded.
func TestCrash(t *testing.T) {
	t.Parallel()
	schema := json.RawMessage(`{"type":"object","required":["ok"],"properties":{"ok":{"type":"boolean"}}}`)
	begin := func(t *testing.T, j *journal, recorded []gathering.Step) (agent.Answer, *workshop, *llmtest.Script, error) {
		t.Helper()
		w, script := newWorkshop(t, nil), llmtest.NewFunc(story)
		work := task(j, "text.echo", "mail.file", "mail.send")
		work.OutputSchema, work.Steps = schema, recorded
		answer, err := loop(script, w).Run(t.Context(), work)
		return answer, w, script, err
	}
	whole := &journal{}
	want, _, _, err := begin(t, whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	const steps = 9 // four turns, four calls, one intent
	if len(whole.steps) != steps {
		t.Fatalf("got the steps %v, want %d", whole.keys(), steps)
	}
	for n := 1; n <= steps; n++ {
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprintf("step %d stored %t", n, stored), func(t *testing.T) {
				t.Parallel()
				crash := errors.New("the power is out")
				before := &journal{fail: func(at int) (bool, error) {
					if at == n {
						return stored, crash
					}
					if at > n {
						return false, crash
					}
					return true, nil
				}}
				if _, _, _, err := begin(t, before, nil); !errors.Is(err, crash) {
					t.Fatalf("got %v, want the crash", err)
				}
				done, open := map[string]bool{}, false
				for _, s := range before.steps {
					if s.Phase == "" {
						done[s.Key] = true
					}
				}
				for _, s := range before.steps {
					open = open || s.Phase != "" && !done[s.Key]
				}
				after := &journal{}
				got, w, script, err := begin(t, after, before.steps)
				if open {
					wantError(t, err, gathering.KindConflict, gathering.CodeUnknownOutcome)
					if w.count() != 0 || len(script.Asked()) != 0 {
						t.Errorf("made %d calls and %d turns, want none", w.count(), len(script.Asked()))
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
				for key := range w.made {
					if done[strings.TrimPrefix(key, "run_1/n/")] {
						t.Errorf("call %s was made again", key)
					}
				}
				for _, asked := range script.Asked() {
					if key := fmt.Sprintf("turn/%d", turnOf(asked)); done[key] {
						t.Errorf("%s was asked again", key)
					}
				}
				if diff := cmp.Diff(whole.keys(), (&journal{steps: slices.Concat(before.steps, after.steps)}).keys()); diff != "" {
					t.Errorf("steps of both (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	w, j := newWorkshop(t, nil), &journal{}
	work := task(j, "text.echo")
	turns := []llmtest.Turn{{Calls: []llmtest.Call{call("text_echo", say("a"))}}, {Text: "ok"}}
	if _, err := loop(llmtest.New(turns...), w).Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	work.Steps = j.steps
	tests := map[string]struct {
		change func(*agent.Task)
		step   string
	}{
		"another task":   {func(w *agent.Task) { w.Task = "Something else." }, "turn/1 "},
		"another prompt": {func(w *agent.Task) { w.Spec.Prompt = "Be long." }, "turn/1 "},
		"other tools":    {func(w *agent.Task) { w.Spec.Tools = nil }, "turn/1 "},
		"another call": {func(w *agent.Task) {
			w.Steps = slices.Clone(w.Steps)
			i := slices.IndexFunc(w.Steps, func(s gathering.Step) bool { return s.Kind == gathering.StepTool })
			w.Steps[i].Request = "0"
		}, "turn/1/call/1 "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := work
			tt.change(&changed)
			script := llmtest.New()
			_, err := loop(script, w).Run(t.Context(), changed)
			wantError(t, err, gathering.KindInternal, "")
			if !strings.Contains(err.Error(), tt.step) || len(script.Asked()) != 0 {
				t.Errorf("got %v after %d turns, want it to name %s", err, len(script.Asked()), tt.step)
			}
		})
	}
}

// TestConcurrent holds that the calls of a turn run at the same time, eight of
// them, and that their results keep the order of the calls.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int64
		release := make(chan struct{})
		w := newWorkshop(t, func(context.Context, string) error {
			running.Add(1)
			<-release
			return nil
		})
		var calls []llmtest.Call
		var want strings.Builder
		for i := range 12 {
			calls = append(calls, llmtest.Call{ID: fmt.Sprint(i), Tool: "text_echo", Args: say(fmt.Sprint("n", i))})
			fmt.Fprintf(&want, "%d: {\"said\":\"n%d\"}\n", i, i)
		}
		script := llmtest.New(llmtest.Turn{Calls: calls}, llmtest.Turn{Text: "ok"})
		go func() {
			synctest.Wait()
			if got := running.Load(); got != 8 {
				t.Errorf("got %d calls at the same time, want 8", got)
			}
			close(release)
		}()
		if _, err := loop(script, w).Run(t.Context(), task(&journal{}, "text.echo")); err != nil {
			t.Error(err)
		}
		if got := lastText(t, script); got != want.String() {
			t.Errorf("the model was told %q, want %q", got, want.String())
		}
	})
}

func TestRefusedCalls(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		call llmtest.Call
		told string
	}{
		"invented":           {call("fly", say("a")), "there is no such tool; the tools are: text_echo"},
		"not for this agent": {call("mail_send", say("a")), "there is no such tool; the tools are: text_echo"},
		"no JSON":            {call("text_echo", `{"text": "a`), "arguments is not valid JSON"},
		"no object":          {call("text_echo", `["a"]`), "arguments: must be a JSON object"},
		"missing field":      {call("text_echo", `{}`), "arguments.text"},
		"wrong type":         {call("text_echo", `{"text": 1}`), "arguments.text"},
		"unknown field":      {call("text_echo", `{"text": "a", "loud": true}`), "arguments.loud"},
		"nothing":            {call("text_echo", ""), "arguments.text"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, j := newWorkshop(t, nil), &journal{}
			script := llmtest.New(llmtest.Turn{Calls: []llmtest.Call{tt.call}}, llmtest.Turn{Text: "I see."})
			if _, err := loop(script, w).Run(t.Context(), task(j, "text.echo")); err != nil {
				t.Fatal(err)
			}
			if got := lastText(t, script); !strings.Contains(got, tt.told) {
				t.Errorf("the model was told %q, want %q in it", got, tt.told)
			}
			sent, _ := fantasy.AsMessagePart[fantasy.ToolCallPart](script.Asked()[1].Prompt[2].Content[0])
			if !json.Valid([]byte(sent.Input)) {
				t.Errorf("the provider gets the arguments %q, which it refuses", sent.Input)
			}
			if w.count() != 0 {
				t.Errorf("%d calls were made, want none", w.count())
			}
			if diff := cmp.Diff([]string{"turn/1", "turn/1/call/1 invalid", "turn/2"}, j.keys()); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	schema := json.RawMessage(`{"type":"object","required":["n"],"properties":{"n":{"type":"integer","maximum":9}}}`)
	tests := map[string]struct {
		turns []string
		want  string
		told  string // in the repair
	}{
		"at once":         {turns: []string{`{"n": 1}`}, want: `{"n": 1}`},
		"in a fence":      {turns: []string{"Here:\n```json\n{\"n\": 2}\n```\nBye."}, want: `{"n": 2}`},
		"within words":    {turns: []string{`The answer is {"n": 3}, I think.`}, want: `{"n": 3}`},
		"repaired":        {turns: []string{`{"n": "x"}`, `{"n": 4}`}, want: `{"n": 4}`, told: "output.n"},
		"repaired prose":  {turns: []string{`four {maybe}`, `{"n": 4}`}, want: `{"n": 4}`, told: "must be one JSON value"},
		"half of a pair":  {turns: []string{`{"n": 1, "s": "\ud800"}`, `{"n": 5}`}, want: `{"n": 5}`, told: "surrogate"},
		"wrong both ways": {turns: []string{`{"n": "x"}`, `{"n": 10}`}, told: "output.n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var turns []llmtest.Turn
			for _, text := range tt.turns {
				turns = append(turns, llmtest.Turn{Text: text})
			}
			w, script := newWorkshop(t, nil), llmtest.New(turns...)
			work := task(&journal{})
			work.OutputSchema, work.Spec.MaxSteps = schema, 1
			answer, err := loop(script, w).Run(t.Context(), work)
			if tt.want == "" {
				wantError(t, err, gathering.KindInvalid, "")
				if fields := gathering.FailureOf(err).Fields; len(fields) != 1 || fields[0].Field != "output.n" {
					t.Errorf("got fields %+v, want output.n", fields)
				}
			} else if err != nil || string(answer.Output) != tt.want {
				t.Fatalf("got %s, %v; want %s", answer.Output, err, tt.want)
			}
			if got, want := len(script.Asked()), len(tt.turns); got != want {
				t.Errorf("got %d turns, want %d", got, want)
			}
			if got := lastText(t, script); !strings.Contains(got, tt.told) {
				t.Errorf("the model was told %q, want %q in it", got, tt.told)
			}
			system, _ := fantasy.AsMessagePart[fantasy.TextPart](script.Asked()[0].Prompt[0].Content[0])
			if !strings.Contains(system.Text, `"maximum":9`) || llm.OutputSchema(script.Asked()[0]) == nil {
				t.Errorf("the schema was not passed on: %q", system.Text)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	again := func(n int, _ fantasy.Call) llmtest.Turn {
		args := `{"text": "a", "x": [1.0, {"p": 1, "q": 2}]}`
		if n%2 == 0 {
			args = `{"x":[1.0,{"q":2,"p":1}],"text":"a"}`
		}
		return llmtest.Turn{Calls: []llmtest.Call{call("text_echo", args)}}
	}
	onAndOn := func(n int, _ fantasy.Call) llmtest.Turn {
		return llmtest.Turn{Calls: []llmtest.Call{call("text_echo", say(fmt.Sprint(n)))}}
	}
	tests := map[string]struct {
		respond func(int, fantasy.Call) llmtest.Turn
		max     int
		code    string
		turns   int
		calls   int
	}{
		"the same call":     {again, 0, gathering.CodeRepeatedCall, 4, 0}, // x is no argument of the tool
		"the same result":   {func(int, fantasy.Call) llmtest.Turn { return oneTime() }, 0, gathering.CodeRepeatedCall, 4, 3},
		"too many steps":    {onAndOn, 3, gathering.CodeMaxSteps, 3, 2},
		"default of steps":  {onAndOn, 0, gathering.CodeMaxSteps, gathering.DefaultMaxSteps, gathering.DefaultMaxSteps - 1},
		"four in one turn":  {func(int, fantasy.Call) llmtest.Turn { return fourTimes() }, 0, gathering.CodeRepeatedCall, 1, 0},
		"one step, no call": {onAndOn, 1, gathering.CodeMaxSteps, 1, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, script := newWorkshop(t, nil), llmtest.NewFunc(tt.respond)
			work := task(&journal{}, "text.echo")
			work.Spec.MaxSteps = tt.max
			_, err := loop(script, w).Run(t.Context(), work)
			wantError(t, err, gathering.KindExhausted, tt.code)
			if got := len(script.Asked()); got != tt.turns {
				t.Errorf("got %d turns, want %d", got, tt.turns)
			}
			if got := w.count(); got != tt.calls {
				t.Errorf("got %d calls, want %d", got, tt.calls)
			}
		})
	}
}

func oneTime() llmtest.Turn {
	return llmtest.Turn{Calls: []llmtest.Call{call("text_echo", say("a"))}}
}

func fourTimes() llmtest.Turn {
	same := call("text_echo", say("a"))
	return llmtest.Turn{Calls: []llmtest.Call{same, same, same, same}}
}

func TestBeforeTheFirstCall(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*agent.Task)
		code   string
	}{
		"no such tool":     {func(w *agent.Task) { w.Spec.Tools = []string{"text.echo", "fly"} }, gathering.CodeToolMissing},
		"no such model":    {func(w *agent.Task) { w.Spec.Model = "scripted/other" }, gathering.CodeModelMissing},
		"no such provider": {func(w *agent.Task) { w.Spec.Model = "nobody/model" }, gathering.CodeModelMissing},
		"no model":         {func(w *agent.Task) { w.Spec.Model = "" }, gathering.CodeModelMissing},
		"faulty schema":    {func(w *agent.Task) { w.OutputSchema = json.RawMessage(`{"type":"banana"}`) }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script, j := llmtest.New(), &journal{}
			work := task(j)
			tt.change(&work)
			_, err := loop(script, newWorkshop(t, nil)).Run(t.Context(), work)
			wantError(t, err, gathering.KindInvalid, tt.code)
			if len(script.Asked()) != 0 || len(j.steps) != 0 {
				t.Errorf("made %d turns and recorded %v", len(script.Asked()), j.keys())
			}
		})
	}
}

func TestModelFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		turn     llmtest.Turn
		kind     gathering.Kind
		after    time.Duration
		recorded []string
	}{
		"limit": {
			turn: llmtest.Turn{Err: &llm.StatusError{Status: 429, RetryAfter: 3 * time.Second}},
			kind: gathering.KindExhausted, after: 3 * time.Second,
		},
		"down":           {turn: llmtest.Turn{Err: &llm.StatusError{Status: 503}}, kind: gathering.KindUnavailable},
		"nothing said":   {turn: llmtest.Turn{Text: " \n"}, kind: gathering.KindUnavailable},
		"cut off":        {turn: llmtest.Turn{Text: "The", Finish: fantasy.FinishReasonLength}, kind: gathering.KindTooLarge, recorded: []string{"turn/1"}},
		"filtered":       {turn: llmtest.Turn{Finish: fantasy.FinishReasonContentFilter}, kind: gathering.KindInvalid, recorded: []string{"turn/1"}},
		"unknown defect": {turn: llmtest.Turn{Err: errors.New("oops")}, kind: gathering.KindUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &journal{}
			answer, err := loop(llmtest.New(tt.turn), newWorkshop(t, nil)).Run(t.Context(), task(j))
			wantError(t, err, tt.kind, "")
			if got := gathering.RetryAfter(err); got != tt.after {
				t.Errorf("got retry after %s, want %s", got, tt.after)
			}
			if diff := cmp.Diff(tt.recorded, j.keys()); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if answer.Usage.ModelCalls != 1 {
				t.Errorf("got usage %+v, want the call counted", answer.Usage)
			}
		})
	}
}

func TestOffline(t *testing.T) {
	t.Parallel()
	l := &agent.Loop{Models: llm.New(offline.Provider{}), Tools: newWorkshop(t, nil).registry}
	work := task(&journal{}, "text.echo")
	work.Spec.Model = offline.Ref
	work.Task = "Summarise this:\n\nThe gate is open. Nobody knows why it is open."
	answer, err := l.Run(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"text":"The gate is open. Nobody knows why it is open.","model":"offline/extract",` +
		`"notes":["extractive, no language model was used"],` +
		`"metadata":{"model":"offline/extract","method":"extractive, no language model was used","words":10,"sentences":2,` +
		`"quotes":[{"text":"The gate is open.","line":1},{"text":"Nobody knows why it is open.","line":1}]}}`
	if diff := cmp.Diff(want, string(answer.Output)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	work.OutputSchema = json.RawMessage(`{"type":"object","required":["priority"],"properties":{"priority":{"type":"integer"}}}`)
	_, err = l.Run(t.Context(), work)
	wantError(t, err, gathering.KindInvalid, "")
	if got, want := gathering.FailureOf(err).Message, "offline/extract cannot decide priority; use a language model"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

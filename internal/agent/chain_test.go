package agent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"charm.land/fantasy"
	"charm.land/fantasy/providers/google"
	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/agent"
	"gathering/internal/llm"
	"gathering/internal/llm/llmtest"
)

// house is a provider of scripts, one for each model.
type house struct {
	llmtest.Provider
	name  string
	facts map[string]llm.Facts
}

func (h house) Name() string                { return h.name }
func (h house) Facts(name string) llm.Facts { return h.facts[name] }

// chained is a loop over the models a/1, b/1 and b/2.
func chained(w *workshop, a1, b1, b2 *llmtest.Script) *agent.Loop {
	l := loop(nil, w)
	l.Models = llm.New(
		house{Provider: llmtest.Provider{"1": a1}, name: "a", facts: map[string]llm.Facts{
			"1": {Priced: true, Price: llm.Price{Input: 3_000_000, Output: 15_000_000, CacheRead: 300_000, CacheWrite: 3_750_000}},
		}},
		house{Provider: llmtest.Provider{"1": b1, "2": b2}, name: "b"},
	)
	return l
}

func chainTask(j *journal, tools ...string) agent.Task {
	work := task(j, tools...)
	work.Spec.Model, work.Spec.Fallback = "a/1", []string{"b/1", "a/1", "b/2"}
	return work
}

func away() llmtest.Turn { return llmtest.Turn{Err: &llm.StatusError{Status: 503}} }

func limited(after time.Duration) llmtest.Turn {
	return llmtest.Turn{Err: &llm.StatusError{Status: 429, RetryAfter: after}}
}

func TestChain(t *testing.T) {
	t.Parallel()
	done := llmtest.Turn{Text: "Done."}
	tests := map[string]struct {
		a, b []llmtest.Turn // of a/1 and b/1
		want []string       // what each model was asked, in calls
		by   string         // who answered; "" is nobody
		why  string         // of the step, or of the error
		kind gathering.Kind
	}{
		"the first answers":           {a: []llmtest.Turn{done}, want: []string{"1", "0"}, by: "a/1"},
		"a blip":                      {a: []llmtest.Turn{away(), done}, want: []string{"2", "0"}, by: "a/1"},
		"the first is away":           {a: []llmtest.Turn{away(), away()}, b: []llmtest.Turn{done}, want: []string{"2", "1"}, by: "b/1", why: "a/1: the provider answered 503"},
		"the first is at its limit":   {a: []llmtest.Turn{limited(time.Minute)}, b: []llmtest.Turn{done}, want: []string{"1", "1"}, by: "b/1", why: "a/1: the provider's limit is reached"},
		"the first says nothing":      {a: []llmtest.Turn{{Text: " "}, {Text: " "}}, b: []llmtest.Turn{done}, want: []string{"2", "1"}, by: "b/1", why: "a/1: the model answered with nothing"},
		"the first takes too long":    {a: []llmtest.Turn{{Err: &llm.StatusError{Status: 408}}}, b: []llmtest.Turn{done}, want: []string{"1", "1"}, by: "b/1", why: "a/1: no answer came in the time allowed"},
		"a refused key is no failure": {a: []llmtest.Turn{{Err: &llm.StatusError{Status: 401}}}, want: []string{"1", "0"}, kind: gathering.KindForbidden, why: "a/1: the provider refused the request as not permitted"},
		"a faulty request is none":    {a: []llmtest.Turn{{Err: &llm.StatusError{Status: 400, Message: "no"}}}, want: []string{"1", "0"}, kind: gathering.KindInvalid, why: "a/1: the provider refused the request: no"},
		"too long a conversation too": {a: []llmtest.Turn{{Err: &llm.StatusError{Status: 400, ContextTooLong: true}}}, want: []string{"1", "0"}, kind: gathering.KindTooLarge, why: "a/1: the conversation is longer than the model can take"},
		"nobody answers": {
			a: []llmtest.Turn{limited(time.Minute)}, b: []llmtest.Turn{away(), away()}, want: []string{"1", "2"}, kind: gathering.KindExhausted,
			why: "no model answered: a/1: the provider's limit is reached; b/1: the provider answered 503; b/2: the provider's limit is reached",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, a1, b1, b2 := &journal{}, llmtest.New(tt.a...), llmtest.New(tt.b...), llmtest.New(limited(7*time.Second))
			answer, err := chained(newWorkshop(t, nil), a1, b1, b2).Run(t.Context(), chainTask(j))
			got := []string{fmt.Sprint(len(a1.Asked())), fmt.Sprint(len(b1.Asked()))}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if tt.by == "" {
				if got := gathering.FailureOf(err); got == nil || got.Kind != tt.kind || got.Message != tt.why {
					t.Fatalf("got %+v, want %s: %s", got, tt.kind, tt.why)
				}
				if len(j.steps) != 0 {
					t.Errorf("recorded %v", j.keys())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			step := j.steps[0]
			if step.Name != tt.by || step.Fallback != tt.why || max(1, step.Tries) != len(a1.Asked())+len(b1.Asked()) {
				t.Errorf("got step by %s, tries %d, fallback %q; want %s, %q", step.Name, step.Tries, step.Fallback, tt.by, tt.why)
			}
			if step.Usage.ModelCalls != max(1, step.Tries) || *step.Usage != answer.Usage {
				t.Errorf("got usage %+v and %+v", step.Usage, answer.Usage)
			}
			if !strings.Contains(string(answer.Output), `"model":"`+tt.by+`"`) || !strings.Contains(string(answer.Output), tt.why) {
				t.Errorf("got %s, want it to name %s and say %q", answer.Output, tt.by, tt.why)
			}
		})
	}
}

// TestChainStays holds that a model that took another's place keeps it for the
// rest of a run of the loop, and that a recorded turn is the same whoever
// answered it.
func TestChainStays(t *testing.T) {
	t.Parallel()
	w, j := newWorkshop(t, nil), &journal{}
	a1 := llmtest.New(limited(0), llmtest.Turn{Text: "I am back."})
	b1 := llmtest.New(
		llmtest.Turn{Calls: []llmtest.Call{call("text_echo", say("a"))}},
		llmtest.Turn{Calls: []llmtest.Call{call("text_echo", say("b"))}},
		llmtest.Turn{Err: errors.New("crash")}, llmtest.Turn{Err: context.Canceled},
	)
	crash := errors.New("crash")
	j.fail = func(n int) (bool, error) {
		if n == 4 { // the second call of the tool
			return true, crash
		}
		return false, nil
	}
	l := chained(w, a1, b1, llmtest.New())
	if _, err := l.Run(t.Context(), chainTask(j, "text.echo")); !errors.Is(err, crash) {
		t.Fatalf("got %v, want the crash", err)
	}
	var by []string
	for _, s := range j.steps {
		by = append(by, s.Name)
	}
	if diff := cmp.Diff([]string{"b/1", "text.echo", "b/1", "text.echo"}, by); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}

	again := chainTask(&journal{}, "text.echo")
	again.Steps = slices.Clone(j.steps)
	answer, err := l.Run(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(answer.Output), `{"text":"I am back.","model":"a/1"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(a1.Asked()) != 2 || len(b1.Asked()) != 2 || w.count() != 2 {
		t.Errorf("asked %d and %d times and made %d calls", len(a1.Asked()), len(b1.Asked()), w.count())
	}
}

func TestChainUnknown(t *testing.T) {
	t.Parallel()
	a1 := llmtest.New(llmtest.Turn{Text: "Done."})
	work := chainTask(&journal{})
	work.Spec.Fallback = []string{"nobody/1"}
	_, err := chained(newWorkshop(t, nil), a1, a1, a1).Run(t.Context(), work)
	wantError(t, err, gathering.KindInvalid, gathering.CodeModelMissing)
	if len(a1.Asked()) != 0 {
		t.Error("a model was asked before the whole chain was known")
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		turn llmtest.Turn
		ref  string
		want gathering.Usage
	}{
		"priced": {
			llmtest.Turn{Text: "x", Usage: fantasy.Usage{InputTokens: 1000, OutputTokens: 10, CacheReadTokens: 100, CacheCreationTokens: 1}},
			"a/1",
			// 1000×3 + 10×15 + 100×0.3 + 1×3.75 millionths, rounded up
			gathering.Usage{ModelCalls: 1, InputTokens: 1101, OutputTokens: 10, CacheReadTokens: 100, CacheWriteTokens: 1, CostMicros: 3184},
		},
		"nobody knows the price": {
			llmtest.Turn{Text: "x"}, "b/1", gathering.Usage{ModelCalls: 1, InputTokens: 10, OutputTokens: 5, Unpriced: 1},
		},
		"the server did not count": {
			llmtest.Turn{Text: "x", Usage: fantasy.Usage{TotalTokens: -1}}, "a/1", gathering.Usage{ModelCalls: 1, Unpriced: 1},
		},
		"more tokens than there are": {
			llmtest.Turn{Text: "x", Usage: fantasy.Usage{InputTokens: 1 << 62}},
			"a/1",
			gathering.Usage{ModelCalls: 1, InputTokens: 1 << 31, CostMicros: 3 << 31},
		},
		"fewer tokens than none": {
			llmtest.Turn{Text: "x", Usage: fantasy.Usage{InputTokens: -1, OutputTokens: 2, CacheReadTokens: -3, CacheCreationTokens: -4}},
			"a/1",
			gathering.Usage{ModelCalls: 1, OutputTokens: 2, CostMicros: 30},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			work := task(&journal{})
			work.Spec.Model = tt.ref
			script := llmtest.New(tt.turn)
			answer, err := chained(newWorkshop(t, nil), script, script, script).Run(t.Context(), work)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, answer.Usage); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// half is a model whose streams break off after one piece.
type half struct{ *llmtest.Script }

func (h half) Stream(ctx context.Context, call fantasy.Call) (fantasy.StreamResponse, error) {
	whole, err := h.Script.Stream(ctx, call)
	if err != nil {
		return nil, err
	}
	return func(yield func(fantasy.StreamPart) bool) {
		for part := range whole {
			if part.Type == fantasy.StreamPartTypeTextEnd || !yield(part) {
				return
			}
		}
	}, nil
}

func TestHalfStream(t *testing.T) {
	t.Parallel()
	j := &journal{}
	l := loop(nil, newWorkshop(t, nil))
	l.Models = llm.New(llmtest.Provider{"model": half{llmtest.New(llmtest.Turn{Text: "The answer is"})}})
	answer, err := l.Run(t.Context(), task(j))
	want := &gathering.Failure{Kind: gathering.KindUnavailable, Message: "scripted/model: the answer broke off before its end"}
	if diff := cmp.Diff(want, gathering.FailureOf(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(j.steps) != 0 {
		t.Errorf("recorded %v", j.keys())
	}
	if diff := cmp.Diff(gathering.Usage{ModelCalls: 1, Unpriced: 1}, answer.Usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}

func TestDeltas(t *testing.T) {
	t.Parallel()
	w, j := newWorkshop(t, func(_ context.Context, name string) error {
		if name == "mail.file" {
			return gathering.NewError(gathering.KindUnavailable, "no post today")
		}
		return nil
	}), &journal{}
	a1 := llmtest.New(llmtest.Turn{Reasoning: "Hmm.", Text: " \n"}, llmtest.Turn{Text: "Let me see.", Calls: []llmtest.Call{
		call("text_echo", say("a")), call("fly", "{}"),
	}}, llmtest.Turn{Calls: []llmtest.Call{call("mail_file", say("b"))}}, llmtest.Turn{Text: "Done."})
	work := chainTask(j, "text.echo", "mail.file")
	var got []string
	work.Delta = func(d agent.Delta) {
		failed := ""
		if d.Failed {
			failed = " failed"
		}
		got = append(got, fmt.Sprintf("%d.%d %s %s%s%s%s%s", d.Turn, d.Try, d.Kind, d.Model, strings.TrimSpace(d.Text), d.Tool, d.Step, failed))
	}
	if _, err := chained(w, a1, llmtest.New(), llmtest.New()).Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"1.1 reasoning a/1Hmm.",
		"1.1 text a/1",
		"1.2 text a/1Let me see.",
		"1.0 called text.echoturn/1/call/1",
		"1.0 returned text.echoturn/1/call/1",
		"2.0 called mail.fileturn/2/call/1",
		"2.0 returned mail.fileturn/2/call/1 failed",
		"3.1 text a/1Done.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// guard lets calls through or not, and counts.
type guard struct {
	mu   sync.Mutex
	open map[string]bool
	seen []string
}

func (g *guard) Do(ctx context.Context, name string, call func(context.Context) error) error {
	g.mu.Lock()
	g.seen = append(g.seen, name)
	g.mu.Unlock()
	if g.open[name] {
		return gathering.Delayed(gathering.NewError(gathering.KindUnavailable, "%s is not called at the moment", name).
			WithCode(gathering.CodeCircuitOpen), time.Minute)
	}
	return call(ctx)
}

func TestGuard(t *testing.T) {
	t.Parallel()
	j, a1, b1 := &journal{}, llmtest.New(), llmtest.New(llmtest.Turn{Text: "Done."})
	l := chained(newWorkshop(t, nil), a1, b1, llmtest.New())
	g := &guard{open: map[string]bool{"provider:a": true}}
	l.Guard = g
	answer, err := l.Run(t.Context(), chainTask(j))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"provider:a", "provider:b"}, g.seen); diff != "" {
		t.Errorf("asked the guard (-want +got):\n%s", diff)
	}
	if j.steps[0].Fallback != "a/1: provider:a is not called at the moment" || answer.Usage.ModelCalls != 1 || j.steps[0].Tries != 0 {
		t.Errorf("got %+v, usage %+v: a call that was not made is not counted", j.steps[0], answer.Usage)
	}

	g.open["provider:b"] = true
	_, err = l.Run(t.Context(), chainTask(&journal{}))
	wantError(t, err, gathering.KindUnavailable, gathering.CodeCircuitOpen)
	if gathering.RetryAfter(err) != time.Minute || len(a1.Asked()) != 0 {
		t.Errorf("got %v after %s", err, gathering.RetryAfter(err))
	}
}

// TestFence holds that nothing is called once the fence is up, and that a call
// before which it came up is known not to have been made.
func TestFence(t *testing.T) {
	t.Parallel()
	fenced := gathering.NewError(gathering.KindConflict, "another instance owns the run").WithCode(gathering.CodeFenced)
	for up := range 6 { // how many calls it lets through
		t.Run(fmt.Sprint(up), func(t *testing.T) {
			t.Parallel()
			w, j := newWorkshop(t, nil), &journal{}
			script := llmtest.New(
				llmtest.Turn{Calls: []llmtest.Call{call("mail_send", say("a"))}},
				llmtest.Turn{Calls: []llmtest.Call{call("text_echo", say("b"))}},
				llmtest.Turn{Text: "Done."},
			)
			work := task(j, "mail.send", "text.echo")
			asked := 0
			work.Fence = func() error {
				if asked++; asked > up {
					return fenced
				}
				return nil
			}
			_, err := loop(script, w).Run(t.Context(), work)
			wantError(t, err, gathering.KindConflict, gathering.CodeFenced)
			// What was asked, in order: turn 1; mail.send before its intent and
			// after it; turn 2; text.echo twice.
			wantTurns := []int{0, 1, 1, 1, 2, 2}[up]
			wantCalls := []int{0, 0, 0, 1, 1, 1}[up]
			if got := len(script.Asked()); got != wantTurns {
				t.Errorf("asked the model %d times, want %d", got, wantTurns)
			}
			if got := w.count(); got != wantCalls {
				t.Errorf("made %d calls, want %d", got, wantCalls)
			}
			if intents := strings.Count(strings.Join(j.keys(), ","), "intent"); up == 1 && intents != 0 {
				t.Errorf("recorded %v: an intent of what was never begun", j.keys())
			}
		})
	}
}

// TestOldSteps holds that steps recorded before there were chains are read.
func TestOldSteps(t *testing.T) {
	t.Parallel()
	w, j := newWorkshop(t, nil), &journal{}
	script := llmtest.New(llmtest.Turn{Calls: []llmtest.Call{call("text_echo", say("a"))}}, llmtest.Turn{Text: "Done."})
	if _, err := loop(script, w).Run(t.Context(), task(j, "text.echo")); err != nil {
		t.Fatal(err)
	}
	const turn1 = `{"calls":[{"id":"call_1","tool":"text.echo","arguments":"{\"text\":\"a\"}"}],"finish":"tool-calls"}`
	if diff := cmp.Diff(turn1, string(j.steps[0].Result)); diff != "" {
		t.Errorf("the form of a turn changed (-want +got):\n%s", diff)
	}
	if got, want := j.steps[2].Request, "d1715df15b9eeee98592840d66be55bbd313a018d7b0376fed49b7b598c407f6"; got != want {
		t.Errorf("the request of a turn changed: got %s, want %s", got, want)
	}
}

// TestThoughts holds that reasoning which its provider signed goes back to it
// where it was, also after a crash.
func TestThoughts(t *testing.T) {
	t.Parallel()
	sign := func(signature string) fantasy.ReasoningContent {
		return fantasy.ReasoningContent{Text: "Hm.", ProviderMetadata: fantasy.ProviderMetadata{
			google.Name: &google.ReasoningMetadata{Signature: signature},
		}}
	}
	echo := func(id string) fantasy.ToolCallContent {
		return fantasy.ToolCallContent{ToolCallID: id, ToolName: "text_echo", Input: `{"text":"` + id + `"}`}
	}
	m := &signing{Script: llmtest.New(llmtest.Turn{Text: "Done."}, llmtest.Turn{Text: "Done."}), first: &fantasy.Response{
		Content: fantasy.ResponseContent{
			sign("s0"), fantasy.TextContent{Text: "Let me see."}, sign("s1"), echo("c1"), echo("c2"), sign("s3"), echo("c3"),
		},
		FinishReason: fantasy.FinishReasonToolCalls,
	}}
	l := loop(nil, newWorkshop(t, nil))
	l.Models = llm.New(llmtest.Provider{"model": m})
	j := &journal{}
	if _, err := l.Run(t.Context(), task(j, "text.echo")); err != nil {
		t.Fatal(err)
	}
	again := task(&journal{}, "text.echo")
	again.Steps = slices.DeleteFunc(slices.Clone(j.steps), func(s gathering.Step) bool { return s.Key == "turn/2" })
	if _, err := l.Run(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	for _, asked := range m.Asked() {
		var got []string
		for _, part := range asked.Prompt[2].Content {
			switch p := part.(type) {
			case fantasy.ReasoningPart:
				got = append(got, p.ProviderOptions[google.Name].(*google.ReasoningMetadata).Signature)
			case fantasy.TextPart:
				got = append(got, p.Text)
			case fantasy.ToolCallPart:
				got = append(got, p.ToolCallID)
			}
		}
		if diff := cmp.Diff([]string{"s0", "Let me see.", "s1", "c1", "c2", "s3", "c3"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// signing is a script before which there is one response more.
type signing struct {
	*llmtest.Script
	first *fantasy.Response
}

func (s *signing) Stream(ctx context.Context, call fantasy.Call) (fantasy.StreamResponse, error) {
	if first := s.first; first != nil {
		s.first = nil
		return llm.StreamOf(first), nil
	}
	return s.Script.Stream(ctx, call)
}

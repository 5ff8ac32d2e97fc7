package agent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/agent"
	"gathering/internal/llm/llmtest"
)

func TestIntents(t *testing.T) {
	t.Parallel()
	unavailable := gathering.NewError(gathering.KindUnavailable, "the post office is closed")
	notSent := gathering.NewError(gathering.KindTimeout, "too slow").WithCode(gathering.CodeNotSent)
	tests := map[string]struct {
		tool     string
		text     string // that it is called with; "" is a
		fault    error
		code     string // of the run; "" is none
		recorded []string
		told     string
	}{
		"done":                     {tool: "mail.send", recorded: []string{"turn/1/call/1", "turn/1/call/1 intent"}, told: `{"said":"a"}`},
		"idempotent":               {tool: "mail.file", recorded: []string{"turn/1/call/1"}, told: `{"said":"a"}`},
		"known not to have acted":  {tool: "mail.send", fault: unavailable, recorded: []string{"turn/1/call/1 intent", "turn/1/call/1 unavailable"}, told: "error: the post office is closed"},
		"says it may have acted":   {tool: "mail.send", fault: unavailable.WithCode(gathering.CodeUnknownOutcome), code: gathering.CodeUnknownOutcome, recorded: []string{"turn/1/call/1 intent"}},
		"no answer in time":        {tool: "mail.send", fault: gathering.NewError(gathering.KindTimeout, "too slow"), code: gathering.CodeUnknownOutcome, recorded: []string{"turn/1/call/1 intent"}},
		"not sent in time":         {tool: "mail.send", fault: notSent, recorded: []string{"turn/1/call/1 intent", "turn/1/call/1 timeout"}, told: "error: too slow"},
		"broke down":               {tool: "mail.send", fault: errors.New("nil map"), code: gathering.CodeUnknownOutcome, recorded: []string{"turn/1/call/1 intent"}},
		"idempotent, too slow":     {tool: "mail.file", fault: gathering.NewError(gathering.KindTimeout, "too slow"), recorded: []string{"turn/1/call/1 timeout"}, told: "error: too slow"},
		"idempotent, broke down":   {tool: "mail.file", fault: errors.New("nil map"), recorded: []string{"turn/1/call/1 internal"}, told: "error: internal error"},
		"idempotent, yet it acted": {tool: "mail.file", fault: unavailable.WithCode(gathering.CodeUnknownOutcome), code: gathering.CodeUnknownOutcome},
		"repeatable":               {tool: "web.ask", text: "get", recorded: []string{"turn/1/call/1"}, told: `{"said":"get"}`},
		"repeatable, too slow":     {tool: "web.ask", text: "get", fault: gathering.NewError(gathering.KindTimeout, "too slow"), recorded: []string{"turn/1/call/1 timeout"}, told: "error: too slow"},
		"repeatable, broke down":   {tool: "web.ask", text: "get", fault: errors.New("nil map"), recorded: []string{"turn/1/call/1 internal"}, told: "error: internal error"},
		"not repeatable":           {tool: "web.ask", text: "post", recorded: []string{"turn/1/call/1", "turn/1/call/1 intent"}, told: `{"said":"post"}`},
		"not repeatable, too slow": {tool: "web.ask", text: "post", fault: gathering.NewError(gathering.KindTimeout, "too slow"), code: gathering.CodeUnknownOutcome, recorded: []string{"turn/1/call/1 intent"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, j := newWorkshop(t, func(context.Context, string) error { return tt.fault }), &journal{}
			if tt.text == "" {
				tt.text = "a"
			}
			wire := strings.ReplaceAll(tt.tool, ".", "_")
			script := llmtest.New(llmtest.Turn{Calls: []llmtest.Call{call(wire, say(tt.text))}}, llmtest.Turn{Text: "ok"})
			_, err := loop(script, w).Run(t.Context(), task(j, tt.tool))
			recorded := slices.Concat([]string{"turn/1"}, tt.recorded)
			if tt.code != "" {
				wantError(t, err, gathering.KindConflict, tt.code)
			} else {
				if err != nil {
					t.Fatal(err)
				}
				recorded = append(recorded, "turn/2")
				if got := lastText(t, script); !strings.Contains(got, tt.told) || strings.Contains(got, "nil map") {
					t.Errorf("the model was told %q, want %q", got, tt.told)
				}
			}
			if diff := cmp.Diff(recorded, j.keys()); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnknownOutcome goes on after a crash in the middle of a call that must
// not be made twice, and then after somebody decided to make it again.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	crash := errors.New("the power is out")
	before := &journal{fail: func(n int) (bool, error) {
		if n == 3 {
			return false, crash
		}
		return true, nil
	}}
	turns := []llmtest.Turn{
		{Calls: []llmtest.Call{call("mail_send", say("a"))}}, {Text: "sent"},
	}
	w := newWorkshop(t, nil)
	work := task(before, "mail.send")
	if _, err := loop(llmtest.New(turns...), w).Run(t.Context(), work); !errors.Is(err, crash) {
		t.Fatalf("got %v, want the crash", err)
	}

	again := &journal{}
	w = newWorkshop(t, nil)
	work.Record = again.record
	work.Steps = before.steps
	_, err := loop(llmtest.New(turns[1:]...), w).Run(t.Context(), work)
	wantError(t, err, gathering.KindConflict, gathering.CodeUnknownOutcome)
	if w.count() != 0 || len(again.steps) != 0 {
		t.Errorf("made %d calls and recorded %v", w.count(), again.keys())
	}

	allowed, decided := work, work
	allowed.OnUnknown = gathering.OnUnknownRetry
	decided.Steps = slices.DeleteFunc(slices.Clone(work.Steps), func(s gathering.Step) bool { return s.Phase == gathering.StepIntent })
	for name, work := range map[string]agent.Task{"always": allowed, "once": decided} {
		w = newWorkshop(t, nil)
		if _, err := loop(llmtest.New(turns[1:]...), w).Run(t.Context(), work); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(map[string]int{"run_1/n/turn/1/call/1": 1}, w.made); diff != "" {
			t.Errorf("%s: calls made (-want +got):\n%s", name, diff)
		}
	}
}

// TestRepeatableAfterACrash goes on after a crash in the middle of a call that
// may be made twice: it is made again and nobody is asked. Former versions
// recorded an intent of it.
func TestRepeatableAfterACrash(t *testing.T) {
	t.Parallel()
	crash := errors.New("the power is out")
	turns := []llmtest.Turn{{Calls: []llmtest.Call{call("web_ask", say("get"))}}, {Text: "Done."}}
	before := &journal{fail: func(n int) (bool, error) {
		if n == 2 {
			return false, crash
		}
		return true, nil
	}}
	work := task(before, "web.ask")
	if _, err := loop(llmtest.New(turns...), newWorkshop(t, nil)).Run(t.Context(), work); !errors.Is(err, crash) {
		t.Fatalf("got %v, want the crash", err)
	}
	if diff := cmp.Diff([]string{"turn/1"}, before.keys()); diff != "" {
		t.Fatalf("recorded before it (-want +got):\n%s", diff)
	}

	intent := gathering.Step{
		Key: "turn/1/call/1", Kind: gathering.StepTool, Name: "web.ask", Phase: gathering.StepIntent,
	}
	for name, intents := range map[string][]gathering.Step{"no intent": nil, "an intent": {intent}} {
		w, after := newWorkshop(t, nil), &journal{}
		work.Record, work.Steps = after.record, slices.Concat(before.steps, intents)
		if _, err := loop(llmtest.New(turns[1:]...), w).Run(t.Context(), work); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(map[string]int{"run_1/n/turn/1/call/1": 1}, w.made); diff != "" {
			t.Errorf("%s: calls made (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff([]string{"turn/1/call/1", "turn/2"}, after.keys()); diff != "" {
			t.Errorf("%s: recorded (-want +got):\n%s", name, diff)
		}

		// All of it is recorded now: nothing is asked or made any more.
		w, again := newWorkshop(t, nil), &journal{}
		work.Record, work.Steps = again.record, slices.Concat(work.Steps, after.steps)
		if _, err := loop(llmtest.New(), w).Run(t.Context(), work); err != nil || w.count() != 0 || len(again.steps) != 0 {
			t.Errorf("%s: got %v, %d calls, recorded %v; want it folded", name, err, w.count(), again.keys())
		}
	}
}

// TestOpenIntent holds that somebody is asked about a call of which only an
// intent is recorded, unless its tool is there to say that it is repeatable.
func TestOpenIntent(t *testing.T) {
	t.Parallel()
	for name, asked := range map[string]llmtest.Call{
		"not repeatable":         call("web_ask", say("post")),
		"faulty arguments":       call("web_ask", "get"),
		"a tool that is no more": call("web_answer", say("get")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &journal{fail: func(n int) (bool, error) {
				if n > 1 {
					return false, errors.New("crash")
				}
				return true, nil
			}}
			work := task(j, "web.ask")
			if _, err := loop(llmtest.New(llmtest.Turn{Calls: []llmtest.Call{asked}}), newWorkshop(t, nil)).Run(t.Context(), work); err == nil {
				t.Fatal("there was no crash")
			}
			w, after := newWorkshop(t, nil), &journal{}
			work.Record = after.record
			work.Steps = append(j.steps, gathering.Step{Key: "turn/1/call/1", Kind: gathering.StepTool, Name: "web.ask", Phase: gathering.StepIntent})
			_, err := loop(llmtest.New(), w).Run(t.Context(), work)
			wantError(t, err, gathering.KindConflict, gathering.CodeUnknownOutcome)
			if w.count() != 0 || len(after.steps) != 0 {
				t.Errorf("made %d calls, recorded %v", w.count(), after.keys())
			}
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	waits := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	tests := map[string]struct {
		tool     string
		do       func(ctx context.Context) error
		kind     gathering.Kind
		code     string
		recorded []string
	}{
		"while the model thinks": {kind: gathering.KindCancelled},
		"while a tool reads":     {tool: "text_echo", do: waits, kind: gathering.KindCancelled, recorded: []string{"turn/1"}},
		"while a tool acts": {
			tool: "mail_send", do: waits, kind: gathering.KindConflict, code: gathering.CodeUnknownOutcome,
			recorded: []string{"turn/1", "turn/1/call/1 intent"},
		},
		"a tool acts all the same": {
			tool: "mail_send", do: func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			},
			kind: gathering.KindCancelled, recorded: []string{"turn/1", "turn/1/call/1", "turn/1/call/1 intent"},
		},
		"before a tool acts": {
			tool: "mail_send", do: func(ctx context.Context) error {
				<-ctx.Done()
				return gathering.NewError(gathering.KindCancelled, "not sent").WithCode(gathering.CodeNotSent)
			},
			kind: gathering.KindCancelled, code: gathering.CodeNotSent, recorded: []string{"turn/1", "turn/1/call/1 intent"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reached := make(chan struct{})
			turn := llmtest.Turn{Block: true, Reached: reached}
			if tt.tool != "" {
				turn = llmtest.Turn{Calls: []llmtest.Call{call(tt.tool, say("a"))}}
			}
			w := newWorkshop(t, func(ctx context.Context, _ string) error {
				close(reached)
				return tt.do(ctx)
			})
			go func() {
				<-reached
				cancel()
			}()
			script, j := llmtest.New(turn), &journal{}
			_, err := loop(script, w).Run(ctx, task(j, "text.echo", "mail.send"))
			wantError(t, err, tt.kind, tt.code)
			if diff := cmp.Diff(tt.recorded, j.keys()); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if len(script.Asked()) != 1 {
				t.Errorf("got %d turns, want 1", len(script.Asked()))
			}
		})
	}
}

// TestCancelAfterAnIntent stops an agent when it has said what it is about to
// do: that it did not is known.
func TestCancelAfterAnIntent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	j := &journal{fail: func(n int) (bool, error) {
		if n == 2 {
			cancel()
		}
		return true, nil
	}}
	w := newWorkshop(t, nil)
	script := llmtest.New(llmtest.Turn{Calls: []llmtest.Call{call("mail_send", say("a"))}})
	_, err := loop(script, w).Run(ctx, task(j, "mail.send"))
	wantError(t, err, gathering.KindCancelled, gathering.CodeNotSent)
	if w.count() != 0 {
		t.Errorf("made %d calls, want none", w.count())
	}
}

// TestResultThatIsNotKept holds that the outcome of a call is unknown when its
// result cannot be recorded.
func TestResultThatIsNotKept(t *testing.T) {
	t.Parallel()
	full := gathering.NewError(gathering.KindInvalid, "it cannot be kept")
	j := &journal{fail: func(n int) (bool, error) {
		if n == 3 {
			return false, full
		}
		return true, nil
	}}
	script := llmtest.New(llmtest.Turn{Calls: []llmtest.Call{call("mail_send", say("a"))}})
	_, err := loop(script, newWorkshop(t, nil)).Run(t.Context(), task(j, "mail.send"))
	wantError(t, err, gathering.KindConflict, gathering.CodeUnknownOutcome)
}

func TestLargeResult(t *testing.T) {
	t.Parallel()
	j := &journal{}
	script := llmtest.New(
		llmtest.Turn{Calls: []llmtest.Call{call("text_echo", say(strings.Repeat("x", 300<<10)))}}, llmtest.Turn{Text: "ok"},
	)
	if _, err := loop(script, newWorkshop(t, nil)).Run(t.Context(), task(j, "text.echo")); err != nil {
		t.Fatal(err)
	}
	if got := lastText(t, script); !strings.Contains(got, "over the limit of 262144") || len(got) > 1000 {
		t.Errorf("the model was told %.200q", got)
	}
}

// TestCancelSeveral holds that an unknown outcome is what a turn ends with,
// whatever became of the calls beside it.
func TestCancelSeveral(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reached := make(chan struct{}, 3)
	w := newWorkshop(t, func(ctx context.Context, _ string) error {
		reached <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	go func() {
		for range 3 {
			<-reached
		}
		cancel()
	}()
	script := llmtest.New(llmtest.Turn{Calls: []llmtest.Call{
		call("text_echo", say("a")), call("mail_send", say("b")), call("text_echo", say("c")),
	}})
	_, err := loop(script, w).Run(ctx, task(&journal{}, "text.echo", "mail.send"))
	wantError(t, err, gathering.KindConflict, gathering.CodeUnknownOutcome)
}

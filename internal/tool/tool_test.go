package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gathering"
	"gathering/internal/tool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type greetInput struct {
	Name  string   `json:"name" jsonschema:"Whom to greet"`
	Times int      `json:"times,omitempty" minimum:"1" maximum:"3"`
	Tags  []string `json:"tags,omitempty"`
}

type greetOutput struct {
	Text string `json:"text" jsonschema:"The greeting"`
}

func greet(_ context.Context, _ tool.Call, in greetInput) (greetOutput, error) {
	if in.Name == "panic" {
		panic("the secret cause")
	}
	return greetOutput{"hello <" + in.Name + ">" + strings.Repeat("!", in.Times)}, nil
}

// make a tool of fn under the name "test.greet".
func made[In, Out any](t *testing.T, fn func(context.Context, tool.Call, In) (Out, error)) tool.Tool {
	t.Helper()
	made, err := tool.New(gathering.ToolSpec{Name: "test.greet", Description: "Greets."}, fn)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func checked(t *testing.T, inner tool.Tool) tool.Tool {
	t.Helper()
	outer, err := tool.Validated(inner)
	if err != nil {
		t.Fatal(err)
	}
	return outer
}

func call(t tool.Tool, arguments string) (string, error) {
	result, err := t.Call(context.Background(), tool.Call{Arguments: json.RawMessage(arguments)})
	return string(result), err
}

func TestNewDerivesSchemas(t *testing.T) {
	t.Parallel()
	spec := made(t, greet).Spec()
	var got any
	if err := json.Unmarshal(spec.Input, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "object",
		"properties": map[string]any{
			"name":  map[string]any{"type": "string", "description": "Whom to greet"},
			"times": map[string]any{"type": "integer", "minimum": 1.0, "maximum": 3.0},
			"tags":  map[string]any{"type": []any{"null", "array"}, "items": map[string]any{"type": "string"}},
		},
		"required":             []any{"name"},
		"additionalProperties": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("input schema (-want +got):\n%s", diff)
	}
	if !spec.Idempotent {
		t.Error("a tool without side effects is not idempotent")
	}
	if got, want := string(spec.Output), "The greeting"; !strings.Contains(got, want) {
		t.Errorf("output schema %s, want it to contain %q", got, want)
	}
}

// TestRepeatable holds that a tool of a function says the same of all calls, and
// that whatever stands before a tool leaves the answer to it.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		spec gathering.ToolSpec
		want bool
	}{
		{gathering.ToolSpec{}, true},
		{gathering.ToolSpec{SideEffect: true}, false},
		{gathering.ToolSpec{SideEffect: true, Idempotent: true}, true},
	} {
		test.spec.Name = "a"
		made, err := tool.New(test.spec, greet)
		if err != nil {
			t.Fatal(err)
		}
		if got := made.Repeatable(json.RawMessage(`{"name":"x"}`)); got != test.want {
			t.Errorf("%+v: got %t, want %t", test.spec, got, test.want)
		}
	}

	inner, err := tool.New(gathering.ToolSpec{Name: "test.greet", Description: "Greets.", SideEffect: true, Timeout: gathering.Duration(time.Second)}, greet)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := tool.NewRegistry(again{inner})
	if err != nil {
		t.Fatal(err)
	}
	registered, _ := registry.Lookup("test.greet")
	for name, outer := range map[string]tool.Tool{
		"timed": tool.Timed(again{inner}), "validated": checked(t, again{inner}),
		"guarded": tool.Guarded(again{inner}, nil, "x"), "registered": registered,
	} {
		for arguments, want := range map[string]bool{`"again"`: true, `{"name":"x"}`: false} {
			if got := outer.Repeatable(json.RawMessage(arguments)); got != want {
				t.Errorf("%s, %s: got %t, want %t", name, arguments, got, want)
			}
		}
	}
}

// again is a tool that tells calls apart.
type again struct{ tool.Tool }

func (again) Repeatable(arguments json.RawMessage) bool { return string(arguments) == `"again"` }

func TestNewKeepsGivenSchema(t *testing.T) {
	t.Parallel()
	given := json.RawMessage(`{"type":"object"}`)
	made, err := tool.New(gathering.ToolSpec{Name: "a", Input: given, SideEffect: true}, greet)
	if err != nil {
		t.Fatal(err)
	}
	if got := made.Spec(); string(got.Input) != string(given) || got.Idempotent {
		t.Errorf("got %s, idempotent %t; want %s, false", got.Input, got.Idempotent, given)
	}
}

func TestNewRefusesOtherThanStructs(t *testing.T) {
	t.Parallel()
	_, err := tool.New(gathering.ToolSpec{Name: "a"}, func(context.Context, tool.Call, string) (greetOutput, error) {
		return greetOutput{}, nil
	})
	if err == nil {
		t.Error("a tool whose input is a string was made")
	}
	type badTag struct {
		Limit int `json:"limit" minimum:"one"`
	}
	_, err = tool.New(gathering.ToolSpec{Name: "a"}, func(context.Context, tool.Call, badTag) (greetOutput, error) {
		return greetOutput{}, nil
	})
	if err == nil {
		t.Error("a tool with a minimum that is no number was made")
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	greeter := made(t, greet)
	got, err := call(greeter, `{"name":"Ada & Co","times":2}`)
	if want := `{"text":"hello <Ada & Co>!!"}`; got != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	type nothing struct{}
	noop := made(t, func(context.Context, tool.Call, nothing) (nothing, error) { return nothing{}, nil })
	for _, arguments := range []string{"", "null", " null\n", "{}"} {
		if got, err := call(noop, arguments); got != "{}" || err != nil {
			t.Errorf("call(%q) = %s, %v, want {}", arguments, got, err)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	t.Parallel()
	greeter := made(t, greet)
	for name, test := range map[string]struct{ arguments, want string }{
		"unknown field":     {`{"name":"a","nom":"b"}`, "arguments: must be a JSON object with the fields that the tool knows"},
		"text after":        {`{"name":"a"} {"name":"b"}`, "arguments: must be a JSON object with the fields that the tool knows"},
		"not an object":     {`["a"]`, "arguments: must be an object"},
		"wrong type":        {`{"name":3}`, "arguments.name: must be a string"},
		"fraction":          {`{"name":"a","times":1.5}`, "arguments.times: must be a whole number, written without fraction or exponent"},
		"no array":          {`{"name":"a","tags":true}`, "arguments.tags: must be an array"},
		"not JSON":          {`{"name"`, "arguments: must be a JSON object with the fields that the tool knows"},
		"beyond an integer": {`{"name":"a","times":99999999999999999999}`, "arguments.times: must be a whole number, written without fraction or exponent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := call(greeter, test.arguments)
			wantFault(t, err, gathering.KindInvalid, "the arguments do not fit the tool: "+test.want)
		})
	}
}

// wantFault checks the kind and the public text of an error.
func wantFault(t *testing.T, err error, kind gathering.Kind, public string) {
	t.Helper()
	fault, ok := errors.AsType[*gathering.Error](err)
	if !ok {
		t.Fatalf("got error %v, want a *gathering.Error", err)
	}
	if got := fault.Public(); fault.Kind != kind || got != public {
		t.Errorf("got %s: %s\nwant %s: %s", fault.Kind, got, kind, public)
	}
}

func TestPanicIsInternal(t *testing.T) {
	t.Parallel()
	_, err := call(made(t, greet), `{"name":"panic"}`)
	wantFault(t, err, gathering.KindInternal, "tool test.greet broke down; the log has the cause")
	if got, want := err.Error(), "the secret cause"; !strings.Contains(got, want) {
		t.Errorf("the error %q does not name the cause %q", got, want)
	}
}

func TestValidatedChecksArguments(t *testing.T) {
	t.Parallel()
	var ran atomic.Bool
	greeter := checked(t, made(t, func(context.Context, tool.Call, greetInput) (greetOutput, error) {
		ran.Store(true)
		return greetOutput{}, nil
	}))
	var report strings.Builder
	for _, arguments := range []string{
		``,
		`{}`,
		`[]`,
		`{"name":3,"times":9,"nom":1}`,
		`{"name":"a","tags":["x",1]}`,
		`{"name":"a","times":1.5}`,
		`{"Name":"a"}`,
		`{"name":"a"} x`,
		"{\"name\":\"\xff\"}",
		`{"name":"\ud800"}`,
		`{"name":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		_, err := call(greeter, arguments)
		fault, ok := errors.AsType[*gathering.Error](err)
		if !ok || fault.Kind != gathering.KindInvalid {
			t.Errorf("call(%q): got %v, want an invalid error", arguments, err)
			continue
		}
		fmt.Fprintf(&report, "%q\n  %s\n", arguments, fault.Message)
		for _, field := range fault.Fields {
			fmt.Fprintf(&report, "  %s: %s\n", field.Field, field.Problem)
		}
	}
	if ran.Load() {
		t.Error("the tool ran")
	}
	golden(t, "arguments.golden", report.String())
}

// golden compares got with a file under testdata. Remove the file to write it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	want, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("wrote %s, which was missing", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestValidatedChecksResult(t *testing.T) {
	t.Parallel()
	type input struct {
		Size int `json:"size,omitempty"`
	}
	type output struct {
		Value json.RawMessage `json:"value"`
	}
	source := checked(t, made(t, func(_ context.Context, _ tool.Call, in input) (output, error) {
		if in.Size > 0 {
			return output{json.RawMessage(`"` + strings.Repeat("a", in.Size) + `"`)}, nil
		}
		return output{json.RawMessage(`"\udead"`)}, nil
	}))
	_, err := call(source, fmt.Sprintf(`{"size":%d}`, gathering.MaxValueBytes))
	if kind, code := gathering.KindOf(err), gathering.CodeOf(err); kind != gathering.KindTooLarge || code != gathering.CodeOutputTooLarge {
		t.Errorf("too large: got %s %s", kind, code)
	}
	_, err = call(source, `{}`)
	wantFault(t, err, gathering.KindInternal,
		"tool test.greet returned what cannot be kept: output.value: holds half of a surrogate pair")
}

func TestTimed(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context, _ tool.Call, in greetInput) (greetOutput, error) {
		select {
		case <-ctx.Done():
			return greetOutput{}, ctx.Err()
		case <-time.After(time.Duration(in.Times) * time.Second):
			return greetOutput{in.Name}, nil
		}
	}
	for name, test := range map[string]struct {
		limit   time.Duration
		outside time.Duration
		want    gathering.Kind
	}{
		"in time":             {limit: 3 * time.Second},
		"late":                {limit: time.Second, want: gathering.KindTimeout},
		"no limit":            {},
		"ended from outside":  {limit: 3 * time.Second, outside: time.Second, want: gathering.KindCancelled},
		"outside comes later": {limit: time.Second, outside: 90 * time.Second, want: gathering.KindTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner, err := tool.New(gathering.ToolSpec{Name: "wait", Timeout: gathering.Duration(test.limit)}, wait)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.outside > 0 {
					stop := time.AfterFunc(test.outside, cancel)
					defer stop.Stop()
				}
				got, err := tool.Timed(inner).Call(ctx, tool.Call{Arguments: json.RawMessage(`{"name":"done","times":2}`)})
				if kind := gathering.KindOf(err); kind != test.want {
					t.Fatalf("got %v, want kind %q", err, test.want)
				}
				if want := `{"text":"done"}`; err == nil && string(got) != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if test.want == gathering.KindTimeout {
					wantFault(t, err, gathering.KindTimeout, "tool wait did not finish within 1s")
				}
			})
		})
	}
}

func named(t *testing.T, name, description string) tool.Tool {
	t.Helper()
	made, err := tool.New(gathering.ToolSpec{Name: name, Description: description}, greet)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	registry, err := tool.NewRegistry(named(t, "b.two", "x"), named(t, "a.one", "x"), named(t, "mcp-server.Get_It", "x"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, spec := range registry.Specs() {
		got = append(got, spec.Name)
	}
	if diff := cmp.Diff([]string{"a.one", "b.two", "mcp-server.Get_It"}, got); diff != "" {
		t.Errorf("Specs (-want +got):\n%s", diff)
	}
	registry.Specs()[0].Name = "changed"
	if got := registry.Specs()[0].Name; got != "a.one" {
		t.Errorf("a caller changed the registry: the first name is %q", got)
	}
	if _, ok := registry.Lookup("c.three"); ok {
		t.Error("Lookup found a tool that is not there")
	}
	found, ok := registry.Lookup("a.one")
	if !ok {
		t.Fatal("Lookup did not find a.one")
	}
	if _, err := call(found, `{}`); gathering.KindOf(err) != gathering.KindInvalid {
		t.Errorf("the registry's tool is not validated: %v", err)
	}
	if _, ok := new(tool.Registry).Lookup("a.one"); ok {
		t.Error("the zero registry has a tool")
	}
}

func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	broken, err := tool.New(gathering.ToolSpec{Name: "a", Description: "x", Input: json.RawMessage(`{"type":7}`)}, greet)
	if err != nil {
		t.Fatal(err)
	}
	for name, tools := range map[string][]tool.Tool{
		"a name twice":     {named(t, "a", "x"), named(t, "a", "y")},
		"no name":          {named(t, "", "x")},
		"a spaced name":    {named(t, "a b", "x")},
		"a name of digits": {named(t, "7", "x")},
		"no description":   {named(t, "a", "")},
		"a faulty schema":  {broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := tool.NewRegistry(tools...); err == nil {
				t.Error("the registry was made")
			}
		})
	}
}

func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	registry, err := tool.NewRegistry(named(t, "greet", "x"))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			greeter, _ := registry.Lookup("greet")
			got, err := call(greeter, fmt.Sprintf(`{"name":"%d"}`, i))
			if want := fmt.Sprintf(`{"text":"hello <%d>"}`, i); got != want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
		})
	}
	group.Wait()
}

func BenchmarkValidated(b *testing.B) {
	type nothing struct{}
	inner, err := tool.New(gathering.ToolSpec{Name: "noop", Description: "x"},
		func(context.Context, tool.Call, nothing) (nothing, error) { return nothing{}, nil })
	if err != nil {
		b.Fatal(err)
	}
	registry, err := tool.NewRegistry(inner)
	if err != nil {
		b.Fatal(err)
	}
	noop, _ := registry.Lookup("noop")
	for b.Loop() {
		if _, err := call(noop, `{}`); err != nil {
			b.Fatal(err)
		}
	}
}

package expr_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/expr"
)

var errVault = errors.New("the vault is closed")

func raw(text string) json.RawMessage { return json.RawMessage(text) }

func testEnv() *expr.Env {
	return &expr.Env{
		Nodes: []string{"grade", "fetch", "skipped"},
		InputSchema: raw(`{"type": "object", "properties": {
			"text": {"type": "string"}, "count": {"type": "integer"}, "price": {"type": "number"}, "urgent": {"type": "boolean"},
			"tags": {"type": "array"}, "by": {"type": "object", "properties": {"name": {"type": "string"}}}, "maybe": {"type": ["string", "null"]}}}`),
		Vars: map[string]json.RawMessage{"threshold": raw("7"), "a-b": raw(`"dash"`)},
		Item: "item", Error: true, Secrets: true,
	}
}

func testScope() *expr.Scope {
	return &expr.Scope{
		Input: raw(`{"text": "hi\u0000 \"you\"", "count": 7.0, "price": 3, "urgent": true, "tags": ["b", "a", "b"], "by": {"name": "Ada"}, "maybe": null,
			"wide": 123456789012345678901234567890, "odd key": 1, "list": [1, 2.50, {"a": [10, 20]}], "when": "2026-01-31T09:00:00+02:00"}`),
		Trigger: raw(`{"kind": "manual"}`),
		Item:    raw(`{"id": 9007199254740993}`),
		Index:   3,
		Vars:    map[string]json.RawMessage{"threshold": raw("7"), "a-b": raw(`"dash"`)},
		Run:     expr.Run{ID: "run_1", Project: "default", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		Error:   &gathering.Failure{Kind: gathering.KindTimeout, Message: "too slow"},
		Node: func(id string) (expr.Node, bool) {
			switch id {
			case "grade":
				return expr.Node{
					Output: raw(`{"priority": 7.5, "whole": 8, "name": "x", "none": null, "wide": -98765432109876543210, "spelled":  1.50 , "list":[ 1 , {"b": 2} ]}`),
					State:  "completed", FinishedAt: time.Date(2026, 1, 2, 3, 4, 6, 500, time.UTC),
				}, true
			case "fetch":
				return expr.Node{Output: raw(`"plain"`), State: "completed"}, true
			}
			return expr.Node{}, false
		},
		Secrets: func(name string) (string, error) {
			if name == "TOKEN" {
				return "s3cr3t", nil
			}
			return "", gathering.NewError(gathering.KindNotFound, "there is no secret %s", name).WithCause(errVault)
		},
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	tests := []struct{ source, want string }{
		// A path gives the very bytes.
		{`input.wide`, `123456789012345678901234567890`},
		{`input["wide"]`, `123456789012345678901234567890`},
		{`input.text`, `"hi\u0000 \"you\""`},
		{`input.list[1]`, `2.50`},
		{`input.list[2].a[1]`, `20`},
		{`input["odd key"]`, `1`},
		{`input.count`, `7.0`},
		{`nodes.grade.output.spelled`, `1.50`},
		{`nodes.grade.output.list`, `[ 1 , {"b": 2} ]`},
		{`nodes.skipped.output`, `null`},
		{`nodes.grade.state`, `"completed"`},
		{`nodes.grade.finished_at`, `"2026-01-02T03:04:06.0000005Z"`},
		{`nodes.skipped.finished_at`, `null`},
		{`vars["a-b"]`, `"dash"`},
		{`vars`, `{"a-b":"dash","threshold":7}`},
		{`item.id`, `9007199254740993`},
		{`index`, `3`},
		{`error`, `{"kind":"timeout","code":"","message":"too slow"}`},
		{`error.kind`, `"timeout"`},
		{`run.id`, `"run_1"`},
		{`run`, `{"id":"run_1","started_at":"2026-01-02T03:04:05Z","project":"default"}`},
		{`trigger.kind`, `"manual"`},
		{`secrets.TOKEN`, `"s3cr3t"`},

		// What is passed on through an expression keeps its text too.
		{`true ? input.wide : 0`, `123456789012345678901234567890`},
		{`[input.wide, nodes.grade.output.wide]`, `[123456789012345678901234567890,-98765432109876543210]`},
		{`{"kept": nodes.grade.output.list}`, `{"kept":[ 1 , {"b": 2} ]}`},
		{`input.list.filter(x, type(x) == map)`, `[{"a": [10, 20]}]`},
		{`json.parse("{\"n\": 1.50}")`, `{"n": 1.50}`},

		// Numbers mix.
		{`nodes.grade.output.priority >= 7`, `true`},
		{`nodes.grade.output.whole >= 7.5`, `true`},
		{`nodes.grade.output.priority * 2`, `15`},
		{`nodes.grade.output.whole * 2 + 0.5`, `16.5`},
		{`1.5 + nodes.grade.output.whole`, `9.5`},
		{`input.price * 2 + 1`, `7`},
		{`input.price == 3 && input.price in [1, 2, 3]`, `true`},
		{`input.count + 1`, `8`},
		{`input.count / 2`, `3`},
		{`size(input.tags) * 1.5`, `4.5`},
		{`math.ceil(nodes.grade.output.whole) + math.ceil(nodes.grade.output.priority)`, `16`},
		{`math.greatest(1, 2.5)`, `2.5`},
		{`0.1 + 0.2`, `0.30000000000000004`},
		{`1e21 * 10.0`, `1e+22`},
		{`-0.0`, `-0`},

		// Wide whole numbers are exact or an error.
		{`string(input.wide)`, `"123456789012345678901234567890"`},
		{`input.wide == input.wide`, `true`},
		{`input.wide == nodes.grade.output.wide`, `false`},
		{`input.wide == 5 || 5 == input.wide`, `false`},
		{`double(input.wide)`, `1.2345678901234568e+29`},
		{`[input.wide, input.wide, 5].distinct()`, `[123456789012345678901234567890,5]`},
		{`item.id + 1`, `9007199254740994`},

		// Fields that may be missing.
		{`has(input.text)`, `true`},
		{`has(input.nothing)`, `false`},
		{`has(nodes.skipped.output.x)`, `false`},
		{`input.?nothing.orValue("default")`, `"default"`},
		{`nodes.skipped.output.?x.orValue(0)`, `0`},
		{`input.?nothing`, `null`},
		{`input.?text`, `"hi\u0000 \"you\""`},
		{`nodes.grade.output.none == null`, `true`},
		{`nodes.skipped.finished_at == null`, `true`},

		// Text, lists, objects, times.
		{`input.text + "!"`, `"hi\u0000 \"you\"!"`},
		{`"é😀".size()`, `2`},
		{`"a,b".split(",")`, `["a","b"]`},
		{`input.tags.join("-")`, `"b-a-b"`},
		{`input.tags.sort()`, `["a","b","b"]`},
		{`input.tags.distinct()`, `["b","a"]`},
		{`[1, 1.0, "1", true, null, [1], [1.0]].distinct()`, `[1,"1",true,null,[1]]`},
		{`input.tags.map(tag, tag.upperAscii())`, `["B","A","B"]`},
		{`"b" in input.tags && "text" in input`, `true`},
		{`input.list[2] == {"a": [10, 20.0]}`, `true`},
		{`{"a": [10, 20]} == input.list[2]`, `true`},
		{`input.list + [3]`, `[1,2.5,{"a": [10, 20]},3]`},
		{`[3, 1, 2].sortBy(x, -x)`, `[3,2,1]`},
		{`[[1], [2, [3]]].flatten()`, `[1,2,[3]]`},
		{`lists.range(3)`, `[0,1,2]`},
		{`sets.contains(input.tags, ["a"])`, `true`},
		{`"%s is %d".format(["x", 3])`, `"x is 3"`},
		{`"abc".matches("^a.c$")`, `true`},
		{`json.format({"a": [1, "\n"]})`, `"{\"a\":[1,\"\\n\"]}"`},
		{`json.format(input.list)`, `"[1,2.50,{\"a\":[10,20]}]"`},
		{`base64.encode(b"hello")`, `"aGVsbG8="`},
		{`b"hello"`, `"aGVsbG8="`},
		{`timestamp(input.when) + duration("90m")`, `"2026-01-31T08:30:00Z"`},
		{`duration("90s")`, `"1m30s"`},
		{`nodes.grade.finished_at - run.started_at > duration("1s")`, `true`},
		{`run.started_at.getHours("Europe/Berlin")`, `4`},
		{`null`, `null`},
		{`"<&>\u2028"`, `"<&>` + "\u2028" + `"`},
		{`"tab\there"`, `"tab\there"`},
	}
	env, scope := testEnv(), testScope()
	for _, test := range tests {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(test.source, expr.Any)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // a program leaves nothing behind
				got, err := program.Value(scope)
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			}
		})
	}
}

func TestCompileFaults(t *testing.T) {
	t.Parallel()
	const scope = "; in scope: input, run, trigger, vars, nodes.ID.output"
	tests := []struct {
		source string
		want   string
		result expr.Type
	}{
		{source: ``, want: `the expression is empty`},
		{source: `1 +`, want: `column 4: the expression ends too early`},
		{source: `(1`, want: `column 3: a ) is missing`},
		{source: `true and false`, want: `column 6: unexpected and; write &&`},
		{source: `input.text = "x"`, want: `column 12: unexpected =; write ==`},
		{source: "1 +\n  * 2", want: `line 2, column 3: unexpected *`},
		{source: `if`, want: `column 1: if is a word of the language and names nothing`},
		{source: strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100), want: `the expression is nested too deeply or too long`},
		{source: `"` + strings.Repeat("x", expr.MaxSource) + `"`, want: `the expression is 4098 bytes long; the limit is 4096`},

		{source: `inputs.text`, want: `there is no inputs here (did you mean input?)` + scope},
		{source: `x`, want: `there is no x here` + scope},
		{source: `nodes.grad.output`, want: `nodes.grad is not upstream of here (did you mean grade?); upstream: grade, fetch`},
		{source: `nodes.grade`, want: `write nodes.grade.output, .state or .finished_at`},
		{source: `nodes.grade.result`, want: `a node has .output, .state and .finished_at, but no "result"; its result is nodes.grade.output`},
		{source: `nodes["grade"].output`, want: `write nodes.grade.output instead of nodes[…]`},
		{source: `size(nodes)`, want: `write nodes.ID.output with the ID of an upstream node: grade, fetch`},
		{source: `has(nodes.grade.output)`, want: `nodes.grade.output is always there; compare it with null instead`},
		{source: `vars.thresold`, want: `vars.thresold is not declared (did you mean threshold?); declared: threshold`},
		{source: `secrets.TOKEN`, want: `secrets may be used only in what a node sends out, such as a request's headers or body`},
		{source: `item`, want: `item exists only inside a map's do`},
		{source: `index + 1`, want: `index exists only inside a map's do`},
		{source: `error.kind`, want: `error exists only on an error branch`},
		{source: `input.tags.map(input, input)`, want: `input is a name in scope already; call the loop's variable something else`},
		{source: `input.tags.map(tag, tug)`, want: `there is no tug here` + scope},
		{source: `Point{x: 1}`, want: `there is no type Point; an object is written {"key": value}`},
		{source: `has(input)`, want: `column 5: has(…) takes a path that ends in a field, as in has(input.text)`},

		{source: `input.text + 1`, want: `column 12: cannot add a string and a whole number; write string(…) around what is not a string`},
		{source: `input.text > 3`, want: `column 12: cannot order a string and a whole number; write int(…) or double(…) around the string`},
		{source: `input.count == "7"`, want: `column 13: cannot compare a whole number and a string; write int(…) or double(…) around the string`},
		{source: `input.price - "x"`, want: `column 13: cannot subtract a fractional number and a string; write int(…) or double(…) around the string`},
		{source: `input.by.name * 2`, want: `column 15: cannot multiply a string and a whole number; write int(…) or double(…) around the string`},
		{source: `input.tags + "x"`, want: `column 12: cannot add a list and a string; write string(…) around what is not a string`},
		{source: `input.text == null`, want: `column 12: cannot compare a string and null: a value of that kind is never null`},
		{source: `input.?other + 1`, want: `column 14: cannot add an optional value and a whole number; end the optional value with .orValue(…)`},
		{source: `run.started_at > "2026-01-01"`, want: `column 16: cannot order a timestamp and a string; write timestamp(…) around the string`},
		{source: `!input.text`, want: `column 1: ! takes true or false, but this is a string`},
		{source: `input.text && true`, want: `column 6: this must be true or false, but it is a string`},
		{source: `input.text ? 1 : 2`, want: `column 12: what stands before ? must be true or false, but it is a string`},
		{source: `input.urgent ? 1 : "x"`, want: `column 14: both outcomes of ? : must be of one kind, but they are a whole number and a string; write dyn(…) around one where that is meant`},
		{source: `input.text.name`, want: `column 11: a string has no fields`},
		{source: `input.text.splt(",")`, want: `column 16: there is no function splt (did you mean split?)`},
		{source: `input.text.split(1)`, want: `column 17: split of a string does not take a whole number; it is used as string.split(string) or string.split(string, int)`},
		{source: `now()`, want: `column 4: there is no function now`},
		{source: `timestamp("tomorrow")`, want: `column 11: a point in time is written as timestamp("2026-01-31T09:00:00Z")`},
		{source: `duration("1 day")`, want: `column 10: a span of time is written as duration("1h30m")`},
		{source: `input.text.matches("(?=a)")`, want: `column 20: the pattern is no regular expression that can be used (RE2 syntax, without look-around)`},

		{source: `input.text`, result: expr.Bool, want: `this must be true or false, but it is a string; compare it with something, as in … == …`},
		{source: `1 + 1`, result: expr.Bool, want: `this must be true or false, but it is a whole number; compare it with something, as in … == …`},
		{source: `input.?other`, result: expr.Bool, want: `this must be true or false, but it is an optional value; end it with .orValue(…)`},
		{source: `input.text`, result: expr.List, want: `this must be a list, but it is a string`},
		{source: `1`, result: expr.Timestamp, want: `this must be a point in time, such as timestamp("2026-01-31T09:00:00Z"), but it is a whole number; write timestamp(…) around it`},
		{source: `[1]`, result: expr.String, want: `this must be a string, but it is a list; write string(…) around it`},
	}
	env := &expr.Env{Nodes: []string{"grade", "fetch"}, InputSchema: testEnv().InputSchema, Vars: map[string]json.RawMessage{"threshold": nil}}
	for _, test := range tests {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			_, err := env.Compile(test.source, test.result)
			fault, ok := errors.AsType[*expr.Fault](err)
			if !ok {
				t.Fatalf("got error %v, want a fault", err)
			}
			if diff := cmp.Diff(test.want, fault.Message); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ source, want string }{
		{`input.nothing`, `input has no "nothing"; test it with has(input.nothing) or give a default with input.?nothing.orValue(…)`},
		{`input["no key"]`, `input has no "no key"; test it with has(input["no key"]) or give a default with input[?"no key"].orValue(…)`},
		{`nodes.grade.output.prio > 7`, `nodes.grade.output has no "prio"; test it with has(nodes.grade.output.prio) or give a default with nodes.grade.output.?prio.orValue(…)`},
		{`nodes.skipped.output.x.y`, `nodes.skipped.output is null, so it has no "x"; give a default with nodes.skipped.output.?x.orValue(…)`},
		{`nodes.fetch.output.x`, `nodes.fetch.output is a string, so it has no "x"; give a default with nodes.fetch.output.?x.orValue(…)`},
		{`input.list[3]`, `input.list has 3 elements, so there is no [3]; elements count from 0`},
		{`input.by[0]`, `input.by is an object, not a list, so it has no [0]`},
		{`input.list.map(x, x.a)`, `x has no "a"; test it with has(x.a) or give a default with x.?a.orValue(…)`},
		{`input.list[index]`, `an index is beyond the end of its list or text`},
		{`vars[input.by.name]`, `a field is missing; test it with has(…) or give a default with .?field.orValue(…)`},
		{`input.?nothing.value()`, `an optional value is not there; give a default with .orValue(…)`},

		{`input.wide + 1`, `a whole number beyond 64 bits cannot be computed with exactly; pass it on as it is, or write string(…) or double(…)`},
		{`1 < input.wide`, `a whole number beyond 64 bits cannot be computed with exactly; pass it on as it is, or write string(…) or double(…)`},
		{`nodes.grade.output.name > 3`, `cannot order a string and a whole number; write int(…) or double(…) around the string`},
		{`nodes.grade.output.none + 3`, `cannot add null and a whole number; test with … != null before`},
		{`nodes.grade.output.name + 3`, `cannot add a string and a whole number; write string(…) around what is not a string`},
		{`nodes.grade.output.name % 3`, `an operator or function was given a value of a kind it does not work on`},
		{`string(nodes.grade.output)`, `string does not work on an object`},
		{`int(nodes.grade.output.name)`, `a string could not be converted to a whole number`},
		{`timestamp(nodes.grade.output.name)`, `a value cannot be converted to the type that is asked for`},
		{`json.parse(input.text)`, `json.parse was given text that is not JSON`},
		{`json.parse('{"a": 1, "a": 2}')`, `json.parse was given what cannot be used: its text.a is there twice`},
		{`1 / 0`, `it divides by zero`},
		{`1.0 / 0`, `the result is not a finite number`},
		{`9223372036854775807 + index`, `a number or time gets too large`},
		{`{1: 2}`, `an object's keys must be strings; write string(…) around the key`},
		{`type(1)`, `the result is a type, which has no JSON form`},
		{`input.list.sort()`, `the elements of a list to be sorted must be of one kind that has an order`},
		{`lists.range(1000000)`, `lists.range makes at most 100000 elements`},
		{`lists.range(index - 4)`, `lists.range takes how many elements to make, which is never negative`},
		{`("%.10" + "1f").format([1.5])`, `format writes at most 100 digits after the point`},
		{`("%.10" + "1e").format([1.5])`, `format writes at most 100 digits after the point`},
		{`input.text.matches("(" + input.text)`, `a pattern is no regular expression that can be used (RE2 syntax, without look-around)`},
		{`input.list.matches("a")`, `matches does not work on a list and a string`},
		{`matches(input.text, input.list)`, `matches does not work on a string and a list`},
		{`"a".matches("(a{900}){" + string(index - 5) + "}a{100}")`, `the program of a pattern has more than 1000 instructions`},
		{`"a".matches(lists.range(1000).map(x, "[ab]{0}").join())`, `a pattern is 7000 bytes long; the limit is 4096`},
		{`lists.range(100000).map(x, "xxxxxxxxxx").join().matches("x.{900}y")`, `a pattern of 904 instructions on a text of 1000000 bytes is more work than an expression may do; shorten one of them`},
		{`lists.range(100000).map(x, "xxxxxxxxxx").join().matches("x.{" + string(index) + "00}y")`, `a pattern of 304 instructions on a text of 1000000 bytes is more work than an expression may do; shorten one of them`},
		{`lists.range(100000).map(x, lists.range(100000))`, `it does more work than allowed (limit 5000000)`},
		{`[[[[[[[[[[1]]]]]]]]]]` + strings.Repeat(`.map(x, [[[[[x]]]]])`, 15), `the result is nested too deeply; the limit is 64`},
		{`secrets.OTHER`, `there is no secret OTHER`},
		{`secrets.OTHER + "x"`, `there is no secret OTHER`},
	}
	env, scope := testEnv(), testScope()
	for _, test := range tests {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(test.source, expr.Any)
			if err != nil {
				t.Fatal(err)
			}
			_, err = program.Value(scope)
			e, ok := errors.AsType[*gathering.Error](err)
			if !ok {
				t.Fatalf("got %v, want a gathering.Error", err)
			}
			message, expression, found := strings.Cut(e.Message, " (in the expression ")
			if diff := cmp.Diff(test.want, message); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if start := strings.TrimSuffix(expression, "…)"); !found || !strings.HasPrefix(test.source+")", start) {
				t.Errorf("got the expression as %q", expression)
			}
			want := gathering.KindInvalid
			if strings.Contains(test.source, "OTHER") {
				want = gathering.KindNotFound
			}
			if e.Kind != want {
				t.Errorf("got kind %s, want %s", e.Kind, want)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	scope := &expr.Scope{Input: raw(`"` + strings.Repeat("x", gathering.MaxValueBytes/2) + `"`)}
	env := &expr.Env{}
	program, err := env.Compile(`[input, input, input]`, expr.Any)
	if err != nil {
		t.Fatal(err)
	}
	_, err = program.Value(scope)
	template, faults := env.Template(raw(`"${{ input }} ${{ input }} ${{ input }}"`))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	_, rendered := template.Render(scope)
	for name, err := range map[string]error{"value": err, "template": rendered} {
		if gathering.KindOf(err) != gathering.KindTooLarge || gathering.CodeOf(err) != gathering.CodeOutputTooLarge {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestBool(t *testing.T) {
	t.Parallel()
	tests := []struct {
		source string
		want   bool
		fault  string
	}{
		{source: `true`, want: true},
		{source: `false`},
		{source: `input.urgent`, want: true},
		{source: `nodes.grade.output.priority >= vars.threshold`, want: true},
		{source: `nodes.fetch.output`, fault: `the result must be true or false, but it is a string`},
		{source: `input.list[0]`, fault: `the result must be true or false, but it is a number`},
		{source: `nodes.skipped.output`, fault: `the result must be true or false, but it is null`},
		{source: `[nodes.fetch.output][0]`, fault: `the result must be true or false, but it is a string`},
	}
	env, scope := testEnv(), testScope()
	for _, test := range tests {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(test.source, expr.Bool)
			if err != nil {
				t.Fatal(err)
			}
			got, err := program.Bool(scope)
			switch {
			case test.fault != "" && (err == nil || !strings.HasPrefix(err.Error(), test.fault)):
				t.Errorf("got %v, want %q", err, test.fault)
			case test.fault == "" && err != nil:
				t.Error(err)
			case got != test.want:
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	tests := []struct{ source, want string }{
		{`input.when`, "2026-01-31T09:00:00+02:00"},
		{`timestamp(input.when) + duration("1h")`, "2026-01-31T08:00:00Z"},
		{`run.started_at`, "2026-01-02T03:04:05Z"},
		{`input.text`, ""},
		{`input.list`, ""},
		{`nodes.skipped.finished_at`, ""},
	}
	env, scope := testEnv(), testScope()
	for _, test := range tests {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(test.source, expr.Timestamp)
			if err != nil {
				t.Fatal(err)
			}
			got, err := program.Time(scope)
			if test.want == "" {
				if gathering.KindOf(err) != gathering.KindInvalid {
					t.Errorf("got %v, %v, want an invalid error", got, err)
				}
				return
			}
			if want, _ := time.Parse(time.RFC3339, test.want); err != nil || !got.Equal(want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		source string
		want   expr.Type
		ok     bool
	}{
		{`input.list`, expr.List, true},
		{`input.by`, expr.List, false},
		{`nodes.grade.output.priority`, expr.Number, true},
		{`input.maybe`, expr.String, false},
		{`nodes.fetch.output`, expr.String, true},
		{`duration("1m")`, expr.Duration, true},
		{`nodes.fetch.output`, expr.Duration, false},
		{`input.when`, expr.Timestamp, true},
	}
	env, scope := testEnv(), testScope()
	for _, test := range tests {
		t.Run(test.source+" as "+test.want.String(), func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(test.source, test.want)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := program.Value(scope); (err == nil) != test.ok {
				t.Errorf("got %v, want success: %v", err, test.ok)
			}
		})
	}
}

// TestDeclaredTypes runs programs that relied on the input's schema on input
// that does not keep to it.
func TestDeclaredTypes(t *testing.T) {
	t.Parallel()
	tests := []struct{ source, input, want string }{
		{`input.text + "x"`, `{"text": 1}`, `input.text is a whole number, not a string`},
		{`input.count + 1`, `{"count": 1.5}`, `input.count is a fractional number, not a whole number`},
		{`input.count + 1`, `{"count": "1"}`, `input.count is a string, not a whole number`},
		{`input.price + 1`, `{"price": true}`, `input.price is true or false, not a number`},
		{`!input.urgent`, `{"urgent": null}`, `input.urgent is null, not true or false`},
		{`input.tags + [1]`, `{"tags": {}}`, `input.tags is an object, not a list`},
		{`input.by.name + "x"`, `{}`, `input has no "by"; test it with has(input.by) or give a default with input.?by.orValue(…)`},
		{`input.price == 9007199254740993`, `{"price": 9007199254740993}`, ``},
	}
	env := testEnv()
	for _, test := range tests {
		t.Run(test.source+" on "+test.input, func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(test.source, expr.Any)
			if err != nil {
				t.Fatal(err)
			}
			got, err := program.Value(&expr.Scope{Input: raw(test.input)})
			switch {
			case test.want == "" && (err != nil || string(got) != "true"):
				t.Errorf("got %s, %v, want true", got, err)
			case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want+" (in")):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestSecretsStayOut makes sure that an error of an expression that uses a
// secret repeats it neither to people nor to the log.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	env, scope := testEnv(), testScope()
	for _, source := range []string{
		`int(secrets.TOKEN)`, `timestamp(secrets.TOKEN)`, `duration(secrets.TOKEN)`, `json.parse(secrets.TOKEN)`,
		`input[secrets.TOKEN]`, `{"a": 1}[secrets.TOKEN]`, `"x".matches("(" + secrets.TOKEN)`, `run.started_at.getHours(secrets.TOKEN)`,
		`secrets.TOKEN.charAt(100)`, `base64.decode(secrets.TOKEN + "%")`,
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(source, expr.Any)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = program.Value(scope); err == nil || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecretsAsAWhole(t *testing.T) {
	t.Parallel()
	env := testEnv()
	for _, source := range []string{`secrets`, `size(secrets)`, `secrets == {}`, `secrets.map(s, s)`, `[secrets]`, `secrets[input.text]`, `secrets["TOKEN"]`, `has(secrets.TOKEN)`, `secrets.?TOKEN`} {
		if _, err := env.Compile(source, expr.Any); err == nil || err.Error() != "write secrets.NAME with the name of one secret" {
			t.Errorf("%s: got %v", source, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	env, scope := testEnv(), testScope()
	template, faults := env.Template(raw(`{"a": "${{ nodes.grade.output.list.map(x, x) }}", "b": "${{ input.tags.filter(t, t != 'a') }} and ${{ 1 / (index - 3) }}"}`))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				program, err := env.Compile(`nodes.grade.output.priority >= vars.threshold && input.tags.all(t, size(t) == 1)`, expr.Bool)
				if err != nil {
					t.Error(err)
					return
				}
				if ok, err := program.Bool(scope); err != nil || !ok {
					t.Errorf("got %v, %v, want true", ok, err)
				}
				if _, err := template.Render(scope); gathering.KindOf(err) != gathering.KindInvalid {
					t.Errorf("got %v, want a division by zero", err)
				}
			}
		})
	}
	group.Wait()
}

func TestReserved(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"true", "in", "null", "for", "package"} {
		if !expr.Reserved(word) {
			t.Errorf("%s is not reserved", word)
		}
		if _, err := (&expr.Env{Nodes: []string{word}}).Compile("1 + "+word, expr.Any); err == nil && word != "true" && word != "null" {
			t.Errorf("%s can be used as a name", word)
		}
	}
	if expr.Reserved("grade") {
		t.Error("grade is reserved")
	}
}

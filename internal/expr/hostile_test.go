package expr_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gathering"
	"gathering/internal/expr"
)

// TestHostile runs expressions made to use up time or memory. Each must end
// soon, with a result or an error.
func TestHostile(t *testing.T) {
	t.Parallel()
	big := json.RawMessage(`[` + strings.Repeat(`"abcdefghij",`, 200_000) + `"x"]`)
	text := json.RawMessage(`"` + strings.Repeat("a", 2<<20) + `"`)
	wide := json.RawMessage(`{"a":[` + strings.Repeat(`[1,2,{"k":"v"}],`, 50_000) + `0]}`)
	scope := &expr.Scope{
		Input: big, Trigger: text, Item: wide,
		Node: func(string) (expr.Node, bool) {
			return expr.Node{Output: json.RawMessage(`{"s": "ab", "n": 1000}`)}, true
		},
	}
	env := &expr.Env{Nodes: []string{"a"}, Item: "item"}
	double := func(start, body string) string { return `[` + start + `]` + strings.Repeat(`.map(x, `+body+`)`, 28) }
	tests := map[string]string{
		"nested loops":        `lists.range(100000).map(x, lists.range(100000).map(y, x * y))`,
		"deep loops":          `lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, lists.range(1000).all(d, true))))`,
		"doubling text":       double(`"ab"`, `x + x`),
		"doubling typed":      double(`nodes.a.output.s`, `x + x`),
		"doubling lists":      double(`1`, `[x, x]`) + ` == ` + double(`1`, `[x, x]`),
		"doubling result":     double(`1`, `[x, x]`),
		"doubling flatten":    double(`1`, `[x, x]`) + `.flatten(28)`,
		"doubling format":     `"%s".format([` + double(`1`, `[x, x]`) + `])`,
		"doubling json":       `json.format(` + double(`1`, `[x, x]`) + `)`,
		"doubling in":         double(`1`, `[x, x]`) + ` in [` + double(`1`, `[x, x]`) + `]`,
		"doubling sort":       double(`1`, `x + x`) + `.sort()`,
		"doubling distinct":   `[` + double(`1`, `[x, x]`) + `, ` + double(`1`, `[x, x]`) + `].distinct()`,
		"doubling sets":       `sets.contains([` + double(`1`, `[x, x]`) + `], [` + double(`1`, `[x, x]`) + `])`,
		"doubling maps":       double(`1`, `{"a": x, "b": x}`) + ` == ` + double(`1`, `{"a": x, "b": x}`),
		"replace":             `string(trigger).replace("a", string(trigger))`,
		"replace dyn":         `trigger.replace("a", trigger)`,
		"replace empty":       `trigger.replace("", trigger)`,
		"join":                `input.join(trigger)`,
		"join doubling":       `["a", "b"].join(trigger) + ["a", "b"].join(trigger)`,
		"split":               `trigger.split("")`,
		"format":              `"` + strings.Repeat("%s", 1000) + `".format([` + strings.TrimSuffix(strings.Repeat("trigger,", 250), ",") + `])`,
		"format precision":    `"%.1000000000f".format([1.0])`,
		"equality in loop":    `lists.range(100000).all(x, item == item)`,
		"size in loop":        `lists.range(100000).all(x, size(trigger) > 0)`,
		"in in loop":          `lists.range(100000).all(x, !("y" in input))`,
		"distinct":            `input.distinct()`,
		"distinct numbers":    `lists.range(100000).map(x, [x]).distinct()`,
		"sort":                `input.sort()`,
		"sort numbers":        `lists.range(100000).map(x, -x).sort()`,
		"sets":                `sets.equivalent(lists.range(100000), lists.range(100000))`,
		"sets of input":       `sets.contains(input, input)`,
		"index in loop":       `lists.range(100000).map(i, item.a[i][2].k)`,
		"pattern in loop":     `lists.range(100000).exists(x, "a".matches("(((a{9}){9}){9}){" + string(x % 3 + 1) + "}"))`,
		"pattern on text":     `trigger.matches("(a*)*b")`,
		"pattern eight times": `lists.range(8).exists(x, trigger.matches("a.{900}b"))`,
		"pattern on parts":    `lists.range(100).all(x, !trigger.substring(2000000).matches("a.{900}b"))`,
		"patterns on text":    `lists.range(100000).exists(x, trigger.substring(0, 2000).matches("(a?){200}a{" + string(x) + "}b"))`,
		"patterns of classes": `lists.range(100000).exists(x, "a".matches(lists.range(400).map(y, "[\\pL\\pN]").join()))`,
		"patterns of ranges":  `lists.range(100000).exists(x, "a".matches(lists.range(200).map(y, "(?i)[!-\\x{1e942}]").join()))`,
		"pattern of ranges":   `lists.range(100000).exists(x, "a".matches("(?i)[!-\U0001e942]" + string(x)))`,
		"patterns too large":  `lists.range(100000).exists(x, "a".matches(lists.range(400).map(y, "[^\\pL]{99}").join()))`,
		"patterns broken":     `lists.range(100000).exists(x, "a".matches(lists.range(400).map(y, "[\\pL\\pN]").join() + "("))`,
		"patterns too long":   `lists.range(100000).exists(x, "a".matches(trigger))`,
		"pattern large":       `"a".matches("((a{100}){100}){100}")`,
		"zone in loop":        `lists.range(100000).all(x, timestamp("2020-01-01T00:00:00Z").getHours("Europe/Berlin") > 0)`,
		"json in loop":        `lists.range(100000).all(x, size(json.parse(json.format(item))) > 0)`,
		"bytes in loop":       `lists.range(100000).all(x, size(bytes(trigger)) > 0)`,
		"base64":              `base64.encode(bytes(trigger)).size()`,
		"range":               `lists.range(1000000000)`,
		"copies":              `lists.range(1000).map(x, item)`,
		"text copies":         `lists.range(100).map(x, trigger)`,
		"optional loop":       `optional.of(1)` + strings.Repeat(`.optMap(x, [x, x])`, 28) + `.value() == 1`,
		"reverse":             `trigger.reverse().reverse().reverse()`,
		"upper":               `lists.range(1000).map(x, trigger.upperAscii())`,
		"quote":               `strings.quote(strings.quote(strings.quote(trigger)))`,
		"substring in loop":   `lists.range(100000).all(x, trigger.substring(x) != "")`,
		"contains in loop":    `lists.range(100000).all(x, trigger.contains("b"))`,
		"convert in loop":     `lists.range(100000).all(x, type(trigger) == string && string(trigger) != "")`,
		"slice in loop":       `lists.range(100000).all(x, input.slice(0, 1000000).size() > 0)`,
		"concat lists":        `lists.range(100000).all(x, (input + input).size() > 0)`,
		"sets through lists":  `lists.range(1000).all(x, sets.intersects(lists.range(1000), [x]))`,
		"string of wide loop": `item.a.map(x, json.format(x)).join(",").size()`,
	}
	// These are hard to read rather than to run.
	for name, source := range map[string]string{
		"sum":         "1" + strings.Repeat("+1", 2000),
		"text sum":    `string(index)` + strings.Repeat(`+"a"`, 1000),
		"negations":   strings.Repeat("!", 4000) + "true",
		"minus signs": strings.Repeat("-", 4000) + "1",
		"conditions":  strings.Repeat("true?1:", 580) + "1",
		"selections":  "input" + strings.Repeat(".a", 2000),
		"indices":     "input" + strings.Repeat("[0]", 1300),
		"and or":      "true" + strings.Repeat("&&true||false", 300),
		"loops":       strings.Repeat("[1].map(x,", 28) + "1" + strings.Repeat(")", 28),
		"all loops":   strings.Repeat("[1].exists_one(x,", 28) + "true" + strings.Repeat(")", 28),
		"sortings":    "[1]" + strings.Repeat(".sortBy(x,-x)", 28),
		"inner sorts": strings.Repeat("[1].sortBy(x,", 28) + "1" + strings.Repeat(")[0]", 28),
		"greatest":    strings.Repeat("math.greatest(1,", 28) + "1" + strings.Repeat(")", 28),
		"optionals":   "optional.of(1)" + strings.Repeat(".optMap(x,x)", 300),
		"brackets":    strings.Repeat("[", 4000),
		"braces":      strings.Repeat("{1:", 1000),
		"parentheses": strings.Repeat("(", 2000) + strings.Repeat(")", 2000),
		"quotes":      strings.Repeat(`"`, 4001),
		"nothing":     strings.Repeat(" \n", 1300),
		"list":        "[" + strings.Repeat("[],", 1300) + "[]]",
		"equal lists": strings.Repeat("[", 28) + strings.Repeat("]", 28) + "==" + strings.Repeat("[", 28) + strings.Repeat("]", 28),
	} {
		tests["source of "+name] = source
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			program, err := env.Compile(source, expr.Any)
			if took := time.Since(start); took > time.Minute {
				t.Errorf("compiling took %v", took)
			}
			if err != nil {
				t.Logf("%v: fault: %.100v", time.Since(start), err)
				return
			}
			value, err := program.Value(scope)
			took := time.Since(start)
			t.Logf("%v: %d bytes, %.100v", took, len(value), err)
			if err != nil && gathering.KindOf(err) == gathering.KindInternal {
				t.Errorf("internal error: %v", err)
			}
			if len(value) > gathering.MaxValueBytes {
				t.Errorf("got %d bytes", len(value))
			}
			if took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

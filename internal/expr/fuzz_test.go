package expr_test

import (
	"encoding/json"
	"testing"

	"gathering"
	"gathering/internal/expr"
)

// FuzzCompile compiles and runs whatever it is given. Nothing may panic, and
// every result is a value that may be stored.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`nodes.grade.output.priority >= vars.threshold`, `input.tags.map(t, t + "!").join(",")`, `input.?x.orValue({"a": [1, 2.5]})`,
		`"}}" + '\'' + r"\" + """a"b"""`, `1/0`, `secrets.TOKEN`, `timestamp(input.when) - duration("1h")`, `item.id == 1 ? error : run`,
		`[1].map(x, [x, x]).map(x, [x, x])`, `json.parse(json.format(input))`, `a.b.c`, `"\ud800"`, `b"\xff"`, `has(input.a.b)`, `{1: {}}`,
		`lists.range(10).sortBy(x, -x)`, `"%s%d%f".format([input, 1, 2.0])`, `optional.of(1).optMap(x, x + 1)`, `type(type(1))`, "1 //\n", `-(-9223372036854775808)`,
	} {
		f.Add(seed)
	}
	env, scope := testEnv(), testScope()
	f.Fuzz(func(t *testing.T, source string) {
		program, err := env.Compile(source, expr.Any)
		if err != nil {
			return
		}
		value, err := program.Value(scope)
		if err != nil {
			if gathering.KindOf(err) == gathering.KindInternal {
				t.Errorf("internal error: %v", err)
			}
			return
		}
		if err := gathering.CheckJSON("value", value); err != nil {
			t.Errorf("%q gave %q: %v", source, value, err)
		}
	})
}

// FuzzTemplate compiles and renders whatever JSON it is given.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		`"${{ input.text }}"`, `{"a": ["x ${{ input }} y", "$${{", "${{ '}}' }}"]}`, `"${{"`, `"${{ {'a': {'b': 1}}}}"`, `"\u0024{{ 1 }}"`,
		`"${{ r'\\' }}"`, `"${{ \"\"\"a\"b\"\"\" }}"`, `[[[["${{ index }}"]]]]`, `{"${{": "}}"}`, `"\ud83d${{ '' }}\ude00"`, `"${{ input.wide }}${{ 1e300 }}"`, `1e400`, ` "a" `,
	} {
		f.Add([]byte(seed))
	}
	env, scope := testEnv(), testScope()
	f.Fuzz(func(t *testing.T, value []byte) {
		template, faults := env.Template(value)
		if len(faults) > 0 {
			return
		}
		rendered, err := template.Render(scope)
		if err != nil {
			if gathering.KindOf(err) == gathering.KindInternal {
				t.Errorf("internal error: %v", err)
			}
			return
		}
		if !json.Valid(rendered) {
			t.Errorf("%q gave %q", value, rendered)
		}
		if gathering.CheckJSON("template", value) == nil {
			if err := gathering.CheckJSON("rendered", rendered); err != nil {
				t.Errorf("%q gave %q: %v", value, rendered, err)
			}
		}
	})
}

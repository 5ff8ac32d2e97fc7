package expr_test

import (
	"encoding/json"
	"strings"
	"testing"

	"gathering/internal/expr"
)

// TestPatterns uses patterns as pipelines do, which is no more work than
// allowed.
func TestPatterns(t *testing.T) {
	t.Parallel()
	env := &expr.Env{Vars: map[string]json.RawMessage{"pattern": nil}}
	scope := &expr.Scope{
		Input: json.RawMessage(`"` + strings.Repeat("the quick brown fox ", 100_000) + `"`),
		Vars:  map[string]json.RawMessage{"pattern": json.RawMessage(`"^[\\p{L} 0-9]{1,5}$"`)},
	}
	tests := map[string]struct{ source, want string }{
		"constant":            {`"abc".matches("^a.c$")`, `true`},
		"as a function":       {`matches("abc", "^a.d$")`, `false`},
		"computed":            {`"abc".matches("^" + "a" + ".c$")`, `true`},
		"empty":               {`"".matches("")`, `true`},
		"constant in a loop":  {`lists.range(50000).all(x, string(x).matches("^[0-9]{1,5}$"))`, `true`},
		"computed in a loop":  {`lists.range(5000).all(x, string(x).matches(vars.pattern))`, `true`},
		"on a large text":     {`input.matches("(?i)error|warning|fatal")`, `false`},
		"literal":             {`lists.range(10).all(x, !input.matches("no such words in this text"))`, `true`},
		"absorbed":            {`input.matches("x.{900}y") || input.matches("fox")`, `true`},
		"unused":              {`false && input.matches("x.{900}y")`, `false`},
		"of the largest size": {`"a".matches("a{998}")`, `false`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(test.source, expr.Bool)
			if err != nil {
				t.Fatal(err)
			}
			got, err := program.Value(scope)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

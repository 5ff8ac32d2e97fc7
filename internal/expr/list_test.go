package expr_test

import (
	"encoding/json"
	"testing"

	"gathering/internal/expr"
)

func TestListsOfInput(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, source, want string }{
		{"slice", "input.slice(1, 3)", `["b",{"c":3}]`},
		{"reverse", "input.reverse()", `[4,{"c":3},"b",1]`},
		{"slice of what was filtered", "input.filter(x, x != 1).slice(0, 1)", `["b"]`},
		{"reverse of a slice", "input.slice(0, 2).reverse()", `["b",1]`},
		{"join of a slice", "input.slice(1, 2).join('-')", `"b"`},
		{"sort", "input.slice(0, 1).sort()", `[1]`},
		{"distinct", "(input + input).distinct()", `[1,"b",{"c":3},4]`},
		{"flatten", "[input, [5]].flatten().size()", `5`},
		{"first", "input.first().orValue(0)", `1`},
		{"sum", "input.filter(x, type(x) == int).sum()", `5`},
		{"sum of fractions", "[1, 0.5].sum()", `1.5`},
		{"sum of nothing", "[].sum()", `0`},
		{"last", "input.last().orValue(0)", `4`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, err := (&expr.Env{}).Compile(test.source, expr.Any)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Value(&expr.Scope{Input: json.RawMessage(`[1,"b",{"c":3},4]`)})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

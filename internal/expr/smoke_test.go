package expr_test

import (
	"encoding/json"
	"testing"

	"gathering/internal/expr"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	env := &expr.Env{Nodes: []string{"a"}, InputSchema: json.RawMessage(`{"properties":{"text":{"type":"string"},"n":{"type":"integer"},"x":{"type":"number"}}}`), Vars: map[string]json.RawMessage{"threshold": json.RawMessage("7")}}
	scope := &expr.Scope{
		Input: json.RawMessage(`{"text":"hi\u0000","n":7.0,"x":3,"big":123456789012345678901234567890,"list":[1,2,{"a":"b"}]}`),
		Vars:  map[string]json.RawMessage{"threshold": json.RawMessage("7")},
		Node: func(string) (expr.Node, bool) {
			return expr.Node{Output: json.RawMessage(`{"n": 7.5, "s":"x", "i": 3}`)}, true
		},
	}
	for _, src := range []string{"input.big", "input.text", "nodes.a.output.n >= 7", "nodes.a.output.n * 2", "nodes.a.output.i + 0.5", "input.text + '!'", "input.n + 1", "input.x + 1.5",
		"[input.big, 1]", "input.big + 1", "1 + input.big", "input.list[2].a", "input.lst", "input.?lst.orValue(3)", "has(input.text)", "has(input.foo)", "input.list.map(x, x)", "run.id", "nodes.b.output", "vars.thresold", "nodes.a.output.n >= vars.threshold",
		"input.text + 1", "1 +", "foo(1)", "lists.range(3)", "json.parse('{\"a\":1e400}')", "json.format(input.list)", "math.greatest(1,2)", "nodes.a.output.z.y", "input.list.sort()", "'a,b'.split(',')", "timestamp('2020-01-01T00:00:00Z') + duration('1h')", "size(nodes)", "input.list[9]", "{'a': input.list}", "input.list.filter(x, type(x) == int).map(x, x * 1.5)", "input == {'a':1}",
		"string(input.big)", "double(input.big)", "input.list == [1,2,{'a':'b'}]", "b'abc'", "duration('90s')", "null", "1.0/0.0", "1/0", "secrets.X", "item", "error", "string(nodes.a.output)", "input.list.join('')"} {
		p, err := env.Compile(src, expr.Any)
		if err != nil {
			t.Logf("%-40s FAULT %v", src, err)
			continue
		}
		v, err := p.Value(scope)
		t.Logf("%-40s %s %v", src, v, err)
	}
	tpl, faults := env.Template(json.RawMessage(`{"a": ["x ${{ input.text }} y ${{ nodes.a.output }}", "${{ input.big }}", "$${{ x }} ${{ '}}' + '\\'' }} ${{ {'a': {'b': 1}} }}"], "b": 1e400}`))
	t.Log(faults)
	if tpl != nil {
		v, err := tpl.Render(scope)
		t.Logf("%s %v", v, err)
	}
}

package expr_test

import (
	"testing"

	"gathering/internal/expr"
)

func TestItem(t *testing.T) {
	t.Parallel()
	env := &expr.Env{Item: "url"}
	scope := &expr.Scope{Item: raw(`{"host": "a", "n": 1.0}`), Index: 2}
	for _, test := range []struct{ source, want, fault, err string }{
		{source: `url`, want: `{"host": "a", "n": 1.0}`},
		{source: `url.host + string(index)`, want: `"a2"`},
		{source: `url.n`, want: `1.0`},
		{source: `[1].map(x, x + index)`, want: `[3]`},
		{source: `url.port`, err: `url has no "port"; test it with has(url.port) or give a default with url.?port.orValue(…)`},
		{source: `url.host.port`, err: `url.host is a string, so it has no "port"; give a default with url.host.?port.orValue(…)`},
		{source: `item`, fault: `there is no item here; in scope: index, input, run, trigger, url, vars, nodes.ID.output`},
		{source: `[1].map(url, url)`, fault: `url is a name in scope already; call the loop's variable something else`},
	} {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			program, err := env.Compile(test.source, expr.Any)
			if got := text(err); got != test.fault {
				t.Fatalf("fault %q, want %q", got, test.fault)
			}
			if err != nil {
				return
			}
			got, err := program.Value(scope)
			if want := test.err; string(got) != test.want || want != "" && text(err) != want+" (in the expression "+test.source+")" {
				t.Errorf("got %s, %v, want %s%s", got, err, test.want, want)
			}
		})
	}
}

func TestQueued(t *testing.T) {
	t.Parallel()
	const unknown = "of a run that has not begun, only run.project is known"
	env := &expr.Env{Queued: true}
	for source, want := range map[string]string{
		`run.project`:      "",
		`run["project"]`:   "",
		`input.a`:          "",
		`trigger.kind`:     "",
		`run.id`:           unknown,
		`run`:              unknown,
		`string(run)`:      unknown,
		`run.started_at`:   unknown,
		`nodes.a.output`:   "no node is upstream of here, so there is nothing in nodes",
		`has(run.project)`: "",
		`item`:             "item exists only inside a map's do",
	} {
		_, err := env.Compile(source, expr.Any)
		if got := text(err); got != want {
			t.Errorf("%s: fault %q, want %q", source, got, want)
		}
	}
}

func TestTaken(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"item": false, "url": false, "file": false, "i": false, "size": false, "math": false,
		"input": true, "vars": true, "nodes": true, "run": true, "trigger": true, "index": true, "error": true, "secrets": true,
		"in": true, "for": true, "string": true, "int": true, "type": true, "map": true, "google": true, "null": true,
	} {
		if got := expr.Taken(name); got != want {
			t.Errorf("Taken(%q) = %t, want %t", name, got, want)
		}
		if want {
			continue
		}
		if _, err := (&expr.Env{Item: name}).Compile(name+" == 1 && size([math.abs("+name+")]) == 1", expr.Bool); err != nil {
			t.Errorf("an item called %s: %v", name, err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

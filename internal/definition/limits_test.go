package definition_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gathering/internal/definition"
)

// TestLimits holds that what is too much is refused, by name and quickly.
func TestLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		want       definition.Fault
	}{
		{
			"file", "name: big\ndescription: " + strings.Repeat("x", definition.MaxDocumentBytes),
			definition.Fault{Line: 1, Problem: "the file is over 1 MiB"},
		},
		{
			"stored form", "name: big\nvars: {a: \"" + strings.Repeat(`\a`, 300_000) + "\"}\nnodes: {start: {kind: trigger}}",
			definition.Fault{Line: 1, Problem: "its stored form is over 1 MiB"},
		},
		{
			"aliased bytes", "name: big\nvars:\n  a: &a " + strings.Repeat("x", 100_000) + "\n  b: [*a" + strings.Repeat(", *a", 20) + "]\n",
			definition.Fault{Line: 4, Problem: "the aliases of the file stand for too much"},
		},
		{
			"depth in YAML", "name: deep\nvars:\n  a: " + strings.Repeat("[", 80) + strings.Repeat("]", 80),
			definition.Fault{Line: 3, Problem: "is nested too deeply"},
		},
		{
			"depth of blocks", "name: deep\nvars:\n  - " + strings.Repeat("- ", 5000) + "x",
			definition.Fault{Line: 3, Problem: "is nested too deeply"},
		},
		{
			"depth in JSON", `{"name": "deep", "vars": {"a": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}}",
			definition.Fault{Path: "vars.a" + strings.Repeat("[0]", 63), Line: 1, Problem: "is nested too deeply"},
		},
		{
			"nodes", "name: many\nnodes:\n  start: {kind: trigger}\n" + repeat(500, "  n%d: {kind: parallel, needs: [start]}\n"),
			definition.Fault{Path: "nodes", Line: 2, Problem: "has more than 500 nodes"},
		},
		{
			"edges", dense(120),
			definition.Fault{Path: "edges", Line: 1, Problem: "there are more than 5000 edges"},
		},
		{
			"expressions", "name: many\nnodes:\n  start: {kind: trigger}\n  set:\n    kind: transform\n    needs: [start]\n    set:\n" +
				repeat(5001, "      n%d: ${{ 1 }}\n"),
			definition.Fault{Line: 1, Problem: "holds more than 5000 expressions"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := checker().Load([]byte(test.file))
			faults, _ := errors.AsType[definition.Faults](err)
			for _, f := range faults {
				got := f
				got.Remedy = ""
				if got == test.want {
					if took := time.Since(start); took > time.Minute {
						t.Errorf("it took %s", took)
					}
					return
				}
			}
			t.Errorf("Load = %.500v, want %v", err, test.want)
		})
	}
}

// TestBombs holds that no small file costs much. The bound on time leaves room
// for a busy machine; a bomb that goes off takes hours.
func TestBombs(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("x, ", 9) + "x"
	tests := map[string]string{
		"aliases of aliases": "a: &a [" + wide + "]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\n" +
			"d: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e, *e, *e]",
		"many aliases":        "a: &a x\nb: [" + strings.Repeat("*a, ", 50_000) + "*a]",
		"an alias as its key": "a: &a {*a : *a}",
		"keys":                "{" + strings.Repeat("? ", 100_000),
		"flows":               strings.Repeat("{a: [", 100_000),
		"anchors":             strings.Repeat("&a ", 100_000),
		"cycles":              complete(70),
		"wrong needs":         "name: x\nnodes:\n" + repeat(499, "  node_with_a_long_name_%d: {kind: parallel, needs: [node_with_a_logn_naem_, b, c, d, e, f, g, h, i, j]}\n"),
		"wrong fields":        "name: x\nnodes: {a: {kind: trigger" + repeat(10_000, ", field_number_%d: 1") + "}}",
		"dots":                "name: x\nvars: {" + strings.Repeat("a.", 400_000) + ": 1}",
		"quotes":              strings.Repeat(`"`, 500_000),
		"colons":              strings.Repeat("a: ", 300_000),
		"comments":            strings.Repeat("#\n", 500_000) + "name: x",
		"empty":               "",
		"a mark":              "\ufeff",
		"not UTF-8":           "name: \xff\xfe",
		"UTF-16":              "\xff\xfen\x00a\x00",
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := checker().Load([]byte(file))
			if faults, ok := errors.AsType[definition.Faults](err); !ok || len(faults) == 0 || len(faults) > 1000 {
				t.Errorf("Load = %.300v, want faults", err)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// repeat writes a pattern for the numbers from 1 to n.
func repeat(n int, pattern string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, pattern, i+1)
	}
	return b.String()
}

// dense is a definition in which every node needs all those before it.
func dense(n int) string {
	return "name: dense\nnodes:\n  n0: {kind: trigger}\n" + graph(n, func(i int) int { return i })
}

// complete is a definition in which every node needs all.
func complete(n int) string {
	return "name: complete\nnodes:\n  n0: {kind: trigger}\n" + graph(n, func(int) int { return n })
}

func graph(n int, needs func(i int) int) string {
	var b strings.Builder
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "  n%d: {kind: parallel, needs: [n0", i)
		for j := 1; j < needs(i); j++ {
			fmt.Fprintf(&b, ", n%d", j)
		}
		b.WriteString("]}\n")
	}
	return b.String()
}

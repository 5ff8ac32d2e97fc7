package expr_test

import (
	"encoding/json"
	"strings"
	"testing"

	"gathering/internal/expr"
)

func benchmarkEnv() *expr.Env {
	return &expr.Env{
		Nodes:       []string{"fetch", "grade"},
		Vars:        map[string]json.RawMessage{"threshold": json.RawMessage("7")},
		InputSchema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"},"count":{"type":"integer"}}}`),
	}
}

func benchmarkScope() *expr.Scope {
	output := json.RawMessage(`{"priority": 8, "reason": "it is late", "tags": ["a", "b", "c"], "by": {"name": "Ada", "id": 12345678901234567890}}`)
	return &expr.Scope{
		Input: json.RawMessage(`{"text": "` + strings.Repeat("some text ", 20) + `", "count": 3}`),
		Vars:  map[string]json.RawMessage{"threshold": json.RawMessage("7")},
		Node:  func(string) (expr.Node, bool) { return expr.Node{Output: output, State: "completed"}, true },
		Run:   expr.Run{ID: "run_1"},
	}
}

func BenchmarkNewEnv(b *testing.B) {
	for b.Loop() {
		if _, err := benchmarkEnv().Compile("input.text", expr.Any); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for name, source := range map[string]string{
		"path":       "nodes.grade.output.by.name",
		"comparison": "nodes.grade.output.priority >= vars.threshold",
		"loop":       `nodes.grade.output.tags.filter(tag, tag != "b").map(tag, tag + "!").size() > 1 && input.count < 5`,
	} {
		b.Run(name, func(b *testing.B) {
			env := benchmarkEnv()
			for b.Loop() {
				if _, err := env.Compile(source, expr.Any); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBool(b *testing.B) {
	for name, source := range map[string]string{
		"constant":   "true",
		"path":       "nodes.grade.output.by.name == input.text",
		"comparison": "nodes.grade.output.priority >= vars.threshold",
		"two":        `nodes.grade.output.priority >= vars.threshold && nodes.grade.state == "completed"`,
		"loop":       `nodes.grade.output.tags.filter(tag, tag != "b").map(tag, tag + "!").size() > 1 && input.count < 5`,
	} {
		b.Run(name, func(b *testing.B) {
			program, err := benchmarkEnv().Compile(source, expr.Bool)
			if err != nil {
				b.Fatal(err)
			}
			scope := benchmarkScope()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := program.Bool(scope); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValue(b *testing.B) {
	program, err := benchmarkEnv().Compile("nodes.grade.output.by.name", expr.Any)
	if err != nil {
		b.Fatal(err)
	}
	scope := benchmarkScope()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := program.Value(scope); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	template, faults := benchmarkEnv().Template(json.RawMessage(`{
		"method": "POST", "url": "https://example.com/${{ nodes.grade.output.by.id }}",
		"body": {"text": "${{ input.text }}", "why": "because ${{ nodes.grade.output.reason }}", "run": "${{ run.id }}", "tags": "${{ nodes.grade.output.tags }}"}}`))
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	scope := benchmarkScope()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := template.Render(scope); err != nil {
			b.Fatal(err)
		}
	}
}

package expr_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/expr"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, template, want string }{
		{"constant", `{"a": [1.50, "x\u0000", null]}`, `{"a": [1.50, "x\u0000", null]}`},
		{"nothing", ``, `null`},
		{"whole number", `"${{ input.wide }}"`, `123456789012345678901234567890`},
		{"whole object", `{"body": "${{ nodes.grade.output.list }}"}`, `{"body":[ 1 , {"b": 2} ]}`},
		{"whole with space", `"${{input.count}}"`, `7.0`},
		{"space outside is text", `" ${{ input.count }}"`, `" 7.0"`},
		{"string in text", `"<${{ input.text }}>"`, `"<hi\u0000 \"you\">"`},
		{"number in text", `"n=${{ nodes.grade.output.spelled }}"`, `"n=1.50"`},
		{"bool in text", `"${{ input.urgent }}!"`, `"true!"`},
		{"null in text", `"[${{ nodes.skipped.output }}]"`, `"[]"`},
		{"list in text", `"${{ nodes.grade.output.list }} done"`, `"[1,{\"b\":2}] done"`},
		{"timestamp in text", `"at ${{ run.started_at }}"`, `"at 2026-01-02T03:04:05Z"`},
		{"duration in text", `"for ${{ duration('90s') }}"`, `"for 1m30s"`},
		{"computed in text", `"${{ input.text + '\\n' }}|"`, `"hi\u0000 \"you\"\n|"`},
		{"several", `["${{ input.count }}", "${{ index }}-${{ index }}", 5]`, `[7.0,"3-3",5]`},
		{"escape", `"$${{ input.text }}"`, `"${{ input.text }}"`},
		{"escape and expression", `"$${{ x }} ${{ index }}"`, `"${{ x }} 3"`},
		{"dollar before escape", `"$$${{ x }}"`, `"$${{ x }}"`},
		{"braces without dollar", `"{{ x }} $ {{ y }}"`, `"{{ x }} $ {{ y }}"`},
		{"keys are no templates", `{"${{ x }}": "${{ index }}"}`, `{"${{ x }}":3}`},
		{"escaped keys stay", `{"a\u0062": "${{ index }}"}`, `{"a\u0062":3}`},
		{"braces in a string", `"${{ 'a}}b' }}"`, `"a}}b"`},
		{"braces in double quotes", `"${{ \"a}}b\" }}"`, `"a}}b"`},
		{"escaped quote", `"${{ 'a\\'}}b' }}"`, `"a'}}b"`},
		{"raw string", `"${{ r'\\' }}|${{ R\"}}\" }}"`, `"\\|}}"`},
		{"triple quotes", `"${{ '''it's }} ok''' }}"`, `"it's }} ok"`},
		{"bytes", `"${{ b'}}' }}"`, `"fX0="`},
		{"identifier before quote", `"${{ [index, 'r}}'] }}"`, `[3,"r}}"]`},
		{"object", `"${{ {'a': {'b': 1}} }}"`, `{"a":{"b":1}}`},
		{"object without space", `"${{{'a': {'b': 1}}}}"`, `{"a":{"b":1}}`},
		{"comment", `"${{ index // don't }} ok"`, `"3 ok"`},
		{"lines", `"${{ index +\n 1 }}"`, `4`},
		{"written with escapes", `"\u0024{{ index }}\u007d"`, `"3}"`},
		{"escaped start", `"\u0024\u007b\u007b index \u007d\u007d"`, `3`},
		{"not ASCII", `"ü ${{ 'é😀' }} ß"`, `"ü é😀 ß"`},
	}
	env, scope := testEnv(), testScope()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			template, faults := env.Template(raw(test.template))
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			got, err := template.Render(scope)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if !json.Valid(got) {
				t.Errorf("%s is not JSON", got)
			}
		})
	}
}

func TestTemplateFaults(t *testing.T) {
	t.Parallel()
	const unclosed = "a ${{ is not closed by }}; close it, or write $${{ for the characters themselves"
	tests := []struct {
		name, template string
		want           []expr.Fault
	}{
		{"not JSON", `{`, []expr.Fault{{Message: "this is not valid JSON"}}},
		{"unclosed", `"${{ index"`, []expr.Fault{{Message: unclosed}}},
		{"closed in a string", `"${{ 'a }}"`, []expr.Fault{{Message: unclosed}}},
		{"closed in an object", `"${{ {'a': 1 }}"`, []expr.Fault{{Message: unclosed}}},
		{"empty", `{"a": "${{ }}"}`, []expr.Fault{{Path: "a", Message: "the expression is empty"}}},
		{"all at once", `{"url": "${{ 1 + }}", "body": {"list": [0, "a ${{ nodes.x.output }} b ${{ vars.y }}"]}, "odd key": "${{ x"}`, []expr.Fault{
			{Path: "url", Message: "column 4: the expression ends too early"},
			{Path: "body.list[1]", Message: "nodes.x is not upstream of here; upstream: grade, fetch, skipped"},
			{Path: "body.list[1]", Message: "vars.y is not declared; declared: a-b, threshold"},
			{Path: "odd key", Message: unclosed},
		}},
	}
	env := testEnv()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, faults := env.Template(raw(test.template))
			if diff := cmp.Diff(test.want, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	env := testEnv()
	tests := []struct{ name, template, want string }{
		{"missing", `{"a": "${{ input.nothing }}"}`, `input has no "nothing"`},
		{"too deep", strings.Repeat("[", 60) + `"${{ input.deep }}"` + strings.Repeat("]", 60), "nested too deeply"},
	}
	scope := &expr.Scope{Input: raw(`{"deep": [[[[[[[[1]]]]]]]]}`)}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			template, faults := env.Template(raw(test.template))
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			_, err := template.Render(scope)
			if gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

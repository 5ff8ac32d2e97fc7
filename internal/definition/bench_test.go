package definition_test

import (
	"fmt"
	"strings"
	"testing"

	"gathering/internal/definition"
)

// chain is a definition of n nodes, each of which looks back at some of those
// before it.
func chain(n int) []byte {
	var b strings.Builder
	b.WriteString("name: chain\nvars: {limit: 7}\ninput_schema: {type: object, properties: {text: {type: string}}}\nnodes:\n  n0: {kind: trigger}\n")
	for i := 1; i < n; i++ {
		before := fmt.Sprintf("n%d", i-1)
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "  n%d: {kind: condition, needs: [%s], when: \"nodes.%s.output.n > vars.limit\"}\n", i, before, before)
		case 1:
			fmt.Fprintf(&b, "  n%d: {kind: agent, needs: [%s], agent: stored, task: \"Look at ${{ nodes.%s.output }} and ${{ input.text }}\"}\n", i, before, before)
		case 2:
			fmt.Fprintf(&b, "  n%d: {kind: tool, needs: [%s], tool: http.request, with: {method: GET, url: \"https://example.com/${{ nodes.n%d.output.id }}\"}}\n", i, before, i/2)
		default:
			fmt.Fprintf(&b, "  n%d: {kind: transform, needs: [%s], set: {a: \"${{ nodes.%s.output }}\", b: [1, 2]}}\n", i, before, before)
		}
	}
	b.WriteString("output: \"${{ nodes.n1.output }}\"\n")
	return []byte(b.String())
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{5, 50, definition.MaxNodes} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			data, c := chain(n), checker()
			for b.Loop() {
				if _, err := c.Load(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	def, err := checker().Load(chain(definition.MaxNodes))
	if err != nil {
		b.Fatal(err)
	}
	document, err := definition.Encode(def)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := definition.Decode(document); err != nil {
			b.Fatal(err)
		}
	}
}

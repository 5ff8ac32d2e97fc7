package breaker_test

import (
	"encoding/json"
	"testing"

	"gathering/internal/breaker"
	"gathering/internal/tool"
)

// TestRepeatableTools holds that a tool behind its breaker says of its calls
// what it says without.
func TestRepeatableTools(t *testing.T) {
	t.Parallel()
	r := breaker.New(breaker.Options{})
	for name, made := range map[string]tool.Tool{"guarded": r.Guarded(&counting{}), "switched": r.Switched(&counting{})} {
		for arguments, want := range map[string]bool{`"again"`: true, `{}`: false} {
			if got := made.Repeatable(json.RawMessage(arguments)); got != want {
				t.Errorf("%s, %s: got %t, want %t", name, arguments, got, want)
			}
		}
	}
}

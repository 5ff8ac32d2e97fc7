package gathering_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
)

// A delta goes to clients as it is: its form is what they rely on.
func TestDeltaJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)
	tests := []struct {
		name  string
		delta gathering.Delta
		want  string
	}{
		{
			"the least",
			gathering.Delta{Type: gathering.DeltaTyping, Stream: "cnv_1", At: at},
			`{"type":"delta.typing","stream":"cnv_1","at":"2026-01-02T03:04:05.000678Z"}`,
		},
		{
			"everything",
			gathering.Delta{
				Type: gathering.DeltaText, Stream: "run_1", Node: "a", Item: new(0), Attempt: 2, Key: "turn/1", At: at,
				Data: json.RawMessage(`{"text":"x"}`),
			},
			`{"type":"delta.text","stream":"run_1","node":"a","item":0,"attempt":2,"key":"turn/1",` +
				`"at":"2026-01-02T03:04:05.000678Z","data":{"text":"x"}}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(test.delta)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(got), test.want; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			var back gathering.Delta
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.delta, back); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

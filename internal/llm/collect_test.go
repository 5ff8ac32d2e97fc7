package llm_test

import (
	"slices"
	"testing"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/llm"
)

func TestCollect(t *testing.T) {
	t.Parallel()
	want := &fantasy.Response{
		Content: fantasy.ResponseContent{
			fantasy.ReasoningContent{Text: "Hm."},
			fantasy.TextContent{Text: "One."},
			fantasy.ToolCallContent{ToolCallID: "1", ToolName: "look", Input: "{}"},
			fantasy.ReasoningContent{Text: "So."},
			fantasy.TextContent{Text: "Two."},
		},
		FinishReason: fantasy.FinishReasonToolCalls, Usage: fantasy.Usage{InputTokens: 3},
		Warnings: []fantasy.CallWarning{{Message: "careful"}},
	}
	var seen int
	got, err := llm.Collect(llm.StreamOf(want), func(fantasy.StreamPart) { seen++ })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := 14; seen != want {
		t.Errorf("saw %d parts, want %d", seen, want)
	}
	parts := slices.Collect(llm.StreamOf(want))
	for n := range len(parts) {
		if _, err := llm.Collect(slices.Values(parts[:n]), nil); gathering.KindOf(err) != gathering.KindUnavailable {
			t.Errorf("of %d of %d parts: got %v, want unavailable", n, len(parts), err)
		}
	}
}

// TestCollectInterleaved holds that blocks which grow at the same time stay apart.
func TestCollectInterleaved(t *testing.T) {
	t.Parallel()
	part := func(kind fantasy.StreamPartType, id, delta string) fantasy.StreamPart {
		return fantasy.StreamPart{Type: kind, ID: id, Delta: delta}
	}
	got, err := llm.Collect(slices.Values([]fantasy.StreamPart{
		part(fantasy.StreamPartTypeTextStart, "0", ""), part(fantasy.StreamPartTypeReasoningStart, "0", ""),
		part(fantasy.StreamPartTypeTextDelta, "0", "a"), part(fantasy.StreamPartTypeReasoningDelta, "0", "x"),
		part(fantasy.StreamPartTypeTextDelta, "1", "c"), part(fantasy.StreamPartTypeTextDelta, "0", "b"),
		part(fantasy.StreamPartTypeFinish, "", ""),
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := fantasy.ResponseContent{
		fantasy.TextContent{Text: "ab"}, fantasy.ReasoningContent{Text: "x"}, fantasy.TextContent{Text: "c"},
	}
	if diff := cmp.Diff(want, got.Content); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	p := llm.Price{Input: 1, Output: 1_000_000, CacheRead: 1, CacheWrite: 1 << 62}
	tests := map[string]struct {
		used fantasy.Usage
		want int64
	}{
		"nothing":                  {fantasy.Usage{}, 0},
		"the least is not nothing": {fantasy.Usage{InputTokens: 1}, 1},
		"rounded up once":          {fantasy.Usage{InputTokens: 1, OutputTokens: 2, CacheReadTokens: 1}, 3},
		"less than nothing":        {fantasy.Usage{InputTokens: -5, OutputTokens: -1}, 0},
		// 2³¹ tokens of each sort at most, at a thousand dollars per million at most.
		"no overflow": {
			fantasy.Usage{InputTokens: 1 << 62, OutputTokens: 1 << 62, CacheReadTokens: 1 << 62, CacheCreationTokens: 1 << 62},
			(2<<31+1_000_000<<31+1_000_000_000<<31)/1_000_000 + 1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := p.Cost(tt.used); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

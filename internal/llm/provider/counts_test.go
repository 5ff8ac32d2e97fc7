package provider_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"
)

// TestCountsOfStreams holds that what a server of OpenAI's format counts is
// known wherever in a stream it says so.
func TestCountsOfStreams(t *testing.T) {
	t.Parallel()
	const (
		text   = `{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]`
		finish = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`
		none   = `{"choices":[]`
		counts = `,"usage":{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107,` +
			`"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":5}}`
	)
	usual := fantasy.Usage{InputTokens: 60, OutputTokens: 7, ReasoningTokens: 5, CacheReadTokens: 40, TotalTokens: 107}
	plain := fantasy.Usage{InputTokens: 100, OutputTokens: 7, TotalTokens: 107}
	tests := map[string]struct {
		pieces []string
		want   fantasy.Usage
	}{
		"at the end":             {[]string{text, finish, none + counts}, usual},
		"before the end":         {[]string{text, finish, none + counts, none}, usual},
		"before an empty one":    {[]string{text, finish + counts, none + `,"usage":null`}, usual},
		"before one of nothing":  {[]string{text, finish + counts, none + `,"usage":{}`}, usual},
		"at the beginning":       {[]string{text + counts, finish}, usual},
		"with every piece":       {[]string{text + `,"usage":{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101}`, finish + counts}, usual},
		"without their sum":      {[]string{text, finish, none + `,"usage":{"prompt_tokens":100,"completion_tokens":7}`}, plain},
		"without details":        {[]string{text, finish + `,"usage":{"prompt_tokens":100,"completion_tokens":7,"prompt_tokens_details":null}`}, plain},
		"more cached than there": {[]string{text, finish + `,"usage":{"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":40}}`}, fantasy.Usage{CacheReadTokens: 40, TotalTokens: 40}},
		"never":                  {[]string{text, finish}, fantasy.Usage{}},
		"as no numbers":          {[]string{text, finish, none + `,"usage":[]`}, fantasy.Usage{}},
	}
	for _, d := range dialects()[:2] {
		for name, tt := range tests {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				var events []string
				for _, piece := range tt.pieces {
					events = append(events, "data: "+piece+"}")
				}
				s := serve(t, func(w http.ResponseWriter, _ *http.Request) { d.stream(w, append(events, "data: [DONE]")...) })
				got, err := streamed(t.Context(), model(t, s, d, nil), hello())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got.Usage); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestImpossibleCounts holds that no server makes a call have fewer tokens than
// none, or more than there are.
func TestImpossibleCounts(t *testing.T) {
	t.Parallel()
	const most = 1 << 31
	huge := map[string]struct {
		said string // Google's numbers have 32 bits
		want fantasy.Usage
	}{
		"compatible": {"9000000000000000000", fantasy.Usage{OutputTokens: most, CacheReadTokens: most, TotalTokens: most}},
		"openai":     {"9000000000000000000", fantasy.Usage{OutputTokens: most, CacheReadTokens: most, TotalTokens: most}},
		"anthropic": {"9000000000000000000", fantasy.Usage{
			InputTokens: most, OutputTokens: most, CacheReadTokens: most, CacheCreationTokens: most, TotalTokens: most,
		}},
		"google": {"2147483647", fantasy.Usage{
			OutputTokens: most, ReasoningTokens: most - 1, CacheReadTokens: most - 1, TotalTokens: most,
		}},
	}
	count := regexp.MustCompile(`("\w*[tT]oken\w*"):\d+`)
	forEach(t, func(t *testing.T, d dialect, w way) {
		for said, want := range map[string]fantasy.Usage{"-5": {}, huge[d.name].said: huge[d.name].want} {
			a := answer{text: "Hello"}
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept") == "text/event-stream" {
					d.stream(w, strings.Split(count.ReplaceAllString(strings.Join(d.events(a), "\n\n"), "$1:"+said), "\n\n")...)
					return
				}
				reply(w, count.ReplaceAllString(d.whole(a), "$1:"+said))
			})
			got, err := w.ask(t.Context(), model(t, s, d, nil), hello())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Usage); diff != "" {
				t.Errorf("%s (-want +got):\n%s", said, diff)
			}
		}
	})
}

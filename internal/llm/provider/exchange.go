package provider

import (
	"bytes"
	"context"
	"encoding/json"

	"charm.land/fantasy"
)

// exchange is one call on the wire. It watches the pieces of a stream for what
// the client libraries lose: whether the answer came to its end, and what
// Google counted. One goroutine at a time uses it, the one that reads.
type exchange struct {
	format Format
	stream bool

	line   []byte // the beginning of a line that has not come whole
	ended  bool   // the model said that it is done
	usage  googleUsage
	counts bool  // usage came
	fault  error // why the body ended before its end
}

type exchangeKey struct{}

// within returns a context in which requests belong to x.
func (x *exchange) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

func (x *exchange) accept() string {
	if x.stream {
		return "text/event-stream"
	}
	return "application/json"
}

// read looks at the next bytes of a stream of server-sent events.
func (x *exchange) read(data []byte) {
	for {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			x.line = append(x.line, data...)
			return
		}
		if len(x.line) > 0 {
			line = append(x.line, line...)
			x.line = x.line[:0]
		}
		if event, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			x.event(bytes.TrimSpace(event))
		}
		data = rest
	}
}

// event looks at one event. What cannot be read is for the library to refuse.
func (x *exchange) event(data []byte) {
	if x.format == FormatAnthropic {
		return // its library is strict about the end
	}
	if x.format == FormatGoogle {
		x.googleEvent(data)
		return
	}
	if bytes.Equal(data, []byte("[DONE]")) {
		x.ended = true
		return
	}
	var chunk struct {
		Choices []struct {
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
	}
	if json.Unmarshal(data, &chunk) != nil {
		return
	}
	for _, choice := range chunk.Choices {
		x.ended = x.ended || choice.FinishReason != ""
	}
}

// googlePiece is what a piece of Google's streams has beside its text.
type googlePiece struct {
	Candidates []struct {
		FinishReason string `json:"finishReason"` //nolint:tagliatelle // Google names it
	} `json:"candidates"`
	Usage *googleUsage `json:"usageMetadata"` //nolint:tagliatelle // Google names it
}

// googleUsage are Google's counts. Each piece of a stream has those up to it.
type googleUsage struct {
	Prompt   int64 `json:"promptTokenCount"`        //nolint:tagliatelle // Google names it; cached ones included
	Tools    int64 `json:"toolUsePromptTokenCount"` //nolint:tagliatelle // Google names it
	Answer   int64 `json:"candidatesTokenCount"`    //nolint:tagliatelle // Google names it; without thoughts
	Thoughts int64 `json:"thoughtsTokenCount"`      //nolint:tagliatelle // Google names it
	Cached   int64 `json:"cachedContentTokenCount"` //nolint:tagliatelle // Google names it
}

func (x *exchange) googleEvent(data []byte) {
	var chunk googlePiece
	if json.Unmarshal(data, &chunk) != nil {
		return
	}
	for _, candidate := range chunk.Candidates {
		x.ended = x.ended || candidate.FinishReason != ""
	}
	if now := chunk.Usage; now != nil {
		u := &x.usage
		u.Prompt, u.Tools = max(u.Prompt, now.Prompt), max(u.Tools, now.Tools)
		u.Answer, u.Thoughts = max(u.Answer, now.Answer), max(u.Thoughts, now.Thoughts)
		u.Cached = max(u.Cached, now.Cached)
		x.counts = true
	}
}

// whole reports whether the answer came to its end.
func (x *exchange) whole() bool { return x.ended || x.format == FormatAnthropic }

// counted makes used mean the same for every provider: input tokens beside the
// cached ones, output tokens with reasoning.
func (x *exchange) counted(used fantasy.Usage) fantasy.Usage {
	if x.format != FormatGoogle {
		return used
	}
	if x.counts {
		used = fantasy.Usage{
			InputTokens:     x.usage.Prompt + x.usage.Tools,
			OutputTokens:    x.usage.Answer,
			ReasoningTokens: x.usage.Thoughts,
			CacheReadTokens: x.usage.Cached,
		}
	}
	used.InputTokens = max(0, used.InputTokens-used.CacheReadTokens)
	used.OutputTokens += used.ReasoningTokens
	used.TotalTokens = used.InputTokens + used.CacheReadTokens + used.OutputTokens
	return used
}

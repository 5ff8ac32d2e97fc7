package provider

import (
	"bytes"
	"context"
	"encoding/json"
)

// exchange is one call on the wire. It watches the pieces of a stream for what
// the client libraries lose: whether the answer came to its end, and what the
// server counted. One goroutine at a time uses it, the one that reads.
type exchange struct {
	format Format
	stream bool

	line   []byte  // the beginning of a line that has not come whole
	ended  bool    // the model said that it is done
	counts *counts // nil: the library has them, or there are none
	fault  error   // why the body ended before its end
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
		Usage json.RawMessage `json:"usage"`
	}
	if json.Unmarshal(data, &chunk) != nil {
		return
	}
	for _, choice := range chunk.Choices {
		x.ended = x.ended || choice.FinishReason != ""
	}
	var usage *chatUsage
	if json.Unmarshal(chunk.Usage, &usage) == nil && usage != nil {
		x.count(usage.counts())
	}
}

// googlePiece is what a piece of Google's streams has beside its text.
type googlePiece struct {
	Candidates []struct {
		FinishReason string `json:"finishReason"` //nolint:tagliatelle // Google names it
	} `json:"candidates"`
	Usage *googleUsage `json:"usageMetadata"` //nolint:tagliatelle // Google names it
}

func (x *exchange) googleEvent(data []byte) {
	var chunk googlePiece
	if json.Unmarshal(data, &chunk) != nil {
		return
	}
	for _, candidate := range chunk.Candidates {
		x.ended = x.ended || candidate.FinishReason != ""
	}
	if usage := chunk.Usage; usage != nil {
		x.count(usage.counts())
	}
}

// whole reports whether the answer came to its end.
func (x *exchange) whole() bool { return x.ended || x.format == FormatAnthropic }

package llm

import (
	"slices"
	"strings"

	"charm.land/fantasy"

	"gathering"
)

// Collect reads a stream to its end and returns the response that it amounts
// to: what Generate would have returned. Each part is shown to see, if that is
// not nil, as soon as it comes. A stream that ends without its finish is an
// error of KindUnavailable, whatever came before: half an answer is none.
func Collect(stream fantasy.StreamResponse, see func(fantasy.StreamPart)) (*fantasy.Response, error) {
	c := collector{open: map[string]int{}}
	for part := range stream {
		if part.Error != nil {
			return nil, part.Error
		}
		if see != nil {
			see(part)
		}
		c.take(part)
		if part.Type == fantasy.StreamPartTypeFinish {
			return c.finish(part), nil
		}
	}
	return nil, errUnfinished(Origin{})
}

func errUnfinished(from Origin) error {
	return fault(gathering.KindUnavailable, from, "the answer broke off before its end", nil)
}

// block is a text or some reasoning that grows.
type block struct {
	text      strings.Builder
	reasoning bool
	metadata  fantasy.ProviderMetadata
	call      *fantasy.ToolCallContent // instead of a text
}

type collector struct {
	blocks   []*block
	open     map[string]int // by the kind and ID of what was begun last
	warnings []fantasy.CallWarning
}

func (c *collector) take(part fantasy.StreamPart) {
	switch part.Type {
	case fantasy.StreamPartTypeTextStart:
		c.begin("text/"+part.ID, part)
	case fantasy.StreamPartTypeTextDelta:
		c.add("text/"+part.ID, part)
	case fantasy.StreamPartTypeReasoningStart:
		c.begin("reasoning/"+part.ID, part)
	case fantasy.StreamPartTypeReasoningDelta, fantasy.StreamPartTypeReasoningEnd:
		c.add("reasoning/"+part.ID, part)
	case fantasy.StreamPartTypeToolCall:
		c.blocks = append(c.blocks, &block{call: &fantasy.ToolCallContent{
			ToolCallID: part.ID, ToolName: part.ToolCallName, Input: part.ToolCallInput, ProviderExecuted: part.ProviderExecuted,
		}})
	case fantasy.StreamPartTypeWarnings, fantasy.StreamPartTypeFinish:
		c.warnings = append(c.warnings, part.Warnings...)
	default: // how calls are written bit by bit, and what only some providers add
	}
}

func (c *collector) begin(key string, part fantasy.StreamPart) {
	c.open[key] = len(c.blocks)
	c.blocks = append(c.blocks, &block{reasoning: strings.HasPrefix(key, "reasoning/")})
	c.add(key, part)
}

func (c *collector) add(key string, part fantasy.StreamPart) {
	if _, ok := c.open[key]; !ok {
		c.open[key] = len(c.blocks)
		c.blocks = append(c.blocks, &block{reasoning: strings.HasPrefix(key, "reasoning/")})
	}
	b := c.blocks[c.open[key]]
	b.text.WriteString(part.Delta)
	if len(part.ProviderMetadata) > 0 {
		b.metadata = part.ProviderMetadata
	}
}

func (c *collector) finish(part fantasy.StreamPart) *fantasy.Response {
	response := &fantasy.Response{
		FinishReason: part.FinishReason, Usage: part.Usage, Warnings: c.warnings, ProviderMetadata: part.ProviderMetadata,
	}
	for _, b := range c.blocks {
		text := b.text.String()
		switch {
		case b.call != nil:
			response.Content = append(response.Content, *b.call)
		case b.reasoning && (text != "" || b.metadata != nil):
			response.Content = append(response.Content, fantasy.ReasoningContent{Text: text, ProviderMetadata: b.metadata})
		case !b.reasoning && text != "":
			response.Content = append(response.Content, fantasy.TextContent{Text: text, ProviderMetadata: b.metadata})
		}
	}
	return response
}

// StreamOf returns a whole response as a stream of few parts, for models that
// do not work piece by piece. [Collect] makes the same response of it.
func StreamOf(response *fantasy.Response) fantasy.StreamResponse {
	var parts []fantasy.StreamPart
	piece := func(start, delta, end fantasy.StreamPartType, text string, metadata fantasy.ProviderMetadata) {
		parts = append(parts, fantasy.StreamPart{Type: start, ID: "0"},
			fantasy.StreamPart{Type: delta, ID: "0", Delta: text},
			fantasy.StreamPart{Type: end, ID: "0", ProviderMetadata: metadata})
	}
	for _, content := range response.Content {
		if c, ok := fantasy.AsContentType[fantasy.TextContent](content); ok {
			piece(fantasy.StreamPartTypeTextStart, fantasy.StreamPartTypeTextDelta, fantasy.StreamPartTypeTextEnd, c.Text, c.ProviderMetadata)
		}
		if c, ok := fantasy.AsContentType[fantasy.ReasoningContent](content); ok {
			piece(fantasy.StreamPartTypeReasoningStart, fantasy.StreamPartTypeReasoningDelta, fantasy.StreamPartTypeReasoningEnd,
				c.Text, c.ProviderMetadata)
		}
		if c, ok := fantasy.AsContentType[fantasy.ToolCallContent](content); ok {
			parts = append(parts, fantasy.StreamPart{
				Type: fantasy.StreamPartTypeToolCall, ID: c.ToolCallID, ToolCallName: c.ToolName,
				ToolCallInput: c.Input, ProviderExecuted: c.ProviderExecuted,
			})
		}
	}
	parts = append(parts, fantasy.StreamPart{
		Type: fantasy.StreamPartTypeFinish, FinishReason: response.FinishReason, Usage: response.Usage,
		Warnings: response.Warnings, ProviderMetadata: response.ProviderMetadata,
	})
	return slices.Values(parts)
}

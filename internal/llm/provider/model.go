package provider

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"

	"charm.land/fantasy"
	"charm.land/fantasy/providers/google"

	"gathering/internal/llm"
)

// Anthropic wants a bound for every answer and takes a small one as it is.
const (
	usualOutput = 4096
	// maxStreamed and maxWhole bound what we ask for by ourselves; answers
	// that come whole must not take longer than connections live.
	maxStreamed = 32_000
	maxWhole    = 8192
)

// model makes the calls of a library bounded in time, whole or an error, and
// alike in what they count.
type model struct {
	fantasy.LanguageModel
	provider *Provider
	facts    llm.Facts
}

// Generate makes one turn.
func (m *model) Generate(ctx context.Context, call fantasy.Call) (*fantasy.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, m.provider.config.Timeout)
	defer cancel()
	x := &exchange{format: m.provider.config.Format}
	response, err := m.generate(x.within(ctx), m.prepared(call, maxWhole))
	switch {
	case x.fault != nil:
		return nil, x.fault
	case err != nil:
		return nil, err
	case len(response.Content) == 0 && (response.FinishReason == "" || response.FinishReason == fantasy.FinishReasonUnknown):
		return nil, unreadable("it holds none")
	}
	response.Usage = x.counted(response.Usage)
	for i, content := range response.Content {
		if reasoning, ok := fantasy.AsContentType[fantasy.ReasoningContent](content); ok {
			reasoning.ProviderMetadata = printable(reasoning.ProviderMetadata)
			response.Content[i] = reasoning
		}
	}
	return response, nil
}

func (m *model) generate(ctx context.Context, call fantasy.Call) (response *fantasy.Response, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = unreadable(r)
		}
	}()
	return m.LanguageModel.Generate(ctx, call)
}

// unreadable is the error of an answer that a library fell over.
func unreadable(r any) error { return fmt.Errorf("read answer: %v", r) }

// Stream makes one turn piece by piece. The request is made when the stream is
// read, which can be done once.
func (m *model) Stream(ctx context.Context, call fantasy.Call) (fantasy.StreamResponse, error) {
	return func(yield func(fantasy.StreamPart) bool) {
		ctx, cancel := context.WithTimeout(ctx, m.provider.config.Timeout)
		defer cancel()
		s := &stream{exchange: &exchange{format: m.provider.config.Format, stream: true}, yield: yield}
		err := m.each(s.exchange.within(ctx), m.prepared(call, maxStreamed), s.part)
		switch {
		case s.exchange.fault != nil:
			err = s.exchange.fault
		case errors.Is(err, bufio.ErrTooLong):
			err = errTooLong(m.provider.client.limit)
		}
		if err != nil && !s.over {
			yield(fantasy.StreamPart{Type: fantasy.StreamPartTypeError, Error: err})
		}
	}, nil
}

// each calls do with each part until it returns false. A panic of the library
// is an error; one of do goes on.
func (m *model) each(ctx context.Context, call fantasy.Call, do func(fantasy.StreamPart) (bool, error)) (err error) {
	within := true // the library
	defer func() {
		if !within {
			return
		}
		if r := recover(); r != nil {
			err = unreadable(r)
		}
	}()
	parts, err := m.LanguageModel.Stream(ctx, call)
	if err != nil {
		return err
	}
	for part := range parts {
		within = false
		goOn, err := do(part)
		within = true
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

// stream passes parts on.
type stream struct {
	exchange *exchange
	yield    func(fantasy.StreamPart) bool
	over     bool // nothing more is passed on
}

func (s *stream) part(part fantasy.StreamPart) (bool, error) {
	switch {
	case part.Error != nil:
		return false, part.Error
	case s.exchange.fault != nil:
		return false, s.exchange.fault
	case part.Type == fantasy.StreamPartTypeFinish && !s.exchange.whole():
		return false, fmt.Errorf("read stream: %w", io.ErrUnexpectedEOF)
	case part.Type == fantasy.StreamPartTypeFinish:
		part.Usage = s.exchange.counted(part.Usage)
		s.over = true
	}
	part.ProviderMetadata = printable(part.ProviderMetadata)
	if !s.yield(part) {
		s.over = true
	}
	return !s.over, nil
}

// prepared is call as the library needs it.
func (m *model) prepared(call fantasy.Call, most int64) fantasy.Call {
	switch m.provider.config.Format {
	case FormatAnthropic:
		if call.MaxOutputTokens == nil {
			tokens := int64(usualOutput)
			if m.facts.MaxOutput > 0 {
				tokens = min(m.facts.MaxOutput, most)
			}
			call.MaxOutputTokens = &tokens
		}
	case FormatGoogle:
		call.Prompt = unprinted(call.Prompt)
	default:
	}
	return call
}

// printable makes the signature that Google gives with a model's reasoning, raw
// bytes in a string, one that JSON can hold; [unprinted] is the way back.
func printable(metadata fantasy.ProviderMetadata) fantasy.ProviderMetadata {
	signed, ok := metadata[google.Name].(*google.ReasoningMetadata)
	if !ok {
		return metadata
	}
	clone := *signed
	clone.Signature = base64.StdEncoding.EncodeToString([]byte(signed.Signature))
	metadata = maps.Clone(metadata)
	metadata[google.Name] = &clone
	return metadata
}

func unprinted(prompt fantasy.Prompt) fantasy.Prompt {
	decoded := make(fantasy.Prompt, 0, len(prompt))
	for _, message := range prompt {
		parts := make([]fantasy.MessagePart, 0, len(message.Content))
		for _, part := range message.Content {
			parts = append(parts, unprintedPart(part))
		}
		message.Content = parts
		decoded = append(decoded, message)
	}
	return decoded
}

func unprintedPart(part fantasy.MessagePart) fantasy.MessagePart {
	reasoning, ok := fantasy.AsMessagePart[fantasy.ReasoningPart](part)
	if !ok {
		return part
	}
	signed, ok := reasoning.ProviderOptions[google.Name].(*google.ReasoningMetadata)
	if !ok {
		return part
	}
	signature, err := base64.StdEncoding.DecodeString(signed.Signature)
	if err != nil {
		return part
	}
	clone := *signed
	clone.Signature = string(signature)
	reasoning.ProviderOptions = maps.Clone(reasoning.ProviderOptions)
	reasoning.ProviderOptions[google.Name] = &clone
	return reasoning
}

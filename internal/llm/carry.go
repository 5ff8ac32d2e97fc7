package llm

import (
	"context"
	"encoding/json"
	"slices"

	"charm.land/fantasy"
)

// carryKey is where our own values travel in fantasy's maps of provider
// options and metadata; no provider of that name reads or writes it.
const carryKey = "gathering"

// carried is a JSON value that travels through fantasy's types.
type carried struct{ value json.RawMessage }

// Options marks carried as something fantasy may hold.
func (c *carried) Options() {}

// MarshalJSON returns the value as it is.
func (c *carried) MarshalJSON() ([]byte, error) { return c.value, nil }

// UnmarshalJSON keeps the value as it is.
func (c *carried) UnmarshalJSON(data []byte) error {
	c.value = slices.Clone(data)
	return nil
}

// WithOutputSchema returns call with the JSON Schema that the answer shall
// match. Models that work from text alone are told in the prompt as well; this
// is for those that do not read prompts.
func WithOutputSchema(call fantasy.Call, schema json.RawMessage) fantasy.Call {
	call.ProviderOptions = fantasy.ProviderOptions{carryKey: &carried{schema}}
	return call
}

// OutputSchema returns the JSON Schema that the answer to call shall match, or
// nil for plain text.
func OutputSchema(call fantasy.Call) json.RawMessage {
	if c, ok := call.ProviderOptions[carryKey].(*carried); ok {
		return c.value
	}
	return nil
}

// SetMetadata attaches a JSON object about how the response came to be.
func SetMetadata(response *fantasy.Response, value json.RawMessage) {
	response.ProviderMetadata = fantasy.ProviderMetadata{carryKey: &carried{value}}
}

// Metadata returns what [SetMetadata] attached, or nil.
func Metadata(response *fantasy.Response) json.RawMessage {
	if c, ok := response.ProviderMetadata[carryKey].(*carried); ok {
		return c.value
	}
	return nil
}

// Translated returns model with the errors of its Generate, GenerateObject and
// Stream put through [Translate]. Its streams end with their finish or with an
// error, one that breaks off with KindUnavailable.
func Translated(model fantasy.LanguageModel, from Origin) fantasy.LanguageModel {
	return &translated{LanguageModel: model, from: from}
}

type translated struct {
	fantasy.LanguageModel
	from Origin
}

// Generate makes one turn.
func (t *translated) Generate(ctx context.Context, call fantasy.Call) (*fantasy.Response, error) {
	response, err := t.LanguageModel.Generate(ctx, call)
	if err != nil {
		return nil, t.translate(ctx, err)
	}
	return response, nil
}

// GenerateObject makes one turn whose answer is a JSON value.
func (t *translated) GenerateObject(ctx context.Context, call fantasy.ObjectCall) (*fantasy.ObjectResponse, error) {
	response, err := t.LanguageModel.GenerateObject(ctx, call)
	if err != nil {
		return nil, t.translate(ctx, err)
	}
	return response, nil
}

// Stream makes one turn piece by piece.
func (t *translated) Stream(ctx context.Context, call fantasy.Call) (fantasy.StreamResponse, error) {
	stream, err := t.LanguageModel.Stream(ctx, call)
	if err != nil {
		return nil, t.translate(ctx, err)
	}
	return func(yield func(fantasy.StreamPart) bool) {
		for part := range stream {
			if part.Error != nil {
				part.Error = t.translate(ctx, part.Error)
			}
			if !yield(part) || part.Error != nil || part.Type == fantasy.StreamPartTypeFinish {
				return
			}
		}
		unfinished := t.translate(ctx, errUnfinished(t.from))
		yield(fantasy.StreamPart{Type: fantasy.StreamPartTypeError, Error: unfinished})
	}, nil
}

// translate prefers the caller's own reason to stop over what it did to the call.
func (t *translated) translate(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		err = ctxErr
	}
	return Translate(err, t.from)
}

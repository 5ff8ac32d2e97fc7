package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"charm.land/fantasy"

	"gathering"
)

// maxStarts bounds how many places in an answer are tried as the start of a
// JSON value.
const maxStarts = 16

// instruction tells a model to answer in JSON. It is words in the prompt, not a
// feature of a provider: the words work with every server, beside tools and for
// every schema, and what comes back is checked in any case.
func instruction(schema json.RawMessage) string {
	return "When you have your final answer, write it as one JSON value that matches the JSON Schema below. " +
		"Write nothing else: no explanation, no code fence.\n\nJSON Schema:\n" + string(schema)
}

// answer turns the last turn into the output. Where the answer does not match
// the schema, wrong says how.
func (c *conversation) answer(said turn) (output json.RawMessage, wrong *gathering.Error, err error) {
	model := said.model
	switch said.Finish {
	case fantasy.FinishReasonLength:
		return nil, nil, gathering.NewError(gathering.KindTooLarge, "%s: the answer was cut off at the model's output limit", model)
	case fantasy.FinishReasonContentFilter:
		return nil, nil, gathering.NewError(gathering.KindInvalid, "%s: the provider's content filter stopped the answer", model)
	default:
	}
	if c.schema == nil {
		output, err = json.Marshal(struct {
			Text     string          `json:"text"`
			Model    string          `json:"model"`
			Notes    []string        `json:"notes,omitempty"`
			Metadata json.RawMessage `json:"metadata,omitempty"`
		}{said.Text, model, said.Notes, said.Metadata})
		if err != nil {
			return nil, nil, fmt.Errorf("encode answer: %w", err)
		}
		return output, nil, nil
	}
	value, ok := findJSON(said.Text)
	if !ok {
		return nil, mismatch(model, gathering.FieldError{Field: "output", Problem: "must be one JSON value and nothing else"}), nil
	}
	if err := gathering.CheckJSON("output", value); err != nil {
		return nil, mismatch(model, fieldsOf(err)...), nil
	}
	if err := c.schema.Validate("output", value); err != nil {
		return nil, mismatch(model, fieldsOf(err)...), nil
	}
	return value, nil, nil
}

func mismatch(model string, fields ...gathering.FieldError) *gathering.Error {
	return gathering.NewError(gathering.KindInvalid, "%s: the answer does not match the output schema", model).WithFields(fields...)
}

func fieldsOf(err error) []gathering.FieldError {
	if e, ok := errors.AsType[*gathering.Error](err); ok && len(e.Fields) > 0 {
		return e.Fields
	}
	return []gathering.FieldError{{Field: "output", Problem: "does not match the schema"}}
}

// repair asks for the answer again and says what was wrong with it.
func repair(wrong *gathering.Error) message {
	var b strings.Builder
	b.WriteString("Your answer does not match the JSON Schema:\n")
	for _, f := range wrong.Fields {
		fmt.Fprintf(&b, "- %s: %s\n", f.Field, f.Problem)
	}
	b.WriteString("Write the corrected answer as one JSON value and nothing else.")
	return message{Role: fantasy.MessageRoleUser, Text: b.String()}
}

// findJSON returns the JSON value in a model's answer: the whole of it, what
// stands in its first code fence, or the first object or array.
func findJSON(text string) (json.RawMessage, bool) {
	text = strings.TrimSpace(text)
	if json.Valid([]byte(text)) {
		return json.RawMessage(text), true
	}
	if _, rest, ok := strings.Cut(text, "```"); ok {
		_, rest, _ = strings.Cut(rest, "\n")
		if inside, _, closed := strings.Cut(rest, "```"); closed && json.Valid([]byte(inside)) {
			return json.RawMessage(strings.TrimSpace(inside)), true
		}
	}
	for range maxStarts {
		start := strings.IndexAny(text, "{[")
		if start < 0 {
			return nil, false
		}
		text = text[start:]
		var value json.RawMessage
		if json.NewDecoder(strings.NewReader(text)).Decode(&value) == nil {
			return value, true
		}
		text = text[1:]
	}
	return nil, false
}

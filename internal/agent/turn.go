package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"charm.land/fantasy"

	"gathering"
	"gathering/internal/llm"
)

// turn is what a model said in one turn, as it is recorded. Its form is part of
// the log's: fields may be added, never changed.
type turn struct {
	Text      string               `json:"text,omitempty"`
	Reasoning *string              `json:"reasoning,omitempty"` // some models want it back with their calls
	Thoughts  []thought            `json:"thoughts,omitempty"`  // instead of Reasoning, where they are signed
	Calls     []toolCall           `json:"calls,omitempty"`
	Finish    fantasy.FinishReason `json:"finish"`
	Notes     []string             `json:"notes,omitempty"`
	Metadata  json.RawMessage      `json:"metadata,omitempty"`

	model string // who said it: the name of the step
}

// thought is a piece of reasoning that a provider signed and wants back as it
// was, where it was.
type thought struct {
	Text   string          `json:"text,omitempty"`
	Signed json.RawMessage `json:"signed"`           // fantasy's form
	Before int             `json:"before,omitempty"` // which call it stands before, from 1; 0 is the text
}

// toolCall is a call that a model asked for. Tool is the tool's own name where
// the model may use it, and otherwise what the model wrote.
type toolCall struct {
	ID        string `json:"id"`
	Tool      string `json:"tool"`
	Arguments string `json:"arguments"`
}

// message is one part of a conversation after the system prompt.
type message struct {
	Role      fantasy.MessageRole `json:"role"`
	Text      string              `json:"text,omitempty"`
	Reasoning *string             `json:"reasoning,omitempty"`
	Thoughts  []thought           `json:"thoughts,omitempty"`
	Calls     []toolCall          `json:"calls,omitempty"`
	Results   []toolResult        `json:"results,omitempty"`
}

// toolResult is what came of a call: one of Result and Failure.
type toolResult struct {
	ID      string             `json:"id"`
	Result  json.RawMessage    `json:"result,omitempty"`
	Failure *gathering.Failure `json:"failure,omitempty"`
}

func (t *turn) message() message {
	return message{
		Role: fantasy.MessageRoleAssistant, Text: t.Text,
		Reasoning: t.Reasoning, Thoughts: t.Thoughts, Calls: t.Calls,
	}
}

func turnKey(n int) string { return fmt.Sprintf("turn/%d", n) }

// turn returns what the model says next: from the log where it is recorded,
// and else by asking it, once, and recording what it said.
func (c *conversation) turn(ctx context.Context, n int) (turn, error) {
	key := turnKey(n)
	request, err := c.request()
	if err != nil {
		return turn{}, err
	}
	step, found, err := c.log.find(key, request)
	if err != nil {
		return turn{}, err
	}
	if !found {
		if step, err = c.ask(ctx, n, request); err != nil {
			return turn{}, err
		}
	}
	if found && step.Usage != nil {
		c.usage.Add(*step.Usage)
	}
	// What was just said is read as it would be after a crash.
	var said turn
	if err := json.Unmarshal(step.Result, &said); err != nil {
		return turn{}, fmt.Errorf("read step %s: %w", key, err)
	}
	said.model = step.Name
	for _, asked := range said.Calls {
		c.ids[asked.ID] = true
	}
	return said, nil
}

// request identifies what is asked in a turn: everything that was said so far
// and what the answer may be. It names the agent's own model, whichever of its
// chain answers: that may differ after a crash. How the schema is put into words and how a tool
// describes itself may differ between the process that asked and the one that
// goes on.
func (c *conversation) request() (string, error) {
	data, err := json.Marshal(struct {
		Model    string          `json:"model"`
		Prompt   string          `json:"prompt"`
		Schema   json.RawMessage `json:"schema,omitempty"`
		Tools    []string        `json:"tools,omitempty"`
		Messages []message       `json:"messages"`
	}{c.task.Spec.Model, c.task.Spec.Prompt, c.task.OutputSchema, c.tools.names(), c.messages})
	if err != nil {
		return "", fmt.Errorf("encode request: %w", err)
	}
	return digest(string(data)), nil
}

// read turns a response into what is recorded of it. Every call gets an ID that
// no other call of the conversation has.
func (c *conversation) read(response *fantasy.Response, key string) (turn, error) {
	said := turn{Finish: response.FinishReason, Metadata: llm.Metadata(response)}
	for _, content := range response.Content {
		if text, ok := fantasy.AsContentType[fantasy.TextContent](content); ok {
			said.Text += text.Text
		}
		if reasoning, ok := fantasy.AsContentType[fantasy.ReasoningContent](content); ok {
			if err := said.think(reasoning); err != nil {
				return turn{}, fmt.Errorf("read reasoning of %s: %w", key, err)
			}
		}
		asked, ok := fantasy.AsContentType[fantasy.ToolCallContent](content)
		if !ok || asked.ProviderExecuted {
			continue
		}
		id := asked.ToolCallID
		if id == "" || c.ids[id] {
			id = strings.ReplaceAll(key, "/", "_") + fmt.Sprintf("_call_%d", len(said.Calls)+1)
		}
		c.ids[id] = true
		said.Calls = append(said.Calls, toolCall{id, c.tools.ownName(asked.ToolName), asked.Input})
	}
	for _, warning := range response.Warnings {
		if warning.Message != "" {
			said.Notes = append(said.Notes, warning.Message)
		}
	}
	return said, nil
}

// think adds a piece of reasoning to a turn.
func (t *turn) think(reasoning fantasy.ReasoningContent) error {
	if len(reasoning.ProviderMetadata) == 0 {
		if t.Reasoning == nil {
			t.Reasoning = new(string)
		}
		*t.Reasoning += reasoning.Text
		return nil
	}
	signed, err := json.Marshal(reasoning.ProviderMetadata)
	if err != nil {
		return err
	}
	before := 0
	if t.Text != "" || len(t.Calls) > 0 {
		before = len(t.Calls) + 1
	}
	t.Thoughts = append(t.Thoughts, thought{reasoning.Text, signed, before})
	return nil
}

// prompt is the conversation as the model gets it.
func (c *conversation) prompt() fantasy.Call {
	call := fantasy.Call{Tools: c.tools.functions()}
	system := c.task.Spec.Prompt
	if c.schema != nil {
		system = strings.TrimSpace(system + "\n\n" + instruction(c.task.OutputSchema))
		call = llm.WithOutputSchema(call, c.task.OutputSchema)
	}
	if system != "" {
		call.Prompt = append(call.Prompt, fantasy.NewSystemMessage(system))
	}
	for _, m := range c.messages {
		call.Prompt = append(call.Prompt, fantasy.Message{Role: m.Role, Content: c.parts(m)})
	}
	return call
}

func (c *conversation) parts(m message) []fantasy.MessagePart {
	var parts []fantasy.MessagePart
	if m.Reasoning != nil {
		parts = append(parts, fantasy.ReasoningPart{Text: *m.Reasoning})
	}
	parts = append(parts, m.thoughts(0)...)
	if m.Text != "" {
		parts = append(parts, fantasy.TextPart{Text: m.Text})
	}
	for i, asked := range m.Calls {
		parts = append(parts, m.thoughts(i+1)...)
		parts = append(parts, fantasy.ToolCallPart{
			ToolCallID: asked.ID, ToolName: c.tools.wireName(asked.Tool), Input: arguments(asked),
		})
	}
	for _, r := range m.Results {
		var output fantasy.ToolResultOutputContent = fantasy.ToolResultOutputContentText{Text: string(r.Result)}
		if r.Failure != nil {
			output = fantasy.ToolResultOutputContentError{Error: errors.New("error: " + r.Failure.Err().Public())}
		}
		parts = append(parts, fantasy.ToolResultPart{ToolCallID: r.ID, Output: output})
	}
	return parts
}

// thoughts are those that stand before a call, or with 0 before the text. One
// of a provider that this process does not know goes without its signature.
func (m *message) thoughts(before int) []fantasy.MessagePart {
	var parts []fantasy.MessagePart
	for _, t := range m.Thoughts {
		if t.Before != before {
			continue
		}
		part := fantasy.ReasoningPart{Text: t.Text}
		var signed map[string]json.RawMessage
		if json.Unmarshal(t.Signed, &signed) == nil {
			if options, err := fantasy.UnmarshalProviderOptions(signed); err == nil {
				part.ProviderOptions = options
			}
		}
		parts = append(parts, part)
	}
	return parts
}

// arguments returns what the model wrote as arguments where that is JSON:
// servers refuse a conversation with a call whose arguments are not.
func arguments(asked toolCall) string {
	if !json.Valid([]byte(asked.Arguments)) {
		return "{}"
	}
	return asked.Arguments
}

// Package llmtest has a language model for tests that answers from a script.
package llmtest

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"

	"charm.land/fantasy"

	"gathering"
	"gathering/internal/llm"
)

// Ref is the reference of the model that [Models] returns.
const Ref = "scripted/model"

// Turn is one answer of a scripted model.
type Turn struct {
	Text      string
	Reasoning string // "" is none
	Calls     []Call
	// Err is returned instead of an answer.
	Err error
	// Finish is why the model stopped; "" follows from Calls.
	Finish fantasy.FinishReason
	// Usage is what the turn is said to cost; zero is 10 tokens in, 5 out.
	Usage fantasy.Usage
	// Reached, if not nil, is closed when the turn is asked for.
	Reached chan<- struct{}
	// Wait, if not nil, holds the answer back until it is closed or the
	// context ends. Block holds it back until the context ends.
	Wait  <-chan struct{}
	Block bool
}

// Call is one tool call of a turn.
type Call struct {
	ID   string // "" is call_<n>, counted over the whole script
	Tool string
	Args any // a string is sent as it is, anything else as JSON
}

// Script is a language model that answers from a list of turns, or from a
// function, and remembers what it was asked. It is safe for concurrent use.
// When the list is used up it answers with an error of KindInternal that says so.
type Script struct {
	mu      sync.Mutex
	turns   []Turn
	respond func(n int, call fantasy.Call) Turn
	asked   []fantasy.Call
	calls   int
}

// New returns a model that answers with turns, in their order.
func New(turns ...Turn) *Script { return &Script{turns: turns} }

// NewFunc returns a model that answers the n-th call, counted from 1, with
// what respond returns. Calls to respond do not overlap.
func NewFunc(respond func(n int, call fantasy.Call) Turn) *Script { return &Script{respond: respond} }

// Models returns models among which script has the reference [Ref].
func Models(script *Script) *llm.Models {
	return llm.New(Provider{"model": script})
}

// Provider is the provider "scripted", whose models are given by name.
type Provider map[string]fantasy.LanguageModel

// Name is "scripted".
func (Provider) Name() string { return "scripted" }

// Model returns the model of that name.
func (p Provider) Model(_ context.Context, name string) (fantasy.LanguageModel, error) {
	if err := p.Check(name); err != nil {
		return nil, err
	}
	return p[name], nil
}

// Check returns an error of KindInvalid where there is no such model.
func (p Provider) Check(name string) error {
	if p[name] == nil {
		return gathering.NewError(gathering.KindInvalid, "scripted has no model %q", name).
			WithCode(gathering.CodeModelMissing)
	}
	return nil
}

// Facts are those of a model that is known to be free.
func (Provider) Facts(string) llm.Facts { return llm.Facts{Priced: true} }

// Asked returns the calls made so far, in order.
func (s *Script) Asked() []fantasy.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Provider is "scripted".
func (s *Script) Provider() string { return "scripted" }

// Model is "model".
func (s *Script) Model() string { return "model" }

// Generate answers with the next turn.
func (s *Script) Generate(ctx context.Context, call fantasy.Call) (*fantasy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	turn, err := s.next(call)
	if err != nil {
		return nil, err
	}
	if turn.Reached != nil {
		close(turn.Reached)
	}
	if turn.Block || turn.Wait != nil {
		select {
		case <-turn.Wait: // never, where it is nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if turn.Err != nil {
		return nil, turn.Err
	}
	return s.response(turn)
}

func (s *Script) next(call fantasy.Call) (Turn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, call)
	n := len(s.asked)
	if s.respond != nil {
		return s.respond(n, call), nil
	}
	if n > len(s.turns) {
		return Turn{}, gathering.NewError(gathering.KindInternal, "the script has %d turns and was asked for turn %d", len(s.turns), n)
	}
	return s.turns[n-1], nil
}

func (s *Script) response(turn Turn) (*fantasy.Response, error) {
	response := &fantasy.Response{FinishReason: turn.Finish, Usage: turn.Usage}
	if turn.Usage == (fantasy.Usage{}) {
		response.Usage = fantasy.Usage{InputTokens: 10, OutputTokens: 5, TotalTokens: 15}
	}
	if turn.Reasoning != "" {
		response.Content = append(response.Content, fantasy.ReasoningContent{Text: turn.Reasoning})
	}
	if turn.Text != "" {
		response.Content = append(response.Content, fantasy.TextContent{Text: turn.Text})
	}
	for _, c := range turn.Calls {
		content := fantasy.ToolCallContent{ToolCallID: c.ID, ToolName: c.Tool}
		if c.ID == "" {
			content.ToolCallID = "call_" + strconv.Itoa(s.count())
		}
		if text, ok := c.Args.(string); ok {
			content.Input = text
		} else {
			data, err := json.Marshal(c.Args)
			if err != nil {
				return nil, err
			}
			content.Input = string(data)
		}
		response.Content = append(response.Content, content)
	}
	if turn.Finish == "" {
		response.FinishReason = fantasy.FinishReasonStop
		if len(turn.Calls) > 0 {
			response.FinishReason = fantasy.FinishReasonToolCalls
		}
	}
	return response, nil
}

func (s *Script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return s.calls
}

// Stream answers with the next turn, each of its parts in one piece.
func (s *Script) Stream(ctx context.Context, call fantasy.Call) (fantasy.StreamResponse, error) {
	response, err := s.Generate(ctx, call)
	if err != nil {
		return nil, err
	}
	return llm.StreamOf(response), nil
}

// GenerateObject is not scripted: GatheRing does not use it.
func (s *Script) GenerateObject(context.Context, fantasy.ObjectCall) (*fantasy.ObjectResponse, error) {
	return nil, gathering.NewError(gathering.KindInternal, "a script answers only Generate and Stream")
}

// StreamObject is not scripted: GatheRing does not use it.
func (s *Script) StreamObject(context.Context, fantasy.ObjectCall) (fantasy.ObjectStreamResponse, error) {
	return nil, gathering.NewError(gathering.KindInternal, "a script answers only Generate and Stream")
}

package llm_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/llm/llmtest"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	from := llm.Origin{Model: "p/m", KeyVariable: "P_KEY"}
	secret := &fantasy.ProviderError{
		StatusCode: 429, Message: "slow " + strings.Repeat("down ", 500), RequestBody: []byte("Authorization: Bearer hush"),
		ResponseHeaders: map[string]string{"retry-after": "1.5"},
	}
	tests := map[string]struct {
		err     error
		kind    gathering.Kind
		message string
		after   time.Duration
	}{
		"limit of a library": {secret, gathering.KindExhausted, "p/m: the provider's limit is reached", 1500 * time.Millisecond},
		"too long": {
			&fantasy.ProviderError{StatusCode: 400, ContextTooLargeErr: true},
			gathering.KindTooLarge, "p/m: the conversation is longer than the model can take", 0,
		},
		"forbidden":  {&llm.StatusError{Status: 403, Message: "hush"}, gathering.KindForbidden, "p/m: the provider refused the key; check P_KEY", 0},
		"unpaid":     {&llm.StatusError{Status: 402}, gathering.KindExhausted, "p/m: the provider wants to be paid first", 0},
		"too early":  {&llm.StatusError{Status: 425}, gathering.KindUnavailable, "p/m: the provider answered 425", 0},
		"too slow":   {&llm.StatusError{Status: 408}, gathering.KindTimeout, "p/m: no answer came in the time allowed", 0},
		"too large":  {&llm.StatusError{Status: 413}, gathering.KindTooLarge, "p/m: the request is larger than the provider takes", 0},
		"strange":    {&llm.StatusError{Status: 302}, gathering.KindUnavailable, "p/m: the provider answered 302", 0},
		"refused":    {&llm.StatusError{Status: 418, Message: " tea\n\x00pot "}, gathering.KindInvalid, "p/m: the provider refused the request: tea pot", 0},
		"no network": {&net.OpError{Op: "dial", Err: errors.New("refused")}, gathering.KindUnavailable, "p/m: the provider cannot be reached", 0},
		"cancelled":  {context.Canceled, gathering.KindCancelled, "it was cancelled", 0},
		"deadline":   {context.DeadlineExceeded, gathering.KindTimeout, "p/m: no answer came in the time allowed", 0},
		"our own":    {gathering.NewError(gathering.KindForbidden, "no"), gathering.KindForbidden, "no", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := llm.Translate(tt.err, from)
			got := gathering.FailureOf(err)
			if got.Kind != tt.kind || got.Message != tt.message {
				t.Errorf("got %q %q, want %q %q", got.Kind, got.Message, tt.kind, tt.message)
			}
			if got := gathering.RetryAfter(err); got != tt.after {
				t.Errorf("got retry after %s, want %s", got, tt.after)
			}
			if text := err.Error(); strings.Contains(text, "hush") || len(text) > 500 {
				t.Errorf("the error tells too much: %s", text)
			}
		})
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	script := llmtest.New(llmtest.Turn{Text: "from the later one"})
	models := llm.New(llmtest.Provider{}, llmtest.Provider{"a/b": script})
	model, err := models.Model(t.Context(), "scripted/a/b")
	if err != nil {
		t.Fatal(err)
	}
	response, err := model.Generate(t.Context(), fantasy.Call{})
	if err != nil || response.Content.Text() != "from the later one" {
		t.Errorf("got %v, %v", response, err)
	}
	if _, err := model.Generate(t.Context(), fantasy.Call{}); gathering.KindOf(err) != gathering.KindInternal {
		t.Errorf("got %v, want an internal error: the script is used up", err)
	}
	for _, ref := range []string{"", "/", "scripted", "scripted/", "/a", "scripted/other", "other/a"} {
		if _, err := models.Model(t.Context(), ref); gathering.CodeOf(err) != gathering.CodeModelMissing {
			t.Errorf("%q: got %v, want %s", ref, err, gathering.CodeModelMissing)
		}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	script := llmtest.New(
		llmtest.Turn{Text: "Hi", Calls: []llmtest.Call{{Tool: "look", Args: map[string]int{"at": 1}}}},
		llmtest.Turn{Err: &llm.StatusError{Status: 500}},
	)
	model, err := llmtest.Models(script).Model(t.Context(), llmtest.Ref)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := model.Stream(t.Context(), fantasy.Call{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for part := range stream {
		got = append(got, strings.TrimRight(string(part.Type)+" "+part.Delta+part.ToolCallInput+string(part.FinishReason), " "))
	}
	want := []string{"text_start", "text_delta Hi", "text_end", `tool_call {"at":1}`, "finish tool-calls"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := model.Stream(t.Context(), fantasy.Call{}); gathering.KindOf(err) != gathering.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}

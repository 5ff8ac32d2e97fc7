package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"gathering/internal/llm"
)

// readFault reads the body of an answer that is no success. Servers differ in
// where they put what, and some put it nowhere. What it says is kept whole:
// the key is taken out of it before it is shortened, or half of one would stay.
func readFault(status int, document []byte) *llm.StatusError {
	fault := &llm.StatusError{Status: status}
	var answer struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(document, &answer) != nil {
		if !bytes.HasPrefix(bytes.TrimSpace(document), []byte("<")) { // a page, from something in between
			fault.Message = string(document)
		}
		return fault
	}
	fault.Message = answer.Message
	var told faultDetails
	if json.Unmarshal(answer.Error, &told) != nil {
		var text string
		if json.Unmarshal(answer.Error, &text) == nil && text != "" {
			fault.Message = text
		}
		return fault
	}
	if told.Message != "" {
		fault.Message = told.Message
	}
	var code string
	_ = json.Unmarshal(told.Code, &code) // some write a number, the status again
	if code == "insufficient_quota" {
		fault.Status = http.StatusPaymentRequired // waiting does not help
	}
	fault.ContextTooLong = code == "context_length_exceeded" || status == http.StatusBadRequest && overlong(told.Message)
	fault.RetryAfter = told.delay()
	return fault
}

// faultDetails are what OpenAI, Anthropic and Google put under "error".
type faultDetails struct {
	Message string          `json:"message"`
	Code    json.RawMessage `json:"code"`
	Details []struct {
		RetryDelay string `json:"retryDelay"` //nolint:tagliatelle // Google names it
	} `json:"details"`
}

// delay is when Google wants to be asked again: it says so in the body.
func (f *faultDetails) delay() time.Duration {
	for _, detail := range f.Details {
		if delay, err := time.ParseDuration(detail.RetryDelay); err == nil && delay > 0 {
			return delay
		}
	}
	return 0
}

// overlong reports whether a refusal means that the conversation is longer than
// the model can take. Providers other than OpenAI have no code for it.
func overlong(message string) bool {
	message = strings.ToLower(message)
	return slices.ContainsFunc([]string{
		"prompt is too long",
		"maximum context length",
		"exceeds the maximum number of tokens",
		"exceed context limit",
	}, func(phrase string) bool { return strings.Contains(message, phrase) })
}

package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"charm.land/fantasy"

	"gathering"
	"gathering/internal/safedial"
)

// Origin says where an error came from, for its message.
type Origin struct {
	Model       string // "provider/model"
	KeyVariable string // the environment variable that holds the key; "" where there is none
	Key         string // is taken out of what is told; "" where there is none
}

// StatusError is a provider's answer with a status other than success. Message
// is what the provider said about it, as it said it: whole, and the key with it
// where it was repeated. [Translate] makes of it what may be told.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0: the provider did not say
	Message    string
	// ContextTooLong: the conversation is longer than the model can take.
	ContextTooLong bool
}

// maxRetryAfter is how long a provider is left alone at most, whatever it asks for.
const maxRetryAfter = time.Hour

// Error is the status and what the provider said.
func (e *StatusError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("status %d: %s", e.Status, e.Message), ": ")
}

// Translate turns the error of a model call into a *[gathering.Error], inside
// a [gathering.DelayedError] where the provider named a delay, of at most an
// hour. The error of a context that ended is kept, so that its kind is timeout
// or cancelled. What the provider said appears shortened and without the key;
// the request never does.
func Translate(err error, from Origin) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*gathering.Error](err); ok {
		return err
	}
	if answer, ok := errors.AsType[*StatusError](err); ok {
		return gathering.Delayed(statusError(answer, from), min(answer.RetryAfter, maxRetryAfter))
	}
	if answer, ok := errors.AsType[*fantasy.ProviderError](err); ok && answer.StatusCode != 0 {
		return translateProviderError(answer, from)
	}
	var network net.Error
	said, fromProvider := errors.AsType[*fantasy.ProviderError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("call %s: %w", from.Model, context.Canceled)
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fault(gathering.KindTimeout, from, "no answer came in the time allowed", err)
	case errors.As(err, &network):
		return fault(gathering.KindUnavailable, from, "the provider cannot be reached", err)
	case errors.Is(err, io.ErrUnexpectedEOF), fromProvider && said.TransientError:
		return fault(gathering.KindUnavailable, from, "the answer broke off before its end", err)
	}
	return fault(gathering.KindUnavailable, from, "the provider's answer cannot be used", err)
}

func translateProviderError(answer *fantasy.ProviderError, from Origin) error {
	header := http.Header{}
	for k, v := range answer.ResponseHeaders {
		header.Set(k, v)
	}
	return Translate(&StatusError{
		Status: answer.StatusCode, RetryAfter: safedial.RetryAfter(header),
		Message: answer.Message, ContextTooLong: answer.IsContextTooLarge(),
	}, from)
}

// statusError chooses the kind by the status: what may pass is unavailable,
// exhausted or timeout; what will not pass by waiting is invalid, forbidden or
// too large.
func statusError(answer *StatusError, from Origin) error {
	said := gathering.Brief(from.redact(answer.Message))
	switch status := answer.Status; {
	case answer.ContextTooLong:
		return fault(gathering.KindTooLarge, from, "the conversation is longer than the model can take", answer).
			WithCode(gathering.CodeContextTooLong)
	case status == http.StatusTooManyRequests:
		return fault(gathering.KindExhausted, from, "the provider's limit is reached", answer)
	case status == http.StatusPaymentRequired:
		return fault(gathering.KindExhausted, from, "the provider wants to be paid first", answer)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		// A refusal may quote parts of the key, so it is not repeated.
		problem := "the provider refused the request as not permitted"
		if from.KeyVariable != "" {
			problem = "the provider refused the key; check " + from.KeyVariable
		}
		return fault(gathering.KindForbidden, from, problem, nil)
	case status == http.StatusNotFound:
		err := gathering.NewError(gathering.KindInvalid, "%s", sentence(from, "the provider does not have it", said))
		return err.WithCode(gathering.CodeModelMissing)
	case status == http.StatusRequestTimeout:
		return fault(gathering.KindTimeout, from, "no answer came in the time allowed", answer)
	case status == http.StatusRequestEntityTooLarge:
		return fault(gathering.KindTooLarge, from, "the request is larger than the provider takes", nil)
	case status == http.StatusConflict, status == http.StatusLocked, status == http.StatusTooEarly,
		status >= http.StatusInternalServerError:
		return fault(gathering.KindUnavailable, from, "the provider answered "+strconv.Itoa(status), answer)
	case status >= http.StatusBadRequest:
		return gathering.NewError(gathering.KindInvalid, "%s", sentence(from, "the provider refused the request", said))
	}
	return fault(gathering.KindUnavailable, from, "the provider answered "+strconv.Itoa(answer.Status), answer)
}

// fault makes an error whose cause is kept as short text only: the errors of
// client libraries carry whole requests with their credentials.
func fault(kind gathering.Kind, from Origin, problem string, cause error) *gathering.Error {
	err := gathering.NewError(kind, "%s", sentence(from, problem, ""))
	if cause == nil {
		return err
	}
	return err.WithCause(errors.New(gathering.Brief(from.redact(cause.Error()))))
}

// redact removes the key from what somebody said, which has to be whole: half a
// key is not found. What is shorter than any key may be part of every other word.
func (o Origin) redact(text string) string {
	if len(o.Key) < 8 {
		return text
	}
	return strings.ReplaceAll(text, o.Key, "[key]")
}

func sentence(from Origin, problem, said string) string {
	text := cmp.Or(from.Model, "the model") + ": " + problem
	if said != "" {
		text += ": " + said
	}
	return text
}

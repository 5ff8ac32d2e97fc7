package gathering

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind says what sort of error happened: it decides the HTTP status, the exit
// code and whether a node may retry. There are few kinds on purpose; a finer
// name, where a client needs one, is [Error.Code].
type Kind string

// The kinds of error. An error that carries none is Internal, and a client
// sees nothing of it but its request ID.
const (
	KindInvalid         Kind = "invalid"         // what was given is wrong; Fields says where
	KindUnauthenticated Kind = "unauthenticated" // nobody known is asking
	KindForbidden       Kind = "forbidden"       // who asks is known and may not
	KindNotFound        Kind = "not_found"       // it does not exist, or may not be seen
	KindConflict        Kind = "conflict"        // it clashes with what is there now
	KindTooLarge        Kind = "too_large"       // it is over a size limit
	KindExhausted       Kind = "exhausted"       // a rate, quota or budget is used up
	KindTimeout         Kind = "timeout"         // it did not finish in the time allowed
	KindUnavailable     Kind = "unavailable"     // something it needs is not there now; later may do
	KindCancelled       Kind = "cancelled"       // somebody asked for it to stop
	KindInternal        Kind = "internal"        // a defect, or a cause nobody may see
)

// Codes name outcomes that programs tell apart within a kind.
const (
	CodeMail           = "mail"                // the run has mail that its owner must read first
	CodeOutputTooLarge = "output_too_large"    // a node's value is over MaxValueBytes
	CodeTooLong        = "too_long"            // a run's log is over its event limit
	CodeTurnTooLarge   = "turn_too_large"      // a run would write too many bytes at once
	CodeCrashedHost    = "crashed_host"        // a run was given up after it took its host down repeatedly
	CodeModelMissing   = "model_missing"       // no such model, or its key is not set
	CodeContextTooLong = "context_too_long"    // a conversation is longer than its model can take
	CodeToolMissing    = "tool_missing"        // no such tool
	CodeMaxSteps       = "max_steps"           // an agent used up its steps without an answer
	CodeRepeatedCall   = "repeated_call"       // an agent made the same call too often in a row
	CodeFenced         = "fenced"              // another instance owns the run by now
	CodeDirectoryHeld  = "directory_held"      // another process holds the data directory
	CodeUnknownOutcome = "unknown_outcome"     // a call may have acted and nobody can tell
	CodeNotSent        = "not_sent"            // a call was stopped before anything of it left: it has not acted
	CodeUnanswered     = "unanswered"          // a call was sent and had no answer; it may be made again
	CodeCircuitOpen    = "circuit_open"        // the circuit breaker of what was to be called is open; nothing was called
	CodePrecondition   = "precondition_failed" // what is there now is not what If-Match says
	CodeMethod         = "method_not_allowed"  // what is asked for is there, and not to be had by that method
)

// FieldError is one thing wrong with one field of what was given.
type FieldError struct {
	// Field is the path of the field, as in "nodes.grade.retry.factor".
	Field string `json:"field"`
	// Problem says what is wrong and what would be right. It never repeats
	// the value that was given.
	Problem string `json:"problem"`
}

// Error is the one error type of GatheRing. Message and Fields may be shown to
// whoever asked; the cause is for the log alone.
type Error struct {
	Kind    Kind
	Code    string // optional finer name, one of the Code constants
	Message string
	Fields  []FieldError
	cause   error
}

// NewError returns an error of the given kind whose message a client may see.
func NewError(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// WithCause returns a copy of e that wraps err. The cause is not shown to clients.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

// WithCode returns a copy of e with the finer name code.
func (e *Error) WithCode(code string) *Error {
	c := *e
	c.Code = code
	return &c
}

// WithFields returns a copy of e that names the faulty fields.
func (e *Error) WithFields(fields ...FieldError) *Error {
	c := *e
	c.Fields = fields
	return &c
}

// Error is the text for logs: the message, the fields and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, f := range e.Fields {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(f.Field + ": " + f.Problem)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause, so that errors.Is and errors.As see through e.
func (e *Error) Unwrap() error { return e.cause }

// Public is the text that whoever asked may see: the message and the fields,
// never the cause.
func (e *Error) Public() string {
	c := *e
	c.cause = nil
	return c.Error()
}

// KindOf returns the kind of the first [Error] in err's chain. A context that
// ended is a timeout or a cancellation; anything else is internal. A nil error
// has no kind.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return KindTimeout
	case errors.Is(err, context.Canceled):
		return KindCancelled
	}
	return KindInternal
}

// CodeOf returns the finer name of the first [Error] in err's chain, or "".
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// Failure is an error as it is written into a run's log and shown to whoever
// may see the run.
type Failure struct {
	Kind    Kind         `json:"kind"`
	Code    string       `json:"code,omitempty"`
	Message string       `json:"message"`
	Fields  []FieldError `json:"fields,omitempty"`
}

// FailureOf turns err into what a run's log may hold: the public part of an
// [Error], and for any other error only its kind.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return &Failure{Kind: e.Kind, Code: e.Code, Message: e.Message, Fields: e.Fields}
	}
	switch kind := KindOf(err); kind {
	case KindTimeout:
		return &Failure{Kind: kind, Message: "it did not finish in the time allowed"}
	case KindCancelled:
		return &Failure{Kind: kind, Message: "it was cancelled"}
	default:
		return &Failure{Kind: KindInternal, Message: "internal error; the log has the cause"}
	}
}

// Err turns a recorded failure back into an [Error].
func (f *Failure) Err() *Error {
	return &Error{Kind: f.Kind, Code: f.Code, Message: f.Message, Fields: f.Fields}
}

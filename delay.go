package gathering

import (
	"errors"
	"time"
)

// DelayedError is an error after which whoever was asked wants to be left
// alone for a while.
type DelayedError struct {
	err   error
	after time.Duration
}

// Delayed returns err with the delay that was asked for. Without one, or
// without an error, it returns err as it is.
func Delayed(err error, after time.Duration) error {
	if err == nil || after <= 0 {
		return err
	}
	return &DelayedError{err, after}
}

// Error is the text of the error itself.
func (e *DelayedError) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *DelayedError) Unwrap() error { return e.err }

// RetryAfter is the delay that was asked for, above 0.
func (e *DelayedError) RetryAfter() time.Duration { return e.after }

// RetryAfter returns the delay that was asked for after err, or 0.
func RetryAfter(err error) time.Duration {
	if d, ok := errors.AsType[*DelayedError](err); ok {
		return d.after
	}
	return 0
}

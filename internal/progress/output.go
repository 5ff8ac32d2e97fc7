package progress

import (
	"cmp"
	"errors"
	"io"
	"sync"
	"syscall"

	"gathering"
)

// Output is a writer to Out of which nothing depends: what cannot be written is
// lost and ends nothing, and a run goes on without it. It is safe for use by many
// goroutines.
type Output struct {
	Out io.Writer

	mu  sync.Mutex
	err error // the first
}

// Write implements [io.Writer] and never fails.
func (o *Output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.Out.Write(data)
	o.err = cmp.Or(o.err, err)
	return len(data), nil
}

// Broken reports whether something could not be written.
func (o *Output) Broken() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err != nil
}

// Lost is the error that something could not be written; nil where whoever read
// it went away, which is their choice.
func (o *Output) Lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil || errors.Is(o.err, syscall.EPIPE) {
		return nil
	}
	return gathering.NewError(gathering.KindUnavailable, "the output cannot be written").WithCause(o.err)
}

package cli

import (
	"cmp"
	"errors"
	"io"
	"sync"
	"syscall"

	"gathering"
)

// output is standard output. What cannot be written is lost and ends nothing:
// a run goes on without it.
type output struct {
	out io.Writer

	mu  sync.Mutex
	err error // the first
}

// Write implements [io.Writer] and never fails.
func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.out.Write(data)
	o.err = cmp.Or(o.err, err)
	return len(data), nil
}

// broken reports whether something could not be written.
func (o *output) broken() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err != nil
}

// lost is the error that something could not be written; nil where whoever read
// it went away, which is their choice.
func (o *output) lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil || errors.Is(o.err, syscall.EPIPE) {
		return nil
	}
	return gathering.NewError(gathering.KindUnavailable, "the output cannot be written").WithCause(o.err)
}

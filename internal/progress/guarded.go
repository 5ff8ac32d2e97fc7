package progress

import (
	"io"
	"sync"
)

// Guarded is a writer to Out that others may step aside for: a live tree on the
// same terminal. It is safe for use by many goroutines.
type Guarded struct {
	Out io.Writer

	mu     sync.Mutex
	around func(write func()) // nil writes at once
}

// Write implements [io.Writer].
func (g *Guarded) Write(data []byte) (n int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.around == nil {
		return g.Out.Write(data)
	}
	g.around(func() { n, err = g.Out.Write(data) })
	return n, err
}

// guard sets who steps aside for what is written; nil is nobody.
func (g *Guarded) guard(around func(write func())) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.around = around
}

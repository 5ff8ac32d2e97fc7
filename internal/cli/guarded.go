package cli

import (
	"io"
	"sync"
)

// guarded is a writer that others may step aside for: a live tree on the same
// terminal.
type guarded struct {
	mu     sync.Mutex
	out    io.Writer
	around func(write func()) // nil writes at once
}

// Write implements [io.Writer].
func (g *guarded) Write(data []byte) (n int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.around == nil {
		return g.out.Write(data)
	}
	g.around(func() { n, err = g.out.Write(data) })
	return n, err
}

// guard sets who steps aside for what is written; nil is nobody.
func (g *guarded) guard(around func(write func())) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.around = around
}

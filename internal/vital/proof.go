package vital

import (
	"sync"

	"gathering"
)

// Proofs of life are what the counters of instances were when they were first
// looked at. Their zero value is ready.
type Proofs struct {
	mu    sync.Mutex
	first map[gathering.InstanceID]int64
}

// Alive reports whether an instance has raised its counter since it was first
// looked at.
func (p *Proofs) Alive(id gathering.InstanceID, counter int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, seen := p.first[id]
	if !seen {
		if p.first == nil {
			p.first = make(map[gathering.InstanceID]int64)
		}
		p.first[id] = counter
	}
	return seen && counter != first
}

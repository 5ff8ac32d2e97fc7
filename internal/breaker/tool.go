package breaker

import (
	"context"
	"encoding/json"

	"gathering/internal/tool"
)

// Guarded returns t with its calls made through its breaker. It is for tools
// that reach something which may be down.
func (r *Registry) Guarded(t tool.Tool) tool.Tool {
	return tool.Guarded(t, r, Tool(t.Spec().Name))
}

// Switched returns t with its calls refused while somebody keeps its breaker
// open, and otherwise not counted. It is for tools that are never down, such as
// those that work on files, and costs their calls next to nothing.
func (r *Registry) Switched(t tool.Tool) tool.Tool {
	name := Tool(t.Spec().Name)
	return &switched{Tool: t, guarded: tool.Guarded(t, forgiving{r}, name), registry: r, name: name}
}

type switched struct {
	tool.Tool

	guarded  tool.Tool
	registry *Registry
	name     string
}

// Call implements [tool.Tool].
func (s *switched) Call(ctx context.Context, call tool.Call) (json.RawMessage, error) {
	if s.registry.unclosed.Load() == 0 || !s.registry.isOpen(s.name) {
		return s.Tool.Call(ctx, call)
	}
	return s.guarded.Call(ctx, call)
}

func (r *Registry) isOpen(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened.Contains(name)
}

// forgiving is a guard that takes every outcome for a success: whatever it is,
// what was called is there.
type forgiving struct{ registry *Registry }

func (f forgiving) Do(ctx context.Context, name string, call func(ctx context.Context) error) error {
	var result error
	if err := f.registry.Do(ctx, name, func(ctx context.Context) error {
		result = call(ctx)
		return nil
	}); err != nil {
		return err
	}
	return result
}

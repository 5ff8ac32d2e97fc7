package tool

import (
	"context"
	"encoding/json"
)

// Guard decides whether a call is made, and hears how it ends. Name says what
// is called.
type Guard interface {
	// Do makes the call and returns its error as it is, or makes none and
	// says why.
	Do(ctx context.Context, name string, call func(ctx context.Context) error) error
}

// Guarded returns t with each of its calls made through guard, which knows t
// by name.
func Guarded(t Tool, guard Guard, name string) Tool {
	call := func(ctx context.Context, call Call) (result json.RawMessage, err error) {
		err = guard.Do(ctx, name, func(ctx context.Context) error {
			result, err = t.Call(ctx, call)
			return err
		})
		return result, err
	}
	return &wrapped{t, call}
}

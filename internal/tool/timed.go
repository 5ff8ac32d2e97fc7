package tool

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gathering"
)

// Timed returns t with each call's context ended after the Timeout of t's
// spec, and a call that fails after that as KindTimeout. It does not
// leave a call that ignores its context behind: it waits. A result that comes
// late is still the result. A tool without a Timeout is returned as it is.
func Timed(t Tool) Tool {
	spec := t.Spec()
	if spec.Timeout <= 0 {
		return t
	}
	late := gathering.NewError(gathering.KindTimeout,
		"tool %s did not finish within %s", spec.Name, time.Duration(spec.Timeout))
	call := func(ctx context.Context, call Call) (json.RawMessage, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(spec.Timeout), late)
		defer cancel()
		result, err := t.Call(ctx, call)
		if err != nil && errors.Is(context.Cause(ctx), late) {
			return nil, late.WithCause(err)
		}
		return result, err
	}
	return &wrapped{t, call}
}

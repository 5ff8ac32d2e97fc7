package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gathering"
	"gathering/internal/schema"
)

// Validated returns t with its arguments checked before anything runs and its
// result checked before anybody sees it.
//
// Arguments that the input schema does not allow are KindInvalid, with every
// fault in Fields as "arguments.path". A result over the size limit is
// KindTooLarge with CodeOutputTooLarge; one that is no storable JSON is
// KindInternal. The only error of Validated itself is a schema that does not
// compile.
func Validated(t Tool) (Tool, error) {
	spec := t.Spec()
	input, err := schema.Compile(spec.Input)
	if err != nil {
		return nil, fmt.Errorf("compile input schema of %s: %w", spec.Name, err)
	}
	check := func(arguments json.RawMessage) error {
		if err := gathering.CheckJSON("arguments", arguments); err != nil {
			return err
		}
		return input.Validate("arguments", arguments)
	}
	const none = "{}"
	noneFits := check(json.RawMessage(none)) == nil // which holds for every call
	call := func(ctx context.Context, call Call) (json.RawMessage, error) {
		call.Arguments = arguments(call)
		if !noneFits || string(call.Arguments) != none {
			if err := check(call.Arguments); err != nil {
				return nil, err
			}
		}
		result, err := t.Call(ctx, call)
		if err != nil {
			return nil, err
		}
		return result, checkResult(spec.Name, result)
	}
	return &wrapped{t, call}, nil
}

func checkResult(name string, result json.RawMessage) error {
	err := gathering.CheckJSON("output", result)
	if err == nil {
		return nil
	}
	fault, ok := errors.AsType[*gathering.Error](err)
	if !ok {
		return fmt.Errorf("check result of %s: %w", name, err)
	}
	if fault.Kind == gathering.KindTooLarge {
		return fault.WithCode(gathering.CodeOutputTooLarge)
	}
	return gathering.NewError(gathering.KindInternal, "tool %s returned what cannot be kept", name).
		WithFields(fault.Fields...).
		WithCause(err)
}

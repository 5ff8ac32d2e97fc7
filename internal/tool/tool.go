// Package tool says what a tool is, makes one from a typed function, and keeps
// the tools of a process in a [Registry].
//
// What is the same for every tool is a wrapper around it: [Validated] checks
// what goes in and what comes out, [Timed] ends a call that takes too long.
package tool

import (
	"context"
	"encoding/json"

	"gathering"
)

// Call is one use of a tool: what is asked, who asks, and where it may act.
type Call struct {
	Run     gathering.RunID
	Project gathering.ProjectID
	Node    string
	// Key is the same on every repetition of this call: an idempotency key.
	Key string
	// Idempotent is what the caller declares this call to be, whatever the
	// tool says of itself. Nil declares nothing.
	Idempotent *bool
	// Workspace is the absolute directory the run works in, a source tree to
	// read. Empty is none.
	Workspace string
	// Arguments are the tool's input, a JSON object. Nothing and null mean {}.
	Arguments json.RawMessage
}

// Tool is something an agent or a node can use. Its methods may be called from
// many goroutines at once.
type Tool interface {
	// Spec describes the tool. It is the same for the tool's whole life;
	// callers leave its schemas unchanged.
	Spec() gathering.ToolSpec
	// Repeatable reports whether a call with these arguments may be made again
	// without harm, also where nobody knows what came of it. The arguments may
	// be faulty, or templates that are not rendered yet: where they leave it
	// open, the call is not repeatable. Nothing and null mean {}.
	Repeatable(arguments json.RawMessage) bool
	// Call does the work and returns its result as JSON. It returns soon
	// after ctx ends.
	Call(ctx context.Context, call Call) (json.RawMessage, error)
}

// wrapped is a tool whose calls go through call. What it says of itself is what
// the tool within says.
type wrapped struct {
	Tool

	call func(ctx context.Context, call Call) (json.RawMessage, error)
}

func (w *wrapped) Call(ctx context.Context, call Call) (json.RawMessage, error) {
	return w.call(ctx, call)
}

package engine

import (
	"encoding/json"

	"gathering/internal/expr"
)

// Map does one thing for each item of a list, several at a time. Its output is
// the list of the items' outputs, in the order of the items.
type Map struct {
	// Over returns the items.
	Over func(scope *expr.Scope) ([]json.RawMessage, error)
	// Do is what is done for an item. Its expressions see the item and its
	// index. Its Retry, timeouts, OnError (fail or continue) and OnUnknown hold
	// for each item. Its Do is one of [Pure], [Work], [Sleep] and [Child].
	Do Node
	// MaxParallel bounds how many items are under way at once; 0 is
	// DefaultMaxParallel.
	MaxParallel int
	// SkipFailed leaves null in the place of an item that failed. Without it
	// the first such item stops the others, and the map fails.
	SkipFailed bool
}

const (
	// DefaultMaxParallel is how many items of a map are under way at once where
	// it does not say.
	DefaultMaxParallel = 10
	// MaxItems is how many items a map may have.
	MaxItems = 10_000
)

// Join waits for some of its incoming edges. Its output lists who was waited
// for, [{"node": …, "output": …}, …], in the order in which they came.
type Join struct {
	// Need is how many edges must be taken; 0 is all that are not dead. The
	// join is skipped as soon as that many cannot be any more.
	Need int
	// CancelRest stops, once the join runs, the nodes that lead to nothing but it.
	CancelRest bool
}

func (Map) behaviour()  {}
func (Join) behaviour() {}

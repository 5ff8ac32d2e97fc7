package event

import (
	"context"
	"iter"
	"sync"
)

// Tails are the tails of many sequences, each known by a key as "log:run_1" is.
// There is a tail for as long as somebody reads it. All of them together let
// few readers at once read for themselves, so that many who come at one time
// do not take the database from those who write.
type Tails[T any] struct {
	options func(key string) TailOptions[T]
	turns   chan struct{}

	mu    sync.Mutex
	tails map[string]*sharedTail[T]
}

type sharedTail[T any] struct {
	tail    *Tail[T]
	readers int
}

// NewTails returns tails that are made as options says.
func NewTails[T any](options func(key string) TailOptions[T]) *Tails[T] {
	return &Tails[T]{options: options, turns: make(chan struct{}, tailReaders), tails: make(map[string]*sharedTail[T])}
}

// Read is [Tail.Read] of the tail with that key.
func (ts *Tails[T]) Read(ctx context.Context, key string, after int64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		tail := ts.take(key)
		defer ts.give(key)
		tail.Read(ctx, after)(yield)
	}
}

// Behind is [Tail.Behind] of the tail with that key.
func (ts *Tails[T]) Behind(key string, position int64) int64 {
	ts.mu.Lock()
	shared := ts.tails[key]
	ts.mu.Unlock()
	if shared == nil {
		return 0
	}
	return shared.tail.Behind(position)
}

// Len is how many tails there are.
func (ts *Tails[T]) Len() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(ts.tails)
}

func (ts *Tails[T]) take(key string) *Tail[T] {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	shared := ts.tails[key]
	if shared == nil {
		shared = &sharedTail[T]{tail: newTail(ts.options(key), ts.turns)}
		ts.tails[key] = shared
	}
	shared.readers++
	return shared.tail
}

func (ts *Tails[T]) give(key string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	shared := ts.tails[key]
	if shared.readers--; shared.readers == 0 {
		delete(ts.tails, key)
	}
}

package event

import (
	"context"
	"iter"
	"sync"
	"time"

	"gathering"
)

const (
	tailPoll    = 500 * time.Millisecond
	tailItems   = 1000
	tailBytes   = 1 << 20
	tailPage    = 128                    // items that are read at once
	tailReaders = 4                      // that read the database at once, for what is not kept
	tailTimeout = 30 * time.Second       // of reading once
	tailRetry   = 100 * time.Millisecond // before reading again what could not be read, doubled each time
	tailPatient = 5 * time.Second        // at most
)

// PageBytes is after how many bytes who reads for a [Tail] may leave the rest
// for the next time.
const PageBytes = 1 << 20

// TailOptions say what a [Tail] follows and how much of it it keeps. Read and
// Position are needed.
type TailOptions[T any] struct {
	// Read returns the items after a position in their order, at most limit of
	// them. Fewer say that there were no more when it looked, unless they are
	// PageBytes by Size or more. It is called by many goroutines at once.
	Read func(ctx context.Context, after int64, limit int) ([]T, error)
	// Position is where an item is in the sequence: above 0, and higher for
	// every later one.
	Position func(item T) int64
	// Size is how many bytes an item takes. Default: none.
	Size func(item T) int
	// Oldest is the position of the oldest item that is still there, 0 where
	// none is. Nil says that a sequence never loses its beginning.
	Oldest func(ctx context.Context) (int64, error)
	Bell   *Bell // is listened to; nil is none
	Topic  string
	// Poll is after what time to look without a ring. Default 500 ms.
	Poll time.Duration
	// Items and Bytes are how many of the last items are kept. Defaults 1,000
	// and 1 MB. The last one is kept however large it is.
	Items, Bytes int
}

func (o TailOptions[T]) withDefaults() TailOptions[T] {
	if o.Size == nil {
		o.Size = func(T) int { return 0 }
	}
	if o.Bell == nil {
		o.Bell = new(Bell)
	}
	if o.Poll == 0 {
		o.Poll = tailPoll
	}
	if o.Items == 0 {
		o.Items = tailItems
	}
	if o.Bytes == 0 {
		o.Bytes = tailBytes
	}
	return o
}

// Tail follows one sequence that only grows, such as a log, on behalf of any
// number of readers in this process: what is new is read once for all of them.
// While somebody reads there is one goroutine that does, and it keeps the last
// items. A reader takes from these, one at a time; what they do not reach back
// to it reads for itself. So a reader that is slow or stands still costs
// nothing but its own place.
type Tail[T any] struct {
	options TailOptions[T]
	turns   chan struct{} // held by who reads for itself

	mu        sync.Mutex
	following *follower[T] // nil while nobody reads
}

// NewTail returns a tail that nobody reads yet.
func NewTail[T any](o TailOptions[T]) *Tail[T] {
	return newTail(o, make(chan struct{}, tailReaders))
}

func newTail[T any](o TailOptions[T], turns chan struct{}) *Tail[T] {
	return &Tail[T]{options: o.withDefaults(), turns: turns}
}

// GoneError tells a reader that what followed its position is not kept any
// more. It goes on with the oldest item that is.
type GoneError struct {
	After  int64 // the reader's position
	Oldest int64 // of what is still kept
}

func (e *GoneError) Error() string { return "what followed is not kept any more" }

// Read yields the items after a position, first those that are there and then
// each as it comes, every one once and in order, until the reader breaks off or
// ctx ends; the last error is then that of ctx. Position 0 is before everything
// that is kept.
//
// Errors come between the items, and after most of them a reader may go on:
//
//   - a [*GoneError] once where items are gone; those that are left follow
//   - an error of reading, once before the next item. Reading is tried again
//     until it succeeds, and whoever goes on misses nothing
//   - an error of the kinds not_found, forbidden, unauthenticated and invalid is
//     an answer, and the last thing that is yielded.
//
// The end of the last reader waits for the tail's goroutine.
func (t *Tail[T]) Read(ctx context.Context, after int64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		f := t.join()
		defer t.leave(f)
		r := reader[T]{tail: t, follower: f, position: after, yield: yield}
		for r.step(ctx) {
		}
	}
}

// Behind returns by how many positions one is behind the newest item that the
// tail has seen, 0 where it is not. The tail sees what is new while somebody
// reads it, from when the first of its readers has come to the end.
func (t *Tail[T]) Behind(position int64) int64 {
	t.mu.Lock()
	f := t.following
	t.mu.Unlock()
	if f == nil {
		return 0
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.head == nowhere {
		return 0
	}
	return max(f.head-position, 0)
}

func (t *Tail[T]) join() *follower[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.following == nil || t.following.over() {
		t.following = follow(&t.options)
	}
	t.following.readers++
	return t.following
}

func (t *Tail[T]) leave(f *follower[T]) {
	t.mu.Lock()
	f.readers--
	last := f.readers == 0
	if last && t.following == f {
		t.following = nil
	}
	t.mu.Unlock()
	if last {
		f.stop()
	}
}

// page reads what follows a position, and whether something before it is gone.
// That is asked after reading: what goes meanwhile is noticed, too.
func (o *TailOptions[T]) page(ctx context.Context, after int64) (items []T, gone *GoneError, err error) {
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	if items, err = o.Read(ctx, after, tailPage); err != nil {
		return nil, nil, err
	}
	if o.Oldest == nil || after == 0 || len(items) == 0 || o.Position(items[0]) == after+1 {
		return items, nil, nil
	}
	oldest, err := o.Oldest(ctx)
	if err != nil {
		return nil, nil, err
	}
	if oldest > after+1 {
		gone = &GoneError{After: after, Oldest: oldest}
	}
	return items, gone, nil
}

// full reports whether there may be more than was read.
func (o *TailOptions[T]) full(items []T) bool {
	size := 0
	for _, item := range items {
		size += o.Size(item)
	}
	return len(items) >= tailPage || size >= PageBytes
}

// isAnswer reports whether an error of reading is no trouble that may pass.
func isAnswer(err error) bool {
	switch gathering.KindOf(err) {
	case gathering.KindNotFound, gathering.KindForbidden, gathering.KindUnauthenticated, gathering.KindInvalid:
		return true
	default:
		return false
	}
}

// longer is how long to wait after the pause before.
func longer(pause time.Duration) time.Duration {
	return min(max(2*pause, tailRetry), tailPatient)
}

// sleep returns when the time is up or ctx has ended.
func sleep(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// reader is one Read under way.
type reader[T any] struct {
	tail     *Tail[T]
	follower *follower[T]
	position int64
	yield    func(T, error) bool
	told     bool          // of trouble since the last item
	pause    time.Duration // after the reader's own trouble; 0 while there is none
}

// step yields what is next, or waits for it, and reports whether to go on. It
// holds nothing of what the follower keeps while it yields.
func (r *reader[T]) step(ctx context.Context) bool {
	if ctx.Err() != nil {
		r.tell(ctx.Err())
		return false
	}
	v := r.follower.look(r.position)
	switch {
	case v.found:
		return r.give(v.item)
	case r.position < v.from:
		return r.catchUp(ctx, v.from)
	case v.trouble != nil && !r.trouble(v.trouble):
		return false
	}
	select {
	case <-v.news:
	case <-ctx.Done():
	}
	return true
}

func (r *reader[T]) give(item T) bool {
	r.position, r.told = r.tail.options.Position(item), false
	return r.yield(item, nil)
}

func (r *reader[T]) tell(err error) bool {
	var none T
	return r.yield(none, err)
}

// catchUp yields what follows from the database. The items that the follower
// keeps begin after from.
func (r *reader[T]) catchUp(ctx context.Context, from int64) bool {
	items, gone, err := r.page(ctx)
	if err != nil {
		return ctx.Err() != nil || r.fail(ctx, err)
	}
	r.pause = 0
	if gone != nil && !r.tell(gone) {
		return false
	}
	for _, item := range items {
		if ctx.Err() != nil {
			return true
		}
		if !r.give(item) {
			return false
		}
	}
	if len(items) == 0 {
		r.follower.anchor(r.position, from)
	}
	return true
}

func (r *reader[T]) page(ctx context.Context) ([]T, *GoneError, error) {
	select {
	case r.tail.turns <- struct{}{}:
		defer func() { <-r.tail.turns }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	return r.tail.options.page(ctx, r.position)
}

// fail tells of the reader's own trouble and waits before the next try.
func (r *reader[T]) fail(ctx context.Context, err error) bool {
	if !r.trouble(err) {
		return false
	}
	r.pause = longer(r.pause)
	sleep(ctx, r.pause)
	return true
}

// trouble tells of an error, unless the reader knows that there is trouble, and
// reports whether to go on.
func (r *reader[T]) trouble(err error) bool {
	if isAnswer(err) {
		r.tell(err)
		return false
	}
	if r.told {
		return true
	}
	r.told = true
	return r.tell(err)
}

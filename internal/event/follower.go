package event

import (
	"context"
	"math"
	"sort"
	"sync"
	"time"
)

// nowhere is the position of a follower that does not know yet from where on
// to follow: after everything, so that readers read for themselves.
const nowhere = math.MaxInt64

// follower reads what is new in a sequence, from when the first of its readers
// has come to the end until the last has left.
type follower[T any] struct {
	options  *TailOptions[T]
	readers  int    // guarded by the tail
	stop     func() // ends it and waits for that
	ended    chan struct{}
	anchored chan struct{} // there is a place to follow from

	mu sync.RWMutex
	// kept is every item after from up to head, oldest first.
	kept       []keptItem[T]
	bytes      int
	from, head int64
	news       chan struct{} // closed when more is kept or there is new trouble
	trouble    error         // nil while reading succeeds
}

type keptItem[T any] struct {
	item     T
	position int64
	size     int
}

func follow[T any](o *TailOptions[T]) *follower[T] {
	f := &follower[T]{
		options: o, ended: make(chan struct{}), anchored: make(chan struct{}, 1),
		from: nowhere, head: nowhere, news: make(chan struct{}),
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = func() {
		stop()
		<-f.ended
	}
	go func() {
		defer close(f.ended)
		f.run(ctx)
	}()
	return f
}

// over reports whether it will not read any more.
func (f *follower[T]) over() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

// run reads whenever there may be more, until ctx ends or reading is answered
// with an error that will not pass.
func (f *follower[T]) run(ctx context.Context) {
	rings, cancel := f.options.Bell.Subscribe(f.options.Topic)
	defer cancel()
	poll := time.NewTicker(f.options.Poll)
	defer poll.Stop()
	var pause time.Duration
	for ctx.Err() == nil {
		more, err := f.advance(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.fail(err)
			if isAnswer(err) {
				return
			}
			pause = longer(pause)
			sleep(ctx, pause)
			continue
		}
		if pause = 0; more {
			continue
		}
		select {
		case <-rings:
		case <-f.anchored:
		case <-poll.C:
		case <-ctx.Done():
		}
	}
}

// advance reads once and reports whether there may be more.
func (f *follower[T]) advance(ctx context.Context) (more bool, err error) {
	f.mu.RLock()
	head := f.head
	f.mu.RUnlock()
	if head == nowhere {
		return false, nil
	}
	items, gone, err := f.options.page(ctx, head)
	if err != nil {
		return false, err
	}
	if !f.keep(head, items, gone) {
		return true, nil
	}
	return f.options.full(items), nil
}

// keep adds items that were read after head, unless the follower has moved
// meanwhile. Where something between is gone only these are kept, so that
// readers who are at head come to know.
func (f *follower[T]) keep(head int64, items []T, gone *GoneError) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head != head {
		return false
	}
	f.trouble = nil
	if len(items) == 0 {
		return true
	}
	if gone != nil {
		f.kept, f.bytes, f.from = nil, 0, f.options.Position(items[0])-1
	}
	for _, item := range items {
		k := keptItem[T]{item: item, position: f.options.Position(item), size: f.options.Size(item)}
		f.kept = append(f.kept, k)
		f.bytes += k.size
		f.head = k.position
	}
	for len(f.kept) > 1 && (len(f.kept) > f.options.Items || f.bytes > f.options.Bytes) {
		f.from = f.kept[0].position
		f.bytes -= f.kept[0].size
		f.kept[0] = keptItem[T]{} // the array lives on
		f.kept = f.kept[1:]
	}
	f.wake()
	return true
}

func (f *follower[T]) wake() {
	close(f.news)
	f.news = make(chan struct{})
}

func (f *follower[T]) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trouble == nil || isAnswer(err) {
		f.trouble = err
		f.wake()
	}
}

// anchor makes the follower begin at a position after which a reader found
// nothing although from, where what is kept began then, was later: from was
// nowhere, or not a place of this sequence, or what led there is gone.
func (f *follower[T]) anchor(after, from int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.from != from {
		return
	}
	f.kept, f.bytes, f.from, f.head = nil, 0, after, after
	signal(f.anchored)
}

// view is what a reader sees of a follower.
type view[T any] struct {
	item    T // the next one, if it was found
	found   bool
	from    int64
	news    <-chan struct{}
	trouble error
}

// look returns what is kept after a position.
func (f *follower[T]) look(after int64) view[T] {
	f.mu.RLock()
	defer f.mu.RUnlock()
	v := view[T]{from: f.from, news: f.news, trouble: f.trouble}
	if after < f.from {
		return v
	}
	i := sort.Search(len(f.kept), func(i int) bool { return f.kept[i].position > after })
	if i < len(f.kept) {
		v.item, v.found = f.kept[i].item, true
	}
	return v
}

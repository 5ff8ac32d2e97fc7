package event

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gathering"
)

const (
	deltaFlush = 100 * time.Millisecond
	deltaItems = 1000
	deltaBytes = 1 << 20
)

// Pressure is what becomes of a delta for which a subscriber has no room.
type Pressure int

// The kinds of pressure.
const (
	// DropOldest makes room: what has waited longest is dropped, of the delta's
	// own topic where something of it waits.
	DropOldest Pressure = iota
	// Coalesce does so, too. But a subscriber that is behind has no more than
	// the last delta of each key waiting, not the last of every flush interval.
	Coalesce
	// Block lets the publisher wait until there is room or its context ends. A
	// delta of such a topic is never dropped to make room for others.
	Block
)

// DeltasOptions say how live deltas are passed on. The zero value works.
type DeltasOptions struct {
	// Flush is how long a delta may be held back, so that others go with it or
	// replace it. Default 100 ms.
	Flush time.Duration
	// Items and Bytes are how much may wait for one subscriber. As much again
	// may be in its hands. Bytes counts 400 for each delta beside its texts and
	// data. Defaults 1,000 and 1 MB.
	Items, Bytes int
	// Pressure is that of each topic; nil is DropOldest for all.
	Pressure func(topic string) Pressure
	Logger   *slog.Logger // of handlers that panic; default nobody
}

// Deltas passes live deltas from those who publish to those who subscribe, in
// this process and without storing anything. Every subscriber has a queue of
// its own, and what it does or does not do harms no other.
//
// What one publisher publishes to one topic reaches each subscriber in that
// order. Of the deltas of a topic with the same key that wait for a subscriber
// and came within one flush interval only the last is delivered, in its own
// place: what is delivered is what was published with some left out. A delta
// without a key is left out only where there is no room.
type Deltas struct {
	options  DeltasOptions
	handlers sync.WaitGroup
	counters deltaCounters

	mu sync.RWMutex
	// exact are the subscriptions to a topic by its name, prefixed those to all
	// topics that begin in some way. What is in a list stays as it is, for who
	// reads it without the lock: it grows or is replaced.
	exact    map[string][]*Subscription
	prefixed []*Subscription
	all      map[*Subscription]struct{}
	closed   bool
}

type deltaCounters struct{ offered, delivered, replaced, dropped atomic.Int64 }

// DeltaCounts says what became of deltas so far. A delta counts once for each
// subscriber that it was for; one that was for nobody does not count. What is in
// none of the others is waiting, or its subscription ended before.
type DeltaCounts struct {
	Offered   int64
	Delivered int64
	Replaced  int64 // by a later one with the same key
	Dropped   int64 // for want of room
}

// NewDeltas returns deltas that nobody subscribes to. Close them.
func NewDeltas(o DeltasOptions) *Deltas {
	if o.Flush == 0 {
		o.Flush = deltaFlush
	}
	if o.Items == 0 {
		o.Items = deltaItems
	}
	if o.Bytes == 0 {
		o.Bytes = deltaBytes
	}
	if o.Pressure == nil {
		o.Pressure = func(string) Pressure { return DropOldest }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Deltas{options: o, exact: make(map[string][]*Subscription), all: make(map[*Subscription]struct{})}
}

// Publish passes a delta on to those who subscribe to the topic. It waits only
// where the topic's pressure is Block, and no longer than until ctx ends; for
// whom there is no room by then the delta is dropped. Its time, if it has none,
// is now. Its data must not change any more.
func (d *Deltas) Publish(ctx context.Context, topic string, delta gathering.Delta) {
	exact, prefixed := d.subscribers(topic)
	if len(exact) == 0 && len(prefixed) == 0 {
		return
	}
	now := time.Now()
	if delta.At.IsZero() {
		delta.At = now
	}
	p := &publication{topic: topic, delta: delta, pressure: d.options.Pressure(topic), now: now}
	var full []*Subscription
	for _, s := range exact {
		if !s.offer(p) {
			full = append(full, s)
		}
	}
	for _, s := range prefixed {
		if s.wants(topic) && !s.offer(p) {
			full = append(full, s)
		}
	}
	var pressing sync.WaitGroup
	for _, s := range full { // at once, so that none waits for another
		pressing.Go(func() { s.press(ctx, p) })
	}
	pressing.Wait()
}

func (d *Deltas) subscribers(topic string) (exact, prefixed []*Subscription) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.exact[topic], d.prefixed
}

// Subscribe begins to gather what is published to the topics from now on. A
// topic that ends in "*" stands for all that begin so; "*" is every topic. Read
// what was gathered with All, and Close the subscription.
func (d *Deltas) Subscribe(topics ...string) *Subscription {
	s := newSubscription(d, topics)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.add(s)
	return s
}

// Handle calls handler with what is published to the topics from now on, one
// delivery after the other, see Subscribe. A handler that takes long misses what
// its queue does not hold; one that panics is not called again. Its context ends
// when cancel is called or the deltas are closed. Cancel does not wait for a
// call that is under way.
func (d *Deltas) Handle(handler func(ctx context.Context, delivery Delivery), topics ...string) (cancel func()) {
	s := newSubscription(d, topics)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.add(s) {
		d.handlers.Go(func() { d.serve(ctx, s, handler) })
	}
	return s.Close
}

func (d *Deltas) serve(ctx context.Context, s *Subscription, handler func(ctx context.Context, delivery Delivery)) {
	defer s.Close()
	defer func() {
		if p := recover(); p != nil {
			d.options.Logger.ErrorContext(ctx, "a handler of live deltas panicked and is not called any more",
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	for delivery := range s.All(ctx) {
		handler(ctx, delivery)
	}
}

// add makes a subscription known, unless everything is over, and it with that.
// The caller holds the lock.
func (d *Deltas) add(s *Subscription) bool {
	if d.closed {
		s.end()
		return false
	}
	d.all[s] = struct{}{}
	for _, topic := range s.topics {
		d.exact[topic] = append(d.exact[topic], s)
	}
	if len(s.prefixes) > 0 {
		d.prefixed = append(d.prefixed, s)
	}
	return true
}

func (d *Deltas) remove(s *Subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.all[s]; !known {
		return
	}
	delete(d.all, s)
	for _, topic := range s.topics {
		if d.exact[topic] = without(d.exact[topic], s); len(d.exact[topic]) == 0 {
			delete(d.exact, topic)
		}
	}
	d.prefixed = without(d.prefixed, s)
}

// without is a copy of the list without s.
func without(list []*Subscription, s *Subscription) []*Subscription {
	return slices.DeleteFunc(slices.Clone(list), func(other *Subscription) bool { return other == s })
}

// Counts returns what became of deltas so far.
func (d *Deltas) Counts() DeltaCounts {
	c := &d.counters
	return DeltaCounts{
		Offered: c.offered.Load(), Delivered: c.delivered.Load(), Replaced: c.replaced.Load(), Dropped: c.dropped.Load(),
	}
}

// Close ends every subscription, with what waits in it, and returns when no
// handler is called any more. After that nothing is published. It may be called
// more than once.
func (d *Deltas) Close() {
	d.mu.Lock()
	d.closed = true
	all := d.all
	d.all, d.exact, d.prefixed = nil, nil, nil
	d.mu.Unlock()
	for s := range all {
		s.end()
	}
	d.handlers.Wait()
}

// split parts names of topics from beginnings of them, each once.
func split(topics []string) (names, prefixes []string) {
	for _, topic := range slices.Compact(slices.Sorted(slices.Values(topics))) {
		if prefix, all := strings.CutSuffix(topic, "*"); all {
			prefixes = append(prefixes, prefix)
		} else {
			names = append(names, topic)
		}
	}
	return names, prefixes
}

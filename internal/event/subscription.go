package event

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"gathering"
)

// Delivery is what a subscriber gets at one time.
type Delivery struct {
	Deltas []gathering.Delta // in the order in which they were published
	// Dropped is how many deltas were dropped for want of room since the
	// delivery before. They came before the last of these.
	Dropped int
}

// Subscription gathers live deltas for one reader.
type Subscription struct {
	deltas           *Deltas
	topics, prefixes []string
	stop             func() // ends the handler's context; nil where there is none

	waiting chan struct{} // there is something to deliver
	urgent  chan struct{} // it takes half of the room
	ended   chan struct{}

	mu      sync.Mutex
	queue   deltaQueue
	since   time.Time // when the first of what waits came
	dropped int
	room    chan struct{} // closed when there is room again; nil while nobody waits for that
	over    bool
}

func newSubscription(d *Deltas, topics []string) *Subscription {
	s := &Subscription{
		deltas: d, waiting: make(chan struct{}, 1), urgent: make(chan struct{}, 1), ended: make(chan struct{}),
		queue: newDeltaQueue(d.options),
	}
	s.topics, s.prefixes = split(topics)
	return s
}

// wants reports whether the topic begins as the subscription says, and is not
// among its topics by name as well.
func (s *Subscription) wants(topic string) bool {
	return slices.ContainsFunc(s.prefixes, func(prefix string) bool { return strings.HasPrefix(topic, prefix) }) &&
		!slices.Contains(s.topics, topic)
}

// All yields what was gathered, each delivery a flush interval after the first
// delta in it came, or as soon as half of the room is taken or the reader comes
// back. It ends with ctx, and when the subscription does. Use it from one
// goroutine at a time.
func (s *Subscription) All(ctx context.Context) iter.Seq[Delivery] {
	return func(yield func(Delivery) bool) {
		due := time.NewTimer(0)
		defer due.Stop()
		for s.gathered(ctx, due) {
			delivery, ok := s.take()
			if !ok || !yield(delivery) {
				return
			}
		}
	}
}

// gathered waits until there is something to deliver and it is time to, and
// reports false when there will not be.
func (s *Subscription) gathered(ctx context.Context, due *time.Timer) bool {
	select {
	case <-s.waiting:
	case <-s.ended:
		return false
	case <-ctx.Done():
		return false
	}
	due.Reset(time.Until(s.start().Add(s.deltas.options.Flush)))
	select {
	case <-due.C:
	case <-s.urgent:
	case <-s.ended:
		return false
	case <-ctx.Done():
		signal(s.waiting) // for who reads on
		return false
	}
	return true
}

func (s *Subscription) start() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// Close ends the subscription. What waits in it is not delivered.
func (s *Subscription) Close() {
	s.deltas.remove(s)
	s.end()
}

func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	s.queue = deltaQueue{}
	close(s.ended)
	if s.stop != nil {
		s.stop()
	}
}

// publication is a delta on its way to its subscribers.
type publication struct {
	topic    string
	delta    gathering.Delta
	pressure Pressure
	now      time.Time
}

// offer puts a delta into the queue, and reports false where the publisher is
// to wait.
func (s *Subscription) offer(p *publication) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return true
	}
	placed, ok := s.queue.put(p)
	if !ok {
		signal(s.urgent)
		return false
	}
	counters := &s.deltas.counters
	counters.offered.Add(1)
	counters.replaced.Add(int64(placed.replaced))
	counters.dropped.Add(int64(placed.dropped))
	s.dropped += placed.dropped
	if s.since.IsZero() {
		s.since = p.now
		signal(s.waiting)
	}
	if s.queue.half() {
		signal(s.urgent)
	}
	return true
}

// press offers a delta again whenever there is room, until it is in the queue,
// the subscription has ended or ctx has.
func (s *Subscription) press(ctx context.Context, p *publication) {
	for {
		room := s.awaitRoom()
		if s.offer(p) {
			return
		}
		select {
		case <-room:
		case <-s.ended:
			return
		case <-ctx.Done():
			s.giveUp()
			return
		}
	}
}

func (s *Subscription) awaitRoom() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room == nil {
		s.room = make(chan struct{})
	}
	return s.room
}

// giveUp counts a delta whose publisher does not wait any longer.
func (s *Subscription) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deltas.counters.offered.Add(1)
	s.deltas.counters.dropped.Add(1)
	s.dropped++
}

// take empties the queue, and reports false when the subscription is over.
func (s *Subscription) take() (Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return Delivery{}, false
	}
	d := Delivery{Deltas: s.queue.take(), Dropped: s.dropped}
	s.deltas.counters.delivered.Add(int64(len(d.Deltas)))
	s.dropped, s.since = 0, time.Time{}
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	select {
	case <-s.urgent:
	default:
	}
	return d, true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

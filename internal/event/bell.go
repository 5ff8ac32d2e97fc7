package event

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Bell wakes whoever waits for news of a topic in this process and, with a
// [Relay], in others. Its zero value is ready. It holds nothing but the
// subscriptions that are open.
type Bell struct {
	mu     sync.Mutex
	topics map[string]map[chan struct{}]struct{}
	relay  atomic.Pointer[Relay]
}

// Subscribe returns a channel that receives after each ring of the topic;
// rings that come before it is read fall into one. Call cancel when done.
func (b *Bell) Subscribe(topic string) (rings <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.topics == nil {
		b.topics = make(map[string]map[chan struct{}]struct{})
	}
	if b.topics[topic] == nil {
		b.topics[topic] = make(map[chan struct{}]struct{})
	}
	b.topics[topic][c] = struct{}{}
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.topics[topic], c)
		if len(b.topics[topic]) == 0 {
			delete(b.topics, topic)
		}
	}
}

// Ring wakes the subscribers of the topic, wherever they are. It never blocks.
func (b *Bell) Ring(topic string) {
	b.RingHere(topic)
	b.RingElsewhere(topic)
}

// RingHere wakes the subscribers in this process and reports whether there are any.
func (b *Bell) RingHere(topic string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	wake(b.topics[topic])
	return len(b.topics[topic]) > 0
}

// RingElsewhere wakes the subscribers in other processes, a little later.
func (b *Bell) RingElsewhere(topic string) {
	if relay := b.relay.Load(); relay != nil {
		relay.gather(topic)
	}
}

// ringAll wakes the subscribers in this process of all topics that begin so.
func (b *Bell) ringAll(prefix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for topic, subscribers := range b.topics {
		if strings.HasPrefix(topic, prefix) {
			wake(subscribers)
		}
	}
}

func wake(subscribers map[chan struct{}]struct{}) {
	for c := range subscribers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

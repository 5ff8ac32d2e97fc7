package event

import "sync"

// Bell wakes whoever waits for news of a topic in this process. Its zero value
// is ready. It holds nothing but the subscriptions that are open.
type Bell struct {
	mu     sync.Mutex
	topics map[string]map[chan struct{}]struct{}
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

// Ring wakes the subscribers of the topic. It never blocks.
func (b *Bell) Ring(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.topics[topic] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

package event

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gathering/internal/store"
)

// Relay carries the rings of a bell to the bells of other processes on the same
// database, and theirs to it. It is as much a hint as the bell itself: what it
// loses whoever waits finds out later by looking.
//
// A message is the sender's name and a line for each topic. "log:*" stands for
// all topics of that kind. Who begins to listen asks who else is there ("?"),
// is answered ("!"), and all say so now and then; to nobody nothing is sent.
type Relay struct {
	bell    *Bell
	channel *store.Channel
	logger  *slog.Logger
	name    string
	stop    context.CancelFunc
	ended   sync.WaitGroup
	wake    chan struct{}

	mu     sync.Mutex
	topics map[string]struct{} // not sent yet; maxGathered at most
	words  []string            // of the relay itself
	others time.Time           // until when there is somebody
}

const (
	relayPause   = 20 * time.Millisecond // for which rings are gathered
	relayPresent = 30 * time.Second      // between two times that it says that it is there
	relayAbsent  = 3 * relayPresent      // after which who was not heard is gone
	relayNewborn = 2 * time.Second       // for which somebody is assumed to be there
	relaySend    = 5 * time.Second       // that sending one message may take
	maxGathered  = 10_000
)

const (
	wordWho  = "?"
	wordHere = "!"
)

// Relay begins to carry rings through the channel. Stop it.
func (b *Bell) Relay(channel *store.Channel, logger *slog.Logger) *Relay {
	ctx, stop := context.WithCancel(context.Background())
	r := &Relay{
		bell: b, channel: channel, logger: logger, name: rand.Text(), stop: stop,
		wake: make(chan struct{}, 1), topics: make(map[string]struct{}), others: time.Now().Add(relayNewborn),
	}
	r.ended.Go(func() { r.listen(ctx) })
	r.ended.Go(func() { r.send(ctx) })
	b.relay.Store(r)
	return r
}

// Stop sends what was gathered and returns when nothing of the relay is left.
// It may be called more than once.
func (r *Relay) Stop() {
	r.bell.relay.CompareAndSwap(r, nil)
	r.stop()
	r.ended.Wait()
}

// gather notes a topic that is to be rung elsewhere.
func (r *Relay) gather(topic string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().After(r.others) {
		return
	}
	if len(r.topics) >= maxGathered {
		topic = kindOf(topic) + "*"
	}
	r.topics[topic] = struct{}{}
	r.rouse()
}

func (r *Relay) say(word string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.words, word) {
		r.words = append(r.words, word)
	}
	r.rouse()
}

func (r *Relay) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// listen listens until ctx ends, again and again where the connection is lost.
func (r *Relay) listen(ctx context.Context) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := r.channel.Listen(ctx, func(message string) {
			pause = 100 * time.Millisecond
			r.hear(message)
		})
		if ctx.Err() != nil {
			return
		}
		r.logger.WarnContext(ctx, "the bell of other instances is not heard for now", slog.String("error", err.Error()))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// hear rings what others have rung; everything, when it begins to listen.
func (r *Relay) hear(message string) {
	if message == "" {
		r.bell.ringAll("")
		r.say(wordWho)
		return
	}
	lines := strings.Split(message, "\n")
	if lines[0] == r.name {
		return
	}
	r.mu.Lock()
	r.others = time.Now().Add(relayAbsent)
	r.mu.Unlock()
	for _, line := range lines[1:] {
		prefix, all := strings.CutSuffix(line, "*")
		switch {
		case line == wordWho:
			r.say(wordHere)
		case line == wordHere:
		case all:
			r.bell.ringAll(prefix)
		default:
			r.bell.RingHere(line)
		}
	}
}

// send sends what was gathered until ctx ends, and then what is left.
func (r *Relay) send(ctx context.Context) {
	present := time.NewTicker(relayPresent)
	defer present.Stop()
	sending := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		select {
		case <-r.wake:
			pause := time.NewTimer(relayPause)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
			}
		case <-present.C:
			r.say(wordHere)
		case <-ctx.Done():
		}
		r.flush(sending)
	}
	closing, cancel := context.WithTimeout(sending, relaySend)
	defer cancel()
	_ = r.channel.Close(closing) // there is nobody who could use it
}

// flush sends what was gathered as one message. What cannot be sent is dropped.
func (r *Relay) flush(ctx context.Context) {
	r.mu.Lock()
	topics, words := r.topics, r.words
	r.topics, r.words = make(map[string]struct{}), nil
	r.mu.Unlock()
	if len(topics) == 0 && len(words) == 0 {
		return
	}
	for topic := range topics {
		words = append(words, topic)
	}
	ctx, cancel := context.WithTimeout(ctx, relaySend)
	defer cancel()
	if err := r.channel.Notify(ctx, compose(r.name, words)); err != nil {
		r.logger.WarnContext(ctx, "the bells of other instances were not rung", slog.String("error", err.Error()))
	}
}

// compose makes a message that is not too long: where it would be, all topics
// of a kind become one, of that kind first which takes the most room.
func compose(name string, lines []string) string {
	size := len(name)
	room := make(map[string]int)
	for _, line := range lines {
		size += 1 + len(line)
		room[kindOf(line)] += 1 + len(line)
	}
	for size > store.MaxMessage && len(room) > 0 {
		largest := ""
		for kind, bytes := range room {
			if bytes > room[largest] {
				largest = kind
			}
		}
		lines = slices.DeleteFunc(lines, func(line string) bool { return kindOf(line) == largest })
		lines = append(lines, largest+"*")
		size += 2 + len(largest) - room[largest]
		delete(room, largest)
	}
	return name + "\n" + strings.Join(lines, "\n")
}

// kindOf is what a topic begins with: "log:" of "log:run_1".
func kindOf(topic string) string {
	kind, _, found := strings.Cut(topic, ":")
	if !found {
		return topic
	}
	return kind + ":"
}

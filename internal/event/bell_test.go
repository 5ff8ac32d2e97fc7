package event_test

import (
	"sync"
	"testing"

	"gathering/internal/event"
)

func rung(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestBell(t *testing.T) {
	t.Parallel()
	var b event.Bell
	b.Ring("a") // nobody listens
	first, cancelFirst := b.Subscribe("a")
	second, cancelSecond := b.Subscribe("a")
	other, cancelOther := b.Subscribe("b")
	defer cancelSecond()
	defer cancelOther()
	if rung(first) {
		t.Error("a ring from before the subscription is heard")
	}
	b.Ring("a")
	b.Ring("a")
	if !rung(first) || rung(first) {
		t.Error("two rings before one look are to be heard as one")
	}
	b.Ring("a")
	if !rung(first) || !rung(second) || rung(second) {
		t.Error("every subscriber is to hear its own ring")
	}
	if rung(other) {
		t.Error("a ring is heard under another topic")
	}
	cancelFirst()
	cancelFirst() // once more does no harm
	b.Ring("a")
	if rung(first) || !rung(second) {
		t.Error("a ring is to be heard by those who still listen alone")
	}
	again, cancelAgain := b.Subscribe("a")
	defer cancelAgain()
	cancelFirst()
	b.Ring("a")
	if !rung(again) {
		t.Error("an old subscription's end took away a new one")
	}
}

// TestBellIsHeard has many ring after a change and one look after each ring: it
// sees the last change, however the rings fell together.
func TestBellIsHeard(t *testing.T) {
	t.Parallel()
	const ringers, rings = 8, 500
	var (
		b      event.Bell
		mu     sync.Mutex
		count  int
		others sync.WaitGroup
	)
	heard, cancel := b.Subscribe("count")
	defer cancel()
	for range ringers {
		others.Go(func() {
			for range rings {
				mu.Lock()
				count++
				mu.Unlock()
				b.Ring("count")
				_, leave := b.Subscribe("count") // others come and go meanwhile
				leave()
			}
		})
	}
	for seen := 0; seen < ringers*rings; {
		<-heard
		mu.Lock()
		seen = count
		mu.Unlock()
	}
	others.Wait()
}

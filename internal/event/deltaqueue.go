package event

import (
	"time"

	"gathering"
)

// deltaQueue is what waits for one subscriber, in the order in which it came.
// It never holds more than its bounds allow.
type deltaQueue struct {
	interval     time.Duration
	items, bytes int // bounds

	first, last  *queued
	count, size  int
	latest       map[deltaKey]*queued // the last of each key
	window       int                  // counts flush intervals
	windowOpened time.Time
}

// queued is a delta that waits.
type queued struct {
	delta      gathering.Delta
	topic      string
	pressure   Pressure
	size       int
	window     int
	prev, next *queued
}

type deltaKey struct{ topic, key string }

// placed says what had to give way to a delta. One that is larger than all room
// is dropped itself, and so is one that nothing else may give way to.
type placed struct{ replaced, dropped int }

// deltaOverhead is about what a delta takes beside its texts and data: in the
// queue, in the index by key and in what is delivered.
const deltaOverhead = 400

func newDeltaQueue(o DeltasOptions) deltaQueue {
	return deltaQueue{interval: o.Flush, items: o.Items, bytes: o.Bytes, latest: make(map[deltaKey]*queued)}
}

func (p *publication) size() int {
	d := &p.delta
	return deltaOverhead + len(p.topic) + len(d.Type) + len(d.Stream) + len(d.Node) + len(d.Key) + len(d.Data)
}

// put adds a delta at the end, and reports false where it is to wait for room.
func (q *deltaQueue) put(p *publication) (result placed, ok bool) {
	n := &queued{delta: p.delta, topic: p.topic, pressure: p.pressure, size: p.size(), window: q.windowAt(p.now)}
	if n.size > q.bytes {
		return placed{dropped: 1}, true
	}
	old := q.replaceable(n)
	if n.pressure == Block && !q.fits(n, old) {
		return placed{}, false
	}
	if old != nil {
		q.remove(old)
		result.replaced++
	}
	for !q.fits(n, nil) {
		result.dropped++
		oldest := q.droppable(n)
		if oldest == nil {
			return result, true
		}
		q.remove(oldest)
	}
	q.add(n)
	return result, true
}

// windowAt is the flush interval that a time is in: the first one begins with
// the first delta that waits.
func (q *deltaQueue) windowAt(now time.Time) int {
	if now.Sub(q.windowOpened) >= q.interval {
		q.window++
		q.windowOpened = now
	}
	return q.window
}

// fits reports whether there is room for a delta, once old, which may be nil,
// has given way.
func (q *deltaQueue) fits(n, old *queued) bool {
	count, size := q.count+1, q.size+n.size
	if old != nil {
		count, size = count-1, size-old.size
	}
	return count <= q.items && size <= q.bytes
}

// replaceable is the delta that a later one makes worthless; nil is none.
func (q *deltaQueue) replaceable(n *queued) *queued {
	if n.delta.Key == "" {
		return nil
	}
	old := q.latest[deltaKey{n.topic, n.delta.Key}]
	if old != nil && old.window != n.window && n.pressure != Coalesce {
		return nil
	}
	return old
}

// droppable is the delta that makes room for another: the oldest of its topic,
// or else of all topics that may be dropped from; nil is none.
func (q *deltaQueue) droppable(n *queued) *queued {
	var oldest *queued
	for old := q.first; old != nil; old = old.next {
		switch {
		case old.pressure == Block:
		case old.topic == n.topic:
			return old
		case oldest == nil:
			oldest = old
		}
	}
	return oldest
}

func (q *deltaQueue) add(n *queued) {
	if n.prev = q.last; n.prev != nil {
		n.prev.next = n
	} else {
		q.first = n
	}
	q.last = n
	q.count++
	q.size += n.size
	if n.delta.Key != "" {
		q.latest[deltaKey{n.topic, n.delta.Key}] = n
	}
}

func (q *deltaQueue) remove(n *queued) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		q.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		q.last = n.prev
	}
	q.count--
	q.size -= n.size
	if key := (deltaKey{n.topic, n.delta.Key}); q.latest[key] == n {
		delete(q.latest, key)
	}
}

// half reports whether half of the room is taken.
func (q *deltaQueue) half() bool { return 2*q.count >= q.items || 2*q.size >= q.bytes }

// take empties the queue.
func (q *deltaQueue) take() []gathering.Delta {
	deltas := make([]gathering.Delta, 0, q.count)
	for n := q.first; n != nil; n = n.next {
		deltas = append(deltas, n.delta)
	}
	q.first, q.last, q.count, q.size = nil, nil, 0, 0
	q.windowOpened = time.Time{}
	clear(q.latest)
	return deltas
}

package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/event"
)

// piece is a delta of which only the number matters.
func piece(n int) gathering.Delta { return keyed("", n) }

func keyed(key string, n int) gathering.Delta {
	return gathering.Delta{Type: gathering.DeltaText, Stream: "run_1", Key: key, Attempt: n}
}

// numbers are those of the deltas of a delivery.
func numbers(d event.Delivery) []int {
	var all []int
	for _, delta := range d.Deltas {
		all = append(all, delta.Attempt)
	}
	return all
}

// deliveries are what a handler got.
type deliveries struct {
	mu  sync.Mutex
	all []event.Delivery
}

func (d *deliveries) note(_ context.Context, delivery event.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, delivery)
}

// take returns the numbers of what came since it was called last.
func (d *deliveries) take() [][]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all [][]int
	for _, delivery := range d.all {
		all = append(all, numbers(delivery))
	}
	d.all = nil
	return all
}

func count(first, last int) []int {
	var all []int
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

// heap is how much is in use once what is not is collected.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestDeltasOfABurst: a burst of 100,000 deltas to subscribers who do not come
// to take them leaves no more behind than the bounds allow.
//
//nolint:paralleltest // it measures the heap
func TestDeltasOfABurst(t *testing.T) {
	const deltas, subscribers, bound = 100_000, 4, 1 << 20
	for _, key := range []string{"none", "its own"} {
		d := event.NewDeltas(event.DeltasOptions{Items: deltas, Bytes: bound})
		stuck := make(chan struct{})
		for range subscribers {
			d.Handle(func(context.Context, event.Delivery) { <-stuck }, "run_1")
		}
		before := heap()
		for i := range deltas {
			delta := piece(i)
			if key != "none" {
				delta.Key = fmt.Sprint("key ", i)
			}
			delta.Data = json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
			d.Publish(t.Context(), "run_1", delta)
		}
		// What waits, and as much again in the hands of a handler.
		if got, most := heap()-before, int64(subscribers*2*bound); got > most {
			t.Errorf("keys %s: %d bytes are held after %d deltas of 1,000 bytes, want %d at most", key, got, deltas, most)
		}
		c := d.Counts()
		if got, want := c.Offered, int64(deltas*subscribers); got != want {
			t.Errorf("keys %s: got %d offered, want %d", key, got, want)
		}
		if most := int64(subscribers * 2 * bound / 1400); c.Dropped < c.Offered-most || c.Dropped > c.Offered {
			t.Errorf("keys %s: got %d dropped, want all but %d of %d", key, c.Dropped, most, c.Offered)
		}
		close(stuck)
		d.Close()
	}
}

// Repeated keys make at most a tenth of the work, in items and in calls.
func TestDeltasOfFewKeys(t *testing.T) {
	t.Parallel()
	const deltas, keys = 100_000, 10
	work := func(key func(i int) string) (calls, items int) {
		synctest.Test(t, func(t *testing.T) {
			d := event.NewDeltas(event.DeltasOptions{Items: 2 * deltas, Bytes: 1 << 30})
			last := map[string]int{}
			d.Handle(func(_ context.Context, delivery event.Delivery) {
				calls++
				items += len(delivery.Deltas)
				for _, delta := range delivery.Deltas {
					last[delta.Key] = delta.Attempt
				}
			}, "run_1")
			for i := range deltas {
				d.Publish(t.Context(), "run_1", keyed(key(i), i))
				if i%1000 == 999 {
					pass(10 * time.Millisecond)
				}
			}
			pass(time.Second)
			synctest.Wait()
			if got := last[key(deltas-1)]; got != deltas-1 {
				t.Errorf("the last that was heard is %d, want %d", got, deltas-1)
			}
			d.Close()
		})
		return calls, items
	}
	calls, items := work(func(int) string { return "" })
	if items != deltas {
		t.Errorf("got %d items without keys, want %d", items, deltas)
	}
	fewCalls, fewItems := work(func(i int) string { return fmt.Sprint(i % keys) })
	if fewItems*10 > items {
		t.Errorf("got %d items with %d keys, want a tenth of %d at most", fewItems, keys, items)
	}
	if fewCalls > calls {
		t.Errorf("got %d calls with %d keys, want no more than %d", fewCalls, keys, calls)
	}
}

func TestDeltasAreFlushed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := event.NewDeltas(event.DeltasOptions{Items: 10})
		defer d.Close()
		var got deliveries
		d.Handle(got.note, "run_1")
		publish := func(numbers ...int) {
			for _, n := range numbers {
				d.Publish(t.Context(), "run_1", piece(n))
			}
		}
		want := func(why string, deliveries ...[]int) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(deliveries, got.take()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", why, diff)
			}
		}
		pass(time.Hour)
		publish(1)
		pass(60 * time.Millisecond)
		publish(2)
		pass(40*time.Millisecond - 1)
		want("just before the interval is up")
		pass(1)
		want("after the interval", []int{1, 2})
		pass(99 * time.Millisecond)
		publish(3)
		pass(99 * time.Millisecond)
		want("in the next interval, which begins with a delta")
		pass(time.Millisecond)
		want("after that", []int{3})
		publish(4, 5, 6, 7, 8)
		want("when half of the room is taken", count(4, 8))
		publish(9)
		pass(100 * time.Millisecond)
		want("after that", []int{9})
	})
}

// A flush interval begins with the first delta that waits, also where what came
// before was delivered early.
func TestDeltasReplaceAfterAnEarlyFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := event.NewDeltas(event.DeltasOptions{Items: 4})
		var got deliveries
		d.Handle(got.note, "a")
		d.Publish(t.Context(), "a", piece(0))
		d.Publish(t.Context(), "a", piece(1))
		pass(20 * time.Millisecond)
		d.Publish(t.Context(), "a", keyed("k", 2))
		pass(85 * time.Millisecond)
		d.Publish(t.Context(), "a", keyed("k", 3))
		pass(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([][]int{{0, 1}, {3}}, got.take()); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
		d.Close()
	})
}

// Who comes back late is not kept waiting, and then no early delivery follows
// from what was before.
func TestDeltasOfWhoComesLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, next := stuck(event.DeltasOptions{Items: 10}, "a")
		for round := range 30 {
			late := 4 + round%2*2 // of 6 there are two reasons to deliver, and either may be taken
			for i := range late {
				d.Publish(t.Context(), "a", piece(i))
			}
			pass(time.Second)
			began := time.Now()
			if got := next(); len(got.Deltas) != late || time.Since(began) != 0 {
				t.Errorf("round %d: got %v after %s, want %d at once", round, got, time.Since(began), late)
			}
			d.Publish(t.Context(), "a", piece(9))
			if got := next(); len(got.Deltas) != 1 || time.Since(began) != 100*time.Millisecond {
				t.Errorf("round %d: got %v after %s, want one after 100ms", round, got, time.Since(began))
			}
		}
		d.Close()
	})
}

// TestDeltasReplace tells which of several deltas with one key is delivered,
// and where: what comes is what was published with some left out.
func TestDeltasReplace(t *testing.T) {
	t.Parallel()
	type step struct {
		topic, key string
		after      time.Duration // since the step before
	}
	now := time.Duration(0)
	tests := []struct {
		name     string
		pressure event.Pressure
		busy     time.Duration // that the handler takes for its first delivery
		steps    []step
		want     [][]int
	}{
		{"no key", event.DropOldest, 0, []step{{"a", "", now}, {"a", "", now}}, [][]int{{0, 1}}},
		{"one key", event.DropOldest, 0, []step{{"a", "k", now}, {"a", "k", now}, {"a", "k", now}}, [][]int{{2}}},
		{"in the place of the last", event.DropOldest, 0, []step{{"a", "k", now}, {"a", "", now}, {"a", "l", now}, {"a", "k", now}}, [][]int{{1, 2, 3}}},
		{"the same key of other topics", event.DropOldest, 0, []step{{"a", "k", now}, {"b", "k", now}}, [][]int{{0, 1}}},
		{"not once it was delivered", event.DropOldest, 0, []step{{"a", "k", now}, {"a", "k", 101 * time.Millisecond}}, [][]int{{0}, {1}}},
		{
			"not of another interval", event.DropOldest, time.Second,
			[]step{{"a", "", now}, {"a", "k", 110 * time.Millisecond}, {"a", "k", 90 * time.Millisecond}, {"a", "k", 20 * time.Millisecond}, {"a", "k", 10 * time.Millisecond}},
			[][]int{{0}, {2, 4}},
		},
		{
			"not of another interval where publishers wait", event.Block, time.Second,
			[]step{{"a", "", now}, {"a", "k", 110 * time.Millisecond}, {"a", "k", 90 * time.Millisecond}, {"a", "k", 20 * time.Millisecond}, {"a", "k", 10 * time.Millisecond}},
			[][]int{{0}, {2, 4}},
		},
		{
			"of all intervals where it is to coalesce", event.Coalesce, time.Second,
			[]step{{"a", "", now}, {"a", "k", 110 * time.Millisecond}, {"a", "l", 90 * time.Millisecond}, {"a", "k", 500 * time.Millisecond}},
			[][]int{{0}, {2, 3}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := event.NewDeltas(event.DeltasOptions{Pressure: func(string) event.Pressure { return test.pressure }})
				var got deliveries
				first := true
				d.Handle(func(ctx context.Context, delivery event.Delivery) {
					if got.note(ctx, delivery); first {
						first = false
						pass(test.busy)
					}
				}, "a", "b")
				for i, s := range test.steps {
					pass(s.after)
					d.Publish(t.Context(), s.topic, keyed(s.key, i))
					synctest.Wait()
				}
				pass(time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(test.want, got.take()); diff != "" {
					t.Errorf("deliveries (-want +got):\n%s", diff)
				}
				replaced := int64(len(test.steps))
				for _, delivery := range test.want {
					replaced -= int64(len(delivery))
				}
				want := event.DeltaCounts{Offered: int64(len(test.steps)), Delivered: int64(len(test.steps)) - replaced, Replaced: replaced}
				if diff := cmp.Diff(want, d.Counts()); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
				d.Close()
			})
		})
	}
}

// stuck is a subscription that has room for so many and is read when the test
// says so.
func stuck(o event.DeltasOptions, topics ...string) (*event.Deltas, func() event.Delivery) {
	d := event.NewDeltas(o)
	s := d.Subscribe(topics...)
	return d, func() event.Delivery {
		for delivery := range s.All(context.Background()) {
			return delivery
		}
		return event.Delivery{}
	}
}

func byTopic(topics map[string]event.Pressure) func(string) event.Pressure {
	return func(topic string) event.Pressure { return topics[topic] }
}

func TestDeltasDropTheOldest(t *testing.T) {
	t.Parallel()
	pressure := byTopic(map[string]event.Pressure{"kept": event.Block, "last": event.Coalesce})
	type published struct {
		topic, key string
		size       int
	}
	tests := []struct {
		name      string
		published []published
		want      []int
	}{
		{"as many as there is room for", []published{{"a", "", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "", 0}}, count(0, 3)},
		{"one more", []published{{"a", "", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "", 0}}, count(1, 4)},
		{"of its own topic first", []published{{"b", "", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "", 0}}, []int{0, 2, 3, 4}},
		{"of others where there is none", []published{{"b", "", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "", 0}, {"c", "", 0}}, []int{1, 2, 3, 4}},
		{"never of those that are to be kept", []published{{"kept", "", 0}, {"a", "", 0}, {"kept", "", 0}, {"kept", "", 0}, {"b", "", 0}}, []int{0, 2, 3, 4}},
		{"itself where there are only such", []published{{"kept", "", 0}, {"kept", "", 0}, {"kept", "", 0}, {"kept", "", 0}, {"b", "", 0}}, count(0, 3)},
		{"none where a key is repeated", []published{{"a", "k", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "k", 0}}, []int{1, 2, 3, 4}},
		{"none where a key is repeated of those that are to be kept", []published{{"kept", "k", 0}, {"a", "", 0}, {"a", "", 0}, {"a", "", 0}, {"kept", "k", 0}}, []int{1, 2, 3, 4}},
		{"as many as a long one takes", []published{{"a", "", 0}, {"a", "", 0}, {"a", "", 0}, {"b", "", 3000}}, []int{2, 3}},
		{"one that is longer than all room", []published{{"a", "", 0}, {"a", "", 4000}, {"a", "", 0}}, []int{0, 2}},
		{"keys without an end", []published{{"last", "1", 0}, {"last", "2", 0}, {"last", "3", 0}, {"last", "4", 0}, {"last", "5", 0}}, count(1, 4)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, next := stuck(event.DeltasOptions{Items: 4, Bytes: 4000, Pressure: pressure}, "*")
				for i, p := range test.published {
					delta := keyed(p.key, i)
					delta.Data = bytes.Repeat([]byte("1"), p.size)
					d.Publish(t.Context(), p.topic, delta)
				}
				got := next()
				if diff := cmp.Diff(test.want, numbers(got)); diff != "" {
					t.Errorf("delivered (-want +got):\n%s", diff)
				}
				c := d.Counts()
				if missing := int64(len(test.published) - len(test.want)); c.Dropped+c.Replaced != missing {
					t.Errorf("got %+v, want %d dropped or replaced", c, missing)
				}
				if int64(got.Dropped) != c.Dropped {
					t.Errorf("the subscriber is told of %d dropped, want %d", got.Dropped, c.Dropped)
				}
				d.Publish(t.Context(), "a", piece(9))
				if got := next(); got.Dropped != 0 || !slices.Equal(numbers(got), []int{9}) {
					t.Errorf("then got %+v, want 9 and none dropped", got)
				}
				d.Close()
			})
		})
	}
}

// A subscriber hears that something was dropped also where nothing is left.
func TestDeltasTellWhatIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, next := stuck(event.DeltasOptions{Bytes: 100}, "a")
		d.Publish(t.Context(), "a", piece(1))
		if got := next(); got.Dropped != 1 || len(got.Deltas) != 0 {
			t.Errorf("got %+v, want one dropped", got)
		}
		d.Close()
	})
}

func TestDeltasBlock(t *testing.T) {
	t.Parallel()
	blocking := event.DeltasOptions{Items: 4, Pressure: func(string) event.Pressure { return event.Block }}
	t.Run("until there is room", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d, next := stuck(blocking, "a")
			var quick deliveries // who is not kept waiting by the other
			d.Handle(quick.note, "a")
			var published atomic.Int32
			var publisher sync.WaitGroup
			publisher.Go(func() {
				for i := range 10 {
					d.Publish(t.Context(), "a", piece(i))
					published.Add(1)
				}
			})
			pass(time.Hour)
			synctest.Wait()
			if got, want := published.Load(), int32(4); got != want {
				t.Errorf("%d are published, want %d", got, want)
			}
			if diff := cmp.Diff(count(0, 4), slices.Concat(quick.take()...)); diff != "" {
				t.Errorf("the other got (-want +got):\n%s", diff)
			}
			var all []int
			for len(all) < 10 {
				got := next()
				if all = append(all, numbers(got)...); got.Dropped != 0 || len(got.Deltas) > 4 {
					t.Errorf("got %+v, want 4 at most and none dropped", got)
				}
				synctest.Wait()
			}
			if diff := cmp.Diff(count(0, 9), all); diff != "" {
				t.Errorf("delivered (-want +got):\n%s", diff)
			}
			publisher.Wait()
			d.Close()
		})
	})
	t.Run("not for a flush interval", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d := event.NewDeltas(event.DeltasOptions{Bytes: 2000, Pressure: blocking.Pressure})
			d.Handle(func(context.Context, event.Delivery) {}, "a")
			began := time.Now()
			d.Publish(t.Context(), "a", piece(0))
			long := piece(1)
			long.Data = bytes.Repeat([]byte("1"), 1500) // there is room for half as many, and not for this one
			d.Publish(t.Context(), "a", long)
			if got := time.Since(began); got != 0 {
				t.Errorf("waited for %s, want no time", got)
			}
			d.Close()
		})
	})
	t.Run("no longer than the publisher has time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d, next := stuck(blocking, "a")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			for i := range 6 {
				d.Publish(ctx, "a", piece(i))
			}
			if got, want := time.Since(began), time.Second; got != want {
				t.Errorf("waited for %s, want %s", got, want)
			}
			if got := next(); got.Dropped != 2 || !slices.Equal(numbers(got), count(0, 3)) {
				t.Errorf("got %+v, want 4 and 2 dropped", got)
			}
			if got, want := d.Counts(), (event.DeltaCounts{Offered: 6, Delivered: 4, Dropped: 2}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			d.Close()
		})
	})
	for _, how := range []string{"subscription is closed", "deltas are closed", "handler panics"} {
		t.Run("until the "+how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := event.NewDeltas(blocking)
				s := d.Subscribe("a")
				goOn := make(chan struct{})
				if how == "handler panics" {
					s.Close()
					d.Handle(func(context.Context, event.Delivery) {
						<-goOn
						panic("boom")
					}, "a")
				}
				var publisher sync.WaitGroup
				publisher.Go(func() {
					for i := range 20 {
						d.Publish(context.Background(), "a", piece(i))
					}
				})
				synctest.Wait()
				switch how {
				case "subscription is closed":
					s.Close()
				case "deltas are closed":
					d.Close()
				default:
					close(goOn)
				}
				publisher.Wait()
				d.Close()
			})
		})
	}
}

// A handler that panics or does not return harms nobody but itself.
func TestDeltasOfBadHandlers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := event.NewDeltas(event.DeltasOptions{Items: 10, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		panics, exits, good := 0, 0, 0
		d.Handle(func(context.Context, event.Delivery) {
			panics++
			panic("boom")
		}, "a")
		d.Handle(func(context.Context, event.Delivery) {
			exits++
			runtime.Goexit()
		}, "a")
		d.Handle(func(ctx context.Context, _ event.Delivery) { <-ctx.Done() }, "a")
		d.Handle(func(_ context.Context, delivery event.Delivery) { good += len(delivery.Deltas) }, "a")
		for i := range 100 {
			d.Publish(t.Context(), "a", piece(i))
			pass(time.Second)
		}
		synctest.Wait()
		if panics != 1 || exits != 1 {
			t.Errorf("called %d and %d times after they panicked or left, want once", panics, exits)
		}
		if want := 100; good != want {
			t.Errorf("the good one got %d, want %d", good, want)
		}
		if got, want := d.Counts(), (event.DeltaCounts{Offered: 202, Delivered: 103, Dropped: 89}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := log.String(); strings.Count(got, "panicked") != 1 || !strings.Contains(got, "boom") || !strings.Contains(got, "deltas_test.go") {
			t.Errorf("the log has %q, want one panic with its place", got)
		}
		d.Close()
	})
}

func TestDeltasTopics(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		topics []string
		want   []int // of the topics run:1, run:12, chat:1 and ""
	}{
		{"one", []string{"run:1"}, []int{0}},
		{"two", []string{"run:1", "chat:1"}, []int{0, 2}},
		{"one twice", []string{"run:1", "run:1"}, []int{0}},
		{"a beginning", []string{"run:*"}, []int{0, 1}},
		{"beginnings of each other and a name", []string{"run:1*", "run:*", "run:12"}, []int{0, 1}},
		{"all", []string{"*"}, []int{0, 1, 2, 3}},
		{"none", nil, nil},
		{"another", []string{"run:2", "x*"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := event.NewDeltas(event.DeltasOptions{})
				var got deliveries
				cancel := d.Handle(got.note, test.topics...)
				other := d.Subscribe(test.topics...)
				for i, topic := range []string{"run:1", "run:12", "chat:1", ""} {
					d.Publish(t.Context(), topic, piece(i))
				}
				pass(time.Second)
				cancel()
				cancel() // once more does no harm
				d.Publish(t.Context(), "run:1", piece(9))
				pass(time.Second)
				synctest.Wait()
				if diff := cmp.Diff(test.want, slices.Concat(got.take()...)); diff != "" {
					t.Errorf("heard (-want +got):\n%s", diff)
				}
				other.Close()
				before := d.Counts()
				d.Publish(t.Context(), "run:1", piece(9))
				if diff := cmp.Diff(before, d.Counts()); diff != "" {
					t.Errorf("what is for nobody is counted (-want +got):\n%s", diff)
				}
				d.Close()
			})
		})
	}
}

func TestDeltasHaveATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, next := stuck(event.DeltasOptions{}, "a")
		past := time.Now().Add(-time.Hour)
		d.Publish(t.Context(), "a", gathering.Delta{At: past})
		d.Publish(t.Context(), "a", gathering.Delta{})
		now := time.Now()
		got := next().Deltas
		if !got[0].At.Equal(past) || !got[1].At.Equal(now) {
			t.Errorf("got %s and %s, want %s and %s", got[0].At, got[1].At, past, now)
		}
		d.Close()
	})
}

// A subscription that was left is read on where it was left.
func TestDeltasReadOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := event.NewDeltas(event.DeltasOptions{})
		s := d.Subscribe("a")
		d.Publish(t.Context(), "a", piece(1))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		for delivery := range s.All(ctx) {
			t.Errorf("got %+v before it was time", delivery)
		}
		for delivery := range s.All(t.Context()) {
			if got := numbers(delivery); !slices.Equal(got, []int{1}) {
				t.Errorf("got %v, want 1", got)
			}
			break
		}
		s.Close()
		for delivery := range s.All(t.Context()) {
			t.Errorf("got %+v of what is closed", delivery)
		}
		d.Close()
	})
}

// Of a subscription that has ended nothing is left.
func TestDeltasForget(t *testing.T) {
	t.Parallel()
	d := event.NewDeltas(event.DeltasOptions{})
	other := d.Subscribe("a", "b*")
	var ended []weak.Pointer[event.Subscription]
	for range 10 {
		s := d.Subscribe("a", "b*")
		ended = append(ended, weak.Make(s))
		s.Close()
	}
	runtime.GC()
	for _, s := range ended {
		if s.Value() != nil {
			t.Error("a subscription that has ended is still held")
		}
	}
	other.Close()
	d.Close()
}

func TestDeltasClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := event.NewDeltas(event.DeltasOptions{})
		ended := false
		d.Handle(func(ctx context.Context, _ event.Delivery) {
			<-ctx.Done()
			pass(time.Second)
			ended = true
		}, "a")
		idle := d.Subscribe("a")
		var reader sync.WaitGroup
		reader.Go(func() {
			for range idle.All(context.Background()) {
			}
		})
		d.Publish(t.Context(), "a", piece(1))
		pass(150 * time.Millisecond)
		d.Close()
		if !ended {
			t.Error("closed while a handler is called")
		}
		reader.Wait()
		d.Close()
		d.Publish(t.Context(), "a", piece(2))
		for delivery := range d.Subscribe("a").All(context.Background()) {
			t.Errorf("got %+v after all was closed", delivery)
		}
		cancel := d.Handle(func(context.Context, event.Delivery) { t.Error("called after all was closed") }, "a")
		pass(time.Second)
		cancel()
	})
}

// TestDeltasOfMany has many publish to many topics while subscribers of all
// kinds come and go. What each gets of one publisher and topic is in order, and
// nothing is missing for those who stay that was not dropped or replaced.
func TestDeltasOfMany(t *testing.T) {
	t.Parallel()
	for name, pressure := range map[string]event.Pressure{"drop": event.DropOldest, "coalesce": event.Coalesce, "block": event.Block} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const publishers, topics, deltas, passing = 8, 4, 3000, 16
			d := event.NewDeltas(event.DeltasOptions{
				Flush: time.Millisecond, Items: 100, Pressure: func(string) event.Pressure { return pressure },
			})
			var publishing, coming, staying sync.WaitGroup
			staying.Add(2)
			all := []*ordered{{t: t, last: &staying}, {t: t, last: &staying}}
			d.Handle(all[0].note, "*")
			d.Handle(all[1].note, "topic:0", "topic:1", "topic:2", "topic:3")
			var over atomic.Bool
			for i := range uint64(passing) {
				coming.Go(func() {
					for random := rand.New(rand.NewPCG(i, 0)); !over.Load(); {
						comeAndGo(t, d, random)
					}
				})
			}
			for p := range publishers {
				publishing.Go(func() {
					for i := range deltas {
						topic := fmt.Sprint("topic:", i%topics)
						delta := gathering.Delta{Stream: topic, Node: fmt.Sprint("from ", p), Attempt: i + 1}
						if i%3 == 0 && pressure != event.Block {
							delta.Key = fmt.Sprint(p, i%5)
						}
						d.Publish(t.Context(), topic, delta)
					}
				})
			}
			publishing.Wait()
			over.Store(true)
			coming.Wait()
			before := d.Counts()
			d.Publish(t.Context(), "topic:0", gathering.Delta{Node: "last", Attempt: 1})
			staying.Wait()
			d.Close()
			for _, o := range all {
				if got, want := o.got+o.dropped, publishers*deltas+1; got > want || pressure == event.Block && got != want {
					t.Errorf("got %d and %d dropped of %d", o.got, o.dropped, want)
				}
			}
			if c := d.Counts(); c.Offered != before.Offered+2 || pressure == event.Block && c.Dropped > 0 {
				t.Errorf("got %+v after %+v and one more for two", c, before)
			}
		})
	}
}

// ordered is a handler that checks the order of what it gets.
type ordered struct {
	t            *testing.T
	last         *sync.WaitGroup // done with the last of all; nil for who does not stay
	got, dropped int
	seen         map[string]int
}

func (o *ordered) note(_ context.Context, delivery event.Delivery) {
	if o.seen == nil {
		o.seen = map[string]int{}
	}
	o.got += len(delivery.Deltas)
	o.dropped += delivery.Dropped
	for _, delta := range delivery.Deltas {
		way := delta.Node + " to " + delta.Stream
		if delta.Attempt <= o.seen[way] {
			o.t.Errorf("%s: got %d after %d", way, delta.Attempt, o.seen[way])
		}
		if o.seen[way] = delta.Attempt; delta.Node == "last" && o.last != nil {
			o.last.Done()
		}
	}
}

// comeAndGo subscribes for a moment.
func comeAndGo(t *testing.T, d *event.Deltas, random *rand.Rand) {
	t.Helper()
	o, topic := &ordered{t: t}, fmt.Sprint("topic:", random.IntN(4))
	if random.IntN(2) == 0 {
		cancel := d.Handle(o.note, topic, "topic:*")
		runtime.Gosched()
		cancel()
		return
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Duration(random.IntN(3))*time.Millisecond)
	defer stop()
	s := d.Subscribe(topic)
	defer s.Close()
	for delivery := range s.All(ctx) {
		o.note(ctx, delivery)
	}
}

package ratelimit_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering/internal/ratelimit"
)

// open returns a limiter that is closed with the test.
func open(tb testing.TB, o ratelimit.Options) *ratelimit.Limiter {
	tb.Helper()
	l, err := ratelimit.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Close)
	return l
}

func rate(tb testing.TB, text string) ratelimit.Rate {
	tb.Helper()
	r, err := ratelimit.ParseRate(text)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// stepped is a clock that goes as it is told.
type stepped struct{ at atomic.Pointer[time.Time] }

func newStepped() *stepped {
	var c stepped
	c.set(time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC))
	return &c
}

func (c *stepped) now() time.Time       { return *c.at.Load() }
func (c *stepped) set(to time.Time)     { c.at.Store(&to) }
func (c *stepped) pass(d time.Duration) { c.set(c.now().Add(d)) }

func let(limit, remaining int, reset time.Duration) ratelimit.Verdict {
	return ratelimit.Verdict{Allowed: true, Limit: limit, Remaining: remaining, Reset: reset}
}

func refuse(limit int, reset, after time.Duration) ratelimit.Verdict {
	return ratelimit.Verdict{Limit: limit, Reset: reset, RetryAfter: after}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	const s, ms = time.Second, time.Millisecond
	type step struct {
		wait time.Duration
		look bool
		want ratelimit.Verdict
	}
	for name, test := range map[string]struct {
		rate  string
		steps []step
	}{
		"a burst, then a steady refill": {"3/min", []step{
			{0, true, let(3, 3, 0)},
			{0, false, let(3, 2, 20*s)},
			{0, false, let(3, 1, 40*s)},
			{0, true, let(3, 1, 40*s)},
			{0, false, let(3, 0, 60*s)},
			{0, true, refuse(3, 60*s, 20*s)},
			{0, false, refuse(3, 60*s, 20*s)},
			{20*s - 1, false, refuse(3, 40*s+1, 1)},
			{1, true, let(3, 1, 40*s)},
			{0, false, let(3, 0, 60*s)},
			{20 * s, false, let(3, 0, 60*s)},
			{50 * s, false, let(3, 1, 30*s)},
			{30 * s, true, let(3, 3, 0)},
			{time.Hour, false, let(3, 2, 20*s)},
		}},
		"a single request": {"1/h", []step{
			{0, false, let(1, 0, time.Hour)},
			{0, false, refuse(1, time.Hour, time.Hour)},
			{time.Hour - 1, false, refuse(1, 1, 1)},
			{1, false, let(1, 0, time.Hour)},
		}},
		"requests between refills": {"2/s", []step{
			{0, false, let(2, 1, 500*ms)},
			{100 * ms, false, let(2, 0, 900*ms)},
			{100 * ms, false, refuse(2, 800*ms, 300*ms)},
			{300 * ms, false, let(2, 0, s)},
			{0, false, refuse(2, s, 500*ms)},
		}},
		"an interval that is no whole number of nanoseconds": {"7/s", []step{
			{0, false, let(7, 6, 142857143)},
			{0, false, let(7, 5, 285714286)},
			{0, false, let(7, 4, 428571429)},
			{0, false, let(7, 3, 571428572)},
			{0, false, let(7, 2, 714285715)},
			{0, false, let(7, 1, 857142858)},
			{0, false, let(7, 0, s+1)},
			{0, false, refuse(7, s+1, 142857143)},
			{142857142, false, refuse(7, 857142859, 1)},
			{1, false, let(7, 0, s+1)},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := open(t, ratelimit.Options{})
				for i, step := range test.steps {
					<-time.After(step.wait)
					ask := l.Take
					if step.look {
						ask = l.Look
					}
					if diff := cmp.Diff(step.want, ask(t.Context(), "ada", rate(t, test.rate))); diff != "" {
						t.Errorf("step %d (-want +got):\n%s", i, diff)
					}
				}
			})
		})
	}
}

// used takes everything out of a bucket and returns how much that was.
func used(l *ratelimit.Limiter, key string, r ratelimit.Rate) int {
	for n := 0; ; n++ {
		if !l.Take(context.Background(), key, r).Allowed {
			return n
		}
	}
}

func TestBucketsOfKeysAndRates(t *testing.T) {
	t.Parallel()
	l := open(t, ratelimit.Options{Now: newStepped().now})
	for _, r := range []string{"3/min", "5/min", "3/h", "4/h"} {
		for _, key := range []string{"", "ada", "ada ", "bob", "min", strings.Repeat("x", 1<<20)} {
			if got, want := used(l, key, rate(t, r)), rate(t, r).Requests; got != want {
				t.Errorf("%s let %d requests of a fresh key through, want %d", r, got, want)
			}
		}
	}
}

func TestRatesThatAreNone(t *testing.T) {
	t.Parallel()
	l := open(t, ratelimit.Options{})
	for _, r := range []ratelimit.Rate{
		{},
		{Requests: 1},
		{Per: time.Second},
		{Requests: -1, Per: time.Second},
		{Requests: 1, Per: -time.Second},
		{Requests: 1_000_001, Per: time.Second},
		{Requests: 1, Per: time.Second - 1},
		{Requests: 1, Per: 24*time.Hour + 1},
		{Requests: math.MaxInt, Per: math.MaxInt64},
	} {
		want := ratelimit.Verdict{RetryAfter: time.Minute}
		if got := l.Take(t.Context(), "ada", r); got != want {
			t.Errorf("%+v: got %+v, want nothing let through", r, got)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	l := open(t, ratelimit.Options{Now: newStepped().now})
	r := rate(t, "5000/h")
	var let, left atomic.Int64
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 200 {
				if v := l.Take(context.Background(), "ada", r); v.Allowed {
					let.Add(1)
					left.Add(int64(v.Remaining))
				}
			}
		})
	}
	callers.Wait()
	if got := let.Load(); got != 5000 {
		t.Errorf("%d requests were let through, want 5000", got)
	}
	if got, want := left.Load(), int64(5000*4999/2); got != want {
		t.Errorf("what remained adds up to %d, want %d: each number once", got, want)
	}
}

func TestClockThatGoesBack(t *testing.T) {
	t.Parallel()
	for _, taken := range []int{1, 6} {
		c := newStepped()
		l := open(t, ratelimit.Options{Now: c.now})
		r := rate(t, "6/min")
		for range taken {
			l.Take(t.Context(), "ada", r)
		}
		c.pass(-time.Hour)
		want := refuse(6, time.Minute, 10*time.Second)
		if got := l.Take(t.Context(), "ada", r); got != want {
			t.Fatalf("with %d taken: got %+v, want %+v: it is taken to be empty", taken, got, want)
		}
		for range 20 {
			c.pass(10 * time.Second)
			if got, want := l.Take(t.Context(), "ada", r), let(6, 0, time.Minute); got != want {
				t.Fatalf("with %d taken: got %+v, want %+v: it refills", taken, got, want)
			}
		}
	}
}

// FuzzTake holds, whatever is asked and when, that no span of Per lets more
// than 2*Requests-1 through nor an instant more than Requests, that whoever
// waits for RetryAfter is let through and nobody who waits for less, and that a
// look tells what is taken next.
func FuzzTake(f *testing.F) {
	f.Add(uint32(10), int64(time.Minute), []byte("aaaaaaaaaaaaaaaazzzzzzzzzzz"))
	f.Add(uint32(7), int64(time.Second), []byte{0, 0, 0, 0, 0, 0, 0, 0, 255, 1, 0, 0, 254, 3, 0, 0, 253, 0, 0, 0})
	f.Add(uint32(2), int64(time.Second), []byte{0, 0, 0, 64, 64, 64, 64, 64, 0, 2, 62, 191, 0, 0})
	f.Add(uint32(1), int64(24*time.Hour), []byte{0, 255, 0, 255, 0})
	f.Fuzz(func(t *testing.T, requests uint32, per int64, waits []byte) {
		r := ratelimit.Rate{
			Requests: 1 + int(requests%50),
			Per:      time.Second + time.Duration(uint64(per)%uint64(24*time.Hour-time.Second)),
		}
		c := newStepped()
		l := open(t, ratelimit.Options{Now: c.now})
		begin := c.now()
		take := func() ratelimit.Verdict {
			look := l.Look(t.Context(), "ada", r)
			v := l.Take(t.Context(), "ada", r)
			if look.Allowed != v.Allowed || look.RetryAfter != v.RetryAfter || v.Allowed && look.Remaining != v.Remaining+1 {
				t.Fatalf("it looked like %+v and was %+v", look, v)
			}
			if v.Allowed == (v.RetryAfter > 0) || v.Remaining < 0 || v.Reset < 0 || v.Remaining >= r.Requests {
				t.Fatalf("%+v contradicts itself", v)
			}
			return v
		}
		var let []time.Duration
		note := func(v ratelimit.Verdict) {
			if v.Allowed {
				let = append(let, c.now().Sub(begin))
			}
		}
		for _, wait := range waits {
			// A small wait is a part of the time in which one request is
			// refilled, a large one a part of Per.
			if wait < 128 {
				c.pass(r.Per / time.Duration(r.Requests) * time.Duration(wait) / 64)
			} else {
				c.pass(r.Per * time.Duration(wait-128) / 64)
			}
			v := take()
			note(v)
			if !v.Allowed && wait%2 == 0 {
				c.pass(v.RetryAfter - 1)
				if again := take(); again.Allowed || again.RetryAfter != 1 {
					t.Fatalf("a nanosecond early: %+v", again)
				}
				c.pass(1)
				if v = take(); !v.Allowed {
					t.Fatalf("who waited is refused: %+v", v)
				}
				note(v)
			}
		}
		for i, at := range let {
			if j := i + 2*r.Requests - 1; j < len(let) && let[j]-at < r.Per {
				t.Fatalf("%d requests were let through within %s at %s", 2*r.Requests, let[j]-at, r)
			}
			if j := i + r.Requests; j < len(let) && let[j] == at {
				t.Fatalf("%d requests were let through at once at %s", r.Requests+1, r)
			}
		}
	})
}

func TestFullBucketsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, ratelimit.Options{})
		fast, slow := rate(t, "6/min"), rate(t, "2/h")
		for i := range 100 {
			l.Take(t.Context(), fmt.Sprint("fast", i), fast)
			used(l, fmt.Sprint("slow", i), slow)
			l.Look(t.Context(), fmt.Sprint("looked at", i), fast)
		}
		if got := l.Buckets(); got != 200 {
			t.Fatalf("%d buckets are kept, want 200", got)
		}
		<-time.After(12 * time.Second)
		if got := l.Buckets(); got != 100 {
			t.Errorf("%d buckets are kept, want the 100 that are not full", got)
		}
		<-time.After(59 * time.Minute)
		if v := l.Look(t.Context(), "slow1", slow); v.Remaining != 1 || l.Buckets() != 100 {
			t.Errorf("an idle bucket was forgotten before it was full: %+v", v)
		}
		<-time.After(time.Minute)
		if got := l.Buckets(); got != 0 {
			t.Errorf("%d buckets are kept of keys that are idle, want none", got)
		}
	})
}

// TestFlood holds that memory is bounded however many keys there are, and that
// whoever is held back does not get free by it.
func TestFlood(t *testing.T) {
	t.Parallel()
	const keys, flood = 2_000, 60_000
	l := open(t, ratelimit.Options{Keys: keys, Now: newStepped().now})
	r := rate(t, "10/h")
	used(l, "mallory", r)
	most := 0
	for i := range flood {
		l.Take(t.Context(), fmt.Sprint(i), r)
		if i%100 == 0 && l.Take(t.Context(), "mallory", r).Allowed {
			t.Fatalf("who is held back and keeps asking got free after %d keys", i)
		}
		if i%1000 == 0 {
			most = max(most, l.Buckets())
		}
	}
	if most > keys+keys/10 || l.Buckets() < keys/2 {
		t.Errorf("%d buckets are kept and %d were, want about %d", l.Buckets(), most, keys)
	}
}

func TestCallersAtOnceOfManyKeys(t *testing.T) {
	t.Parallel()
	l := open(t, ratelimit.Options{Keys: 100})
	r := rate(t, "1000/s")
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for j := range 2000 {
				l.Take(context.Background(), fmt.Sprint(i*j%777), r)
			}
		})
	}
	callers.Wait()
	if got := l.Buckets(); got > 110 {
		t.Errorf("%d buckets are kept, want 100", got)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	l := open(t, ratelimit.Options{Now: newStepped().now})
	r := rate(t, "3/h")
	l.Take(t.Context(), "ada", r)
	l.Close()
	l.Close()
	if got := used(l, "ada", r); got != 2 {
		t.Errorf("%d requests were let through, want the 2 that were left", got)
	}
}

func BenchmarkTake(b *testing.B) {
	r := ratelimit.Rate{Requests: 600, Per: time.Minute}
	b.Run("one key", func(b *testing.B) {
		l := open(b, ratelimit.Options{})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Take(context.Background(), "user:ada", r)
			}
		})
	})
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%d", i)
	}
	b.Run("many keys", func(b *testing.B) {
		l := open(b, ratelimit.Options{})
		b.ReportAllocs()
		var at atomic.Uint64
		b.RunParallel(func(pb *testing.PB) {
			for i := at.Add(1 << 12); pb.Next(); i++ {
				l.Take(context.Background(), keys[i%uint64(len(keys))], r)
			}
		})
	})
	b.Run("flood", func(b *testing.B) {
		l := open(b, ratelimit.Options{})
		b.ReportAllocs()
		var at atomic.Uint64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Take(context.Background(), fmt.Sprint(at.Add(1)), r)
			}
		})
	})
	b.Run("redis", func(b *testing.B) {
		l := open(b, ratelimit.Options{Redis: redisURL(b), Timeout: patience})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Take(context.Background(), "user:ada", r)
			}
		})
	})
}

// BenchmarkMemory says how many bytes a bucket takes when there are too many.
func BenchmarkMemory(b *testing.B) {
	r := ratelimit.Rate{Requests: 10, Per: time.Hour}
	for b.Loop() {
		before := heap()
		l := open(b, ratelimit.Options{})
		for i := range 1_000_000 {
			l.Take(context.Background(), fmt.Sprint(i), r)
		}
		b.ReportMetric(float64(heap()-before)/float64(l.Buckets()), "B/bucket")
		b.ReportMetric(float64(heap()-before)/1e6, "MB")
		l.Close()
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

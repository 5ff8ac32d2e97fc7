package ratelimit

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// local keeps buckets in memory: for each the time, by its clock, at which it
// is full again. One that is full is not kept.
type local struct {
	buckets *otter.Cache[bucket, int64]
	clock   clock
}

func newLocal(o Options) *local {
	c := clock{now: o.Now, start: o.Now()}
	return &local{clock: c, buckets: otter.Must(&otter.Options[bucket, int64]{
		MaximumSize: o.Keys,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[bucket, int64]) time.Duration {
			return time.Duration(e.Value - e.SnapshotAtNano)
		}),
		// What has to be tidied up whoever causes it tidies up, so that there is
		// no goroutine but the one that close ends.
		Executor: func(tidy func()) { tidy() },
		Clock:    c,
		Logger:   &otter.NoopLogger{}, // of panics in functions given to it, and of files
	})}
}

func (l *local) count(b bucket, r Rate, requests int) (v Verdict) {
	l.buckets.Compute(b, func(at int64, _ bool) (int64, otter.ComputeOp) {
		now := l.clock.NowNano()
		// When the clock goes back, a bucket seems to be full later than it can
		// be. It is then taken to be empty, and refills.
		full := min(max(0, time.Duration(at-now)), r.capacity())
		v = r.judge(full, requests)
		if v.Reset == 0 {
			return 0, otter.CancelOp
		}
		// A request that is refused writes as well: it counts as a use of the
		// bucket, which is then not given up for others.
		return now + int64(v.Reset), otter.WriteOp
	})
	return v
}

// note makes a bucket full again no sooner than after a while.
func (l *local) note(b bucket, reset time.Duration) {
	if reset <= 0 {
		return
	}
	l.buckets.Compute(b, func(at int64, _ bool) (int64, otter.ComputeOp) {
		return max(at, l.clock.NowNano()+int64(reset)), otter.WriteOp
	})
}

func (l *local) close() { l.buckets.StopAllGoroutines() }

// clock counts nanoseconds, evenly even when the wall clock is set.
type clock struct {
	now   func() time.Time
	start time.Time
}

// NowNano implements [otter.Clock].
func (c clock) NowNano() int64 { return c.start.UnixNano() + int64(c.now().Sub(c.start)) }

// Tick implements [otter.Clock].
func (c clock) Tick(every time.Duration) <-chan time.Time { return time.Tick(every) }

package breaker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gathering"
)

// Limits say when a breaker opens and for how long. Zero fields mean the
// default named.
type Limits struct {
	Consecutive  int           // failures in a row that open it; 5
	Rate         float64       // or the share of calls that failed within Window, above 0, at most 1; 0.5
	MinimumCalls int           // of at least so many; 20
	Window       time.Duration // 1 min
	Open         time.Duration // how long it is open at first; 30 s
	MaxOpen      time.Duration // and at most, doubling; 5 min
	// Patience is how long a call that is let through while the breaker is
	// half open keeps others from being let through as well; 1 min.
	Patience time.Duration
	// Recheck is how long callers are told to wait at least while somebody
	// keeps it open, who may close it at any time; 30 s. It grows to a quarter
	// of the time for which it has been open, up to MaxRecheck; 15 min.
	Recheck, MaxRecheck time.Duration
	// RecheckHalfOpen is how long callers are told to wait while a call is let
	// through to see; 5 s.
	RecheckHalfOpen time.Duration
	// Hasty is how long a call must have had before its giving up for lack of
	// time counts as a failure; 1 s. Below that it tells of its caller's haste.
	Hasty time.Duration
}

func (l Limits) withDefaults() Limits {
	duration := func(d *time.Duration, standard time.Duration) {
		if *d <= 0 {
			*d = standard
		}
	}
	if l.Consecutive <= 0 {
		l.Consecutive = 5
	}
	if l.Rate <= 0 {
		l.Rate = 0.5
	}
	if l.MinimumCalls <= 0 {
		l.MinimumCalls = 20
	}
	duration(&l.Window, time.Minute)
	duration(&l.Open, 30*time.Second)
	duration(&l.MaxOpen, 5*time.Minute)
	duration(&l.Patience, time.Minute)
	duration(&l.Recheck, 30*time.Second)
	duration(&l.MaxRecheck, 15*time.Minute)
	duration(&l.RecheckHalfOpen, 5*time.Second)
	duration(&l.Hasty, time.Second)
	return l
}

// verdict is what a call's outcome says of what was called.
type verdict int

const (
	silent  verdict = iota // nothing
	healthy                // it is there
	failing                // it is not
)

// outcome is how a call ended.
type outcome struct {
	verdict verdict
	after   time.Duration // how long what was called wants to be left alone
	text    string        // what may be seen of a failure
}

// circuit is one breaker in memory. It has no lock: the registry has.
type circuit struct {
	row    // as it is, which is as stored or about to be
	limits *Limits
	streak int           // failures in a row while closed
	window window        // of calls while closed
	delay  time.Duration // how long it was opened for, by failures
	probe  time.Time     // when the call began that was let through while half open; zero: there is none
	epoch  uint64        // raised by each change: what began before says nothing about it now
}

// permit is a call that was let through.
type permit struct {
	circuit *circuit
	epoch   uint64
	probe   bool
	begun   time.Time
}

// refusal says why a call is not let through and when to ask again.
type refusal struct {
	text string
	wait time.Duration
}

// err is what the caller gets. Those who wait do not all come back at once.
func (r *refusal) err() error {
	fault := gathering.NewError(gathering.KindUnavailable, "%s", r.text).WithCode(gathering.CodeCircuitOpen)
	return gathering.Delayed(fault, r.wait+rand.N(r.wait/10+1)) //nolint:gosec // nothing secret hangs on it
}

// admit lets a call through, or says why not.
func (c *circuit) admit(now time.Time) (permit, *refusal) {
	p := permit{circuit: c, epoch: c.epoch, begun: now}
	if !c.open {
		return p, nil
	}
	if latest := now.Add(c.limits.MaxOpen); !c.byHand() && c.until.After(latest) {
		c.until = latest // clocks differ, or are set back
	}
	if c.until.IsZero() || c.until.After(now) {
		return permit{}, c.refuse(now)
	}
	if !c.probe.IsZero() && now.Sub(c.probe) < c.limits.Patience {
		text := fmt.Sprintf("the circuit of %s is half open: one call is seeing whether it can be closed", shown(c.name))
		return permit{}, &refusal{text, c.limits.RecheckHalfOpen}
	}
	p.probe, c.probe = true, now
	return p, nil
}

// refuse says why an open breaker lets no call through.
func (c *circuit) refuse(now time.Time) *refusal {
	why, end := fmt.Sprintf("is open after %d failures", c.failures), "it stays so until it is reset"
	wait := c.until.Sub(now)
	if !c.until.IsZero() {
		end = "it lets a call through in " + (wait + time.Second - 1).Truncate(time.Second).String()
	}
	if c.byHand() {
		why = "was opened by hand"
		if c.reason != "" {
			why += " (" + c.reason + ")"
		}
		recheck := min(max(now.Sub(c.since)/4, c.limits.Recheck), c.limits.MaxRecheck)
		if c.until.IsZero() || recheck < wait {
			wait = recheck
		}
	}
	return &refusal{fmt.Sprintf("the circuit of %s %s; %s", shown(c.name), why, end), wait}
}

// record notes how a call that was let through ended, and returns the change
// that this makes, or nil.
func (c *circuit) record(p permit, o outcome, now time.Time) *row {
	switch {
	case p.epoch != c.epoch:
		return nil
	case p.probe:
		return c.recordProbe(p, o, now)
	case o.verdict == silent:
		return nil
	}
	c.window.add(o.verdict, now, c.limits.Window)
	if o.verdict == healthy {
		c.streak = 0
		return nil
	}
	c.streak++
	calls, failed := c.window.sum(now, c.limits.Window)
	switch {
	case c.streak >= c.limits.Consecutive:
		return c.fail(c.streak, fmt.Sprintf("%d failures in a row, the last: %s", c.streak, o.text), o.after, now)
	case calls >= c.limits.MinimumCalls && float64(failed) >= c.limits.Rate*float64(calls):
		return c.fail(failed, fmt.Sprintf("%d of %d calls failed within %s, the last: %s", failed, calls, c.limits.Window, o.text), o.after, now)
	}
	return nil
}

func (c *circuit) recordProbe(p permit, o outcome, now time.Time) *row {
	switch {
	case o.verdict == healthy:
		c.shut(row{name: c.name, since: now, reason: "a call got through", seq: c.seq})
		made := c.row
		return &made
	case o.verdict == failing:
		return c.fail(c.failures+1, "still failing: "+o.text, o.after, now)
	case c.probe.Equal(p.begun):
		c.probe = time.Time{} // it says nothing: the next call may see
	}
	return nil
}

// fail opens the breaker, for twice as long as it was open before.
func (c *circuit) fail(failures int, reason string, after time.Duration, now time.Time) *row {
	delay := c.limits.Open
	if c.open && c.delay > 0 {
		delay = 2 * c.delay
	}
	c.delay = min(max(delay, after), c.limits.MaxOpen)
	c.become(row{
		name: c.name, open: true, since: now, until: now.Add(c.delay),
		failures: failures, reason: gathering.Brief(reason), seq: c.seq,
	})
	made := c.row
	return &made
}

// shut makes a breaker closed and as good as new.
func (c *circuit) shut(r row) {
	c.become(r)
	c.streak, c.delay, c.window = 0, 0, window{}
}

// adopt makes the breaker what somebody else made of it.
func (c *circuit) adopt(r row) {
	if !r.open {
		c.shut(r)
		return
	}
	c.delay = 0
	if !r.byHand() {
		c.delay = min(max(r.until.Sub(r.since), c.limits.Open), c.limits.MaxOpen)
	}
	c.become(r)
}

func (c *circuit) become(r row) {
	c.row = r
	c.epoch++
	c.probe = time.Time{}
}

// describe is the breaker as others see it.
func (c *circuit) describe(now time.Time) gathering.Breaker {
	b := c.row.describe(now)
	if !c.open {
		b.Failures = c.streak
	}
	b.Calls, b.Failed = c.window.sum(now, c.limits.Window)
	return b
}

// window counts calls in slices of time, the oldest of which is forgotten as
// time goes on.
type window struct {
	slices [parts]struct{ calls, failed int }
	last   int64 // the number of the newest slice
}

// parts is how many slices a window has.
const parts = 6

// turn forgets what is older than the window.
func (w *window) turn(now time.Time, length time.Duration) {
	number := now.UnixNano() / int64(length/parts)
	if number-w.last >= parts || number < w.last-parts {
		*w = window{last: number}
	}
	for w.last < number {
		w.last++
		w.slices[w.last%parts] = struct{ calls, failed int }{}
	}
}

func (w *window) add(v verdict, now time.Time, length time.Duration) {
	w.turn(now, length)
	slice := &w.slices[w.last%parts]
	slice.calls++
	if v == failing {
		slice.failed++
	}
}

func (w *window) sum(now time.Time, length time.Duration) (calls, failed int) {
	w.turn(now, length)
	for _, slice := range w.slices {
		calls += slice.calls
		failed += slice.failed
	}
	return calls, failed
}

// judge says what the outcome of a call tells of what was called.
func (l Limits) judge(ctx context.Context, err error, took time.Duration) outcome {
	if err == nil {
		return outcome{verdict: healthy}
	}
	kind := gathering.KindOf(err)
	if ctx.Err() != nil {
		if !outOfTime(ctx) || took < l.Hasty {
			return outcome{}
		}
		if kind == gathering.KindCancelled {
			kind = gathering.KindTimeout
		}
	}
	failed := outcome{failing, gathering.RetryAfter(err), gathering.FailureOf(err).Message}
	switch gathering.CodeOf(err) {
	case gathering.CodeCircuitOpen: // of another breaker, behind this one
		return outcome{}
	case gathering.CodeUnknownOutcome:
		return failed
	}
	switch kind {
	case gathering.KindUnavailable, gathering.KindTimeout, gathering.KindExhausted, gathering.KindInternal:
		return failed
	case gathering.KindCancelled, gathering.KindForbidden:
		return outcome{}
	default:
		return outcome{verdict: healthy} // that the call was wrong is an answer
	}
}

// outOfTime reports whether a context ended because there was no more time.
func outOfTime(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || gathering.KindOf(context.Cause(ctx)) == gathering.KindTimeout
}

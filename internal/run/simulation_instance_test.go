package run_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"gathering/internal/run"
	"gathering/internal/store"
)

// instance is one process of the simulation: a service and a worker that reach
// the database through a gate, and the trouble that they are in.
type instance struct {
	w       *world
	name    string
	skew    time.Duration // of its clock
	view    *store.DB
	cut     func() // ends the connections
	service *run.Service

	mu       sync.Mutex
	r        *rand.Rand
	worker   *run.Worker // nil while it has not begun
	gone     bool        // it was told to stop, or is dead
	dead     bool
	thaw     chan struct{} // closed when it is not frozen any more; nil: it is not
	troubles []*trouble
	strike   *strike // what befalls it at an access to come
	inside   int     // accesses that are being carried out
	key      string  // of liveness, which it holds
	beatAt   time.Time
}

// trouble is something that lasts.
type trouble struct {
	kind troubleKind
	over chan struct{} // closed when it is
}

type troubleKind string

const (
	outage troubleKind = "outage" // nothing reaches the database
	mute   troubleKind = "mute"   // beats do not
	flaky  troubleKind = "flaky"  // each write may fail in its own way
)

// strike befalls an instance right before or after an access.
type strike struct {
	accesses int // to be left in peace
	at       moment
	do       func()
}

type moment int

const (
	before moment = iota
	after
)

// death says how a process dies: with its connections, which others see, or
// with its machine, which nobody is told of.
type death string

const (
	killed death = "killed"
	hung   death = "hung"
)

var errDead = errors.New("the process is dead")

// newInstance makes an instance, whose worker is still to begin.
func (w *world) newInstance(name string, skew time.Duration) *instance {
	i := &instance{w: w, name: name, skew: skew, r: w.dice("instance", name), beatAt: time.Now()}
	i.view, i.cut = w.db.Through(i.gate)
	i.service = run.NewService(run.Options{
		DB: i.view, Pipelines: w.bind(i), Now: i.now, Logger: slog.New(traceHandler{i: i}),
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instances = append(w.instances, i)
	return i
}

// begin starts the worker, as soon as the database lets it.
func (i *instance) begin() {
	i.w.tasks.Go(func() {
		for !i.isGone() {
			worker, err := i.service.Work(context.Background(), i.w.workers)
			if err == nil {
				i.mu.Lock()
				i.worker = worker
				gone := i.gone
				i.mu.Unlock()
				i.w.trace("%s works", i.name)
				if gone {
					worker.Stop()
				}
				return
			}
			<-time.After(time.Second)
		}
	})
}

// stop ends the instance in good order.
func (i *instance) stop() {
	i.mu.Lock()
	worker := i.worker
	i.gone = true
	i.mu.Unlock()
	if worker != nil {
		worker.Stop()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = ""
}

// die ends the instance at once.
func (i *instance) die(how death) {
	i.mu.Lock()
	if i.dead {
		i.mu.Unlock()
		return
	}
	i.dead, i.gone, i.strike = true, true, nil
	if i.thaw != nil {
		close(i.thaw)
		i.thaw = nil
	}
	i.mu.Unlock()
	i.w.trace("%s is %s", i.name, how)
	i.w.count("deaths")
	i.w.tasks.Go(func() {
		if how == killed {
			_ = i.view.Close()
		}
		i.stop()
	})
}

func (i *instance) isDead() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.dead
}

func (i *instance) isGone() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.gone
}

// freeze stops the instance, as SIGSTOP does, for a while.
func (i *instance) freeze(d time.Duration) {
	i.mu.Lock()
	if i.thaw != nil || i.dead {
		i.mu.Unlock()
		return
	}
	thaw := make(chan struct{})
	i.thaw = thaw
	i.mu.Unlock()
	i.w.trace("%s is frozen for %s", i.name, d)
	i.w.count("freezes")
	i.w.tasks.Go(func() {
		select {
		case <-time.After(d):
		case <-thaw: // dead
			return
		}
		i.w.trace("%s thaws", i.name)
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.thaw != nil {
			close(i.thaw)
			i.thaw = nil
		}
	})
}

// rest waits until the instance is not frozen. Nobody waits within an access:
// the database is not to wait too.
func (i *instance) rest() {
	for {
		i.mu.Lock()
		thaw := i.thaw
		inside := i.inside > 0
		i.mu.Unlock()
		if thaw == nil || inside {
			return
		}
		<-thaw
	}
}

// restAfter waits with an answer until the instance is not frozen. What was read
// keeps a connection, of which there are few for all instances.
func (i *instance) restAfter(a store.Access) {
	if a.Kind == store.Reading {
		select {
		case i.w.lateReads <- struct{}{}:
			defer func() { <-i.w.lateReads }()
		default:
			return
		}
	}
	i.rest()
}

// now is the instance's clock.
func (i *instance) now() time.Time {
	i.rest()
	return time.Now().Add(i.skew)
}

// suffer puts the instance into trouble for a while.
func (i *instance) suffer(kind troubleKind, d time.Duration) {
	t := &trouble{kind, make(chan struct{})}
	i.mu.Lock()
	i.troubles = append(i.troubles, t)
	i.mu.Unlock()
	i.w.trace("%s suffers from %s for %s", i.name, kind, d)
	i.w.count(string(kind))
	i.w.tasks.Go(func() {
		<-time.After(d)
		i.mu.Lock()
		i.troubles = slices.DeleteFunc(i.troubles, func(other *trouble) bool { return other == t })
		i.mu.Unlock()
		close(t.over)
	})
}

func (i *instance) trouble(kind troubleKind) *trouble {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, t := range i.troubles {
		if t.kind == kind {
			return t
		}
	}
	return nil
}

// arm has something befall the instance at one of its next accesses.
func (i *instance) arm(s strike) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.strike = &s
}

// struck lets the strike fall if this is the access that it is meant for.
func (i *instance) struck(at moment) {
	i.mu.Lock()
	s := i.strike
	if s == nil || s.at != at {
		i.mu.Unlock()
		return
	}
	s.accesses--
	if s.accesses >= 0 {
		i.mu.Unlock()
		return
	}
	i.strike = nil
	i.mu.Unlock()
	s.do()
}

func (i *instance) chance(n int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.r.IntN(n) == 0
}

func (i *instance) seconds(least, most float64) time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	return seconds(i.r, least, most)
}

// gate is where the instance meets its trouble.
func (i *instance) gate(ctx context.Context, a store.Access) error {
	begun := time.Now()
	i.struck(before)
	i.rest()
	err := i.trial(ctx, a)
	i.struck(after)
	i.restAfter(a)
	if i.isDead() {
		return errDead
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case a.Kind == store.Leaving:
		i.key = ""
	case err == nil && (a.Kind == store.Beating || a.Kind == store.Holding):
		i.key, i.beatAt = a.Key, begun
	}
	return err
}

// alive reports whether the instance may act for the runs of the shift with the
// key, and since when it was heard of.
func (i *instance) alive(key string) (time.Duration, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	silent := time.Since(i.beatAt)
	return silent, !i.dead && i.key == key && silent < lease
}

// trial carries out an access, or not.
func (i *instance) trial(ctx context.Context, a store.Access) error {
	if i.isDead() {
		return errDead
	}
	if i.chance(10) {
		<-time.After(i.seconds(0, 0.005))
	}
	t := i.trouble(outage)
	if t == nil && (a.Kind == store.Beating || a.Kind == store.Holding) {
		t = i.trouble(mute)
	}
	if t != nil {
		i.w.count("accesses refused")
		if i.chance(3) {
			select { // it hangs
			case <-t.over:
			case <-ctx.Done():
			}
		}
		return errAway
	}
	if a.Kind == store.Writing && i.trouble(flaky) != nil && i.chance(2) {
		return i.mishap(ctx, a)
	}
	return i.do(a)
}

func (i *instance) do(a store.Access) error {
	i.mu.Lock()
	i.inside++
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		i.inside--
		i.mu.Unlock()
	}()
	if a.Kind != store.Writing || a.Straggle != nil {
		return a.Do()
	}
	i.w.writes.Lock() // so that it is known who wrote
	defer i.w.writes.Unlock()
	err := a.Do()
	i.w.checkTaken(i)
	return err
}

// mishap is what becomes of a write on a flaky connection.
func (i *instance) mishap(ctx context.Context, a store.Access) error {
	i.mu.Lock()
	kind, d := i.r.IntN(5), seconds(i.r, 0, pick(i.r, 1.0, 6, 20))
	i.mu.Unlock()
	switch kind {
	case 0:
		return i.note("refused", errAway)
	case 1:
		if err := i.do(a); err != nil {
			return err
		}
		return i.note("answer lost", errAway)
	case 2: // as by a process that is stopped, or a network that is slow
		_ = i.note("late by "+d.String(), nil)
		<-time.After(d)
		i.rest()
		if i.isDead() {
			return errDead
		}
		err := i.do(a)
		if err == nil {
			err = ctx.Err()
		}
		return err
	case 3:
		err := i.do(a)
		_ = i.note("answer late by "+d.String(), err)
		<-time.After(d)
		return err
	}
	if a.Straggle == nil {
		return i.note("refused", errAway)
	}
	i.w.underWay(1)
	i.w.tasks.Go(func() {
		defer i.w.underWay(-1)
		<-time.After(d)
		i.w.trace("%s: a write of %s ago arrives: %v", i.name, d, a.Straggle())
	})
	return i.note("answered in vain, and under way for "+d.String(), &store.AmbiguousError{Err: errAway})
}

func (i *instance) note(what string, err error) error {
	i.w.trace("%s: a write is %s", i.name, what)
	i.w.count("write " + strings.Fields(what)[0])
	return err
}

// traceHandler writes what an instance logs into the trace.
type traceHandler struct {
	i     *instance
	attrs string
}

func (h traceHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (h traceHandler) Handle(_ context.Context, r slog.Record) error {
	h.i.rest()
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		text, _, _ := strings.Cut(a.String(), "\n")
		if len(text) > 160 {
			text = text[:160]
		}
		b.WriteString(" " + text)
		return true
	})
	h.i.w.trace("%s says: %s%s%s", h.i.name, r.Message, h.attrs, b.String())
	return nil
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += fmt.Sprintf(" %s", a)
	}
	return h
}

func (h traceHandler) WithGroup(string) slog.Handler { return h }

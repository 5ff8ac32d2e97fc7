package run

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gathering"
	"gathering/internal/fair"
	"gathering/internal/vital"
)

// WorkerOptions configure a [Worker]. Zero values mean the defaults named.
type WorkerOptions struct {
	// Slots is how many runs are worked on at once; 256.
	Slots int
	// Only restricts the worker to one run and those it leads to; "" is all.
	Only gathering.RunID
	// Poll is how often it looks for work that another process left; 1 s.
	Poll time.Duration
	// ParkAfter is the shortest wait for which a run is parked; 1 s.
	ParkAfter time.Duration
	// Drain is how long work that is told to stop may take when the worker
	// stops; 5 s.
	Drain time.Duration
	// Beat is how often it says that it is alive; 2 s. An instance that is
	// silent for five beats is dead, or for two if its connection is gone too,
	// and it stops its own work four beats after the last one began that
	// succeeded. What counts is the slower beat of the two instances.
	Beat time.Duration
	// CrashPause is how long a run that could not be moved is left alone, times
	// how often in a row that was; 5 s.
	CrashPause time.Duration
	// Host, PID and Version describe the process to others.
	Host    string
	PID     int
	Version string
}

func (o WorkerOptions) withDefaults() WorkerOptions {
	setDefault(&o.Slots, 256)
	setDefault(&o.Poll, time.Second)
	setDefault(&o.ParkAfter, time.Second)
	setDefault(&o.Drain, 5*time.Second)
	setDefault(&o.Beat, 2*time.Second)
	setDefault(&o.CrashPause, 5*time.Second)
	return o
}

// check refuses what makes no sense. What the durations are to each other
// follows from Beat alone.
func (o WorkerOptions) check() error {
	var faults []gathering.FieldError
	for _, f := range []struct {
		field string
		value time.Duration
		least time.Duration
	}{
		{"poll", o.Poll, time.Millisecond},
		{"park_after", o.ParkAfter, time.Millisecond},
		{"drain", o.Drain, time.Millisecond},
		{"beat", o.Beat, 10 * time.Millisecond},
		{"crash_pause", o.CrashPause, time.Millisecond},
	} {
		if f.value < f.least {
			faults = append(faults, gathering.FieldError{Field: f.field, Problem: "must be " + f.least.String() + " at least"})
		}
	}
	if o.Slots < 1 {
		faults = append(faults, gathering.FieldError{Field: "slots", Problem: "must be 1 at least"})
	}
	if len(faults) > 0 {
		return gathering.NewError(gathering.KindInvalid, "a worker cannot work so").WithFields(faults...)
	}
	return nil
}

func setDefault[T comparable](value *T, preset T) {
	var zero T
	if *value == zero {
		*value = preset
	}
}

// Worker claims runs and owns them until they end, park or it stops. It works
// in shifts: when its instance was cut off from the database, and so may have
// been taken for dead, it lets go of everything and comes back as a new one.
type Worker struct {
	service *Service
	options WorkerOptions
	ctx     context.Context //nolint:containedctx // the lifetime of the worker, which its shifts share
	stop    context.CancelFunc
	ended   chan struct{}
	quiet   chan struct{} // closed by Drain
	hush    func()        // closes quiet, once
	proofs  vital.Proofs
}

// localWorker is the shift of this process, if there is one.
type localWorker struct{ current atomic.Pointer[shift] }

// take reserves a slot of the local worker for a new run, or returns nil.
func (l *localWorker) take(r gathering.Run) *shift {
	w := l.current.Load()
	switch {
	case w == nil, w.options.Only != "" && w.options.Only != r.Root, w.backlog.Load(), w.fence() != nil, !w.reserve(r):
		return nil
	}
	return w
}

// Work starts a worker. Stop it. Options that make no sense are an error of
// kind invalid.
func (s *Service) Work(ctx context.Context, o WorkerOptions) (*Worker, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	w := &Worker{service: s, options: o, ended: make(chan struct{}), quiet: make(chan struct{})}
	w.hush = sync.OnceFunc(func() { close(w.quiet) })
	w.ctx, w.stop = context.WithCancel(context.Background()) // who starts it does nothing of what it does
	first, err := w.begin(ctx)
	if err != nil {
		w.stop()
		return nil, err
	}
	go w.loop(first)
	return w, nil
}

// Drain takes no more runs and begins nothing more in those it has, lets the
// work under way end by itself until ctx ends, and stops. It may be called more
// than once.
func (w *Worker) Drain(ctx context.Context) {
	w.hush()
	settled := make(chan struct{})
	current := w.service.local.current.Load()
	if current == nil {
		close(settled)
	} else {
		current.mu.Lock() // whoever has a slot by now is waited for, and nobody gets one
		current.over = true
		current.mu.Unlock()
		go func() {
			current.owners.Wait()
			close(settled)
		}()
	}
	select {
	case <-settled:
	case <-ctx.Done():
	}
	w.Stop()
	<-settled
}

// Stop ends the work under way, lets go of what is left and returns when all
// of it has, within about Drain. It may be called more than once.
func (w *Worker) Stop() {
	w.stop()
	<-w.ended
}

func (w *Worker) loop(current *shift) {
	defer close(w.ended)
	for current != nil {
		current.work()
		current = w.again()
	}
}

// again begins the next shift, as soon as the database lets it; nil when the
// worker is to stop.
func (w *Worker) again() *shift {
	pause := time.NewTicker(w.options.Beat)
	defer pause.Stop()
	for w.ctx.Err() == nil {
		next, err := w.begin(w.ctx)
		if err == nil {
			return next
		}
		w.service.logger.ErrorContext(w.ctx, "could not come back", slog.String("error", err.Error()))
		select {
		case <-pause.C:
		case <-w.ctx.Done():
		}
	}
	return nil
}

// term is how long an instance may be silent before it stops its work. Who has
// the database alone is taken for dead by nobody, however long it was stopped.
func (w *Worker) term() time.Duration {
	if w.service.db.Exclusive() {
		return math.MaxInt64
	}
	return patience * w.options.Beat
}

// begin registers a new instance and makes it this process's.
func (w *Worker) begin(ctx context.Context) (*shift, error) {
	h := &shift{
		service:  w.service,
		options:  w.options,
		instance: gathering.NewInstanceID(w.service.now()),
		free:     w.options.Slots,
		owned:    make(map[gathering.RunID]gathering.ProjectID),
		turns:    fair.New[gathering.ProjectID](),
		lease:    vital.NewLease(w.term(), time.Now),
		quiet:    w.quiet,
	}
	h.logger = w.service.logger.With(slog.String("instance", string(h.instance)))
	h.ctx, h.stop = context.WithCancel(w.ctx)
	h.presence = &presence{shift: h, seen: make(map[gathering.InstanceID]sighting)}
	if err := h.presence.register(ctx); err != nil {
		h.stop()
		return nil, err
	}
	w.service.local.current.Store(h)
	return h, nil
}

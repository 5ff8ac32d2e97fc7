package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gathering"
	"gathering/internal/engine"
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
	// silent for five beats is dead, or for two if its connection is gone too.
	Beat time.Duration
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
	return o
}

func setDefault[T comparable](value *T, preset T) {
	var zero T
	if *value == zero {
		*value = preset
	}
}

// Worker claims runs and owns them until they end, park or it stops.
type Worker struct {
	service  *Service
	options  WorkerOptions
	instance gathering.InstanceID
	logger   *slog.Logger

	ctx     context.Context //nolint:containedctx // the lifetime of the worker, which its owners share
	stop    context.CancelFunc
	loops   sync.WaitGroup
	owners  sync.WaitGroup
	mu      sync.Mutex
	free    int
	owned   map[gathering.RunID]bool
	stopped bool
}

// localWorker is the worker of this process, if there is one.
type localWorker struct{ current atomic.Pointer[Worker] }

// take reserves a slot of the local worker for a new run, or returns nil.
func (l *localWorker) take(r gathering.Run) *Worker {
	w := l.current.Load()
	if w == nil || (w.options.Only != "" && w.options.Only != r.Root) || !w.reserve(r.ID) {
		return nil
	}
	return w
}

// Work starts a worker. Stop it.
func (s *Service) Work(ctx context.Context, o WorkerOptions) (*Worker, error) {
	w := &Worker{
		service:  s,
		options:  o.withDefaults(),
		instance: gathering.NewInstanceID(s.now()),
		owned:    make(map[gathering.RunID]bool),
	}
	w.logger = s.logger.With(slog.String("instance", string(w.instance)))
	w.free = w.options.Slots
	w.ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	p := &presence{worker: w, seen: make(map[gathering.InstanceID]sighting)}
	if err := p.register(ctx); err != nil {
		w.stop()
		return nil, err
	}
	w.loops.Go(func() { p.loop(w.ctx) })
	w.loops.Go(w.claimLoop)
	s.local.current.Store(w)
	return w, nil
}

// Stop ends the work under way, lets go of what is left and returns when all
// of it has, within about Drain. It may be called more than once.
func (w *Worker) Stop() {
	w.service.local.current.CompareAndSwap(w, nil)
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.stop()
	w.owners.Wait()
	w.loops.Wait()
}

// reserve takes a slot for a run.
func (w *Worker) reserve(id gathering.RunID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.free == 0 || w.owned[id] {
		return false
	}
	w.free--
	w.owned[id] = true
	w.owners.Add(1)
	return true
}

func (w *Worker) giveBack(id gathering.RunID) {
	w.mu.Lock()
	w.free++
	delete(w.owned, id)
	w.mu.Unlock()
	w.owners.Done()
	w.service.bell.Ring(topicClaim)
}

func (w *Worker) slots() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.free
}

// claimLoop takes runs whenever one may be due and a slot is free.
func (w *Worker) claimLoop() {
	rings, cancel := w.service.bell.Subscribe(topicClaim)
	defer cancel()
	for {
		wait := w.options.Poll
		if err := w.claimAll(); err != nil && w.ctx.Err() == nil {
			w.logger.Error("could not claim runs", slog.String("error", err.Error()))
		} else if next, err := w.service.nextReady(w.ctx, w.options.Only); err == nil && !next.IsZero() && w.slots() > 0 {
			wait = min(wait, max(next.Sub(w.service.now()), time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-rings:
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// claimBatch bounds how many runs one transaction claims.
const claimBatch = 64

func (w *Worker) claimAll() error {
	for w.ctx.Err() == nil {
		n := min(w.slots(), claimBatch)
		if n == 0 {
			return nil
		}
		taken, err := w.service.claim(w.ctx, w.instance, w.options.Only, n)
		if err != nil {
			return err
		}
		for _, c := range taken {
			if !w.reserve(c.run.ID) {
				// The former ownership of the run by this worker is just ending, or
				// the worker is: it is put back.
				if err := w.service.release(context.WithoutCancel(w.ctx), c.run); err != nil {
					return err
				}
				continue
			}
			go w.resume(c)
		}
		if len(taken) < n {
			return nil
		}
	}
	return nil
}

// resume goes on with a claimed run: it folds the log, which nobody else
// appends to any more, and says in it that the run has a new owner.
func (w *Worker) resume(c claimed) {
	l := newRunLog(w.service, c.run)
	l.parentNode = c.parentNode
	state, turn, err := w.takeover(l, c.crashed)
	if err != nil {
		w.end(l, engine.Released, err)
		return
	}
	w.run(l, state, turn, false)
}

func (w *Worker) takeover(l *runLog, crashed bool) (*engine.State, engine.Turn, error) {
	state, err := w.service.fold(w.ctx, l.run)
	if err != nil {
		return nil, engine.Turn{}, err
	}
	l.workspace = state.Queued.Workspace
	turn, err := engine.Next(state, w.service.now(), engine.Takeover{Instance: w.instance, Crashed: crashed})
	if err != nil {
		return nil, engine.Turn{}, fmt.Errorf("take %s over: %w", l.run.ID, err)
	}
	if len(turn.Events) == 0 {
		return state, turn, nil
	}
	if _, err := l.Append(w.ctx, engine.NewCommit(state, turn)); err != nil {
		return nil, engine.Turn{}, fmt.Errorf("take %s over: %w", l.run.ID, err)
	}
	return state, turn, nil
}

// own begins to work on a run that was just inserted as this worker's.
func (w *Worker) own(l *runLog, state *engine.State, turn engine.Turn) {
	l.workspace = state.Queued.Workspace
	go w.run(l, state, turn, true)
}

func (w *Worker) run(l *runLog, state *engine.State, turn engine.Turn, fresh bool) {
	mail, cancel := w.service.bell.Subscribe(topicMail(l.run.ID))
	defer cancel()
	owner := &engine.Owner{
		State: state, Log: l, Now: w.service.now, Instance: w.instance, Bell: mail, Fresh: fresh,
		ParkAfter: w.options.ParkAfter, Drain: w.options.Drain, Logger: w.logger,
	}
	ending, err := owner.Run(w.ctx, turn)
	w.end(l, ending, err)
}

// end settles what becomes of a run that this worker no longer moves.
func (w *Worker) end(l *runLog, ending engine.Ending, err error) {
	defer w.giveBack(l.run.ID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), w.options.Drain)
	defer cancel()
	id := slog.String("run_id", string(l.run.ID))
	switch {
	case err == nil && ending != engine.Released:
		return
	case gathering.CodeOf(err) == gathering.CodeFenced:
		w.logger.Warn("another instance owns the run by now", id)
		return
	case err == nil, errors.Is(err, context.Canceled), gathering.KindOf(err) == gathering.KindUnavailable:
		if err != nil {
			w.logger.Warn("let go of a run", id, slog.String("error", err.Error()))
		}
		err = w.service.release(ctx, l.run)
	default:
		w.logger.Error("could not move a run", id, slog.String("error", err.Error()))
		err = w.service.stuck(ctx, l.run)
	}
	if err != nil {
		w.logger.Error("could not let go of a run", id, slog.String("error", err.Error()))
	}
}

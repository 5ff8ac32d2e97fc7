package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/vital"
)

// shift is a worker under one registration of its instance.
type shift struct {
	service  *Service
	options  WorkerOptions
	instance gathering.InstanceID
	logger   *slog.Logger
	presence *presence

	ctx    context.Context //nolint:containedctx // the lifetime of the shift, which its owners share
	stop   context.CancelFunc
	quiet  <-chan struct{} // closed once nothing more is to be begun
	owners sync.WaitGroup
	lease  *vital.Lease

	mu      sync.Mutex
	free    int
	owned   map[gathering.RunID]gathering.ProjectID
	turns   projectTurns
	suspect gathering.RunID // the one that is being worked on
	over    bool            // no slot is given any more

	// backlog is whether runs that are due wait for a slot: then new ones stand
	// in line behind them.
	backlog atomic.Bool
	// claiming is whether a claim is under way of which it is not known what it took.
	claiming atomic.Bool
}

// work works until the worker stops or the instance is cut off, and returns when
// nothing of the shift is left.
func (h *shift) work() {
	var loops sync.WaitGroup
	loops.Go(h.claimLoop)
	loops.Go(h.grantLoop)
	loops.Go(func() { h.presence.loop(h.ctx) })
	loops.Wait()
	h.service.local.current.CompareAndSwap(h, nil)
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.owners.Wait()
	h.presence.leave()
}

// reserve takes a slot for a run.
func (h *shift) reserve(r gathering.Run) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, owned := h.owned[r.ID]; owned || h.shut() || h.free == 0 {
		return false
	}
	h.free--
	h.owned[r.ID] = r.Project
	h.service.ends.Expect(string(r.ID))
	h.turns.Take(r.Project)
	if r.Crashes >= suspicious {
		h.suspect = r.ID
	}
	h.owners.Add(1)
	return true
}

// shut reports whether no slot is given any more. The caller holds mu.
func (h *shift) shut() bool {
	select {
	case <-h.quiet:
		return true
	default:
		return h.over
	}
}

// giveBack gives the slot of a run back.
func (h *shift) giveBack(id gathering.RunID) {
	h.mu.Lock()
	h.free++
	h.turns.Leave(h.owned[id])
	delete(h.owned, id)
	h.service.ends.Drop(string(id))
	h.mu.Unlock()
	h.owners.Done()
	h.clear(id)
	if h.backlog.Load() {
		h.service.bell.RingHere(topicClaim)
	}
}

// clear notes that a run is no suspect any more, or not this shift's.
func (h *shift) clear(id gathering.RunID) {
	h.mu.Lock()
	was := h.suspect == id
	if was {
		h.suspect = ""
	}
	h.mu.Unlock()
	if was {
		h.service.bell.RingHere(topicClaim) // for the next suspect
	}
}

// claimLoop takes runs whenever one may be due and a slot is free.
func (h *shift) claimLoop() {
	rings, cancel := h.service.bell.Subscribe(topicClaim)
	defer cancel()
	for {
		wait := h.options.Poll
		next, err := h.claimAll()
		switch {
		case errors.Is(err, errDead):
			h.died()
		case err != nil && h.ctx.Err() == nil:
			h.logger.Error("could not claim runs", slog.String("error", err.Error()))
		case err == nil && !next.IsZero():
			wait = min(wait, max(next.Sub(h.service.now()), time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-rings:
		case <-timer.C:
		case <-h.quiet:
			timer.Stop()
			return
		case <-h.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

const (
	// claimBatch bounds how many runs one transaction claims.
	claimBatch = 64
	// ending is how long a run is left alone that this worker is not done with
	// yet, or that somebody else seems to be at.
	ending = 100 * time.Millisecond
)

// claimAll takes what is due until there is no more of it or no slot. It
// returns when to look again; zero is when the bell rings.
func (h *shift) claimAll() (next time.Time, err error) {
	for h.ctx.Err() == nil {
		var o order
		if o, next, err = h.order(); err != nil || len(o.due) == 0 || o.slots == 0 {
			return next, err
		}
		taken, err := h.take(o)
		if err != nil {
			return time.Time{}, err
		}
		if taken == 0 {
			return h.service.now().Add(ending), nil
		}
	}
	return time.Time{}, nil
}

// take claims runs and begins to work on them. It returns how many it claimed.
func (h *shift) take(o order) (int, error) {
	h.claiming.Store(true)
	defer h.claiming.Store(false)
	taken, err := h.service.claim(h.ctx, o)
	if err != nil {
		return 0, err
	}
	for _, c := range taken {
		if h.reserve(c.run) {
			go h.resume(c)
			continue
		}
		// The former ownership of the run by this worker is just ending, or the
		// worker is: it is put back.
		if err := h.letGo(c.run, ending); err != nil {
			return 0, err
		}
	}
	return len(taken), nil
}

// order looks at what is due and says what to claim. Next is when more will be
// due; zero is never.
func (h *shift) order() (o order, next time.Time, err error) {
	line, err := h.service.line(h.ctx, h.options.Only)
	if err != nil {
		return order{}, time.Time{}, err
	}
	slices.SortFunc(line, func(a, b spot) int { return strings.Compare(a.queue, b.queue) })
	o = order{instance: h.instance, only: h.options.Only}
	now := h.service.now()
	waiting := make(map[gathering.ProjectID]bool, len(line))
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range line {
		waiting[p.project()] = true
		switch {
		case p.queue == suspects && h.suspect != "":
		case !p.ready.After(now):
			o.due = append(o.due, p)
		case next.IsZero() || p.ready.Before(next):
			next = p.ready
		}
	}
	// Set before the slots are counted: whoever gives one back from now on rings.
	h.backlog.Store(len(o.due) > 0)
	h.turns.Forget(func(p gathering.ProjectID) bool { return waiting[p] })
	o.slots, o.turns = min(h.free, claimBatch), h.turns.Clone()
	if h.shut() {
		o.slots = 0
	}
	return o, next, nil
}

// resume goes on with a claimed run: it folds the log, which nobody else
// appends to any more, and says in it that the run has a new owner.
func (h *shift) resume(c claimed) {
	l := newRunLog(h.service, c.run)
	l.parentNode, l.bounded, l.undecided, l.shift = c.parentNode, c.bounded, c.undecided, h
	l.subscribe()
	if c.run.Crashes >= maxCrashes {
		h.giveUp(l)
		return
	}
	state, turn, err := h.takeover(l, c.crashed)
	if err != nil {
		h.end(l, engine.Released, err)
		return
	}
	h.move(l, state, turn)
}

// giveUp ends a run that took its hosts down too often.
func (h *shift) giveUp(l *runLog) {
	defer l.unsubscribe()
	defer h.giveBack(l.run.ID)
	if err := h.service.giveUp(h.ctx, l, errCrashes); err != nil {
		h.logger.ErrorContext(h.ctx, "could not give a run up", slog.String("run_id", string(l.run.ID)), slog.String("error", err.Error()))
	}
}

// takeover says in the log that the run has a new owner, and takes in its mail.
// Mail that comes in between is taken in with it.
func (h *shift) takeover(l *runLog, crashed bool) (state *engine.State, turn engine.Turn, err error) {
	for {
		state, turn, err = h.tryTakeover(l, crashed)
		if gathering.CodeOf(err) != gathering.CodeMail {
			return state, turn, err
		}
	}
}

func (h *shift) tryTakeover(l *runLog, crashed bool) (*engine.State, engine.Turn, error) {
	var (
		state *engine.State
		mail  []engine.Mail
	)
	err := h.service.patiently(h.ctx, func() error {
		var err error
		if state, err = h.service.fold(h.ctx, l.run); err != nil {
			return err
		}
		mail, err = l.Mail(h.ctx)
		return err
	})
	if err != nil {
		return nil, engine.Turn{}, err
	}
	l.know(state.Queued)
	turn, err := engine.Next(state, h.service.now(), engine.Takeover{Instance: h.instance, Crashed: crashed, Mail: mail})
	if err != nil {
		return nil, engine.Turn{}, fmt.Errorf("take %s over: %w", l.run.ID, err)
	}
	c := engine.NewCommit(state, turn)
	for _, m := range mail {
		c.Consumed = append(c.Consumed, m.ID)
	}
	if err := l.Append(h.ctx, c); err != nil {
		return nil, engine.Turn{}, fmt.Errorf("take %s over: %w", l.run.ID, err)
	}
	return state, turn, nil
}

// patiently repeats fn while the database is away, for a while.
func (s *Service) patiently(ctx context.Context, fn func() error) error {
	deadline := time.Now().Add(s.patience)
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	for {
		err := fn()
		if gathering.KindOf(err) != gathering.KindUnavailable || time.Now().After(deadline) {
			return err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return err
		}
	}
}

// own begins to work on a run that was just inserted as this worker's.
func (h *shift) own(l *runLog, state *engine.State, turn engine.Turn) {
	l.know(state.Queued)
	go h.move(l, state, turn)
}

func (h *shift) move(l *runLog, state *engine.State, turn engine.Turn) {
	logger := h.logger
	if l.request != "" {
		logger = logger.With(slog.String("request_id", l.request))
	}
	owner := &engine.Owner{
		State: state, Log: l, Now: h.service.now, Bell: l.rings, Fence: h.steady,
		ParkAfter: h.options.ParkAfter, Quiet: h.quiet, Drain: h.options.Drain, MaxShared: h.service.maxTurn / 4, Logger: logger,
	}
	ending, err := owner.Run(h.ctx, turn)
	h.end(l, ending, err)
}

// end settles what becomes of a run that this worker no longer moves.
func (h *shift) end(l *runLog, ending engine.Ending, err error) {
	defer h.giveBack(l.run.ID)
	defer l.unsubscribe()
	id := slog.Group("", slog.String("run_id", string(l.run.ID)), slog.String("request_id", l.request))
	switch {
	case err == nil && ending != engine.Released:
		return
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, errCutOff):
		// Perhaps nobody has it yet; if somebody has, this changes nothing.
		err = h.letGo(l.run, 0)
	case gathering.CodeOf(err) == gathering.CodeFenced:
		h.logger.Warn("another instance owns the run by now", id)
		return
	default:
		h.logger.Error("could not move a run", id, slog.String("error", err.Error()))
		ctx, cancel := h.lastly()
		defer cancel()
		err = h.service.stuck(ctx, l, err, h.options.CrashPause)
	}
	if err != nil {
		h.logger.Error("could not let go of a run", id, slog.String("error", err.Error()))
	}
}

// lastly is the context of what is written even when the shift is over.
func (h *shift) lastly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(h.ctx), h.options.Drain)
}

// letGo puts a run back that this shift does not work on.
func (h *shift) letGo(r gathering.Run, pause time.Duration) error {
	ctx, cancel := h.lastly()
	defer cancel()
	return h.service.putBack(ctx, r, 0, pause)
}

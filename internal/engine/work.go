package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"gathering"
)

var (
	// errDeadline is the cause of a context that ended because an attempt's time was up.
	errDeadline       = gathering.NewError(gathering.KindTimeout, "the attempt did not end in the time allowed")
	errNotBegun       = gathering.NewError(gathering.KindCancelled, "it was stopped before it began")
	errInterrupted    = gathering.NewError(gathering.KindCancelled, "the attempt was interrupted while the run was paused")
	errOutputTooLarge = gathering.NewError(gathering.KindTooLarge,
		"its output is over the limit of %d bytes", gathering.MaxValueBytes).WithCode(gathering.CodeOutputTooLarge)
	errEarlier = gathering.NewError(gathering.KindConflict,
		"an earlier attempt may have acted, no later one came through, and nobody can tell").WithCode(gathering.CodeUnknownOutcome)
	errUnknown = gathering.NewError(gathering.KindConflict,
		"the attempt was broken off and may have acted; nobody can tell").WithCode(gathering.CodeUnknownOutcome)
)

// release carries out the effects of a turn that is durable. Children were
// started and cancelled by the commit itself.
func (o *Owner) release(ctx context.Context, effects []Effect) error {
	for _, e := range effects {
		switch e := e.(type) {
		case StartWork:
			work, ok := o.State.nodes[e.Node].spec.Do.(Work)
			if !ok {
				return fmt.Errorf("start node %s of %s: it does not work", o.State.Path(e.Node), o.State.ID)
			}
			o.start(ctx, work, e)
		case StopWork:
			if cancel := o.work[e.Node]; cancel != nil {
				cancel(context.Canceled)
			}
		default:
		}
	}
	return nil
}

// start runs an attempt in a goroutine of its own.
func (o *Owner) start(ctx context.Context, work Work, e StartWork) {
	ctx, cancel := context.WithCancelCause(ctx)
	if o.State.holding {
		cancel(errReleased) // it was decided before: that it is not begun is recorded
	}
	stopTimer := func() {}
	if !e.Deadline.IsZero() {
		timer := time.AfterFunc(max(e.Deadline.Sub(o.Now()), 0), func() { cancel(errDeadline) })
		stopTimer = func() { timer.Stop() }
	}
	o.work[e.Node] = cancel
	job := o.job(e)
	o.workers.Go(func() {
		defer cancel(nil)
		defer stopTimer()
		outcome, err := o.attempt(ctx, work, job)
		if err != nil {
			o.logFailure(job, err)
		}
		o.send(envelope{message: finished(ctx, work, job, attempted{outcome, err})})
	})
}

func (o *Owner) job(e StartWork) Job {
	n := &o.State.nodes[e.Node]
	id := o.State.Path(e.Node)
	return Job{
		Run: o.State.ID, Root: o.State.Root, Project: o.State.Project, Workspace: o.State.Queued.Workspace,
		Node: id, Attempt: e.Attempt, Key: string(o.State.ID) + "/" + id + "/" + strconv.Itoa(n.call), Input: n.input,
		Steps: append([]gathering.Step(nil), n.steps...),
		Fence: o.fence,
		Record: func(ctx context.Context, step gathering.Step) error {
			return o.record(ctx, Stepped{Node: id, Attempt: e.Attempt, Step: step})
		},
	}
}

// attempt does the work unless it was stopped before it began, and checks what
// comes out of it. A panic is a defect of the node and not of the run.
func (o *Owner) attempt(ctx context.Context, work Work, job Job) (outcome Outcome, err error) {
	if ctx.Err() != nil {
		return Outcome{}, errNotBegun
	}
	if err := o.fence(); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", errNotBegun, err)
	}
	if ctx.Err() != nil { // the fence may have taken its time
		return Outcome{}, errNotBegun
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("run node %s of %s: panic: %v\n%s", job.Node, job.Run, p, debug.Stack())
		}
	}()
	outcome, err = work.Run(ctx, job)
	if err != nil || outcome.Output == nil {
		return outcome, err
	}
	if err := gathering.CheckJSON("output", outcome.Output); err != nil {
		if gathering.KindOf(err) == gathering.KindTooLarge {
			return Outcome{}, errOutputTooLarge
		}
		return Outcome{}, err
	}
	return outcome, nil
}

// fence is asked right before anything is done outside.
func (o *Owner) fence() error {
	if o.Fence == nil {
		return nil
	}
	return o.Fence()
}

// attempted is what an attempt returned.
type attempted struct {
	outcome Outcome
	err     error
}

// finished turns what an attempt returned into its message. Why its context
// ended outweighs how the work put it. Work that must not be done twice has an
// unknown outcome where its failure leaves open whether it acted; when the run
// is let go, that is for its next owner to say.
func finished(ctx context.Context, work Work, job Job, a attempted) Finished {
	f := Finished{Node: job.Node, Attempt: job.Attempt, Outcome: a.outcome}
	err := a.err
	if err == nil {
		return f
	}
	if after, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err); ok {
		f.RetryAfter = after.RetryAfter()
	}
	cause := context.Cause(ctx)
	f.Unbegun = errors.Is(err, errNotBegun) && !errors.Is(cause, errDeadline) || notActed(err) && errors.Is(cause, errReleased)
	switch {
	case gathering.CodeOf(err) == gathering.CodeUnknownOutcome:
	case !work.Idempotent && mayHaveActed(ctx, err) && !errors.Is(cause, errReleased):
		err = errUnknown.WithCause(err)
	case errors.Is(cause, errDeadline):
		err = errDeadline.WithCode(stillNotSent(err)).WithCause(err)
	case ctx.Err() != nil:
		err = gathering.NewError(gathering.KindCancelled, "it was stopped").WithCode(stillNotSent(err)).WithCause(err)
	}
	f.Failure = gathering.FailureOf(err)
	return f
}

// mayHaveActed reports whether an attempt that failed with err may have done
// its work, or a part of it.
func mayHaveActed(ctx context.Context, err error) bool {
	if notActed(err) {
		return false
	}
	switch gathering.KindOf(err) {
	case gathering.KindTimeout, gathering.KindCancelled, gathering.KindInternal:
		return true
	default:
		return ctx.Err() != nil
	}
}

// notActed reports whether an attempt that failed with err is known to have
// done nothing.
func notActed(err error) bool {
	code := gathering.CodeOf(err)
	return errors.Is(err, errNotBegun) || code == gathering.CodeNotSent || code == gathering.CodeCircuitOpen
}

// stillNotSent is the code for err where that says that nothing was called: the
// intent of a call about to be made is to be forgotten, whatever ended the attempt.
func stillNotSent(err error) string {
	if gathering.CodeOf(err) == gathering.CodeNotSent || errors.Is(err, errNotBegun) {
		return gathering.CodeNotSent
	}
	return ""
}

// record sends a step to the owner and waits until it is durable.
func (o *Owner) record(ctx context.Context, s Stepped) error {
	if s.Step.Result != nil {
		if err := gathering.CheckJSON("result", s.Step.Result); err != nil {
			return err
		}
	}
	durable := make(chan error, 1)
	if !o.send(envelope{message: s, durable: durable}) {
		return gathering.NewError(gathering.KindCancelled, "the run was given up").WithCause(ctx.Err())
	}
	// A step that was sent is worth waiting for even when ctx ends: it happened.
	select {
	case err := <-durable:
		return err
	case <-o.stopped:
		return gathering.NewError(gathering.KindCancelled, "the run was given up").WithCause(ctx.Err())
	}
}

// send hands a message to the owner, or reports false when it reads no more.
func (o *Owner) send(e envelope) bool {
	select {
	case o.messages <- e:
		return true
	case <-o.stopped:
		return false
	}
}

// logFailure keeps the cause of a failure, of which the run's log holds only
// what everybody may see.
func (o *Owner) logFailure(job Job, err error) {
	level := slog.LevelInfo
	if gathering.KindOf(err) == gathering.KindInternal {
		level = slog.LevelError
	}
	o.Logger.LogAttrs(context.Background(), level, "attempt failed", slog.String("run_id", string(job.Run)), slog.String("node", job.Node),
		slog.Int("attempt", job.Attempt), slog.String("error", err.Error()))
}

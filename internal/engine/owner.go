package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gathering"
)

// Log makes what happened in a run durable. One owner uses one Log.
type Log interface {
	// Append returns once the commit is durable. An error of code fenced says
	// that another owner has the run; one of code mail that nothing was written,
	// because the commit is conditional and mail has come that the owner has
	// not read.
	Append(ctx context.Context, c Commit) error
	// Mail returns the entries of the run's inbox, oldest first.
	Mail(ctx context.Context) ([]Mail, error)
	// Fold returns the run's state as its log has it.
	Fold(ctx context.Context) (*State, error)
}

// Commit is what one append of a run writes, all of it or nothing.
type Commit struct {
	Events   []gathering.Event
	Start    []StartChild        // child runs to insert
	Tell     []TellChild         // child runs to ask for something
	Consumed []gathering.InboxID // entries of the inbox that the events have taken in
	State    gathering.RunState  // where the run stands after the events
	Progress bool                // a node ended
	Park     bool                // give the run up until ReadyAt or mail
	ReadyAt  time.Time           // zero: only mail moves it
	Ended    *gathering.RunEndedData
	// Conditional: only while there is no mail that the owner has not read. A
	// run neither ends nor parks over what was asked of it before.
	Conditional bool
	Snapshot    *Snapshot // of the state after the events; nil is none
	Undecided   int       // how many nodes wait for somebody to say what became of them
}

// Ending says why an owner is done with a run.
type Ending int

// The ways an owner is done with a run.
const (
	Ended    Ending = iota // the run is terminal
	Parked                 // the run waits and is given up
	Released               // the owner was told to let go; the run is as its log says
)

// Owner is the one goroutine that moves a run. Its fields are set before Run
// and not changed by others.
type Owner struct {
	State *State
	Log   Log
	Now   func() time.Time
	// Fence returns an error once the owner may have lost the run without
	// knowing it. It is asked before anything is done outside. Nil is never.
	Fence func() error
	// Bell says that there may be mail.
	Bell <-chan struct{}
	// ParkAfter is the shortest wait for which a run is parked instead of held
	// in memory.
	ParkAfter time.Duration
	// Quiet, once it is closed, has the owner begin nothing more and let go when
	// the work under way has ended by itself. Nil never is.
	Quiet <-chan struct{}
	// Drain is how long work under way may take when the owner is told to let go.
	Drain time.Duration
	// MaxShared is how many bytes the results of one append bring along before it
	// takes no more; 0 is no limit.
	MaxShared int
	Logger    *slog.Logger

	messages chan envelope
	stopped  chan struct{} // closed when nobody reads messages any more
	work     map[int]context.CancelCauseFunc
	workers  sync.WaitGroup
	lookAt   time.Time // when to look into the inbox; zero is when the bell rings
	moved    time.Time // when the last message came
	until    time.Time // when work that was told to stop is left behind; zero is not yet known
}

// envelope is a message and, for a step, where its sender waits.
type envelope struct {
	message Message
	durable chan<- error
}

// size is the bytes of what the message brings to be written.
func (e envelope) size() int {
	switch m := e.message.(type) {
	case Finished:
		return len(m.Outcome.Output)
	case Stepped:
		return len(m.Step.Result)
	default:
		return 0
	}
}

var (
	errReleased = errors.New("the owner lets go of the run")
	errLate     = gathering.NewError(gathering.KindCancelled, "the node was given up before the step")
)

// lastWord is how much longer than work under way a call of the log may take
// when the owner is told to let go.
const lastWord = time.Second

// Run moves the run from the first message on until it ends, parks or ctx
// ends. When ctx ends it stops all work, records what still succeeds within
// Drain and lets go. It returns after every goroutine it started has ended, or
// been given up.
func (o *Owner) Run(ctx context.Context, turn Turn) (Ending, error) {
	o.messages = make(chan envelope)
	o.stopped = make(chan struct{})
	o.work = make(map[int]context.CancelCauseFunc)
	o.moved = o.Now()
	// The log outlives ctx, and so does work: it is stopped by name, so that
	// what it did by then can still be recorded. It is told at once, and not only
	// when the owner has time, which may be waiting for a log that never answers.
	logging, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	working, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer o.join()
	defer context.AfterFunc(ctx, func() {
		stop(errReleased)
		time.AfterFunc(o.Drain+lastWord, hangUp)
	})()
	defer stop(errReleased)
	defer close(o.stopped)

	o.hush()
	if err := o.release(working, turn.Effects); err != nil {
		return Released, err
	}
	for {
		if o.State.Run.Terminal() {
			return Ended, nil
		}
		if !o.State.holding && o.parks() {
			parked, err := o.park(logging, working)
			if err != nil || parked {
				return Parked, err
			}
			continue
		}
		if o.State.holding && !o.State.Working() {
			return Released, nil
		}
		batch := o.wait(ctx)
		o.hush()
		if ctx.Err() != nil {
			stop(errReleased)
			return o.drain(logging, working, batch)
		}
		mail, err := o.look(logging)
		if err != nil {
			return Released, err
		}
		if err := o.step(logging, working, append(mail, batch...)); err != nil {
			return Released, err
		}
	}
}

// hush notes that nothing more is to be begun.
func (o *Owner) hush() {
	select {
	case <-o.Quiet:
		o.Quiet, o.State.holding = nil, true
	default:
	}
}

// wait returns the next messages, or none when it is time to look into the
// inbox, ctx ended or nothing more is to be begun.
func (o *Owner) wait(ctx context.Context) []envelope {
	var timer <-chan time.Time
	due := earlier(o.State.NextDue(), o.lookAt)
	if rest := o.lingers(); rest > 0 {
		due = earlier(due, o.Now().Add(rest))
	}
	if !due.IsZero() {
		t := time.NewTimer(max(due.Sub(o.Now()), 0))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return nil
	case <-o.Quiet:
		return nil
	case e := <-o.messages:
		return o.more([]envelope{e})
	case <-timer:
		return []envelope{{message: Tick{}}}
	case <-o.Bell:
		o.lookAt = o.Now()
		return nil
	}
}

// retryLook is how long after a failed look into the inbox the next one is.
const retryLook = time.Second

// look returns what is in the inbox if the bell rang or it is time to: before
// any result is taken in, so that what was asked of the run before its last
// result counts. A database that is away does not stop the work under way.
func (o *Owner) look(ctx context.Context) ([]envelope, error) {
	select {
	case <-o.Bell:
		o.lookAt = o.Now()
	default:
	}
	if o.lookAt.IsZero() || o.Now().Before(o.lookAt) {
		return nil, nil
	}
	mail, err := o.mail(ctx)
	if gathering.KindOf(err) == gathering.KindUnavailable {
		o.Logger.WarnContext(ctx, "could not look into the inbox",
			slog.String("run_id", string(o.State.ID)), slog.String("error", err.Error()))
		o.lookAt = o.Now().Add(retryLook)
		return nil, nil
	}
	return mail, err
}

// mail returns what is in the inbox.
func (o *Owner) mail(ctx context.Context) ([]envelope, error) {
	mail, err := o.Log.Mail(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the inbox of %s: %w", o.State.ID, err)
	}
	o.lookAt = time.Time{}
	batch := make([]envelope, 0, len(mail)+1)
	for _, m := range mail {
		batch = append(batch, envelope{message: m})
	}
	return append(batch, envelope{message: Tick{}}), nil
}

// reconsider takes the state back to what the log has, after a commit that was
// refused for the sake of mail, and returns the batch with that mail before
// everything else in it.
func (o *Owner) reconsider(ctx context.Context, batch []envelope) ([]envelope, error) {
	state, err := o.Log.Fold(ctx)
	if err != nil {
		return nil, fmt.Errorf("fold %s: %w", o.State.ID, err)
	}
	state.holding = o.State.holding
	o.State = state
	mail, err := o.mail(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range batch {
		if _, old := e.message.(Mail); !old {
			mail = append(mail, e)
		}
	}
	return mail, nil
}

// more takes the messages that wait already, so that they share one append.
func (o *Owner) more(batch []envelope) []envelope {
	for size := batch[0].size(); o.MaxShared == 0 || size < o.MaxShared; {
		select {
		case e := <-o.messages:
			size += e.size()
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// step moves the run by a batch of messages. Logging is the context of the
// log's calls, working that of the work that is begun.
func (o *Owner) step(logging, working context.Context, batch []envelope) error {
	m, err := o.move(logging, batch)
	if err == nil {
		err = o.append(logging, m)
	}
	for gathering.CodeOf(err) == gathering.CodeMail {
		if batch, err = o.reconsider(logging, batch); err != nil {
			break
		}
		if m, err = o.move(logging, batch); err == nil {
			err = o.append(logging, m)
		}
	}
	for i, e := range batch {
		switch {
		case e.durable == nil:
		case err == nil && m.late[i]:
			e.durable <- errLate
		default:
			e.durable <- err
		}
	}
	if err != nil {
		return err
	}
	return o.release(working, m.turn.Effects)
}

// moved is what a batch of messages brought about.
type moved struct {
	turn     Turn
	consumed []gathering.InboxID
	late     []bool // by message: it came too late to change anything
}

func (o *Owner) move(ctx context.Context, batch []envelope) (moved, error) {
	m := moved{late: make([]bool, len(batch))}
	if slices.ContainsFunc(batch, func(e envelope) bool { _, tick := e.message.(Tick); return !tick }) {
		o.moved = o.Now()
	}
	for i, e := range batch {
		next, err := Next(o.State, o.Now(), e.message)
		if err != nil {
			return m, fmt.Errorf("move %s: %w", o.State.ID, err)
		}
		switch message := e.message.(type) {
		case Finished:
			o.workEnded(message.Node)
		case Mail:
			m.consumed = append(m.consumed, message.ID)
		default:
		}
		for _, dropped := range next.Dropped {
			o.Logger.ErrorContext(ctx, "passed over mail", slog.String("error", dropped.Error()))
		}
		m.late[i] = len(next.Events) == 0
		if len(batch) == 1 {
			m.turn.Events, m.turn.Effects = next.Events, next.Effects
			break
		}
		m.turn.Events = append(m.turn.Events, next.Events...)
		m.turn.Effects = append(m.turn.Effects, next.Effects...)
	}
	return m, nil
}

func (o *Owner) workEnded(path string) {
	if i, err := o.State.find(path); err == nil {
		delete(o.work, i)
	}
}

func (o *Owner) append(ctx context.Context, m moved) error {
	if len(m.turn.Events) == 0 && len(m.consumed) == 0 {
		return nil
	}
	c := NewCommit(o.State, m.turn)
	c.Consumed = m.consumed
	return o.commit(ctx, c)
}

// commit makes c durable, with a snapshot if one is due.
func (o *Owner) commit(ctx context.Context, c Commit) error {
	if c.Ended == nil {
		var err error
		if c.Snapshot, err = o.State.nextSnapshot(); err != nil {
			return err
		}
	}
	if err := o.Log.Append(ctx, c); err != nil {
		return fmt.Errorf("append to %s: %w", o.State.ID, err)
	}
	return nil
}

// NewCommit is what makes a turn durable, for a state that the turn led to.
func NewCommit(s *State, turn Turn) Commit {
	c := Commit{Events: turn.Events, State: s.Run, Progress: s.TakeProgress(), Undecided: s.unknown}
	for _, e := range turn.Effects {
		switch e := e.(type) {
		case StartChild:
			c.Start = append(c.Start, e)
		case TellChild:
			c.Tell = append(c.Tell, e)
		default:
		}
	}
	if s.Run.Terminal() {
		c.Ended = &gathering.RunEndedData{Output: s.Output, Failure: s.Failure, MayHaveActed: s.leavesOpen()}
		c.Conditional, c.Undecided = true, 0
	}
	return c
}

// parks reports whether nothing is under way and nothing due for a while.
func (o *Owner) parks() bool {
	if o.State.Working() || !o.lookAt.IsZero() {
		return false
	}
	if o.lingers() > 0 {
		return false
	}
	due := o.State.NextDue()
	return due.IsZero() || due.Sub(o.Now()) >= o.ParkAfter
}

// linger is how long a run is held in memory after the end of a child, where
// the next child is likely to end soon.
const linger = 250 * time.Millisecond

// lingers is how much longer the run is held for the next child of a map.
func (o *Owner) lingers() time.Duration {
	if o.moved.IsZero() || !o.State.spreadsChildren() {
		return 0
	}
	return linger - o.Now().Sub(o.moved)
}

// park gives the run up until it is due or has mail. It reports false where
// mail has come already; then the run goes on here.
func (o *Owner) park(logging, working context.Context) (bool, error) {
	due := o.State.NextDue()
	t := newTurn(o.State, o.Now())
	data := &gathering.RunWaitingData{Until: timePointer(due)}
	for _, i := range t.g.order {
		if st := t.s.nodes[i].state; st != gathering.NodePending && !st.Terminal() {
			data.Nodes = append(data.Nodes, t.g.nodes[i].ID)
		}
	}
	t.emit(gathering.EventRunWaiting, data)
	if t.err != nil {
		return false, t.err
	}
	c := NewCommit(o.State, t.Turn)
	c.Park, c.ReadyAt, c.Conditional = true, due, true
	err := o.commit(logging, c)
	if gathering.CodeOf(err) != gathering.CodeMail {
		return err == nil, err
	}
	mail, err := o.reconsider(logging, nil)
	if err != nil {
		return false, err
	}
	return false, o.step(logging, working, mail)
}

// drain records what was received already and what of the work, all of which
// was told to stop, still ends by itself within Drain. What these results lead
// to is not begun any more.
func (o *Owner) drain(logging, stopped context.Context, received []envelope) (Ending, error) {
	o.until = time.Now().Add(o.Drain)
	o.State.holding = true
	limit := time.NewTimer(o.Drain)
	defer limit.Stop()
	for (len(received) > 0 || len(o.work) > 0) && !o.State.Run.Terminal() {
		if len(received) == 0 {
			select {
			case <-limit.C:
				return Released, nil
			case e := <-o.messages:
				received = []envelope{e}
			}
		}
		if kept := o.withoutInterrupted(received); len(kept) > 0 {
			if err := o.step(logging, stopped, kept); err != nil {
				return Released, err
			}
		}
		received = nil
	}
	if o.State.Run.Terminal() {
		return Ended, nil
	}
	return Released, nil
}

// withoutInterrupted leaves out the ends of attempts that were stopped. They
// do not count: whoever has the run next makes them again.
func (o *Owner) withoutInterrupted(batch []envelope) []envelope {
	return slices.DeleteFunc(batch, func(e envelope) bool {
		f, ok := e.message.(Finished)
		interrupted := ok && f.Failure != nil && f.Failure.Kind == gathering.KindCancelled && !f.Unbegun
		if interrupted {
			o.workEnded(f.Node)
		}
		return interrupted
	})
}

// join waits for the goroutines of the run. Work that does not stop is left
// behind, Drain after it was told to; what it still says is dropped.
func (o *Owner) join() {
	wait := o.Drain
	if !o.until.IsZero() {
		wait = max(time.Until(o.until), 0)
	}
	done := make(chan struct{})
	go func() {
		o.workers.Wait()
		close(done)
	}()
	limit := time.NewTimer(wait)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		o.Logger.Warn("work goes on that was told to stop", slog.String("run_id", string(o.State.ID)))
	}
}

package cli

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"gathering"
	"gathering/internal/progress"
)

// follower shows how a run and the runs it waits for go on, until it ends, or
// waits for a human alone, or is paused and nothing of it is under way any more,
// or is left for later.
type follower struct {
	session *session
	shell   *shell
	root    *progress.Tree
	view    view

	updates  chan update
	watchers sync.WaitGroup
	asked    bool       // it was asked to stop
	away     int        // the watchers that the database is away for
	later    []adoption // those that the database was away for
	looked   time.Time  // when it was looked last whether a paused run rests
}

// aGlance is how long a look may take that keeps signals waiting.
const aGlance = 3 * time.Second

// update is news of one of the runs that are followed: an event, or that the
// database is away for its watcher, or back, or why it is watched no more.
type update struct {
	tree  *progress.Tree
	above string // the nodes that led to the run
	event gathering.Event
	away  *gathering.Failure
	back  bool
	err   error
}

// adoption is a node that waits for a run which is to be followed too.
type adoption struct {
	node  *progress.Node
	above string // the nodes that led to the node's run
}

// view shows a tree as it changes.
type view interface {
	Event(t *progress.Tree, above string, e gathering.Event)
	Tick(now time.Time)
	Finish(now time.Time)
}

// redraw is how often a live tree is drawn.
const redraw = 100 * time.Millisecond

// follow follows a run that the session works on.
func (x *session) follow(ctx context.Context, r gathering.Run, show func(*progress.Tree) view) (*progress.Tree, error) {
	tree, err := x.tree(ctx, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{session: x, shell: x.shell, root: tree, view: show(tree), updates: make(chan update)}
	defer f.watchers.Wait()
	defer cancel()
	defer func() { f.view.Finish(time.Now()) }()
	f.watch(ctx, tree, "")
	return tree, f.loop(ctx)
}

// tree is a run of which nothing is known yet.
func (x *session) tree(ctx context.Context, r gathering.Run) (*progress.Tree, error) {
	def, err := x.book.Definition(ctx, r.Pipeline, r.Version)
	if err != nil {
		return nil, err
	}
	return progress.NewTree(r.ID, r.Version, def), nil
}

// watch sends the events of a run as updates until it has ended or ctx has.
func (f *follower) watch(ctx context.Context, tree *progress.Tree, above string) {
	f.watchers.Go(func() {
		after := int64(0)
		for again := true; again; {
			again = false
			for e, err := range f.session.book.Watch(ctx, tree.Run, after) {
				if gathering.KindOf(err) == gathering.KindUnavailable {
					again = f.outlast(ctx, tree.Run, err)
					break
				}
				if !f.send(ctx, update{tree: tree, above: above, event: e, err: err}) {
					return
				}
				after = e.Seq
			}
		}
	})
}

func (f *follower) send(ctx context.Context, u update) bool {
	select {
	case f.updates <- u:
		return true
	case <-ctx.Done():
		return false
	}
}

// lookAgain is how often a watcher looks whether the database is back.
const lookAgain = 500 * time.Millisecond

// outlast waits until the database, which is away, is back. It reports false
// where ctx ended first.
func (f *follower) outlast(ctx context.Context, id gathering.RunID, away error) bool {
	ticker := time.NewTicker(max(lookAgain, f.session.often()))
	defer ticker.Stop()
	if !f.send(ctx, update{away: gathering.FailureOf(away)}) {
		return false
	}
	for {
		if _, err := f.session.book.Run(ctx, id); gathering.KindOf(err) != gathering.KindUnavailable {
			return f.send(ctx, update{back: true})
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (f *follower) loop(ctx context.Context) error {
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case u := <-f.updates:
			if err := f.take(ctx, u); err != nil {
				return err
			}
			if f.root.State.Terminal() || f.root.Undecided() != nil {
				f.rest(ctx)
				return nil
			}
		case now := <-ticker.C:
			f.view.Tick(now)
			if err := f.adoptLate(ctx); err != nil || f.pausedAtRest(ctx, now) {
				return err
			}
		case signal := <-f.shell.Signals:
			if left, err := f.interrupt(ctx, signal); left || err != nil {
				return err
			}
		}
	}
}

// take takes in an update. That the database is away is told once, however many
// watch, and so is that it is back.
func (f *follower) take(ctx context.Context, u update) error {
	switch {
	case u.err != nil:
		return u.err
	case u.away != nil:
		if f.away++; f.away == 1 {
			f.shell.tellAway(u.away)
		}
	case u.back:
		if f.away--; f.away == 0 {
			f.session.tellBack()
		}
	default:
		return f.apply(ctx, u)
	}
	return nil
}

// pausedAtRest reports whether the run is paused and nothing of it is under way
// any more: only somebody's word moves it. That this cannot be seen now is told
// by who watches the run.
func (f *follower) pausedAtRest(ctx context.Context, now time.Time) bool {
	if f.root.Paused() == "" || f.away > 0 || now.Sub(f.looked) < f.session.often() {
		return false
	}
	f.looked = now
	ctx, cancel := context.WithTimeout(ctx, aGlance)
	defer cancel()
	r, err := f.session.book.Run(ctx, f.root.Run)
	if err != nil || r.State != gathering.RunPaused || r.Owner != "" {
		return false
	}
	if f.session.worker == nil {
		return true
	}
	idle, err := f.session.worker.Idle(ctx, 0)
	return err == nil && idle
}

// late is how long the events of the runs that its nodes waited for may take to
// arrive once a run has ended.
const late = 500 * time.Millisecond

// rest takes in what is on its way of the runs that nodes waited for: they have
// ended, but their events come by ways of their own.
func (f *follower) rest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, late)
	defer cancel()
	for open(f.root) {
		select {
		case u := <-f.updates:
			if f.take(ctx, u) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// open reports whether more is to be heard of a run that a node waited for and
// that ended.
func open(t *progress.Tree) bool {
	for n := range t.All() {
		if n.State == gathering.NodeCompleted && n.Child != nil && (!n.Child.State.Terminal() || open(n.Child)) {
			return true
		}
	}
	return false
}

func (f *follower) apply(ctx context.Context, u update) error {
	if err := u.tree.Apply(u.event); err != nil {
		return err
	}
	f.view.Event(u.tree, u.above, u.event)
	n := u.tree.Of(u.event)
	if n == nil || n.ChildRun == "" {
		return nil
	}
	return f.adopt(ctx, adoption{n, u.above})
}

// adopt begins to follow the run that a node waits for, or leaves that for
// later while the database is away.
func (f *follower) adopt(ctx context.Context, a adoption) error {
	n := a.node
	if n.Child != nil && n.Child.Run == n.ChildRun {
		return nil
	}
	child, err := f.childOf(ctx, n)
	switch kind := gathering.KindOf(err); {
	case kind == gathering.KindNotFound:
		return nil // the run was refused; its node is told so
	case kind == gathering.KindUnavailable, kind == gathering.KindTimeout:
		f.later = append(f.later, a)
		return nil
	case err != nil:
		return err
	}
	n.Child = child
	f.watch(ctx, child, strings.TrimPrefix(a.above+"/"+n.ID, "/"))
	return nil
}

func (f *follower) childOf(ctx context.Context, n *progress.Node) (*progress.Tree, error) {
	ctx, cancel := context.WithTimeout(ctx, aGlance)
	defer cancel()
	r, err := f.session.book.Run(ctx, n.ChildRun)
	if err != nil {
		return nil, err
	}
	return f.session.tree(ctx, r)
}

func (f *follower) adoptLate(ctx context.Context) error {
	if f.away > 0 {
		return nil
	}
	late := f.later
	f.later = nil
	for _, a := range late {
		if err := f.adopt(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// interrupt does what a signal asks for. The first Ctrl-C cancels the run; the
// second, or being told to terminate or that the terminal is gone, leaves the run
// for later.
func (f *follower) interrupt(ctx context.Context, signal os.Signal) (left bool, err error) {
	if signal == syscall.SIGINT && !f.asked {
		f.asked = true
		f.shell.tell("cancelling %s; Ctrl-C again leaves the rest of that for later", f.root.Run)
		asking, stop := f.shell.interruptible(ctx)
		err := f.session.cancel(asking, f.root.Run)
		second, again := errors.AsType[*interruption](context.Cause(asking))
		stop()
		switch {
		case again: // whether it was asked to is not known
			signal, f.asked = second.signal, err == nil
		case gathering.KindOf(err) == gathering.KindConflict: // it has ended meanwhile
			return false, nil
		case gathering.KindOf(err) == gathering.KindUnavailable: // nor here
			f.shell.explain(err)
			f.asked = false
		default:
			return false, err
		}
	}
	f.session.leave()
	if f.asked {
		f.shell.tell("left %s while it is being cancelled; %s", f.root.Run, f.session.goesOn())
	} else {
		f.shell.tell("left %s for later; %s", f.root.Run, f.session.goesOn())
	}
	return true, exitError(endedBy(signal))
}

// outcome is the exit code that goes with a run's state.
func outcome(state gathering.RunState) int {
	switch state {
	case gathering.RunCompleted:
		return exitDone
	case gathering.RunCancelled:
		return exitCancelled
	case gathering.RunFailed, gathering.RunTimedOut, gathering.RunBudgetExhausted:
		return exitFailed
	default:
		return exitWaiting
	}
}

// settle waits, once a run has ended, for the runs that it started without
// waiting for them.
func (x *session) settle(ctx context.Context) error {
	if x.worker == nil {
		return nil
	}
	ctx, stop := x.shell.interruptible(ctx)
	defer stop()
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		idle, err := x.idle(ctx, 0)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if idle {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if _, ok := errors.AsType[*interruption](context.Cause(ctx)); ok {
				x.shell.tell("left the runs that it started for later; gathering runs resume goes on with them")
				return nil
			}
			return context.Cause(ctx)
		}
	}
}

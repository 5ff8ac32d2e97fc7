package engine

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"gathering"
	"gathering/internal/expr"
)

// start begins a node whose turn has come.
func (t *turn) start(i int) {
	n := t.s.nodes[i].spec
	scope := t.s.scope(i)
	var input json.RawMessage
	if n.Input != nil {
		rendered, err := n.Input(scope)
		if err != nil {
			t.failed(i, gathering.FailureOf(err))
			return
		}
		input = rendered
	}
	switch do := n.Do.(type) {
	case Trigger:
		t.emitNode(gathering.EventNodeCompleted, i, 1, &gathering.NodeCompletedData{})
	case Pure:
		outcome, err := do(scope, input)
		if err != nil {
			t.failed(i, gathering.FailureOf(err))
			return
		}
		t.completed(i, outcome)
	case Work:
		t.begin(i, 1, input)
	case Sleep:
		t.sleep(i, do, scope)
	case Child:
		t.child(i, do, scope, input)
	case Map:
		t.spreadOut(i, do)
	case Join:
		t.join(i, do)
	}
}

// join passes on what came, and stops the rest where it is asked to.
func (t *turn) join(i int, do Join) {
	t.completed(i, t.arrived(i))
	if !do.CancelRest {
		return
	}
	for _, rest := range t.g.rest[i] {
		if !t.s.nodes[rest].state.Terminal() {
			t.halt(rest, nil)
		}
	}
}

// begin begins an attempt of a node that works.
func (t *turn) begin(i, attempt int, input json.RawMessage) {
	t.emitNode(gathering.EventNodeStarted, i, attempt, &gathering.NodeStartedData{Input: input})
	t.effect(StartWork{Node: i, Attempt: attempt, Deadline: t.s.attemptDeadline(i)})
}

// startAgain repeats an interrupted attempt under its own number.
func (t *turn) startAgain(i int) {
	t.effect(StartWork{Node: i, Attempt: t.s.nodes[i].attempt, Deadline: t.s.attemptDeadline(i)})
}

func (t *turn) sleep(i int, do Sleep, scope *expr.Scope) {
	until, err := do(scope, t.now)
	if err != nil {
		t.failed(i, gathering.FailureOf(err))
		return
	}
	until = until.UTC().Truncate(time.Microsecond)
	t.emitNode(gathering.EventNodeStarted, i, 1, &gathering.NodeStartedData{})
	if !until.After(t.now) {
		t.completed(i, Outcome{})
		return
	}
	t.emitNode(gathering.EventNodeWaiting, i, 1, &gathering.NodeWaitingData{Until: &until})
}

func (t *turn) child(i int, do Child, scope *expr.Scope, input json.RawMessage) {
	attempt := t.s.nodes[i].attempt + 1
	spec, err := do(scope, input)
	if err != nil {
		t.failed(i, gathering.FailureOf(err))
		return
	}
	n := &t.s.nodes[i]
	id := gathering.ChildRunID(t.s.ID, n.spec.ID, n.item+1, attempt, t.now)
	t.emitNode(gathering.EventNodeStarted, i, attempt, &gathering.NodeStartedData{Input: spec.Input})
	t.effect(StartChild{ID: id, Spec: spec, Trigger: gathering.Trigger{
		Kind: "parent", Run: t.s.ID, Node: t.s.Path(i), Attempt: attempt,
		By: t.s.Queued.Trigger.By, Request: t.s.Queued.Trigger.Request,
	}})
	t.emitNode(gathering.EventNodeWaiting, i, attempt, &gathering.NodeWaitingData{Child: id, Detached: !spec.Wait})
}

func (t *turn) completed(i int, o Outcome) {
	if len(o.Output) > gathering.MaxValueBytes {
		t.failed(i, gathering.FailureOf(errOutputTooLarge))
		return
	}
	t.emitNode(gathering.EventNodeCompleted, i, max(t.s.nodes[i].attempt, 1),
		&gathering.NodeCompletedData{Output: o.Output, Branch: o.Branch})
}

// finished takes the result of an attempt. A result that arrives after a
// request to stop is recorded all the same.
func (t *turn) finished(m Finished) {
	i, ok := t.current(m.Node, m.Attempt)
	if !ok {
		return
	}
	halting := t.s.halting(i)
	switch {
	case m.Failure == nil:
		t.completed(i, m.Outcome)
	case m.Unbegun && !halting:
		t.postpone(i, m.Failure, 0)
	case m.Failure.Code == gathering.CodeUnknownOutcome && t.mayRepeat(i):
		t.retry(i, m.Failure, t.backoff(i, m.RetryAfter))
	case m.Failure.Code == gathering.CodeUnknownOutcome:
		t.unknown(i, m.Failure.Err())
	case halting && m.Failure.Kind == gathering.KindCancelled:
		t.cancelNode(i)
	case m.Failure.Code == gathering.CodeCircuitOpen && t.mayWait(i, m.RetryAfter):
		t.postpone(i, m.Failure, max(m.RetryAfter, shortestWait))
	case !halting && t.mayRetry(i, m.Failure, m.RetryAfter):
		t.retry(i, m.Failure, t.backoff(i, m.RetryAfter))
	default:
		t.conclude(i, m.Failure)
	}
}

// conclude ends a node that is not tried again. Where an attempt before may have
// acted, and this failure tells nothing of that, nobody knows.
func (t *turn) conclude(i int, f *gathering.Failure) {
	if n := &t.s.nodes[i]; n.state != gathering.NodeUnknown && n.unknown && n.doubtAfter(f) {
		t.unknown(i, errEarlier)
		return
	}
	t.failed(i, f)
}

// maxRepeats is how many attempts a call of unknown outcome gets that is to be
// made again, where it has no retry that says how many. After them somebody is
// asked.
const maxRepeats = 10

// mayRepeat reports whether a call of unknown outcome is made again.
func (t *turn) mayRepeat(i int) bool {
	n := &t.s.nodes[i]
	total := t.s.totalDeadline(i)
	most := n.spec.Retry.MaxAttempts
	if most <= 1 {
		most = maxRepeats
	}
	return n.spec.OnUnknown == gathering.OnUnknownRetry && !t.s.unneeded(i) &&
		n.attempt < most && (total.IsZero() || t.now.Before(total))
}

// shortestWait is how long a node waits at least for an open circuit.
const shortestWait = time.Second

// mayWait reports whether a node that met an open circuit waits for it.
func (t *turn) mayWait(i int, delay time.Duration) bool {
	if t.s.halting(i) || t.s.nodes[i].spec.OnOpen == gathering.OnOpenFail {
		return false
	}
	total := t.s.totalDeadline(i)
	return total.IsZero() || t.now.Add(max(delay, shortestWait)).Before(total)
}

// postpone makes an attempt that came to nothing again, later, under its own
// number.
func (t *turn) postpone(i int, f *gathering.Failure, delay time.Duration) {
	t.emitNode(gathering.EventNodeRetrying, i, t.s.nodes[i].attempt, &gathering.NodeRetryingData{
		Failure: f, Due: t.now.Add(delay).Truncate(time.Microsecond), Uncounted: true,
	})
}

// mayRetry reports whether a node is tried again after a failure, which is not
// for what may have acted.
func (t *turn) mayRetry(i int, f *gathering.Failure, after time.Duration) bool {
	n := t.s.nodes[i].spec
	if f.Code == gathering.CodeUnknownOutcome || t.s.nodes[i].attempt >= n.Retry.MaxAttempts || !slices.Contains(n.Retry.On, f.Kind) {
		return false
	}
	total := t.s.totalDeadline(i)
	return total.IsZero() || t.now.Add(t.backoff(i, after)).Before(total)
}

func (t *turn) retry(i int, f *gathering.Failure, delay time.Duration) {
	t.emitNode(gathering.EventNodeRetrying, i, t.s.nodes[i].attempt,
		&gathering.NodeRetryingData{Failure: f, Due: t.now.Add(delay).Truncate(time.Microsecond)})
}

// backoff is the wait before the attempt after the one that just failed. Its
// jitter is drawn from the run, the node and the attempt, so that it differs
// between runs and is the same whenever it is computed.
func (t *turn) backoff(i int, atLeast time.Duration) time.Duration {
	attempt := t.s.nodes[i].attempt
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%d", t.s.ID, t.s.Path(i), attempt) // a hash never fails
	unit := float64(h.Sum64()>>11) / (1 << 53)                            // 0 to 1
	return max(t.s.nodes[i].spec.Retry.Delay(attempt, unit), atLeast)
}

// failed ends a node whose failure is final and does what its OnError says. An
// item that fails fails its map, unless the map skips it.
func (t *turn) failed(i int, f *gathering.Failure) {
	n := &t.s.nodes[i]
	data := &gathering.NodeFailedData{State: gathering.NodeFailed, Failure: f}
	if f.Kind == gathering.KindTimeout {
		data.State = gathering.NodeTimedOut
	}
	attempt := max(n.attempt, 1)
	if t.s.halting(i) && !t.s.failing(i) {
		t.emitNode(gathering.EventNodeFailed, i, attempt, data)
		return
	}
	data.OnError = n.spec.OnError
	if data.OnError == gathering.OnErrorContinue {
		data.Output = n.spec.Fallback
	}
	of, item := n.of, n.item
	if do, _ := t.s.nodes[of].spec.Do.(Map); item >= 0 && do.SkipFailed && data.OnError != gathering.OnErrorContinue {
		data.OnError = gathering.OnErrorContinue
	}
	t.emitNode(gathering.EventNodeFailed, i, attempt, data)
	if data.OnError == gathering.OnErrorContinue || data.OnError == gathering.OnErrorBranch {
		return
	}
	named := *f
	if item >= 0 {
		named.Message = "item " + strconv.Itoa(item) + ": " + f.Message
		t.halt(of, &named)
		return
	}
	named.Message = "node " + t.s.Path(i) + ": " + f.Message
	t.stop(stopFailed, &named, "")
}

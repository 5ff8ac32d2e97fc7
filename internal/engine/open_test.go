package engine_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
)

// TestChildrenThatMayHaveActed has children end over something of which nobody
// knows whether it acted: their nodes say what follows, and no retry does.
func TestChildrenThatMayHaveActed(t *testing.T) {
	t.Parallel()
	asked := engine.ChildEndedMail{State: gathering.RunTimedOut, Failure: &gathering.Failure{Kind: gathering.KindTimeout, Message: "late"}, MayHaveActed: true}
	waits := func(change func(n *engine.Node)) []engine.Node {
		return []engine.Node{trigger("t"), with(retrying(child("c", true)), change)}
	}
	on := func(what gathering.OnUnknown) []engine.Node {
		return waits(func(n *engine.Node) { n.OnUnknown = what })
	}
	limited := waits(func(n *engine.Node) { n.Timeout = time.Minute })
	tests := []struct {
		name  string
		nodes []engine.Node
		edges []string
		play  func(w *world)
		want  string
	}{
		{
			"somebody is asked, and says what it did",
			on(""), nil,
			func(w *world) { w.childrenEnd(asked); w.decide("c", "done") },
			"c:unknown c:decided c:completed run.completed",
		},
		{
			"somebody is asked, and has it done again",
			on(gathering.OnUnknownAsk), nil,
			func(w *world) { w.childrenEnd(asked); w.decide("c", "retry"); w.childEnds(gathering.RunCompleted) },
			"c:unknown c:decided c:retrying c:started c:waiting c:completed run.completed",
		},
		{
			"it is done again where the node says so",
			on(gathering.OnUnknownRetry), nil,
			func(w *world) { w.childrenEnd(asked); w.tickDue(); w.childEnds(gathering.RunCompleted) },
			"c:retrying c:started c:waiting c:completed run.completed",
		},
		{
			"it fails where the node says so",
			on(gathering.OnUnknownFail), nil,
			func(w *world) { w.childrenEnd(asked) },
			"c:failed run.cancelling run.failed",
		},
		{
			"a child that let it count as failed is not tried again",
			waits(func(n *engine.Node) { n.Retry.On = []gathering.Kind{gathering.KindConflict} }), nil,
			func(w *world) { w.childrenEnd(engine.ChildEndedMail{State: gathering.RunFailed, Failure: unknown}) },
			"c:failed run.cancelling run.failed",
		},
		{
			"a run that is stopped keeps to what is known",
			on(""), nil,
			func(w *world) {
				w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
				w.childrenEnd(asked)
			},
			"run.cancelling c:unknown run.cancelled",
		},
		{
			"a child that takes too long is stopped before anything follows",
			limited, nil,
			func(w *world) {
				w.tickDue()
				if len(w.cancels) != 1 || !w.state.NextDue().IsZero() {
					w.t.Errorf("%d children were told to stop, and it is due at %s", len(w.cancels), w.state.NextDue())
				}
				w.childEnds(gathering.RunCancelled)
				w.tickDue()
				w.childEnds(gathering.RunCompleted)
			},
			"c:stopping c:retrying c:started c:waiting c:completed run.completed",
		},
		{
			"what it came to all the same counts",
			limited, nil,
			func(w *world) { w.tickDue(); w.childEnds(gathering.RunCompleted) },
			"c:stopping c:completed run.completed",
		},
		{
			"what it left open is asked about, and can be done again",
			limited, nil,
			func(w *world) {
				w.tickDue()
				w.childrenEnd(asked)
				w.decide("c", "retry")
				w.childEnds(gathering.RunCompleted)
			},
			"c:stopping c:unknown c:decided c:retrying c:started c:waiting c:completed run.completed",
		},
		{
			"without another attempt it is its time that failed it",
			[]engine.Node{trigger("t"), with(onError(child("c", true)), func(n *engine.Node) { n.Timeout = time.Minute })},
			nil,
			func(w *world) {
				w.tickDue()
				w.childEnds(gathering.RunCancelled)
				if n := w.state.Report().Nodes[1]; n.State != gathering.NodeTimedOut {
					w.t.Errorf("got %s, want it timed out", n.State)
				}
			},
			"c:stopping c:failed run.completed",
		},
		{
			"stopped with its run it is cancelled, whatever its time",
			limited, nil,
			func(w *world) {
				w.tickDue()
				w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
				w.childEnds(gathering.RunCancelled)
			},
			"c:stopping run.cancelling c:cancelled run.cancelled",
		},
		{
			"a join does not wait for one that is late",
			append(slices.Clone(limited), work("a"), join("j", 1, true)),
			[]string{"t→a", "a→j", "c→j"},
			func(w *world) { w.tickDue(); w.finish("a", nil); w.childEnds(gathering.RunCancelled) },
			"a:started c:stopping a:completed j:completed c:stopping c:cancelled run.completed",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.nodes, append([]string{"t→c"}, test.edges...)...)
			w.send(engine.Begin{})
			test.play(w)
			w.wantHistory("run.queued run.started t:completed c:started c:waiting " + test.want)
		})
	}
}

// TestRunsThatEndOverOpenCalls look what a parent is told.
func TestRunsThatEndOverOpenCalls(t *testing.T) {
	t.Parallel()
	intent := gathering.Step{Key: "turn/1/call/1", Kind: gathering.StepTool, Phase: gathering.StepIntent}
	cancel := engine.Mail{ID: "1", Kind: engine.MailCancel}
	abandon := func(w *world) {
		w.now = w.now.Add(time.Hour)
		w.send(engine.Tick{})
	}
	tests := []struct {
		name string
		node engine.Node
		play func(w *world)
		open bool // for the parent
		asks bool // a redrive wants it named
	}{
		{"all is known", asking("a", ""), func(w *world) { w.finish("a", invalid) }, false, false},
		{"unknown", asking("a", ""), func(w *world) { w.finish("a", unknown); w.send(cancel) }, true, true},
		{"unknown counts as failed", asking("a", gathering.OnUnknownFail), func(w *world) { w.finish("a", unknown) }, false, true},
		{"somebody let it count as failed", asking("a", ""), func(w *world) { w.finish("a", unknown); w.decide("a", "fail") }, false, false},
		{"it was to be made again", asking("a", gathering.OnUnknownRetry), func(w *world) { w.finish("a", unknown); w.send(cancel) }, true, true},
		{"left behind", asking("a", ""), func(w *world) { w.send(cancel); abandon(w) }, true, true},
		{"left behind, but harmless", work("a"), func(w *world) { w.send(cancel); abandon(w) }, false, false},
		{"left behind in a call", work("a"), func(w *world) {
			w.send(engine.Stepped{Node: "a", Attempt: 1, Step: intent})
			w.send(cancel)
			abandon(w)
		}, true, true},
		{"stopped after a call whose process died", work("a"), func(w *world) {
			w.send(engine.Stepped{Node: "a", Attempt: 1, Step: intent})
			w.send(engine.Mail{ID: "p", Kind: engine.MailPause})
			w.crash()
			w.send(cancel)
		}, true, true},
		{"a call with its result", work("a"), func(w *world) {
			w.send(engine.Stepped{Node: "a", Attempt: 1, Step: intent})
			w.send(engine.Stepped{Node: "a", Attempt: 1, Step: step(intent.Key)})
			w.send(cancel)
			abandon(w)
		}, false, false},
		{"a child's", child("a", true), func(w *world) {
			w.send(cancel)
			w.childrenEnd(engine.ChildEndedMail{State: gathering.RunCancelled, MayHaveActed: true})
		}, true, true},
		{"a child that just failed", child("a", true), func(w *world) { w.childEnds(gathering.RunTimedOut) }, false, false},
		{"of an item", each("a", asking("a", ""), 2, 1), func(w *world) { w.finish("a[0]", unknown); w.send(cancel) }, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, []engine.Node{trigger("t"), test.node}, "t→a")
			w.send(engine.Begin{})
			test.play(w)
			w.checkFold()
			if !w.state.Run.Terminal() {
				t.Fatalf("it has not ended: %s", w.history())
			}
			if got := w.endData().MayHaveActed; got != test.open {
				t.Errorf("the log: got %t, want %t", got, test.open)
			}
			if got := engine.NewCommit(w.state, engine.Turn{}).Ended.MayHaveActed; got != test.open {
				t.Errorf("the parent: got %t, want %t", got, test.open)
			}
			_, err := w.tryFork(`{"n":1}`)
			if got := gathering.KindOf(err) == gathering.KindConflict; got != test.asks {
				t.Errorf("redrive: got %v, want a refusal %t", err, test.asks)
			}
			w.fork(`{"n":1}`, "a")
		})
	}
}

// endData is what the log says with the run's end.
func (w *world) endData() gathering.RunEndedData {
	w.t.Helper()
	var end gathering.RunEndedData
	if data := w.log[len(w.log)-1].Data; data != nil {
		if err := json.Unmarshal(data, &end); err != nil {
			w.t.Fatal(err)
		}
	}
	return end
}

// TestGivenUpMayHaveActed gives a run up that nobody can fold, so that nobody
// knows what it left open.
func TestGivenUpMayHaveActed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), work("a")}, "t→a")
	w.send(engine.Begin{})
	w.send(engine.Stepped{Node: "a", Attempt: 1, Step: gathering.Step{Key: "turn/1/call/1", Kind: gathering.StepTool, Phase: gathering.StepIntent}})
	c, err := engine.GiveUp(w.log[len(w.log)-1], w.now, gathering.NewError(gathering.KindInternal, "it cannot be moved"))
	if err != nil {
		t.Fatal(err)
	}
	w.log = append(w.log, c.Events...)
	if err := w.state.Fold(c.Events[0]); err != nil {
		t.Fatal(err)
	}
	if !c.Ended.MayHaveActed || !w.endData().MayHaveActed {
		t.Errorf("got %+v and %+v", c.Ended, w.endData())
	}
	if _, err := w.tryFork(`{"n":1}`); gathering.KindOf(err) != gathering.KindConflict {
		t.Errorf("redriven without a word: %v", err)
	}
}

// TestWaitingForACircuitIsNoProgress waits for an open circuit for longer than
// a log has room: nothing was called, and the run waits on.
func TestWaitingForACircuitIsNoProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), each("m", work("m"), 100, 100)}, "t→m")
	w.send(engine.Begin{})
	for w.state.Seq < 2*gathering.MaxEvents && !w.state.Run.Terminal() {
		for path, attempt := range w.running {
			delete(w.running, path)
			w.send(engine.Finished{Node: path, Attempt: attempt, Failure: circuitOpen, RetryAfter: 5 * time.Minute})
		}
		w.tickDue()
	}
	if w.state.Run.Terminal() {
		t.Errorf("it ended: %s %+v", w.state.Run, w.state.Failure)
	}
}

// TestTurnsThatAreTooLong decides more in one turn than a log has room for.
func TestTurnsThatAreTooLong(t *testing.T) {
	t.Parallel()
	nodes := []engine.Node{trigger("t")}
	var edges []string
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		do := engine.Node{Do: engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) { return engine.Outcome{}, nil })}
		nodes = append(nodes, each(id, do, engine.MaxItems, 1))
		edges = append(edges, "t→"+id)
	}
	w := newWorld(t, nodes, edges...)
	w.send(engine.Begin{})
	if f := w.state.Failure; w.state.Run != gathering.RunFailed || f == nil || f.Code != gathering.CodeTooLong {
		t.Errorf("got %s with %+v after %d events", w.state.Run, f, w.state.Seq)
	}
}

func TestPauseHoldsTheTimeOfMaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), with(each("m", work("m"), 3, 1), func(n *engine.Node) { n.Timeout = time.Minute })}, "t→m")
	w.send(engine.Begin{})
	w.send(engine.Mail{ID: "p", Kind: engine.MailPause})
	w.finish("m[0]", nil)
	w.now = w.now.Add(2 * time.Minute)
	w.send(engine.Tick{})
	w.wantHistory("run.queued run.started t:completed m:started m[0]:started run.paused m[0]:completed")
	w.send(engine.Mail{ID: "r", Kind: engine.MailResume})
	w.wantHistory("run.queued run.started t:completed m:started m[0]:started run.paused m[0]:completed run.resumed m:stopping m:failed run.cancelling run.failed")
}

// TestUnneededUnknownsAreNotMadeAgain decides about a call whose branch lost.
func TestUnneededUnknownsAreNotMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), work("a"), asking("b", ""), join("j", 1, true)}, "t→a", "t→b", "a→j", "b→j")
	w.send(engine.Begin{})
	w.finish("b", unknown)
	w.finish("a", nil)
	if _, err := w.state.CheckDecision(engine.DecideMail{Node: "b", As: engine.DecideRetry}); gathering.KindOf(err) != gathering.KindConflict {
		t.Errorf("retry: got %v, want a conflict", err)
	}
	if n := w.state.Report().Nodes[2]; n.ID != "b" || n.Error == nil || n.Error.Code != gathering.CodeUnknownOutcome {
		t.Errorf("got %+v, want that it is told what is unknown", n)
	}
	w.decide("b", engine.DecideFail)
	w.wantHistory("run.queued run.started t:completed a:started b:started b:unknown a:completed j:completed b:stopping b:decided b:failed run.completed")
}

// TestWorkIsToldAtOnce cuts an owner off that waits for its log.
func TestWorkIsToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := time.Time{}
		b := does("b", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			<-ctx.Done()
			told = time.Now()
			return engine.Outcome{}, ctx.Err()
		})
		s := newStage(t, []engine.Node{trigger("t"), takes("a", 7*time.Second), b}, "t→a", "t→b")
		s.log.before = func(int, *engine.Commit) error {
			<-time.After(10 * time.Second)
			return errAway
		}
		ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
		defer stop()
		begun := time.Now()
		<-s.start(ctx)
		if got := told.Sub(begun); got != 8*time.Second {
			t.Errorf("the work was told after %s, want 8s", got)
		}
	})
}

// TestLogThatNeverAnswers looks into an inbox that does not answer before its
// context ends.
func TestLogThatNeverAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), takes("a", time.Hour)}, "t→a")
		s.log.hangs = true
		s.ring()
		ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
		defer stop()
		if end := <-s.start(ctx); end.took > 15*time.Second {
			t.Errorf("the owner let go after %s: %v", end.took, end.err)
		}
	})
}

// TestFencedBeforeTheStart holds work back until the owner lets go: it is known
// that nothing was called.
func TestFencedBeforeTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		a := engine.Node{ID: "a", Do: engine.Work{Run: func(context.Context, engine.Job) (engine.Outcome, error) {
			calls++
			return engine.Outcome{}, nil
		}}}
		s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		o, turn := s.owner()
		o.Fence = func() error {
			<-ctx.Done()
			return gathering.NewError(gathering.KindUnavailable, "it was cut off")
		}
		if ending, err := o.Run(ctx, turn); ending != engine.Released || err != nil {
			t.Errorf("got %d, %v, want it released", ending, err)
		}
		s.play(engine.Ended)
		s.wantHistory("run.queued run.started t:completed a:started a:retrying run.resumed a:started a:completed run.completed")
		if calls != 1 {
			t.Errorf("it was called %d times, want once", calls)
		}
	})
}

// TestUnknownOutcomesOutlastRetries has attempts after one of unknown outcome
// that tell nothing of it: they did not get through, or never came.
func TestUnknownOutcomesOutlastRetries(t *testing.T) {
	t.Parallel()
	again := func(n engine.Node) engine.Node { n.OnUnknown = gathering.OnUnknownRetry; return n }
	brief := func(n engine.Node) engine.Node {
		n.TotalTimeout, n.Retry.InitialDelay = time.Minute, gathering.Duration(2*time.Minute)
		return n
	}
	left := engine.ChildEndedMail{State: gathering.RunFailed, MayHaveActed: true}
	intent := gathering.Step{Key: "turn/1/call/1", Kind: gathering.StepTool, Phase: gathering.StepIntent}
	tests := []struct {
		name string
		node engine.Node
		play func(w *world)
	}{
		{"work that did not get through", again(asking("a", "")), func(w *world) { w.finish("a", unknown); w.tickDue(); w.finish("a", unavailable) }},
		{"work that was interrupted and did not get through", again(asking("a", "")), func(w *world) { w.crash(); w.finish("a", unavailable) }},
		{"work that never came", brief(again(asking("a", ""))), func(w *world) { w.finish("a", unknown); w.tickDue() }},
		{"an agent that did not get through", again(work("a")), func(w *world) {
			w.send(engine.Stepped{Node: "a", Attempt: 1, Step: intent})
			w.finish("a", unknown)
			w.tickDue()
			w.finish("a", unavailable)
		}},
		{"a child that did not get through", again(child("a", true)), func(w *world) {
			w.childrenEnd(left)
			w.tickDue()
			w.childrenEnd(engine.ChildEndedMail{State: gathering.RunFailed, Failure: unavailable})
		}},
		{"a child that never came", brief(again(child("a", true))), func(w *world) { w.childrenEnd(left); w.tickDue() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, []engine.Node{trigger("t"), test.node}, "t→a")
			w.send(engine.Begin{})
			test.play(w)
			w.checkFold()
			if n := w.state.Report().Nodes[1]; n.State != gathering.NodeUnknown || n.Error == nil || n.Error.Code != gathering.CodeUnknownOutcome {
				t.Fatalf("got %+v, want that somebody is asked: %s", n, w.history())
			}
			w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
			if !w.endData().MayHaveActed {
				t.Error("the parent is not told")
			}
			if _, err := w.tryFork(`{"n":1}`); gathering.KindOf(err) != gathering.KindConflict {
				t.Errorf("redriven without a word: %v", err)
			}
		})
	}
	t.Run("a definite answer", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, []engine.Node{trigger("t"), again(asking("a", ""))}, "t→a")
		w.send(engine.Begin{})
		w.finish("a", unknown)
		w.tickDue()
		w.finish("a", invalid)
		w.checkFold()
		if w.endData().MayHaveActed {
			t.Error("the parent is told of a doubt that is gone")
		}
		w.fork(`{"n":1}`)
	})
	t.Run("nothing ever acted", func(t *testing.T) {
		t.Parallel()
		for _, f := range []*gathering.Failure{unavailable, circuitOpen} {
			w := newWorld(t, []engine.Node{trigger("t"), with(retrying(asking("a", "")), func(n *engine.Node) { n.TotalTimeout = time.Minute })}, "t→a")
			w.send(engine.Begin{})
			w.finish("a", f)
			w.send(engine.Mail{ID: "p", Kind: engine.MailPause})
			w.now = w.now.Add(time.Hour)
			w.send(engine.Mail{ID: "r", Kind: engine.MailResume})
			if w.state.Run != gathering.RunFailed {
				t.Fatalf("got %s", w.history())
			}
			w.fork(`{"n":1}`)
		}
	})
}

// TestForksBeforeJoins does a join again that had stopped what it did not need.
func TestForksBeforeJoins(t *testing.T) {
	t.Parallel()
	nodes := func(b engine.Node, more ...engine.Node) []engine.Node {
		return append([]engine.Node{trigger("t"), work("a"), b, join("j", 1, true)}, more...)
	}
	edges := []string{"t→a", "t→b", "a→j", "b→j"}
	play := func(t *testing.T, b engine.Node, end *gathering.Failure, then func(w *world), more ...string) *world {
		t.Helper()
		w := newWorld(t, nodes(b, work("c"), work("x")), append(edges, more...)...)
		w.send(engine.Begin{})
		w.finish("a", nil)
		w.finish("b", end)
		then(w)
		return w
	}
	fail := func(w *world) { w.finish("c", invalid) }
	t.Run("what may have acted is to be named", func(t *testing.T) {
		t.Parallel()
		w := play(t, asking("b", gathering.OnUnknownFail), unknown, fail, "j→c", "c→x")
		if _, err := w.tryFork(`{"n":1}`, "a"); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("done again without a word: %v", err)
		}
		w.fork(`{"n":1}`, "a", "b")
	})
	t.Run("by a redrive too", func(t *testing.T) {
		t.Parallel()
		w := play(t, asking("b", gathering.OnUnknownFail), unknown, fail, "t→c", "c→j", "c→x")
		if _, err := w.tryFork(`{"n":1}`); gathering.KindOf(err) != gathering.KindConflict {
			t.Errorf("done again without a word: %v", err)
		}
	})
	t.Run("and is remembered by the runs that repeat it", func(t *testing.T) {
		t.Parallel()
		w := play(t, asking("b", gathering.OnUnknownFail), unknown, fail, "j→c", "c→x")
		for range 2 {
			w = w.fork(`{"n":1}`)
			w.finish("c", invalid)
			if _, err := w.tryFork(`{"n":1}`, "t"); gathering.KindOf(err) != gathering.KindConflict {
				t.Errorf("done again without a word: %v", err)
			}
		}
		if got := w.state.Queued.Origin.Open; !slices.Equal(got, []string{"b"}) {
			t.Errorf("open: %v, want b", got)
		}
	})
	t.Run("what did not act is done again, and told", func(t *testing.T) {
		t.Parallel()
		w := play(t, work("b"), cancelled, fail, "j→c", "c→x").fork(`{"n":1}`, "a")
		if got := w.state.Queued.Origin.From; !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("from %v, want a and b", got)
		}
	})
}

// TestForksSeeTheSame does a join again, which sees who came in the same order,
// and no more of them.
func TestForksSeeTheSame(t *testing.T) {
	t.Parallel()
	for _, need := range []int{0, 1, 2} {
		w := newWorld(t, []engine.Node{trigger("t"), work("a"), work("b"), work("c"), join("j", need, false)}, "t→a", "t→b", "t→c", "a→j", "b→j", "c→j")
		w.send(engine.Begin{})
		for _, node := range []string{"c", "a", "b"} {
			w.finish(node, nil)
		}
		want := string(w.state.Report().Nodes[4].Output)
		for range 2 {
			w = w.fork(`{"n":1}`, "j")
			w.wantOutput("j", want)
		}
	}
}

// TestWhatWaitsForSomebodyIsTold looks for the one item among many that do not.
func TestWhatWaitsForSomebodyIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), skipping(each("m", asking("m", ""), 2*gathering.MaxOpenItems, 1))}, "t→m")
	w.send(engine.Begin{})
	for i := range gathering.MaxOpenItems + 20 {
		w.finish(gathering.NodePath("m", i), invalid)
	}
	w.finish(gathering.NodePath("m", gathering.MaxOpenItems+20), unknown)
	open := w.state.Report().Nodes[1].Items.Open
	if len(open) != gathering.MaxOpenItems || open[0].State != gathering.NodeUnknown {
		t.Errorf("of %d items told the first is %+v", len(open), open[0])
	}
}

// TestWhyAnAttemptIsPutOff asks a node that waits for an open circuit.
func TestWhyAnAttemptIsPutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), retrying(work("a"))}, "t→a")
	w.send(engine.Begin{})
	w.finish("a", unavailable)
	w.tickDue()
	w.finish("a", circuitOpen)
	if n := w.state.Report().Nodes[1]; !n.Uncounted || n.Error == nil || n.Error.Message != circuitOpen.Message {
		t.Errorf("got %+v, want that it waits for the circuit", n)
	}
	w.checkFold()
	w.tickDue()
	if n := w.state.Report().Nodes[1]; n.Uncounted || n.Error == nil || n.Error.Message != unavailable.Message {
		t.Errorf("got %+v, want what the last attempt failed with", n)
	}
}

// TestHeldBackUntilItsTimeIsUp has a fence that takes longer than the attempt may.
func TestHeldBackUntilItsTimeIsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := engine.Node{ID: "a", Timeout: 3 * time.Second, Do: engine.Work{Run: func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			t.Error("it was begun after its time")
			return engine.Outcome{}, ctx.Err()
		}}}
		s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
		o, turn := s.owner()
		o.Fence = func() error {
			<-time.After(4 * time.Second)
			return nil
		}
		if ending, err := o.Run(t.Context(), turn); ending != engine.Ended || err != nil {
			t.Errorf("got %d, %v, want it ended", ending, err)
		}
		s.wantHistory("run.queued run.started t:completed a:started a:failed run.cancelling run.failed")
	})
}

// TestLogSlowerThanTheAttemptMayTake has the time of an attempt be up before it
// can begin: that counts.
func TestLogSlowerThanTheAttemptMayTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), takes("x", time.Second), with(takes("a", time.Hour), func(n *engine.Node) { n.Timeout = time.Second })}, "t→x", "x→a")
		s.log.slow = 2 * time.Second
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		s.wantEnding(<-s.start(ctx), engine.Ended)
		if n := s.node("a"); n.State != gathering.NodeTimedOut || n.Attempts != 1 {
			t.Errorf("got %+v, want one attempt that timed out: %s", n, s.log.history())
		}
	})
}

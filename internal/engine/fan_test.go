package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
)

// each is a node that maps do over so many items.
func each(id string, do engine.Node, items, parallel int) engine.Node {
	return engine.Node{ID: id, Kind: "map", Do: mapOver(do, items, parallel, false)}
}

func skipping(n engine.Node) engine.Node {
	do, _ := n.Do.(engine.Map)
	do.SkipFailed = true
	n.Do = do
	return n
}

func join(id string, need int, cancelRest bool) engine.Node {
	return engine.Node{ID: id, Kind: "join", Do: engine.Join{Need: need, CancelRest: cancelRest}}
}

func (w *world) decide(path, as string) {
	w.t.Helper()
	w.send(engine.Mail{ID: "d", Kind: engine.MailDecide, Data: json.RawMessage(`{"node":"` + path + `","as":"` + as + `","by":"ann"}`)})
}

func (w *world) wantOutput(node, want string) {
	w.t.Helper()
	for _, n := range w.state.Report().Nodes {
		if n.ID == node {
			if got := string(n.Output); got != want {
				w.t.Errorf("output of %s: got %s, want %s", node, got, want)
			}
			return
		}
	}
	w.t.Errorf("there is no node %s", node)
}

func (w *world) wantFailure(want string) {
	w.t.Helper()
	if f := w.state.Failure; f == nil || f.Message != want {
		w.t.Errorf("failure: got %+v, want %q", f, want)
	}
}

func TestMap(t *testing.T) {
	t.Parallel()
	intent := with(work("m"), func(n *engine.Node) { n.Do = engine.Work{} })
	tests := []struct {
		name string
		node engine.Node
		play func(w *world)
		want string
	}{
		{
			"items are under way as far as allowed, and the output keeps their order",
			each("m", work("m"), 3, 2),
			func(w *world) {
				w.finish("m[1]", nil)
				w.finish("m[2]", nil)
				w.finish("m[0]", nil)
				w.wantOutput("m", `["m[0]","m[1]","m[2]"]`)
			},
			"m:started m[0]:started m[1]:started m[1]:completed m[2]:started m[2]:completed m[0]:completed m:completed run.completed",
		},
		{
			"nothing to do for nothing",
			each("m", work("m"), 0, 2),
			func(w *world) { w.wantOutput("m", `[]`) },
			"m:started m:completed run.completed",
		},
		{
			"the first item that fails stops the others, and then the map fails",
			each("m", work("m"), 4, 2),
			func(w *world) {
				w.finish("m[0]", invalid)
				if !w.stopped["m[1]"] {
					w.t.Error("the other item was not told to stop")
				}
				w.finish("m[1]", cancelled)
				w.wantFailure("node m: item 0: wrong")
			},
			"m:started m[0]:started m[1]:started m[0]:failed m:stopping m[1]:cancelled m:failed run.cancelling run.failed",
		},
		{
			"an item that fails is skipped where that is wished",
			skipping(each("m", work("m"), 3, 1)),
			func(w *world) {
				w.finish("m[0]", nil)
				w.finish("m[1]", invalid)
				w.finish("m[2]", nil)
				w.wantOutput("m", `["m[0]",null,"m[2]"]`)
			},
			"m:started m[0]:started m[0]:completed m[1]:started m[1]:failed m[2]:started m[2]:completed m:completed run.completed",
		},
		{
			"a fallback stands in for an item that fails",
			each("m", with(work("m"), func(n *engine.Node) {
				n.OnError, n.Fallback = gathering.OnErrorContinue, json.RawMessage(`"none"`)
			}), 2, 2),
			func(w *world) {
				w.finish("m[0]", invalid)
				w.finish("m[1]", nil)
				w.wantOutput("m", `["none","m[1]"]`)
			},
			"m:started m[0]:started m[1]:started m[0]:failed m[1]:completed m:completed run.completed",
		},
		{
			"an item is tried again by itself",
			each("m", retrying(work("m")), 2, 2),
			func(w *world) {
				w.finish("m[0]", unavailable)
				w.finish("m[1]", nil)
				w.tickDue()
				w.finish("m[0]", nil)
			},
			"m:started m[0]:started m[1]:started m[0]:retrying m[1]:completed m[0]:started m[0]:completed m:completed run.completed",
		},
		{
			"after a crash the items go on one by one: what ended is not begun again",
			each("m", work("m"), 4, 2),
			func(w *world) {
				w.finish("m[0]", nil)
				w.crash()
				if _, again := w.running["m[0]"]; again || len(w.running) != 2 {
					w.t.Errorf("at work after the crash: %v", w.running)
				}
				w.finish("m[2]", nil)
				w.finish("m[1]", nil)
				w.finish("m[3]", nil)
			},
			"m:started m[0]:started m[1]:started m[0]:completed m[2]:started run.resumed m[2]:completed m[3]:started m[1]:completed m[3]:completed m:completed run.completed",
		},
		{
			"an item whose outcome is unknown waits for a decision, the others go on",
			each("m", intent, 2, 1),
			func(w *world) {
				w.crash()
				w.decide("m[0]", engine.DecideDone)
				w.finish("m[1]", nil)
			},
			"m:started m[0]:started run.resumed m[0]:unknown m[0]:decided m[0]:completed m[1]:started m[1]:completed m:completed run.completed",
		},
		{
			"a map that fails waits for the decision about an item",
			each("m", intent, 2, 2),
			func(w *world) {
				w.finish("m[0]", unknown)
				w.finish("m[1]", invalid)
				w.decide("m[0]", engine.DecideRetry)
				w.decide("m[0]", engine.DecideFail)
			},
			"m:started m[0]:started m[1]:started m[0]:unknown m[1]:failed m:stopping m[0]:decided m[0]:failed m:failed run.cancelling run.failed",
		},
		{
			"the timeout of a map stops its items",
			with(each("m", work("m"), 2, 2), func(n *engine.Node) { n.Timeout = time.Minute }),
			func(w *world) {
				w.tickDue()
				w.finish("m[0]", cancelled)
				w.finish("m[1]", cancelled)
				w.wantFailure("node m: the node did not end in the time allowed")
			},
			"m:started m[0]:started m[1]:started m:stopping m[0]:cancelled m[1]:cancelled m:failed run.cancelling run.failed",
		},
		{
			"the timeout of a map, whose items do not stop, is one of its failures",
			with(onError(each("m", work("m"), 2, 2)), func(n *engine.Node) { n.Timeout = time.Minute }),
			func(w *world) {
				w.tickDue()
				w.finish("m[0]", nil)
				w.tickDue()
			},
			"m:started m[0]:started m[1]:started m:stopping m[0]:completed m[1]:abandoned m:failed run.completed",
		},
		{
			"a run that is cancelled stops the items of its maps",
			each("m", work("m"), 3, 2),
			func(w *world) {
				w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
				w.finish("m[0]", cancelled)
				w.finish("m[1]", cancelled)
			},
			"m:started m[0]:started m[1]:started run.cancelling m[0]:cancelled m[1]:cancelled m:cancelled run.cancelled",
		},
		{
			"items may be child runs",
			each("m", child("m", true), 2, 1),
			func(w *world) {
				w.childEnds(gathering.RunCompleted)
				w.childEnds(gathering.RunCompleted)
			},
			"m:started m[0]:started m[0]:waiting m[0]:completed m[1]:started m[1]:waiting m[1]:completed m:completed run.completed",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, []engine.Node{trigger("t"), test.node}, "t→m")
			w.send(engine.Begin{})
			test.play(w)
			w.checkFold()
			w.wantHistory("run.queued run.started t:completed " + test.want)
		})
	}
}

func TestMapSeesItsItems(t *testing.T) {
	t.Parallel()
	see := engine.Node{ID: "m", Kind: "pure", Do: engine.Pure(func(scope *expr.Scope, _ json.RawMessage) (engine.Outcome, error) {
		return engine.Outcome{Output: json.RawMessage(`[` + string(scope.Item) + `,` + strings.Repeat("1", scope.Index+1) + `]`)}, nil
	})}
	w := newWorld(t, []engine.Node{trigger("t"), each("m", see, 3, 2)}, "t→m")
	w.send(engine.Begin{})
	w.wantOutput("m", `[[0,1],[1,11],[2,111]]`)
}

func TestMapOverTooMuch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		over func(*expr.Scope) ([]json.RawMessage, error)
		want string
	}{
		{"too many", mapOver(work("m"), engine.MaxItems+1, 1, false).Over, "node m: it is over 10001 items; the limit is 10000"},
		{"no list", func(*expr.Scope) ([]json.RawMessage, error) {
			return nil, gathering.NewError(gathering.KindInvalid, "it is no list")
		}, "node m: it is no list"},
		{"a defect", func(*expr.Scope) ([]json.RawMessage, error) { return nil, errors.New("boom") }, "node m: internal error; the log has the cause"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, []engine.Node{trigger("t"), {ID: "m", Do: engine.Map{Over: test.over, Do: work("m")}}}, "t→m")
			w.send(engine.Begin{})
			w.wantHistory("run.queued run.started t:completed m:failed run.cancelling run.failed")
			w.wantFailure(test.want)
		})
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		nodes []engine.Node
		edges []string
		play  func(w *world)
		want  string
	}{
		{
			"any runs at the first; the others run on",
			[]engine.Node{work("a"), work("b"), join("j", 1, false), work("z")},
			[]string{"t→a", "t→b", "a→j", "b→j", "j→z"},
			func(w *world) {
				w.finish("b", nil)
				w.wantOutput("j", `[{"node":"b","output":"b"}]`)
				w.finish("a", nil)
				w.finish("z", nil)
			},
			"a:started b:started b:completed j:completed z:started a:completed z:completed run.completed",
		},
		{
			"any with cancel_rest stops what leads to nothing else",
			[]engine.Node{work("a"), work("b"), sleep("c", time.Hour), work("d"), work("e"), join("j", 1, true)},
			[]string{"t→a", "t→b", "t→c", "b→d", "a→j", "d→j", "c→j", "t→e"},
			func(w *world) {
				w.finish("a", nil)
				if !w.stopped["b"] || w.stopped["e"] {
					w.t.Errorf("told to stop: %v", w.stopped)
				}
				w.finish("b", cancelled)
				w.finish("e", nil)
			},
			"a:started b:started c:started c:waiting e:started a:completed j:completed b:stopping c:cancelled d:skipped b:cancelled e:completed run.completed",
		},
		{
			"two of three",
			[]engine.Node{work("a"), work("b"), work("c"), join("j", 2, false)},
			[]string{"t→a", "t→b", "t→c", "a→j", "b→j", "c→j"},
			func(w *world) {
				w.finish("c", nil)
				w.finish("a", nil)
				w.wantOutput("j", `[{"node":"c","output":"c"},{"node":"a","output":"a"}]`)
				w.finish("b", nil)
			},
			"a:started b:started c:started c:completed a:completed j:completed b:completed run.completed",
		},
		{
			"as many as it needs cannot come any more",
			[]engine.Node{onError(work("a")), onError(work("b")), work("c"), join("j", 2, false)},
			[]string{"t→a", "t→b", "t→c", "a→j", "b→j", "c→j"},
			func(w *world) {
				w.finish("a", invalid)
				w.finish("b", invalid)
				w.finish("c", nil)
			},
			"a:started b:started c:started a:failed b:failed j:skipped c:completed run.completed",
		},
		{
			"all waits for all that are not dead",
			[]engine.Node{onError(work("a")), work("b"), join("j", 0, false)},
			[]string{"t→a", "t→b", "a→j", "b→j"},
			func(w *world) {
				w.finish("a", invalid)
				w.finish("b", nil)
				w.wantOutput("j", `[{"node":"b","output":"b"}]`)
			},
			"a:started b:started a:failed b:completed j:completed run.completed",
		},
		{
			"a loser that is a map stops its items",
			[]engine.Node{work("a"), each("m", work("m"), 3, 2), join("j", 1, true)},
			[]string{"t→a", "t→m", "a→j", "m→j"},
			func(w *world) {
				w.finish("m[0]", nil)
				w.finish("a", nil)
				w.crash()
			},
			"a:started m:started m[0]:started m[1]:started m[0]:completed m[2]:started a:completed j:completed m:stopping run.resumed m[1]:cancelled m[2]:cancelled m:cancelled run.completed",
		},
		{
			"a loser of unknown outcome holds the run up until somebody decides",
			[]engine.Node{work("a"), with(work("b"), func(n *engine.Node) { n.Do = engine.Work{} }), join("j", 1, true)},
			[]string{"t→a", "t→b", "a→j", "b→j"},
			func(w *world) {
				w.finish("a", nil)
				w.finish("b", unknown)
				w.decide("b", engine.DecideDone)
			},
			"a:started b:started a:completed j:completed b:stopping b:unknown b:decided b:completed run.completed",
		},
		{
			"a loser that does not stop is left behind",
			[]engine.Node{work("a"), work("b"), each("m", work("m"), 2, 1), join("j", 1, true), work("z")},
			[]string{"t→a", "t→b", "t→m", "a→j", "b→j", "m→j", "j→z"},
			func(w *world) {
				w.finish("a", nil)
				w.tickDue()
				w.finish("z", nil)
			},
			"a:started b:started m:started m[0]:started a:completed j:completed b:stopping m:stopping z:started b:abandoned m[0]:abandoned m:cancelled z:completed run.completed",
		},
		{
			"a loser of unknown outcome fails where nobody is to be asked",
			[]engine.Node{work("a"), asking("b", gathering.OnUnknownFail), asking("c", gathering.OnUnknownRetry), join("j", 1, true)},
			[]string{"t→a", "t→b", "t→c", "a→j", "b→j", "c→j"},
			func(w *world) {
				w.finish("a", nil)
				w.finish("b", unknown)
				w.crash()
			},
			"a:started b:started c:started a:completed j:completed b:stopping c:stopping b:failed run.resumed c:failed run.completed",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append([]engine.Node{trigger("t")}, test.nodes...), test.edges...)
			w.send(engine.Begin{})
			test.play(w)
			w.checkFold()
			w.wantHistory("run.queued run.started t:completed " + test.want)
		})
	}
}

// asking is work that must not be done twice, and what is done about an
// unknown outcome.
func asking(id string, on gathering.OnUnknown) engine.Node {
	return engine.Node{ID: id, Do: engine.Work{}, OnUnknown: on}
}

// onError makes a node's failure a branch that leads nowhere.
func onError(n engine.Node) engine.Node {
	n.OnError = gathering.OnErrorBranch
	return n
}

func TestPause(t *testing.T) {
	t.Parallel()
	pause := engine.Mail{ID: "p", Kind: engine.MailPause, Data: json.RawMessage(`{"by":"ann"}`)}
	resume := engine.Mail{ID: "r", Kind: engine.MailResume, Data: json.RawMessage(`{"by":"ann"}`)}
	tests := []struct {
		name  string
		nodes []engine.Node
		edges []string
		play  func(w *world)
		want  string
	}{
		{
			"what is under way ends, nothing is begun",
			[]engine.Node{work("a"), work("b")},
			[]string{"t→a", "a→b"},
			func(w *world) {
				w.send(pause)
				w.finish("a", nil)
				if got, want := w.state.Run, gathering.RunPaused; got != want {
					w.t.Errorf("got state %s, want %s", got, want)
				}
				w.send(resume)
				w.finish("b", nil)
			},
			"a:started run.paused a:completed run.resumed b:started b:completed run.completed",
		},
		{
			"what is due waits",
			[]engine.Node{sleep("z", time.Minute)},
			[]string{"t→z"},
			func(w *world) {
				w.send(pause)
				w.now = w.now.Add(time.Hour)
				w.send(engine.Tick{})
				w.send(resume)
			},
			"z:started z:waiting run.paused run.resumed z:completed run.completed",
		},
		{
			"it can be cancelled",
			[]engine.Node{work("a"), work("b")},
			[]string{"t→a", "a→b"},
			func(w *world) {
				w.send(pause)
				w.send(engine.Mail{ID: "c", Kind: engine.MailCancel})
				w.finish("a", cancelled)
			},
			"a:started run.paused run.cancelling b:skipped a:cancelled run.cancelled",
		},
		{
			"children are told",
			[]engine.Node{child("c", true)},
			[]string{"t→c"},
			func(w *world) {
				w.send(pause)
				w.send(resume)
				if got, want := len(w.cancels), 2; got != want {
					w.t.Errorf("got %d words to the child, want %d", got, want)
				}
				w.childEnds(gathering.RunCompleted)
			},
			"c:started c:waiting run.paused run.resumed c:completed run.completed",
		},
		{
			"an attempt interrupted in a pause is made after it, under its own number",
			[]engine.Node{work("a")},
			[]string{"t→a"},
			func(w *world) {
				w.send(pause)
				w.crash()
				if len(w.running) > 0 {
					w.t.Errorf("at work in the pause: %v", w.running)
				}
				w.send(resume)
				if got := w.running["a"]; got != 1 {
					w.t.Errorf("got attempt %d, want 1", got)
				}
				w.finish("a", nil)
			},
			"a:started run.paused run.resumed a:retrying run.resumed a:started a:completed run.completed",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append([]engine.Node{trigger("t")}, test.nodes...), test.edges...)
			w.send(engine.Begin{})
			test.play(w)
			w.checkFold()
			w.wantHistory("run.queued run.started t:completed " + test.want)
		})
	}
}

func TestOpenCircuit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), work("a"), with(onError(work("b")), func(n *engine.Node) { n.OnOpen = gathering.OnOpenFail })}, "t→a", "t→b")
	w.send(engine.Begin{})
	w.finish("b", circuitOpen)
	delete(w.running, "a")
	w.send(engine.Finished{Node: "a", Attempt: 1, Failure: circuitOpen, RetryAfter: time.Minute})
	if got, want := w.state.NextDue().Sub(w.now), time.Minute; got != want {
		t.Errorf("got a wait of %s, want %s", got, want)
	}
	w.tickDue()
	w.finish("a", nil)
	w.checkFold()
	w.wantHistory("run.queued run.started t:completed a:started b:started b:failed a:retrying a:started a:completed run.completed")
}

func TestRunThatIsTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), work("a")}, "t→a")
	w.send(engine.Begin{})
	for i := range gathering.MaxEvents {
		w.send(engine.Stepped{Node: "a", Attempt: 1, Step: step(string(rune('a' + i%26)))})
		if w.state.Run == gathering.RunCancelling {
			break
		}
	}
	if got, want := w.state.Seq, int64(gathering.MaxEvents+1); got != want {
		t.Errorf("it is stopped after %d events, want %d", got, want)
	}
	w.finish("a", cancelled)
	if f := w.state.Failure; w.state.Run != gathering.RunFailed || f == nil || f.Code != gathering.CodeTooLong {
		t.Errorf("got %s with %+v", w.state.Run, f)
	}
}

// A call of unknown outcome that is to be made again is not made for ever.
func TestUnknownOutcomesInARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), with(work("a"), func(n *engine.Node) {
		n.Do, n.OnUnknown = engine.Work{}, gathering.OnUnknownRetry
	})}, "t→a")
	w.send(engine.Begin{})
	made := 0
	for range 100 {
		if _, working := w.running["a"]; !working {
			break
		}
		made++
		w.finish("a", unknown)
		if !w.state.NextDue().IsZero() {
			w.tickDue()
		}
	}
	if want := 10; made != want || w.unknown() != "a" {
		t.Errorf("the call was made %d times and is unknown: %q; want %d times, and a question", made, w.unknown(), want)
	}
}

// A map of child runs that end one after the other is not parked after each.
func TestMapOfChildrenLingers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), each("m", child("m", true), 3, 1)}, "t→m")
		done := s.start(t.Context())
		for i := range 3 {
			<-time.After(100 * time.Millisecond)
			s.log.mu.Lock()
			var kid engine.StartChild
			for _, c := range s.log.commits {
				for _, start := range c.Start {
					kid = start
				}
			}
			s.log.mu.Unlock()
			s.log.deliver(engine.Mail{ID: gathering.InboxID("box_" + kid.ID), Kind: engine.MailChildEnded, Data: fmt.Appendf(nil,
				`{"run":%q,"node":%q,"state":"completed","output":%d}`, kid.ID, kid.Trigger.Node, i)})
			s.ring()
		}
		s.wantEnding(<-done, engine.Ended)
		if strings.Contains(s.log.history(), "run.waiting") {
			t.Errorf("it was parked: %s", s.log.history())
		}
	})
}

package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
)

// TestIntentsOutlastInterruptions holds that a call which may have been made is
// asked about, however often its attempt is interrupted, until somebody says
// that it is to be made again or it is known not to have left.
func TestIntentsOutlastInterruptions(t *testing.T) {
	t.Parallel()
	intent := gathering.Step{Key: "turn/1/call/1", Kind: gathering.StepTool, Phase: gathering.StepIntent}
	ends := func(w *world, f gathering.Failure, unbegun bool) {
		delete(w.running, "a")
		w.send(engine.Finished{Node: "a", Attempt: 1, Failure: &f, Unbegun: unbegun})
	}
	tests := []struct {
		name string
		play func(w *world)
		want int // intents that the next attempt sees
	}{
		{"a crash", func(w *world) { w.crash() }, 1},
		{"a crash in a pause", func(w *world) {
			w.send(engine.Mail{ID: "p", Kind: engine.MailPause})
			w.crash()
			w.send(engine.Mail{ID: "r", Kind: engine.MailResume})
		}, 1},
		{"a crash, and let go before it began again", func(w *world) {
			w.crash()
			ends(w, *cancelled, true)
		}, 1},
		{"a crash, and a failure that says nothing about it", func(w *world) {
			w.crash()
			ends(w, *unavailable, false)
		}, 1},
		{"let go before it left", func(w *world) {
			ends(w, gathering.Failure{Kind: gathering.KindCancelled, Code: gathering.CodeNotSent}, true)
		}, 0},
		{"somebody wants it again", func(w *world) {
			ends(w, *unknown, false)
			w.decide("a", engine.DecideRetry)
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, []engine.Node{trigger("t"), retrying(work("a"))}, "t→a")
			w.send(engine.Begin{})
			w.send(engine.Stepped{Node: "a", Attempt: 1, Step: intent})
			test.play(w)
			w.checkFold()
			var shot struct {
				Nodes map[string]struct {
					Steps []gathering.Step `json:"steps"`
				} `json:"nodes"`
			}
			if err := json.Unmarshal(w.shot.Data, &shot); err != nil {
				t.Fatal(err)
			}
			if got := len(shot.Nodes["a"].Steps); got != test.want {
				t.Errorf("got %d intents, want %d: %s", got, test.want, w.history())
			}
		})
	}
}

// TestKeys holds that an idempotency key changes only when it is known what
// came of every attempt that had it.
func TestKeys(t *testing.T) {
	t.Parallel()
	const crash = gathering.Kind("crash")
	failed := func(kind gathering.Kind) *gathering.Failure { return &gathering.Failure{Kind: kind, Message: "no"} }
	who, crashed := unknown, failed(crash)
	tests := []struct {
		name string
		ends []*gathering.Failure // of the attempts before the last
		want string               // which attempt's number each has in its key
	}{
		{"known", []*gathering.Failure{unavailable, invalid}, "1 2 3"},
		{"unknown", []*gathering.Failure{who, who}, "1 1 1"},
		{"unknown, and then it does not get through", []*gathering.Failure{who, unavailable, circuitOpen, failed(gathering.KindExhausted)}, "1 1 1 1 1"},
		{"unknown, and then there is an answer", []*gathering.Failure{who, invalid, unavailable}, "1 1 3 4"},
		{"no answer in time", []*gathering.Failure{failed(gathering.KindTimeout), unavailable}, "1 1 1"},
		{"a defect", []*gathering.Failure{failed(gathering.KindInternal)}, "1 1"},
		{"a crash", []*gathering.Failure{unavailable, crashed, unavailable}, "1 2 2 2"},
		{"a crash, and then there is an answer", []*gathering.Failure{crashed, invalid}, "1 1 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var keys []string
				crashes := make(chan struct{}, 1)
				a := with(does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
					keys = append(keys, strings.TrimPrefix(j.Key, "run_1/a/"))
					if len(keys) > len(test.ends) {
						return engine.Outcome{}, nil
					}
					if end := test.ends[len(keys)-1]; end.Kind != crash {
						return engine.Outcome{}, end.Err()
					}
					crashes <- struct{}{}
					<-ctx.Done()
					return engine.Outcome{}, ctx.Err()
				}), func(n *engine.Node) {
					n.OnUnknown = gathering.OnUnknownRetry
					n.Retry = gathering.Retry{MaxAttempts: 9, On: []gathering.Kind{
						gathering.KindUnavailable, gathering.KindInvalid, gathering.KindExhausted, gathering.KindTimeout, gathering.KindInternal,
					}}
				})
				s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
				s.park = time.Hour
				for s.state == nil || !s.state.Run.Terminal() {
					ctx, stop := context.WithCancel(t.Context())
					done := s.start(ctx)
					select {
					case <-crashes:
						stop()
						<-done
					case <-done:
					}
					stop()
				}
				if diff := cmp.Diff(test.want, strings.Join(keys, " ")); diff != "" {
					t.Errorf("keys (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestTakeoverWhenTimeIsUp takes a run over long after the time of what was
// under way: that failed, and was not told to stop in vain.
func TestTakeoverWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	resume := engine.Mail{ID: "r", Kind: engine.MailResume}
	for _, test := range []struct {
		name       string
		idempotent bool
		paused     bool
		mail       []engine.Mail
		want       string
	}{
		{"work that may be done again", true, false, nil, "run.resumed a:failed b:started"},
		{"work that may not", false, false, nil, "run.resumed a:unknown"},
		{"in a pause", true, true, nil, "run.paused run.resumed a:retrying"},
		{"at the end of a pause", true, true, []engine.Mail{resume}, "run.paused run.resumed run.resumed a:failed b:started"},
		{"at the end of a pause, work that may not be done again", false, true, []engine.Mail{resume}, "run.paused run.resumed run.resumed a:unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := engine.Node{ID: "a", TotalTimeout: time.Minute, OnError: gathering.OnErrorContinue, Do: engine.Work{Idempotent: test.idempotent}}
			w := newWorld(t, []engine.Node{trigger("t"), a, work("b")}, "t→a", "a→b")
			w.send(engine.Begin{})
			if test.paused {
				w.send(engine.Mail{ID: "p", Kind: engine.MailPause})
			}
			w.now = w.now.Add(time.Hour)
			w.crash(test.mail...)
			w.wantHistory("run.queued run.started t:completed a:started " + test.want)
		})
	}
}

// TestOpenCallsAreAskedAbout holds that work which may be done again is neither
// cancelled nor timed out while it may have acted.
func TestOpenCallsAreAskedAbout(t *testing.T) {
	t.Parallel()
	intent := gathering.Step{Key: "turn/1/call/1", Kind: gathering.StepTool, Phase: gathering.StepIntent}
	for _, test := range []struct {
		name string
		play func(w *world)
		want string
	}{
		{"its time is up", func(w *world) {
			w.now = w.now.Add(time.Hour)
			w.crash()
			w.decide("a", engine.DecideDone)
		}, "run.resumed a:unknown a:decided a:completed run.completed"},
		{"its run is cancelled", func(w *world) {
			w.crash(engine.Mail{ID: "c", Kind: engine.MailCancel})
		}, "run.resumed run.cancelling a:unknown run.cancelled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, []engine.Node{trigger("t"), with(work("a"), func(n *engine.Node) { n.TotalTimeout = time.Minute })}, "t→a")
			w.send(engine.Begin{})
			w.send(engine.Stepped{Node: "a", Attempt: 1, Step: intent})
			test.play(w)
			w.wantHistory("run.queued run.started t:completed a:started a:step.tool " + test.want)
		})
	}
}

func TestDecisionsNameNodesExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), each("m", engine.Node{ID: "m", Do: engine.Work{}}, 2, 2)}, "t→m")
	w.send(engine.Begin{})
	w.crash()
	for _, path := range []string{"m[x]", "m[", "m[0", "m[00]", "m[0,1]", "m[2]", "", "[0]"} {
		if _, err := w.state.CheckDecision(engine.DecideMail{Node: path, As: engine.DecideDone}); gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("%q: got %v, want that there is no such node", path, err)
		}
	}
}

// TestDecisionsAreAboutOneAttempt holds that of two who decide at once the
// second does not decide what the first began.
func TestDecisionsAreAboutOneAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), {ID: "a", Do: engine.Work{}}}, "t→a")
	w.send(engine.Begin{})
	w.crash()
	attempt, err := w.state.CheckDecision(engine.DecideMail{Node: "a", As: engine.DecideDone})
	if err != nil || attempt != 1 {
		t.Fatalf("got attempt %d, %v, want 1", attempt, err)
	}
	w.decide("a", engine.DecideRetry)
	w.crash()
	late := engine.DecideMail{Node: "a", Attempt: attempt, As: engine.DecideDone}
	if _, err := w.state.CheckDecision(late); gathering.KindOf(err) != gathering.KindConflict {
		t.Errorf("got %v, want that the attempt is decided", err)
	}
	w.send(engine.Mail{ID: "late", Kind: engine.MailDecide, Data: json.RawMessage(`{"node":"a","attempt":1,"as":"done"}`)})
	w.wantHistory("run.queued run.started t:completed a:started run.resumed a:unknown a:decided a:retrying a:started run.resumed a:unknown")
}

func TestDecidedOutputsAreAdmitted(t *testing.T) {
	t.Parallel()
	picky := engine.Work{Admits: func(output json.RawMessage) error {
		if string(output) != `7` {
			return gathering.NewError(gathering.KindInvalid, "must be 7")
		}
		return nil
	}}
	w := newWorld(t, []engine.Node{trigger("t"), {ID: "a", Do: picky}}, "t→a")
	w.send(engine.Begin{})
	w.crash()
	for output, want := range map[string]gathering.Kind{`7`: "", `8`: gathering.KindInvalid} {
		_, err := w.state.CheckDecision(engine.DecideMail{Node: "a", As: engine.DecideDone, Output: json.RawMessage(output)})
		if got := gathering.KindOf(err); got != want {
			t.Errorf("%s: got %v, want kind %q", output, err, want)
		}
	}
	if _, err := w.state.CheckDecision(engine.DecideMail{Node: "a", As: engine.DecideFail}); err != nil {
		t.Error(err)
	}
}

// TestValuesAreAsTheLogHasThem holds that it does not matter how a value was
// written.
func TestValuesAreAsTheLogHasThem(t *testing.T) {
	t.Parallel()
	const wide, tight = `{ "a": [1, "<é> "] }`, `{"a":[1,"<é> "]}`
	value := json.RawMessage(wide)
	a := with(onError(work("a")), func(n *engine.Node) {
		n.Input = func(*expr.Scope) (json.RawMessage, error) { return value, nil }
	})
	b := with(work("b"), func(n *engine.Node) { n.OnError, n.Fallback = gathering.OnErrorContinue, value })
	each := engine.Node{ID: "m", Do: engine.Map{
		Over: func(*expr.Scope) ([]json.RawMessage, error) { return []json.RawMessage{value}, nil },
		Do: engine.Node{Do: engine.Pure(func(s *expr.Scope, _ json.RawMessage) (engine.Outcome, error) {
			return engine.Outcome{Output: s.Item}, nil
		})},
	}}
	graph := mustGraph(t, []engine.Node{trigger("t"), a, b, each}, "t→a", "t→b", "t→m")
	graph.Output = func(*expr.Scope) (json.RawMessage, error) { return value, nil }
	w := newWorldOf(t, graph)
	w.send(engine.Begin{})
	w.checkFold()
	recorded := step("1")
	recorded.Result = value
	w.send(engine.Stepped{Node: "a", Attempt: 1, Step: recorded})
	w.checkFold()
	w.send(engine.Finished{Node: "a", Attempt: 1, Outcome: engine.Outcome{Output: value}})
	w.finish("b", invalid)
	w.checkEnd()
	w.wantOutput("a", tight)
	w.wantOutput("b", tight)
	w.wantOutput("m", "["+tight+"]")
}

// TestNoSnapshotIsTooLarge holds that a state with more than a commit should
// bring along is not written down.
func TestNoSnapshotIsTooLarge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		megabytes int
		want      bool
	}{{31, true}, {33, false}} {
		graph := mustGraph(t, []engine.Node{trigger("t"), work("a")}, "t→a")
		s := engine.NewState(graph, "run_1", "run_1", "default")
		if _, err := engine.Queue(s, begin, gathering.RunQueuedData{}); err != nil {
			t.Fatal(err)
		}
		s.Queued.Input = json.RawMessage(strings.Repeat("1", test.megabytes<<20))
		for i := 0; s.Seq < 1000; i++ {
			var m engine.Message = engine.Begin{}
			if i > 0 {
				m = engine.Stepped{Node: "a", Attempt: 1, Step: step("1")}
			}
			if shot, err := s.NextSnapshot(); shot != nil || err != nil {
				t.Fatalf("a snapshot is due after %d events, %v", s.Seq, err)
			}
			if _, err := engine.Next(s, begin, m); err != nil {
				t.Fatal(err)
			}
		}
		shot, err := s.NextSnapshot()
		if err != nil || (shot != nil) != test.want {
			t.Errorf("%d MB: a snapshot %t, %v, want %t", test.megabytes, shot != nil, err, test.want)
		}
	}
}

// TestSnapshotsThatDoNotTellDoubt reads one of the first snapshots.
func TestSnapshotsThatDoNotTellDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), with(retrying(work("a")), func(n *engine.Node) { n.OnUnknown = gathering.OnUnknownRetry })}, "t→a")
	w.send(engine.Begin{})
	w.finish("a", unknown)
	w.checkFold()
	old := w.shot
	old.Data = bytes.ReplaceAll(old.Data, []byte(`"d":true,`), nil)
	if len(old.Data) == len(w.shot.Data) {
		t.Fatalf("the snapshot tells of no doubt: %s", w.shot.Data)
	}
	restored := engine.NewState(w.graph, w.state.ID, w.state.Root, "default")
	w.restore(restored, old)
	if diff := engine.DiffStates(w.state, restored); diff != "" {
		t.Errorf("restored (-live +restored):\n%s", diff)
	}
}

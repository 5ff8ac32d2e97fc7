package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
)

func TestParkAfter(t *testing.T) {
	t.Parallel()
	unknownAt := engine.Node{ID: "u", Do: engine.Work{Run: func(context.Context, engine.Job) (engine.Outcome, error) {
		return engine.Outcome{}, context.DeadlineExceeded
	}}}
	tests := []struct {
		name  string
		nodes []engine.Node
		want  engine.Ending
		ready time.Duration // when the parked run is due; 0 is never by itself
		waits []string
	}{
		{"a wait that is long enough", []engine.Node{sleep("a", time.Second)}, engine.Parked, time.Second, []string{"a"}},
		{"a wait that is just too short", []engine.Node{sleep("a", time.Second-time.Microsecond)}, engine.Ended, 0, nil},
		{"the shortest of two waits", []engine.Node{sleep("a", time.Hour), sleep("b", time.Minute)}, engine.Parked, time.Minute, []string{"a", "b"}},
		{"a child", []engine.Node{child("c", true)}, engine.Parked, 0, []string{"c"}},
		{"an outcome that nobody knows", []engine.Node{unknownAt}, engine.Parked, 0, []string{"u"}},
		{"work beside a wait is finished first", []engine.Node{takes("a", 10*time.Minute), sleep("b", time.Hour)}, engine.Parked, time.Hour, []string{"b"}},
		{"a wait that ends while others work", []engine.Node{takes("a", 10*time.Minute), sleep("b", time.Minute)}, engine.Ended, 0, nil},
		{"a long backoff", []engine.Node{with(does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
			return engine.Outcome{}, errAway
		}), func(n *engine.Node) {
			n.Retry = gathering.Retry{MaxAttempts: 2, InitialDelay: gathering.Duration(time.Minute), On: []gathering.Kind{gathering.KindUnavailable}}
		})}, engine.Parked, time.Minute, []string{"a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				nodes, edges := []engine.Node{trigger("t")}, []string(nil)
				for _, n := range test.nodes {
					nodes, edges = append(nodes, n), append(edges, "t→"+n.ID)
				}
				s := newStage(t, nodes, edges...)
				s.play(test.want)
				last := s.log.commits[len(s.log.commits)-1]
				if got := s.readyAfter(last); last.Park != (test.want == engine.Parked) || got != test.ready {
					t.Errorf("the last commit: park %t, due after %s, want due after %s", last.Park, got, test.ready)
				}
				if test.waits == nil {
					return
				}
				var data gathering.RunWaitingData
				e := last.Events[len(last.Events)-1]
				if err := json.Unmarshal(e.Data, &data); err != nil || e.Type != gathering.EventRunWaiting {
					t.Fatalf("the last event is %s %s, %v", e.Type, e.Data, err)
				}
				if diff := cmp.Diff(test.waits, data.Nodes); diff != "" {
					t.Errorf("waiting for (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// readyAfter is when a parked run is due by itself, from its beginning.
func (s *stage) readyAfter(c engine.Commit) time.Duration {
	if c.ReadyAt.IsZero() {
		return 0
	}
	return c.ReadyAt.Sub(s.begun)
}

func TestParkIsRefusedWhereMailHasCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), child("c", true), takes("a", 0)}, "t→c", "c→a")
		s.log.before = func(_ int, c *engine.Commit) error {
			if c == nil || !c.Park {
				return nil
			}
			s.log.before = nil
			// It comes without a ring: that the park is refused must do.
			s.log.deliver(engine.Mail{ID: "box_1", Kind: engine.MailChildEnded, Data: json.RawMessage(
				`{"run":"` + string(s.child()) + `","node":"c","state":"completed","output":{"of":"child"}}`)})
			return nil
		}
		s.play(engine.Ended)
		s.wantHistory("run.queued run.started t:completed c:started c:waiting c:completed a:started a:completed run.completed")
		if got := string(s.node("c").Output); got != `{"of":"child"}` {
			t.Errorf("got %s, want the child's output", got)
		}
	})
}

// A request to stop that is accepted before a run's last result is committed
// counts: the end is refused and decided anew.
func TestNoRunEndsOverItsMail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), takes("a", time.Minute), takes("b", 2*time.Minute)}, "t→a", "t→b")
		s.log.before = func(_ int, c *engine.Commit) error {
			if c == nil || c.Ended == nil {
				return nil
			}
			s.log.before = nil
			s.log.deliver(engine.Mail{ID: "box_1", Kind: engine.MailCancel})
			return nil
		}
		s.play(engine.Ended)
		s.wantHistory("run.queued run.started t:completed a:started b:started a:completed run.cancelling b:completed run.cancelled")
		if got, want := s.log.consumed["box_1"], 1; got != want {
			t.Errorf("the request was taken in %d times, want %d", got, want)
		}
	})
}

// child is the child run that the log started.
func (s *stage) child() gathering.RunID {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, c := range s.log.commits {
		for _, start := range c.Start {
			return start.ID
		}
	}
	return ""
}

// toTheEnd moves the run as a worker does: whoever parked or let go of it is
// followed by another owner when the run is due or has mail.
func (s *stage) toTheEnd() {
	s.t.Helper()
	for range 1000 {
		end := <-s.start(s.t.Context())
		if end.err != nil && !errors.Is(end.err, errAway) {
			s.t.Fatalf("the owner gave up: %v", end.err)
		}
		switch {
		case end.err == nil && end.ending == engine.Ended:
			return
		case end.err == nil && end.ending == engine.Parked:
			s.untilClaimed()
		}
	}
	s.t.Fatalf("the run did not end: %s", s.log.history())
}

// untilClaimed waits until a parked run is due or has mail.
func (s *stage) untilClaimed() {
	s.t.Helper()
	s.log.mu.Lock()
	mail := len(s.log.inbox) > 0
	ready := s.log.commits[len(s.log.commits)-1].ReadyAt
	s.log.mu.Unlock()
	if mail {
		return
	}
	var due <-chan time.Time
	if !ready.IsZero() {
		due = time.After(time.Until(ready))
	}
	select {
	case <-due:
	case <-s.bell:
	}
}

// TestNoMailIsLostAroundParking delivers a request to cancel at every moment
// that an owner's calls of its log divide its time into, with a ring and
// without, and holds that it is heard at once.
func TestNoMailIsLostAroundParking(t *testing.T) {
	t.Parallel()
	graphs := map[string]struct {
		nodes []engine.Node
		edges []string
	}{
		"a wait":         {[]engine.Node{trigger("t"), sleep("z", time.Hour), takes("a", 0)}, []string{"t→z", "z→a"}},
		"work, a wait":   {[]engine.Node{trigger("t"), takes("a", time.Second), sleep("z", time.Hour)}, []string{"t→a", "a→z"}},
		"wait, work":     {[]engine.Node{trigger("t"), sleep("z", 30*time.Second), takes("a", time.Second), sleep("y", time.Hour)}, []string{"t→z", "z→a", "a→y"}},
		"waits together": {[]engine.Node{trigger("t"), sleep("z", 2*time.Second), sleep("y", 4*time.Second), sleep("x", time.Hour)}, []string{"t→z", "t→y", "t→x"}},
	}
	for name, g := range graphs {
		for _, when := range []string{"before", "after"} {
			for _, ring := range []string{"heard", "lost"} {
				t.Run(name+"/"+when+"/ring "+ring, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						for n := 1; ; n++ {
							s := newStage(t, g.nodes, g.edges...)
							var sent time.Time
							deliver := func(call int, _ *engine.Commit) error {
								if call != n {
									return nil
								}
								sent = time.Now()
								s.log.deliver(engine.Mail{ID: "box_1", Kind: engine.MailCancel})
								if ring == "heard" {
									s.ring()
								}
								return nil
							}
							if when == "before" {
								s.log.before = deliver
							} else {
								s.log.after = deliver
							}
							s.toTheEnd()
							if sent.IsZero() {
								if n < 3 {
									t.Errorf("a run has %d calls of its log, want some more", n-1)
								}
								return
							}
							s.wantCancelled(fmt.Sprintf("mail %s call %d", when, n), sent)
						}
					})
				})
			}
		}
	}
}

// wantCancelled holds that the only mail was read once and soon.
func (s *stage) wantCancelled(what string, sent time.Time) {
	s.t.Helper()
	if strings.HasPrefix(what, "mail after") && s.state.Run == gathering.RunCompleted && strings.HasSuffix(s.log.appends()[len(s.log.commits)-1], "run.completed") && s.log.consumed["box_1"] == 0 && !s.state.EndedAt.After(sent) {
		return // it came after the run's last commit
	}
	if s.state.Run != gathering.RunCancelled || s.log.consumed["box_1"] != 1 {
		s.t.Errorf("%s: the run ended as %s, the mail was consumed %d times: %s", what, s.state.Run, s.log.consumed["box_1"], s.log.history())
	}
	// Whatever else moves the run within a minute finds the mail, ring or not.
	if late := s.state.EndedAt.Sub(sent); late > time.Minute {
		s.t.Errorf("%s: the run ended %s after it: %s", what, late, s.log.history())
	}
}

func TestLettingGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var begun [4]atomic.Int32
		s := newStage(t, []engine.Node{
			trigger("t"),
			// It is told to stop and has its result within the time it is given.
			does("done", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
				begun[0].Add(1)
				<-ctx.Done()
				<-time.After(drain - time.Second)
				return engine.Outcome{Output: json.RawMessage(`"kept"`)}, nil
			}),
			// It is told to stop and does. A step on its way out counts.
			does("stopped", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
				if begun[1].Add(1) > 1 {
					return engine.Outcome{Output: j.Steps[0].Result}, nil
				}
				<-ctx.Done()
				if err := j.Record(ctx, step("out")); err != nil {
					t.Errorf("record a step within the time given: %v", err)
				}
				return engine.Outcome{}, gathering.NewError(gathering.KindUnavailable, "the connection broke")
			}),
			takes("waiting", time.Hour),
			does("next", func(context.Context, engine.Job) (engine.Outcome, error) {
				begun[2].Add(1)
				return engine.Outcome{}, nil
			}),
		}, "t→done", "t→stopped", "t→waiting", "done→next")
		ctx, stop := context.WithCancel(t.Context())
		done := s.start(ctx)
		<-time.After(time.Minute)
		stop()
		end := <-done
		s.wantEnding(end, engine.Released)
		if want := time.Minute + drain - time.Second; end.took != want {
			t.Errorf("the owner let go after %s, want %s", end.took, want)
		}
		s.wantHistory("run.queued run.started t:completed done:started stopped:started waiting:started stopped:step.tool done:completed")
		if got := begun[2].Load(); got != 0 {
			t.Errorf("a node that follows was begun %d times while the owner lets go, want not at all", got)
		}
		s.play(engine.Ended)
		for id, want := range map[string]string{"done": `"kept"`, "stopped": `"out"`} {
			if n := s.node(id); n.Attempts != 1 || string(n.Output) != want {
				t.Errorf("%s: got attempt %d, %s, want 1, %s: what was interrupted does not count", id, n.Attempts, n.Output, want)
			}
		}
		if got := begun[0].Load(); got != 1 {
			t.Errorf("what was done was done %d times, want once", got)
		}
	})
}

func TestLettingGoOfWorkThatGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		letGo, said := make(chan struct{}), make(chan error, 1)
		s := newStage(t, []engine.Node{trigger("t"), stubborn("a", letGo, said)}, "t→a")
		ctx, stop := context.WithCancel(t.Context())
		done := s.start(ctx)
		<-time.After(time.Minute)
		stop()
		end := <-done
		s.wantEnding(end, engine.Released)
		if want := time.Minute + drain; end.took != want {
			t.Errorf("the owner let go after %s, want %s", end.took, want)
		}
		close(letGo)
		if err := <-said; gathering.KindOf(err) != gathering.KindCancelled {
			t.Errorf("got %v for a step after the run was let go, want a cancellation", err)
		}
		s.wantHistory("run.queued run.started t:completed a:started")
	})
}

func TestLettingGoOfARunThatEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			<-ctx.Done()
			return engine.Outcome{}, nil
		})}, "t→a")
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		s.wantEnding(<-s.start(ctx), engine.Ended)
		s.wantHistory("run.queued run.started t:completed a:started a:completed run.completed")
	})
}

// TestLettingGoBeforeTheStart has an owner whose time is over when it begins:
// nobody needs to ask what became of work that had not begun.
func TestLettingGoBeforeTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := takes("a", time.Hour)
		work, _ := a.Do.(engine.Work)
		work.Idempotent = false
		a.Do = work
		s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
		ctx, stop := context.WithCancel(t.Context())
		stop()
		end := <-s.start(ctx)
		s.wantEnding(end, engine.Released)
		if end.took != 0 {
			t.Errorf("the owner let go after %s, want at once", end.took)
		}
		s.wantHistory("run.queued run.started t:completed a:started a:retrying")
		s.play(engine.Ended)
		s.wantHistory("run.queued run.started t:completed a:started a:retrying run.resumed a:started a:completed run.completed")
		if got := s.node("a").Attempts; got != 1 {
			t.Errorf("it took %d attempts, want 1", got)
		}
	})
}

// TestStoppedBeforeAnythingWasSent stops calls that say so: cancelled or out of
// time, they have not acted.
func TestStoppedBeforeAnythingWasSent(t *testing.T) {
	t.Parallel()
	for _, code := range []string{gathering.CodeNotSent, gathering.CodeCircuitOpen} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := engine.Node{ID: "a", Timeout: time.Minute, Do: engine.Work{Run: func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
					<-ctx.Done()
					return engine.Outcome{}, gathering.NewError(gathering.KindTimeout, "not yet sent").WithCode(code)
				}}}
				s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
				s.play(engine.Ended)
				if got := s.node("a"); got.State != gathering.NodeTimedOut {
					t.Errorf("got %s, want a node that timed out", got.State)
				}
			})
		})
	}
}

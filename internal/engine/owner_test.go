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

func TestEffectsWaitUntilTheLogHoldsTheirEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s *stage
		// Each node looks whether the log tells of its start, and the last one
		// whether it tells why it is stopped.
		looks := func(id string, took time.Duration) engine.Node {
			return does(id, func(context.Context, engine.Job) (engine.Outcome, error) {
				<-time.After(took)
				if !s.log.holds(id + ":started") {
					t.Errorf("%s works before its start is durable: %s", id, s.log.history())
				}
				return engine.Outcome{}, nil
			})
		}
		stopped := does("d", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			<-ctx.Done()
			if !s.log.holds("run.cancelling") {
				t.Errorf("the work is stopped before the request is durable: %s", s.log.history())
			}
			return engine.Outcome{}, ctx.Err()
		})
		s = newStage(t, []engine.Node{trigger("t"), looks("a", 0), looks("b", time.Millisecond), looks("c", 0), stopped}, "t→a", "t→b", "a→c", "b→c", "c→d")
		s.log.slow = time.Second
		done := s.start(t.Context())
		<-time.After(time.Minute)
		s.send("box_1", engine.MailCancel, `{"by":"me"}`)
		s.wantEnding(<-done, engine.Ended)
		s.wantHistory("run.queued run.started t:completed a:started b:started a:completed b:completed c:started c:completed " +
			"d:started run.cancelling d:cancelled run.cancelled")
	})
}

func TestMessagesThatWaitShareAnAppend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nodes, edges := []engine.Node{trigger("t"), takes("first", time.Second)}, []string{"t→first"}
		for i := range 40 {
			id := fmt.Sprintf("n%d", i)
			nodes, edges = append(nodes, takes(id, 1500*time.Millisecond)), append(edges, "t→"+id)
		}
		s := newStage(t, nodes, edges...)
		s.log.slow = time.Second // the first end is written from 1 s to 2 s
		s.play(engine.Ended)
		got := s.log.appends()
		if len(got) != 3 || got[1] != "first:completed" || strings.Count(got[2], ":completed") != 40 || !strings.HasSuffix(got[2], " run.completed") {
			t.Errorf("got appends %q, want the start, the first end, and all others in one", got)
		}
	})
}

func TestTimeoutEndsTheAttemptAndRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var causes []gathering.Kind
		slow := does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			select {
			case <-ctx.Done():
				causes = append(causes, gathering.KindOf(context.Cause(ctx)))
				return engine.Outcome{}, errors.New("the connection broke") // which is how some put it
			case <-time.After(time.Duration(40-j.Attempt*11) * time.Second): // 29 s, 18 s, 7 s
				return engine.Outcome{Output: json.RawMessage(`1`)}, nil
			}
		})
		slow.Timeout = 10 * time.Second
		slow.Retry = gathering.Retry{MaxAttempts: 3, InitialDelay: gathering.Duration(2 * time.Minute), Factor: 1, On: []gathering.Kind{gathering.KindTimeout}}
		s := newStage(t, []engine.Node{trigger("t"), slow}, "t→a")
		s.park = time.Hour
		took := s.play(engine.Ended)
		s.wantHistory("run.queued run.started t:completed a:started a:retrying a:started a:retrying a:started a:completed run.completed")
		if diff := cmp.Diff([]gathering.Kind{gathering.KindTimeout, gathering.KindTimeout}, causes); diff != "" {
			t.Errorf("causes of the ends (-want +got):\n%s", diff)
		}
		if want := (10 + 120 + 10 + 120 + 7) * time.Second; took != want {
			t.Errorf("got a run of %s, want %s", took, want)
		}
	})
}

func TestLastTimeoutIsSaidToBeOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := takes("a", time.Hour)
		slow.Timeout = 10 * time.Second
		s := newStage(t, []engine.Node{trigger("t"), slow}, "t→a")
		s.play(engine.Ended)
		s.wantHistory("run.queued run.started t:completed a:started a:failed run.cancelling run.failed")
		n := s.node("a")
		if n.State != gathering.NodeTimedOut || n.Error.Kind != gathering.KindTimeout || n.Error.Message != "the attempt did not end in the time allowed" {
			t.Errorf("got %s, %+v, want a node timed out", n.State, n.Error)
		}
	})
}

func TestTimeoutOfTheRunReachesTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		graph, err := engine.NewGraph([]engine.Node{trigger("t"), takes("a", time.Hour)}, parseEdges([]string{"t→a"}))
		if err != nil {
			t.Fatal(err)
		}
		graph.Timeout = time.Minute
		s := newStageOf(t, graph)
		if got := s.play(engine.Ended); got != time.Minute {
			t.Errorf("got a run of %s, want %s", got, time.Minute)
		}
		s.wantHistory("run.queued run.started t:completed a:started run.cancelling a:cancelled run.timed_out")
	})
}

// stubborn is a node that goes on until it is let go, whatever it is told. It
// then tries to record a step and says what came of it.
func stubborn(id string, letGo <-chan struct{}, said chan<- error) engine.Node {
	return does(id, func(_ context.Context, j engine.Job) (engine.Outcome, error) {
		<-letGo
		said <- j.Record(context.Background(), step("late"))
		return engine.Outcome{Output: json.RawMessage(`"late"`)}, nil
	})
}

func TestWorkThatDoesNotStopIsAbandoned(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		timeout time.Duration
		cancel  time.Duration // when the run is cancelled; 0 is never
		want    string
		after   time.Duration // when the node is given up
	}{
		{
			"after a request to cancel", 0, time.Second,
			"run.queued run.started t:completed a:started b:started run.cancelling b:cancelled a:abandoned run.cancelled", 31 * time.Second,
		},
		{
			"after its timeout", 10 * time.Second, 0,
			"run.queued run.started t:completed a:started b:started a:abandoned run.cancelling b:cancelled run.failed", 40 * time.Second,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				letGo, said := make(chan struct{}), make(chan error, 1)
				a := stubborn("a", letGo, said)
				a.Timeout = test.timeout
				s := newStage(t, []engine.Node{trigger("t"), a, takes("b", time.Hour)}, "t→a", "t→b")
				done := s.start(t.Context())
				if test.cancel > 0 {
					<-time.After(test.cancel)
					s.send("box_1", engine.MailCancel, "")
				}
				end := <-done
				s.wantEnding(end, engine.Ended)
				s.wantHistory(test.want)
				if got := s.at("a:abandoned"); got != test.after {
					t.Errorf("the work was given up after %s, want %s", got, test.after)
				}
				if want := test.after + drain; end.took != want {
					t.Errorf("the owner took %s, want %s", end.took, want)
				}
				if !strings.Contains(s.said.String(), "work goes on that was told to stop") {
					t.Errorf("nothing was logged of the work left behind: %s", s.said)
				}
				close(letGo)
				if err := <-said; gathering.KindOf(err) != gathering.KindCancelled {
					t.Errorf("got %v for a step of abandoned work, want a cancellation", err)
				}
				synctest.Wait()
				s.wantHistory(test.want)
			})
		})
	}
}

// TestStepOfAbandonedWork has a run that still goes on, because another node
// takes its time to stop.
func TestStepOfAbandonedWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		letGo, said := make(chan struct{}), make(chan error, 1)
		polite := does("b", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			<-ctx.Done()
			<-time.After(20 * time.Second)
			return engine.Outcome{}, ctx.Err()
		})
		a := stubborn("a", letGo, said)
		a.Timeout = time.Second
		s := newStage(t, []engine.Node{trigger("t"), a, polite}, "t→a", "t→b")
		done := s.start(t.Context())
		<-time.After(40 * time.Second) // given up at 31 s, the other ends at 51 s
		close(letGo)
		if err := <-said; gathering.KindOf(err) != gathering.KindCancelled {
			t.Errorf("got %v for a step of abandoned work, want a cancellation", err)
		}
		s.wantEnding(<-done, engine.Ended)
		s.wantHistory("run.queued run.started t:completed a:started b:started a:abandoned run.cancelling b:cancelled run.failed")
	})
}

func TestCancelWhileWorking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// One node stops, one has its result already, one fails on its way out.
		quick := does("b", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			<-ctx.Done()
			return engine.Outcome{Output: json.RawMessage(`"done"`)}, nil
		})
		clumsy := does("c", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			<-ctx.Done()
			<-time.After(time.Second)
			return engine.Outcome{}, gathering.NewError(gathering.KindUnavailable, "the connection broke")
		})
		s := newStage(t, []engine.Node{trigger("t"), takes("a", time.Hour), quick, clumsy, takes("d", time.Hour)},
			"t→a", "t→b", "t→c", "b→d")
		done := s.start(t.Context())
		<-time.After(time.Second)
		s.send("box_1", engine.MailCancel, `{"by":"me"}`)
		s.send("box_2", engine.MailCancel, `{"by":"you"}`)
		end := <-done
		s.wantEnding(end, engine.Ended)
		if s.state.Run != gathering.RunCancelled || end.took != 2*time.Second {
			t.Errorf("got %s after %s, want a cancelled run after 2s", s.state.Run, end.took)
		}
		for id, want := range map[string]gathering.NodeState{
			"a": gathering.NodeCancelled, "b": gathering.NodeCompleted, "c": gathering.NodeCancelled, "d": gathering.NodeSkipped,
		} {
			if got := s.node(id).State; got != want {
				t.Errorf("%s is %s, want %s", id, got, want)
			}
		}
		if diff := cmp.Diff(map[gathering.InboxID]int{"box_1": 1, "box_2": 1}, s.log.consumed); diff != "" {
			t.Errorf("mail consumed (-want +got):\n%s", diff)
		}
	})
}

func TestBellStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), takes("a", 10*time.Second), takes("b", 20*time.Second)}, "t→a", "t→b")
		ctx, stop := context.WithCancel(t.Context())
		stormy := make(chan struct{})
		go func() {
			defer close(stormy)
			for ctx.Err() == nil {
				s.ring()
				<-time.After(10 * time.Millisecond)
			}
		}()
		if got := s.play(engine.Ended); got != 20*time.Second {
			t.Errorf("got a run of %s, want 20s", got)
		}
		stop()
		<-stormy
		want := []string{"run.queued run.started t:completed a:started b:started", "a:completed", "b:completed run.completed"}
		if diff := cmp.Diff(want, s.log.appends()); diff != "" {
			t.Errorf("appends (-want +got):\n%s", diff)
		}
		if s.log.looks < 1000 {
			t.Errorf("the owner looked into the inbox %d times, want once for each of about 2000 rings", s.log.looks)
		}
	})
}

// TestAppendThatFails fails each call of the log in turn, with and without a
// lost fence, and holds that nothing is begun or recorded after it.
func TestAppendThatFails(t *testing.T) {
	t.Parallel()
	fenced := gathering.NewError(gathering.KindConflict, "another instance owns the run by now").WithCode(gathering.CodeFenced)
	for name, fault := range map[string]error{"fenced": fenced, "unavailable": errAway} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 1
				for failsAt(t, n, fault) {
					n++
				}
				if got, want := n-1, 4; got != want { // a step, and the ends of three nodes
					t.Errorf("the run called its log %d times, want %d", got, want)
				}
			})
		})
	}
}

// failsAt plays a run whose n-th call of the log fails. It reports false where
// there are fewer.
func failsAt(t *testing.T, n int, fault error) bool {
	t.Helper()
	var failed atomic.Bool
	begins := func(id string) {
		if failed.Load() {
			t.Errorf("call %d failed, and %s begins all the same", n, id)
		}
	}
	s := newStage(t, []engine.Node{
		trigger("t"),
		does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			begins("a")
			err := j.Record(ctx, step("1"))
			if want := n == 1; errors.Is(err, fault) != want || (err != nil) != want {
				t.Errorf("call %d failed: got %v for the step that is call 1", n, err)
			}
			return engine.Outcome{}, err
		}),
		does("b", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			begins("b")
			select {
			case <-time.After(time.Minute):
				return engine.Outcome{}, nil
			case <-ctx.Done():
				return engine.Outcome{}, ctx.Err()
			}
		}),
		does("c", func(context.Context, engine.Job) (engine.Outcome, error) {
			begins("c")
			return engine.Outcome{}, nil
		}),
	}, "t→a", "t→b", "b→c")
	s.log.before = func(call int, _ *engine.Commit) error {
		switch {
		case call == n:
			failed.Store(true)
			return fault
		case call > n:
			t.Errorf("call %d failed, and the log is called again", n)
		}
		return nil
	}
	end := <-s.start(t.Context())
	if !failed.Load() {
		s.wantEnding(end, engine.Ended)
		return false
	}
	if end.ending != engine.Released || !errors.Is(end.err, fault) {
		t.Errorf("call %d failed: the owner was done with the run as %d, %v, want it released with the log's error", n, end.ending, end.err)
	}
	return true
}

// TestInboxThatCannotBeRead has a database that is away for a while whenever the
// owner looks for mail: the work under way goes on, its result is taken in, and
// what was asked is heard once the inbox can be read.
func TestInboxThatCannotBeRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		mail engine.MailKind
		want string
	}{
		{"the work ends", engine.MailWake, "run.queued run.started t:completed a:started a:completed run.completed"},
		{"a cancel is heard late", engine.MailCancel, "run.queued run.started t:completed a:started run.cancelling a:cancelled run.cancelled"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, []engine.Node{trigger("t"), takes("a", time.Minute)}, "t→a")
				failed := 0
				s.log.before = func(_ int, c *engine.Commit) error {
					if c == nil && failed < 5 {
						failed++
						return errAway
					}
					return nil
				}
				done := s.start(t.Context())
				<-time.After(time.Second)
				s.send("box_1", test.mail, `{}`)
				s.wantEnding(<-done, engine.Ended)
				s.wantHistory(test.want)
				if failed != 5 || s.log.consumed["box_1"] != 1 {
					t.Errorf("the inbox could not be read %d times and the mail was consumed %d times, want 5 and once", failed, s.log.consumed["box_1"])
				}
			})
		})
	}
}

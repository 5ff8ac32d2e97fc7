package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
)

func TestPanicIsAFailureOfItsNode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		onError gathering.OnError
		want    string
	}{
		{"and fails the run", gathering.OnErrorFail, "a:failed run.cancelling b:skipped c:skipped run.failed"},
		{"and is gone on from", gathering.OnErrorContinue, "a:failed c:skipped b:started b:completed run.completed"},
		{"and is branched on", gathering.OnErrorBranch, "a:failed b:skipped c:started c:completed run.completed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := does("a", func(context.Context, engine.Job) (engine.Outcome, error) { panic("the secret of the node") })
				a.OnError = test.onError
				s := newStage(t, []engine.Node{trigger("t"), a, takes("b", 0), takes("c", 0)}, "t→a", "a→b", "a.error→c")
				s.play(engine.Ended)
				got := strings.TrimPrefix(s.log.history(), "run.queued run.started t:completed a:started ")
				if sorted(got) != sorted(test.want) {
					t.Errorf("history after the start\n got %s\nwant %s", got, test.want)
				}
				want := &gathering.Failure{Kind: gathering.KindInternal, Message: "internal error; the log has the cause"}
				if diff := cmp.Diff(want, s.node("a").Error); diff != "" {
					t.Errorf("failure (-want +got):\n%s", diff)
				}
				for _, e := range s.log.events {
					if strings.Contains(string(e.Data), "secret") {
						t.Errorf("%s tells what only the log may know: %s", e.Type, e.Data)
					}
				}
				if logged := s.said.String(); !strings.Contains(logged, "the secret of the node") || !strings.Contains(logged, "work_test.go") {
					t.Errorf("got %q logged, want the cause and where it happened", logged)
				}
			})
		})
	}
}

// sorted is a history whose order does not matter.
func sorted(history string) string {
	words := strings.Fields(history)
	counts := map[string]int{}
	for _, w := range words {
		counts[w]++
	}
	return fmt.Sprint(counts)
}

func TestWhatComesOutOfANode(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("x", gathering.MaxValueBytes-2) + `"`
	tests := []struct {
		name, output string
		kind         gathering.Kind // "" is success
		code         string
	}{
		{"a value", `{"a":[1,"é"]}`, "", ""},
		{"as long as may be", long, "", ""},
		{"too long", long[:10] + long[9:], gathering.KindTooLarge, gathering.CodeOutputTooLarge},
		{"no JSON", `{"a":`, gathering.KindInvalid, ""},
		{"nothing that is no null", ``, gathering.KindInvalid, ""},
		{"two values", `1 2`, gathering.KindInvalid, ""},
		{"no UTF-8", "\"\xff\"", gathering.KindInvalid, ""},
		{"half a character", `"\ud800"`, gathering.KindInvalid, ""},
		{"too deep", strings.Repeat("[", 70) + strings.Repeat("]", 70), gathering.KindInvalid, ""},
		{"a number beyond floats", `1e999`, gathering.KindInvalid, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := retrying(does("a", func(context.Context, engine.Job) (engine.Outcome, error) {
					return engine.Outcome{Output: json.RawMessage(test.output)}, nil
				}))
				s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
				s.play(engine.Ended)
				n := s.node("a")
				if n.Attempts != 1 {
					t.Errorf("got %d attempts, want 1: the work was done", n.Attempts)
				}
				if test.kind == "" {
					if n.State != gathering.NodeCompleted || string(n.Output) != test.output {
						t.Errorf("got %s, %d bytes, want %d", n.State, len(n.Output), len(test.output))
					}
					return
				}
				if n.State != gathering.NodeFailed || n.Error.Kind != test.kind || n.Error.Code != test.code || n.Output != nil {
					t.Errorf("got %s, %+v, want a failure of kind %s %s", n.State, n.Error, test.kind, test.code)
				}
			})
		})
	}
}

// busyError asks for time, as servers do that are under load.
type busyError struct{ after time.Duration }

func (e *busyError) Error() string             { return "busy" }
func (e *busyError) RetryAfter() time.Duration { return e.after }
func (e *busyError) Unwrap() error {
	return gathering.NewError(gathering.KindExhausted, "too many requests")
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		asked time.Duration
		want  time.Duration
	}{
		{"longer than the backoff", 90 * time.Second, 90 * time.Second},
		{"longer than the longest backoff", time.Hour, time.Hour},
		{"shorter than the backoff", time.Millisecond, 2 * time.Second},
		{"in the past", -time.Hour, 2 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := does("a", func(_ context.Context, j engine.Job) (engine.Outcome, error) {
					if j.Attempt == 1 {
						return engine.Outcome{}, fmt.Errorf("ask: %w", &busyError{test.asked})
					}
					return engine.Outcome{}, nil
				})
				a.Retry = gathering.Retry{
					MaxAttempts: 2, InitialDelay: gathering.Duration(2 * time.Second), MaxDelay: gathering.Duration(time.Minute),
					On: []gathering.Kind{gathering.KindExhausted},
				}
				s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
				s.park = 2 * time.Hour
				if got := s.play(engine.Ended); got != test.want {
					t.Errorf("the second attempt began after %s, want %s", got, test.want)
				}
				s.wantHistory("run.queued run.started t:completed a:started a:retrying a:started a:completed run.completed")
			})
		})
	}
}

func TestStepsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const workers, steps = 12, 8
		var s *stage
		a := does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			var group sync.WaitGroup
			for w := range workers {
				group.Go(func() {
					for i := range steps {
						key := fmt.Sprintf("%d/%d", w, i)
						if err := j.Record(ctx, step(key)); err != nil {
							t.Errorf("record %s: %v", key, err)
						}
						if !s.keys()[key] {
							t.Errorf("step %s is said to be recorded and is not durable", key)
						}
					}
				})
			}
			group.Wait()
			return engine.Outcome{}, nil
		})
		s = newStage(t, []engine.Node{trigger("t"), a}, "t→a")
		s.log.slow = time.Second
		s.play(engine.Ended)
		if got := strings.Count(s.log.history(), "a:step.tool"); got != workers*steps {
			t.Errorf("got %d steps, want %d, each once", got, workers*steps)
		}
		if got, limit := len(s.log.appends()), 2*steps+3; got > limit {
			t.Errorf("got %d appends, want at most %d: steps that wait share one", got, limit)
		}
		next := map[string]int{} // by goroutine
		for _, key := range s.order() {
			worker, i, _ := strings.Cut(key, "/")
			if want := fmt.Sprint(next[worker]); i != want {
				t.Errorf("step %s comes where %s/%s is expected", key, worker, want)
			}
			next[worker]++
		}
	})
}

// order is the keys of the steps that are durable, in the order of the log.
func (s *stage) order() []string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	var keys []string
	for _, e := range s.log.events {
		if e.Type != gathering.EventStepTool {
			continue
		}
		var made gathering.Step
		if err := json.Unmarshal(e.Data, &made); err != nil {
			s.t.Fatal(err)
		}
		keys = append(keys, made.Key)
	}
	return keys
}

func (s *stage) keys() map[string]bool {
	keys := map[string]bool{}
	for _, k := range s.order() {
		keys[k] = true
	}
	return keys
}

func TestStepsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			err := j.Record(ctx, gathering.Step{Key: "1", Kind: gathering.StepTool, Result: json.RawMessage(`{"half`)})
			if gathering.KindOf(err) != gathering.KindInvalid {
				t.Errorf("got %v for a result that is no JSON, want an invalid one", err)
			}
			return engine.Outcome{}, j.Record(ctx, step("2"))
		})
		s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
		s.play(engine.Ended)
		if diff := cmp.Diff([]string{"2"}, s.order()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

// TestStepsOfThosePast has goroutines that outlive their attempt and go on
// recording. None is told that its step is durable, and none is.
func TestStepsOfThosePast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		said := make(chan error, 3)
		late := func(j engine.Job, after time.Duration) {
			go func() {
				<-time.After(after)
				said <- j.Record(context.Background(), step("late"))
			}()
		}
		a := does("a", func(_ context.Context, j engine.Job) (engine.Outcome, error) {
			if j.Attempt == 1 {
				late(j, time.Second)      // between the attempts
				late(j, 90*time.Second)   // while the next one works
				late(j, 1000*time.Second) // after the run's end
				return engine.Outcome{}, errAway
			}
			<-time.After(time.Minute)
			return engine.Outcome{}, nil
		})
		a.Retry = gathering.Retry{MaxAttempts: 2, InitialDelay: gathering.Duration(time.Minute), On: []gathering.Kind{gathering.KindUnavailable}}
		s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
		s.park = time.Hour
		s.play(engine.Ended)
		for range 3 {
			if err := <-said; gathering.KindOf(err) != gathering.KindCancelled {
				t.Errorf("got %v, want a cancellation", err)
			}
		}
		if diff := cmp.Diff([]string(nil), s.order()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

// TestStepsSurviveTheOwner loses the answer of an append that holds a step: the
// attempt that follows has the step all the same.
func TestStepsSurviveTheOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []gathering.Step
		a := does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			if seen = j.Steps; len(seen) > 0 {
				return engine.Outcome{}, nil
			}
			err := j.Record(ctx, step("1"))
			if !errors.Is(err, errAway) {
				t.Errorf("got %v, want the log's error", err)
			}
			return engine.Outcome{}, err
		})
		s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
		s.log.after = func(n int, _ *engine.Commit) error {
			if n == 1 {
				return errAway
			}
			return nil
		}
		if end := <-s.start(t.Context()); !errors.Is(end.err, errAway) {
			t.Fatalf("got %v, want the log's error", end.err)
		}
		s.play(engine.Ended)
		if diff := cmp.Diff([]gathering.Step{step("1")}, seen); diff != "" {
			t.Errorf("steps of the second owner (-want +got):\n%s", diff)
		}
		s.wantHistory("run.queued run.started t:completed a:started a:step.tool run.resumed a:completed run.completed")
	})
}

// TestWorkThatMayNotBeDoneTwice ends attempts of work that is not idempotent in
// ways that leave open whether it acted.
func TestWorkThatMayNotBeDoneTwice(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	tests := []struct {
		name  string
		work  func(ctx context.Context) error
		until time.Duration // when it is cancelled; 0 is never
		want  gathering.NodeState
		run   gathering.RunState
	}{
		{"timeout", wait, 0, gathering.NodeUnknown, gathering.RunWaiting},
		{"cancel", wait, time.Second, gathering.NodeUnknown, gathering.RunCancelled},
		{"panic", func(context.Context) error { panic("half way") }, 0, gathering.NodeUnknown, gathering.RunWaiting},
		{"an error nobody knows", func(context.Context) error { return errors.New("EOF") }, 0, gathering.NodeUnknown, gathering.RunWaiting},
		{"a definite failure", func(context.Context) error { return gathering.NewError(gathering.KindInvalid, "no") }, 0, gathering.NodeFailed, gathering.RunFailed},
		{"success", func(context.Context) error { return nil }, 0, gathering.NodeCompleted, gathering.RunCompleted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				a := retrying(engine.Node{ID: "a", Timeout: time.Minute, Do: engine.Work{
					Run: func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
						calls.Add(1)
						return engine.Outcome{}, test.work(ctx)
					},
				}})
				s := newStage(t, []engine.Node{trigger("t"), a}, "t→a")
				done := s.start(t.Context())
				if test.until > 0 {
					<-time.After(test.until)
					s.send("box_1", engine.MailCancel, "")
				}
				if end := <-done; end.err != nil {
					t.Fatal(end.err)
				}
				if got := s.node("a"); got.State != test.want || s.state.Run != test.run {
					t.Errorf("got node %s %+v, run %s, want %s, %s", got.State, got.Error, s.state.Run, test.want, test.run)
				}
				if got := calls.Load(); got != 1 {
					t.Errorf("it was done %d times, want once", got)
				}
			})
		})
	}
}

func TestDecisionAboutAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct{ as, want string }{
		{"done", "a:unknown run.waiting run.resumed a:decided a:completed b:started b:completed run.completed"},
		{"retry", "a:unknown run.waiting run.resumed a:decided a:retrying a:started a:completed b:started b:completed run.completed"},
		{"fail", "a:unknown run.waiting run.resumed a:decided a:failed run.cancelling b:skipped run.failed"},
	}
	for _, test := range tests {
		t.Run(test.as, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := engine.Node{ID: "a", Do: engine.Work{Run: func(_ context.Context, j engine.Job) (engine.Outcome, error) {
					if j.Attempt == 1 {
						return engine.Outcome{}, context.DeadlineExceeded
					}
					return engine.Outcome{}, nil
				}}}
				s := newStage(t, []engine.Node{trigger("t"), a, takes("b", 0)}, "t→a", "a→b")
				s.play(engine.Parked)
				output := ""
				if test.as == engine.DecideDone {
					output = `,"output":7`
				}
				s.send("box_1", engine.MailDecide, `{"node":"a","as":"`+test.as+`","by":"me"`+output+`}`)
				s.play(engine.Ended)
				synctest.Wait()
				s.wantHistory("run.queued run.started t:completed a:started " + test.want)
			})
		})
	}
}

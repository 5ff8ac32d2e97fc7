package engine_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/engine"
)

// tally counts the attempts that were begun, by node.
type tally struct {
	mu    sync.Mutex
	begun map[string]int
}

func (c *tally) of(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun[id]
}

// counted has a node that works, or the node of a map, count its attempts.
func (c *tally) counted(n engine.Node) engine.Node {
	switch do := n.Do.(type) {
	case engine.Work:
		run := do.Run
		do.Run = func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			c.mu.Lock()
			c.begun[j.Node]++
			c.mu.Unlock()
			return run(ctx, j)
		}
		n.Do = do
	case engine.Map:
		do.Do = c.counted(do.Do)
		n.Do = do
	default:
	}
	return n
}

// once is work that must not be done twice and whose only attempt is broken off.
func once(id string) engine.Node {
	return engine.Node{ID: id, Do: engine.Work{Run: func(context.Context, engine.Job) (engine.Outcome, error) {
		return engine.Outcome{}, context.DeadlineExceeded
	}}}
}

// failsOnce is work that fails after a while and then comes through.
func failsOnce(id string, after time.Duration) engine.Node {
	n := does(id, func(_ context.Context, j engine.Job) (engine.Outcome, error) {
		<-time.After(after)
		if j.Attempt == 1 {
			return engine.Outcome{}, errAway
		}
		return engine.Outcome{}, nil
	})
	n.Retry = gathering.Retry{MaxAttempts: 2, InitialDelay: gathering.Duration(100 * time.Millisecond), Factor: 1, On: []gathering.Kind{gathering.KindUnavailable}}
	return n
}

// recorder is work that records a step after a while and ends after another.
func recorder(id string, after time.Duration) engine.Node {
	return does(id, func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
		if len(j.Steps) == 0 {
			<-time.After(after)
			if err := j.Record(ctx, step("1")); err != nil {
				return engine.Outcome{}, err
			}
		}
		<-time.After(after)
		return engine.Outcome{}, nil
	})
}

// TestQuiet has an owner begin nothing more at some moment: what is under way
// ends and is recorded, nothing is begun, the run is let go, and its next owner
// does the rest and nothing twice.
func TestQuiet(t *testing.T) {
	t.Parallel()
	const begun = "run.queued run.started t:completed "
	type letter struct {
		at   time.Duration
		kind engine.MailKind
		data string
	}
	tests := []struct {
		name  string
		nodes []engine.Node // after the trigger t
		edges []string
		quiet time.Duration // when nothing more is to be begun; 0 is before anything
		mail  []letter
		want  string
		took  time.Duration
		rest  string         // what the next owner adds
		calls map[string]int // once that is done; once each that is not named
	}{
		{
			name: "before anything", nodes: []engine.Node{takes("a", time.Minute), takes("b", time.Minute)}, edges: []string{"t→a", "a→b"},
			want: begun + "a:started a:retrying",
			rest: "run.resumed a:started a:completed b:started b:completed run.completed",
		},
		{
			name: "while a node works", nodes: []engine.Node{recorder("a", 5*time.Second), takes("b", time.Minute)}, edges: []string{"t→a", "a→b"},
			quiet: time.Second, took: 10 * time.Second,
			want: begun + "a:started a:step.tool a:completed",
			rest: "run.resumed b:started b:completed run.completed",
		},
		{
			name: "while some work", nodes: []engine.Node{takes("a", 5*time.Second), takes("b", 9*time.Second), takes("c", time.Minute)},
			edges: []string{"t→a", "t→b", "a→c"}, quiet: time.Second, took: 9 * time.Second,
			want: begun + "a:started b:started a:completed b:completed",
			rest: "run.resumed c:started c:completed run.completed",
		},
		{
			name: "while a node works before one that only decides", nodes: []engine.Node{takes("a", 5*time.Second), pure("p", "")}, edges: []string{"t→a", "a→p"},
			quiet: time.Second, took: 5 * time.Second,
			want: begun + "a:started a:completed",
			rest: "run.resumed p:completed run.completed",
		},
		{
			name: "while the last node works", nodes: []engine.Node{takes("a", 5*time.Second)}, edges: []string{"t→a"},
			quiet: time.Second, took: 5 * time.Second,
			want: begun + "a:started a:completed run.completed",
		},
		{
			name: "while a node works beside one that is to be tried again", nodes: []engine.Node{failsOnce("a", 2*time.Second), takes("b", 9*time.Second)},
			edges: []string{"t→a", "t→b"}, quiet: time.Second, took: 9 * time.Second,
			want: begun + "a:started b:started a:retrying b:completed",
			rest: "run.resumed a:started a:completed run.completed", calls: map[string]int{"a": 2},
		},
		{
			name: "while a node waits to be tried again", nodes: []engine.Node{failsOnce("a", 0)}, edges: []string{"t→a"},
			quiet: 50 * time.Millisecond, took: 50 * time.Millisecond,
			want: begun + "a:started a:retrying",
			rest: "run.resumed a:started a:completed run.completed", calls: map[string]int{"a": 2},
		},
		{
			name: "while it waits for a moment", nodes: []engine.Node{sleep("a", 500*time.Millisecond)}, edges: []string{"t→a"},
			quiet: 50 * time.Millisecond, took: 50 * time.Millisecond,
			want: begun + "a:started a:waiting",
			rest: "run.resumed a:completed run.completed",
		},
		{
			name: "while a node works beside a wait that ends", nodes: []engine.Node{sleep("a", 2*time.Second), takes("b", 9*time.Second), takes("c", time.Minute)},
			edges: []string{"t→a", "t→b", "a→c"}, quiet: time.Second, took: 9 * time.Second,
			want: begun + "a:started a:waiting b:started b:completed",
			rest: "run.resumed a:completed c:started c:completed run.completed",
		},
		{
			name: "while the item of a map works", nodes: []engine.Node{each("m", takes("m", 5*time.Second), 3, 1)}, edges: []string{"t→m"},
			quiet: time.Second, took: 5 * time.Second,
			want:  begun + "m:started m:started m:completed",
			rest:  "run.resumed m:started m:completed m:started m:completed m:completed run.completed",
			calls: map[string]int{"m[0]": 1, "m[1]": 1, "m[2]": 1},
		},
		{
			name: "before a cancel", nodes: []engine.Node{takes("a", time.Hour), takes("b", time.Hour)}, edges: []string{"t→a", "a→b"},
			quiet: time.Second, mail: []letter{{2 * time.Second, engine.MailCancel, `{"by":"me"}`}}, took: 2 * time.Second,
			want: begun + "a:started run.cancelling b:skipped a:cancelled run.cancelled", calls: map[string]int{"b": 0},
		},
		{
			name: "before an end of a pause", nodes: []engine.Node{takes("a", 5*time.Second), takes("b", 9*time.Second), takes("c", time.Minute)},
			edges: []string{"t→a", "t→b", "a→c"}, quiet: 7 * time.Second, took: 9 * time.Second,
			mail: []letter{{time.Second, engine.MailPause, `{}`}, {8 * time.Second, engine.MailResume, `{}`}},
			want: begun + "a:started b:started run.paused a:completed run.resumed b:completed",
			rest: "run.resumed c:started c:completed run.completed",
		},
		{
			name: "before somebody has work done again", nodes: []engine.Node{once("a"), takes("b", 9*time.Second)}, edges: []string{"t→a", "t→b"},
			quiet: time.Second, mail: []letter{{2 * time.Second, engine.MailDecide, `{"node":"a","as":"retry"}`}}, took: 9 * time.Second,
			want: begun + "a:started b:started a:unknown a:decided a:retrying b:completed",
			rest: "run.resumed a:started a:unknown run.waiting", calls: map[string]int{"a": 2},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &tally{begun: map[string]int{}}
				nodes := []engine.Node{trigger("t")}
				for _, n := range test.nodes {
					nodes = append(nodes, c.counted(n))
				}
				s := newStage(t, nodes, test.edges...)
				if test.quiet == 0 {
					close(s.quiet)
				} else {
					time.AfterFunc(test.quiet, func() { close(s.quiet) })
				}
				for _, m := range test.mail {
					time.AfterFunc(m.at, func() { s.send("box_"+m.at.String(), m.kind, m.data) })
				}
				end := <-s.start(t.Context())
				want := engine.Released
				if test.rest == "" {
					want = engine.Ended
				}
				s.wantEnding(end, want)
				s.wantHistory(test.want)
				if end.took != test.took {
					t.Errorf("it was let go after %s, want %s", end.took, test.took)
				}
				if test.rest != "" {
					s.quiet = nil
					<-time.After(3 * time.Second) // what was left waiting is due by then
					end := <-s.start(t.Context())
					if end.err != nil || end.ending == engine.Released {
						t.Errorf("the next owner was done with the run as %d, %v", end.ending, end.err)
					}
					s.wantHistory(test.want + " " + test.rest)
				}
				for _, n := range test.nodes {
					if _, works := n.Do.(engine.Work); works && test.calls == nil && c.of(n.ID) != 1 {
						t.Errorf("%s was begun %d times, want once", n.ID, c.of(n.ID))
					}
				}
				for id, want := range test.calls {
					if got := c.of(id); got != want {
						t.Errorf("%s was begun %d times, want %d", id, got, want)
					}
				}
			})
		})
	}
}

// TestQuietDoesNotPark holds that a run which waits for long beside work is let
// go and not parked, and parked by its next owner for as long as it waits.
func TestQuietDoesNotPark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), sleep("nap", time.Hour), takes("a", time.Minute)}, "t→nap", "t→a")
		time.AfterFunc(time.Second, func() { close(s.quiet) })
		s.play(engine.Released)
		if s.log.parked || s.log.holds("run.waiting") {
			t.Errorf("it was parked: %s", s.log.history())
		}
		s.quiet = nil
		s.play(engine.Parked)
		if got, want := s.readyAfter(s.log.commits[len(s.log.commits)-1]), time.Hour; got != want {
			t.Errorf("it is due after %s, want %s", got, want)
		}
	})
}

// TestQuietOwnerOfAParkedRun holds that a run which is parked stays so, and that
// an owner who may begin nothing lets go of one that it took over.
func TestQuietOwnerOfAParkedRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, []engine.Node{trigger("t"), sleep("nap", time.Hour), takes("a", time.Second)}, "t→nap", "nap→a")
		s.play(engine.Parked)
		close(s.quiet)
		synctest.Wait()
		parked := s.log.history()
		if !s.log.parked {
			t.Errorf("it is not parked any more: %s", parked)
		}
		<-time.After(time.Hour)
		s.play(engine.Released)
		s.wantHistory(parked + " run.resumed nap:completed a:started a:retrying")
	})
}

// TestQuietThenToldToLetGo ends the context of an owner that waits for work to
// end by itself: what still succeeds then is recorded, and the rest is left.
func TestQuietThenToldToLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		quick := does("b", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			<-ctx.Done()
			<-time.After(2 * time.Second)
			return engine.Outcome{Output: json.RawMessage(`"done"`)}, nil
		})
		letGo, said := make(chan struct{}), make(chan error, 1)
		s := newStage(t, []engine.Node{trigger("t"), takes("a", time.Hour), quick, stubborn("c", letGo, said), takes("d", time.Hour)},
			"t→a", "t→b", "t→c", "b→d")
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		time.AfterFunc(time.Second, func() { close(s.quiet) })
		end := <-s.start(ctx)
		s.wantEnding(end, engine.Released)
		s.wantHistory("run.queued run.started t:completed a:started b:started c:started b:completed")
		if want := 10*time.Second + drain; end.took != want {
			t.Errorf("it was let go after %s, want %s", end.took, want)
		}
		if !strings.Contains(s.said.String(), "work goes on that was told to stop") {
			t.Errorf("nothing was logged of the work left behind: %s", s.said)
		}
		close(letGo)
		if err := <-said; gathering.KindOf(err) != gathering.KindCancelled {
			t.Errorf("got %v for a step of work left behind, want a cancellation", err)
		}
	})
}

// TestQuietAsAResultComes has a result wait for the owner, which is busy, when
// nothing more is to be begun: nothing is, whichever the owner sees first.
func TestQuietAsAResultComes(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			c := &tally{begun: map[string]int{}}
			s := newStage(t, []engine.Node{
				trigger("t"), takes("a", time.Second), takes("b", 1200*time.Millisecond), c.counted(takes("d", time.Minute)),
			}, "t→a", "t→b", "b→d")
			s.log.slow = time.Second // the end of a is written from 1 s to 2 s
			time.AfterFunc(1500*time.Millisecond, func() { close(s.quiet) })
			s.play(engine.Released)
			s.wantHistory("run.queued run.started t:completed a:started b:started a:completed b:completed")
			if got := c.of("d"); got != 0 {
				t.Errorf("d was begun %d times", got)
			}
		})
	}
}

// TestQuietBesideAbandonedWork has work that nobody needs any more and that does
// not stop: nobody waits for its end.
func TestQuietBesideAbandonedWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		letGo, said := make(chan struct{}), make(chan error, 1)
		s := newStage(t, []engine.Node{
			trigger("t"), takes("a", time.Second), stubborn("c", letGo, said), join("j", 1, true),
			takes("b", 40*time.Second), takes("d", time.Hour),
		}, "t→a", "t→c", "a→j", "c→j", "j→b", "b→d")
		time.AfterFunc(2*time.Second, func() { close(s.quiet) })
		end := <-s.start(t.Context())
		s.wantEnding(end, engine.Released)
		if want := 41*time.Second + drain; end.took != want {
			t.Errorf("the owner took %s, want %s", end.took, want)
		}
		close(letGo)
		<-said
	})
}

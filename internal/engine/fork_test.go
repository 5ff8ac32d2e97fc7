package engine_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
)

// fork makes a world of the run that repeats w's.
func (w *world) fork(input string, from ...string) *world {
	w.t.Helper()
	next, err := w.tryFork(input, from...)
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func (w *world) tryFork(input string, from ...string) (*world, error) {
	w.t.Helper()
	next := &world{t: w.t, graph: w.graph, now: w.now.Add(time.Hour), running: map[string]int{}, stopped: map[string]bool{}, children: map[gathering.RunID]gathering.Trigger{}, detached: map[gathering.RunID]bool{}}
	next.state = engine.NewState(w.graph, "run_2", "run_2", "default")
	turn, err := engine.Fork(next.state, w.state, next.now, gathering.RunQueuedData{Input: json.RawMessage(input)}, from)
	if err != nil {
		return nil, err
	}
	next.log = turn.Events
	next.send(engine.Begin{})
	return next, nil
}

func TestFork(t *testing.T) {
	t.Parallel()
	line := []engine.Node{trigger("t"), work("a"), work("b"), work("c"), work("z")}
	lines := []string{"t→a", "a→b", "b→c", "t→z"}
	tests := []struct {
		name  string
		nodes []engine.Node
		edges []string
		play  func(w *world)
		input string
		from  []string
		then  func(w *world)
		want  string
	}{
		{
			"what failed is done again, and what was stopped with it",
			line, lines,
			func(w *world) { w.finish("a", nil); w.finish("b", invalid); w.finish("z", cancelled) },
			`{"n":1}`, nil,
			func(w *world) { w.finish("b", nil); w.finish("c", nil); w.finish("z", nil); w.wantOutput("a", `"a"`) },
			"run.queued t:completed a:completed run.started z:started b:started b:completed c:started c:completed z:completed run.completed",
		},
		{
			"from a node on, with another input",
			line, lines,
			func(w *world) { w.finish("a", nil); w.finish("z", nil); w.finish("b", nil); w.finish("c", nil) },
			`2`,
			[]string{"b"},
			func(w *world) { w.finish("b", nil); w.finish("c", nil); w.wantOutput("t", `2`) },
			"run.queued t:completed a:completed z:completed run.started b:started b:completed c:started c:completed run.completed",
		},
		{
			"the whole run",
			line, lines,
			func(w *world) { w.finish("a", nil); w.finish("z", invalid) },
			`1`,
			[]string{"t"},
			func(w *world) {},
			"run.queued run.started t:completed a:started z:started",
		},
		{
			"branches that were not taken are not taken",
			[]engine.Node{trigger("t"), pure("p", "true"), work("a"), work("b")},
			[]string{"t→p", "p.true→a", "p.false→b"},
			func(w *world) { w.finish("a", invalid) },
			`{"n":1}`, nil,
			func(w *world) { w.finish("a", nil) },
			"run.queued t:completed p:completed run.started a:started b:skipped a:completed run.completed",
		},
		{
			"a failure that was dealt with stays",
			[]engine.Node{trigger("t"), onError(work("a")), work("b"), work("c")},
			[]string{"t→a", "a.error→b", "t→c"},
			func(w *world) { w.finish("a", invalid); w.finish("b", nil); w.finish("c", invalid) },
			`{"n":1}`, nil,
			func(w *world) { w.finish("c", nil) },
			"run.queued t:completed a:failed b:completed run.started c:started c:completed run.completed",
		},
		{
			"a map goes on with the items that are not done",
			[]engine.Node{trigger("t"), each("m", work("m"), 3, 1)},
			[]string{"t→m"},
			func(w *world) { w.finish("m[0]", nil); w.finish("m[1]", invalid) },
			`{"n":1}`, nil,
			func(w *world) {
				w.finish("m[1]", nil)
				w.finish("m[2]", nil)
				w.wantOutput("m", `["m[0]","m[1]","m[2]"]`)
			},
			"run.queued t:completed m:started m[0]:completed run.started m[1]:started m[1]:completed m[2]:started m[2]:completed m:completed run.completed",
		},
		{
			"a map begins anew where its input may be another",
			[]engine.Node{trigger("t"), each("m", work("m"), 2, 1)},
			[]string{"t→m"},
			func(w *world) { w.finish("m[0]", nil); w.finish("m[1]", invalid) },
			`2`, nil,
			func(w *world) { w.finish("m[0]", nil); w.finish("m[1]", nil) },
			"run.queued t:completed run.started m:started m[0]:started m[0]:completed m[1]:started m[1]:completed m:completed run.completed",
		},
		{
			"what a join did not need is not done again",
			[]engine.Node{trigger("t"), work("a"), work("b"), join("j", 1, true), work("z")},
			[]string{"t→a", "t→b", "a→j", "b→j", "j→z"},
			func(w *world) { w.finish("a", nil); w.finish("b", cancelled); w.finish("z", invalid) },
			`{"n":1}`, nil,
			func(w *world) { w.finish("z", nil) },
			"run.queued t:completed a:completed j:completed b:skipped run.started z:started z:completed run.completed",
		},
		{
			"what two joins did not need is left out once",
			[]engine.Node{trigger("t"), work("a"), work("x"), join("j", 1, true), work("b"), join("k", 1, true), work("z")},
			[]string{"t→a", "t→x", "t→b", "a→j", "x→j", "j→k", "b→k", "k→z"},
			func(w *world) {
				w.finish("a", nil)
				w.finish("x", cancelled)
				w.finish("b", cancelled)
				w.finish("z", invalid)
			},
			`{"n":1}`, nil,
			func(w *world) { w.finish("z", nil); w.checkEnd() },
			"run.queued t:completed a:completed j:completed x:skipped k:completed b:skipped run.started z:started z:completed run.completed",
		},
		{
			"what was stopped before its turn",
			line, lines,
			func(w *world) {
				w.finish("z", nil)
				w.send(engine.Mail{ID: "c", Kind: engine.MailCancel})
				w.finish("a", nil)
			},
			`{"n":1}`, nil,
			func(w *world) { w.finish("b", nil); w.finish("c", nil) },
			"run.queued t:completed z:completed a:completed run.started b:started b:completed c:started c:completed run.completed",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			old := newWorldOf(t, mustGraph(t, test.nodes, test.edges...))
			old.send(engine.Begin{})
			test.play(old)
			w := old.fork(test.input, test.from...)
			test.then(w)
			w.wantHistory(test.want)
		})
	}
}

func TestForkOfARunThatWasStoppedBeforeItBegan(t *testing.T) {
	t.Parallel()
	old := newWorld(t, []engine.Node{trigger("t"), work("a")}, "t→a")
	old.send(engine.Takeover{Mail: []engine.Mail{{ID: "c", Kind: engine.MailCancel}}})
	w := old.fork(`{"n":1}`)
	w.finish("a", nil)
	w.wantHistory("run.queued run.started t:completed a:started a:completed run.completed")
}

// TestForkWaitsInLine holds that the time of a map which goes on with items of
// another run counts from when its run is begun.
func TestForkWaitsInLine(t *testing.T) {
	t.Parallel()
	each := with(each("m", work("m"), 2, 1), func(n *engine.Node) { n.Timeout, n.TotalTimeout = time.Minute, 2*time.Minute })
	old := newWorld(t, []engine.Node{trigger("t"), each}, "t→m")
	old.send(engine.Begin{})
	old.finish("m[0]", nil)
	old.finish("m[1]", invalid)
	s := engine.NewState(old.graph, "run_2", "run_2", "default")
	forked, err := engine.Fork(s, old.state, old.now, gathering.RunQueuedData{Input: json.RawMessage(`{"n":1}`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, graph: old.graph, state: s, log: forked.Events, now: old.now.Add(time.Hour), running: map[string]int{}}
	w.send(engine.Takeover{Instance: "ins_2"})
	if got, want := s.NextDue().Sub(w.now), time.Minute; got != want {
		t.Errorf("the map's time is up in %s, want %s", got, want)
	}
	w.finish("m[1]", nil)
	w.wantHistory("run.queued t:completed m:started m[0]:completed run.started m[1]:started m[1]:completed m:completed run.completed")
}

func TestForkTellsWhereItComesFrom(t *testing.T) {
	t.Parallel()
	old := newWorld(t, []engine.Node{trigger("t"), work("a"), work("b")}, "t→a", "a→b")
	old.send(engine.Begin{})
	old.finish("a", nil)
	old.finish("b", invalid)
	want := &gathering.Origin{Run: "run_1", From: []string{"b"}, Kept: []string{"t", "a"}}
	if diff := cmp.Diff(want, old.fork(`1`).state.Queued.Origin); diff != "" {
		t.Errorf("origin (-want +got):\n%s", diff)
	}
}

func TestForkRefuses(t *testing.T) {
	t.Parallel()
	old := newWorld(t, []engine.Node{trigger("t"), work("a")}, "t→a")
	old.send(engine.Begin{})
	old.finish("a", nil)
	for _, test := range []struct {
		from []string
		want gathering.Kind
	}{
		{nil, gathering.KindConflict},
		{[]string{"nobody"}, gathering.KindInvalid},
	} {
		s := engine.NewState(old.graph, "run_2", "run_2", "default")
		if _, err := engine.Fork(s, old.state, old.now, gathering.RunQueuedData{}, test.from); gathering.KindOf(err) != test.want {
			t.Errorf("from %v: got %v, want %s", test.from, err, test.want)
		}
	}
}

func mustGraph(t *testing.T, nodes []engine.Node, edges ...string) *engine.Graph {
	t.Helper()
	graph, err := engine.NewGraph(nodes, parseEdges(edges))
	if err != nil {
		t.Fatal(err)
	}
	return graph
}

// What may have acted is done again only by somebody who names it.
func TestForkOfWhatMayHaveActed(t *testing.T) {
	t.Parallel()
	intent := with(work("b"), func(n *engine.Node) { n.Do = engine.Work{} })
	for name, play := range map[string]func(w *world){
		"stopped while unknown": func(w *world) {
			w.finish("b", unknown)
			w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
		},
		"under way": func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := newWorld(t, []engine.Node{trigger("t"), work("a"), intent}, "t→a", "a→b")
			old.send(engine.Begin{})
			old.finish("a", nil)
			play(old)
			for _, from := range [][]string{nil, {"a"}} {
				if _, err := old.tryFork(`1`, from...); gathering.KindOf(err) != gathering.KindConflict {
					t.Errorf("from %v: got %v, want a conflict", from, err)
				}
			}
			w := old.fork(`1`, "b")
			w.finish("b", nil)
			w.wantHistory("run.queued t:completed a:completed run.started b:started b:completed run.completed")
		})
	}
}

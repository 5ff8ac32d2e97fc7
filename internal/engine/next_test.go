package engine_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world plays everything around a run's transitions: it makes work end as it
// is told, lets time pass and keeps the log.
type world struct {
	t        *testing.T
	graph    *engine.Graph
	state    *engine.State
	now      time.Time
	log      []gathering.Event
	running  map[string]int // attempts under way
	stopped  map[string]bool
	children map[gathering.RunID]gathering.Trigger
	detached map[gathering.RunID]bool // children that are only started
	shot     engine.Snapshot          // the last one taken
	cancels  []gathering.RunID
}

func newWorld(t *testing.T, nodes []engine.Node, edges ...string) *world {
	t.Helper()
	graph, err := engine.NewGraph(nodes, parseEdges(edges))
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOf(t, graph)
}

func newWorldOf(t *testing.T, graph *engine.Graph) *world {
	t.Helper()
	w := &world{
		t: t, graph: graph, now: begin, state: engine.NewState(graph, "run_1", "run_1", "default"),
		running: map[string]int{}, stopped: map[string]bool{}, children: map[gathering.RunID]gathering.Trigger{}, detached: map[gathering.RunID]bool{},
	}
	turn, err := engine.Queue(w.state, w.now, gathering.RunQueuedData{Input: json.RawMessage(`{"n":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	w.log = append(w.log, turn.Events...)
	return w
}

// parseEdges reads "a→b" and "a.true→b".
func parseEdges(list []string) []gathering.Edge {
	var edges []gathering.Edge
	for _, e := range list {
		from, to, _ := strings.Cut(e, "→")
		from, branch, _ := strings.Cut(from, ".")
		edges = append(edges, gathering.Edge{From: from, To: to, Branch: branch})
	}
	return edges
}

func (w *world) send(m engine.Message) {
	w.t.Helper()
	turn, err := engine.Next(w.state, w.now, m)
	if err != nil {
		w.t.Fatalf("move by %T: %v", m, err)
	}
	w.log = append(w.log, turn.Events...)
	for _, e := range turn.Effects {
		switch e := e.(type) {
		case engine.StartWork:
			w.running[w.name(e.Node)] = e.Attempt
		case engine.StopWork:
			w.stopped[w.name(e.Node)] = true
		case engine.StartChild:
			w.children[e.ID] = e.Trigger
			w.detached[e.ID] = !e.Spec.Wait
		case engine.TellChild:
			w.cancels = append(w.cancels, e.ID)
		}
	}
}

func (w *world) name(i int) string { return w.state.Path(i) }

func (w *world) finish(node string, failure *gathering.Failure) {
	w.t.Helper()
	attempt, ok := w.running[node]
	if !ok {
		w.t.Fatalf("%s does not work; working: %v", node, w.running)
	}
	delete(w.running, node)
	w.send(engine.Finished{Node: node, Attempt: attempt, Failure: failure, Outcome: engine.Outcome{Output: json.RawMessage(`"` + node + `"`)}})
}

func eventPath(e gathering.Event) string {
	if e.Item == nil {
		return e.Node
	}
	return gathering.NodePath(e.Node, *e.Item)
}

// history is the log in a short form: types without their noun, and nodes.
func (w *world) history() string {
	var b strings.Builder
	for _, e := range w.log {
		if e.Node == "" {
			fmt.Fprintf(&b, "%s ", e.Type)
			continue
		}
		fmt.Fprintf(&b, "%s:%s ", eventPath(e), strings.TrimPrefix(string(e.Type), "node."))
	}
	return strings.TrimSpace(b.String())
}

func (w *world) wantHistory(want string) {
	w.t.Helper()
	if diff := cmp.Diff(strings.Fields(want), strings.Fields(w.history())); diff != "" {
		w.t.Errorf("history (-want +got):\n%s", diff)
	}
	w.checkFold()
}

// checkFold holds that the fold of the log is the live state.
func (w *world) checkFold() {
	w.t.Helper()
	folded := engine.NewState(w.graph, w.state.ID, w.state.Root, "default")
	for _, e := range w.log {
		if err := folded.Fold(e); err != nil {
			w.t.Fatal(err)
		}
	}
	if diff := engine.DiffStates(w.state, folded); diff != "" {
		w.t.Fatalf("the fold of the log is not the live state (-live +folded):\n%s\nlog %s", diff, w.history())
	}
	shot, err := w.state.Snapshot()
	if err != nil {
		w.t.Fatal(err)
	}
	restored := engine.NewState(w.graph, w.state.ID, w.state.Root, "default")
	w.restore(restored, shot)
	if diff := engine.DiffStates(w.state, restored); diff != "" {
		w.t.Fatalf("the snapshot is not the live state (-live +restored):\n%s\nlog %s", diff, w.history())
	}
	w.shot = shot
}

func trigger(id string) engine.Node { return engine.Node{ID: id, Do: engine.Trigger{}} }

func work(id string) engine.Node { return engine.Node{ID: id, Do: engine.Work{Idempotent: true}} }

func pure(id, branch string) engine.Node {
	return engine.Node{ID: id, Do: engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) {
		return engine.Outcome{Branch: branch}, nil
	})}
}

func sleep(id string, d time.Duration) engine.Node {
	return engine.Node{ID: id, Do: engine.Sleep(func(_ *expr.Scope, now time.Time) (time.Time, error) { return now.Add(d), nil })}
}

func child(id string, wait bool) engine.Node {
	return engine.Node{ID: id, Do: engine.Child(func(*expr.Scope, json.RawMessage) (engine.ChildSpec, error) {
		return engine.ChildSpec{Pipeline: "other", Wait: wait}, nil
	})}
}

func with(n engine.Node, change func(*engine.Node)) engine.Node {
	change(&n)
	return n
}

func retrying(n engine.Node) engine.Node {
	n.Retry = gathering.DefaultRetry()
	n.Retry.MaxAttempts = 3
	return n
}

var (
	unavailable = &gathering.Failure{Kind: gathering.KindUnavailable, Message: "away"}
	invalid     = &gathering.Failure{Kind: gathering.KindInvalid, Message: "wrong"}
	cancelled   = &gathering.Failure{Kind: gathering.KindCancelled, Message: "stopped"}
	circuitOpen = &gathering.Failure{Kind: gathering.KindUnavailable, Code: gathering.CodeCircuitOpen, Message: "not now"}
	unknown     = &gathering.Failure{Kind: gathering.KindConflict, Code: gathering.CodeUnknownOutcome, Message: "who knows"}
)

func TestNext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		nodes []engine.Node
		edges []string
		play  func(w *world)
		want  string
	}{
		{
			"branches run at the same time and meet",
			[]engine.Node{trigger("t"), work("a"), work("b"), work("c")},
			[]string{"t→a", "t→b", "a→c", "b→c"},
			func(w *world) { w.finish("b", nil); w.finish("a", nil); w.finish("c", nil) },
			"run.queued run.started t:completed a:started b:started b:completed a:completed c:started c:completed run.completed",
		},
		{
			"a branch not taken is skipped visibly and a join runs",
			[]engine.Node{trigger("t"), pure("if", "true"), work("yes"), work("no"), work("after"), work("end")},
			[]string{"t→if", "if.true→yes", "if.false→no", "no→after", "yes→end", "after→end"},
			func(w *world) { w.finish("yes", nil); w.finish("end", nil) },
			"run.queued run.started t:completed if:completed yes:started no:skipped after:skipped yes:completed end:started end:completed run.completed",
		},
		{
			"pure nodes reach their fixpoint in one message",
			[]engine.Node{trigger("t"), pure("a", ""), pure("b", ""), pure("c", "")},
			[]string{"t→a", "a→b", "b→c"},
			func(*world) {},
			"run.queued run.started t:completed a:completed b:completed c:completed run.completed",
		},
		{
			"an unhandled failure stops the others and waits for them",
			[]engine.Node{trigger("t"), work("a"), work("b"), work("c")},
			[]string{"t→a", "t→b", "b→c"},
			func(w *world) { w.finish("a", invalid); w.finish("b", cancelled) },
			"run.queued run.started t:completed a:started b:started a:failed run.cancelling c:skipped b:cancelled run.failed",
		},
		{
			"a result after the failure is recorded",
			[]engine.Node{trigger("t"), work("a"), work("b")},
			[]string{"t→a", "t→b"},
			func(w *world) { w.finish("a", invalid); w.finish("b", nil) },
			"run.queued run.started t:completed a:started b:started a:failed run.cancelling b:completed run.failed",
		},
		{
			"continue goes on with the fallback",
			[]engine.Node{trigger("t"), with(work("a"), func(n *engine.Node) { n.OnError = gathering.OnErrorContinue }), work("b")},
			[]string{"t→a", "a→b"},
			func(w *world) { w.finish("a", invalid); w.finish("b", nil) },
			"run.queued run.started t:completed a:started a:failed b:started b:completed run.completed",
		},
		{
			"branch takes the error edges alone",
			[]engine.Node{trigger("t"), with(work("a"), func(n *engine.Node) { n.OnError = gathering.OnErrorBranch }), work("ok"), work("sorry")},
			[]string{"t→a", "a→ok", "a.error→sorry"},
			func(w *world) { w.finish("a", invalid); w.finish("sorry", nil) },
			"run.queued run.started t:completed a:started a:failed ok:skipped sorry:started sorry:completed run.completed",
		},
		{
			"success kills the error edges",
			[]engine.Node{trigger("t"), with(work("a"), func(n *engine.Node) { n.OnError = gathering.OnErrorBranch }), work("ok"), work("sorry")},
			[]string{"t→a", "a→ok", "a.error→sorry"},
			func(w *world) { w.finish("a", nil); w.finish("ok", nil) },
			"run.queued run.started t:completed a:started a:completed ok:started sorry:skipped ok:completed run.completed",
		},
		{
			"retries after what may pass, and only then",
			[]engine.Node{trigger("t"), retrying(work("a"))},
			[]string{"t→a"},
			func(w *world) {
				w.finish("a", unavailable)
				w.tickDue()
				w.finish("a", invalid)
			},
			"run.queued run.started t:completed a:started a:retrying a:started a:failed run.cancelling run.failed",
		},
		{
			"the last attempt's failure is final",
			[]engine.Node{trigger("t"), retrying(work("a"))},
			[]string{"t→a"},
			func(w *world) {
				for range 2 {
					w.finish("a", unavailable)
					w.tickDue()
				}
				w.finish("a", unavailable)
			},
			"run.queued run.started t:completed a:started a:retrying a:started a:retrying a:started a:failed run.cancelling run.failed",
		},
		{
			"a delay ends when it is due and not before",
			[]engine.Node{trigger("t"), sleep("z", time.Hour)},
			[]string{"t→z"},
			func(w *world) {
				w.now = w.now.Add(time.Hour - time.Microsecond)
				w.send(engine.Tick{})
				w.now = w.now.Add(time.Microsecond)
				w.send(engine.Tick{})
			},
			"run.queued run.started t:completed z:started z:waiting z:completed run.completed",
		},
		{
			"cancel ends waits at once and work when it stops",
			[]engine.Node{trigger("t"), sleep("z", time.Hour), work("a"), work("b")},
			[]string{"t→z", "t→a", "a→b"},
			func(w *world) {
				w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
				w.send(engine.Mail{ID: "2", Kind: engine.MailCancel})
				w.finish("a", cancelled)
			},
			"run.queued run.started t:completed z:started z:waiting a:started run.cancelling z:cancelled b:skipped a:cancelled run.cancelled",
		},
		{
			"work that does not stop is abandoned",
			[]engine.Node{trigger("t"), work("a")},
			[]string{"t→a"},
			func(w *world) {
				w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
				w.tickDue()
				w.finish("a", nil)
			},
			"run.queued run.started t:completed a:started run.cancelling a:abandoned run.cancelled",
		},
		{
			"a child's end is its node's",
			[]engine.Node{trigger("t"), child("c", true), work("a")},
			[]string{"t→c", "c→a"},
			func(w *world) { w.childEnds(gathering.RunCompleted); w.finish("a", nil) },
			"run.queued run.started t:completed c:started c:waiting c:completed a:started a:completed run.completed",
		},
		{
			"a child that failed fails its node",
			[]engine.Node{trigger("t"), child("c", true)},
			[]string{"t→c"},
			func(w *world) { w.childEnds(gathering.RunFailed) },
			"run.queued run.started t:completed c:started c:waiting c:failed run.cancelling run.failed",
		},
		{
			"a child that is only started is not waited for",
			[]engine.Node{trigger("t"), child("c", false)},
			[]string{"t→c"},
			func(w *world) { w.childEnds("") },
			"run.queued run.started t:completed c:started c:waiting c:completed run.completed",
		},
		{
			"a child that is only started outlives its parent, which waits until it is there",
			[]engine.Node{trigger("t"), child("c", false)},
			[]string{"t→c"},
			func(w *world) {
				w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
				if len(w.cancels) > 0 {
					w.t.Error("the child was told to stop")
				}
				w.childEnds("")
			},
			"run.queued run.started t:completed c:started c:waiting run.cancelling c:completed run.cancelled",
		},
		{
			"a cancelled parent waits for its child",
			[]engine.Node{trigger("t"), child("c", true)},
			[]string{"t→c"},
			func(w *world) {
				w.send(engine.Mail{ID: "1", Kind: engine.MailCancel})
				if len(w.cancels) != 1 {
					w.t.Errorf("got %d children cancelled, want 1", len(w.cancels))
				}
				w.childEnds(gathering.RunCancelled)
			},
			"run.queued run.started t:completed c:started c:waiting run.cancelling c:cancelled run.cancelled",
		},
		{
			"the total timeout ends a wait",
			[]engine.Node{trigger("t"), with(sleep("z", time.Hour), func(n *engine.Node) { n.TotalTimeout = time.Minute })},
			[]string{"t→z"},
			func(w *world) { w.tickDue() },
			"run.queued run.started t:completed z:started z:waiting z:failed run.cancelling run.failed",
		},
		{
			"a takeover repeats idempotent work under the same number",
			[]engine.Node{trigger("t"), work("a")},
			[]string{"t→a"},
			func(w *world) {
				w.crash()
				if got := w.running["a"]; got != 1 {
					w.t.Errorf("got attempt %d, want 1", got)
				}
				w.finish("a", nil)
			},
			"run.queued run.started t:completed a:started run.resumed a:completed run.completed",
		},
		{
			"work of unknown outcome waits for a decision",
			[]engine.Node{trigger("t"), with(work("a"), func(n *engine.Node) { n.Do = engine.Work{} })},
			[]string{"t→a"},
			func(w *world) {
				w.crash()
				w.send(engine.Mail{ID: "1", Kind: engine.MailDecide, Data: json.RawMessage(`{"node":"a","as":"done","output":7}`)})
			},
			"run.queued run.started t:completed a:started run.resumed a:unknown a:decided a:completed run.completed",
		},
		{
			"work of unknown outcome is retried where that is allowed",
			[]engine.Node{trigger("t"), with(work("a"), func(n *engine.Node) {
				n.Do, n.OnUnknown = engine.Work{}, gathering.OnUnknownRetry
			})},
			[]string{"t→a"},
			func(w *world) { w.crash(); w.finish("a", nil) },
			"run.queued run.started t:completed a:started run.resumed a:completed run.completed",
		},
		{
			"work that says itself that its outcome is unknown asks too",
			[]engine.Node{trigger("t"), work("a")},
			[]string{"t→a"},
			func(w *world) {
				w.finish("a", unknown)
				w.send(engine.Mail{ID: "1", Kind: engine.MailDecide, Data: json.RawMessage(`{"node":"a","as":"retry"}`)})
				w.finish("a", nil)
			},
			"run.queued run.started t:completed a:started a:unknown a:decided a:retrying a:started a:completed run.completed",
		},
		{
			"a takeover of a run being cancelled starts nothing again",
			[]engine.Node{trigger("t"), work("a")},
			[]string{"t→a"},
			func(w *world) { w.send(engine.Mail{ID: "1", Kind: engine.MailCancel}); w.crash() },
			"run.queued run.started t:completed a:started run.cancelling run.resumed a:cancelled run.cancelled",
		},
		{
			"a result of a former attempt is too late",
			[]engine.Node{trigger("t"), retrying(work("a"))},
			[]string{"t→a"},
			func(w *world) {
				w.finish("a", unavailable)
				w.tickDue()
				w.send(engine.Finished{Node: "a", Attempt: 1})
				w.finish("a", nil)
			},
			"run.queued run.started t:completed a:started a:retrying a:started a:completed run.completed",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.nodes, test.edges...)
			w.send(engine.Begin{})
			test.play(w)
			w.wantHistory(test.want)
		})
	}
}

// tickDue lets time pass until the run moves by itself.
func (w *world) tickDue() {
	w.t.Helper()
	due := w.state.NextDue()
	if due.IsZero() {
		w.t.Fatal("nothing is due")
	}
	w.now = due
	w.send(engine.Tick{})
}

func (w *world) childEnds(state gathering.RunState) {
	w.t.Helper()
	w.childrenEnd(engine.ChildEndedMail{State: state})
}

// childrenEnd has all children end alike.
func (w *world) childrenEnd(end engine.ChildEndedMail) {
	w.t.Helper()
	for id, by := range w.children {
		end.Run, end.Node = id, by.Node
		kind, mail := engine.MailChildEnded, any(end)
		if w.detached[id] {
			kind, mail = engine.MailChildBegun, engine.ChildBegunMail{Run: id, Node: by.Node}
		}
		data, err := json.Marshal(mail)
		if err != nil {
			w.t.Fatal(err)
		}
		delete(w.children, id)
		w.send(engine.Mail{ID: "child", Kind: kind, Data: data})
	}
}

// crash loses the owner: the state is folded anew, from a snapshot if there is
// one, and taken over with the mail that has come.
func (w *world) crash(mail ...engine.Mail) {
	w.t.Helper()
	w.state = engine.NewState(w.graph, w.state.ID, w.state.Root, "default")
	if w.shot.Data != nil {
		w.restore(w.state, w.shot)
	}
	for _, e := range w.log[w.state.Seq:] {
		if err := w.state.Fold(e); err != nil {
			w.t.Fatal(err)
		}
	}
	clear(w.running)
	w.send(engine.Takeover{Instance: "ins_2", Crashed: true, Mail: mail})
}

func (w *world) restore(s *engine.State, shot engine.Snapshot) {
	w.t.Helper()
	err := engine.Restore(s, shot.Data, func(hash string) (json.RawMessage, error) { return shot.Values[hash], nil })
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestRunTimeout(t *testing.T) {
	t.Parallel()
	graph, err := engine.NewGraph([]engine.Node{trigger("t"), sleep("z", time.Hour)}, parseEdges([]string{"t→z"}))
	if err != nil {
		t.Fatal(err)
	}
	graph.Timeout = time.Minute
	w := newWorldOf(t, graph)
	w.send(engine.Begin{})
	w.tickDue()
	w.wantHistory("run.queued run.started t:completed z:started z:waiting run.cancelling z:cancelled run.timed_out")
	if got, want := w.now.Sub(begin), time.Minute; got != want {
		t.Errorf("got a run of %s, want %s", got, want)
	}
}

func TestStepsAreKeptForTheNextAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []engine.Node{trigger("t"), work("a")}, "t→a")
	w.send(engine.Begin{})
	w.send(engine.Stepped{Node: "a", Attempt: 1, Step: gathering.Step{
		Key: "turn/1", Kind: gathering.StepModel, Usage: &gathering.Usage{ModelCalls: 1, InputTokens: 7},
	}})
	w.crash()
	w.wantHistory("run.queued run.started t:completed a:started a:step.model run.resumed")
	if got, want := w.state.Usage.InputTokens, int64(7); got != want {
		t.Errorf("got %d tokens, want %d", got, want)
	}
}

// FuzzNext plays random graphs with random outcomes in random order and loses
// the owner now and then. Whatever happens: the run ends, every edge is
// decided, no node ends twice, nothing follows the end, and the fold of the
// log is the live state.
func FuzzNext(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		nodes, edges := randomGraph(r)
		graph, err := engine.NewGraph(nodes, edges)
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(4) == 0 {
			graph.Timeout = time.Duration(1+r.IntN(100)) * time.Second
		}
		w := newWorldOf(t, graph)
		w.send(engine.Begin{})
		w.playOn(r)
		// And again from where it went wrong, or from any node on.
		var from []string
		if w.state.Run == gathering.RunCompleted || r.IntN(2) == 0 {
			from = []string{nodes[r.IntN(len(nodes))].ID}
		}
		next, err := w.tryFork(`{"n":1}`, from...)
		if gathering.KindOf(err) == gathering.KindConflict {
			return // only its output went wrong, or something is open that was not named
		}
		if err != nil {
			t.Fatal(err)
		}
		next.playOn(r)
	})
}

// playOn makes random moves until the run ends.
func (w *world) playOn(r *rand.Rand) {
	w.t.Helper()
	for range 2000 {
		if w.state.Run.Terminal() {
			break
		}
		w.randomMove(r)
		if r.IntN(8) == 0 {
			w.checkFold()
		}
	}
	w.checkEnd()
}

func randomGraph(r *rand.Rand) ([]engine.Node, []gathering.Edge) {
	nodes := []engine.Node{trigger("n0")}
	var edges []gathering.Edge
	for i := 1; i < 2+r.IntN(12); i++ {
		id := fmt.Sprintf("n%d", i)
		n := randomNode(r, id)
		incoming := 1 + r.IntN(3)
		switch r.IntN(8) {
		case 0:
			n.Do = randomMap(r, n)
			n.Retry = gathering.Retry{}
		case 1:
			n = engine.Node{ID: id, Kind: "join", Do: engine.Join{Need: r.IntN(incoming + 1), CancelRest: r.IntN(2) == 0}}
		}
		n.OnError = []gathering.OnError{gathering.OnErrorFail, gathering.OnErrorContinue, gathering.OnErrorBranch}[r.IntN(3)]
		nodes = append(nodes, n)
		for range incoming {
			edges = append(edges, gathering.Edge{
				From: fmt.Sprintf("n%d", r.IntN(i)), To: id,
				Branch: []string{"", "", "true", "false", "error"}[r.IntN(5)],
			})
		}
	}
	return nodes, edges
}

func randomNode(r *rand.Rand, id string) engine.Node {
	var n engine.Node
	switch r.IntN(7) {
	case 0:
		n = pure(id, []string{"true", "false"}[r.IntN(2)])
	case 1:
		n = sleep(id, time.Duration(r.IntN(60))*time.Second)
	case 2:
		n = child(id, r.IntN(3) > 0)
	case 3:
		n = work(id)
		n.Do = engine.Work{}
		n.OnUnknown = []gathering.OnUnknown{gathering.OnUnknownAsk, gathering.OnUnknownRetry, gathering.OnUnknownFail}[r.IntN(3)]
	default:
		n = retrying(work(id))
	}
	if r.IntN(4) == 0 {
		n.Timeout = time.Duration(1+r.IntN(30)) * time.Second
	}
	if r.IntN(5) == 0 {
		n.TotalTimeout = time.Duration(1+r.IntN(60)) * time.Second
	}
	return n
}

func randomMap(r *rand.Rand, do engine.Node) engine.Map {
	do.OnError = []gathering.OnError{"", gathering.OnErrorFail, gathering.OnErrorContinue}[r.IntN(3)]
	return mapOver(do, r.IntN(5), 1+r.IntN(3), r.IntN(2) == 0)
}

func mapOver(do engine.Node, items, parallel int, skip bool) engine.Map {
	return engine.Map{
		Over: func(*expr.Scope) ([]json.RawMessage, error) {
			list := make([]json.RawMessage, items)
			for i := range list {
				list[i] = json.RawMessage(strconv.Itoa(i))
			}
			return list, nil
		},
		Do: do, MaxParallel: parallel, SkipFailed: skip,
	}
}

// randomMove does one of the things that can happen to a run.
func (w *world) randomMove(r *rand.Rand) {
	switch choice := r.IntN(20); {
	case choice == 0:
		w.crash()
	case choice == 1 && r.IntN(10) == 0:
		w.send(engine.Mail{ID: "cancel", Kind: engine.MailCancel})
	case choice < 5 && len(w.children) > 0:
		w.childrenEnd(engine.ChildEndedMail{
			State:        []gathering.RunState{gathering.RunCompleted, gathering.RunFailed, gathering.RunCancelled}[r.IntN(3)],
			MayHaveActed: r.IntN(4) == 0,
		})
	case choice < 8 && !w.state.NextDue().IsZero():
		if due := w.state.NextDue(); due.After(w.now) {
			w.now = due
		}
		w.send(engine.Tick{})
	case choice == 8 && r.IntN(3) == 0:
		w.send(engine.Mail{ID: "pause", Kind: []engine.MailKind{engine.MailPause, engine.MailResume, engine.MailResume}[r.IntN(3)]})
	case choice < 10:
		if path := w.unknown(); path != "" {
			as := []string{"done", "retry", "fail"}[r.IntN(3)]
			w.send(engine.Mail{ID: "d", Kind: engine.MailDecide, Data: json.RawMessage(`{"node":"` + path + `","as":"` + as + `"}`)})
		}
	default:
		for _, path := range slices.Sorted(maps.Keys(w.running)) {
			if r.IntN(2) == 0 {
				w.finish(path, []*gathering.Failure{nil, nil, nil, unavailable, invalid, cancelled, unknown, circuitOpen}[r.IntN(8)])
				return
			}
		}
	}
}

// unknown is the path of something whose outcome is unknown, or "".
func (w *world) unknown() string {
	for _, n := range w.state.Report().Nodes {
		if n.State == gathering.NodeUnknown {
			return n.ID
		}
		if n.Items == nil {
			continue
		}
		for _, item := range n.Items.Open {
			if item.State == gathering.NodeUnknown {
				return gathering.NodePath(n.ID, item.Index)
			}
		}
	}
	return ""
}

func (w *world) checkEnd() {
	w.t.Helper()
	w.checkFold()
	if !w.state.Run.Terminal() {
		w.t.Fatalf("the run did not end: %+v\n%s", w.state.Report(), w.history())
	}
	if n := w.state.Undecided(); n > 0 {
		w.t.Errorf("%d edges are undecided: %s", n, w.history())
	}
	ended := map[string]int{}
	for i, e := range w.log {
		if got, want := e.Seq, int64(i+1); got != want {
			w.t.Errorf("got sequence %d, want %d", got, want)
		}
		if e.Type.EndState() != "" && i != len(w.log)-1 {
			w.t.Errorf("%s is followed by more: %s", e.Type, w.history())
		}
		switch e.Type {
		case gathering.EventNodeCompleted, gathering.EventNodeFailed, gathering.EventNodeSkipped,
			gathering.EventNodeCancelled, gathering.EventNodeAbandoned:
			ended[eventPath(e)]++
		default:
		}
	}
	for node, n := range ended {
		if n != 1 {
			w.t.Errorf("%s ended %d times: %s", node, n, w.history())
		}
	}
}

package progress_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/progress"
)

var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) time.Time { return begun.Add(d) }

func event(node string, kind gathering.EventType, after time.Duration, data any) gathering.Event {
	e := gathering.Event{Type: kind, Node: node, At: at(after)}
	if node != "" {
		e.Attempt = 1
	}
	if data == nil {
		return e
	}
	var err error
	if e.Data, err = json.Marshal(data); err != nil {
		panic(err)
	}
	return e
}

func newTree(name string, nodes ...string) *progress.Tree {
	def := &gathering.Definition{Name: name}
	for _, id := range nodes {
		def.Nodes = append(def.Nodes, gathering.Node{ID: id, Kind: "tool"})
	}
	return progress.NewTree("run_"+gathering.RunID(name), 1, def)
}

func apply(t *testing.T, tree *progress.Tree, events ...gathering.Event) {
	t.Helper()
	for _, e := range events {
		if err := tree.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
}

// family is a run with a node in every state and a child run.
func family(t *testing.T) *progress.Tree {
	t.Helper()
	tree := newTree("parent", "start", "fetch", "ask", "grade", "skipped", "below", "last")
	later := at(20 * time.Second)
	apply(
		t, tree,
		event("", gathering.EventRunQueued, 0, nil), event("", gathering.EventRunStarted, 0, nil),
		event("start", gathering.EventNodeCompleted, 0, nil),
		event("fetch", gathering.EventNodeStarted, 0, nil),
		event("fetch", gathering.EventNodeRetrying, 1500*time.Millisecond, gathering.NodeRetryingData{
			Failure: &gathering.Failure{Kind: gathering.KindUnavailable, Message: "nobody answers"}, Due: later,
		}),
		event("ask", gathering.EventNodeStarted, 0, nil),
		event("ask", gathering.EventStepModel, time.Second, gathering.Step{Key: "turn/1", Name: "offline/extract"}),
		event("grade", gathering.EventNodeStarted, 0, nil),
		event("grade", gathering.EventNodeFailed, 80*time.Millisecond, gathering.NodeFailedData{
			State: gathering.NodeFailed, Failure: &gathering.Failure{Kind: gathering.KindInvalid, Message: "the text is\nempty"},
		}),
		event("skipped", gathering.EventNodeSkipped, time.Second, nil),
		event("below", gathering.EventNodeStarted, time.Second, nil),
		event("below", gathering.EventNodeWaiting, time.Second, gathering.NodeWaitingData{Child: "run_child"}),
	)
	child := newTree("child", "start", "größe日本")
	apply(
		t, child,
		event("", gathering.EventRunQueued, time.Second, nil), event("", gathering.EventRunStarted, time.Second, nil),
		event("start", gathering.EventNodeCompleted, time.Second, gathering.NodeCompletedData{Output: json.RawMessage(`"first\nthe last line\n"`)}),
		event("größe日本", gathering.EventNodeStarted, time.Second, nil),
	)
	tree.Node("below").Child = child
	return tree
}

func TestFrame(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		width, height int
		want          string
	}{
		{"wide", 90, 50, `
▸ parent  running 2.0s  run_parent
  ✓ start    completed 0ms
  ↻ fetch    retrying 2.0s, due in 18.0s  nobody answers
  ▸ ask      running 2.0s  offline/extract
  ✗ grade    failed 80ms  the text is empty
  – skipped  skipped
  ◷ below    waiting 1.0s
    ▸ child  running 1.0s  run_child
      ✓ start      completed 0ms  first …
      ▸ größe日本  running 1.0s
  · last     pending`},
		{"narrow", 24, 50, `
▸ parent  running 2.0s
  ✓ start    completed…
  ↻ fetch    retrying …
  ▸ ask      running 2…
  ✗ grade    failed 80…
  – skipped  skipped
  ◷ below    waiting 1…
    ▸ child  running 1…
      ✓ start      com…
      ▸ größe日本  run…
  · last     pending`},
		{"very narrow", 8, 50, `
▸ pare…
  ✓ st…
  ↻ fe…
  ▸ as…
  ✗ gr…
  – sk…
  ◷ be…
    ▸ …
      …
      …
  · la…`},
		{"low: who works stays", 90, 8, `
▸ parent  running 2.0s  run_parent
  ↻ fetch    retrying 2.0s, due in 18.0s  nobody answers
  ▸ ask      running 2.0s  offline/extract
  ◷ below    waiting 1.0s
    ▸ child  running 1.0s  run_child
      ▸ größe日本  running 1.0s
  … 5 more`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := progress.Style{}.Frame(family(t), at(2*time.Second), test.width, test.height)
			if diff := cmp.Diff(strings.Split(strings.TrimPrefix(test.want, "\n"), "\n"), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFoldedFrameLeavesOutChildrenThatCompleted(t *testing.T) {
	t.Parallel()
	tree := family(t)
	style := progress.Style{Folded: true}
	if got := strings.Join(style.Frame(tree, at(time.Second), 80, 50), "\n"); !strings.Contains(got, "▸ child") {
		t.Errorf("a child at work is left out:\n%s", got)
	}
	apply(t, tree.Node("below").Child, event("", gathering.EventRunCompleted, time.Second, nil))
	if got := strings.Join(style.Frame(tree, at(time.Second), 80, 50), "\n"); strings.Contains(got, "child") || !strings.Contains(got, "below") {
		t.Errorf("a child that completed is drawn:\n%s", got)
	}
}

func TestFrameInASCIIHasNoOtherMarks(t *testing.T) {
	t.Parallel()
	for _, line := range (progress.Style{ASCII: true}).Frame(newTree("a", "b", "c"), begun, 80, 20) {
		for _, r := range line {
			if r > 126 {
				t.Errorf("%q holds %q", line, r)
			}
		}
	}
}

func TestColorsTakeNoRoom(t *testing.T) {
	t.Parallel()
	for _, width := range []int{10, 24, 90} {
		plain := progress.Style{}.Frame(family(t), at(time.Second), width, 50)
		for i, line := range (progress.Style{Color: true}).Frame(family(t), at(time.Second), width, 50) {
			if got := strings.TrimRight(strip(line), " "); got != plain[i] {
				t.Errorf("width %d: got %q without colours, want %q", width, got, plain[i])
			}
		}
	}
}

func strip(line string) string {
	for {
		before, after, found := strings.Cut(line, "\x1b[")
		if !found {
			return line
		}
		_, after, _ = strings.Cut(after, "m")
		line = before + after
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	tree := newTree("job", "start", "work", "odd")
	var out strings.Builder
	lines := progress.Lines{Out: &out}
	retried := event("work", gathering.EventNodeStarted, 3*time.Second, nil)
	retried.Attempt = 2
	for _, e := range []gathering.Event{
		event("", gathering.EventRunQueued, 0, nil), event("", gathering.EventRunStarted, 0, nil),
		event("start", gathering.EventNodeCompleted, 0, nil),
		event("work", gathering.EventNodeStarted, time.Millisecond, nil),
		event("work", gathering.EventNodeRetrying, time.Second, gathering.NodeRetryingData{
			Failure: &gathering.Failure{Message: "try later"}, Due: at(3 * time.Second),
		}),
		event("", gathering.EventRunResumed, 2*time.Second, gathering.RunResumedData{Crashed: true}),
		retried,
		event("work", gathering.EventNodeCompleted, 4*time.Second, gathering.NodeCompletedData{Output: json.RawMessage(`{"a":"\u001b[31m"}`)}),
		event("odd", gathering.EventNodeUnknown, 4*time.Second, gathering.NodeFailedData{Failure: &gathering.Failure{Message: "the answer was lost"}}),
		event("", gathering.EventRunWaiting, 4*time.Second, gathering.RunWaitingData{Nodes: []string{"odd"}}),
		event("", gathering.EventRunFailed, 65*time.Second, gathering.RunEndedData{Failure: &gathering.Failure{Message: "node odd: no"}}),
	} {
		apply(t, tree, e)
		lines.Event(tree, "", e)
	}
	lines.Event(tree, "outer", event("start", gathering.EventNodeCompleted, time.Hour, nil))
	lines.Finish()
	want := `     0ms  job  run_job begins, version 1
     0ms  start  completed
     1ms  work  started
    1.0s  work  failed, is tried again in 2.0s: try later
    2.0s  job  goes on where it broke off
    3.0s  work  attempt 2
    4.0s  work  completed: {"a":"\u001b[31m"}
    4.0s  odd  may have acted and nobody can tell: the answer was lost
    4.0s  job  waits for a human
   1m05s  job  failed: node odd: no
   1h00m  outer/start  completed
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUndecided(t *testing.T) {
	t.Parallel()
	lost := gathering.NodeFailedData{Failure: &gathering.Failure{Message: "lost"}}
	waiting := event("", gathering.EventRunWaiting, 0, nil)
	child := newTree("child", "call")
	apply(t, child, event("call", gathering.EventNodeUnknown, 0, lost), waiting)
	tests := []struct {
		name   string
		events []gathering.Event
		child  *progress.Tree
		want   []string
	}{
		{"one node", []gathering.Event{event("a", gathering.EventNodeUnknown, 0, lost), waiting}, nil, []string{"a"}},
		{"not parked yet", []gathering.Event{event("a", gathering.EventNodeUnknown, 0, lost)}, nil, nil},
		{"another works", []gathering.Event{event("a", gathering.EventNodeUnknown, 0, lost), event("b", gathering.EventNodeStarted, 0, nil), waiting}, nil, nil},
		{"a delay is due", []gathering.Event{
			event("a", gathering.EventNodeUnknown, 0, lost), event("b", gathering.EventNodeStarted, 0, nil),
			event("b", gathering.EventNodeWaiting, 0, gathering.NodeWaitingData{Until: &begun}), waiting,
		}, nil, nil},
		{"below", []gathering.Event{
			event("b", gathering.EventNodeStarted, 0, nil),
			event("b", gathering.EventNodeWaiting, 0, gathering.NodeWaitingData{Child: "run_child"}), waiting,
		}, child, []string{"b/call"}},
		{"below, not known yet", []gathering.Event{
			event("b", gathering.EventNodeStarted, 0, nil),
			event("b", gathering.EventNodeWaiting, 0, gathering.NodeWaitingData{Child: "run_child"}), waiting,
		}, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tree := newTree("parent", "a", "b")
			apply(t, tree, test.events...)
			tree.Node("b").Child = test.child
			if diff := cmp.Diff(test.want, tree.Undecided()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0ms", 80 * time.Millisecond: "80ms", 1999 * time.Millisecond: "1.9s", 65 * time.Second: "1m05s",
		2*time.Hour + 10*time.Minute: "2h10m", 76 * time.Hour: "3d4h",
	} {
		if got := progress.Span(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	if got, want := progress.Printable("a\x1b[2Jb\n\tc\u202ed\x9b"), "a\uFFFD[2Jb\n\tc\uFFFDd\uFFFD"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

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

// itemEvent is an event of an item of the map each.
func itemEvent(item int, kind gathering.EventType, after time.Duration, data any) gathering.Event {
	e := event("each", kind, after, data)
	e.Item = &item
	return e
}

// spread is a run with a map over four items, of which three have begun.
func spread() (*progress.Tree, []gathering.Event) {
	tree := progress.NewTree("run_many", 1, &gathering.Definition{Name: "many", Nodes: []gathering.Node{{ID: "each", Kind: "map"}, {ID: "last", Kind: "join"}}})
	lost := gathering.NodeFailedData{Failure: &gathering.Failure{Message: "lost"}}
	return tree, []gathering.Event{
		event("", gathering.EventRunQueued, 0, nil), event("", gathering.EventRunStarted, 0, nil),
		event("each", gathering.EventNodeStarted, 0, gathering.NodeStartedData{Input: json.RawMessage(`["a","b","c","d"]`)}),
		itemEvent(0, gathering.EventNodeStarted, 0, nil),
		itemEvent(1, gathering.EventNodeStarted, 0, nil),
		itemEvent(0, gathering.EventNodeCompleted, time.Second, gathering.NodeCompletedData{Output: json.RawMessage(`"A"`)}),
		itemEvent(2, gathering.EventNodeStarted, time.Second, nil),
		itemEvent(1, gathering.EventNodeFailed, 2*time.Second, gathering.NodeFailedData{
			State: gathering.NodeFailed, Failure: &gathering.Failure{Kind: gathering.KindInvalid, Message: "no"},
		}),
		itemEvent(2, gathering.EventNodeUnknown, 2*time.Second, lost),
	}
}

func TestItemsFrame(t *testing.T) {
	t.Parallel()
	tree, events := spread()
	apply(t, tree, events...)
	ended := event("each", gathering.EventNodeCompleted, 4*time.Second, gathering.NodeCompletedData{Output: json.RawMessage(`["A",null]`)})
	want := `
▸ many  running 3.0s  run_many
  ▸ each  running 3.0s, 2/4 items, 1 undecided, 1 failed
    ✗ each[1]  failed 2.0s  no
    ? each[2]  unknown 2.0s  lost
  · last  pending`
	if diff := cmp.Diff(want, frame(tree)); diff != "" {
		t.Errorf("under way (-want +got):\n%s", diff)
	}
	apply(
		t, tree,
		itemEvent(2, gathering.EventNodeCompleted, 3*time.Second, nil),
		itemEvent(3, gathering.EventNodeStarted, 3*time.Second, nil), itemEvent(3, gathering.EventNodeCompleted, 3*time.Second, nil), ended,
	)
	want = `
▸ many  running 3.0s  run_many
  ✓ each  completed 4.0s, 4 items, 1 failed  ["A",null]
    ✗ each[1]  failed 2.0s  no
  · last  pending`
	if diff := cmp.Diff(want, frame(tree)); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

// TestManyItemsFrame holds that a map with many failures shows the first of them.
func TestManyItemsFrame(t *testing.T) {
	t.Parallel()
	tree, events := spread()
	apply(t, tree, events[:2]...)
	apply(t, tree, event("each", gathering.EventNodeStarted, 0, gathering.NodeStartedData{
		Input: json.RawMessage("[1" + strings.Repeat(",1", 499) + "]"),
	}))
	for i := range 300 {
		apply(t, tree, itemEvent(i, gathering.EventNodeFailed, 0, gathering.NodeFailedData{State: gathering.NodeTimedOut}))
	}
	got := frame(tree)
	if lines := strings.Count(got, "\n"); lines != 24 || !strings.Contains(got, "300/500 items, 300 failed") || !strings.Contains(got, "… 280 more") {
		t.Errorf("got %d lines, want the run, two nodes, 20 items and how many more:\n%s", lines, got)
	}
}

func frame(tree *progress.Tree) string {
	return "\n" + strings.Join(progress.Style{}.Frame(tree, at(3*time.Second), 100, 1000), "\n")
}

func TestItemsLines(t *testing.T) {
	t.Parallel()
	tree, events := spread()
	var out strings.Builder
	lines := progress.Lines{Out: &out}
	for _, e := range events {
		apply(t, tree, e)
		lines.Event(tree, "", e)
	}
	lines.Finish()
	want := `
     0ms  many  run_many begins, version 1
     0ms  each  started, 4 items
     0ms  each[0]  started
     0ms  each[1]  started
    1.0s  each[0]  completed: A
    1.0s  each[2]  started
    2.0s  each[1]  failed: no
    2.0s  each[2]  may have acted and nobody can tell: lost
`
	if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUndecidedItems(t *testing.T) {
	t.Parallel()
	waiting := event("", gathering.EventRunWaiting, 3*time.Second, nil)
	tests := []struct {
		name   string
		events []gathering.Event
		want   []string
	}{
		{"one item", nil, []string{"each[2]"}},
		{"another is tried again", []gathering.Event{
			itemEvent(3, gathering.EventNodeStarted, 0, nil), itemEvent(3, gathering.EventNodeRetrying, 0, gathering.NodeRetryingData{}),
		}, nil},
		{"it was decided", []gathering.Event{itemEvent(2, gathering.EventNodeCompleted, 0, nil)}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tree, events := spread()
			apply(t, tree, events...)
			apply(t, tree, test.events...)
			apply(t, tree, waiting)
			if diff := cmp.Diff(test.want, tree.Undecided()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

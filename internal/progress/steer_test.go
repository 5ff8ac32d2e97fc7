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

// mixed is the tree of a run with nodes of several kinds.
func mixed() *progress.Tree {
	return progress.NewTree("run_new", 2, &gathering.Definition{Name: "job", Nodes: []gathering.Node{
		{ID: "start", Kind: "trigger"}, {ID: "call", Kind: "tool"}, {ID: "each", Kind: "map"}, {ID: "first", Kind: "join"},
	}})
}

var (
	started = []gathering.Event{event("", gathering.EventRunQueued, 0, nil), event("", gathering.EventRunStarted, 0, nil)}
	lost    = gathering.NodeFailedData{State: gathering.NodeUnknown, Failure: &gathering.Failure{Message: "the answer was lost"}}
	refused = &gathering.Failure{
		Code: gathering.CodeCircuitOpen, Message: "the circuit of host a.example:443 is open after 5 failures; it lets a call through in 30s",
	}
)

// TestSteeredRuns holds what a run that somebody steers looks like, as lines
// and, a second after its last event, as a frame.
func TestSteeredRuns(t *testing.T) {
	t.Parallel()
	call := event("call", gathering.EventNodeStarted, 0, nil)
	tests := []struct {
		name   string
		events []gathering.Event
		lines  string
		frame  string
		after  time.Duration
	}{
		{"paused", append(started[:2:2], call, event("", gathering.EventRunPaused, time.Second, gathering.RunPausedData{By: "ann"}),
			event("call", gathering.EventNodeCompleted, 2*time.Second, nil),
			event("", gathering.EventRunWaiting, 2*time.Second, gathering.RunWaitingData{})), `
     0ms  job  run_new begins, version 2
     0ms  call  started
    1.0s  job  paused by ann
    2.0s  call  completed`, `
◷ job  paused 3.0s  run_new  paused by ann
  · start  pending
  ✓ call   completed 2.0s
  · each   pending
  · first  pending`, 3 * time.Second},
		{"resumed", append(started[:2:2], event("", gathering.EventRunPaused, time.Second, gathering.RunPausedData{By: "ann"}),
			event("", gathering.EventRunResumed, 2*time.Second, gathering.RunResumedData{Instance: "ins_1"}),
			event("", gathering.EventRunResumed, 3*time.Second, gathering.RunResumedData{Unpaused: true, By: "bob"}),
			event("", gathering.EventRunResumed, 4*time.Second, gathering.RunResumedData{Crashed: true})), `
     0ms  job  run_new begins, version 2
    1.0s  job  paused by ann
    3.0s  job  resumed by bob
    4.0s  job  goes on where it broke off`, `
▸ job  running 5.0s  run_new  goes on where it broke off
  · start  pending
  · call   pending
  · each   pending
  · first  pending`, 5 * time.Second},
		{"decided as done", append(started[:2:2], call, event("call", gathering.EventNodeUnknown, time.Second, lost),
			event("call", gathering.EventNodeDecided, 2*time.Second, gathering.NodeDecidedData{As: "done", By: "ann"}),
			event("call", gathering.EventNodeCompleted, 2*time.Second, gathering.NodeCompletedData{Output: json.RawMessage(`7`)})), `
     0ms  job  run_new begins, version 2
     0ms  call  started
    1.0s  call  may have acted and nobody can tell: the answer was lost
    2.0s  call  decided as done by ann
    2.0s  call  completed: 7`, `
▸ job  running 3.0s  run_new
  · start  pending
  ✓ call   completed 2.0s  decided as done by ann: 7
  · each   pending
  · first  pending`, 3 * time.Second},
		{"decided as retry", append(started[:2:2], call, event("call", gathering.EventNodeUnknown, time.Second, lost),
			event("call", gathering.EventNodeDecided, 2*time.Second, gathering.NodeDecidedData{As: "retry"}),
			event("call", gathering.EventNodeRetrying, 2*time.Second, gathering.NodeRetryingData{Failure: lost.Failure, Due: at(2 * time.Second)})), `
     0ms  job  run_new begins, version 2
     0ms  call  started
    1.0s  call  may have acted and nobody can tell: the answer was lost
    2.0s  call  decided as retry
    2.0s  call  is tried again: the answer was lost`, `
▸ job  running 3.0s  run_new
  · start  pending
  ↻ call   retrying 3.0s  decided as retry: the answer was lost
  · each   pending
  · first  pending`, 3 * time.Second},
		{"an open circuit", append(started[:2:2], call, event("call", gathering.EventNodeRetrying, 0, gathering.NodeRetryingData{
			Failure: refused, Due: at(30 * time.Second), Uncounted: true,
		})), `
     0ms  job  run_new begins, version 2
     0ms  call  started
     0ms  call  waits for 30.0s: the circuit of host a.example:443 is open after 5 failures; it lets a call through in 30s`, `
▸ job  running 1.0s  run_new
  · start  pending
  ↻ call   retrying 1.0s, due in 29.0s  the circuit of host a.example:443 is open after 5 failures; it lets a call thr…
  · each   pending
  · first  pending`, time.Second},
		{"interrupted while paused", append(started[:2:2], call, event("call", gathering.EventNodeRetrying, 0, gathering.NodeRetryingData{
			Failure: &gathering.Failure{Message: "interrupted"}, Due: begun, Uncounted: true,
		})), `
     0ms  job  run_new begins, version 2
     0ms  call  started
     0ms  call  begins again: interrupted`, `
▸ job  running 1.0s  run_new
  · start  pending
  ↻ call   retrying 1.0s  interrupted
  · each   pending
  · first  pending`, time.Second},
		{"a join stops the rest", append(started[:2:2], call,
			event("first", gathering.EventNodeCompleted, time.Second, gathering.NodeCompletedData{Output: json.RawMessage(`[{"node":"start","output":{"a":1}}]`)}),
			event("call", gathering.EventNodeStopping, time.Second, gathering.NodeStoppingData{}),
			event("each", gathering.EventNodeSkipped, time.Second, gathering.NodeSkippedData{Reason: "not needed"})), `
     0ms  job  run_new begins, version 2
     0ms  call  started
    1.0s  first  completed: after start
    1.0s  call  is being stopped: a join does not need it
    1.0s  each  skipped: a join does not need it`, `
▸ job  running 2.0s  run_new
  · start  pending
  ▸ call   stopping 2.0s  a join does not need it
  – each   skipped  a join does not need it
  ✓ first  completed 0ms  after start`, 2 * time.Second},
		{"being stopped", append(started[:2:2], call,
			event("", gathering.EventRunCancelling, time.Second, gathering.RunCancellingData{Reason: "cancelled", By: "ann"}),
			event("", gathering.EventRunResumed, time.Second, gathering.RunResumedData{Instance: "ins_2"})), `
     0ms  job  run_new begins, version 2
     0ms  call  started
    1.0s  job  is being stopped by ann`, `
■ job  cancelling 2.0s  run_new  is being stopped by ann
  · start  pending
  ▸ call   running 2.0s
  · each   pending
  · first  pending`, 2 * time.Second},
		{"its error branch", append(started[:2:2], call,
			event("call", gathering.EventNodeFailed, 0, gathering.NodeFailedData{
				State: gathering.NodeFailed, Failure: &gathering.Failure{Message: "no repository"}, OnError: gathering.OnErrorBranch,
			})), `
     0ms  job  run_new begins, version 2
     0ms  call  started
     0ms  call  failed, its error branch is taken: no repository`, `
▸ job  running 0ms  run_new
  · start  pending
  ! call   failed 0ms, its error branch is taken  no repository
  · each   pending
  · first  pending`, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tree := mixed()
			var out strings.Builder
			lines := progress.Lines{Out: &out}
			for _, e := range test.events {
				apply(t, tree, e)
				lines.Event(tree, "", e)
			}
			lines.Finish()
			if diff := cmp.Diff(test.lines, "\n"+strings.TrimRight(out.String(), "\n")); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			got := "\n" + strings.Join(progress.Style{}.Frame(tree, at(test.after), 120, 100), "\n")
			if diff := cmp.Diff(test.frame, got); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

// TestKept holds that what a redriven run keeps is told from what it does.
func TestKept(t *testing.T) {
	t.Parallel()
	kept, done := itemEvent(0, gathering.EventNodeCompleted, 0, gathering.NodeCompletedData{Output: json.RawMessage(`1`)}),
		itemEvent(1, gathering.EventNodeCompleted, time.Second, nil)
	events := []gathering.Event{
		event("", gathering.EventRunQueued, 0, gathering.RunQueuedData{
			Origin: &gathering.Origin{Run: "run_old", From: []string{"each"}, Kept: []string{"start", "call"}},
		}),
		event("start", gathering.EventNodeCompleted, 0, nil),
		event("call", gathering.EventNodeFailed, 0, gathering.NodeFailedData{
			State: gathering.NodeFailed, Failure: &gathering.Failure{Message: "no"}, OnError: gathering.OnErrorContinue,
		}),
		event("each", gathering.EventNodeStarted, 0, gathering.NodeStartedData{Input: json.RawMessage(`[1,2]`)}),
		kept,
		event("", gathering.EventRunStarted, 0, nil),
		itemEvent(1, gathering.EventNodeStarted, 0, nil),
		done,
		event("each", gathering.EventNodeCompleted, time.Second, gathering.NodeCompletedData{Output: json.RawMessage(`[1,null]`)}),
	}
	tree := mixed()
	var out strings.Builder
	lines := progress.Lines{Out: &out}
	for _, e := range events {
		apply(t, tree, e)
		lines.Event(tree, "", e)
	}
	lines.Finish()
	want := `
     0ms  job  run_new begins, version 2, does each of run_old again and keeps 2 of its nodes
     0ms  start  kept
     0ms  call  kept, failed, passed over: no
     0ms  each  started, 2 items
     0ms  each[0]  kept: 1
     0ms  each[1]  started
    1.0s  each[1]  completed
    1.0s  each  completed, 2 items, 1 kept: [1,null]
`
	if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	want = `
▸ job  running 3.0s  run_new, does each of run_old again and keeps 2 of its nodes
  ✓ start  kept
  ! call   kept, failed  no
  ✓ each   completed 1.0s, 2 items, 1 kept  [1,null]
  · first  pending`
	if diff := cmp.Diff(want, frame(tree)); diff != "" {
		t.Errorf("frame (-want +got):\n%s", diff)
	}
}

// TestManySkipped holds that a branch that is not taken takes up one line.
func TestManySkipped(t *testing.T) {
	t.Parallel()
	tree := newTree("job", "start", "a", "b", "c", "last", "d")
	unused := gathering.NodeSkippedData{Reason: "no edge taken"}
	var out strings.Builder
	lines := progress.Lines{Out: &out}
	for _, e := range append(
		started[:2:2], event("start", gathering.EventNodeCompleted, 0, nil),
		event("a", gathering.EventNodeSkipped, 0, unused), event("b", gathering.EventNodeSkipped, 0, unused),
		event("last", gathering.EventNodeStarted, 0, nil), event("c", gathering.EventNodeSkipped, 0, unused),
		event("d", gathering.EventNodeSkipped, time.Second, unused),
	) {
		apply(t, tree, e)
		lines.Event(tree, "above", e)
	}
	lines.Finish()
	want := `
     0ms  above  run_job begins, version 1
     0ms  above/start  completed
     0ms  above  3 nodes skipped, another branch was taken: a, b, c
     0ms  above/last  started
    1.0s  above/d  skipped: another branch was taken
`
	if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	want = `
▸ job  running 2.0s  run_job
  ✓ start  completed 0ms
  – 3 nodes  skipped  another branch was taken: a, b, c
  ▸ last   running 2.0s
  – d      skipped  another branch was taken`
	got := "\n" + strings.Join(progress.Style{Folded: true}.Frame(tree, at(2*time.Second), 100, 100), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frame (-want +got):\n%s", diff)
	}
}

// TestLinesOfTwoRuns holds that the events of a child that arrive late are told
// where they belong, as long as they are not later than two flushes.
func TestLinesOfTwoRuns(t *testing.T) {
	t.Parallel()
	parent, child := newTree("parent", "below"), newTree("child", "work")
	var out strings.Builder
	lines := progress.Lines{Out: &out}
	tell := func(tree *progress.Tree, above string, events ...gathering.Event) {
		for _, e := range events {
			apply(t, tree, e)
			lines.Event(tree, above, e)
		}
	}
	tell(parent, "", event("", gathering.EventRunQueued, 0, nil), event("below", gathering.EventNodeStarted, 0, nil),
		event("below", gathering.EventNodeCompleted, 3*time.Second, nil), event("", gathering.EventRunCompleted, 3*time.Second, nil))
	lines.Flush()
	tell(child, "below", event("work", gathering.EventNodeStarted, time.Second, nil), event("work", gathering.EventNodeCompleted, 2*time.Second, nil))
	lines.Flush()
	lines.Flush()
	want := `
     0ms  parent  run_parent begins, version 1
     0ms  below  started
    1.0s  below/work  started
    2.0s  below/work  completed
    3.0s  below  completed
    3.0s  parent  completed
`
	if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUndecidedWhilePaused(t *testing.T) {
	t.Parallel()
	tree := newTree("job", "call")
	apply(t, tree, append(started[:2:2], event("call", gathering.EventNodeStarted, 0, nil), event("call", gathering.EventNodeUnknown, 0, lost),
		event("", gathering.EventRunPaused, 0, gathering.RunPausedData{}), event("", gathering.EventRunWaiting, 0, nil))...)
	if got := tree.Undecided(); got != nil {
		t.Errorf("got %v, want nobody asked while the run is paused", got)
	}
	apply(t, tree, event("", gathering.EventRunResumed, 0, gathering.RunResumedData{Unpaused: true}), event("", gathering.EventRunWaiting, 0, nil))
	if diff := cmp.Diff([]string{"call"}, tree.Undecided()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

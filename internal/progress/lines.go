package progress

import (
	"fmt"
	"io"
	"strings"
	"time"

	"gathering"
)

// Lines writes one line for each event that matters. Its times are those since
// the run began.
type Lines struct {
	Out io.Writer
	// Begun is when the run that all this is about began.
	Begun time.Time
}

// Event writes about an event of the run of t, which was applied to t. Above
// names the nodes that led to the run, "" for the run itself.
func (l *Lines) Event(t *Tree, above string, e gathering.Event) {
	if l.Begun.IsZero() {
		l.Begun = e.At
	}
	text, place := "", above
	if e.Node == "" {
		text = runLine(t, e)
	} else if n := t.Of(e); n != nil {
		text = nodeLine(n, e)
		place = strings.TrimPrefix(above+"/"+n.ID, "/")
	}
	if text == "" {
		return
	}
	if place == "" {
		place = t.Pipeline
	}
	fmt.Fprintf(l.Out, "%8s  %s  %s\n", Span(e.At.Sub(l.Begun)), place, text)
}

func runLine(t *Tree, e gathering.Event) string {
	switch e.Type {
	case gathering.EventRunQueued:
		return fmt.Sprintf("%s begins, version %d", t.Run, t.Version)
	case gathering.EventRunWaiting:
		if t.Undecided() != nil {
			return "waits for a human"
		}
		return "" // its nodes say for what
	case gathering.EventRunResumed:
		if t.Crashed {
			return "goes on after its process died"
		}
		return ""
	case gathering.EventRunCancelling:
		return "is being stopped"
	case gathering.EventRunStarted:
		return ""
	default:
		line := string(t.State)
		if t.Failure != nil {
			line += ": " + failure(t.Failure)
		}
		return line
	}
}

// until says how long something waits, as seen from now.
func until(now, due time.Time) string {
	if due.IsZero() {
		return ""
	}
	return " for " + Span(due.Sub(now))
}

func nodeLine(n *Node, e gathering.Event) string {
	var line string
	switch e.Type {
	case gathering.EventNodeStarted:
		if n.Attempt > 1 {
			return fmt.Sprintf("attempt %d", n.Attempt)
		}
		if n.Items != nil {
			return "started, " + items(len(n.Items))
		}
		return "started"
	case gathering.EventNodeRetrying:
		line = "failed, is tried again in " + Span(n.Due.Sub(e.At))
	case gathering.EventNodeWaiting:
		if n.ChildRun != "" {
			return "waits for " + string(n.ChildRun)
		}
		return "waits" + until(e.At, n.Due)
	case gathering.EventNodeUnknown:
		line = "may have acted and nobody can tell"
	case gathering.EventNodeCompleted, gathering.EventNodeFailed, gathering.EventNodeAbandoned,
		gathering.EventNodeCancelled, gathering.EventNodeSkipped:
		line = string(n.State)
	case gathering.EventStepModel, gathering.EventStepTool:
		return n.Note
	default:
		return ""
	}
	if n.Note != "" {
		line += ": " + fit(n.Note, 120)
	}
	return line
}

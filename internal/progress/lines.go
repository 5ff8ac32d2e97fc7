package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gathering"
)

// Lines writes one line for each event that matters. Its times are those since
// the run began. The events of a run and of the runs below it arrive side by
// side; so that they are told in the order in which they happened, lines are
// held back for a moment. Finish it.
type Lines struct {
	Out io.Writer
	// Begun is when the run that all this is about began.
	Begun time.Time

	held []entry
	mark time.Time // of the youngest line that was held at the last flush
}

// entry is one line that is held back.
type entry struct {
	at          time.Time
	above       string // the nodes that led to the run
	place, text string
	skipped     []string // the nodes that were skipped; nil is a line about something else
}

// Event takes in an event of the run of t, which was applied to t. Above names
// the nodes that led to the run, "" for the run itself.
func (l *Lines) Event(t *Tree, above string, e gathering.Event) {
	if l.Begun.IsZero() {
		l.Begun = e.At
	}
	out := entry{at: e.At, above: above, place: above}
	if out.place == "" {
		out.place = t.Pipeline
	}
	n := t.Of(e)
	switch {
	case e.Node == "":
		out.text = runLine(t, e)
		if above != "" && e.Type.EndState() != "" {
			out.text = "its run " + out.text
		}
	case n == nil:
	case e.Type == gathering.EventNodeSkipped:
		out.text, out.skipped = n.text(), []string{n.ID}
		if l.skippedToo(out) {
			return
		}
	default:
		out.place, out.text = strings.TrimPrefix(above+"/"+n.ID, "/"), nodeLine(n, e)
	}
	if out.text != "" || out.skipped != nil {
		l.held = append(l.held, out)
	}
}

// skippedToo adds a skipped node to a line about others that were skipped at
// the same moment for the same reason, if there is one.
func (l *Lines) skippedToo(e entry) bool {
	for i := range l.held {
		if h := &l.held[i]; h.skipped != nil && h.at.Equal(e.at) && h.above == e.above && h.text == e.text {
			h.skipped = append(h.skipped, e.skipped...)
			return true
		}
	}
	return false
}

// Flush writes the lines that were held already when it was called last. Call
// it now and then, at intervals in which events that happened have arrived.
func (l *Lines) Flush() {
	l.sort()
	n := 0
	for n < len(l.held) && !l.held[n].at.After(l.mark) {
		l.write(l.held[n])
		n++
	}
	l.held = slices.Delete(l.held, 0, n)
	if len(l.held) > 0 {
		l.mark = l.held[len(l.held)-1].at
	}
}

// Finish writes all that is held.
func (l *Lines) Finish() {
	l.sort()
	for _, e := range l.held {
		l.write(e)
	}
	l.held = nil
}

func (l *Lines) sort() {
	slices.SortStableFunc(l.held, func(a, b entry) int { return a.at.Compare(b.at) })
}

func (l *Lines) write(e entry) {
	text := e.text
	switch {
	case len(e.skipped) == 1:
		e.place = strings.TrimPrefix(e.above+"/"+e.skipped[0], "/")
		text = strings.TrimSuffix("skipped: "+text, ": ")
	case e.skipped != nil:
		text = fmt.Sprintf("%d nodes skipped: %s", len(e.skipped), fit(strings.Join(e.skipped, ", "), maxText))
		if e.text != "" {
			text = fmt.Sprintf("%d nodes skipped, %s: %s", len(e.skipped), e.text, fit(strings.Join(e.skipped, ", "), maxText))
		}
	}
	fmt.Fprintf(l.Out, "%8s  %s  %s\n", Span(e.at.Sub(l.Begun)), e.place, text)
}

// maxText is how many columns of a line a value takes up at most.
const maxText = 120

func runLine(t *Tree, e gathering.Event) string {
	switch e.Type {
	case gathering.EventRunQueued:
		return fmt.Sprintf("%s begins, version %d%s", t.Run, t.Version, t.origin())
	case gathering.EventRunWaiting:
		if t.Undecided() != nil {
			return "waits for a human"
		}
		return "" // its nodes say for what
	case gathering.EventRunPaused, gathering.EventRunCancelling:
		return t.Note
	case gathering.EventRunResumed:
		var d gathering.RunResumedData
		if decode(e, &d) != nil || !d.Crashed && !d.Unpaused {
			return "" // a new owner alone is no news
		}
		return t.Note
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

// origin says which run a run repeats, and how much of it is kept.
func (t *Tree) origin() string {
	if t.Origin == nil {
		return ""
	}
	text := ", does " + fit(strings.Join(t.Origin.From, ", "), 60) + " of " + string(t.Origin.Run) + " again"
	if kept := len(t.Origin.Kept); kept > 0 {
		text += fmt.Sprintf(" and keeps %d of its nodes", kept)
	}
	return OneLine(text)
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
		switch {
		case n.Attempt > 1:
			return fmt.Sprintf("attempt %d", n.Attempt)
		case n.Items != nil:
			return "started, " + items(len(n.Items))
		}
		return "started"
	case gathering.EventNodeRetrying:
		line = n.tried(e.At)
	case gathering.EventNodeWaiting:
		if n.ChildRun != "" {
			return "waits for " + string(n.ChildRun)
		}
		return "waits" + until(e.At, n.Due)
	case gathering.EventNodeUnknown:
		line = "may have acted and nobody can tell"
	case gathering.EventNodeStopping:
		line = "is being stopped"
	case gathering.EventNodeDecided:
		return n.Decided
	case gathering.EventNodeCompleted, gathering.EventNodeFailed, gathering.EventNodeAbandoned, gathering.EventNodeCancelled:
		line = n.ended()
	case gathering.EventStepModel, gathering.EventStepTool:
		return n.Note
	default:
		return ""
	}
	if n.Note != "" {
		line += ": " + fit(n.Note, maxText)
	}
	return line
}

// ended says how a node ended.
func (n *Node) ended() string {
	text := string(n.State)
	switch {
	case n.Kept && n.State == gathering.NodeCompleted:
		text = "kept"
	case n.Kept:
		text = "kept, " + text
	}
	return text + n.itemsOf() + n.handled()
}

// tried says when and why a node is tried again, as seen from now.
func (n *Node) tried(now time.Time) string {
	wait := ""
	if n.Due.After(now) {
		wait = Span(n.Due.Sub(now))
	}
	switch {
	case n.Uncounted && wait != "":
		return "waits for " + wait // for an open circuit, as its note says
	case n.Uncounted:
		return "begins again"
	case n.Decided != "" || wait == "":
		return "is tried again"
	default:
		return "failed, is tried again in " + wait
	}
}

package progress

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gathering"
)

// Style says how a frame is drawn.
type Style struct {
	Color bool
	ASCII bool // no character beyond ASCII as a mark
	// Folded: of a child run that completed only the node that waited for it
	// is drawn.
	Folded bool
}

// Frame is the tree as it looks at a moment: lines of at most width-1 columns,
// at most height-1 of them. Where there are more, nodes that have ended or not
// begun give way to those that are at work.
func (s Style) Frame(t *Tree, now time.Time, width, height int) []string {
	lines := s.lines(t, now, "")
	if room := max(height-1, 2); len(lines) > room {
		lines = shorten(lines, room)
	}
	frame := make([]string, len(lines))
	for i, line := range lines {
		frame[i] = s.draw(line, max(width-1, 1))
	}
	return frame
}

// line is one line of a frame before it is cut to the width of the terminal.
type line struct {
	indent, mark, color string
	name                string
	column              int // how wide the names beside it are
	status, note        string
	busy                bool
}

func (s Style) lines(t *Tree, now time.Time, indent string) []line {
	mark, color := s.runMark(t.State)
	head := line{indent: indent, mark: mark, color: color, name: t.Pipeline, status: string(t.State), busy: true}
	if !t.Begun.IsZero() {
		head.status += " " + Span(end(t.Ended, now).Sub(t.Begun))
	}
	head.note = string(t.Run) + t.origin()
	if t.Note != "" {
		head.note += "  " + t.Note
	}
	if t.Failure != nil {
		head.note += "  " + failure(t.Failure)
	}
	lines := []line{head}
	column := 0
	for _, n := range t.Nodes {
		column = max(column, min(cells(n.ID), maxName))
	}
	for i := 0; i < len(t.Nodes); i++ {
		if passed := s.passed(t.Nodes[i:]); passed > 0 {
			lines = append(lines, s.fold(t.Nodes[i:i+passed], indent+"  ", column))
			i += passed - 1
			continue
		}
		lines = append(lines, s.branch(t.Nodes[i], now, indent+"  ", column)...)
	}
	return lines
}

// fewSkipped is how many skipped nodes in a row are told one by one.
const fewSkipped = 2

// passed is how many nodes at the beginning of a list were skipped for one
// reason, and so are drawn as one line; 0 is that they are not.
func (s Style) passed(nodes []*Node) int {
	n := 0
	for s.Folded && n < len(nodes) && nodes[n].State == gathering.NodeSkipped && nodes[n].Note == nodes[0].Note {
		n++
	}
	if n <= fewSkipped {
		return 0
	}
	return n
}

// fold is one line for nodes that were skipped for one reason.
func (s Style) fold(nodes []*Node, indent string, column int) line {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.ID
	}
	mark, color := s.nodeMark(nodes[0])
	return line{
		indent: indent, mark: mark, color: color, name: fmt.Sprintf("%d nodes", len(nodes)), column: column,
		status: string(gathering.NodeSkipped), note: OneLine(nodes[0].Note + ": " + strings.Join(names, ", ")),
	}
}

// branch draws a node or an item, and what is below it.
func (s Style) branch(n *Node, now time.Time, indent string, column int) []line {
	lines := append([]line{s.node(n, now, indent, column)}, s.items(n, now, indent+"  ")...)
	if n.Child != nil && (!s.Folded || n.Child.State != gathering.RunCompleted) {
		below := s.lines(n.Child, now, indent+"  ")
		below[0].busy = !n.Child.State.Terminal()
		lines = append(lines, below...)
	}
	return lines
}

// maxName is how many columns the names of nodes take up at most.
const maxName = 24

func (s Style) node(n *Node, now time.Time, indent string, column int) line {
	mark, color := s.nodeMark(n)
	return line{
		indent: indent, mark: mark, color: color, name: n.ID, column: column,
		status: n.status(now), note: n.text(), busy: n.busy(),
	}
}

func end(ended, now time.Time) time.Time {
	if ended.IsZero() {
		return now
	}
	return ended
}

// The colours of marks: the parameters of ECMA-48's SGR.
const (
	green, red, yellow, blue, dim = "32", "31", "33", "34", "2"
)

func (s Style) mark(unicode, ascii string) string {
	if s.ASCII {
		return ascii
	}
	return unicode
}

func (s Style) runMark(state gathering.RunState) (mark, color string) {
	switch state {
	case gathering.RunCompleted:
		return s.mark("✓", "+"), green
	case gathering.RunFailed, gathering.RunTimedOut, gathering.RunBudgetExhausted:
		return s.mark("✗", "x"), red
	case gathering.RunCancelled, gathering.RunCancelling:
		return s.mark("■", "#"), yellow
	case gathering.RunWaiting, gathering.RunPaused, gathering.RunQueued, gathering.RunRecovering:
		return s.mark("◷", "~"), yellow
	default:
		return s.mark("▸", ">"), blue
	}
}

func (s Style) nodeMark(n *Node) (mark, color string) {
	switch {
	case n.Kept && n.State == gathering.NodeCompleted:
		return s.mark("✓", "+"), dim
	case n.Handled != "":
		return "!", yellow
	}
	switch n.State {
	case gathering.NodeCompleted:
		return s.mark("✓", "+"), green
	case gathering.NodeFailed, gathering.NodeTimedOut:
		return s.mark("✗", "x"), red
	case gathering.NodeUnknown:
		return "?", red
	case gathering.NodeCancelled, gathering.NodeAbandoned:
		return s.mark("■", "#"), yellow
	case gathering.NodeRetrying:
		return s.mark("↻", "r"), yellow
	case gathering.NodeWaiting:
		return s.mark("◷", "~"), yellow
	case gathering.NodeSkipped:
		return s.mark("–", "-"), dim
	case gathering.NodePending:
		return s.mark("·", "."), dim
	default:
		return s.mark("▸", ">"), blue
	}
}

// draw cuts a line to a number of columns: the note goes first, then the
// status, then the name.
func (s Style) draw(l line, columns int) string {
	before := fit(l.indent+l.mark+" ", columns)
	room := columns - cells(before)
	name := fit(pad(l.name, l.column), room)
	room -= cells(name)
	status := ""
	if room > 3 {
		status = fit("  "+l.status, room)
		room -= cells(status)
	}
	note := ""
	if l.note != "" && room > 5 {
		note = fit("  "+l.note, room)
	}
	if !s.Color {
		return strings.TrimRight(before+name+status+note, " ")
	}
	return strings.Replace(before, l.mark, paint(l.color, l.mark), 1) + name + paint(l.color, status) + paint(dim, note)
}

func paint(color, text string) string {
	if text == "" {
		return ""
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// plain is a drawn line without its colours.
func plain(drawn string) string {
	for {
		i := strings.Index(drawn, "\x1b[")
		if i < 0 {
			return drawn
		}
		end := strings.IndexByte(drawn[i:], 'm')
		if end < 0 {
			return drawn[:i]
		}
		drawn = drawn[:i] + drawn[i+end+1:]
	}
}

// up moves the cursor to the beginning of the row that many rows above.
func up(rows int) string {
	if rows == 0 {
		return "\r"
	}
	return "\x1b[" + strconv.Itoa(rows) + "F"
}

// shorten leaves out lines, those that are not at work first, and says how many.
func shorten(lines []line, room int) []line {
	kept := make([]line, 0, room)
	spare := room - 1
	for _, l := range lines {
		if l.busy {
			spare--
		}
	}
	for _, l := range lines {
		switch {
		case len(kept) == room-1:
		case l.busy:
			kept = append(kept, l)
		case spare > 0:
			spare--
			kept = append(kept, l)
		}
	}
	rest := line{indent: "  ", mark: "…", color: dim, name: fmt.Sprintf("%d more", len(lines)-len(kept))}
	return append(kept, rest)
}

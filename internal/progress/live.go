package progress

import (
	"io"
	"strings"
	"sync"
)

// Live draws frames over one another on a terminal. What others write to the
// same terminal goes through [Live.Around], so that it does not end up in the
// middle of a frame. It is safe for use by many goroutines.
type Live struct {
	out  io.Writer
	size func() (width, height int)

	mu    sync.Mutex
	frame []string // as it stands on the terminal
}

// The escape sequences in use, all of ECMA-48 but the last two, which terminals
// that do not know them ignore.
const (
	clearBelow = "\x1b[J"
	clearRight = "\x1b[K"
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	beginFrame = "\x1b[?2026h"
	endFrame   = "\x1b[?2026l"
)

// NewLive returns a Live that draws on out. Size tells the terminal's columns
// and rows at this moment. Finish it.
func NewLive(out io.Writer, size func() (width, height int)) *Live {
	return &Live{out: out, size: size}
}

// Size is how many columns and rows there are now.
func (l *Live) Size() (width, height int) { return l.size() }

// Draw replaces the frame on the terminal.
func (l *Live) Draw(frame []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(hideCursor + l.redraw(frame))
}

// Finish replaces the frame for the last time and gives the cursor back.
func (l *Live) Finish(frame []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(l.redraw(frame) + showCursor)
	l.frame = nil
}

// Around calls write while no frame is on the terminal, and draws it again.
func (l *Live) Around(write func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	frame := l.frame
	if frame == nil {
		write()
		return
	}
	l.write(l.redraw(nil))
	write()
	l.write(l.redraw(frame))
}

// redraw is what turns the frame on the terminal into the given one.
func (l *Live) redraw(frame []string) string {
	var b strings.Builder
	b.WriteString(beginFrame)
	b.WriteString(up(l.rows()))
	for _, line := range frame {
		b.WriteString(line + clearRight + "\r\n")
	}
	b.WriteString(clearBelow + endFrame)
	l.frame = frame
	return b.String()
}

// rows is how many rows the frame takes up now: a terminal that became
// narrower since has wrapped its lines.
func (l *Live) rows() int {
	columns, _ := l.size()
	rows := 0
	for _, line := range l.frame {
		rows += max(1, (cells(plain(line))+columns-1)/max(columns, 1))
	}
	return rows
}

func (l *Live) write(text string) {
	_, _ = io.WriteString(l.out, text) // a terminal that is gone is no reason to stop the run
}

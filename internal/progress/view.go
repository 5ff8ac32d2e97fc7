package progress

import (
	"time"

	"gathering"
)

// Silent shows nothing of a run.
type Silent struct{}

// Event takes in an event of the run of t, to which above led.
func (Silent) Event(*Tree, string, gathering.Event) {}

// Tick is called now and then.
func (Silent) Tick(time.Time) {}

// Finish is called last.
func (Silent) Finish(time.Time) {}

// Plain shows a run as lines.
type Plain struct{ Lines Lines }

// Event takes in an event of the run of t, to which above led.
func (p *Plain) Event(t *Tree, above string, e gathering.Event) { p.Lines.Event(t, above, e) }

// Tick writes what was held back for long enough.
func (p *Plain) Tick(time.Time) { p.Lines.Flush() }

// Finish writes the rest.
func (p *Plain) Finish(time.Time) { p.Lines.Finish() }

// Drawn shows a run as a tree that is redrawn in place.
type Drawn struct {
	Silent

	live   *Live
	tree   *Tree
	style  Style
	beside *Guarded
}

// NewDrawn shows a tree, which beside steps aside for. Finish it.
func NewDrawn(live *Live, tree *Tree, style Style, beside *Guarded) *Drawn {
	beside.guard(live.Around)
	return &Drawn{live: live, tree: tree, style: style, beside: beside}
}

// Tick draws the tree as it is now.
func (d *Drawn) Tick(now time.Time) {
	width, height := d.live.Size()
	d.live.Draw(d.style.Frame(d.tree, now, width, height))
}

// Finish leaves the whole tree on the terminal, however long it is.
func (d *Drawn) Finish(now time.Time) {
	width, _ := d.live.Size()
	d.live.Finish(d.style.Frame(d.tree, now, width, Unbounded))
	d.beside.guard(nil)
}

// Unbounded is more rows than any tree has.
const Unbounded = 1 << 30

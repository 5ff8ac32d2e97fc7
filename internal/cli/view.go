package cli

import (
	"time"

	"gathering"
	"gathering/internal/progress"
)

// view picks how progress is shown: redrawn in place on a terminal, as lines
// elsewhere.
func (s *shell) view(t *progress.Tree) view {
	dumb, _ := s.Lookup("TERM")
	if s.Terminal == nil || dumb == "dumb" {
		return &plainView{lines: progress.Lines{Out: s.Stdout}}
	}
	v := &liveView{
		live: progress.NewLive(s.Stdout, s.Terminal), tree: t, shell: s,
		style: progress.Style{Color: s.color(), ASCII: s.ascii(), Folded: true},
	}
	s.errors.guard(v.live.Around)
	return v
}

// silent shows nothing.
func silent(*progress.Tree) view { return noView{} }

type noView struct{}

func (noView) event(*progress.Tree, string, gathering.Event) {}
func (noView) tick(time.Time)                                {}
func (noView) finish(time.Time)                              {}

type plainView struct{ lines progress.Lines }

func (v *plainView) event(t *progress.Tree, above string, e gathering.Event) {
	v.lines.Event(t, above, e)
}

func (v *plainView) tick(time.Time)   { v.lines.Flush() }
func (v *plainView) finish(time.Time) { v.lines.Finish() }

type liveView struct {
	noView

	live  *progress.Live
	tree  *progress.Tree
	style progress.Style
	shell *shell
}

func (v *liveView) tick(now time.Time) {
	width, height := v.live.Size()
	v.live.Draw(v.style.Frame(v.tree, now, width, height))
}

// finish leaves the whole tree on the terminal, however long it is.
func (v *liveView) finish(now time.Time) {
	width, _ := v.live.Size()
	v.live.Finish(v.style.Frame(v.tree, now, width, unbounded))
	v.shell.errors.guard(nil)
}

// unbounded is more rows than any tree has.
const unbounded = 1 << 30

package cli

import "gathering/internal/progress"

// view picks how progress is shown: redrawn in place on a terminal, as lines
// elsewhere.
func (s *shell) view(t *progress.Tree) view {
	dumb, _ := s.Lookup("TERM")
	if s.Terminal == nil || dumb == "dumb" {
		return &progress.Plain{Lines: progress.Lines{Out: s.Stdout}}
	}
	style := progress.Style{Color: s.color(), ASCII: s.ascii(), Folded: true}
	return progress.NewDrawn(progress.NewLive(s.Stdout, s.Terminal), t, style, s.errors)
}

// silent shows nothing.
func silent(*progress.Tree) view { return progress.Silent{} }

package builtin

import (
	"path"
	"slices"
	"strings"
)

// glob matches slash-separated paths: "*", "?" and "[a-z]" within a name, "**"
// for any number of directories. One without a slash matches the last name of
// a path, at any depth. The zero value matches everything.
type glob struct{ names []string }

func parseGlob(pattern string) (glob, error) {
	switch {
	case pattern == "":
		return glob{}, nil
	case len(pattern) > maxPattern:
		return glob{}, invalid("glob", "is too long")
	case !strings.Contains(pattern, "/"):
		pattern = "**/" + pattern
	}
	names := slices.Compact(strings.Split(strings.TrimPrefix(pattern, "./"), "/"))
	for _, name := range names {
		if _, err := path.Match(name, ""); err != nil {
			return glob{}, invalid("glob", `must be a pattern such as "*.go" or "docs/**/*.md"`)
		}
	}
	return glob{names}, nil
}

// match walks name once, keeping every place in the pattern that what was read
// so far can have reached, so its time is bounded by the product of both lengths.
func (g glob) match(name string) bool {
	if g.names == nil {
		return true
	}
	reached := make([]bool, len(g.names)+1)
	reached[0] = true
	g.skip(reached)
	for part := range strings.SplitSeq(name, "/") {
		next := make([]bool, len(reached))
		for i, pattern := range g.names {
			switch {
			case !reached[i]:
			case pattern == "**":
				next[i] = true
			default:
				ok, _ := path.Match(pattern, part)
				next[i+1] = next[i+1] || ok
			}
		}
		g.skip(next)
		reached = next
	}
	return reached[len(g.names)]
}

// skip adds the places reached when a "**" stands for no directory.
func (g glob) skip(reached []bool) {
	for i, pattern := range g.names {
		if reached[i] && pattern == "**" {
			reached[i+1] = true
		}
	}
}

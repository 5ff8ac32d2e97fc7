package definition

import (
	"slices"
	"strings"
)

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	decimal = "0123456789"
)

// consists reports whether text begins with one of first and goes on with
// those and rest.
func consists(text, first, rest string) bool {
	return text != "" && strings.Contains(first, text[:1]) && strings.Trim(text, first+rest) == ""
}

// isID reports whether text can be a node's ID.
func isID(text string) bool { return consists(text, lower, decimal+"_") }

// isName reports whether text can be the name of a definition or an agent.
func isName(text string) bool { return consists(text, lower+decimal, "._-") }

// isVariable reports whether text can be the name of a variable.
func isVariable(text string) bool { return consists(text, lower+upper+"_", decimal) }

// quoted is a name in quotes, for texts that tell of it, and "of this name"
// for what does not look like one: a fault repeats names, never values.
func quoted(name string) string {
	if len(name) <= MaxName && consists(name, lower+upper+decimal, "._-/") {
		return `"` + name + `"`
	}
	return "of this name"
}

// suggester finds the name that was probably meant. It compares a bounded
// number of names, since every comparison costs time.
type suggester struct {
	compared int
}

const maxComparisons = 20_000

// orOneOf suggests the nearest of names, or else lists them if they are few.
func (s *suggester) orOneOf(name string, names []string) string {
	if nearest := s.nearest(name, names); nearest != "" {
		return `did you mean "` + nearest + `"?`
	}
	if len(names) == 0 || len(names) > 20 {
		return ""
	}
	return "one of: " + strings.Join(names, ", ")
}

// nearest is the name that differs least from what was written, or "".
func (s *suggester) nearest(name string, names []string) string {
	if name == "" || len(name) > MaxID {
		return ""
	}
	best, least := "", 1+max(1, min(len(name)/3, 3))
	for _, candidate := range names {
		if s.compared++; s.compared > maxComparisons {
			break
		}
		if d := distance(strings.ToLower(name), strings.ToLower(candidate), least); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour to get from a to b; limit or more where it is at least limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		if slices.Min(row) >= limit {
			return limit
		}
	}
	return row[len(b)]
}

package definition

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gathering"
)

// maxFaults bounds how many faults one load reports.
const maxFaults = 1000

// Fault is one thing wrong with a definition. It names places and what would
// be right, and repeats no value.
type Fault struct {
	Path    string // "nodes.grade.retry.factor"; "" is the file as a whole
	Line    int    // from 1
	Problem string // "is below 1"
	Remedy  string // what would be right; may be ""
}

// Text is the fault as one line for people: "FILE:line: path: problem (remedy)".
func (f Fault) Text(file string) string {
	var b strings.Builder
	b.WriteString(file + ":" + strconv.Itoa(f.Line) + ": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Problem)
	if f.Remedy != "" {
		b.WriteString(" (" + f.Remedy + ")")
	}
	return b.String()
}

// Faults is everything wrong with a definition, sorted by line. As an error it
// is a [gathering.Error] of kind invalid with a field for each fault.
type Faults []Fault //nolint:errname // the list of faults that callers print is the error

// Error lists the faults, separated by semicolons.
func (f Faults) Error() string { return f.invalid().Error() }

// Unwrap returns the faults as a [gathering.Error].
func (f Faults) Unwrap() error { return f.invalid() }

func (f Faults) invalid() *gathering.Error {
	fields := make([]gathering.FieldError, len(f))
	for i, fault := range f {
		fields[i] = gathering.FieldError{Field: fault.Path, Problem: fault.Problem}
		if fault.Remedy != "" {
			fields[i].Problem += " (" + fault.Remedy + ")"
		}
		if fault.Path == "" {
			fields[i].Field = "line " + strconv.Itoa(fault.Line)
		}
	}
	message := "the definition has " + strconv.Itoa(len(f)) + " faults"
	if len(f) == 1 {
		message = "the definition has a fault"
	}
	return gathering.NewError(gathering.KindInvalid, "%s", message).WithFields(fields...)
}

// place is where something stands in the file.
type place struct {
	path string
	line int
}

// in is the place of a member of what stands at p.
func (p place) in(key string, line int) place {
	switch {
	case key == "":
		return place{p.path, line}
	case p.path == "" || strings.HasPrefix(key, "["):
		return place{p.path + key, line}
	}
	return place{p.path + "." + key, line}
}

// item is the place of an item of the list that stands at p.
func (p place) item(i, line int) place {
	return place{p.path + "[" + strconv.Itoa(i) + "]", line}
}

// report collects faults.
type report struct {
	suggester
	faults Faults
}

func (r *report) add(at place, problem, remedy string) {
	if !r.full() {
		r.faults = append(r.faults, Fault{
			Path: printable(at.path, 300), Line: max(at.line, 1),
			Problem: printable(problem, 1000), Remedy: printable(remedy, 1000),
		})
	}
}

// printable is text without control characters, cut at limit bytes: names in a
// file can hold anything, and faults are shown on terminals.
func printable(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return unicode.ReplacementChar
		}
		return c
	}, text)
}

// full reports whether no more faults are taken.
func (r *report) full() bool { return len(r.faults) >= maxFaults }

// sorted is every fault once, by line.
func (r *report) sorted() Faults {
	slices.SortStableFunc(r.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	seen := make(map[Fault]bool, len(r.faults))
	return slices.DeleteFunc(r.faults, func(f Fault) bool {
		twice := seen[f]
		seen[f] = true
		return twice
	})
}

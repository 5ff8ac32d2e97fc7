package progress

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"

	"gathering"
)

// maxNote bounds a note in runes, before it is cut to what a line has room for.
const maxNote = 300

// brief is an output as one line: the first line of a text, the JSON of the rest.
func brief(output json.RawMessage) string {
	if len(output) == 0 || string(output) == "null" {
		return ""
	}
	var text string
	if json.Unmarshal(output, &text) != nil {
		return OneLine(string(output))
	}
	first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if rest != "" {
		first += " …"
	}
	return OneLine(first)
}

// OneLine is text without line breaks and other control characters, and not
// longer than a line can be.
func OneLine(text string) string {
	var b strings.Builder
	n := 0
	for field := range strings.FieldsSeq(text) {
		if n > 0 {
			b.WriteByte(' ')
		}
		for _, r := range field {
			if n++; n > maxNote {
				return b.String() + "…"
			}
			b.WriteRune(visible(r))
		}
	}
	return b.String()
}

// Printable is text that does to a terminal what it looks like: control
// characters other than line breaks and tabs are replaced.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, text)
}

// visible replaces what moves the cursor, changes colours or turns text around.
func visible(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
		return unicode.ReplacementChar
	}
	return r
}

func failure(f *gathering.Failure) string {
	if f == nil {
		return ""
	}
	return OneLine(f.Err().Public())
}

func step(s gathering.Step) string {
	switch {
	case s.Failure != nil:
		return OneLine(s.Name + ": " + s.Failure.Message)
	case s.Phase == gathering.StepIntent:
		return OneLine(s.Name + " …")
	default:
		return OneLine(s.Name)
	}
}

// Span is a span of time as people say it: 80ms, 1.2s, 3m05s, 2h10m, 3d4h.
func Span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Second:
		return strconv.Itoa(int(d.Milliseconds())) + "ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', 1, 64) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m" + two(int(d.Seconds())%60) + "s"
	case d < 24*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h" + two(int(d.Minutes())%60) + "m"
	default:
		return strconv.Itoa(int(d.Hours())/24) + "d" + strconv.Itoa(int(d.Hours())%24) + "h"
	}
}

func two(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// cells is how many columns of a terminal text takes up.
func cells(text string) int {
	n := 0
	for _, r := range text {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// fit cuts text to a number of columns, with a mark where something is missing.
func fit(text string, columns int) string {
	if cells(text) <= columns {
		return text
	}
	if columns <= 0 {
		return ""
	}
	n := 0
	for i, r := range text {
		if n += runeCells(r); n > columns-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// pad fills text up to a number of columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(columns-cells(text), 0))
}

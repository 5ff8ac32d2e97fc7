package gathering

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxBrief bounds, in bytes, what the words of others may add to a message.
const maxBrief = 300

// Brief returns text on one line, without control characters, cut to a few
// hundred bytes with a mark where it was longer.
func Brief(text string) string {
	var b strings.Builder
	space := false
	for _, r := range text {
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError {
			space = b.Len() > 0
			continue
		}
		if b.Len() >= maxBrief {
			return b.String() + " …"
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

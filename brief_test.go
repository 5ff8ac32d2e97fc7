package gathering_test

import (
	"strings"
	"testing"

	"gathering"
)

func TestBrief(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ given, want string }{
		"as it is":         {"tea pot", "tea pot"},
		"on one line":      {" tea\r\n\t pot\n", "tea pot"},
		"without controls": {"tea\x00\x1b[31mpot", "tea [31mpot"},
		"left to right":    {"a\u202etxt.exe", "a txt.exe"},
		"no text":          {"a\xffb", "a b"},
		"cut":              {strings.Repeat("é", 200), strings.Repeat("é", 150) + " …"},
		"just fits":        {strings.Repeat("e", 300), strings.Repeat("e", 300)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := gathering.Brief(test.given); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

package progress_test

import (
	"fmt"
	"strings"
	"testing"

	"gathering/internal/progress"
)

// screen is as much of a terminal as a live tree needs: it wraps, scrolls
// without end, and understands the escape sequences in use.
type screen struct {
	t        *testing.T
	width    int
	rows     []string
	row, col int
	hidden   bool
}

func (s *screen) Write(data []byte) (int, error) {
	text := []rune(string(data))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; r {
		case '\r':
			s.col = 0
		case '\n':
			s.row++
			s.grow()
		case '\x1b':
			end := i + 2
			for text[end] < '@' {
				end++
			}
			s.sequence(string(text[i+2:end]), text[end])
			i = end
		default:
			s.put(r)
		}
	}
	return len(data), nil
}

func (s *screen) grow() {
	for len(s.rows) <= s.row {
		s.rows = append(s.rows, "")
	}
}

func (s *screen) put(r rune) {
	if s.col == s.width {
		s.row, s.col = s.row+1, 0
	}
	s.grow()
	line := []rune(s.rows[s.row] + strings.Repeat(" ", s.width))[:s.width]
	line[s.col] = r
	s.rows[s.row] = strings.TrimRight(string(line), " ")
	s.col++
}

func (s *screen) sequence(parameters string, final rune) {
	s.grow()
	switch final {
	case 'F':
		var n int
		fmt.Sscan(parameters, &n)
		s.row, s.col = max(s.row-n, 0), 0
	case 'K':
		s.rows[s.row] = string([]rune(s.rows[s.row])[:min(s.col, len([]rune(s.rows[s.row])))])
	case 'J':
		s.sequence("", 'K')
		s.rows = s.rows[:s.row+1]
	case 'h', 'l':
		if parameters == "?25" {
			s.hidden = final == 'l'
		}
	default:
		s.t.Errorf("unknown sequence %q%c", parameters, final)
	}
}

// resize wraps the lines anew, as terminals do.
func (s *screen) resize(width int) {
	var rows []string
	for _, row := range s.rows[:s.row] {
		for len([]rune(row)) > width {
			rows = append(rows, string([]rune(row)[:width]))
			row = string([]rune(row)[width:])
		}
		rows = append(rows, row)
	}
	s.width, s.rows, s.row = width, append(rows, ""), len(rows)
}

func (s *screen) want(lines ...string) {
	s.t.Helper()
	got := strings.TrimRight(strings.Join(s.rows, "\n"), "\n")
	if want := strings.Join(lines, "\n"); got != want {
		s.t.Errorf("on the screen:\n%s\nwant:\n%s", got, want)
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	s := &screen{t: t, width: 20}
	_, _ = s.Write([]byte("before\r\n"))
	live := progress.NewLive(s, func() (int, int) { return s.width, 24 })

	live.Draw([]string{"one", "two is a longer line"[:19]})
	s.want("before", "one", "two is a longer lin")
	if !s.hidden {
		t.Error("the cursor shows while the tree is drawn")
	}
	live.Draw([]string{"1", "2", "3"})
	s.want("before", "1", "2", "3")
	live.Draw([]string{"only"})
	s.want("before", "only")

	live.Around(func() { _, _ = s.Write([]byte("a line of the log\r\n")) })
	s.want("before", "a line of the log", "only")

	live.Draw([]string{"0123456789abcdef", "x"})
	s.resize(8)
	live.Draw([]string{"small", "y"})
	s.want("before", "a line o", "f the lo", "g", "small", "y")

	live.Finish([]string{"the end"})
	s.want("before", "a line o", "f the lo", "g", "the end")
	if s.hidden {
		t.Error("the cursor is not given back")
	}
	live.Around(func() { _, _ = s.Write([]byte("after\r\n")) })
	s.want("before", "a line o", "f the lo", "g", "the end", "after")
}

package remote_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/remote"
)

// streams is an answer that is a stream: texts that come at once, and times
// that pass between them. It breaks off at its end.
func streams(parts ...any) reply {
	header := http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}
	return reply{http.StatusOK, header, func(done <-chan struct{}) io.Reader { return &stream{done, parts} }}
}

type stream struct {
	done  <-chan struct{}
	parts []any
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.parts) > 0 {
		next := s.parts[0]
		if pause, ok := next.(time.Duration); ok {
			select {
			case <-time.After(pause):
			case <-s.done:
				return 0, errors.New("given up")
			}
			s.parts = s.parts[1:]
			continue
		}
		text := next.(string)
		n := copy(p, text)
		if s.parts[0] = text[n:]; text[n:] == "" {
			s.parts = s.parts[1:]
		}
		return n, nil
	}
	return 0, errors.New("connection reset by peer")
}

// told is an event of a run as a stream tells it.
func told(seq int64, kind gathering.EventType) string {
	data, err := json.Marshal(gathering.Event{Stream: "run_1", Seq: seq, Type: kind})
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", seq, kind, data)
}

const beat = ":\n\n"

// TestWatch reads streams that break off, repeat and fall silent: every event
// is told once, in order, and a service that is gone is an error in the end.
func TestWatch(t *testing.T) {
	t.Parallel()
	first, second, last := told(1, gathering.EventRunStarted), told(2, gathering.EventRunPaused), told(3, gathering.EventRunCompleted)
	lull := make([]any, 0, 8)
	for range 4 {
		lull = append(lull, 5*time.Second, beat)
	}
	for name, test := range map[string]struct {
		answers []any
		after   int64
		want    string // the events, and how it ended
		from    string // Last-Event-ID of each stream
		took    time.Duration
	}{
		"to the end":              {[]any{streams(first, second, last)}, 0, "1 2 3", "0", 0},
		"from the middle":         {[]any{streams(second, last)}, 1, "2 3", "1", 0},
		"one that repeats":        {[]any{streams(first, second, first, second, last)}, 1, "2 3", "1", 0},
		"one that breaks off":     {[]any{streams(first), broken, streams(second, last)}, 0, "1 2 3", "0 1 1", time.Second},
		"amid an event":           {[]any{streams(first, second[:20]), streams(second, last)}, 0, "1 2 3", "0 1", 500 * time.Millisecond},
		"what is no event":        {[]any{streams("retry: 5\n\n", first, "event: delta\ndata: {}\n\n", "event: bye\ndata: {}\n\n", last)}, 0, "1 3", "0", 0},
		"nothing more":            {[]any{says(http.StatusNoContent, "")}, 3, "", "3", 0},
		"beyond the end":          {[]any{streams("event: snapshot\ndata: {}\n\n", first, second, last)}, 9, "", "9", 0},
		"quiet streams that end":  {[]any{streams(first), streams(lull...), streams(lull...), streams(second, last)}, 0, "1 2 3", "0 1 1 1", 41500 * time.Millisecond},
		"one that falls silent":   {[]any{streams(first, time.Hour), streams(second, last)}, 0, "1 2 3", "0 1", time.Minute + 500*time.Millisecond},
		"a service that is busy":  {[]any{refuses(busy), streams(first, last)}, 0, "1 3", "0 0", 2 * time.Second},
		"a service that is gone":  {[]any{streams(first), refused}, 0, "1 unavailable", strings.TrimSpace("0 " + strings.Repeat("1 ", 31)), 15500 * time.Millisecond},
		"a run that may not be":   {[]any{streams(first), refuses(gathering.NewError(gathering.KindForbidden, "no"))}, 0, "1 forbidden", "0 1", 500 * time.Millisecond},
		"a page instead":          {[]any{says(http.StatusOK, "<html>", "Content-Type", "text/html")}, 0, "unavailable", strings.TrimSpace(strings.Repeat("0 ", 32)), 15500 * time.Millisecond},
		"an event that is no one": {[]any{streams("id: 1\ndata: {\n\n")}, 0, "internal", "0", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, begun := &script{answers: test.answers}, time.Now()
				var got []string
				for e, err := range remote.NewVia(s).Watch(t.Context(), "run_1", test.after) {
					if err != nil {
						got = append(got, string(gathering.KindOf(err)))
						continue
					}
					got = append(got, fmt.Sprint(e.Seq))
				}
				var from []string
				for _, r := range s.asked {
					from = append(from, r.Header.Get("Last-Event-ID"))
				}
				if diff := cmp.Diff([]string{test.want, test.from}, []string{strings.Join(got, " "), strings.Join(from, " ")}); diff != "" {
					t.Errorf("events and where streams began (-want +got):\n%s", diff)
				}
				if took := time.Since(begun); took != test.took {
					t.Errorf("it took %s, want %s", took, test.took)
				}
			})
		})
	}
}

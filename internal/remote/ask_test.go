package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/httpx"
	"gathering/internal/remote"
)

// script is a service of which every answer is written down, the first for the
// first request. An error is one that the connection broke with.
type script struct {
	answers []any // a reply or an error
	asked   []*http.Request
	bodies  []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.asked, s.bodies = append(s.asked, r), append(s.bodies, string(body))
	if len(s.answers) == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	next := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	if err, ok := next.(error); ok {
		return nil, err
	}
	a := next.(reply)
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(a.body(r.Context().Done()))}, nil
}

// reply is an answer. Its body ends early when done is closed.
type reply struct {
	status int
	header http.Header
	body   func(done <-chan struct{}) io.Reader
}

func replyOf(w *httptest.ResponseRecorder) reply {
	return reply{w.Code, w.Header(), func(<-chan struct{}) io.Reader { return strings.NewReader(w.Body.String()) }}
}

// says is an answer with a status and a body.
func says(status int, body string, header ...string) reply {
	w := httptest.NewRecorder()
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
	w.WriteHeader(status)
	_, _ = w.WriteString(body)
	return replyOf(w)
}

// refuses is a problem document.
func refuses(err error) reply {
	w := httptest.NewRecorder()
	httpx.WriteProblem(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody), err)
	return replyOf(w)
}

var (
	broken  = &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	refused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	busy    = gathering.Delayed(gathering.NewError(gathering.KindExhausted, "too often"), 2*time.Second)
)

func start(ctx context.Context, c *remote.Client) error {
	r, err := c.StartRun(ctx, "pip_1", api.NewRun{Input: []byte(`{"text":"a < b & c"}`)})
	if err == nil && r.ID != "run_1" {
		return fmt.Errorf("started %q", r.ID)
	}
	return err
}

func read(ctx context.Context, c *remote.Client) error {
	_, err := c.Run(ctx, "run_1")
	return err
}

// TestAskAgain says which questions are asked how often, and for how long.
func TestAskAgain(t *testing.T) {
	t.Parallel()
	run := says(http.StatusOK, `{"id":"run_1"}`)
	for name, test := range map[string]struct {
		ask     func(ctx context.Context, c *remote.Client) error
		answers []any
		times   int
		took    time.Duration
		kind    gathering.Kind
		message string
	}{
		"a change":                            {start, []any{run}, 1, 0, "", ""},
		"a change in its turn":                {start, []any{refuses(busy), refuses(busy), run}, 3, 4 * time.Second, "", ""},
		"a look in its turn":                  {read, []any{refuses(busy), run}, 2, 2 * time.Second, "", ""},
		"a change that is never in turn":      {start, []any{refuses(busy)}, 46, 90 * time.Second, gathering.KindExhausted, "too often"},
		"a change whose budget is used up":    {start, []any{refuses(gathering.NewError(gathering.KindExhausted, "no money"))}, 1, 0, gathering.KindExhausted, "no money"},
		"a change that broke off":             {start, []any{broken, says(http.StatusBadGateway, "<html>"), run}, 3, time.Second, "", ""},
		"a change that never ends":            {start, []any{broken}, 31, 15 * time.Second, gathering.KindUnavailable, "whether it did what it was asked is not known"},
		"a look that broke off":               {read, []any{broken, run}, 1, 0, gathering.KindUnavailable, "cannot be reached: read tcp: connection reset by peer"},
		"a change that nobody was asked for":  {start, []any{refused, run}, 1, 0, gathering.KindUnavailable, "the service at there cannot be reached: dial tcp: connection refused"},
		"a look at a service that hangs":      {read, nil, 1, 15 * time.Second, gathering.KindUnavailable, "the service at there does not answer"},
		"a change that is refused":            {start, []any{refuses(gathering.NewError(gathering.KindConflict, "taken")), run}, 1, 0, gathering.KindConflict, "taken"},
		"a change that is sent elsewhere":     {start, []any{says(http.StatusFound, "", "Location", "https://b.example/")}, 31, 15 * time.Second, gathering.KindUnavailable, "status 302, which names another address: https://b.example/"},
		"an answer that is no JSON":           {read, []any{says(http.StatusOK, "<html>")}, 1, 0, gathering.KindInternal, ""},
		"an answer that is too long":          {read, []any{says(http.StatusOK, strings.Repeat(" ", 68<<20))}, 1, 0, gathering.KindTooLarge, "answered with more than"},
		"a list whose page follows itself":    {users, []any{says(http.StatusOK, `{"items":[],"next_cursor":"usr_1"}`)}, 2, 0, gathering.KindInternal, ""},
		"events of which there are none left": {events, []any{says(http.StatusOK, `{"items":[],"next_cursor":"5"}`)}, 1, 0, gathering.KindInternal, ""},
		"events that go back":                 {events, []any{says(http.StatusOK, `{"items":[{"seq":1}],"next_cursor":"1"}`)}, 2, 0, gathering.KindInternal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, begun := &script{answers: test.answers}, time.Now()
				err := test.ask(t.Context(), remote.NewVia(s))
				if gathering.KindOf(err) != test.kind || err != nil && !strings.Contains(gathering.FailureOf(err).Message, test.message) {
					t.Errorf("got %v (%s), want %q (%s)", err, gathering.KindOf(err), test.message, test.kind)
				}
				if took := time.Since(begun); len(s.asked) != test.times || took != test.took {
					t.Errorf("it was asked %d times in %s, want %d in %s", len(s.asked), took, test.times, test.took)
				}
				for i, r := range s.asked {
					key := r.Header.Get("Idempotency-Key")
					if (key == "") != (r.Method == http.MethodGet) || key != s.asked[0].Header.Get("Idempotency-Key") {
						t.Errorf("request %d has the idempotency key %q", i, key)
					}
					if r.Header.Get("Authorization") != "Bearer gat_x" || strings.Contains(s.bodies[i], `\u003c`) {
						t.Errorf("request %d: %v %s", i, r.Header, s.bodies[i])
					}
				}
			})
		})
	}
}

func users(ctx context.Context, c *remote.Client) error {
	_, err := c.Users(ctx)
	return err
}

func events(ctx context.Context, c *remote.Client) error {
	_, err := c.Events(ctx, "run_1", 0, 0)
	return err
}

// TestGiveUp ends a wait for one's turn.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s := &script{answers: []any{refuses(busy)}}
		if err := start(ctx, remote.NewVia(s)); !errors.Is(err, context.DeadlineExceeded) || len(s.asked) != 1 {
			t.Errorf("got %v after %d requests", err, len(s.asked))
		}
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	var path string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.String()
		_, _ = io.WriteString(w, "{}")
	}))
	defer s.Close()
	for given, want := range map[string]string{
		"": "", "/": "", "//": "", "/a": "/a", "/a/": "/a",
		"?": "invalid", "?x=1": "invalid", "#": "invalid", "#x": "invalid",
	} {
		c, err := remote.NewRemote(s.URL+given, "")
		if want == "invalid" {
			if gathering.KindOf(err) != gathering.KindInvalid {
				t.Errorf("%q: got %v, want it refused", given, err)
			}
			continue
		}
		if err == nil {
			_, err = c.Run(t.Context(), "run_1")
		}
		if err != nil || path != want+"/api/v1/runs/run_1" {
			t.Errorf("%q: asked for %s, %v", given, path, err)
		}
	}
	for _, given := range []string{"", "127.0.0.1:80", "ftp://a.example", "http://", "http://u:p@a.example", "http://%zz"} {
		if _, err := remote.NewRemote(given, ""); gathering.KindOf(err) != gathering.KindInvalid {
			t.Errorf("%q: got %v, want it refused", given, err)
		}
	}
}

package httpx_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/httpx"
)

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	const header = "X-Request-ID"
	p := proxies(t, "10.0.0.0/8")
	for name, test := range map[string]struct {
		peer     string
		given    []string
		accepted bool
	}{
		"none":          {near, nil, false},
		"by a proxy":    {near, []string{header, "abc-DEF_0:1.2"}, true},
		"shortest":      {near, []string{header, "12345678"}, true},
		"longest":       {near, []string{header, strings.Repeat("x", 64)}, true},
		"by a client":   {direct, []string{header, "abc-DEF_0:1.2"}, false},
		"over a socket": {"@", []string{header, "abc-DEF_0:1.2"}, false},
		"too short":     {near, []string{header, "1234567"}, false},
		"too long":      {near, []string{header, strings.Repeat("x", 65)}, false},
		"line break":    {near, []string{header, "abcdefgh\nijkl"}, false},
		"space":         {near, []string{header, "abcd efgh"}, false},
		"markup":        {near, []string{header, "abcd<b>efgh"}, false},
		"not ASCII":     {near, []string{header, "abcdéfgh"}, false},
		"two":           {near, []string{header, "abcdefgh", header, "abcdefgh"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var inside string
			var logged journal
			h := httpx.Log(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside = httpx.RequestID(r.Context()) }), logged.logger(), p)
			answered := ask(h, request("GET", "/", test.peer, test.given...)).Header().Values(header)
			if len(answered) != 1 || answered[0] != inside || logged.lines(t)[0]["request_id"] != inside {
				t.Errorf("answered %q, logged %v, inside it is %q", answered, logged.lines(t), inside)
			}
			if accepted := len(test.given) > 0 && inside == test.given[1]; accepted != test.accepted {
				t.Errorf("got %q, want it accepted: %t", inside, test.accepted)
			}
			if !test.accepted && (!strings.HasPrefix(inside, "req_") || len(inside) != 30) {
				t.Errorf("got %q, want a new one", inside)
			}
		})
	}
	if got := httpx.RequestID(t.Context()); got != "" {
		t.Errorf("got %q without a request", got)
	}
}

// routes answer in all the ways there are.
func routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, serve func(w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(w, r); err != nil {
				httpx.WriteProblem(w, r, err)
			}
		})
	}
	fails := func(err error) func(http.ResponseWriter, *http.Request) error {
		return func(http.ResponseWriter, *http.Request) error { return err }
	}
	handle("GET /runs/{id}", func(w http.ResponseWriter, r *http.Request) error {
		httpx.RecordOf(r.Context()).User = "usr_1"
		_, err := io.WriteString(w, "hello")
		return err
	})
	handle("POST /runs", func(w http.ResponseWriter, r *http.Request) error {
		httpx.RecordOf(r.Context()).Route = "/named"
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusCreated)
		return nil
	})
	handle("/none", fails(nil))
	handle("/invalid", fails(gathering.NewError(gathering.KindInvalid, "it is wrong").WithFields(gathering.FieldError{Field: "name", Problem: "is missing"}).WithCause(errors.New("canary"))))
	handle("/internal", fails(fmt.Errorf("open the vault: %w", errors.New("rusty"))))
	handle("/away", fails(gathering.NewError(gathering.KindUnavailable, "later").WithCause(errors.New("the line is cut"))))
	handle("/cancelled", fails(fmt.Errorf("read a run: %w", context.Canceled)))
	handle("/panic", func(http.ResponseWriter, *http.Request) error { panic("a defect") })
	handle("/abort", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })
	handle("/half", func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half")
		return errors.New("rusty")
	})
	return mux
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("x", 1000)
	for name, test := range map[string]struct {
		method, target string
		want           map[string]any
	}{
		"a route":               {"GET", "/runs/run_1?token=canary", map[string]any{"route": "/runs/{id}", "user": "usr_1"}},
		"without its body":      {"HEAD", "/runs/run_1", map[string]any{"route": "/runs/{id}", "user": "usr_1"}},
		"a route by its name":   {"POST", "/runs", map[string]any{"route": "/named", "status": 201.0}},
		"no answer":             {"GET", "/none", map[string]any{"route": "/none"}},
		"no route":              {"GET", "/wp-admin?canary", map[string]any{"path": "/wp-admin", "status": 404.0}},
		"no route, cleaned":     {"GET", "/a%0a%1b%E2%80%AEb", map[string]any{"path": "/a b", "status": 404.0}},
		"no route, cut":         {"GET", long, map[string]any{"path": long[:300] + " …", "status": 404.0}},
		"the client's error":    {"GET", "/invalid", map[string]any{"route": "/invalid", "status": 400.0, "kind": "invalid", "error": "it is wrong: name: is missing"}},
		"an internal error":     {"GET", "/internal", map[string]any{"level": "ERROR", "route": "/internal", "status": 500.0, "kind": "internal", "error": "open the vault: rusty"}},
		"unavailable":           {"GET", "/away", map[string]any{"level": "ERROR", "route": "/away", "status": 503.0, "kind": "unavailable", "error": "later: the line is cut"}},
		"cancelled":             {"GET", "/cancelled", map[string]any{"route": "/cancelled", "status": 503.0, "kind": "cancelled", "error": "it was cancelled"}},
		"aborted":               {"GET", "/abort", map[string]any{"route": "/abort", "status": 0.0, "aborted": true}},
		"an error half through": {"GET", "/half", map[string]any{"level": "ERROR", "route": "/half", "bytes": 4.0, "kind": "internal", "error": "rusty", "aborted": true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged journal
			r := request(test.method, test.target, near, xff, "192.0.2.1", "Authorization", "Bearer canary", "Cookie", "session=canary")
			r.Body = io.NopCloser(strings.NewReader("canary"))
			w := httptest.NewRecorder()
			func() {
				defer func() {
					var want any
					if test.want["aborted"] != nil {
						want = http.ErrAbortHandler
					}
					if got := recover(); got != want {
						t.Errorf("recovered %v, want %v", got, want)
					}
				}()
				httpx.Log(routes(), logged.logger(), proxies(t, "10.0.0.0/8")).ServeHTTP(w, r)
			}()
			want := map[string]any{
				"level": "INFO", "msg": "request", "method": test.method, "status": 200.0, "bytes": 0.0, "user": "", "address": "192.0.2.1",
				"request_id": w.Header().Get("X-Request-ID"),
			}
			if test.method != http.MethodHead {
				want["bytes"] = float64(w.Body.Len())
			}
			maps.Copy(want, test.want)
			lines := logged.lines(t)
			if len(lines) != 1 {
				t.Fatalf("%d lines, want 1:\n%s", len(lines), logged.String())
			}
			if d, ok := lines[0]["duration"].(float64); !ok || d <= 0 {
				t.Errorf("duration %v, want some", lines[0]["duration"])
			}
			delete(lines[0], "duration")
			if diff := cmp.Diff(want, lines[0]); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
			if strings.Contains(logged.String(), "canary") {
				t.Errorf("the log tells what it must not:\n%s", logged.String())
			}
		})
	}
}

func TestAddressOverASocket(t *testing.T) {
	t.Parallel()
	var logged journal
	ask(httpx.Log(routes(), logged.logger(), httpx.Proxies{}), request("GET", "/none", "@"))
	if got := logged.lines(t)[0]["address"]; got != "local" {
		t.Errorf("address %v, want local", got)
	}
}

func TestCatchAllIsNoRoute(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.NotFound(w, r)
		}
	})
	var logged journal
	h := httpx.Log(mux, logged.logger(), httpx.Proxies{})
	ask(h, request("GET", "/there", direct))
	ask(h, request("GET", "/nowhere", direct))
	lines := logged.lines(t)
	if lines[0]["route"] != "/" || lines[0]["path"] != nil || lines[1]["path"] != "/nowhere" || lines[1]["route"] != nil {
		t.Errorf("got\n%s", logged.String())
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var logged journal
	w := ask(httpx.Log(routes(), logged.logger(), httpx.Proxies{}), request("GET", "/panic", direct))
	id := w.Header().Get("X-Request-ID")
	if p := problem(t, w.Body.Bytes()); p.Status != 500 || p.RequestID != id || strings.Contains(w.Body.String(), "defect") {
		t.Errorf("answered %s", w.Body)
	}
	lines := logged.lines(t)
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2:\n%s", len(lines), logged.String())
	}
	stack, _ := lines[0]["stack"].(string)
	if lines[0]["level"] != "ERROR" || lines[0]["request_id"] != id || lines[0]["panic"] != "a defect" || !strings.Contains(stack, "httpx_test.routes.") {
		t.Errorf("got %v, want the panic with where it was", lines[0])
	}
	if lines[1]["level"] != "ERROR" || lines[1]["status"] != 500.0 || lines[1]["route"] != "/panic" {
		t.Errorf("got %v", lines[1])
	}
}

// onTheWire serves a handler behind Log, as it is in production.
func onTheWire(t *testing.T, logged *journal, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpx.NewServer(httpx.Log(h, logged.logger(), httpx.Proxies{}), slog.New(slog.DiscardHandler))
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// fetch asks a server and returns the body of its answer.
func fetch(t *testing.T, server *httptest.Server) (io.Reader, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { response.Body.Close() })
	return response.Body, nil
}

func TestAnswersThatFailHalfThroughAreCutOff(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(w http.ResponseWriter, r *http.Request){
		"panic":   func(http.ResponseWriter, *http.Request) { panic("a defect") },
		"abort":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"problem": func(w http.ResponseWriter, r *http.Request) { httpx.WriteProblem(w, r, errors.New("rusty")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged journal
			server := onTheWire(t, &logged, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "half")
				fail(w, r)
			})
			body, err := fetch(t, server)
			text := []byte{}
			if err == nil {
				text, err = io.ReadAll(body)
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix("half", string(text)) {
				t.Errorf("read %q, %v, want it cut off", text, err)
			}
			server.Close()
			last := logged.lines(t)[len(logged.lines(t))-1]
			if last["aborted"] == nil || last["status"] != 200.0 {
				t.Errorf("got %v, want it to be said", last)
			}
		})
	}
}

func TestFlushReachesTheClient(t *testing.T) {
	t.Parallel()
	for name, flush := range map[string]func(w http.ResponseWriter) error{
		"by a controller": func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() },
		"by the writer": func(w http.ResponseWriter) error {
			w.(http.Flusher).Flush()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged journal
			read := make(chan struct{})
			server := onTheWire(t, &logged, func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Now().Add(time.Minute))); err != nil {
					t.Errorf("deadlines cannot be set: %v", err)
				}
				_, _ = io.WriteString(w, "first\n")
				if err := flush(w); err != nil {
					t.Error(err)
				}
				select {
				case <-read:
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "second\n")
			})
			answer, err := fetch(t, server)
			if err != nil {
				t.Fatal(err)
			}
			body := bufio.NewReader(answer)
			if line, err := body.ReadString('\n'); line != "first\n" {
				t.Fatalf("got %q, %v", line, err)
			}
			close(read)
			if line, err := body.ReadString('\n'); line != "second\n" {
				t.Fatalf("got %q, %v", line, err)
			}
			server.Close()
			if got := logged.lines(t)[0]["bytes"]; got != 13.0 {
				t.Errorf("%v bytes are logged, want 13", got)
			}
		})
	}
}

// TestFlushBegins holds that what was flushed is an answer that has begun.
func TestFlushBegins(t *testing.T) {
	t.Parallel()
	var logged journal
	server := onTheWire(t, &logged, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		panic("a defect")
	})
	answer, err := fetch(t, server)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(answer); len(body) > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v, want it cut off", body, err)
	}
}

func TestRecordOfNobody(t *testing.T) {
	t.Parallel()
	httpx.RecordOf(t.Context()).User = "usr_1"
	if got := httpx.RecordOf(t.Context()).User; got != "" {
		t.Errorf("got %q, want nothing kept", got)
	}
}

func BenchmarkLog(b *testing.B) {
	h := httpx.Log(httpx.Secure(routes(), httpx.Policy{}), (&journal{}).logger(), httpx.Proxies{})
	r := request("GET", "/runs/run_1", direct)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/app"
	"gathering/internal/auth"
	"gathering/internal/ratelimit"
	"gathering/internal/serve"
	"gathering/internal/store/storetest"
	"gathering/internal/tool"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// patience bounds every wait of these tests; it is never waited out.
const patience = 30 * time.Second

// journal keeps what is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// stand is where services are run, one after another, on one database.
type stand struct {
	t   *testing.T
	env map[string]string
	// The tool test.held says that it was begun and goes on until it is let go
	// or stopped.
	begun, letGo chan struct{}

	mu    sync.Mutex
	calls map[string]int // of the tool, by run
	app   app.Options
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{
		t: t, env: map[string]string{"OLLAMA_HOST": "127.0.0.1:1"},
		begun: make(chan struct{}, 100), letGo: make(chan struct{}), calls: map[string]int{},
	}
	held, err := tool.New(gathering.ToolSpec{Name: "test.held", Description: "Goes on until it is let go."},
		func(ctx context.Context, call tool.Call, _ struct{}) (struct{}, error) {
			s.mu.Lock()
			s.calls[string(call.Run)]++
			s.mu.Unlock()
			s.begun <- struct{}{}
			select {
			case <-s.letGo:
				return struct{}{}, nil
			case <-ctx.Done():
				return struct{}{}, ctx.Err()
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	s.app = app.Options{
		Data: t.TempDir(), Tools: []tool.Tool{held},
		Lookup: func(name string) (string, bool) { value, ok := s.env[name]; return value, ok },
	}
	return s
}

// each runs fn at a stand on either database.
func each(t *testing.T, fn func(t *testing.T, s *stand)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, newStand(t))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		s := newStand(t)
		s.app.Database = storetest.PostgreSQL(t).URL
		fn(t, s)
	})
}

const (
	email    = "ada@example.com"
	password = "correct horse battery staple"
)

// administered has the first administrator made of the environment.
func (s *stand) administered() *stand {
	s.env["GATHERING_ADMIN_EMAIL"], s.env["GATHERING_ADMIN_PASSWORD"] = email, password
	return s
}

func (s *stand) called(id gathering.RunID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[string(id)]
}

// options are those of a service on a free port of this machine.
func (s *stand) options() serve.Options {
	most := ratelimit.Rate{Requests: 1_000_000, Per: time.Second}
	return serve.Options{
		App: s.app, Addr: "127.0.0.1:0",
		Front: app.FrontOptions{
			Version: "1.2.3", Cost: auth.Cost{Memory: 64, Iterations: 1, Parallelism: 1},
			Limits: app.Limits{SignIn: most, Write: most, Read: most, Token: most},
		},
	}
}

// running is a service under way.
type running struct {
	*stand

	url     string
	log     *journal // what it logged
	said    *journal // what it told people
	signals chan os.Signal
	cancel  func()
	ended   chan struct{}
	err     error // once it has ended
	client  *http.Client
	token   string // of the administrator, once they have signed in
}

// try runs a service, of which it is not known whether it opens. Ready is closed
// once it answers.
func (s *stand) try(o serve.Options) (r *running, ready <-chan struct{}) {
	s.t.Helper()
	r = &running{
		stand: s, log: &journal{}, said: &journal{}, signals: make(chan os.Signal, 4), ended: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{}, Timeout: patience},
	}
	opened := make(chan struct{})
	o.App.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	o.Signals = r.signals
	o.Say = func(format string, args ...any) { fmt.Fprintf(r.said, format+"\n", args...) }
	o.Ready = func(url string) {
		r.url = url
		close(opened)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		r.err = serve.Run(ctx, o)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-r.ended
		r.client.CloseIdleConnections()
	})
	return r, opened
}

// serve runs a service and returns once it answers.
func (s *stand) serve(o serve.Options) *running {
	s.t.Helper()
	r, ready := s.try(o)
	select {
	case <-ready:
	case <-r.ended:
		s.t.Fatalf("it does not open: %v\n%s%s", r.err, r.said, r.log)
	case <-time.After(patience):
		s.t.Fatal("it does not open")
	}
	return r
}

// refuses runs a service that does not open, and returns why.
func (s *stand) refuses(o serve.Options) error {
	s.t.Helper()
	r, ready := s.try(o)
	select {
	case <-ready:
		s.t.Fatal("it opens")
	case <-r.ended:
	case <-time.After(patience):
		s.t.Fatal("it neither opens nor ends")
	}
	if r.err == nil {
		s.t.Fatal("it ends without saying why it does not open")
	}
	return r.err
}

// ends waits for the end of the service, which is to be no error.
func (r *running) ends() {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Fatalf("it does not end\n%s%s", r.said, r.log)
	}
	if r.err != nil {
		r.t.Errorf("it ended with %v", r.err)
	}
}

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	body   string
	closed bool // the connection was
}

// tries asks the service for something.
func (r *running) tries(method, path, body string) (answer, error) {
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	var text bytes.Buffer
	_, err = io.Copy(&text, response.Body)
	return answer{response.StatusCode, response.Header, text.String(), response.Close}, err
}

// asks asks the service for something, which is to be answered so.
func (r *running) asks(want int, method, path, body string) answer {
	r.t.Helper()
	a, err := r.tries(method, path, body)
	if err != nil || a.status != want {
		r.t.Fatalf("%s %s: got %d, %v, want %d: %s\n%s", method, path, a.status, err, want, a.body, r.log)
	}
	return a
}

// into reads a document.
func into[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// signedIn signs the administrator in.
func (r *running) signedIn() *running {
	r.t.Helper()
	r.token = into[api.Tokens](r.t, r.asks(200, "POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))).AccessToken
	return r
}

// pipeline stores a pipeline of nodes after the trigger.
func (r *running) pipeline(name, nodes string) gathering.PipelineID {
	r.t.Helper()
	source := fmt.Sprintf("name: %s\nnodes:\n  start: {kind: trigger}\n%s", name, nodes)
	body, err := json.Marshal(map[string]string{"source": source})
	if err != nil {
		r.t.Fatal(err)
	}
	return into[gathering.Pipeline](r.t, r.asks(201, "POST", "/api/v1/pipelines", string(body))).ID
}

const heldNodes = `  a: {kind: tool, needs: [start], tool: test.held}
  b: {kind: tool, needs: [a], tool: time.now}
`

func (r *running) start(id gathering.PipelineID) gathering.Run {
	r.t.Helper()
	return into[gathering.Run](r.t, r.asks(202, "POST", "/api/v1/pipelines/"+string(id)+"/runs", ""))
}

func (r *running) run(id gathering.RunID) gathering.Run {
	r.t.Helper()
	return into[gathering.Run](r.t, r.asks(200, "GET", "/api/v1/runs/"+string(id), ""))
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (s *stand) awaitBegun() {
	s.t.Helper()
	select {
	case <-s.begun:
	case <-time.After(patience):
		s.t.Fatal("the tool is not called")
	}
}

// wantUnreachable holds that nobody listens any more.
func (r *running) wantUnreachable() {
	r.t.Helper()
	if a, err := r.tries("GET", "/healthz", ""); err == nil || !strings.Contains(err.Error(), syscall.ECONNREFUSED.Error()) {
		r.t.Errorf("got %d, %v, want a connection refused", a.status, err)
	}
}

var setupCode = regexp.MustCompile(`set-up code is ([0-9a-f]+)`)

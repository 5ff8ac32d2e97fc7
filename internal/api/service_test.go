package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/auth"
	"gathering/internal/breaker"
	"gathering/internal/httpx"
	"gathering/internal/ratelimit"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
	"gathering/internal/tool"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// patience bounds every wait of these tests; it is never waited out.
const patience = 30 * time.Second

// service is a whole service on a database of its own, asked over HTTP.
type service struct {
	*app.App

	front  *app.Front
	server *httptest.Server
	log    *journal
	clock  *clock
	// own and other are projects that each hold the same.
	own, other *place
	people     map[string]*person
	guest      gathering.User // who asks for nothing
	keeper     *person        // an administrator whose session nobody ends
	numbers    atomic.Int64   // of what is made up
	provider   sync.Once      // stores a provider of models,
	providerID string         // which is this
}

// clock is a service's: the real one, set off by as much as a test likes, or one
// that stands still until it is told to go on.
type clock struct{ off, stopped atomic.Int64 }

func (c *clock) now() time.Time {
	if at := c.stopped.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Now().Add(time.Duration(c.off.Load()))
}

func (c *clock) stop() { c.stopped.Store(time.Now().UnixNano()) }

func (c *clock) pass(d time.Duration) { c.stopped.Add(int64(d)) }

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
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

// plenty is more requests than any test makes.
func plenty() app.Limits {
	most := ratelimit.Rate{Requests: 1_000_000, Per: time.Second}
	return app.Limits{SignIn: most, Write: most, Read: most, Token: most}
}

// cheap is a password's cost that tests can afford.
func cheap() auth.Cost { return auth.Cost{Memory: 64, Iterations: 1, Parallelism: 1} }

// databases runs fn on a fresh database of either kind, as parallel subtests.
func databases(t *testing.T, fn func(t *testing.T, where store.Options)) {
	t.Helper()
	for name, fresh := range map[string]func(testing.TB) store.Options{"sqlite": storetest.SQLite, "postgresql": storetest.PostgreSQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(t, fresh(t))
		})
	}
}

// each runs fn on a service with everybody and everything in it, on either
// kind of database.
func each(t *testing.T, fn func(t *testing.T, s *service)) {
	t.Helper()
	databases(t, func(t *testing.T, where store.Options) { fn(t, furnished(t, where)) })
}

// part is a part of a test.
type part struct {
	name string
	test func(t *testing.T, s *service)
}

// inTurn runs parts of a test one after another on one service: making it
// takes long.
func inTurn(t *testing.T, s *service, parts ...part) {
	t.Helper()
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.test(t, s) })
	}
}

// furnished is a service with everybody and everything in it.
func furnished(t *testing.T, where store.Options) *service {
	t.Helper()
	s := open(t, where, app.FrontOptions{})
	s.furnish(t)
	return s
}

// open starts a service with nothing and nobody in it. What o leaves open is
// cheap and without bound.
func open(t *testing.T, where store.Options, o app.FrontOptions) *service {
	t.Helper()
	s := &service{log: &journal{}, clock: &clock{}}
	dir := where.Dir
	if dir == "" {
		dir = t.TempDir()
	}
	var err error
	s.App, err = app.Open(t.Context(), app.Options{
		Data: dir, Database: where.URL, Logger: slog.New(slog.NewJSONHandler(s.log, nil)), Now: s.clock.now, Tools: []tool.Tool{errand(t)},
		Circuits: breaker.Limits{Consecutive: 1_000_000, MinimumCalls: 1_000_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	o.Version, o.Cost = "1.2.3", cheap()
	if o.Limits == (app.Limits{}) {
		o.Limits = plenty()
	}
	s.front, err = s.OpenFront(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.front.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	s.server = serve(t, s.front.API.Public())
	return s
}

// serve serves a handler over HTTP for as long as the test runs.
func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config = httpx.NewServer(handler, slog.New(slog.DiscardHandler))
	server.Start()
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport)
	transport.DisableCompression, transport.MaxIdleConnsPerHost = true, 64
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return server
}

// errand is a tool whose calls end as they are told to.
func errand(t *testing.T) tool.Tool {
	t.Helper()
	type order struct {
		End string `json:"end,omitempty"`
	}
	made, err := tool.New(gathering.ToolSpec{Name: "test.errand", Description: "Does as it is told.", SideEffect: true},
		func(_ context.Context, _ tool.Call, in order) (order, error) {
			switch in.End {
			case "failed":
				return in, gathering.NewError(gathering.KindInvalid, "it went wrong")
			case "unknown":
				return in, gathering.NewError(gathering.KindConflict, "nobody can tell").WithCode(gathering.CodeUnknownOutcome)
			}
			return in, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// The pipelines of a place: one whose call ends as its input says, and one that
// waits for an hour.
const (
	errands = `{"name":"errands","vars":{"volume":1},"nodes":{"start":{"kind":"trigger"},
		"go":{"kind":"tool","needs":["start"],"tool":"test.errand","with":{"end":"${{ input }}"}}},"output":"${{ nodes.go.output }}"}`
	errandsAgain = `{"name":"errands","vars":{"volume":2},"nodes":{"start":{"kind":"trigger"},
		"go":{"kind":"tool","needs":["start"],"tool":"test.errand","with":{"end":"${{ input }}"}}},"output":"${{ nodes.go.output }}"}`
	patient = `{"name":"patient","nodes":{"start":{"kind":"trigger"},"wait":{"kind":"delay","needs":["start"],"for":"1h"}}}`
)

// place is a project and what is in it.
type place struct {
	id               gathering.ProjectID
	errands, patient gathering.Pipeline
	// Runs that nothing but what is named has happened to.
	completed, failed, waiting, unknown, paused gathering.Run
}

// furnish makes everybody and everything.
func (s *service) furnish(t *testing.T) {
	t.Helper()
	w, err := s.Runs.Work(t.Context(), run.WorkerOptions{Drain: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	s.own, s.other = s.newPlace(t, "own"), s.newPlace(t, "other")
	s.populate(t)
}

func (s *service) newPlace(t *testing.T, id gathering.ProjectID) *place {
	t.Helper()
	p := &place{id: id}
	if _, err := s.Projects.Create(t.Context(), id, "The project "+string(id), "Of the tests."); err != nil {
		t.Fatal(err)
	}
	s.save(t, id, errands)
	p.errands, p.patient = s.save(t, id, errandsAgain), s.save(t, id, patient)
	p.completed = s.start(t, p.errands, `"completed"`, gathering.RunCompleted)
	p.failed = s.start(t, p.errands, `"failed"`, gathering.RunFailed)
	p.unknown = s.start(t, p.errands, `"unknown"`, gathering.RunWaiting)
	p.waiting = s.start(t, p.patient, ``, gathering.RunWaiting)
	p.paused = s.newPaused(t, p)
	return p
}

func (s *service) save(t *testing.T, project gathering.ProjectID, document string) gathering.Pipeline {
	t.Helper()
	p, err := s.Save(t.Context(), project, []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// start starts a run and returns it once it has come to a state.
func (s *service) start(t *testing.T, p gathering.Pipeline, input string, state gathering.RunState) gathering.Run {
	t.Helper()
	n := run.New{}
	if input != "" {
		n.Input = json.RawMessage(input)
	}
	r, err := s.Start(t.Context(), p, n)
	if err != nil {
		t.Fatal(err)
	}
	return s.until(t, r.ID, state)
}

// newPaused is a run that somebody paused.
func (s *service) newPaused(t *testing.T, p *place) gathering.Run {
	t.Helper()
	r := s.start(t, p.patient, ``, gathering.RunWaiting)
	if _, err := s.Runs.Pause(t.Context(), r.ID, "ada"); err != nil {
		t.Fatal(err)
	}
	return s.until(t, r.ID, gathering.RunPaused)
}

// until waits until a run has come to a state.
func (s *service) until(t *testing.T, id gathering.RunID, state gathering.RunState) gathering.Run {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := s.Runs.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if r.State == state {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("run %s is %s, want %s", id, r.State, state)
		}
	}
}

// exec changes what is stored, behind the service's back.
func (s *service) exec(t *testing.T, query string) {
	t.Helper()
	if err := s.DB.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), query)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

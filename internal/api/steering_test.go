package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/run"
	"gathering/internal/store/storetest"
)

// graphs is one pipeline: a trigger and a call whose outcome its input decides.
type graphs struct{ graph *engine.Graph }

func (g graphs) Graph(context.Context, gathering.PipelineID, int) (*engine.Graph, error) {
	return g.graph, nil
}

func (graphs) Admit(context.Context, gathering.ProjectID, string, json.RawMessage) (gathering.PipelineID, int, error) {
	return "", 0, gathering.NewError(gathering.KindNotFound, "there is no other pipeline")
}

func call(_ context.Context, j engine.Job) (engine.Outcome, error) {
	switch string(j.Input) {
	case `"lost"`:
		return engine.Outcome{}, gathering.NewError(gathering.KindConflict, "the answer was lost").WithCode(gathering.CodeUnknownOutcome)
	case `"bad"`:
		return engine.Outcome{}, gathering.NewError(gathering.KindInvalid, "it is bad")
	}
	return engine.Outcome{Output: j.Input}, nil
}

// house is a real service with a worker, and its routes.
type house struct {
	t       *testing.T
	runs    *run.Service
	handler http.Handler
}

func newHouse(t *testing.T) *house {
	t.Helper()
	graph, err := engine.NewGraph([]engine.Node{
		{ID: "start", Do: engine.Trigger{}},
		{ID: "call", Do: engine.Work{Run: call}, Input: func(s *expr.Scope) (json.RawMessage, error) { return s.Input, nil }},
	}, []gathering.Edge{{From: "start", To: "call"}})
	if err != nil {
		t.Fatal(err)
	}
	s := run.NewService(run.Options{DB: storetest.Open(t, storetest.SQLite(t)), Pipelines: graphs{graph}, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(s.Close)
	w, err := s.Work(t.Context(), run.WorkerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return &house{t, s, api.NewHandler(api.Services{Runs: s, Steering: s, Repeating: s}, slog.New(slog.DiscardHandler))}
}

// start starts a run and waits until it has ended or waits for somebody.
func (h *house) start(input string) gathering.RunID {
	h.t.Helper()
	r, err := h.runs.Start(h.t.Context(), run.New{Project: "default", Pipeline: "pip_1", Version: 1, Input: json.RawMessage(input)})
	if err != nil {
		h.t.Fatal(err)
	}
	h.until(r.ID, func(r gathering.Run) bool { return r.Owner == "" && r.State != gathering.RunQueued })
	return r.ID
}

func (h *house) until(id gathering.RunID, is func(gathering.Run) bool) {
	h.t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-ticker.C {
		r, err := h.runs.Run(h.t.Context(), id)
		if err != nil {
			h.t.Fatal(err)
		}
		if is(r) {
			return
		}
	}
	h.t.Fatalf("waited in vain for %s", id)
}

// ask asks a route and returns the status and the body.
func (h *house) ask(method, path, body string) (int, string) {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, httptest.NewRequestWithContext(h.t.Context(), method, api.Prefix+path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func state(want gathering.RunState) func(gathering.Run) bool {
	return func(r gathering.Run) bool { return r.State == want && (want.Terminal() || r.Owner == "") }
}

// TestSteeringRoutes asks everything of the steering routes, one after another.
func TestSteeringRoutes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	lost, bad, good := h.start(`"lost"`), h.start(`"bad"`), h.start(`"good"`)
	const none = "run_00000000000000000000000000"
	steps := []struct {
		method, path, body string
		status             int
		want               string // in the answer
		until              func(gathering.Run) bool
	}{
		{"GET", "/runs/" + string(lost) + "/why", "", 200, "gathering runs decide " + string(lost) + " --node", nil},
		{"GET", "/runs/" + string(bad) + "/why", "", 200, `"line":"failed: node call: it is bad"`, nil},
		{"GET", "/runs/" + none + "/why", "", 404, "there is no run", nil},

		{"POST", "/runs/" + string(lost) + "/pause", `{"for":"1h"}`, 400, "takes no body", nil},
		{"POST", "/runs/" + string(lost) + "/resume", "", 409, "is not paused", nil},
		{"POST", "/runs/" + string(lost) + "/pause", "", 202, `"id":"` + string(lost), state(gathering.RunPaused)},
		{"GET", "/runs/" + string(lost) + "/why", "", 200, "the command line paused it", nil},
		{"POST", "/runs/" + string(lost) + "/resume", "{}", 202, `"id":"` + string(lost), state(gathering.RunWaiting)},
		{"POST", "/runs/" + string(good) + "/pause", "", 409, "has ended: completed", nil},
		{"POST", "/runs/" + none + "/pause", "", 404, "there is no run", nil},

		{"POST", "/runs/" + string(lost) + "/decide", ``, 400, `"field":"as"`, nil},
		{"POST", "/runs/" + string(lost) + "/decide", `{"node":"call","as":"perhaps"}`, 400, `"field":"as"`, nil},
		{"POST", "/runs/" + string(lost) + "/decide", `{"node":"other","as":"done"}`, 404, "no node", nil},
		{"POST", "/runs/" + string(lost) + "/decide", `{"node":"start","as":"done"}`, 409, "is not unknown", nil},
		{"POST", "/runs/" + string(lost) + "/decide", `{"node":"call","as":"fail","output":1}`, 400, `"field":"output"`, nil},
		{"POST", "/runs/" + string(lost) + "/decide", `{"node":"call","as":"done","by":"ada"}`, 400, "not what this request takes", nil},
		{"POST", "/runs/" + string(lost) + "/decide", `{"node":"call","as":"done"}{}`, 400, "not what this request takes", nil},
		{"POST", "/runs/" + string(lost) + "/decide", `{"node":"call","as":"done","output":{"n":12345678901234567890}}`, 202, `"id":"` + string(lost), state(gathering.RunCompleted)},
		{"POST", "/runs/" + string(lost) + "/decide", `{"node":"call","as":"done"}`, 409, "is not unknown", nil},

		{"POST", "/runs/" + string(good) + "/redrive", "", 409, "completed; fork it", nil},
		{"POST", "/runs/" + string(bad) + "/redrive", `{"from":["call"]}`, 400, "not what this request takes", nil},
		{"POST", "/runs/" + none + "/redrive", "", 404, "there is no run", nil},
		{"POST", "/runs/" + string(bad) + "/redrive", `{"input":"good"}`, 201, `"pipeline":"pip_1"`, nil},
		{"POST", "/runs/" + string(good) + "/fork", "", 400, `"field":"from"`, nil},
		{"POST", "/runs/" + string(good) + "/fork", `{"from":["nothing"]}`, 400, `"field":"from"`, nil},
		{"POST", "/runs/" + string(good) + "/fork", `{"from":["call"],"input":"` + strings.Repeat("x", 2<<20) + `"}`, 201, `"pipeline":"pip_1"`, nil},
		{"POST", "/runs/" + string(good) + "/fork", strings.Repeat(" ", 17<<20), 413, "over the limit of", nil},
		{"POST", "/runs/" + string(good) + "/cancel", "", 409, "has ended", nil},
		{"GET", "/dead-letters", "", 404, "no such route", nil},
	}
	for _, s := range steps {
		status, body := h.ask(s.method, s.path, s.body)
		if status != s.status || !strings.Contains(body, s.want) {
			t.Errorf("%s %s %.60s: got %d %s, want %d and %q", s.method, s.path, s.body, status, body, s.status, s.want)
		}
		if s.until != nil {
			h.until(lost, s.until)
		}
	}
	report, err := h.runs.Report(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"n":12345678901234567890}`, string(report.Nodes[1].Output)); diff != "" {
		t.Errorf("what was decided (-want +got):\n%s", diff)
	}
}

// TestSteeringClient asks through the control socket.
func TestSteeringClient(t *testing.T) {
	t.Parallel()
	h, dir := newHouse(t), t.TempDir()
	c, err := api.ServeControl(dir, api.Services{Runs: h.runs, Steering: h.runs, Repeating: h.runs}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	client, ctx := api.NewClient(dir), t.Context()
	lost, bad := h.start(`"lost"`), h.start(`"bad"`)
	if _, err := client.PauseRun(ctx, lost); err != nil {
		t.Fatal(err)
	}
	h.until(lost, state(gathering.RunPaused))
	if why, err := client.WhyRun(ctx, lost); err != nil || !strings.Contains(why.Line, "the command line paused it") {
		t.Errorf("got %+v, %v", why, err)
	}
	if _, err := client.ResumeRun(ctx, lost); err != nil {
		t.Fatal(err)
	}
	h.until(lost, state(gathering.RunWaiting))
	_, err = client.DecideRun(ctx, lost, api.Decision{Node: "call", As: "perhaps"})
	if gathering.KindOf(err) != gathering.KindInvalid || gathering.FailureOf(err).Fields[0].Field != "as" {
		t.Errorf("got %v, want that as is wrong", err)
	}
	if _, err := client.DecideRun(ctx, lost, api.Decision{Node: "call", As: "fail"}); err != nil {
		t.Fatal(err)
	}
	h.until(lost, state(gathering.RunFailed))
	next, err := client.RedriveRun(ctx, bad, api.RedriveOrder{Input: json.RawMessage(`"good"`)})
	if err != nil {
		t.Fatal(err)
	}
	h.until(next.ID, state(gathering.RunCompleted))
	forked, err := client.ForkRun(ctx, next.ID, api.ForkOrder{From: []string{"call"}})
	if err != nil {
		t.Fatal(err)
	}
	h.until(forked.ID, state(gathering.RunCompleted))
	if _, err := client.ForkRun(ctx, "run_../../x", api.ForkOrder{From: []string{"call"}}); gathering.KindOf(err) != gathering.KindNotFound {
		t.Errorf("got %v, want that there is no such run", err)
	}
}

// TestDeadLetterRoutes lists, dismisses and deletes, one after another.
func TestDeadLetterRoutes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.handler = api.NewHandler(api.Services{Runs: h.runs, DeadLetters: h.runs}, slog.New(slog.DiscardHandler))
	lost, good := string(h.start(`"lost"`)), string(h.start(`"good"`))
	first, second, third := string(h.start(`"bad"`)), string(h.start(`"bad"`)), string(h.start(`"bad"`))
	const none = "run_00000000000000000000000000"
	for _, s := range []struct {
		method, path, body string
		status             int
		want               string // in the answer
	}{
		{"GET", "/dead-letters?limit=0", "", 400, `"field":"limit"`},
		{"GET", "/dead-letters?limit=2", "", 200, `"next_cursor":"` + second + `"`},
		{"GET", "/dead-letters?limit=2&cursor=" + second, "", 200, `{"items":[{"id":"` + first + `"`},
		{"GET", "/dead-letters?limit=3", "", 200, `"error":{"kind":"invalid","message":"node call: it is bad"}}]}`},
		{"GET", "/dead-letters?project=other", "", 200, `{"items":[]}`},
		{"POST", "/runs/" + first + "/dismiss", `{"by":"ada"}`, 400, "takes no body"},
		{"POST", "/runs/" + first + "/dismiss", "", 200, `"id":"` + first},
		{"POST", "/runs/" + first + "/dismiss", "", 409, "is no dead letter: failed"},
		{"POST", "/runs/" + good + "/dismiss", "", 409, "is no dead letter: completed"},
		{"POST", "/runs/" + none + "/dismiss", "", 404, "there is no run"},
		{"DELETE", "/runs/" + lost, "", 409, "has not ended: waiting"},
		{"DELETE", "/runs/" + second, `{"force":true}`, 400, "takes no body"},
		{"DELETE", "/runs/" + second, "", 204, ""},
		{"DELETE", "/runs/" + second, "", 404, "there is no run"},
		{"GET", "/runs/" + second, "", 404, "there is no run"},
		{"GET", "/dead-letters", "", 200, `{"items":[{"id":"` + third + `"`},
		{"POST", "/runs/" + lost + "/pause", "", 404, "no such route"},
	} {
		status, body := h.ask(s.method, s.path, s.body)
		if status != s.status || !strings.Contains(body, s.want) {
			t.Errorf("%s %s %s: got %d %s, want %d and %q", s.method, s.path, s.body, status, body, s.status, s.want)
		}
	}
}

// TestDeadLetterClient asks through the control socket.
func TestDeadLetterClient(t *testing.T) {
	t.Parallel()
	h, dir := newHouse(t), t.TempDir()
	c, err := api.ServeControl(dir, api.Services{Runs: h.runs, DeadLetters: h.runs}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	client, ctx := api.NewClient(dir), t.Context()
	first, second := h.start(`"bad"`), h.start(`"bad"`)
	var got []gathering.RunID
	cursor := ""
	for {
		letters, next, err := client.DeadLetters(ctx, cursor, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			got = append(got, l.ID)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff([]gathering.RunID{second, first}, got); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	if err := client.DismissRun(ctx, first); err != nil {
		t.Error(err)
	}
	if err := client.DeleteRun(ctx, second); err != nil {
		t.Error(err)
	}
	if err := client.DeleteRun(ctx, second); gathering.KindOf(err) != gathering.KindNotFound {
		t.Errorf("got %v, want that there is no such run", err)
	}
	if letters, _, err := client.DeadLetters(ctx, "", 10); err != nil || len(letters) != 0 {
		t.Errorf("got %v, %v, want none left", letters, err)
	}
}

package run_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// patience bounds every wait of these tests; it is never waited out.
const patience = 30 * time.Second

// pipelines are graphs by name, version 1 each, and count the work they do.
type pipelines struct {
	graphs map[string]*engine.Graph

	mu    sync.Mutex
	calls map[string]int // by run and node: work begun
}

func (p *pipelines) Graph(_ context.Context, id gathering.PipelineID, _ int) (*engine.Graph, error) {
	g, ok := p.graphs[string(id)]
	if !ok {
		return nil, gathering.NewError(gathering.KindNotFound, "there is no pipeline %q", id)
	}
	return g, nil
}

func (p *pipelines) Admit(ctx context.Context, _ gathering.ProjectID, name string, input json.RawMessage) (gathering.PipelineID, int, error) {
	if string(input) == `"refuse"` {
		return "", 0, gathering.NewError(gathering.KindInvalid, "input is wrong")
	}
	_, err := p.Graph(ctx, gathering.PipelineID(name), 1)
	return gathering.PipelineID(name), 1, err
}

func (p *pipelines) called(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[key]++
}

func (p *pipelines) count(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[key]
}

// add adds a pipeline of nodes and edges such as "a→b".
func (p *pipelines) add(t *testing.T, name string, nodes []engine.Node, edges ...string) {
	t.Helper()
	var list []gathering.Edge
	for _, e := range edges {
		from, to, _ := strings.Cut(e, "→")
		list = append(list, gathering.Edge{From: from, To: to})
	}
	g, err := engine.NewGraph(nodes, list)
	if err != nil {
		t.Fatal(err)
	}
	p.graphs[name] = g
}

func newPipelines() *pipelines {
	return &pipelines{graphs: map[string]*engine.Graph{}, calls: map[string]int{}}
}

func trigger() engine.Node { return engine.Node{ID: "t", Do: engine.Trigger{}} }

// work counts itself and answers with its node's name.
func (p *pipelines) work(id string) engine.Node {
	return engine.Node{ID: id, Do: engine.Work{Idempotent: true, Run: func(_ context.Context, j engine.Job) (engine.Outcome, error) {
		p.called(id)
		return engine.Outcome{Output: json.RawMessage(`"` + j.Node + `"`)}, nil
	}}}
}

func does(id string, fn func(ctx context.Context, j engine.Job) (engine.Outcome, error)) engine.Node {
	return engine.Node{ID: id, Do: engine.Work{Idempotent: true, Run: fn}}
}

func sleep(id string, d time.Duration) engine.Node {
	return engine.Node{ID: id, Do: engine.Sleep(func(_ *expr.Scope, now time.Time) (time.Time, error) { return now.Add(d), nil })}
}

func child(id, pipeline string) engine.Node {
	return engine.Node{ID: id, Do: engine.Child(func(_ *expr.Scope, in json.RawMessage) (engine.ChildSpec, error) {
		return engine.ChildSpec{Pipeline: pipeline, Input: in, Wait: true}, nil
	})}
}

// house is a service over a database, with a worker if asked.
type house struct {
	t *testing.T
	*run.Service
	worker *run.Worker
}

func openHouse(t *testing.T, db *store.DB, p *pipelines) *house {
	t.Helper()
	return openHouseWith(t, run.Options{DB: db, Pipelines: p})
}

func openHouseWith(t *testing.T, o run.Options) *house {
	t.Helper()
	o.Logger = logger(t)
	s := run.NewService(o)
	t.Cleanup(s.Close)
	return &house{t: t, Service: s}
}

func (h *house) work() *house {
	h.t.Helper()
	return h.workWith(run.WorkerOptions{Beat: 100 * time.Millisecond})
}

func (h *house) workWith(o run.WorkerOptions) *house {
	h.t.Helper()
	o.ParkAfter, o.Drain, o.CrashPause = 10*time.Millisecond, time.Second, 20*time.Millisecond
	w, err := h.Work(h.t.Context(), o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.worker = w
	h.t.Cleanup(w.Stop)
	return h
}

func (h *house) start(pipeline string) gathering.RunID {
	h.t.Helper()
	r, err := h.Start(h.t.Context(), run.New{Project: gathering.DefaultProject, Pipeline: gathering.PipelineID(pipeline), Version: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	return r.ID
}

// until waits for an event of the type, of the node if one is named.
func (h *house) until(id gathering.RunID, want gathering.EventType, node string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	for e, err := range h.Watch(ctx, id, 0) {
		if err != nil {
			h.t.Fatalf("wait for %s of %s: %v; so far %s", want, id, err, h.history(id))
		}
		if e.Type == want && e.Node == node {
			return
		}
	}
	h.t.Fatalf("%s ended without %s %s: %s", id, want, node, h.history(id))
}

// wantEnd waits until the run has ended, and holds that it did so as wanted.
func (h *house) wantEnd(id gathering.RunID, want gathering.RunState) gathering.Run {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	err := h.Wait(ctx, id)
	for gathering.KindOf(err) == gathering.KindUnavailable {
		err = h.Wait(ctx, id)
	}
	if err != nil {
		h.t.Fatalf("wait for the end of %s: %v; so far %s", id, err, h.history(id))
	}
	return h.wantState(id, want)
}

// wantGivenUp holds that the run was ended because nobody could move it.
func (h *house) wantGivenUp(id gathering.RunID) {
	h.t.Helper()
	h.wantEnd(id, gathering.RunFailed)
	events, err := h.Events(h.t.Context(), id, 0, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	var end gathering.RunEndedData
	if err := json.Unmarshal(events[len(events)-1].Data, &end); err != nil {
		h.t.Fatal(err)
	}
	if end.Failure == nil || end.Failure.Code != gathering.CodeCrashedHost {
		h.t.Errorf("got the failure %+v, want one of code %s", end.Failure, gathering.CodeCrashedHost)
	}
}

func (h *house) history(id gathering.RunID) string {
	h.t.Helper()
	events, err := h.Events(context.Background(), id, 0, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	var words []string
	for _, e := range events {
		word := strings.TrimPrefix(string(e.Type), "node.")
		if e.Node != "" {
			word = e.Node + ":" + word
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (h *house) wantHistory(id gathering.RunID, want string) {
	h.t.Helper()
	if got := h.history(id); got != want {
		h.t.Errorf("history of %s\n got %s\nwant %s", id, got, want)
	}
}

func (h *house) wantState(id gathering.RunID, want gathering.RunState) gathering.Run {
	h.t.Helper()
	r, err := h.Run(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	if r.State != want {
		h.t.Errorf("got %s %s, want %s", id, r.State, want)
	}
	return r
}

// change changes the database behind the backs of those who work on it.
func change(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// number is the one number that a query returns.
func number(t *testing.T, db *store.DB, query string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := db.Read().QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// randomText is JSON text of n bytes that nothing makes shorter by much.
func randomText(n int) json.RawMessage {
	b := make([]byte, n*3/4)
	_, _ = rand.Read(b)
	return json.RawMessage(`"` + base64.StdEncoding.EncodeToString(b) + `"`)
}

func logger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	fmt.Fprint(w.t.Output(), string(p))
	return len(p), nil
}

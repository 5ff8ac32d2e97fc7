package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/llm"
	"gathering/internal/llm/llmtest"
	"gathering/internal/run"
)

// service is an API that keeps the keys it is sent, by path. The first call of
// /busy it puts off, the first of /cut it breaks off, the first of /hang it does
// not answer.
type service struct {
	*httptest.Server

	mu   sync.Mutex
	keys map[string][]string
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{keys: map[string][]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.keys[r.URL.Path] = append(s.keys[r.URL.Path], r.Header.Get("Idempotency-Key"))
		first := len(s.keys[r.URL.Path]) == 1
		s.mu.Unlock()
		switch {
		case first && r.URL.Path == "/busy":
			w.Header().Set("Retry-After", "0.01")
			w.WriteHeader(http.StatusTooManyRequests)
		case first && r.URL.Path == "/cut":
			panic(http.ErrAbortHandler)
		case first && r.URL.Path == "/hang":
			<-r.Context().Done()
		default:
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"path":"`+r.URL.Path+`"}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// allowing is an environment that allows networks and has nothing else.
func allowing(networks string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if name == "GATHERING_ALLOW_PRIVATE_NETWORKS" {
			return networks, true
		}
		return "", false
	}
}

// call runs a pipeline of one call and returns how the call's node ended.
func (s *service) call(t *testing.T, allow, node string) gathering.NodeReport {
	t.Helper()
	a := open(t, app.Options{Data: t.TempDir(), Lookup: allowing(allow)})
	p, err := a.Save(t.Context(), gathering.DefaultProject, fmt.Appendf(nil, `
name: calls
nodes:
  start: {kind: trigger}
  ask: {kind: action, needs: [start], action: call_api, %s, retry: {max_attempts: 2, initial_delay: 1ms}}
`, strings.ReplaceAll(node, "URL", s.URL)))
	if err != nil {
		t.Fatal(err)
	}
	work(t, a)
	r, err := a.Start(t.Context(), p, run.New{})
	if err != nil {
		t.Fatal(err)
	}
	end(t, a, r.ID)
	report, err := a.Runs.Report(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	return report.Nodes[1]
}

func TestCalls(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		node     string
		state    gathering.NodeState
		requests int
		keys     int // different ones
	}{
		"answered":       {`with: {url: "URL/ok"}`, gathering.NodeCompleted, 1, 0},
		"put off":        {`with: {method: POST, url: "URL/busy"}`, gathering.NodeCompleted, 2, 2},
		"cut":            {`with: {url: "URL/cut"}`, gathering.NodeCompleted, 2, 0},
		"cut for good":   {`with: {method: POST, url: "URL/cut"}, on_unknown: fail`, gathering.NodeFailed, 1, 1},
		"cut and again":  {`with: {method: POST, url: "URL/cut"}, on_unknown: retry`, gathering.NodeCompleted, 2, 1},
		"cut, no matter": {`with: {method: POST, url: "URL/cut"}, idempotent: true`, gathering.NodeCompleted, 2, 1}, // nobody knows what came of the first
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			n := s.call(t, "127.0.0.1/32", test.node)
			if n.State != test.state {
				t.Errorf("the call is %s: %+v, want %s", n.State, n.Error, test.state)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			requests, keys := 0, map[string]bool{}
			for _, list := range s.keys {
				for _, key := range list {
					requests++
					if key != "" {
						keys[key] = true
					}
				}
			}
			if requests != test.requests || len(keys) != test.keys {
				t.Errorf("the service saw %d requests with %d keys, want %d with %d: %v", requests, len(keys), test.requests, test.keys, s.keys)
			}
		})
	}
}

// TestAgentsCalls holds that a call which an agent makes is repeated as one of a
// node is: by its method, whatever stands before the tool.
func TestAgentsCalls(t *testing.T) {
	t.Parallel()
	for method, test := range map[string]struct {
		state    gathering.NodeState
		code     string
		requests int
	}{
		"GET":  {gathering.NodeCompleted, "", 2},
		"POST": {gathering.NodeFailed, gathering.CodeUnknownOutcome, 1},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			script := llmtest.New(llmtest.Turn{Calls: []llmtest.Call{
				{Tool: "http_request", Args: map[string]string{"method": method, "url": s.URL + "/hang"}},
			}}, llmtest.Turn{Text: "Done."})
			a := open(t, app.Options{
				Data: t.TempDir(), Lookup: allowing("127.0.0.1/32"), Providers: []llm.Provider{llmtest.Provider{"model": script}},
			})
			p, err := a.Save(t.Context(), gathering.DefaultProject, []byte(`
name: calls
nodes:
  start: {kind: trigger}
  ask:
    {kind: agent, needs: [start], model: scripted/model, tools: [http.request], task: Ask it., timeout: 1s,
    on_unknown: fail, retry: {max_attempts: 2, initial_delay: 1ms}}
`))
			if err != nil {
				t.Fatal(err)
			}
			work(t, a)
			r, err := a.Start(t.Context(), p, run.New{})
			if err != nil {
				t.Fatal(err)
			}
			end(t, a, r.ID)
			report, err := a.Runs.Report(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			n := report.Nodes[1]
			if n.State != test.state || n.Error != nil && n.Error.Code != test.code {
				t.Errorf("the agent is %s: %+v, want %s %s", n.State, n.Error, test.state, test.code)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := len(s.keys["/hang"]); got != test.requests {
				t.Errorf("the service saw %d requests, want %d", got, test.requests)
			}
		})
	}
}

func TestNetworksNotAllowed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	n := s.call(t, "10.0.0.0/8", `with: {method: POST, url: "URL/ok"}`)
	want := gathering.Failure{
		Kind:    gathering.KindForbidden,
		Message: "127.0.0.1 is in a private or special network; outgoing calls reach it only if GATHERING_ALLOW_PRIVATE_NETWORKS lists its network",
	}
	if n.Error == nil {
		t.Fatalf("the call is %s", n.State)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, *n.Error); diff != "" || len(s.keys) != 0 {
		t.Errorf("the service saw %v (-want +got):\n%s", s.keys, diff)
	}
}

func TestNetworksMisread(t *testing.T) {
	t.Parallel()
	a, err := app.Open(t.Context(), app.Options{Data: t.TempDir(), Lookup: allowing("10.0.0.0/8,localhost")})
	if err == nil {
		_ = a.Close()
	}
	if gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), "GATHERING_ALLOW_PRIVATE_NETWORKS: entry 2 ") {
		t.Errorf("got %v, want it to name the setting's second entry", err)
	}
}

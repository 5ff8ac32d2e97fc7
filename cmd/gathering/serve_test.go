package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gathering"
)

const (
	adminEmail    = "ada@example.com"
	adminPassword = "correct horse battery staple"
)

// spoken is what a process writes, to be read meanwhile.
type spoken struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *spoken) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(p)
}

func (h *spoken) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// services is a place where services are run, one after another, and asked.
type services struct {
	*place

	url   atomic.Pointer[string] // of the one that was started last
	token string                 // of the administrator
}

func newServices(t *testing.T, p *place) *services {
	t.Helper()
	p.env = append(p.env, "GATHERING_ADMIN_EMAIL="+adminEmail, "GATHERING_ADMIN_PASSWORD="+adminPassword, "GATHERING_BEAT=200ms",
		"GATHERING_LIMIT_SIGN_IN=100000/s", "GATHERING_LIMIT_WRITE=100000/s", "GATHERING_LIMIT_READ=100000/s", "GATHERING_LIMIT_TOKEN=100000/s")
	return &services{place: p}
}

var listening = regexp.MustCompile(`listening on (\S+)`)

// serve starts a service and returns once it answers.
func (s *services) serve() *process {
	s.t.Helper()
	said := &spoken{}
	r := s.startAs(func(r *process) { r.cmd.Stderr = said }, "serve", "--addr", "127.0.0.1:0")
	await(s.t, "the service to answer", func() bool {
		select {
		case <-r.ended:
			s.t.Fatalf("it ended: %s", said)
		default:
		}
		found := listening.FindStringSubmatch(said.String())
		if found != nil {
			s.url.Store(&found[1])
		}
		return found != nil
	})
	return r
}

// reply is what a request was answered with.
type reply struct {
	status int
	body   []byte
}

// ask asks the service for something, as whoever a token stands for.
func (s *services) ask(client *http.Client, method, path, token, key, body string) (reply, error) {
	request, err := http.NewRequestWithContext(s.t.Context(), method, *s.url.Load()+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	var text bytes.Buffer
	_, err = io.Copy(&text, response.Body)
	return reply{response.StatusCode, text.Bytes()}, err
}

// newClient is a client with connections of its own.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// gets asks for something that is to be answered so, and reads it.
func gets[T any](s *services, want int, method, path, token, body string) T {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := s.ask(client, method, path, token, "", body)
	if err != nil || r.status != want {
		s.t.Fatalf("%s %s: got %d, %v, want %d: %s", method, path, r.status, err, want, r.body)
	}
	var v T
	if len(r.body) > 0 {
		if err := json.Unmarshal(r.body, &v); err != nil {
			s.t.Fatalf("%v: %s", err, r.body)
		}
	}
	return v
}

type named struct {
	ID string `json:"id"`
}

// signIn begins a session and returns its access token.
func (s *services) signIn() string {
	s.t.Helper()
	return gets[struct {
		Token string `json:"access_token"`
	}](s, 200, "POST", "/api/v1/auth/login", "", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, adminPassword)).Token
}

// apiToken makes an API token of the administrator.
func (s *services) apiToken(session string) string {
	s.t.Helper()
	return gets[struct {
		Secret string `json:"secret"`
	}](s, 201, "POST", "/api/v1/tokens", session, `{"name":"load","scopes":["*"]}`).Secret
}

func (s *services) pipeline(source string) string {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"source": source})
	if err != nil {
		s.t.Fatal(err)
	}
	return gets[named](s, 201, "POST", "/api/v1/pipelines", s.token, string(body)).ID
}

const quick = `name: quick
nodes:
  start: {kind: trigger}
  look: {kind: tool, needs: [start], tool: time.now}
  rest: {kind: delay, needs: [look], for: 20ms}
  note: {kind: transform, needs: [rest], set: {n: "${{ input.n }}"}}
output: "${{ nodes.note.output.n }}"
`

// everyRun returns the states of all runs of a pipeline.
func (s *services) everyRun(pipeline string) map[string]gathering.RunState {
	s.t.Helper()
	states := map[string]gathering.RunState{}
	for cursor := ""; ; {
		page := gets[struct {
			Items []gathering.Run `json:"items"`
			Next  string          `json:"next_cursor"`
		}](s, 200, "GET", "/api/v1/pipelines/"+pipeline+"/runs?limit=500&cursor="+url.QueryEscape(cursor), s.token, "")
		for _, r := range page.Items {
			states[string(r.ID)] = r.State
		}
		if cursor = page.Next; cursor == "" {
			return states
		}
	}
}

// awaitCompleted waits until every run of a pipeline has completed, and returns
// them.
func (s *services) awaitCompleted(pipeline string) (states map[string]gathering.RunState) {
	s.t.Helper()
	await(s.t, "the end of the runs", func() bool {
		states = s.everyRun(pipeline)
		for id, state := range states {
			if state.Terminal() && state != gathering.RunCompleted {
				s.t.Fatalf("%s is %s", id, state)
			}
			if !state.Terminal() {
				return false
			}
		}
		return true
	})
	return states
}

// orders is what clients had accepted: runs, by their keys.
type orders struct {
	mu       sync.Mutex
	accepted map[string]string // run by key
	again    int               // requests that came to nothing and were repeated
}

// insist asks for a run under a key until that was accepted so many times.
func (o *orders) insist(s *services, client *http.Client, pipeline, key string, times int) {
	body := fmt.Sprintf(`{"input":{"n":%q}}`, key)
	for times > 0 && s.t.Context().Err() == nil {
		r, err := s.ask(client, "POST", "/api/v1/pipelines/"+pipeline+"/runs", s.token, key, body)
		if err != nil || r.status >= 500 {
			o.mu.Lock()
			o.again++
			o.mu.Unlock()
			<-time.After(10 * time.Millisecond) // it was killed, and another one comes
			continue
		}
		var run named
		if err := json.Unmarshal(r.body, &run); err != nil || r.status != 202 {
			s.t.Errorf("%s: got %d: %s", key, r.status, r.body)
			return
		}
		o.mu.Lock()
		if was := o.accepted[key]; was != "" && was != run.ID {
			s.t.Errorf("%s: run %s was accepted, and then %s", key, was, run.ID)
		}
		o.accepted[key] = run.ID
		o.mu.Unlock()
		times--
	}
}

// TestServiceKilledUnderLoad kills services while clients start runs, make and
// revoke things: what was accepted is there, once, and goes on.
func TestServiceKilledUnderLoad(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, p *place) {
		const clients, kills = 8, 3
		s := newServices(t, p)
		r := s.serve()
		s.token = s.signIn()
		over := s.signIn()
		gets[any](s, 204, "POST", "/api/v1/auth/logout", over, "")
		id := s.pipeline(quick)
		session := s.token
		s.token = s.apiToken(session)

		o := &orders{accepted: map[string]string{}}
		stop := make(chan struct{})
		var load sync.WaitGroup
		for c := range clients {
			client := newClient(t)
			load.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					o.insist(s, client, id, fmt.Sprintf("client %d order %d", c, n), 1+n%2)
				}
			})
		}
		// Somebody makes tokens and takes every other one back.
		kept, gone := map[string]bool{}, map[string]bool{}
		load.Go(func() {
			client := newClient(t)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				r, err := s.ask(client, "POST", "/api/v1/tokens", session, "", `{"name":"n","scopes":["*"]}`)
				if err != nil || r.status != 201 {
					<-time.After(10 * time.Millisecond)
					continue
				}
				var made struct {
					ID     string `json:"id"`
					Secret string `json:"secret"`
				}
				if err := json.Unmarshal(r.body, &made); err != nil {
					t.Error(err)
					return
				}
				kept[made.Secret] = true
				if n%2 == 0 {
					continue
				}
				delete(kept, made.Secret) // nobody knows, unless it is answered
				if r, err := s.ask(client, "DELETE", "/api/v1/tokens/"+made.ID, session, "", ""); err == nil && r.status == 204 {
					gone[made.Secret] = true
				}
			}
		})
		for range kills {
			s.awaitMore(o)
			r.signal(syscall.SIGKILL)
			<-r.ended
			r = s.serve()
		}
		s.awaitMore(o)
		close(stop)
		load.Wait()

		states := s.awaitCompleted(id)
		if got, want := len(states), len(o.accepted); got != want {
			t.Errorf("%d runs are there, want the %d that were accepted", got, want)
		}
		for key, run := range o.accepted {
			if states[run] == "" {
				t.Errorf("%s of %s was accepted and is not there", run, key)
			}
		}
		for secret := range kept {
			gets[named](s, 200, "GET", "/api/v1/auth/me", secret, "")
		}
		for secret := range gone {
			gets[any](s, 401, "GET", "/api/v1/auth/me", secret, "")
		}
		gets[named](s, 200, "GET", "/api/v1/auth/me", session, "")
		gets[any](s, 401, "GET", "/api/v1/auth/me", over, "")
		if users := gets[struct {
			Items []named `json:"items"`
		}](s, 200, "GET", "/api/v1/users", session, ""); len(users.Items) != 1 {
			t.Errorf("got %d users", len(users.Items))
		}
		if report := gets[struct {
			Faults []any `json:"faults"`
		}](s, 200, "GET", "/api/v1/audit/verify", session, ""); len(report.Faults) > 0 {
			t.Errorf("the audit trail has faults: %v", report.Faults)
		}
		if o.again == 0 || len(kept) == 0 || len(gone) == 0 {
			t.Errorf("%d requests were repeated, %d tokens kept and %d taken back: this proves nothing", o.again, len(kept), len(gone))
		}
		t.Logf("%d runs, %d requests repeated, %d tokens kept and %d taken back", len(states), o.again, len(kept), len(gone))
		r.signal(syscall.SIGTERM)
		r.exits(0)
	})
}

func (o *orders) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.accepted)
}

func (s *services) awaitMore(o *orders) {
	s.t.Helper()
	from := o.count()
	await(s.t, "more runs to be accepted", func() bool { return o.count() >= from+20 })
}

// TestServiceToldToEndUnderLoad tells a service to end while a node works and
// clients start runs: until the node has ended each is answered, and what was
// accepted at any time is there.
func TestServiceToldToEndUnderLoad(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, p *place) {
		const clients = 8
		s := newServices(t, p)
		r := s.serve()
		s.token = s.apiToken(s.signIn())
		id := s.pipeline(quick)
		chain := s.pipeline(chainFile)
		slow := gets[named](s, 202, "POST", "/api/v1/pipelines/"+chain+"/runs", s.token, "").ID
		s.asks("task-a", r)

		var (
			released, draining       atomic.Bool
			answered, during, broken atomic.Int64 // requests: all, those while it drained, those broken off at its end
			mu                       sync.Mutex
			accepted                 []string
			load                     sync.WaitGroup
		)
		for c := range clients {
			client := newClient(t)
			load.Go(func() {
				for n := 0; ; n++ {
					drained := draining.Load()
					answer, err := s.ask(client, "POST", "/api/v1/pipelines/"+id+"/runs", s.token, "", fmt.Sprintf(`{"input":{"n":"%d/%d"}}`, c, n))
					if err != nil {
						if !released.Load() {
							t.Errorf("a request was broken off: %v", err)
						}
						if !errors.Is(err, syscall.ECONNREFUSED) {
							broken.Add(1)
						}
						return
					}
					var run named
					if err := json.Unmarshal(answer.body, &run); err != nil || answer.status != 202 {
						t.Errorf("got %d: %s", answer.status, answer.body)
						return
					}
					answered.Add(1)
					if drained && !released.Load() {
						during.Add(1)
					}
					mu.Lock()
					accepted = append(accepted, run.ID)
					mu.Unlock()
				}
			})
		}
		awaitCount(t, &answered)
		r.signal(syscall.SIGTERM)
		client := newClient(t)
		for {
			ready, err := s.ask(client, "GET", "/readyz", "", "", "")
			if err != nil {
				t.Fatalf("it does not say that it ends: %v", err)
			}
			if ready.status == 503 {
				break
			}
		}
		draining.Store(true)
		awaitCount(t, &during)
		released.Store(true)
		s.answers()
		r.exits(0)
		load.Wait()
		if n := s.model.count("task-b"); n > 0 {
			t.Errorf("the next node was begun %d times", n)
		}

		r = s.serve()
		for _, task := range []string{"task-b", "task-c"} {
			s.asks(task, r)
			s.answers()
		}
		states := s.awaitCompleted(id)
		for _, run := range accepted {
			if states[run] == "" {
				t.Errorf("%s was accepted and is not there", run)
			}
		}
		if state := s.awaitCompleted(chain)[slow]; state != gathering.RunCompleted || s.model.count("task-a") != 1 {
			t.Errorf("the run under way is %s, and its first node was done %d times, want once", state, s.model.count("task-a"))
		}
		t.Logf("%d requests answered, %d of them while it drained, %d broken off at its end", answered.Load(), during.Load(), broken.Load())
		r.signal(syscall.SIGTERM)
		r.exits(0)
	})
}

func awaitCount(t *testing.T, n *atomic.Int64) {
	t.Helper()
	from := n.Load()
	await(t, "requests to be answered", func() bool { return n.Load() >= from+30 || t.Failed() })
}

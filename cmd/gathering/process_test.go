package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gathering"
	"gathering/internal/store/storetest"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// model is a provider that answers every call when it is told to, and counts
// the calls by what was asked.
type model struct {
	server *httptest.Server
	asked  chan string // what was asked, as a call begins
	answer chan struct{}

	mu    sync.Mutex
	calls map[string]int
}

func newModel(t *testing.T) *model {
	t.Helper()
	m := &model{asked: make(chan string), answer: make(chan struct{}), calls: map[string]int{}}
	m.server = httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(m.server.Close)
	return m
}

var task = regexp.MustCompile(`task-[a-z]+`)

func (m *model) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the process was killed
	}
	asked := task.FindString(string(body))
	m.mu.Lock()
	m.calls[asked]++
	m.mu.Unlock()
	for _, step := range []func() bool{
		func() bool {
			select {
			case m.asked <- asked:
				return true
			case <-r.Context().Done():
				return false
			}
		},
		func() bool {
			select {
			case <-m.answer:
				return true
			case <-r.Context().Done():
				return false
			}
		},
	} {
		if !step() {
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop",`+
		`"message":{"role":"assistant","content":"done %s"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, asked)
}

func (m *model) count(asked string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[asked]
}

// place is where the program is run: a directory, a database, a model.
type place struct {
	t     testing.TB
	dir   string
	model *model
	env   []string
}

// chainFile is a pipeline that asks a model one thing after another.
const chainFile = `name: chain
agents:
  clerk: {model: test/m, prompt: "You answer."}
nodes:
  start: {kind: trigger}
  a: {kind: agent, needs: [start], agent: clerk, task: task-a}
  note: {kind: transform, needs: [a], set: {a: "${{ nodes.a.output.text }}"}}
  b: {kind: agent, needs: [note], agent: clerk, task: task-b}
  c: {kind: agent, needs: [b], agent: clerk, task: task-c}
output: "${{ [nodes.a.output.text, nodes.b.output.text, nodes.c.output.text] }}"
`

func newPlace(t *testing.T, database string) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), model: newModel(t)}
	p.env = []string{
		asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + p.dir,
		"GATHERING_PROVIDERS=test", "GATHERING_PROVIDER_TEST_URL=" + p.model.server.URL,
	}
	if database == "postgresql" {
		p.env = append(p.env, "GATHERING_DATABASE_URL="+storetest.PostgreSQL(t).URL)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "chain.yaml"), []byte(chainFile), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// process is the program under way.
type process struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr strings.Builder
	ended          chan struct{}
}

func (p *place) start(args ...string) *process {
	p.t.Helper()
	return p.startWith(nil, args...)
}

// startWith starts the program with more in its environment.
func (p *place) startWith(env []string, args ...string) *process {
	p.t.Helper()
	return p.startAs(func(r *process) { r.cmd.Env = slices.Concat(p.env, env) }, args...)
}

// startAs starts the program as change has it.
func (p *place) startAs(change func(*process), args ...string) *process {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	r := &process{t: p.t, cmd: exec.Command(self, args...), ended: make(chan struct{})}
	r.cmd.Dir, r.cmd.Env = p.dir, p.env
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	change(r)
	if err := r.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // the exit code is looked at
		close(r.ended)
	}()
	p.t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it has ended, unless the test failed
		<-r.ended
	})
	return r
}

func (r *process) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// exits waits for the end and fails the test where the code is another.
func (r *process) exits(want int) string {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		_ = r.cmd.Process.Kill()
		<-r.ended
		r.t.Fatalf("it does not end\nstdout:\n%s\nstderr:\n%s", r.stdout.String(), r.stderr.String())
	}
	if got := r.cmd.ProcessState.ExitCode(); got != want {
		r.t.Errorf("%v: exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.cmd.Args[1:], got, want, r.stdout.String(), r.stderr.String())
	}
	return r.stdout.String()
}

// asks waits until the model is asked something.
func (p *place) asks(want string, r *process) {
	p.t.Helper()
	select {
	case got := <-p.model.asked:
		if got != want {
			p.t.Fatalf("the model was asked %s, want %s", got, want)
		}
	case <-r.ended:
		p.t.Fatalf("it ended before %s\nstdout:\n%s\nstderr:\n%s", want, r.stdout.String(), r.stderr.String())
	case <-time.After(patience):
		p.t.Fatalf("the model is not asked %s", want)
	}
}

// answers lets the model answer.
func (p *place) answers() { p.model.answer <- struct{}{} }

// runs is every run there is.
func (p *place) runs() []gathering.Run {
	p.t.Helper()
	out := p.start("runs", "list", "--json").exits(0)
	var page struct {
		Items []gathering.Run `json:"items"`
	}
	if err := json.Unmarshal([]byte(out), &page); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	return page.Items
}

func (p *place) wantOne(state gathering.RunState) gathering.Run {
	p.t.Helper()
	runs := p.runs()
	if len(runs) != 1 || runs[0].State != state {
		p.t.Fatalf("got %+v, want one run that is %s", runs, state)
	}
	return runs[0]
}

func databases(t *testing.T, fn func(t *testing.T, p *place)) {
	t.Helper()
	for _, database := range []string{"sqlite", "postgresql"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			fn(t, newPlace(t, database))
		})
	}
}

func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, p *place) {
		r := p.start("run", "chain.yaml")
		p.asks("task-a", r)
		p.answers()
		p.asks("task-b", r)
		r.signal(syscall.SIGKILL)
		<-r.ended
		resumed := p.start("runs", "resume")
		p.asks("task-b", resumed)
		p.answers()
		p.asks("task-c", resumed)
		p.answers()
		if out := resumed.exits(0); !strings.Contains(out, "chain  completed") || !strings.Contains(out, "nothing waits") {
			t.Errorf("resume says:\n%s", out)
		}
		ended := p.wantOne(gathering.RunCompleted)
		for asked, want := range map[string]int{"task-a": 1, "task-b": 2, "task-c": 1} {
			if got := p.model.count(asked); got != want {
				t.Errorf("%s was asked %d times, want %d", asked, got, want)
			}
		}
		var report gathering.RunReport
		out := p.start("runs", "show", string(ended.ID), "--json").exits(0)
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		for _, n := range report.Nodes {
			if n.Attempts > 1 {
				t.Errorf("%s has %d attempts; one that a crash ended does not count", n.ID, n.Attempts)
			}
		}
	})
}

func TestKilledRunIsShownAsRecovering(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "sqlite")
	r := p.start("run", "chain.yaml")
	p.asks("task-a", r)
	p.wantOne(gathering.RunRunning)
	r.signal(syscall.SIGKILL)
	<-r.ended
	p.wantOne(gathering.RunRecovering)
}

func TestInterruptOnce(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, p *place) {
		r := p.start("run", "chain.yaml")
		p.asks("task-a", r)
		r.signal(syscall.SIGINT)
		r.exits(130)
		if !strings.Contains(r.stderr.String(), "cancelling run_") {
			t.Errorf("stderr: %s", r.stderr.String())
		}
		p.wantOne(gathering.RunCancelled)
	})
}

// TestTerminated tells a run's process to end, and takes its terminal away: the
// run is left for later, and the exit code names the signal.
func TestTerminated(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signal syscall.Signal
		code   int
	}{"told to": {syscall.SIGTERM, 143}, "hung up": {syscall.SIGHUP, 129}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databases(t, func(t *testing.T, p *place) {
				r := p.start("run", "chain.yaml")
				p.asks("task-a", r)
				r.signal(test.signal)
				r.exits(test.code)
				if !strings.Contains(r.stderr.String(), "gathering runs resume goes on with it") {
					t.Errorf("stderr: %s", r.stderr.String())
				}
				p.wantOne(gathering.RunRecovering)
				resumed := p.start("runs", "resume")
				p.asks("task-a", resumed)
				resumed.signal(test.signal)
				resumed.exits(test.code)
				p.chains(p.start("runs", "resume")).exits(0)
				p.wantOne(gathering.RunCompleted)
			})
		})
	}
}

// chains answers all that is asked of the model.
func (p *place) chains(r *process) *process {
	p.t.Helper()
	for _, asked := range []string{"task-a", "task-b", "task-c"} {
		p.asks(asked, r)
		p.answers()
	}
	return r
}

// TestHangupThatIsIgnored holds that a process which is to outlive its terminal,
// as nohup has it, does.
func TestHangupThatIsIgnored(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "sqlite")
	r := p.startAs(func(r *process) {
		r.cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, r.cmd.Path}, r.cmd.Args[1:]...)
		r.cmd.Path = "/bin/sh"
	}, "run", "chain.yaml")
	p.asks("task-a", r)
	r.signal(syscall.SIGHUP)
	p.answers()
	for _, asked := range []string{"task-b", "task-c"} {
		p.asks(asked, r)
		p.answers()
	}
	r.exits(0)
	p.wantOne(gathering.RunCompleted)
}

// TestOutputThatNobodyReads closes the pipe that a run's progress goes into, as
// head does: the run goes on.
func TestOutputThatNobodyReads(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"lines": {"run", "chain.yaml"}, "a document": {"run", "chain.yaml", "--json"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, "sqlite")
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r := p.startAs(func(r *process) { r.cmd.Stdout = write }, args...)
			if err := write.Close(); err != nil {
				t.Fatal(err)
			}
			p.asks("task-a", r)
			if err := read.Close(); err != nil {
				t.Fatal(err)
			}
			p.answers()
			for _, asked := range []string{"task-b", "task-c"} {
				p.asks(asked, r)
				p.answers()
			}
			r.exits(0)
			if r.stderr.Len() > 0 {
				t.Errorf("stderr: %s", r.stderr.String())
			}
			p.wantOne(gathering.RunCompleted)
		})
	}
}

// TestEventsThatNobodyReads holds that a command which only tells ends when
// nobody reads what it tells.
func TestEventsThatNobodyReads(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "sqlite")
	r := p.start("run", "chain.yaml")
	p.asks("task-a", r)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	events := p.startAs(func(r *process) { r.cmd.Stdout = write }, "runs", "events", "--follow", string(p.wantOne(gathering.RunRunning).ID))
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	events.exits(0)
	r.signal(syscall.SIGTERM)
	r.exits(143)
}

func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "sqlite")
	r := p.start("run", "chain.yaml")
	p.asks("task-a", r)
	r.signal(syscall.SIGINT)
	r.signal(syscall.SIGINT)
	r.exits(130)
	// The run was cancelled at once, or left while it was being cancelled.
	p.start("runs", "resume").exits(0)
	p.wantOne(gathering.RunCancelled)
}

func TestHeldDirectory(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "sqlite")
	r := p.start("run", "chain.yaml")
	p.asks("task-a", r)
	second := p.start("run", "chain.yaml")
	second.exits(1)
	want := fmt.Sprintf("the data directory is held by pid %d (gathering run chain.yaml)", r.cmd.Process.Pid)
	if !strings.Contains(second.stderr.String(), want) {
		t.Errorf("stderr lacks %q: %s", want, second.stderr.String())
	}
	running := p.wantOne(gathering.RunRunning)
	if out := p.start("runs", "cancel", string(running.ID)).exits(0); !strings.Contains(out, string(running.ID)+" cancelled") {
		t.Errorf("cancel says: %s", out)
	}
	r.exits(130)
	p.wantOne(gathering.RunCancelled)
}

func TestCancelAfterAKill(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "sqlite")
	r := p.start("run", "chain.yaml")
	p.asks("task-a", r)
	r.signal(syscall.SIGKILL)
	<-r.ended
	id := p.wantOne(gathering.RunRecovering).ID
	// What the dead process left, its socket too, is in nobody's way.
	if out := p.start("runs", "cancel", string(id)).exits(0); !strings.Contains(out, "cancelled") {
		t.Errorf("cancel says: %s", out)
	}
	p.wantOne(gathering.RunCancelled)
	if got := p.model.count("task-a"); got != 1 {
		t.Errorf("the model was asked %d times, want once: a run that is cancelled does not begin anew", got)
	}
}

package cli_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gathering"
)

// outpost returns a desk of somebody who has no data and asks the service at a
// URL as an administrator. D is where the service has its data.
func (d *desk) outpost(url string) *desk {
	d.t.Helper()
	d.types(password).run("user", "add", "--email", "ada@example.com", "--role", "admin").exits(0)
	away := newDesk(d.t)
	away.env["GATHERING_SERVER"] = url
	away.env["GATHERING_TOKEN"] = strings.TrimSpace(d.run("token", "create", "--user", "ada@example.com", "--scope", "*").exits(0).stdout)
	return away
}

// TestRunsElsewhere runs a file at a service elsewhere, and looks at runs there
// and steers them.
func TestRunsElsewhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		lost := d.hangUp()
		b, url := d.serve("--limit-token", "100000/s")
		away := d.outpost(url)
		away.file("echo.yaml", echo).file("nap.yaml", nap).file("faulty.yaml", "name: faulty\nnodes:\n  start: {kind: trigger}\n  x: {kind: tool, needs: [start], tool: time.then}\n").
			file("ask.yaml", "name: ask\nnodes:\n  start: {kind: trigger}\n  call: "+call(lost)+"\noutput: \"${{ nodes.call.output }}\"\n").
			file("above.yaml", "name: above\nnodes:\n  start: {kind: trigger}\n  ask: {kind: action, needs: [start], action: execute_pipeline, with: {pipeline: ./echo.yaml, input: {text: below}}}\noutput: \"${{ nodes.ask.output }}\"\n")

		r := away.run("run", "echo.yaml", "--set", "text=far away").exits(0).says("start  completed", "far away")
		id := runID.FindString(r.stdout)
		if again := away.run("run", "echo.yaml", "--set", "text=b", "--json").exits(0).report(); again.Pipeline != "echo" || again.State != gathering.RunCompleted {
			t.Errorf("got %+v", again)
		}
		away.run("run", "above.yaml").exits(0).says("ask/", "below")
		away.run("run", "faulty.yaml").exits(2).tells("faulty.yaml:4:", "time.then")
		away.run("run", "nothing.yaml").exits(2).tells("there is no file nothing.yaml")
		away.run("run", "echo.yaml", "--set", "text=a", "--project", "elsewhere").exits(1).tells("there is no project elsewhere")
		away.run("run", "echo.yaml").exits(2).tells("text")

		away.run("runs", "list").exits(0).says(id, "echo", "above", "completed")
		away.run("runs", "list", "--state", "running,waiting").exits(0).says("no runs")
		away.run("runs", "show", id[len(id)-8:]).exits(0).says("project   default", "far away")
		away.run("runs", "why", id).exits(0).says("completed")
		away.run("runs", "events", id).exits(0).says("run.queued", "run.completed")
		away.run("runs", "events", id, "--follow", "--after", "1").exits(0).says("run.completed")
		away.run("runs", "fork", id, "--from", "start", "--input", `{"text": "other"}`).exits(0).says("repeats "+id, "the service works on it")
		away.run("runs", "delete", id).exits(0).says(id + " deleted")
		away.run("runs", "show", id).exits(1).tells("there is no run")

		undecided := string(away.run("run", "ask.yaml", "--json").exits(3).tells("gathering runs decide").report().Run)
		away.run("runs", "decide", undecided, "--node", "call", "--as", "fail").exits(1).says(undecided + " failed: node call: ")
		away.run("runs", "list", "--dead").exits(0).says(undecided, "ask", "failed")
		next := runID.FindString(away.run("runs", "redrive", undecided).exits(0).says("repeats " + undecided).stdout)
		away.run("runs", "dismiss", undecided).exits(1).tells(undecided)
		away.run("runs", "resume", next).exits(1).tells("is not paused")
		away.run("runs", "cancel", next).exits(0).says(next + " cancelled")

		napping := away.start(nil, "run", "nap.yaml", "--key", "one")
		away.await("the delay", napping.stdout.seen("nap  waits"), napping)
		asleep := away.only("--state", "waiting")
		away.run("runs", "pause", asleep).exits(0).says(asleep + " paused")
		away.end(napping, 3)
		away.run("runs", "resume", asleep).exits(0).says(asleep + " waiting: nap: waits until ")
		away.run("run", "nap.yaml", "--key", "one").exits(1).tells(asleep)
		existing := away.start(nil, "run", "nap.yaml", "--key", "one", "--on-key", "existing")
		away.await("the delay", existing.stdout.seen("nap  waits"), existing)
		existing.signals <- syscall.SIGTERM
		away.end(existing, 143)
		if got := existing.stderr.String(); !strings.Contains(got, "left "+asleep+" for later; the service goes on with it") {
			t.Errorf("left: %s", got)
		}
		existing = away.start(nil, "run", "nap.yaml", "--key", "one", "--on-key", "existing")
		away.await("the delay", existing.stdout.seen("nap  waits"), existing)
		existing.signals <- syscall.SIGINT
		away.end(existing, 130)
		away.run("runs", "why", asleep).exits(0).says("cancelled")
		if _, err := os.Stat(filepath.Join(away.dir, "data")); err == nil {
			t.Error("asking a service elsewhere made a directory here")
		}
		d.stops(b)
		away.run("runs", "list").exits(1).tells("cannot be reached")
	})
}

// TestServiceThatComesBack follows a run while the service ends and another
// takes its place: nothing of it is told twice or left out.
func TestServiceThatComesBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	b, url := d.serve()
	front := newFront(t)
	front.lead(url)
	away := d.outpost(front.URL).file("nap.yaml", strings.ReplaceAll(nap, "1h", "5s"))
	following := away.start(nil, "run", "nap.yaml")
	away.await("the delay", following.stdout.seen("nap  waits"), following)
	d.stops(b)
	b, url = d.serve()
	front.lead(url)
	away.end(following, 0)
	for _, line := range []string{"start  completed", "nap  waits", "after  completed"} {
		if n := strings.Count(following.stdout.String(), line); n != 1 {
			t.Errorf("%q is told %d times:\n%s", line, n, following.stdout)
		}
	}
	d.stops(b)
}

// front is a proxy before a service.
type front struct {
	*httptest.Server

	t      *testing.T
	leads  atomic.Pointer[url.URL]
	stands chan struct{}
	stuck  atomic.Bool // requests are taken and not answered
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{t: t, stands: make(chan struct{}, 100)}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(f.leads.Load()) },
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.stuck.Load() {
			f.stands <- struct{}{}
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// lead has the proxy lead to a service.
func (f *front) lead(to string) {
	f.t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		f.t.Fatal(err)
	}
	f.leads.Store(u)
}

// TestServiceThatHangs interrupts a command while the service does not answer:
// the second time it ends, however long the service would have been waited for.
func TestServiceThatHangs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	b, url := d.serve()
	front := newFront(t)
	front.lead(url)
	away := d.outpost(front.URL).file("nap.yaml", nap)
	following := away.start(nil, "run", "nap.yaml")
	away.await("the delay", following.stdout.seen("nap  waits"), following)
	front.stuck.Store(true)
	begun := time.Now()
	following.signals <- syscall.SIGINT
	<-front.stands
	following.signals <- syscall.SIGINT
	away.end(following, 130)
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("it took %s", took)
	}
	if got := following.stderr.String(); !strings.Contains(got, "the service goes on with it") {
		t.Errorf("it told %q", got)
	}
	front.stuck.Store(false)
	away.run("runs", "list", "--state", "waiting").exits(0).says("nap")
	d.stops(b)
}

// TestServerOfTheEnvironment has commands that ask no service run where the
// environment names one.
func TestServerOfTheEnvironment(t *testing.T) {
	t.Parallel()
	d := newDesk(t).file("echo.yaml", echo)
	d.env["GATHERING_SERVER"] = "http://127.0.0.1:1"
	d.run("version").exits(0)
	d.run("validate", "echo.yaml").exits(0)
	d.run("kinds").exits(0)
	d.run("kinds", "--server", "http://127.0.0.1:1").exits(2).tells("--server is for the commands run,")
	d.run("runs", "list").exits(1).tells("cannot be reached")
	b, _ := d.serve()
	delete(d.env, "GATHERING_SERVER")
	d.run("run", "echo.yaml", "--set", "text=a").exits(1).tells("--server URL --token T has it run this")
	d.stops(b)
}

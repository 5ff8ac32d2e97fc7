package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/auth"
	"gathering/internal/httpx"
	"gathering/internal/ratelimit"
	"gathering/internal/run"
	"gathering/internal/store/storetest"
)

// desk is a service with an administrator who has signed in, and a pipeline.
type desk struct {
	app      *app.App
	front    *app.Front
	server   *httptest.Server
	client   *http.Client
	token    string
	pipeline gathering.Pipeline
}

func newDesk(b *testing.B) *desk {
	b.Helper()
	ctx := b.Context()
	a, err := app.Open(ctx, app.Options{Data: storetest.SQLite(b).Dir})
	if err != nil {
		b.Fatal(err)
	}
	unlimited := ratelimit.Rate{Requests: 1_000_000, Per: time.Second}
	front, err := a.OpenFront(ctx, app.FrontOptions{
		StreamsEach: 2000,
		Cost:        auth.Cost{Memory: 64, Iterations: 1, Parallelism: 1},
		Limits:      app.Limits{SignIn: unlimited, Write: unlimited, Read: unlimited, Token: unlimited},
	})
	if err != nil {
		b.Fatal(err)
	}
	const password = "blue cups walk home"
	if _, err := front.Auth.SetUp(ctx, auth.NewUser{Email: "ann@example.com", Password: password}); err != nil {
		b.Fatal(err)
	}
	grant, err := front.Auth.SignIn(ctx, "ann@example.com", password, auth.Where{})
	if err != nil {
		b.Fatal(err)
	}
	worker, err := a.Runs.Work(ctx, run.WorkerOptions{})
	if err != nil {
		b.Fatal(err)
	}
	p, err := a.Save(ctx, gathering.DefaultProject, []byte("name: two\nnodes:\n  start: {kind: trigger}\n  end: {kind: transform, needs: [start], set: {a: 1}}\n"))
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(front.API.Public())
	b.Cleanup(func() {
		server.Close()
		worker.Stop()
		if err := front.Stop(context.WithoutCancel(ctx)); err != nil {
			b.Error(err)
		}
		if err := a.Close(); err != nil {
			b.Error(err)
		}
	})
	client := server.Client()
	if transport, ok := client.Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = 2000
	}
	return &desk{a, front, server, client, grant.Access, p}
}

// ask asks for something and reads the answer.
func (d *desk) ask(b *testing.B, method, url, body string) []byte {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := d.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := io.Copy(&text, response.Body); err != nil || response.StatusCode >= http.StatusBadRequest {
		b.Fatalf("%d %s, %v", response.StatusCode, &text, err)
	}
	return text.Bytes()
}

// eachOf asks in parallel and returns how long one request took, sorted.
func eachOf(b *testing.B, n int, ask func()) (took []time.Duration, all time.Duration) {
	b.Helper()
	var (
		mu      sync.Mutex
		workers sync.WaitGroup
	)
	begun := time.Now()
	for range 8 {
		workers.Go(func() {
			mine := make([]time.Duration, 0, n/8)
			for range n / 8 {
				at := time.Now()
				ask()
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	workers.Wait()
	all = time.Since(begun)
	slices.Sort(took)
	return took, all
}

// BenchmarkReads reads a run over the API, and beside it from a bare handler
// that makes the same query and says nothing but the run.
func BenchmarkReads(b *testing.B) {
	d := newDesk(b)
	r, err := d.app.Start(b.Context(), d.pipeline, run.New{})
	if err != nil {
		b.Fatal(err)
	}
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		found, err := d.app.Runs.Run(q.Context(), r.ID)
		if err != nil {
			httpx.WriteProblem(w, q, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(found)
	}))
	defer bare.Close()
	url := d.server.URL + "/api/v1/runs/" + string(r.ID)
	for b.Loop() {
		const n = 8000
		_, without := eachOf(b, n, func() { d.ask(b, http.MethodGet, bare.URL, "") })
		took, with := eachOf(b, n, func() { d.ask(b, http.MethodGet, url, "") })
		b.ReportMetric(n/with.Seconds(), "reads/s")
		b.ReportMetric(without.Seconds()/with.Seconds(), "of-bare")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	}
}

// BenchmarkReadsUnderLoad reads a run 200 times a second while 256 runs are in
// flight: runs that wait for a second, as those do that ask models, and then
// runs that do nothing but begin and end, as many as the machine can take.
func BenchmarkReadsUnderLoad(b *testing.B) {
	d := newDesk(b)
	waits, err := d.app.Save(b.Context(), gathering.DefaultProject,
		[]byte("name: waits\nnodes:\n  start: {kind: trigger}\n  rest: {kind: delay, needs: [start], for: 1s}\n  end: {kind: transform, needs: [rest], set: {a: 1}}\n"))
	if err != nil {
		b.Fatal(err)
	}
	for name, p := range map[string]gathering.Pipeline{"waiting": waits, "saturated": d.pipeline} {
		b.Run(name, func(b *testing.B) {
			r, err := d.app.Start(b.Context(), d.pipeline, run.New{})
			if err != nil {
				b.Fatal(err)
			}
			url := d.server.URL + "/api/v1/runs/" + string(r.ID)
			for b.Loop() {
				idle := d.paced(b, url)
				stop := d.load(b, p)
				busy := d.paced(b, url)
				b.ReportMetric(float64(stop()), "runs")
				for quantile, n := range map[string]int{"p50": 50, "p99": 99} {
					b.ReportMetric(float64(idle[len(idle)*n/100].Microseconds()), "idle-"+quantile+"-µs")
					b.ReportMetric(float64(busy[len(busy)*n/100].Microseconds()), "busy-"+quantile+"-µs")
				}
			}
		})
	}
}

// paced reads every 5 ms and returns how long each took, sorted.
func (d *desk) paced(b *testing.B, url string) []time.Duration {
	b.Helper()
	var (
		mu    sync.Mutex
		reads sync.WaitGroup
		took  []time.Duration
	)
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for range 600 {
		<-pace.C
		reads.Go(func() {
			at := time.Now()
			d.ask(b, http.MethodGet, url, "")
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(at))
		})
	}
	reads.Wait()
	slices.Sort(took)
	return took
}

// load has 256 runs in flight, not in step with one another, until stop is
// called, which returns how many there were.
func (d *desk) load(b *testing.B, p gathering.Pipeline) (stop func() int64) {
	b.Helper()
	const inflight = 256
	ctx, cancel := context.WithCancel(b.Context())
	var (
		starters sync.WaitGroup
		ended    atomic.Int64
	)
	for i := range inflight {
		starters.Go(func() {
			<-time.After(time.Duration(i) * time.Second / inflight)
			for ctx.Err() == nil {
				if started, err := d.app.Start(ctx, p, run.New{}); err == nil && d.app.Runs.Wait(ctx, started.ID) == nil {
					ended.Add(1)
				}
			}
		})
	}
	<-time.After(time.Second)
	return func() int64 {
		cancel()
		starters.Wait()
		return ended.Load()
	}
}

// BenchmarkStart starts runs over the API and in the process.
func BenchmarkStart(b *testing.B) {
	d := newDesk(b)
	url := d.server.URL + "/api/v1/pipelines/" + string(d.pipeline.ID) + "/runs"
	one := func(start func()) time.Duration {
		took := make([]time.Duration, 500)
		for i := range took {
			at := time.Now()
			start()
			took[i] = time.Since(at)
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	for b.Loop() {
		here := one(func() {
			if _, err := d.app.Start(b.Context(), d.pipeline, run.New{}); err != nil {
				b.Fatal(err)
			}
		})
		there := one(func() { d.ask(b, http.MethodPost, url, "{}") })
		b.ReportMetric(float64(here.Microseconds()), "here-p50-µs")
		b.ReportMetric(float64(there.Microseconds()), "http-p50-µs")
	}
}

// BenchmarkStreams has 1,000 readers of the feed, and starts a run 20 times a
// second: how long it takes from the time of an event, which is before its
// commit, until a reader has it.
func BenchmarkStreams(b *testing.B) {
	const readers, runs = 1000, 60
	d := newDesk(b)
	ctx, stop := context.WithCancel(b.Context())
	var (
		mu      sync.Mutex
		took    []time.Duration
		reading sync.WaitGroup
		opened  sync.WaitGroup
	)
	opened.Add(readers)
	for range readers {
		reading.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.server.URL+"/api/v1/events?type=run.queued", http.NoBody)
			if err != nil {
				b.Error(err)
			}
			r.Header.Set("Authorization", "Bearer "+d.token)
			r.Header.Set("Accept", "text/event-stream")
			response, err := d.client.Do(r)
			opened.Done()
			if err != nil {
				b.Error(err)
				return
			}
			defer response.Body.Close()
			lines := bufio.NewScanner(response.Body)
			var mine []time.Duration
			for lines.Scan() {
				text, ok := strings.CutPrefix(lines.Text(), "data: ")
				now := time.Now()
				var e gathering.Event
				if ok && json.Unmarshal([]byte(text), &e) == nil && e.Type == gathering.EventRunQueued {
					mine = append(mine, now.Sub(e.At))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	opened.Wait()
	for b.Loop() {
		tick := time.NewTicker(50 * time.Millisecond)
		for range runs {
			<-tick.C
			if _, err := d.app.Start(b.Context(), d.pipeline, run.New{}); err != nil {
				b.Fatal(err)
			}
		}
		tick.Stop()
	}
	<-time.After(time.Second)
	stop()
	reading.Wait()
	if len(took) < readers*runs {
		b.Fatalf("%d of %d events arrived", len(took), readers*runs)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

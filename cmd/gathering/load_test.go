package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gathering"
	"gathering/internal/app"
	runs "gathering/internal/run"
	"gathering/internal/store/storetest"
)

// asLoader makes the test binary start so many runs, say the ID of each that
// was accepted, and work until it is killed.
const asLoader = "GATHERING_TEST_AS_LOADER"

// pipelines are what the load is made of, by file name. The name of a node that
// calls says what may be done about a call of unknown outcome: get and put may
// be repeated, again is repeated under its key, ask asks, fail fails.
func loadPipelines(address string) map[string]string {
	call := func(node, method, more string) string {
		return fmt.Sprintf(`{kind: action, action: call_api, with: {method: %s, url: "%s/${{ run.id }}/%s"}, `+
			`retry: {max_attempts: 8, initial_delay: 20ms, max_delay: 100ms}, %s}`, method, address, node, more)
	}
	item := func(node, method, more string) string {
		return call(node+"/${{ index }}", method, more)
	}
	return map[string]string{
		"order.yaml": `name: order
nodes:
  start: {kind: trigger}
  get_price: ` + call("get_price", "GET", "needs: [start]") + `
  ask_pay: ` + call("ask_pay", "POST", "needs: [get_price], on_unknown: ask") + `
  note: {kind: transform, needs: [ask_pay], set: {paid: "${{ nodes.ask_pay.output != null }}"}}
  again_ship: ` + call("again_ship", "POST", "needs: [note], on_unknown: retry") + `
  put_file: ` + call("put_file", "PUT", "needs: [note]") + `
  both: {kind: join, needs: [again_ship, put_file]}
  fail_mail: ` + call("fail_mail", "POST", "needs: [both], on_unknown: fail, on_error: continue, fallback: none") + `
output: {paid: "${{ nodes.note.output.paid }}", mail: "${{ nodes.fail_mail.output }}"}
`,
		"batch.yaml": `name: batch
nodes:
  start: {kind: trigger}
  put_each: {kind: map, needs: [start], over: "[1, 2, 3, 4]", max_parallel: 2, do: ` + item("put_each", "PUT", "idempotent: true") + `}
  again_each: {kind: map, needs: [start], over: "[1, 2, 3]", do: ` + item("again_each", "POST", "on_unknown: retry") + `}
  ask_each: {kind: map, needs: [put_each], over: "[1, 2]", do: ` + item("ask_each", "POST", "on_unknown: ask") + `}
  all: {kind: join, needs: [again_each, ask_each]}
output: "${{ size(nodes.put_each.output) + size(nodes.again_each.output) + size(nodes.ask_each.output) }}"
`,
		"part.yaml": `name: part
nodes:
  start: {kind: trigger}
  ask_part: ` + call("ask_part", "POST", "needs: [start], on_unknown: ask") + `
  pause: {kind: delay, needs: [start], for: 100ms}
  get_part: ` + call("get_part", "GET", "needs: [ask_part, pause]") + `
output: part
`,
		"whole.yaml": `name: whole
nodes:
  start: {kind: trigger}
  part: {kind: pipeline, needs: [start], pipeline: ./part.yaml}
  pause: {kind: delay, needs: [start], for: 1300ms}
  again_side: ` + call("again_side", "POST", "needs: [start], on_unknown: retry") + `
  two: {kind: join, needs: [part, pause, again_side], wait: 2}
  get_last: ` + call("get_last", "GET", "needs: [two]") + `
output: "${{ nodes.part.output }}"
`,
	}
}

// writeLoad writes the files of the load and returns the names of those that
// are run.
func writeLoad(tb testing.TB, dir, address string) {
	tb.Helper()
	for name, text := range loadPipelines(address) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// newLoad is a place with the files of the load, whose calls reach the service.
func newLoad(tb testing.TB, database string, service *counting, beat time.Duration) *place {
	tb.Helper()
	p := &place{t: tb, dir: tb.TempDir()}
	p.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "GATHERING_ALLOW_PRIVATE_NETWORKS=127.0.0.1/32",
		"GATHERING_DATA=" + filepath.Join(p.dir, "data"), "GATHERING_BEAT=" + beat.String(),
	}
	if database == "postgresql" {
		p.env = append(p.env, "GATHERING_DATABASE_URL="+storetest.PostgreSQL(tb).URL)
	}
	writeLoad(tb, p.dir, service.server.URL)
	return p
}

// loader starts a process that starts n runs and works.
func (p *place) loader(n int) *process {
	p.t.Helper()
	return p.startWith([]string{asLoader + "=" + strconv.Itoa(n)})
}

// worker starts a process that goes on with what others left.
func (p *place) worker() *process {
	p.t.Helper()
	return p.startWith([]string{asProgram + "=1"}, "runs", "resume", "--wait", "10m")
}

// load is what a loader does.
func load() int {
	if err := startLoad(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "loader:", err)
		return 1
	}
	return 0
}

func startLoad(ctx context.Context) error {
	n, err := strconv.Atoi(os.Getenv(asLoader))
	if err != nil {
		return err
	}
	a, err := app.Open(ctx, app.Options{
		Data: os.Getenv("GATHERING_DATA"), Database: os.Getenv("GATHERING_DATABASE_URL"), Lookup: os.LookupEnv,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	beat, err := time.ParseDuration(os.Getenv("GATHERING_BEAT"))
	if err != nil {
		return err
	}
	if _, err := a.Runs.Work(ctx, runs.WorkerOptions{Beat: beat, PID: os.Getpid()}); err != nil {
		return err
	}
	if err := startRuns(ctx, a, n); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return nil
}

// startRuns starts n runs of each of the load's pipelines in turn.
func startRuns(ctx context.Context, a *app.App, n int) error {
	var saved []gathering.Pipeline
	for _, file := range slices.Sorted(maps.Keys(loadPipelines(""))) {
		p, err := a.SaveFile(ctx, gathering.DefaultProject, file)
		if err != nil {
			return err
		}
		saved = append(saved, p)
	}
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for i := range n {
		r, err := a.Start(ctx, saved[i%len(saved)], runs.New{})
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, r.ID)
		<-pace.C
	}
	return nil
}

// accepted are the runs that a process which ended said were accepted.
func accepted(r *process) []gathering.RunID {
	<-r.ended
	var ids []gathering.RunID
	for line := range strings.Lines(r.stdout.String()) {
		if id := strings.TrimSuffix(line, "\n"); id != line && gathering.ValidRunID(gathering.RunID(id)) {
			ids = append(ids, gathering.RunID(id))
		}
	}
	return ids
}

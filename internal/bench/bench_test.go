package bench_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/bench"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// BenchmarkRuns measures as `gathering bench runs` does. Once is enough:
// -benchtime 1x.
func BenchmarkRuns(b *testing.B) {
	for _, inflight := range []int{1, 32, 256} {
		each(b, strconv.Itoa(inflight), bench.Options{Inflight: inflight})
	}
}

// BenchmarkStored measures in a database that holds many runs already.
func BenchmarkStored(b *testing.B) {
	for _, stored := range []int{1_000, 100_000, 1_000_000} {
		each(b, strconv.Itoa(stored), bench.Options{Stored: stored})
	}
}

func each(b *testing.B, name string, o bench.Options) {
	b.Helper()
	debug.SetGCPercent(400) // as the program does
	for _, database := range []string{"sqlite", "postgresql"} {
		b.Run(database+"/"+name, func(b *testing.B) {
			o.App = app.Options{Data: b.TempDir()}
			if database == "postgresql" {
				o.App.Database = storetest.PostgreSQL(b).URL
				setFsync(b, o.App.Database, "on") // as it is outside tests
				defer setFsync(b, o.App.Database, "off")
			}
			for b.Loop() {
				r, err := bench.Runs(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(r.Rate, "runs/s")
				b.ReportMetric(r.P50, "p50-ms")
				b.ReportMetric(r.P99, "p99-ms")
				b.ReportMetric(r.Limit, "limit-runs/s")
				b.ReportMetric(r.Ratio, "ratio")
			}
		})
	}
}

// setFsync sets the PostgreSQL test server's fsync.
func setFsync(b *testing.B, url, value string) {
	b.Helper()
	db := storetest.Open(b, store.Options{URL: url})
	for _, query := range []string{`ALTER SYSTEM SET fsync = ` + value, `SELECT pg_reload_conf()`, `SELECT pg_sleep(0.2)`} {
		rows, err := db.Read().Query(context.Background(), query)
		if err == nil {
			err = rows.Each(func(store.Scanner) error { return nil })
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParked measures the memory of a process with 10,000 runs that wait,
// on Linux. Once is enough: -benchtime 1x.
func BenchmarkParked(b *testing.B) {
	const runs = 10_000
	for b.Loop() {
		a, err := app.Open(b.Context(), app.Options{Data: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		worker, err := a.Runs.Work(b.Context(), run.WorkerOptions{})
		if err != nil {
			b.Fatal(err)
		}
		p, err := a.Save(b.Context(), gathering.DefaultProject, []byte(`name: parked
nodes:
  start: {kind: trigger}
  wait: {kind: delay, needs: [start], for: 1h}
`))
		if err != nil {
			b.Fatal(err)
		}
		for range runs {
			if _, err := a.Start(b.Context(), p, run.New{}); err != nil {
				b.Fatal(err)
			}
		}
		for waiting := 0; waiting < runs; {
			err := a.DB.Read().QueryRow(b.Context(), `SELECT count(*) FROM runs WHERE state = 'waiting'`).Scan(&waiting)
			if err != nil {
				b.Fatal(err)
			}
		}
		debug.FreeOSMemory()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(resident(b), "resident-MB")
		worker.Stop()
		if err := a.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// resident is the memory of this process in megabytes.
func resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kilobytes float64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		b.Fatal(err)
	}
	return kilobytes / 1000
}

// What was measured is there in every field, and nothing is left behind.
func TestRuns(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	got, err := bench.Runs(t.Context(), bench.Options{
		App: app.Options{Data: data}, Nodes: 2, Inflight: 3, Duration: 50 * time.Millisecond, Stored: 700,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Rate <= 0 || got.Limit <= 0 || got.Ratio <= 0 || got.P50 <= 0 || got.P99 < got.P50 {
		t.Errorf("got %+v", got)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("%v (%v) is left", left, err)
	}
}

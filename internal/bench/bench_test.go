package bench_test

import (
	"strconv"
	"testing"
	"time"

	"gathering/internal/app"
	"gathering/internal/bench"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// BenchmarkRuns measures as `gathering bench runs` does. Once is enough:
// -benchtime 1x.
func BenchmarkRuns(b *testing.B) {
	for _, database := range []string{"sqlite", "postgresql"} {
		for _, inflight := range []int{1, 32, 256} {
			b.Run(database+"/"+strconv.Itoa(inflight), func(b *testing.B) {
				o := bench.Options{App: app.Options{Data: b.TempDir()}, Inflight: inflight, Duration: 5 * time.Second}
				if database == "postgresql" {
					o.App.Database = storetest.PostgreSQL(b).URL
				}
				for b.Loop() {
					r, err := bench.Runs(b.Context(), o)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(r.Rate, "runs/s")
					b.ReportMetric(r.P50, "p50-ms")
					b.ReportMetric(r.P99, "p99-ms")
					b.ReportMetric(r.Limit, "limit-runs/s")
					b.ReportMetric(r.Ratio, "ratio")
				}
			})
		}
	}
}

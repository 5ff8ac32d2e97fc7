package run_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store/storetest"
)

// BenchmarkRuns executes runs of a trigger and five nodes of work in a line,
// each durable before the next, with a number of them in flight.
func BenchmarkRuns(b *testing.B) {
	for _, database := range []string{"sqlite", "postgresql"} {
		for _, inflight := range []int{1, 32, 256} {
			b.Run(database+"/"+strconv.Itoa(inflight), func(b *testing.B) {
				options := storetest.SQLite(b)
				if database == "postgresql" {
					options = storetest.PostgreSQL(b)
				}
				p := newPipelines()
				nodes := []engine.Node{trigger()}
				var edges []gathering.Edge
				for i := range 5 {
					id := "n" + strconv.Itoa(i)
					edges = append(edges, gathering.Edge{From: nodes[len(nodes)-1].ID, To: id})
					nodes = append(nodes, does(id, func(context.Context, engine.Job) (engine.Outcome, error) {
						return engine.Outcome{}, nil
					}))
				}
				g, err := engine.NewGraph(nodes, edges)
				if err != nil {
					b.Fatal(err)
				}
				p.graphs["line"] = g
				s := run.NewService(run.Options{DB: storetest.Open(b, options), Pipelines: p, Logger: slog.New(slog.DiscardHandler)})
				defer s.Close()
				w, err := s.Work(b.Context(), run.WorkerOptions{Slots: inflight * 2})
				if err != nil {
					b.Fatal(err)
				}
				defer w.Stop()
				b.SetParallelism((inflight + 1) / 2) // times GOMAXPROCS
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						r, err := s.Start(b.Context(), run.New{Project: gathering.DefaultProject, Pipeline: "line", Version: 1})
						if err != nil {
							b.Error(err)
							return
						}
						if err := s.Wait(b.Context(), r.ID); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
			})
		}
	}
}

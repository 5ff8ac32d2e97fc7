package audit_test

import (
	"log/slog"
	"testing"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// databases are where benchmarks run.
func databases() map[string]func(testing.TB) store.Options {
	return map[string]func(testing.TB) store.Options{"sqlite": storetest.SQLite, "postgresql": storetest.PostgreSQL}
}

func benchSealer(b *testing.B, o store.Options) *audit.Sealer {
	b.Helper()
	return &audit.Sealer{
		DB: storetest.Open(b, o), Ring: keyring.New(noon()), Anchor: audit.Anchor{Dir: b.TempDir()}, Now: noon, Logger: slog.New(slog.DiscardHandler),
	}
}

// BenchmarkSeal seals a thousand entries at a time.
func BenchmarkSeal(b *testing.B) {
	for name, fresh := range databases() {
		b.Run(name, func(b *testing.B) {
			const at = 1000
			s := benchSealer(b, fresh(b))
			for b.Loop() {
				b.StopTimer()
				fill(b, s.DB, at)
				b.StartTimer()
				if err := s.Seal(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*at/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkVerify verifies 10,000 entries under 100 seals.
func BenchmarkVerify(b *testing.B) {
	for name, fresh := range databases() {
		b.Run(name, func(b *testing.B) {
			s := benchSealer(b, fresh(b))
			for range 100 {
				fill(b, s.DB, 100)
				if err := s.Seal(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				report, err := audit.Verify(b.Context(), s.DB, s.Ring, s.Anchor)
				if err != nil || len(report.Faults) > 0 || report.Entries != 10000 {
					b.Fatal(report, err)
				}
			}
		})
	}
}

// BenchmarkEntries looks for what is not there among 100,000 entries.
func BenchmarkEntries(b *testing.B) {
	for name, fresh := range databases() {
		b.Run(name, func(b *testing.B) {
			s := benchSealer(b, fresh(b))
			for range 20 {
				fill(b, s.DB, 5000)
			}
			exec(b, s.DB, `ANALYZE`)
			for filter, f := range map[string]gathering.AuditFilter{
				"actor": {Actor: "usr_none"}, "object": {Object: "run_none"}, "action": {Action: "none"}, "projects": {Projects: []gathering.ProjectID{"none"}},
				"newest": {},
			} {
				b.Run(filter, func(b *testing.B) {
					for b.Loop() {
						if _, err := audit.Entries(b.Context(), s.DB.Read(), f); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

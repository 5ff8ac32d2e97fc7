package run_test

import (
	"fmt"
	"testing"
	"time"

	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// BenchmarkClaim claims 64 due runs beside so many that are parked.
func BenchmarkClaim(b *testing.B) {
	for _, parked := range []int{0, 10_000, 100_000} {
		b.Run(fmt.Sprintf("parked=%d", parked), func(b *testing.B) {
			for name, options := range map[string]store.Options{"sqlite": storetest.SQLite(b), "postgresql": storetest.PostgreSQL(b)} {
				b.Run(name, func(b *testing.B) { benchmarkClaim(b, storetest.Open(b, options), parked) })
			}
		})
	}
}

func benchmarkClaim(b *testing.B, db *store.DB, parked int) {
	b.Helper()
	s := run.NewService(run.Options{DB: db, Pipelines: newPipelines()})
	defer s.Close()
	do := func(query string, args ...any) {
		b.Helper()
		err := db.Tx(b.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(b.Context(), query, args...)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	const due = 64
	now := time.Now().UnixMicro()
	do(`INSERT INTO runs (id, project, pipeline, version, state, epoch, inbox, crashes, ready_at, priority, queue,
			labels, root_run, depth, min_engine, created_at)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < CAST($2 AS BIGINT))
		SELECT 'run_' || CAST(i AS TEXT), 'default', 'pip_1', 1, 'waiting', 1, 0, 0, CAST($1 AS BIGINT), 0, '100/p' || CAST(i % 10 AS TEXT), '{}',
			'run_' || CAST(i AS TEXT), 0, 1, 1 FROM n`, now+time.Hour.Microseconds(), due+parked)
	if db.Dialect().Database == store.PostgreSQL {
		do(`ANALYZE runs`)
	}
	do(`INSERT INTO instances (id, started_at, counter, host, pid, version, max_engine) VALUES ('ins_bench', 0, 0, '', 0, '', 1)`)
	for b.Loop() {
		b.StopTimer()
		do(`UPDATE runs SET owner = NULL, ready_at = $1 WHERE id IN (SELECT id FROM runs ORDER BY id LIMIT 64)`, now)
		b.StartTimer()
		n, err := s.ClaimSome(b.Context(), "ins_bench", due)
		if err != nil || n != due {
			b.Fatalf("got %d runs (%v), want %d", n, err, due)
		}
	}
}

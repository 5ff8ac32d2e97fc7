package store_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// BenchmarkCommitter measures log rows of 200 bytes through a committer, each
// durable before its sender makes the next; after six a sender goes on to a new
// run. On PostgreSQL it turns fsync on, as it is outside tests.
func BenchmarkCommitter(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) store.Options{"sqlite": storetest.SQLite, "postgresql": storetest.PostgreSQL} {
		for _, inFlight := range []int{1, 32, 256} {
			b.Run(name+"/"+strconv.Itoa(inFlight), func(b *testing.B) {
				db := storetest.Open(b, fresh(b))
				setFsync(b, db, "on")
				benchmarkCommitter(b, db, inFlight)
				setFsync(b, db, "off")
			})
		}
	}
}

func benchmarkCommitter(b *testing.B, db *store.DB, inFlight int) {
	b.Helper()
	batches := 0
	c := store.NewCommitter(store.CommitterOptions[entry]{Write: func(ctx context.Context, members []entry) ([]error, error) {
		batches++
		return nil, db.Run(ctx, appendEntries(db, members))
	}})
	defer c.Close()
	row := make([]byte, 200)
	turns := make(chan struct{}, inFlight)
	var senders sync.WaitGroup
	for range inFlight {
		senders.Go(func() {
			var e entry
			for range turns {
				if e.seq %= 6; e.seq == 0 {
					e = entry{run: string(gathering.NewRunID(time.Now())), rows: row}
				}
				e.seq++
				if err := c.Commit(context.Background(), e); err != nil {
					b.Error(err)
				}
			}
		})
	}
	began := time.Now()
	b.ResetTimer()
	for range b.N {
		turns <- struct{}{}
	}
	close(turns)
	senders.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)/float64(batches), "rows/commit")
}

// setFsync sets the PostgreSQL test server's fsync.
func setFsync(b *testing.B, db *store.DB, value string) {
	b.Helper()
	if db.Dialect().Database == store.SQLite {
		return
	}
	for _, query := range []string{`ALTER SYSTEM SET fsync = ` + value, `SELECT pg_reload_conf()`, `SELECT pg_sleep(0.2)`} {
		rows, err := db.Read().Query(b.Context(), query)
		if err == nil {
			err = rows.Each(func(store.Scanner) error { return nil })
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	var now string
	if err := db.Read().QueryRow(b.Context(), `SHOW fsync`).Scan(&now); err != nil || now != value {
		b.Fatalf("fsync is %q, want %q (%v)", now, value, err)
	}
}

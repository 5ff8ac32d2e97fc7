package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestSmoke(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Log(db.Dialect(), db.LogID())
		c := store.NewCommitter(store.CommitterOptions[string]{Write: func(ctx context.Context, ms []string) ([]error, error) {
			b := &store.Batch{}
			rows := make([][]any, len(ms))
			feed := make([][]any, len(ms))
			for i, m := range ms {
				rows[i] = []any{m, 1, []byte(m)}
				feed[i] = []any{m, 1}
			}
			b.Rows(`INSERT INTO run_log (run_id, seq, at, version, rows) SELECT w.run, w.seq, $1, 1, w.rows FROM {rows}`,
				[]store.Column{{"run", store.Text}, {"seq", store.Int}, {"rows", store.Bytes}}, rows, nil, 77)
			b.Exec(db.Dialect().FeedLock())
			b.Rows(`INSERT INTO feed (at, entries) SELECT $1, '[' || string_agg('["' || w.run || '",' || w.seq || ',' || w.seq || ']', ',') || ']' FROM {rows} HAVING count(*) > 0`,
				[]store.Column{{"run", store.Text}, {"seq", store.Int}}, feed, nil, 78)
			return nil, db.Run(ctx, b)
		}})
		defer c.Close()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if err := c.Commit(t.Context(), fmt.Sprint("r", i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var n, f int
		if err := db.Read().QueryRow(t.Context(), `SELECT count(*), (SELECT count(*) FROM feed) FROM run_log`).Scan(&n, &f); err != nil {
			t.Fatal(err)
		}
		t.Log(n, f)
	})
}

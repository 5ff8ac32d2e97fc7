package store_test

import (
	"fmt"

	"gathering/internal/store"
)

// entry is one row for the log of a run.
type entry struct {
	run  string
	seq  int64
	rows []byte
}

// appendEntries writes the entries and one row of the feed, as run does.
func appendEntries(db *store.DB, entries []entry) *store.Batch {
	logged := make([][]any, len(entries))
	members, fed := make([]int64, len(entries)), make([]string, len(entries))
	for i, e := range entries {
		logged[i] = []any{e.run, e.seq, 1000, 1, e.rows}
		fed[i] = fmt.Sprintf(`["%s",%d,%d]`, e.run, e.seq, e.seq)
	}
	columns := []store.Column{
		{Name: "run_id", Type: store.Text},
		{Name: "seq", Type: store.Int},
		{Name: "at", Type: store.Int},
		{Name: "version", Type: store.Int},
		{Name: "rows", Type: store.Bytes},
	}
	b := &store.Batch{}
	b.Rows(`INSERT INTO run_log (run_id, seq, at, version, rows) {values}`, columns, logged, nil)
	b.Exec(db.Dialect().FeedLock())
	b.Joined(`INSERT INTO feed (at, entries) SELECT $1, '[' || j.text || ']' FROM {joined}`, members, fed, 1000)
	return b
}

package event

import (
	"context"
	"fmt"

	"gathering"
	"gathering/internal/store"
)

// logRows is how many rows of a log are read at a time. Most are short; none
// takes much more than 1 MB.
const logRows = 64

// RunLog returns the events of a run after a sequence number, the oldest first:
// at most limit of them and about [PageBytes], though one at least if there is
// one. More is whether others follow. With limit 0 it is all of them.
func RunLog(ctx context.Context, q store.Querier, run gathering.RunID, after int64, limit int) (events []gathering.Event, more bool, err error) {
	size := 0
	for {
		rows, err := logAfter(ctx, q, run, after)
		if err != nil {
			return nil, false, fmt.Errorf("read the log of %s: %w", run, err)
		}
		for _, row := range rows {
			unpacked, err := Unpack(ctx, row, func(ctx context.Context, hash string) ([]byte, error) { return BlobOf(ctx, q, run, hash) })
			if err != nil {
				return nil, false, err
			}
			for _, e := range unpacked {
				switch {
				case e.Seq <= after:
					continue
				case limit > 0 && (len(events) == limit || size >= PageBytes):
					return events, true, nil
				}
				events, after = append(events, e), e.Seq
				size += Size(e)
			}
		}
		if len(rows) < logRows {
			return events, false, nil
		}
	}
}

// logAfter reads rows of a log, from the one that holds the event after a number on.
func logAfter(ctx context.Context, q store.Querier, run gathering.RunID, after int64) ([]Row, error) {
	rows, err := q.Query(ctx, `SELECT seq, at, version, rows FROM run_log WHERE run_id = $1 AND seq >=
		(SELECT coalesce(max(seq), 0) FROM run_log WHERE run_id = $1 AND seq <= $2) ORDER BY seq LIMIT $3`,
		string(run), after+1, logRows)
	if err != nil {
		return nil, err
	}
	var packed []Row
	err = rows.Each(func(row store.Scanner) error {
		r := Row{Stream: string(run)}
		err := row.Scan(&r.Seq, &r.At, &r.Version, &r.Rows)
		packed = append(packed, r)
		return err
	})
	return packed, err
}

// BlobOf returns what is kept beside the log of a run, as it is stored.
func BlobOf(ctx context.Context, q store.Querier, run gathering.RunID, hash string) ([]byte, error) {
	data, err := blobOf(ctx, q, string(run), hash)
	if err != nil {
		return nil, fmt.Errorf("read blob %s of %s: %w", hash, run, err)
	}
	return data, nil
}

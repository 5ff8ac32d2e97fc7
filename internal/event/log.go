package event

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gathering"
	"gathering/internal/store"
)

// Append adds an event to the log of a stored object, in the transaction of
// the change that it tells of, and announces it in the feed. It must be the
// transaction's last statement. Seq is the object's own count of its events,
// which the caller raised under the object's lock. Data takes at most [MaxInline]
// bytes as JSON.
func Append(ctx context.Context, tx *store.Tx, e gathering.Event, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode %s: %w", e.Type, err)
	}
	if len(raw) > MaxInline { // there is nothing beside these logs
		return fmt.Errorf("encode %s: its data is longer than %d bytes", e.Type, MaxInline)
	}
	e.Data = raw
	row, _, err := Pack([]gathering.Event{e})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO noun_log (stream, seq, at, version, rows) VALUES ($1, $2, $3, $4, $5)`,
		row.Stream, row.Seq, row.At, row.Version, row.Rows); err != nil {
		return fmt.Errorf("log %s of %s: %w", e.Type, e.Stream, err)
	}
	entries, err := json.Marshal([]Entry{{e.Stream, e.Seq, e.Seq}})
	if err != nil {
		return fmt.Errorf("encode feed entry: %w", err)
	}
	if lock := tx.Dialect().FeedLock(); lock != "" {
		if _, err := tx.Exec(ctx, lock); err != nil {
			return fmt.Errorf("lock the feed: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, `INSERT INTO feed (at, entries) VALUES ($1, $2)`, row.At, string(entries)); err != nil {
		return fmt.Errorf("announce %s of %s: %w", e.Type, e.Stream, err)
	}
	return nil
}

// Entry says which events of a stream a commit added.
type Entry struct {
	Stream      string
	First, Last int64
}

// MarshalJSON writes an entry as [stream, first, last].
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{e.Stream, e.First, e.Last})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Entry) UnmarshalJSON(data []byte) error {
	parts := []any{&e.Stream, &e.First, &e.Last}
	if err := json.Unmarshal(data, &parts); err != nil {
		return fmt.Errorf("read feed entry: %w", err)
	}
	if len(parts) != 3 {
		return fmt.Errorf("read feed entry: it has %d parts, not 3", len(parts))
	}
	return nil
}

// Announcement is one commit in the feed.
type Announcement struct {
	Pos     int64
	At      time.Time
	Entries []Entry
}

// Feed returns the commits after a position, in the order in which they were
// committed, at most limit of them. Reading on from the last position misses
// none, whichever instance wrote them.
func Feed(ctx context.Context, q store.Querier, after int64, limit int) ([]Announcement, error) {
	rows, err := q.Query(ctx, `SELECT pos, at, entries FROM feed WHERE pos > $1 ORDER BY pos LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read the feed: %w", err)
	}
	var feed []Announcement
	err = rows.Each(func(row store.Scanner) error {
		var (
			a       Announcement
			at      int64
			entries string
		)
		if err := row.Scan(&a.Pos, &at, &entries); err != nil {
			return err
		}
		a.At = time.UnixMicro(at).UTC()
		feed = append(feed, a)
		return json.Unmarshal([]byte(entries), &feed[len(feed)-1].Entries)
	})
	if err != nil {
		return nil, fmt.Errorf("read the feed: %w", err)
	}
	return feed, nil
}

// LastOf returns the last event of a stream in the commit that begins with the
// event first, as the feed tells it; 0 where it does not. It reads the feed
// backwards, which may take long: it is for a log that cannot be read.
func LastOf(ctx context.Context, q store.Querier, stream string, first int64) (int64, error) {
	rows, err := q.Query(ctx, `SELECT entries FROM feed WHERE entries LIKE $1 ORDER BY pos DESC`, `%["`+stream+`",%`)
	if err != nil {
		return 0, fmt.Errorf("read the feed: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			text    string
			entries []Entry
		)
		if err := rows.Scan(&text); err != nil {
			return 0, err
		}
		if err := json.Unmarshal([]byte(text), &entries); err != nil {
			return 0, fmt.Errorf("read the feed: %w", err)
		}
		for _, e := range entries {
			if e.Stream == stream && e.First == first {
				return e.Last, nil
			}
		}
	}
	return 0, rows.Err()
}

package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"gathering"
	"gathering/internal/store"
)

// TopicFeed is what the bell is rung for when the feed has grown.
const TopicFeed = "feed"

// Commit is one commit in the feed with the events that it wrote.
type Commit struct {
	Pos int64
	At  time.Time
	// Events are those of all streams, in the order of the announcement, each
	// with its Pos. What has been deleted since is not among them, so there may
	// be none.
	Events []gathering.Event
	// Unreadable says whose events are there and cannot be read: they are
	// damaged, or of a newer program.
	Unreadable []Entry
}

// eventBytes is what an event takes beside its data.
const eventBytes = 256

// Size is about how many bytes the commit takes in memory.
func (c *Commit) Size() int {
	size := eventBytes
	for _, e := range c.Events {
		size += Size(e)
	}
	return size
}

// Size is about how many bytes an event takes in memory.
func Size(e gathering.Event) int { return eventBytes + len(e.Data) }

// Commits returns the commits after a position with their events, in the order
// in which they were committed, at most limit of them and at least one if there
// is one. It stops early at [PageBytes].
func Commits(ctx context.Context, q store.Querier, after int64, limit int) ([]Commit, error) {
	feed, err := Feed(ctx, q, after, limit)
	if err != nil {
		return nil, err
	}
	return Resolve(ctx, q, feed)
}

// Resolve returns the commits that announcements tell of, with their events: of
// the first announcement and of those after it until the events take
// [PageBytes].
func Resolve(ctx context.Context, q store.Querier, feed []Announcement) ([]Commit, error) {
	var commits []Commit
	for size := 0; len(feed) > 0 && size < PageBytes; {
		n := together(feed)
		rows, err := rowsOf(ctx, q, feed[:n])
		if err != nil {
			return nil, err
		}
		for _, a := range feed[:n] {
			c, err := resolve(ctx, q, a, rows)
			if err != nil {
				return nil, err
			}
			commits = append(commits, c)
			if size += c.Size(); size >= PageBytes {
				break
			}
		}
		feed = feed[n:]
	}
	return commits, nil
}

// together is how many of the announcements are looked up with one query, or
// one that needs more than one.
func together(feed []Announcement) int {
	entries := 0
	for i, a := range feed {
		if entries += len(a.Entries); entries > manyRows && i > 0 {
			return i
		}
	}
	return len(feed)
}

func resolve(ctx context.Context, q store.Querier, a Announcement, rows map[rowKey]Row) (Commit, error) {
	c := Commit{Pos: a.Pos, At: a.At}
	for _, entry := range a.Entries {
		row, ok := rows[rowKey{entry.Stream, entry.First}]
		if !ok {
			continue
		}
		var lost error // why a value beside the row could not be fetched
		events, err := Unpack(ctx, row, func(ctx context.Context, hash string) (data []byte, err error) {
			data, lost = blobOf(ctx, q, row.Stream, hash)
			return data, lost
		})
		switch {
		case errors.Is(lost, sql.ErrNoRows):
			continue // it is being deleted
		case lost != nil:
			return Commit{}, err
		case err != nil:
			c.Unreadable = append(c.Unreadable, entry)
			continue
		}
		for i := range events {
			events[i].Pos = a.Pos
		}
		c.Events = append(c.Events, events...)
	}
	return c, nil
}

func blobOf(ctx context.Context, q store.Querier, run, hash string) (data []byte, err error) {
	err = q.QueryRow(ctx, `SELECT data FROM blobs WHERE run_id = $1 AND hash = $2`, run, hash).Scan(&data)
	return data, err
}

// rowKey names a row of a log: that of a commit which began with the event first.
type rowKey struct {
	stream string
	first  int64
}

// Rows are looked up by lists of this length, because how a list is given
// differs between the databases: a few, or many. What is left over is empty.
const (
	fewRows  = 4
	manyRows = 32
)

const (
	few  = `($1, CAST($2 AS BIGINT)), ($3, CAST($4 AS BIGINT)), ($5, CAST($6 AS BIGINT)), ($7, CAST($8 AS BIGINT))`
	many = few + `,
		($9, CAST($10 AS BIGINT)), ($11, CAST($12 AS BIGINT)), ($13, CAST($14 AS BIGINT)), ($15, CAST($16 AS BIGINT)),
		($17, CAST($18 AS BIGINT)), ($19, CAST($20 AS BIGINT)), ($21, CAST($22 AS BIGINT)), ($23, CAST($24 AS BIGINT)),
		($25, CAST($26 AS BIGINT)), ($27, CAST($28 AS BIGINT)), ($29, CAST($30 AS BIGINT)), ($31, CAST($32 AS BIGINT)),
		($33, CAST($34 AS BIGINT)), ($35, CAST($36 AS BIGINT)), ($37, CAST($38 AS BIGINT)), ($39, CAST($40 AS BIGINT)),
		($41, CAST($42 AS BIGINT)), ($43, CAST($44 AS BIGINT)), ($45, CAST($46 AS BIGINT)), ($47, CAST($48 AS BIGINT)),
		($49, CAST($50 AS BIGINT)), ($51, CAST($52 AS BIGINT)), ($53, CAST($54 AS BIGINT)), ($55, CAST($56 AS BIGINT)),
		($57, CAST($58 AS BIGINT)), ($59, CAST($60 AS BIGINT)), ($61, CAST($62 AS BIGINT)), ($63, CAST($64 AS BIGINT))`
	found = `)
		SELECT l.run_id, l.seq, l.at, l.version, l.rows FROM w CROSS JOIN run_log l WHERE l.run_id = w.stream AND l.seq = w.seq
		UNION ALL
		SELECT l.stream, l.seq, l.at, l.version, l.rows FROM w CROSS JOIN noun_log l WHERE l.stream = w.stream AND l.seq = w.seq`
	findFew  = `WITH w (stream, seq) AS (VALUES ` + few + found
	findMany = `WITH w (stream, seq) AS (VALUES ` + many + found
)

// rowsOf reads the rows of the logs that announcements tell of.
func rowsOf(ctx context.Context, q store.Querier, feed []Announcement) (map[rowKey]Row, error) {
	var keys []rowKey
	for _, a := range feed {
		for _, e := range a.Entries {
			keys = append(keys, rowKey{e.Stream, e.First})
		}
	}
	rows := make(map[rowKey]Row, len(keys))
	for some := range slices.Chunk(keys, manyRows) {
		if err := find(ctx, q, some, rows); err != nil {
			return nil, fmt.Errorf("read what the feed tells of: %w", err)
		}
	}
	return rows, nil
}

// find adds the rows that are there of up to manyRows.
func find(ctx context.Context, q store.Querier, keys []rowKey, into map[rowKey]Row) error {
	query, length := findMany, manyRows
	if len(keys) <= fewRows {
		query, length = findFew, fewRows
	}
	args := make([]any, 0, 2*length)
	for _, k := range keys {
		args = append(args, k.stream, k.first)
	}
	for len(args) < 2*length {
		args = append(args, "", 0)
	}
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	return rows.Each(func(row store.Scanner) error {
		var r Row
		if err := row.Scan(&r.Stream, &r.Seq, &r.At, &r.Version, &r.Rows); err != nil {
			return err
		}
		into[rowKey{r.Stream, r.Seq}] = r
		return nil
	})
}

// Oldest returns the position of the oldest commit that the feed still tells
// of, 0 where it tells of none.
//
// Commits after a position p above 0 are gone where p+1 < Oldest. To be sure,
// read the commits after p first and ask then: what is deleted in between is
// noticed. A [Tail] whose options have Oldest does so, and tells its readers by
// a [*GoneError]; who asks for what follows position 0 asks for all that is
// kept, and is told nothing.
func Oldest(ctx context.Context, q store.Querier) (int64, error) {
	return position(ctx, q, `SELECT coalesce(min(pos), 0) FROM feed`)
}

// Newest returns the position of the last commit that the feed tells of, 0
// where it tells of none. Who reads on from there reads what is new.
func Newest(ctx context.Context, q store.Querier) (int64, error) {
	return position(ctx, q, `SELECT coalesce(max(pos), 0) FROM feed`)
}

func position(ctx context.Context, q store.Querier, query string) (pos int64, err error) {
	if err := q.QueryRow(ctx, query).Scan(&pos); err != nil {
		return 0, fmt.Errorf("read where the feed stands: %w", err)
	}
	return pos, nil
}

// FeedTail returns a tail of the feed with its events.
func FeedTail(q store.Querier, bell *Bell) *Tail[Commit] {
	return NewTail(TailOptions[Commit]{
		Read: func(ctx context.Context, after int64, limit int) ([]Commit, error) {
			return Commits(ctx, q, after, limit)
		},
		Position: func(c Commit) int64 { return c.Pos },
		Size:     func(c Commit) int { return c.Size() },
		Oldest:   func(ctx context.Context) (int64, error) { return Oldest(ctx, q) },
		Bell:     bell,
		Topic:    TopicFeed,
	})
}

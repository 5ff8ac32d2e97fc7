package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/event"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// commit writes what one group commit does: a row of events for each of the
// lists, their blobs, and one announcement.
func commit(ctx context.Context, db *store.DB, lists ...[]gathering.Event) error {
	return db.Tx(ctx, func(tx *store.Tx) error {
		var entries []event.Entry
		for _, events := range lists {
			row, blobs, err := event.Pack(events)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO run_log (run_id, seq, at, version, rows) VALUES ($1, $2, $3, $4, $5)`,
				row.Stream, row.Seq, row.At, row.Version, row.Rows); err != nil {
				return err
			}
			for _, b := range blobs {
				if _, err := tx.Exec(ctx, `INSERT INTO blobs (run_id, hash, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, row.Stream, b.Hash, b.Data); err != nil {
					return err
				}
			}
			entries = append(entries, event.Entry{Stream: row.Stream, First: row.Seq, Last: row.Last})
		}
		text, err := json.Marshal(entries)
		if err != nil {
			return err
		}
		if lock := tx.Dialect().FeedLock(); lock != "" {
			if _, err := tx.Exec(ctx, lock); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `INSERT INTO feed (at, entries) VALUES ($1, $2)`, at.UnixMicro(), string(text))
		return err
	})
}

// history makes so many events of a run, the first of which has that number.
func history(run string, first int64, n int, data json.RawMessage) []gathering.Event {
	var events []gathering.Event
	for i := range int64(n) {
		events = append(events, gathering.Event{Stream: run, Seq: first + i, Type: "node.started", At: at, Node: "a", Data: data})
	}
	return events
}

// placed are events as a commit at a position has them.
func placed(pos int64, lists ...[]gathering.Event) event.Commit {
	c := event.Commit{Pos: pos, At: at}
	for _, events := range lists {
		for _, e := range events {
			e.Pos = pos
			c.Events = append(c.Events, e)
		}
	}
	return c
}

func exec(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCommits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if got, err := event.Commits(ctx, db.Read(), 0, 10); err != nil || len(got) != 0 {
			t.Errorf("got %v, %v of an empty feed, want nothing", got, err)
		}
		var many [][]gathering.Event // more than one query finds
		for i := range 70 {
			many = append(many, history(fmt.Sprintf("run_%02d", i), 1, 1+i%3, text(10+i)))
		}
		long := history("run_long", 1, 2, text(event.MaxInline+1))
		must(t, commit(ctx, db, history("run_a", 1, 2, nil)))
		must(t, write(ctx, db, "pip_1", 1))
		must(t, commit(ctx, db, long))
		must(t, commit(ctx, db, many...))
		must(t, commit(ctx, db, history("run_a", 3, 1, nil), history("run_gone", 1, 1, nil), history("run_b", 1, 1, nil)))
		must(t, commit(ctx, db, history("run_gone", 2, 1, nil)))
		must(t, write(ctx, db, "pip_1", 2))
		exec(t, db, `DELETE FROM run_log WHERE run_id = $1`, "run_gone")

		feed, err := event.Feed(ctx, db.Read(), 0, 100)
		must(t, err)
		noun := func(seq int64) []gathering.Event {
			return []gathering.Event{{Stream: "pip_1", Seq: seq, Type: "thing.updated", At: at, Data: json.RawMessage(fmt.Sprintf(`{"name":"pip_1-%d"}`, seq))}}
		}
		want := []event.Commit{
			placed(feed[0].Pos, history("run_a", 1, 2, nil)),
			placed(feed[1].Pos, noun(1)),
			placed(feed[2].Pos, long),
			placed(feed[3].Pos, many...),
			placed(feed[4].Pos, history("run_a", 3, 1, nil), history("run_b", 1, 1, nil)),
			placed(feed[5].Pos),
			placed(feed[6].Pos, noun(2)),
		}
		got, err := event.Commits(ctx, db.Read(), 0, 100)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("commits (-want +got):\n%.3000s", diff)
		}
		got, err = event.Resolve(ctx, db.Read(), feed[4:6])
		must(t, err)
		if diff := cmp.Diff(want[4:6], got); diff != "" {
			t.Errorf("of two announcements (-want +got):\n%s", diff)
		}
		got, err = event.Commits(ctx, db.Read(), feed[0].Pos, 2)
		must(t, err)
		if diff := cmp.Diff(want[1:3], got); diff != "" {
			t.Errorf("two after the first (-want +got):\n%.3000s", diff)
		}
	})
}

// What cannot be read holds nobody up, and is not passed over in silence.
func TestCommitsOfDamagedLogs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		long := text(event.MaxInline + 1)
		lists := [][]gathering.Event{
			history("run_a", 1, 1, nil), history("run_damaged", 1, 2, nil), history("run_newer", 1, 1, nil),
			history("run_deleted_in_part", 1, 1, long), history("run_odd", 1, 1, long), history("run_b", 1, 1, nil),
		}
		must(t, commit(ctx, db, lists...))
		exec(t, db, `UPDATE run_log SET rows = $2 WHERE run_id = $1`, "run_damaged", []byte{0xee, 1})
		exec(t, db, `UPDATE run_log SET version = $2 WHERE run_id = $1`, "run_newer", event.FormatVersion+1)
		exec(t, db, `DELETE FROM blobs WHERE run_id = $1`, "run_deleted_in_part")
		exec(t, db, `UPDATE blobs SET data = $2 WHERE run_id = $1`, "run_odd", []byte{0xee, 1})
		got, err := event.Commits(ctx, db.Read(), 0, 10)
		must(t, err)
		want := placed(got[0].Pos, lists[0], lists[5])
		want.Unreadable = []event.Entry{
			{Stream: "run_damaged", First: 1, Last: 2}, {Stream: "run_newer", First: 1, Last: 1}, {Stream: "run_odd", First: 1, Last: 1},
		}
		if diff := cmp.Diff([]event.Commit{want}, got); diff != "" {
			t.Errorf("commits (-want +got):\n%s", diff)
		}
	})
}

// A page of long values ends early, and never without a commit.
func TestCommitsOfManyBytes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		const commits = 40
		for i := range commits {
			must(t, commit(ctx, db, history(fmt.Sprint("run_", i), 1, 1, text(event.PageBytes/4))))
		}
		must(t, commit(ctx, db, history("run_longest", 1, 1, text(2*event.PageBytes))))
		must(t, commit(ctx, db, history("run_last", 1, 1, nil)))
		var pages []int
		for after := int64(0); ; {
			got, err := event.Commits(ctx, db.Read(), after, 100)
			must(t, err)
			if len(got) == 0 {
				break
			}
			pages = append(pages, len(got))
			after = got[len(got)-1].Pos
		}
		if diff := cmp.Diff([]int{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 1, 1}, pages); diff != "" {
			t.Errorf("commits of each page (-want +got):\n%s", diff)
		}
	})
}

// An error of the database is an error, also where it comes late.
func TestCommitsOfADatabaseThatFails(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		must(t, commit(t.Context(), db, history("run_a", 1, 1, text(event.MaxInline+1))))
		boom := gathering.NewError(gathering.KindUnavailable, "boom")
		for answered := range 4 {
			var asked atomic.Int32
			through, _ := db.Through(func(_ context.Context, a store.Access) error {
				if int(asked.Add(1)) > answered {
					return boom
				}
				return a.Do()
			})
			got, err := event.Commits(t.Context(), through.Read(), 0, 10)
			if fails := answered < 3; fails != errors.Is(err, boom) || fails != (got == nil) {
				t.Errorf("after %d queries: got %v, %v", answered, got, err)
			}
			must(t, through.Close())
		}
	})
}

// One query finds the rows of many announcements, and none those for which a
// page has no room.
func TestCommitsTakeFewQueries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const commits = 100
		for i := range commits {
			must(t, commit(t.Context(), db, history(fmt.Sprint("run_", i), 1, 1, nil)))
		}
		first, err := event.Newest(t.Context(), db.Read())
		must(t, err)
		for i := range commits {
			must(t, commit(t.Context(), db, history(fmt.Sprint("run_long_", i), 1, 1, text(event.MaxInline))))
		}
		var asked atomic.Int32
		through, _ := db.Through(func(_ context.Context, a store.Access) error {
			asked.Add(1)
			return a.Do()
		})
		for _, test := range []struct {
			after         int64
			want, queries int
		}{{0, commits, 1 + 4}, {first, 32, 1 + 1}} {
			asked.Store(0)
			got, err := event.Commits(t.Context(), through.Read(), test.after, commits)
			must(t, err)
			if got, want := len(got), test.want; got != want {
				t.Errorf("after %d: got %d commits, want %d", test.after, got, want)
			}
			if got, want := asked.Load(), int32(test.queries); got != want {
				t.Errorf("after %d: it took %d queries, want %d", test.after, got, want)
			}
		}
		must(t, through.Close())
	})
}

func TestOldestAndNewest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		want := func(oldest, newest int64) {
			t.Helper()
			for name, test := range map[string]struct {
				of   func(context.Context, store.Querier) (int64, error)
				want int64
			}{"oldest": {event.Oldest, oldest}, "newest": {event.Newest, newest}} {
				if got, err := test.of(t.Context(), db.Read()); err != nil || got != test.want {
					t.Errorf("got %s %d, %v, want %d", name, got, err, test.want)
				}
			}
		}
		want(0, 0)
		for seq := range int64(5) {
			must(t, write(t.Context(), db, "pip_1", seq+1))
		}
		feed, err := event.Feed(t.Context(), db.Read(), 0, 10)
		must(t, err)
		want(feed[0].Pos, feed[4].Pos)
		exec(t, db, `DELETE FROM feed WHERE pos < $1`, feed[2].Pos)
		want(feed[2].Pos, feed[4].Pos)
	})
}

// TestFeedTail has readers of everything come at any time while many write runs
// and other things. Each meets every event after its position once, those of a
// stream in order.
func TestFeedTail(t *testing.T) {
	t.Parallel()
	const writers, commits, readers = 8, 40, 20
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		db := open(store.Options{Connections: writers + 4})
		var bell event.Bell
		tail := event.FeedTail(db.Read(), &bell)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var writing, reading sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := range int64(commits) {
					err := writeBoth(ctx, db, w, i)
					if err != nil {
						t.Errorf("write: %v", err)
						return
					}
					if i%5 > 0 { // the others are found without a ring
						bell.Ring(event.TopicFeed)
					}
				}
			})
		}
		seen := make([][]event.Commit, readers)
		for i := range readers {
			reading.Go(func() {
				after := int64(0)
				if i%4 == 1 {
					after, _ = event.Newest(ctx, db.Read())
				}
				for c, err := range tail.Read(ctx, after) {
					if err != nil {
						t.Errorf("read: %v", err)
						return
					}
					seen[i] = append(seen[i], c)
					if c.Events[0].Type == "last.written" {
						return
					}
				}
			})
		}
		writing.Wait()
		must(t, db.Tx(ctx, func(tx *store.Tx) error {
			return event.Append(ctx, tx, gathering.Event{Stream: "last", Seq: 1, Type: "last.written", At: at}, nil)
		}))
		reading.Wait()
		feed, err := event.Feed(ctx, db.Read(), 0, 100_000)
		must(t, err)
		for i, got := range seen {
			first := 0
			if i%4 == 1 { // it began later, wherever that was
				first = max(len(feed)-len(got), 0)
			}
			checkFeed(t, feed[first:], got)
		}
	})
}

// writeBoth writes a commit of two runs and one of something else.
func writeBoth(ctx context.Context, db *store.DB, writer int, i int64) error {
	run, other := fmt.Sprintf("run_%d", writer), fmt.Sprintf("run_%d_other", writer)
	err := commit(ctx, db, history(run, 1+2*i, 2, text(20)), history(other, 1+i, 1, nil))
	return errors.Join(err, write(ctx, db, fmt.Sprintf("pip_%d", writer), 1+i))
}

// checkFeed checks that commits are all that announcements tell of.
func checkFeed(t *testing.T, feed []event.Announcement, got []event.Commit) {
	t.Helper()
	if len(got) == 0 || len(got) != len(feed) {
		t.Errorf("got %d commits, want %d", len(got), len(feed))
		return
	}
	for i, a := range feed {
		var entries []event.Entry
		for _, e := range got[i].Events {
			if e.Pos != a.Pos {
				t.Errorf("got an event at %d, want %d", e.Pos, a.Pos)
			}
			if n := len(entries); n > 0 && entries[n-1].Stream == e.Stream && entries[n-1].Last == e.Seq-1 {
				entries[n-1].Last = e.Seq
				continue
			}
			entries = append(entries, event.Entry{Stream: e.Stream, First: e.Seq, Last: e.Seq})
		}
		if diff := cmp.Diff(a.Entries, entries); diff != "" || got[i].Pos != a.Pos {
			t.Errorf("at %d, want %d (-want +got):\n%s", got[i].Pos, a.Pos, diff)
			return
		}
	}
}

func TestFeedTailTellsWhatIsGone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for seq := range int64(5) {
			must(t, write(t.Context(), db, "pip_1", seq+1))
		}
		feed, err := event.Feed(t.Context(), db.Read(), 0, 10)
		must(t, err)
		exec(t, db, `DELETE FROM feed WHERE pos < $1`, feed[3].Pos)
		var (
			gone *event.GoneError
			got  []int64
		)
		for c, err := range event.FeedTail(db.Read(), nil).Read(t.Context(), feed[1].Pos) {
			if errors.As(err, &gone) {
				continue
			}
			must(t, err)
			if got = append(got, c.Pos); c.Pos == feed[4].Pos {
				break
			}
		}
		if want := (event.GoneError{After: feed[1].Pos, Oldest: feed[3].Pos}); gone == nil || *gone != want {
			t.Errorf("got %+v, want %+v", gone, want)
		}
		if diff := cmp.Diff([]int64{feed[3].Pos, feed[4].Pos}, got); diff != "" {
			t.Errorf("commits (-want +got):\n%s", diff)
		}
	})
}

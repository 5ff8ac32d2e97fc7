package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/event"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

type change struct {
	Name string `json:"name"`
}

// write appends an event of a stream in a transaction of its own.
func write(ctx context.Context, db *store.DB, stream string, seq int64) error {
	return db.Tx(ctx, func(tx *store.Tx) error {
		return event.Append(ctx, tx, gathering.Event{Stream: stream, Seq: seq, Type: "thing.updated", At: at}, change{fmt.Sprintf("%s-%d", stream, seq)})
	})
}

// noun reads the log of a stream.
func noun(t *testing.T, db *store.DB, stream string) []gathering.Event {
	t.Helper()
	rows, err := db.Read().Query(t.Context(), `SELECT stream, seq, at, version, rows FROM noun_log WHERE stream = $1 ORDER BY seq`, stream)
	if err != nil {
		t.Fatal(err)
	}
	var events []gathering.Event
	err = rows.Each(func(s store.Scanner) error {
		var row event.Row
		if err := s.Scan(&row.Stream, &row.Seq, &row.At, &row.Version, &row.Rows); err != nil {
			return err
		}
		more, err := event.Unpack(t.Context(), row, nil)
		events = append(events, more...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestAppend(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for seq := range int64(3) {
			if err := write(t.Context(), db, `a "stream"`, seq+1); err != nil {
				t.Fatal(err)
			}
		}
		boom := errors.New("boom")
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			if err := event.Append(t.Context(), tx, gathering.Event{Stream: "b", Seq: 1, Type: "thing.created", At: at}, nil); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("got %v, want %v", err, boom)
		}
		if err := write(t.Context(), db, `a "stream"`, 3); err == nil {
			t.Error("an event was written over another")
		}

		want := []gathering.Event{}
		for seq := int64(1); seq <= 3; seq++ {
			want = append(want, gathering.Event{
				Stream: `a "stream"`, Seq: seq, Type: "thing.updated", At: at,
				Data: json.RawMessage(fmt.Sprintf(`{"name":"a \"stream\"-%d"}`, seq)),
			})
		}
		if diff := cmp.Diff(want, noun(t, db, `a "stream"`)); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		feed, err := event.Feed(t.Context(), db.Read(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		var entries []event.Entry
		for _, a := range feed {
			entries = append(entries, a.Entries...)
			if !a.At.Equal(at) {
				t.Errorf("got an announcement of %s, want %s", a.At, at)
			}
		}
		if diff := cmp.Diff([]event.Entry{{Stream: `a "stream"`, First: 1, Last: 1}, {Stream: `a "stream"`, First: 2, Last: 2}, {Stream: `a "stream"`, First: 3, Last: 3}}, entries); diff != "" {
			t.Errorf("feed (-want +got): what was rolled back is not in it\n%s", diff)
		}
		page, err := event.Feed(t.Context(), db.Read(), feed[0].Pos, 1)
		if err != nil || len(page) != 1 || page[0].Pos != feed[1].Pos {
			t.Errorf("got %v, %v after the first, want the second alone", page, err)
		}
		if rest, err := event.Feed(t.Context(), db.Read(), feed[2].Pos, 1); err != nil || len(rest) != 0 {
			t.Errorf("got %v, %v after the last, want nothing", rest, err)
		}
	})
}

// TestFollowersMissNothing has followers read the feed while many write, over
// connections of their own. Each follower meets every commit once, those of a
// stream in order, and never one from before where it has read to.
func TestFollowersMissNothing(t *testing.T) {
	t.Parallel()
	const writers, events, followers = 16, 30, 3
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		db := open(store.Options{Connections: writers + followers})
		written := make(chan struct{})
		seen := make([][]event.Announcement, followers)
		var following, writing sync.WaitGroup
		for i := range followers {
			following.Go(func() {
				var err error
				if seen[i], err = follow(t.Context(), db, 1+i*5, written); err != nil {
					t.Errorf("follow the feed: %v", err)
				}
			})
		}
		for w := range writers {
			writing.Go(func() {
				for seq := range int64(events) {
					if err := write(t.Context(), db, fmt.Sprintf("stream-%d", w), seq+1); err != nil {
						t.Errorf("write: %v", err)
						return
					}
				}
			})
		}
		writing.Wait()
		close(written)
		following.Wait()

		all, err := event.Feed(t.Context(), db.Read(), 0, 2*writers*events)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(all), writers*events; got != want {
			t.Errorf("the feed has %d commits, want %d", got, want)
		}
		next := map[string]int64{}
		for _, a := range all {
			for _, e := range a.Entries {
				if e.First != next[e.Stream]+1 || e.Last != e.First {
					t.Errorf("%s goes on from %d to %d, want at %d", e.Stream, e.First, e.Last, next[e.Stream]+1)
				}
				next[e.Stream] = e.Last
			}
		}
		for i := range followers {
			if diff := cmp.Diff(positions(all), positions(seen[i])); diff != "" {
				t.Errorf("follower %d of %d (-feed +seen):\n%.3000s", i, followers, diff)
			}
		}
	})
}

// follow reads the feed, limit commits at a time, until all is written and read.
func follow(ctx context.Context, db *store.DB, limit int, written <-chan struct{}) ([]event.Announcement, error) {
	var seen []event.Announcement
	after := int64(0)
	for last := false; ; {
		feed, err := event.Feed(ctx, db.Read(), after, limit)
		if err != nil {
			return seen, err
		}
		seen = append(seen, feed...)
		if len(feed) > 0 {
			after = feed[len(feed)-1].Pos
			continue
		}
		if last {
			return seen, nil
		}
		select {
		case <-written:
			last = true
		default:
		}
	}
}

func positions(feed []event.Announcement) []int64 {
	list := make([]int64, len(feed))
	for i, a := range feed {
		list[i] = a.Pos
	}
	return list
}

func TestFeedEntriesAreReadAsWritten(t *testing.T) {
	t.Parallel()
	for _, entry := range []event.Entry{{"run_1", 1, 1}, {`q"\u00e9`, 3, 1 << 60}, {"", 0, 0}} {
		data, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		var got event.Entry
		if err := json.Unmarshal(data, &got); err != nil || got != entry {
			t.Errorf("%v came back as %v, %v from %s", entry, got, err, data)
		}
	}
	for _, damaged := range []string{`{}`, `"x"`, `[1,1,1]`, `["a","1",1]`, `["a",1.5,1]`, `["a",1]`, `["a"]`, `[]`, `["a",1,2,3]`} {
		var got event.Entry
		if err := json.Unmarshal([]byte(damaged), &got); err == nil {
			t.Errorf("%s was read as %v, want an error", damaged, got)
		}
	}
}

package event_test

import (
	"strings"
	"testing"

	"gathering"
	"gathering/internal/event"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// TestRunLog reads logs of many rows, and of long events, in pages of every
// kind: each event comes once, and a page says truly whether others follow.
func TestRunLog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		long := text(event.PageBytes / 3)
		for seq := int64(1); seq <= 300; seq += 2 {
			must(t, commit(ctx, db, history("run_many", seq, 2, nil)))
		}
		for seq := int64(1); seq <= 10; seq++ {
			must(t, commit(ctx, db, history("run_long", seq, 1, long)))
		}
		must(t, commit(ctx, db, history("run_longest", 1, 2, text(2*event.PageBytes))))
		for _, test := range []struct {
			run          gathering.RunID
			limit        int
			first, total int
		}{
			{"run_many", 0, 300, 300},
			{"run_many", 1, 1, 300},
			{"run_many", 7, 7, 300},
			{"run_many", 300, 300, 300},
			{"run_many", 1000, 300, 300},
			{"run_long", 0, 10, 10},
			{"run_long", 100, 3, 10},
			{"run_long", 2, 2, 10},
			{"run_longest", 100, 1, 2},
			{"run_none", 10, 0, 0},
		} {
			after, pages := int64(0), 0
			for more := true; more; pages++ {
				var (
					events []gathering.Event
					err    error
				)
				events, more, err = event.RunLog(ctx, db.Read(), test.run, after, test.limit)
				must(t, err)
				if pages == 0 && len(events) != test.first {
					t.Errorf("%s by %d: the first page has %d events, want %d", test.run, test.limit, len(events), test.first)
				}
				if len(events) == 0 && after > 0 {
					t.Errorf("%s by %d: there was said to be more after %d", test.run, test.limit, after)
				}
				for _, e := range events {
					if after++; e.Seq != after || e.Stream != string(test.run) {
						t.Fatalf("%s by %d: got event %d of %s, want %d", test.run, test.limit, e.Seq, e.Stream, after)
					}
				}
			}
			if after != int64(test.total) {
				t.Errorf("%s by %d: got %d events, want %d", test.run, test.limit, after, test.total)
			}
		}
		if _, _, err := event.RunLog(ctx, db.Read(), "run_many", 5, 2); err != nil {
			t.Error(err)
		}
		exec(t, db, `DELETE FROM blobs`)
		if _, _, err := event.RunLog(ctx, db.Read(), "run_long", 0, 2); err == nil || !strings.Contains(err.Error(), "run_long") {
			t.Errorf("without what is beside the log: got %v", err)
		}
	})
}

// TestAppendOfTooMuch refuses what the log of an object has no room for.
func TestAppendOfTooMuch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			return event.Append(t.Context(), tx, gathering.Event{Stream: "x", Seq: 1, Type: "thing.updated", At: at}, change{strings.Repeat("x", event.MaxInline)})
		})
		if err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("got %v", err)
		}
	})
}

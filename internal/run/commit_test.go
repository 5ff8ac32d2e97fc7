package run_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// stored is how much of everything there is that a commit of a run writes.
func stored(t *testing.T, db *store.DB) string {
	t.Helper()
	var all string
	err := db.Read().QueryRow(t.Context(), `SELECT 'runs ' || (SELECT count(*) FROM runs)
		|| ', log ' || (SELECT count(*) FROM run_log) || ', mail ' || (SELECT count(*) FROM run_inbox)
		|| ', blobs ' || (SELECT count(*) FROM blobs) || ', snapshots ' || (SELECT count(*) FROM snapshots)
		|| ', feed ' || (SELECT count(*) FROM feed) || ', dead ' || (SELECT count(*) FROM runs WHERE dead_at IS NOT NULL)`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A commit on the condition that no mail has come is written whole or not at
// all, and known again when its answer was lost.
func TestConditionalCommit(t *testing.T) {
	t.Parallel()
	const before = "runs 2, log 2, mail 0, blobs 0, snapshots 0, feed 2, dead 0"
	tests := []struct {
		name  string
		seen  int64
		epoch int64
		mail  bool
		lost  bool // the commit's first answer
		code  string
		want  string
	}{
		{"no mail", 0, 0, false, false, "", "runs 3, log 3, mail 1, blobs 1, snapshots 1, feed 3, dead 1"},
		{"no mail, answer lost", 0, 0, false, true, "", "runs 3, log 3, mail 1, blobs 1, snapshots 1, feed 3, dead 1"},
		{"mail that was not read", 0, 0, true, false, "mail", strings.Replace(before, "mail 0", "mail 1", 1)},
		{"mail that was read", 1, 0, true, false, "", "runs 3, log 3, mail 1, blobs 1, snapshots 1, feed 3, dead 1"},
		{"mail does not matter", -1, 0, true, false, "", "runs 3, log 3, mail 1, blobs 1, snapshots 1, feed 3, dead 1"},
		{"another owner", 0, 1, false, false, gathering.CodeFenced, before},
		{"another owner and mail", 0, 1, true, false, gathering.CodeFenced, strings.Replace(before, "mail 0", "mail 1", 1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
				var lose atomic.Bool
				db := open(store.Options{Commit: func(_ context.Context, commit func() error) error {
					err := commit()
					if err == nil && lose.CompareAndSwap(true, false) {
						return errors.New("the answer is lost")
					}
					return err
				}})
				p := newPipelines()
				p.add(t, "one", []engine.Node{trigger()})
				h := openHouse(t, db, p)
				r, err := h.Run(t.Context(), h.start("one"))
				if err != nil {
					t.Fatal(err)
				}
				other := h.start("one")
				if test.mail {
					if _, err := h.Cancel(t.Context(), r.ID, "somebody"); err != nil {
						t.Fatal(err)
					}
				}
				if got := stored(t, db); strings.Replace(got, "mail 1", "mail 0", 1) != before {
					t.Fatalf("before: got %s, want %s", got, before)
				}
				r.Epoch = test.epoch
				lose.Store(test.lost)
				at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
				events := []gathering.Event{{
					Stream: string(r.ID), Seq: 2, Type: gathering.EventRunFailed, At: at,
					Data: json.RawMessage(`"` + strings.Repeat("x", event.MaxInline) + `"`),
				}}
				err = h.CommitEnd(t.Context(), r, other, events, test.seen)
				if gathering.CodeOf(err) != test.code || (err == nil) != (test.code == "") {
					t.Errorf("got %v, want code %q", err, test.code)
				}
				if got := stored(t, db); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
				if lose.Load() {
					t.Error("the answer was not lost")
				}
			})
		})
	}
}

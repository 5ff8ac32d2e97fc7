package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func column(name string, kind store.ColumnType) store.Column {
	return store.Column{Name: name, Type: kind}
}

func insertRuns(t *testing.T, db *store.DB, epochs ...int) {
	t.Helper()
	rows := make([][]any, len(epochs))
	for i, epoch := range epochs {
		rows[i] = []any{fmt.Sprint("run_", i), epoch}
	}
	var b store.Batch
	b.Rows(`INSERT INTO runs (id, project, pipeline, version, state, epoch, inbox, crashes, priority, queue, labels, root_run, depth, min_engine, created_at)
		SELECT w.id, 'default', 'p', 1, 'running', w.epoch, 0, 0, 0, 'default', '{}', w.id, 0, 1, $1 FROM {rows}`,
		[]store.Column{column("id", store.Text), column("epoch", store.Int)}, rows, nil, 1)
	if err := db.Run(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

func TestBatchEmpty(t *testing.T) {
	t.Parallel()
	committed := func(context.Context, func() error) error { return errors.New("committed") }
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		open(store.Options{}).Close() // names the log
		db := open(store.Options{ReadOnly: true, Commit: committed})
		var b store.Batch
		b.Exec("")
		b.Exec("", 1)
		b.Rows(`INSERT INTO nowhere SELECT w.a FROM {rows}`, []store.Column{column("a", store.Text)}, nil, nil)
		if err := db.Run(t.Context(), &b); err != nil {
			t.Errorf("an empty batch: %v", err)
		}
		b.Exec(`DELETE FROM meta`)
		wantKind(t, db.Run(t.Context(), &b), gathering.KindConflict, "reading alone")
	})
}

// Rows of every type, NULLs too, go in and come back, with bytes among the
// columns and without.
func TestBatchRows(t *testing.T) {
	t.Parallel()
	type row struct {
		ID    string
		Owner sql.Null[string]
		Ready sql.Null[int64]
	}
	set := row{"set", sql.Null[string]{V: "o \"'\\ \u2028 <&>", Valid: true}, sql.Null[int64]{V: 1<<62 + 1, Valid: true}}
	unset := row{ID: "unset"}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertRuns(t, db, 1)
		var b store.Batch
		b.Rows(`INSERT INTO runs (id, owner, ready_at, project, pipeline, version, state, epoch, inbox, crashes, priority, queue, labels, root_run, depth, min_engine, created_at)
			SELECT w.id, w.owner, w.ready, project, pipeline, version, state, epoch, inbox, crashes, priority, queue, labels, root_run, depth, min_engine, created_at
			FROM {rows} JOIN runs ON runs.id = $1`,
			[]store.Column{column("id", store.Text), column("owner", store.Text), column("ready", store.Int)},
			[][]any{{set.ID, set.Owner.V, set.Ready.V}, {unset.ID, nil, nil}}, nil, "run_0")
		b.Rows(`INSERT INTO run_inbox (run_id, id, kind, data, at) SELECT w.run, w.id, 'k', w.data, $1 FROM {rows}`,
			[]store.Column{column("run", store.Text), column("id", store.Text), column("data", store.Bytes)},
			[][]any{{"r", "1", []byte{0, 255}}, {"r", "2", nil}, {"r", "3", []byte{}}}, nil, 5)
		var got []row
		b.Query(`SELECT id, owner, ready_at FROM runs WHERE id <> $1 ORDER BY id`, func(s store.Scanner) error {
			var r row
			err := s.Scan(&r.ID, &r.Owner, &r.Ready)
			got = append(got, r)
			return err
		}, "run_0")
		var data []string
		b.Query(`SELECT coalesce(length(data), -1), at FROM run_inbox ORDER BY id`, func(s store.Scanner) error {
			var length, at int
			err := s.Scan(&length, &at)
			data = append(data, fmt.Sprint(length, at))
			return err
		})
		if err := db.Run(ctx, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]row{set, unset}, got); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"2 5", "-1 5", "0 5"}, data); diff != "" {
			t.Errorf("lengths (-want +got):\n%s", diff)
		}
	})
}

func TestBatchUpdateFromRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		insertRuns(t, db, 1, 2, 3)
		var b store.Batch
		var got []string
		b.Rows(`UPDATE runs SET inbox = runs.inbox + $1, state = {state} {from}
			WHERE runs.id = {id} AND runs.epoch = {epoch} RETURNING runs.id, runs.inbox, runs.state`,
			[]store.Column{column("id", store.Text), column("epoch", store.Int), column("state", store.Text)},
			[][]any{{"run_0", 1, "waiting"}, {"run_1", 7, "waiting"}, {"run_2", 3, "paused"}, {"run_9", 1, "waiting"}},
			func(s store.Scanner) error {
				var id, state string
				var inbox int
				err := s.Scan(&id, &inbox, &state)
				got = append(got, fmt.Sprint(id, " ", inbox, " ", state))
				return err
			}, 10)
		if err := db.Run(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"run_0 10 waiting", "run_2 10 paused"}, got); diff != "" {
			t.Errorf("updated (-want +got):\n%s", diff)
		}
	})
}

// The guard decides once, at its place in the batch, which members are written:
// what the batch itself changes later does not count.
func TestBatchGuard(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		epochs   []int
		verdicts []int64
		feed     string
		logged   string
	}{
		{"all", []int{1, 2, 3}, []int64{1, 1, 1}, `[["run_0"],["run_1"],["run_2"],["new"]]`, "run_0 run_1 run_2 new "},
		{"one is not held", []int{1, 9, 3}, []int64{1, 7, 1}, `[["run_0"],["run_2"],["new"]]`, "run_0 run_2 new "},
		{"none is held", []int{9, 9, 9}, []int64{7, 7, 7}, `[["new"]]`, "new "},
		{"of one there is nothing", []int{1, 2, 3, 4}, []int64{1, 1, 1, 0}, `[["run_0"],["run_1"],["run_2"],["new"]]`, "run_0 run_1 run_2 new "},
	}
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		db := open(store.Options{})
		for i, test := range tests {
			runs := []int{1, 2, 3}
			if i == 0 {
				insertRuns(t, db, runs...)
			}
			var (
				guards, rows [][]any
				members      []int64
				texts        []string
				verdicts     []int64
			)
			for i, epoch := range test.epochs {
				id := fmt.Sprint("run_", i)
				guards = append(guards, []any{i + 1, id, epoch})
				rows = append(rows, []any{i + 1, id, "a", []byte{0}, "k", 0}, []any{i + 1, id, "a", nil, "again", 0}, []any{i + 1, id, "b", nil, "k", 0})
				members, texts = append(members, int64(i+1)), append(texts, fmt.Sprintf("[%q]", id))
			}
			guards = append(guards, []any{0, "run_0", 9})
			rows = append(rows, []any{0, "new", "a", nil, "k", 0})
			members, texts = append(members, 0), append(texts, `["new"]`)
			columns := []store.Column{column("member", store.Int), column("id", store.Text)}
			var b store.Batch
			b.Guard(`SELECT w.member, CASE WHEN r.epoch = w.epoch THEN 1 ELSE 7 END AS verdict FROM {rows} JOIN runs r ON r.id = w.id`+
				db.Dialect().Locking("ORDER BY r.id FOR NO KEY UPDATE OF r"), store.Guard{
				Columns: append(slices.Clip(columns), column("epoch", store.Int)), Rows: guards, Members: len(test.epochs),
				Verdicts: func(v []int64, _ int64) { verdicts = slices.Clone(v) },
			})
			b.Guarded(`UPDATE runs SET epoch = runs.epoch + 100 {from} WHERE runs.id = {id}`, columns, without(guards[:len(test.epochs)], 2))
			b.Guarded(`INSERT INTO run_inbox (run_id, id, data, kind, at) {values} ON CONFLICT (run_id, id) DO NOTHING`,
				append(slices.Clip(columns), column("box", store.Text), column("data", store.Bytes), column("kind", store.Text), column("at", store.Int)), rows)
			b.Guarded(`DELETE FROM run_inbox WHERE (run_id, id) IN (SELECT w.id, 'b' FROM {rows})`, columns, without(rows, 2))
			b.Exec(db.Dialect().FeedLock())
			b.Joined(`INSERT INTO feed (at, entries) SELECT $1, '[' || j.text || ']' FROM {joined} WHERE j.text IS NOT NULL`, members, texts, i)
			var logged strings.Builder
			b.Query(`SELECT run_id FROM run_inbox ORDER BY run_id = 'new', run_id`, func(s store.Scanner) error {
				var id string
				err := s.Scan(&id)
				logged.WriteString(id + " ")
				return err
			})
			b.Exec(`DELETE FROM run_inbox`)
			b.Exec(`UPDATE runs SET epoch = epoch - 100 WHERE epoch > 100`)
			if err := db.Run(t.Context(), &b); err != nil {
				t.Fatal(test.name, err)
			}
			if !slices.Equal(verdicts, test.verdicts) || logged.String() != test.logged {
				t.Errorf("%s: got %v and %s, want %v and %s", test.name, verdicts, logged.String(), test.verdicts, test.logged)
			}
			var entries string
			err := db.Read().QueryRow(t.Context(), `SELECT entries FROM feed WHERE at = $1`, i).Scan(&entries)
			if err != nil || entries != test.feed {
				t.Errorf("%s: got %s (%v), want %s", test.name, entries, err, test.feed)
			}
		}
	})
}

// without is the rows without what follows their first columns.
func without(rows [][]any, columns int) [][]any {
	cut := make([][]any, len(rows))
	for i, row := range rows {
		cut[i] = row[:columns]
	}
	return cut
}

// Who was held is not asked about again until something else than a batch was
// written. PostgreSQL, where others write, asks each time.
func TestBatchGuardSince(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		insertRuns(t, db, 1)
		guard := func(epoch int, since int64) (verdict, age int64) {
			var b store.Batch
			b.Guard(`SELECT w.member, 1 AS verdict FROM {rows} JOIN runs r ON r.id = w.id AND r.epoch = w.epoch`+db.Dialect().Locking("FOR UPDATE OF r"), store.Guard{
				Columns: []store.Column{column("member", store.Int), column("id", store.Text), column("epoch", store.Int)},
				Rows:    [][]any{{1, "run_0", epoch}}, Members: 1, Since: []int64{since},
				Verdicts: func(v []int64, at int64) { verdict, age = v[0], at },
			})
			if err := db.Run(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			return verdict, age
		}
		want := func(about string, epoch int, since, verdict int64) int64 {
			t.Helper()
			got, age := guard(epoch, since)
			if got != verdict {
				t.Errorf("%s: got the verdict %d, want %d", about, got, verdict)
			}
			return age
		}
		age := want("asked", 1, 0, store.Held)
		lite := db.Dialect().Database == store.SQLite
		if (age > 0) != lite {
			t.Errorf("got the age %d", age)
		}
		want("another epoch", 2, 0, 0)
		unasked := int64(0)
		if lite {
			unasked = store.Held
		}
		want("held since", 2, age, unasked)
		var other store.Batch
		other.Exec(`DELETE FROM meta WHERE key = 'none'`)
		if err := db.Run(t.Context(), &other); err != nil {
			t.Fatal(err)
		}
		want("held since, before another batch", 2, age, unasked)
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE runs SET epoch = 3`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want("held before a transaction", 1, age, 0)
		want("asked after it", 3, age, store.Held)
	})
}

// A batch without a member that is held has nothing to join.
func TestBatchJoinsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var b store.Batch
		b.Joined(`INSERT INTO feed (at, entries) SELECT 1, '[' || j.text || ']' FROM {joined} WHERE j.text IS NOT NULL`, []int64{1}, []string{`["x"]`})
		b.Guarded(`INSERT INTO meta (key, value) SELECT w.key, 'x' FROM {rows}`,
			[]store.Column{column("member", store.Int), column("key", store.Text)}, [][]any{{1, "guarded"}})
		if err := db.Run(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		var n int
		err := db.Read().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM feed) + (SELECT count(*) FROM meta WHERE key = 'guarded')`).Scan(&n)
		if err != nil || n != 0 {
			t.Errorf("got %d rows (%v), want none", n, err)
		}
	})
}

// A batch is all or nothing, wherever it fails.
func TestBatchFails(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	insert := func(b *store.Batch, keys ...string) {
		for _, key := range keys {
			b.Exec(`INSERT INTO meta (key, value) VALUES ($1, 'x')`, key)
		}
	}
	tests := []struct {
		name  string
		fill  func(b *store.Batch)
		check func(err error) bool
	}{
		{"a column that is not there", func(b *store.Batch) {
			insert(b, "a")
			b.Rows(`INSERT INTO meta (key, value) VALUES ({nothing}, 'x')`, []store.Column{column("key", store.Text)}, [][]any{{"b"}}, nil)
		}, func(err error) bool { return gathering.KindOf(err) == gathering.KindInternal && !store.Ambiguous(err) }},
		{"in the middle", func(b *store.Batch) { insert(b, "a", "taken", "b") }, store.IsUniqueViolation},
		{"among rows", func(b *store.Batch) {
			insert(b, "a")
			b.Rows(`INSERT INTO meta (key, value) SELECT w.key, 'x' FROM {rows}`, []store.Column{column("key", store.Text)},
				[][]any{{"b"}, {"taken"}}, nil)
		}, store.IsUniqueViolation},
		{"unknown table", func(b *store.Batch) {
			insert(b, "a")
			b.Exec(`DELETE FROM nowhere`)
		}, func(err error) bool { return gathering.KindOf(err) == gathering.KindInternal && !store.Ambiguous(err) }},
		{"too few values", func(b *store.Batch) {
			insert(b, "a")
			b.Rows(`SELECT 1 FROM {rows}`, []store.Column{column("a", store.Text), column("b", store.Text)}, [][]any{{"a"}}, nil)
		}, func(err error) bool { return err != nil && !store.Ambiguous(err) }},
		{"number for text", func(b *store.Batch) {
			insert(b, "a")
			b.Rows(`SELECT 1 FROM {rows}`, []store.Column{column("a", store.Text)}, [][]any{{1}}, nil)
		}, func(err error) bool { return err != nil && !store.Ambiguous(err) }},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var b store.Batch
		insert(&b, "taken")
		if err := db.Run(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		for _, test := range tests {
			var b store.Batch
			test.fill(&b)
			if err := db.Run(t.Context(), &b); !test.check(err) {
				t.Errorf("%s: got %v", test.name, err)
			}
		}
		wantKeys(t, db, "taken")
	})
	t.Run("scan", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, func(t *testing.T, db *store.DB) {
			var b store.Batch
			b.Query(`SELECT 1`, func(store.Scanner) error { return wrong })
			if err := db.Run(t.Context(), &b); !errors.Is(err, wrong) {
				t.Errorf("got %v, want the scan function's own error", err)
			}
		})
	})
}

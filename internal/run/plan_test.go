package run_test

import (
	"strings"
	"testing"
	"time"

	"gathering/internal/place"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// fill stores 10,000 runs that are parked for an hour and more, and 2,000 that
// have ended. Every tenth is the child of one of ten.
func fill(t *testing.T, db *store.DB) {
	t.Helper()
	now := time.Now().UnixMicro()
	change(t, db, `INSERT INTO runs (id, project, pipeline, version, state, epoch, inbox, crashes, ready_at, priority, queue,
			labels, parent_run, root_run, depth, min_engine, created_at, finished_at)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
		SELECT 'run_' || CAST(i AS TEXT), 'default', 'pip_1', 1, CASE WHEN i <= 10000 THEN 'waiting' ELSE 'completed' END, 1, 0, 0,
			CASE WHEN i <= 10000 THEN CAST($1 AS BIGINT) + i END, 0, '100/default', '{}',
			CASE WHEN i % 10 = 0 THEN 'run_' || (i % 100) END, CASE WHEN i % 10 = 0 THEN 'run_' || (i % 100) ELSE 'run_' || i END,
			CASE WHEN i % 10 = 0 THEN 1 ELSE 0 END, 1, CAST($2 AS BIGINT), CASE WHEN i > 10000 THEN CAST($2 AS BIGINT) END
		FROM n`, now+time.Hour.Microseconds(), now)
	if db.Dialect().Database == store.PostgreSQL { // SQLite plans by its schema alone
		change(t, db, `ANALYZE runs`)
	}
}

// plan is how the database carries a query out.
func plan(t *testing.T, db *store.DB, query string, args ...any) string {
	t.Helper()
	sqlite := db.Dialect().Database == store.SQLite
	explain := "EXPLAIN "
	if sqlite {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.Read().Query(t.Context(), explain+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	err = rows.Each(func(row store.Scanner) error {
		var line string
		dest := []any{&line}
		if sqlite {
			var id, parent, unused int64
			dest = []any{&id, &parent, &unused, &line}
		}
		err := row.Scan(dest...)
		lines = append(lines, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestPlans holds that what is asked again and again reads a range of an index,
// however many runs are parked or have ended.
func TestPlans(t *testing.T) {
	t.Parallel()
	now := time.Now().UnixMicro()
	tests := []struct {
		name, query        string
		args               []any
		sqlite, postgresql []string // in the plan
	}{
		{
			"claim", run.Claimable,
			[]any{now, 1, "", "100/default", 64},
			[]string{"INDEX runs_ready (queue=? AND ready_at>? AND ready_at<?)"},
			[]string{"Limit", "Index Scan using runs_ready", "Index Cond: ((queue ="},
		},
		{
			"claim a suspect", run.Suspected,
			[]any{now, 1, "", 1},
			[]string{"INDEX runs_suspect (ready_at>? AND ready_at<?)"},
			[]string{"Limit", "using runs_suspect"},
		},
		{
			"line", run.WholeLine,
			[]any{1},
			[]string{"SEARCH r USING INDEX runs_ready (queue>?)", "SEARCH r USING INDEX runs_ready (queue=? AND ready_at>?)", "INDEX runs_suspect"},
			[]string{"using runs_ready on runs r ", "Index Cond: (queue = line.queue)", "using runs_suspect"},
		},
		{
			"line of a family", run.FamilyLine,
			[]any{1, "run_10"},
			[]string{"PRIMARY KEY (id=?)", "INDEX runs_root (root_run=?)"},
			[]string{"runs_pkey", "runs_root"},
		},
		{
			"idle", run.Busy,
			[]any{""},
			[]string{"INDEX runs_owned"},
			[]string{"using runs_owned"},
		},
		{
			"free places", place.Vacancies,
			nil,
			[]string{"INDEX runs_bounded (concurrency_key>?)", "INDEX runs_granted (concurrency_key=?)"},
			[]string{"using runs_bounded", "using runs_granted"},
		},
		{
			"waiting for a place", place.Waiting,
			[]any{"default/k", 64},
			[]string{"INDEX runs_bounded (concurrency_key=?)"},
			[]string{"using runs_bounded"},
		},
		{
			"all", run.AllRuns,
			[]any{"", "", "run_5", 50, "", "", ""},
			[]string{"SEARCH runs USING PRIMARY KEY (id<?)"},
			[]string{"Limit", "Backward using runs_pkey", "Index Cond: (id < "},
		},
		{
			"dead letters", run.DeadRuns,
			[]any{"", "", "s", 50, "", "", ""},
			[]string{"INDEX runs_dead"},
			[]string{"Limit", "using runs_dead"},
		},
		{
			"children", run.ChildRuns,
			[]any{"", "", "s", 50, "run_10", "", ""},
			[]string{"INDEX runs_parent (parent_run=? AND id<?)"},
			[]string{"runs_parent", "Index Cond: (parent_run ="},
		},
		{
			"family", run.Family,
			[]any{"", "", "s", 50, "run_10", "", ""},
			[]string{"INDEX runs_root (root_run=? AND id<?)"},
			[]string{"runs_root", "Index Cond: (root_run ="},
		},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fill(t, db)
		for _, test := range tests {
			got := plan(t, db, test.query, test.args...)
			want := test.postgresql
			if db.Dialect().Database == store.SQLite {
				want = test.sqlite
			}
			for _, part := range want {
				if !strings.Contains(got, part) {
					t.Errorf("%s: there is no %q in the plan:\n%s", test.name, part, got)
				}
			}
			if strings.Contains(got, "Seq Scan on runs") || !strings.Contains(test.name, "family") && strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("%s: the plan looks at every run:\n%s", test.name, got)
			}
		}
	})
}

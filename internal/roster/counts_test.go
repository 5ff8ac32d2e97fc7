package roster_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/roster"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	dead := func(context.Context) ([]gathering.InstanceID, error) { return []gathering.InstanceID{"ins_dead"}, nil }
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		insert(
			t, db,
			row{id: "run_01", project: "one", pipeline: "pip_1", state: "completed"},
			row{id: "run_02", project: "one", pipeline: "pip_1", state: "failed", dead: true},
			row{id: "run_03", project: "two", pipeline: "pip_1", state: "failed"}, // dismissed
			row{id: "run_04", project: "two", pipeline: "pip_1", state: "timed_out", dead: true},
			row{id: "run_05", project: "one", pipeline: "pip_1", state: "running", owner: "ins_1"},
			row{id: "run_06", project: "two", pipeline: "pip_1", state: "running", owner: "ins_dead"},
			row{id: "run_07", project: "two", pipeline: "pip_1", state: "cancelling", owner: "ins_1"},
			row{id: "run_08", project: "one", pipeline: "pip_1", state: "queued"},
			row{id: "run_09", project: "one", pipeline: "pip_1", state: "recovering"},
			row{id: "run_10", project: "one", pipeline: "pip_1", state: "waiting"},
			row{id: "run_11", project: "two", pipeline: "pip_1", state: "waiting"},
			row{id: "run_12", project: "two", pipeline: "pip_1", state: "paused"},
		)
		change(t, db, `UPDATE runs SET ready_at = 5 WHERE id IN ('run_08', 'run_09', 'run_11')`)
		change(t, db, `UPDATE runs SET undecided = 2 WHERE id IN ('run_05', 'run_10')`)
		for _, test := range []struct {
			name     string
			projects []gathering.ProjectID
			bound    int
			want     gathering.RunCounts
		}{
			{"all", nil, 100, gathering.RunCounts{Queued: 1, Running: 1, Recovering: 2, Waiting: 2, Paused: 1, Cancelling: 1, Undecided: 2, Dead: 2}},
			{"of one", []gathering.ProjectID{"one"}, 100, gathering.RunCounts{Queued: 1, Running: 1, Recovering: 1, Waiting: 1, Undecided: 2, Dead: 1}},
			{"of both", []gathering.ProjectID{"one", "two"}, 9, gathering.RunCounts{Queued: 1, Running: 1, Recovering: 2, Waiting: 2, Paused: 1, Cancelling: 1, Undecided: 2, Dead: 2}},
			{"of none", []gathering.ProjectID{}, 100, gathering.RunCounts{}},
		} {
			got, err := roster.Counts(t.Context(), db.Read(), test.projects, test.bound, dead)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%s", test.name, err, diff)
			}
		}
		got, err := roster.Counts(t.Context(), db.Read(), nil, 2, dead)
		if all := got.Queued + got.Running + got.Recovering + got.Waiting + got.Paused + got.Cancelling; all != 2 || !got.AtLeast || err != nil {
			t.Errorf("of all two at most: got %+v, %v", got, err)
		}
		runs, err := roster.Runs(t.Context(), db.Read(), gathering.RunFilter{Undecided: true}, dead)
		if len(runs) != 2 || runs[0].ID != "run_10" || runs[1].ID != "run_05" || err != nil {
			t.Errorf("of the undecided: got %+v, %v", runs, err)
		}
	})
}

// TestCountsPlan holds that what has ended is not looked at to count what has not.
func TestCountsPlan(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		change(t, db, `INSERT INTO runs (id, project, pipeline, version, state, owner, epoch, inbox, crashes, priority, queue, labels,
				ready_at, root_run, depth, min_engine, created_at, finished_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
			SELECT 'run_' || CAST(i AS TEXT), 'one', 'pip_1', 1, 'completed', CASE WHEN i <= 20 THEN 'ins_1' END, 1, 0, 0, 0, 'q', '{}',
				CASE WHEN i > 20 AND i <= 40 THEN 5 END, 'run_1', 0, 1, 1, CASE WHEN i > 60 THEN 2 END FROM n`)
		explain, args := "EXPLAIN ", []any{"", "", 10_000}
		if db.Dialect().Database == store.SQLite {
			explain = "EXPLAIN QUERY PLAN "
		} else {
			change(t, db, `ANALYZE runs`)
		}
		lines := planned(t, db, explain+roster.UnderWay, args) + planned(t, db, explain+roster.ToSeeTo, []any{"", 10_000})
		for _, index := range []string{"runs_owned", "runs_ready", "runs_parked", "runs_undecided", "runs_dead"} {
			if !strings.Contains(lines, index) {
				t.Errorf("%s is not in the plan:\n%s", index, lines)
			}
		}
		if strings.Contains(lines, "Seq Scan on runs") || strings.Contains(lines, "SCAN runs\n") {
			t.Errorf("all runs are looked at:\n%s", lines)
		}
	})
}

func planned(t *testing.T, db *store.DB, query string, args []any) string {
	t.Helper()
	rows, err := db.Read().Query(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err = rows.Each(func(row store.Scanner) error {
		var (
			line               string
			id, parent, unused int64
			dest               = []any{&line}
		)
		if db.Dialect().Database == store.SQLite {
			dest = []any{&id, &parent, &unused, &line}
		}
		err := row.Scan(dest...)
		b.WriteString(line + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

package roster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/event"
	"gathering/internal/roster"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var begin = time.Date(2026, 1, 2, 3, 4, 5, 123_456_000, time.UTC)

// row is a run that is to be stored, as far as these tests look at it.
type row struct {
	id, project, pipeline, state, owner, parent, root string
	dead                                              bool
}

func insert(t *testing.T, db *store.DB, rows ...row) {
	t.Helper()
	for i, r := range rows {
		if r.root == "" {
			r.root = r.id
		}
		depth := 0
		if r.root != r.id {
			depth = 1
		}
		args := []any{r.id, r.project, r.pipeline, r.state, nil, nil, r.root, depth, begin.Add(time.Duration(i) * time.Second).UnixMicro(), nil, nil}
		if r.owner != "" {
			args[4] = r.owner
		}
		if r.parent != "" {
			args[5] = r.parent
		}
		if gathering.RunState(r.state).Terminal() {
			args[9] = begin.Add(time.Hour).UnixMicro()
		}
		if r.dead {
			args[10] = begin.Add(time.Hour).UnixMicro()
		}
		change(t, db, `INSERT INTO runs (id, project, pipeline, version, state, owner, epoch, inbox, crashes, priority, queue, labels,
			parent_run, root_run, depth, min_engine, created_at, finished_at, dead_at)
			VALUES ($1, $2, $3, 1, $4, $5, 1, 0, 0, 0, 'q', '{"a":"b"}', $6, $7, $8, 1, $9, $10, $11)`, args...)
	}
}

func change(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		insert(t, db, row{id: "run_1", project: "one", pipeline: "pip_1", state: "running", owner: "ins_1", parent: "run_0", root: "run_0"})
		got, err := roster.Run(t.Context(), db.Read(), "run_1")
		want := gathering.Run{
			ID: "run_1", Project: "one", Pipeline: "pip_1", Version: 1, State: gathering.RunRunning, Owner: "ins_1", Epoch: 1,
			Labels: map[string]string{"a": "b"}, Parent: "run_0", Root: "run_0", Depth: 1, CreatedAt: begin,
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		_, err = roster.Run(t.Context(), db.Read(), "run_2")
		if gathering.KindOf(err) != gathering.KindNotFound || !strings.Contains(err.Error(), "there is no run run_2") {
			t.Errorf("got %v of a run that is not there", err)
		}
	})
}

func TestRuns(t *testing.T) {
	t.Parallel()
	dead := func(context.Context) ([]gathering.InstanceID, error) {
		return []gathering.InstanceID{"ins_dead", "ins_gone"}, nil
	}
	projects := func(ids ...gathering.ProjectID) []gathering.ProjectID { return append([]gathering.ProjectID{}, ids...) }
	states := func(states ...gathering.RunState) []gathering.RunState { return states }
	tests := []struct {
		name   string
		filter gathering.RunFilter
		want   string
	}{
		{"all", gathering.RunFilter{}, "9 8 7 6 5 4 3 2 1"},
		{"so many", gathering.RunFilter{Limit: 2}, "9 8"},
		{"before one", gathering.RunFilter{Limit: 2, Before: "run_4"}, "3 2"},
		{"before the first", gathering.RunFilter{Before: "run_1"}, ""},
		{"of no project", gathering.RunFilter{Projects: projects()}, ""},
		{"of a project", gathering.RunFilter{Projects: projects("one")}, "4 2 1"},
		{"of a project of which another's name is a part", gathering.RunFilter{Projects: projects("one-two")}, "3"},
		{"of some projects", gathering.RunFilter{Projects: projects("none", "one-two", "one")}, "4 3 2 1"},
		{"of some projects, before one", gathering.RunFilter{Projects: projects("one", "one-two"), Before: "run_4", Limit: 2}, "3 2"},
		{"in a state", gathering.RunFilter{States: states("failed")}, "9 8 2"},
		{"in some states", gathering.RunFilter{States: states("queued", "completed")}, "6 5 1"},
		{"at work", gathering.RunFilter{States: states("running")}, "3"},
		{"whose owner is dead", gathering.RunFilter{States: states("recovering")}, "7 4"},
		{"of a pipeline", gathering.RunFilter{Pipeline: "pip_2"}, "9 4 3"},
		{"of a pipeline in a state of a project", gathering.RunFilter{Pipeline: "pip_2", States: states("recovering"), Projects: projects("one")}, "4"},
		{"children", gathering.RunFilter{Parent: "run_1"}, "5"},
		{"a family", gathering.RunFilter{Root: "run_1"}, "6 5"},
		{"a family of another project", gathering.RunFilter{Root: "run_1", Projects: projects("one")}, ""},
		{"dead", gathering.RunFilter{Dead: true}, "8 2"},
		{"dead of a project", gathering.RunFilter{Dead: true, Projects: projects("one")}, "2"},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		insert(
			t, db,
			row{id: "run_1", project: "one", pipeline: "pip_1", state: "completed"},
			row{id: "run_2", project: "one", pipeline: "pip_1", state: "failed", dead: true},
			row{id: "run_3", project: "one-two", pipeline: "pip_2", state: "running", owner: "ins_1"},
			row{id: "run_4", project: "one", pipeline: "pip_2", state: "running", owner: "ins_dead"},
			row{id: "run_5", project: "two", pipeline: "pip_3", state: "queued", parent: "run_1", root: "run_1"},
			row{id: "run_6", project: "two", pipeline: "pip_3", state: "queued", parent: "run_5", root: "run_1"},
			row{id: "run_7", project: "two", pipeline: "pip_3", state: "recovering"},
			row{id: "run_8", project: "two", pipeline: "pip_3", state: "failed", dead: true},
			row{id: "run_9", project: "two", pipeline: "pip_2", state: "failed"},
		)
		for _, test := range tests {
			runs, err := roster.Runs(t.Context(), db.Read(), test.filter, dead)
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			var ids []string
			for _, r := range runs {
				ids = append(ids, strings.TrimPrefix(string(r.ID), "run_"))
			}
			if got := strings.Join(ids, " "); got != test.want {
				t.Errorf("%s: got %q, want %q", test.name, got, test.want)
			}
		}
	})
}

func TestHowManyRuns(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	rows := make([]row, 510)
	for i := range rows {
		rows[i] = row{id: fmt.Sprintf("run_%03d", i), project: "one", pipeline: "pip_1", state: "failed"}
	}
	insert(t, db, rows...)
	for limit, want := range map[int]int{0: 50, -1: 50, 3: 3, 501: 501, 502: 501, 1 << 40: 501} {
		runs, err := roster.Runs(t.Context(), db.Read(), gathering.RunFilter{Limit: limit}, nil)
		if err != nil || len(runs) != want {
			t.Errorf("limit %d: got %d runs, %v, want %d", limit, len(runs), err, want)
		}
	}
}

// logged stores the events of one commit of a run's log.
func logged(t *testing.T, db *store.DB, id string, first int64, events ...gathering.Event) {
	t.Helper()
	for i := range events {
		events[i].Stream, events[i].Seq, events[i].At = id, first+int64(i), begin
	}
	r, _, err := event.Pack(events) // what is kept beside the log is not looked at
	if err != nil {
		t.Fatal(err)
	}
	change(t, db, `INSERT INTO run_log (run_id, seq, at, version, rows) VALUES ($1, $2, $3, $4, $5)`, id, r.Seq, r.At, r.Version, r.Rows)
}

func ended(t *testing.T, kind gathering.EventType, message string) gathering.Event {
	t.Helper()
	data := gathering.RunEndedData{}
	if message != "" {
		data.Failure = &gathering.Failure{Kind: gathering.KindUnavailable, Message: message}
	}
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return gathering.Event{Type: kind, Data: raw}
}

// TestDeadLetters holds that each dead letter comes with why its run ended so,
// whatever else its last commit holds.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		insert(
			t, db,
			row{id: "run_1", project: "one", pipeline: "pip_1", state: "failed", dead: true},
			row{id: "run_2", project: "one", pipeline: "pip_1", state: "timed_out", dead: true},
			row{id: "run_3", project: "two", pipeline: "pip_1", state: "failed", dead: true},
			row{id: "run_4", project: "two", pipeline: "pip_1", state: "failed"}, // dismissed
			row{id: "run_5", project: "two", pipeline: "pip_1", state: "completed"},
		)
		logged(t, db, "run_1", 1, gathering.Event{Type: gathering.EventRunQueued}, gathering.Event{Type: gathering.EventRunStarted})
		logged(t, db, "run_1", 3, ended(t, gathering.EventRunFailed, "it broke"))
		logged(t, db, "run_2", 1, gathering.Event{Type: gathering.EventRunQueued}, ended(t, gathering.EventRunTimedOut, ""))
		long, err := json.Marshal(gathering.NodeCompletedData{Output: json.RawMessage(`"` + strings.Repeat("x", 2*event.MaxInline) + `"`)})
		if err != nil {
			t.Fatal(err)
		}
		logged(t, db, "run_3", 1, gathering.Event{Type: gathering.EventRunQueued})
		logged(t, db, "run_3", 2, gathering.Event{Type: gathering.EventNodeCompleted, Node: "a", Attempt: 1, Data: long}, ended(t, gathering.EventRunFailed, "the output is wrong"))
		for _, id := range []string{"run_4", "run_5"} {
			logged(t, db, id, 1, gathering.Event{Type: gathering.EventRunQueued}, ended(t, gathering.EventRunFailed, "nobody asks"))
		}
		for _, test := range []struct {
			filter gathering.RunFilter
			want   []string
		}{
			{gathering.RunFilter{}, []string{"run_3 the output is wrong", "run_2", "run_1 it broke"}},
			{gathering.RunFilter{Limit: 1}, []string{"run_3 the output is wrong"}},
			{gathering.RunFilter{Before: "run_3", Limit: 1}, []string{"run_2"}},
			{gathering.RunFilter{Projects: []gathering.ProjectID{"one"}}, []string{"run_2", "run_1 it broke"}},
			{gathering.RunFilter{Projects: []gathering.ProjectID{}}, nil},
			{gathering.RunFilter{States: []gathering.RunState{gathering.RunTimedOut}}, []string{"run_2"}},
		} {
			letters, err := roster.DeadLetters(t.Context(), db.Read(), test.filter)
			if err != nil {
				t.Errorf("%+v: %v", test.filter, err)
			}
			var got []string
			for _, l := range letters {
				line := string(l.ID)
				if l.Failure != nil {
					line += " " + l.Failure.Message
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", test.filter, diff)
			}
		}
	})
}

package run_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/engine"
)

// TestSimulationNotices breaks each promise by hand and holds that the
// simulation says so.
func TestSimulationNotices(t *testing.T) {
	t.Parallel()
	const some = `(SELECT min(id) FROM runs WHERE state = 'completed')`
	tests := []struct {
		name, statement, want string
	}{
		{"nothing", `UPDATE meta SET value = value`, ""},
		{"a state", `UPDATE runs SET state = 'cancelled' WHERE id = ` + some, "is cancelled in its row"},
		{"no last event", `DELETE FROM run_log WHERE run_id = ` + some + ` AND seq = (SELECT max(seq) FROM run_log WHERE run_id = ` + some + `)`, "in its log"},
		{"no first event", `DELETE FROM run_log WHERE run_id = ` + some + ` AND seq = 1`, "fold"},
		{"an event after the end", `INSERT INTO run_log SELECT run_id, 1000, at, version, rows FROM run_log WHERE run_id = ` + some + ` AND seq = 1`, "after its end"},
		{"an event is changed", `UPDATE run_log SET at = at + 1 WHERE run_id = ` + some, "was written twice"},
		{"mail", `INSERT INTO run_inbox (run_id, id, kind, at) VALUES (` + some + `, 'box_1', 'wake', 1)`, "entries are in inboxes"},
		{"an owner", `UPDATE runs SET owner = 'ins_x' WHERE id = ` + some, "have an owner"},
		{"due", `UPDATE runs SET ready_at = 1 WHERE id = ` + some, "are due"},
		{"a dead letter", `UPDATE runs SET dead_at = 1 WHERE id = ` + some, "is a dead letter: true"},
		{"announced twice", `INSERT INTO feed (at, entries) SELECT at, entries FROM feed ORDER BY pos LIMIT 1`, "the feed goes on"},
		{"not announced", `DELETE FROM feed WHERE pos = (SELECT max(pos) FROM feed)`, "the feed tells of"},
		{"two owners", `INSERT INTO sim_owners (run, epoch, owner) VALUES (` + some + `, 1, 'ins_x')`, "after epoch"},
		{"a lost run", `DELETE FROM runs WHERE id LIKE 'run_0%'`, "it is lost"},
	}
	synctest.Test(t, func(t *testing.T) {
		db := simulationDatabase(t)
		for _, test := range tests {
			w := newWorld(t, db, 1, map[string]int{})
			w.live()
			change(t, db, test.statement)
			w.check()
			got := strings.Join(w.wrongs, "\n")
			if !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("%s: got %q, want %q", test.name, got, test.want)
			}
			w.wipe()
			w.admin.Close()
		}
	})
}

// TestSimulationNoticesDeeds does by hand what nobody may do.
func TestSimulationNoticesDeeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulationDatabase(t), 1, map[string]int{})
		defer w.admin.Close()
		w.live()
		w.over = true
		i := w.newInstance("Z", 0)
		defer i.service.Close()
		key := w.wellDone()
		id, node, _ := strings.Cut(key, " ")
		job := engine.Job{Run: gathering.RunID(id), Node: node, Attempt: 1}
		once := engine.Node{ID: node, Do: engine.Work{}}
		deeds := []struct {
			name string
			do   func()
			want string
		}{
			{"done again", func() { _, _ = w.begin(i, once, job) }, "which is recorded"},
			{"done twice", func() { _, _ = w.begin(i, once, job) }, "which must not be done twice"},
			{"after nobody knows", func() { _, _ = w.begin(i, once, engine.Job{Run: job.Run, Node: job.Node, Attempt: 2}) }, "nobody knows whether it acted"},
			{"before it is durable", func() { _, _ = w.begin(i, once, engine.Job{Run: job.Run, Node: job.Node, Attempt: 77}) }, "before that is durable"},
			{"a step", func() { w.make(i, job, "s0") }, "makes step s0"},
			{"a step that is lost", func() { w.made[stepKey(job.Run, job.Node, "sx")]++; w.check() }, "was said to be recorded, and is not"},
			{"another output", func() {
				for _, e := range w.past[key] {
					e.output = "another"
				}
				w.check()
			}, "which it never had"},
			{"cancelled", func() {
				for _, id := range w.ids(`SELECT id FROM runs WHERE state = 'completed'`) {
					w.cancelled[id] = true
				}
				w.check()
			}, "was asked to stop, and is completed"},
			{"cut off", func() {
				<-time.After(lease + time.Second)
				_, _ = w.begin(i, once, job)
			}, "after its last good beat"},
		}
		for _, d := range deeds {
			w.wrongs = nil
			d.do()
			if got := strings.Join(w.wrongs, "\n"); !strings.Contains(got, d.want) {
				t.Errorf("%s: got %q, want %q", d.name, got, d.want)
			}
		}
	})
}

// wellDone is the run and the path of work that ended well at its first attempt.
func (w *world) wellDone() string {
	for _, key := range slices.Sorted(maps.Keys(w.past)) {
		past := w.past[key]
		if len(past) == 1 && past[0].attempt == 1 && past[0].ended == endedWell {
			return key
		}
	}
	w.t.Fatal("nothing ended well")
	return ""
}

package run_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/store"
)

// lease is how long after the beginning of its last good beat an instance does
// something outside, and nobody takes it for dead: two beats.
const lease = 4 * time.Second

// fenced says that instances keep to it by themselves.
const fenced = true

var errUnknownRun = errors.New("nobody started that")

// begin notes that work is being done, right now, and holds that it may be.
func (w *world) begin(i *instance, n engine.Node, j engine.Job) (*execution, error) {
	if i.isDead() {
		return nil, errDead
	}
	log := w.log(j.Run)
	w.mayAct(i, j, "begins")
	if !log.started(j.Node, j.Attempt) {
		w.wrong("%s begins attempt %d of %s of %s before that is durable", i.name, j.Attempt, j.Node, j.Run)
	}
	w.mu.Lock()
	key := string(j.Run) + " " + j.Node
	past := w.past[key]
	e := &execution{by: i, attempt: j.Attempt}
	w.past[key] = append(past, e)
	ends := make([]executionEnd, len(past))
	for k, before := range past {
		ends[k] = before.ended
	}
	w.mu.Unlock()
	w.trace("%s begins attempt %d of %s of %s", i.name, j.Attempt, j.Node, j.Run)
	work, _ := n.Do.(engine.Work)
	if work.Idempotent || n.OnUnknown == gathering.OnUnknownRetry {
		return e, nil
	}
	for k, before := range past {
		switch {
		case before.attempt == j.Attempt:
			w.wrong("%s does attempt %d of %s of %s again, which must not be done twice", i.name, j.Attempt, j.Node, j.Run)
		case ends[k] != endedBadly && !log.decidedRetry(j.Node, before.attempt):
			w.wrong("%s does %s of %s again, of whose attempt %d nobody knows whether it acted", i.name, j.Node, j.Run, before.attempt)
		}
	}
	return e, nil
}

// make notes that a step is being made, and holds that it was not recorded before.
func (w *world) make(i *instance, j engine.Job, key string) {
	w.mayAct(i, j, "makes step "+key)
	if w.lapsed(i) {
		return
	}
	for _, e := range w.log(j.Run) {
		if e.Type == gathering.EventStepTool && path(e) == j.Node && stepOf(e) == key {
			w.wrong("%s makes step %s of %s of %s, which is recorded", i.name, key, j.Node, j.Run)
		}
	}
}

// mayAct holds that an instance does nothing that is recorded as done, and
// nothing at all once others may have taken it for dead.
func (w *world) mayAct(i *instance, j engine.Job, what string) {
	if w.lapsed(i) {
		if fenced {
			w.wrong("%s %s of %s of %s, %s after its last good beat", i.name, what, j.Node, j.Run, time.Since(i.lastBeat()))
		}
		return
	}
	if end, ok := w.log(j.Run).end(j.Node); ok {
		w.wrong("%s %s attempt %d of %s of %s, which is recorded: %s", i.name, what, j.Attempt, j.Node, j.Run, end.Type)
	}
}

// checkTaken holds that nobody took an instance for dead that may still act.
func (w *world) checkTaken(by *instance) {
	rows, err := w.db.Read().Query(context.Background(), `SELECT n, id FROM sim_gone WHERE n > $1`, w.goneSeen.Load())
	if err != nil {
		w.t.Error(err)
		return
	}
	gone := map[string]bool{}
	err = rows.Each(func(s store.Scanner) error {
		var n int64
		var id string
		err := s.Scan(&n, &id)
		w.goneSeen.Store(max(n, w.goneSeen.Load()))
		gone["gathering/"+id] = true
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	all := slices.Clone(w.instances)
	w.mu.Unlock()
	for key := range gone {
		for _, i := range all {
			if silent, alive := i.alive(key); alive && i != by {
				w.wrong("%s takes %s for dead, which was silent for %s", by.name, i.name, silent)
			}
		}
	}
}

func (i *instance) lastBeat() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.beatAt
}

func (w *world) lapsed(i *instance) bool { return time.Since(i.lastBeat()) > lease }

// runLog is a run's log as it is now.
type history []gathering.Event

func (w *world) log(id gathering.RunID) history {
	events, err := w.admin.Events(context.Background(), id, 0, 0)
	if err != nil {
		w.t.Errorf("seed %d: the test reads the log of %s: %v", w.seed, id, err)
	}
	return events
}

func path(e gathering.Event) string {
	if e.Item != nil {
		return gathering.NodePath(e.Node, *e.Item)
	}
	return e.Node
}

func (h history) started(node string, attempt int) bool {
	for _, e := range h {
		if e.Type == gathering.EventNodeStarted && e.Attempt == attempt && path(e) == node {
			return true
		}
	}
	return false
}

// end is the event that ended a node.
func (h history) end(node string) (gathering.Event, bool) {
	for _, e := range h {
		if endsNode(e.Type) && path(e) == node {
			return e, true
		}
	}
	return gathering.Event{}, false
}

func (h history) decidedRetry(node string, attempt int) bool {
	for _, e := range h {
		if e.Type == gathering.EventNodeDecided && path(e) == node && e.Attempt == attempt {
			var d gathering.NodeDecidedData
			return json.Unmarshal(e.Data, &d) == nil && d.As == engine.DecideRetry
		}
	}
	return false
}

// givenUp reports whether the run was ended because nobody could move it.
func (h history) givenUp() bool {
	for _, e := range h {
		var end gathering.RunEndedData
		if e.Type == gathering.EventRunFailed && json.Unmarshal(e.Data, &end) == nil && end.Failure != nil && end.Failure.Code == gathering.CodeCrashedHost {
			return true
		}
	}
	return false
}

func endsNode(t gathering.EventType) bool {
	switch t {
	case gathering.EventNodeCompleted, gathering.EventNodeFailed, gathering.EventNodeSkipped,
		gathering.EventNodeCancelled, gathering.EventNodeAbandoned:
		return true
	default:
		return false
	}
}

func stepOf(e gathering.Event) string {
	var s gathering.Step
	_ = json.Unmarshal(e.Data, &s)
	return s.Key
}

// check holds everything that must be so once all runs have ended.
func (w *world) check() {
	runs := w.rows()
	logs := map[gathering.RunID]history{}
	for id := range runs {
		logs[id] = w.log(id)
	}
	w.checkFeed(logs)
	for _, r := range runs {
		w.count("run " + string(r.state))
		if logs[r.id].givenUp() {
			w.count("run given up")
		}
		w.checkLog(r, logs[r.id])
		w.checkNodes(r.id, logs)
		w.checkChildren(r, logs, runs)
	}
	for _, id := range w.accepted {
		if _, there := runs[id]; !there {
			w.wrong("the start of %s was accepted, and it is lost", id)
		}
	}
	for id := range w.cancelled {
		w.checkCancelled(runs[id], logs[id])
	}
	w.checkSteps(logs)
	w.checkDeadLetters(runs)
	w.checkOwners()
	w.checkTables()
}

// row is a run's row, as far as it matters here.
type row struct {
	id, parent, origin gathering.RunID
	pipeline           string
	state              gathering.RunState
	dead, redrive      bool
}

func (w *world) rows() map[gathering.RunID]row {
	rows, err := w.db.Read().Query(context.Background(), `SELECT id, coalesce(parent_run, ''), coalesce(origin_run, ''), pipeline, state,
		dead_at IS NOT NULL, coalesce(run_key, '') LIKE 'redrive:%' FROM runs`)
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[gathering.RunID]row{}
	err = rows.Each(func(s store.Scanner) error {
		var r row
		err := s.Scan(&r.id, &r.parent, &r.origin, &r.pipeline, &r.state, &r.dead, &r.redrive)
		all[r.id] = r
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// checkLog holds that a log is whole and folds to what the row says.
func (w *world) checkLog(r row, log history) {
	graph, err := w.graph(r.pipeline)
	if err != nil {
		w.t.Fatal(err)
	}
	state := engine.NewState(graph, r.id, r.id, gathering.DefaultProject)
	for k, e := range log {
		if e.Seq != int64(k+1) {
			w.wrong("the log of %s has %d after %d", r.id, e.Seq, k)
		}
		if last := k == len(log)-1; (e.Type.EndState() != "") != last {
			w.wrong("event %d of %d of %s is %s", k+1, len(log), r.id, e.Type)
		}
		if err := state.Fold(e); err != nil {
			w.wrong("fold %s: %v", r.id, err)
			return
		}
	}
	report, err := w.admin.Report(context.Background(), r.id)
	if err != nil {
		w.wrong("report %s: %v", r.id, err)
	}
	if state.Run != r.state || report.State != r.state || !r.state.Terminal() {
		w.wrong("%s is %s in its row, %s in its report and %s in its log", r.id, r.state, report.State, state.Run)
	}
}

func (w *world) graph(pipeline string) (*engine.Graph, error) {
	for _, s := range w.specs {
		if s.name == pipeline {
			return s.graph(func(n engine.Node) engine.Node { return n })
		}
	}
	return nil, fmt.Errorf("find pipeline %s: %w", pipeline, errUnknownRun)
}

// checkNodes holds that no node ended twice, no step is recorded twice, and
// that what is recorded of work is what it really came to.
func (w *world) checkNodes(id gathering.RunID, logs map[gathering.RunID]history) {
	ended, steps := map[string]gathering.EventType{}, map[string]bool{}
	for _, e := range logs[id] {
		switch {
		case endsNode(e.Type):
			if before, twice := ended[path(e)]; twice {
				w.wrong("%s of %s has ended twice: %s, %s", path(e), id, before, e.Type)
			}
			ended[path(e)] = e.Type
			w.count(string(e.Type))
			if e.Type == gathering.EventNodeCompleted {
				w.checkOutput(id, e, logs)
			}
		case e.Type == gathering.EventStepTool:
			key := path(e) + " " + stepOf(e)
			if steps[key] {
				w.wrong("step %s of %s is recorded twice", key, id)
			}
			steps[key] = true
		}
	}
}

// checkOutput holds that the output of work is that of one of its executions.
func (w *world) checkOutput(id gathering.RunID, e gathering.Event, logs map[gathering.RunID]history) {
	past := w.past[string(id)+" "+path(e)]
	if len(past) == 0 || logs[id].decided(path(e), e.Attempt) {
		return
	}
	var data gathering.NodeCompletedData
	_ = json.Unmarshal(e.Data, &data)
	for _, p := range past {
		if p.ended == endedWell && p.attempt == e.Attempt && p.output == string(data.Output) {
			return
		}
	}
	w.wrong("%s of %s is recorded with the output %s, which it never had", path(e), id, data.Output)
}

func (h history) decided(node string, attempt int) bool {
	for _, e := range h {
		if e.Type == gathering.EventNodeDecided && path(e) == node && e.Attempt == attempt {
			return true
		}
	}
	return false
}

// checkChildren holds that a parent was told of the end of each child that it
// waited for, and what it was.
func (w *world) checkChildren(r row, logs map[gathering.RunID]history, runs map[gathering.RunID]row) {
	id, log := r.id, logs[r.id]
	for k, e := range log {
		var data gathering.NodeWaitingData
		if e.Type != gathering.EventNodeWaiting || json.Unmarshal(e.Data, &data) != nil || data.Child == "" {
			continue
		}
		child, there := runs[data.Child]
		if !there {
			continue // it was refused
		}
		if (child.parent == id) == data.Detached {
			w.wrong("%s waits for %s, whose parent is %q", id, child.id, child.parent)
		}
		told := map[gathering.EventType]int{}
		for _, after := range log[k+1:] {
			if path(after) != path(e) || after.Attempt != e.Attempt {
				continue
			}
			if after.Type == gathering.EventNodeDecided {
				break // what follows is somebody's word
			}
			if endsNode(after.Type) || after.Type == gathering.EventNodeRetrying || after.Type == gathering.EventNodeUnknown {
				told[after.Type]++
			}
			if after.Type == gathering.EventNodeRetrying && !data.Detached {
				w.checkRetry(r, e, child, logs[child.id], log)
			}
			if after.Type == gathering.EventNodeCompleted && child.state != gathering.RunCompleted && !data.Detached {
				w.wrong("%s of %s completed with its child %s %s", path(e), id, child.id, child.state)
			}
		}
		if (len(told) == 0 && !log.givenUp()) || told[gathering.EventNodeRetrying] > 1 {
			w.wrong("%s of %s was told so of the end of %s: %v", path(e), id, child.id, told)
		}
	}
}

// checkRetry holds that a node which waited for a child began again only once
// that had ended, and where that left open whether something acted, only by
// somebody's word or the node's own.
func (w *world) checkRetry(r row, waited gathering.Event, child row, inner, log history) {
	ended := inner[len(inner)-1]
	for _, e := range log {
		if e.Type == gathering.EventNodeStarted && path(e) == path(waited) && e.Attempt > waited.Attempt && e.Pos < ended.Pos {
			w.wrong("%s of %s began again before its child %s ended", path(e), r.id, child.id)
		}
	}
	last := map[string]gathering.EventType{}
	for _, e := range inner {
		if e.Node != "" {
			last[path(e)] = e.Type
		}
	}
	for node, what := range last {
		if what == gathering.EventNodeUnknown && w.onUnknown(r, waited.Node) != gathering.OnUnknownRetry {
			w.wrong("%s of %s is tried again, and nobody knows whether %s of its child %s acted", path(waited), r.id, node, child.id)
		}
	}
}

// onUnknown is what a node of a run says of unknown outcomes.
func (w *world) onUnknown(r row, node string) gathering.OnUnknown {
	for _, s := range w.specs {
		for _, n := range s.nodes {
			if s.name != r.pipeline || n.ID != node {
				continue
			}
			if do, ok := n.Do.(engine.Map); ok {
				return do.Do.OnUnknown
			}
			return n.OnUnknown
		}
	}
	w.t.Fatalf("there is no node %s of %s", node, r.pipeline)
	return ""
}

// checkCancelled holds that a run that was asked to stop did so, unless it was
// being stopped already.
func (w *world) checkCancelled(r row, log history) {
	if r.state == gathering.RunCancelled {
		return
	}
	for _, e := range log {
		var data gathering.RunCancellingData
		if e.Type == gathering.EventRunCancelling && json.Unmarshal(e.Data, &data) == nil && data.Reason != "cancelled" {
			return
		}
	}
	if log.givenUp() {
		return
	}
	w.wrong("%s was asked to stop, and is %s", r.id, r.state)
}

// checkSteps holds that what was said to be recorded is.
func (w *world) checkSteps(logs map[gathering.RunID]history) {
	recorded := map[string]bool{}
	for id, log := range logs {
		for _, e := range log {
			if e.Type == gathering.EventStepTool {
				recorded[stepKey(id, path(e), stepOf(e))] = true
			}
		}
	}
	for key := range w.made {
		if !recorded[key] {
			w.wrong("step %s was said to be recorded, and is not", key)
		}
	}
}

// checkDeadLetters holds that the dead letters are the runs without a parent
// that failed and were not done again.
func (w *world) checkDeadLetters(runs map[gathering.RunID]row) {
	again := map[gathering.RunID]bool{}
	for _, r := range runs {
		again[r.origin] = again[r.origin] || r.redrive
	}
	for id, r := range runs {
		failed := r.state == gathering.RunFailed || r.state == gathering.RunTimedOut
		if want := failed && r.parent == "" && !again[id]; r.dead != want {
			w.wrong("%s, %s, parent %q, done again: %t, is a dead letter: %t", id, r.state, r.parent, again[id], r.dead)
		}
	}
}

// checkFeed holds that the feed names each event once, in the order in which
// they were committed: that of a child's end before what its parent made of it.
func (w *world) checkFeed(logs map[gathering.RunID]history) {
	last := map[string]int64{}
	for after := int64(0); ; {
		feed, err := event.Feed(context.Background(), w.db.Read(), after, 500)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(feed) == 0 {
			break
		}
		for _, a := range feed {
			after = a.Pos
			for _, e := range a.Entries {
				if e.First != last[e.Stream]+1 {
					w.wrong("the feed goes on with %s at %d, after %d", e.Stream, e.First, last[e.Stream])
				}
				last[e.Stream] = e.Last
				log := logs[gathering.RunID(e.Stream)]
				for k := range log {
					if seq := log[k].Seq; e.First <= seq && seq <= e.Last {
						log[k].Pos = a.Pos
					}
				}
			}
		}
	}
	for id, log := range logs {
		if last[string(id)] != int64(len(log)) {
			w.wrong("the feed tells of %d of %d events of %s", last[string(id)], len(log), id)
		}
	}
}

// checkOwners holds that each epoch of a run has one owner and that epochs only rise.
func (w *world) checkOwners() {
	rows, err := w.db.Read().Query(context.Background(), `SELECT run, epoch, owner FROM sim_owners ORDER BY n`)
	if err != nil {
		w.t.Fatal(err)
	}
	type ownership struct {
		epoch int64
		owner string
	}
	last := map[string]ownership{}
	err = rows.Each(func(s store.Scanner) error {
		var id string
		var is ownership
		if err := s.Scan(&id, &is.epoch, &is.owner); err != nil {
			return err
		}
		was := last[id]
		switch {
		case is.owner == "":
			is = ownership{max(was.epoch, is.epoch), ""}
		case is.epoch <= was.epoch:
			w.wrong("%s has the owner %s in epoch %d after epoch %d", id, is.owner, is.epoch, was.epoch)
		case was.owner != "" && was.owner != is.owner:
			w.wrong("%s was taken by %s from %s", id, is.owner, was.owner)
		}
		last[id] = is
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// checkTables holds that nothing is left over and nothing happened that never may.
func (w *world) checkTables() {
	for what, query := range map[string]string{
		"runs have an owner":         `SELECT count(*) FROM runs WHERE owner IS NOT NULL`,
		"runs are due":               `SELECT count(*) FROM runs WHERE ready_at IS NOT NULL`,
		"runs wait for a decision":   `SELECT count(*) FROM runs WHERE undecided <> 0`,
		"entries are in inboxes":     `SELECT count(*) FROM run_inbox`,
		"times something was amiss":  `SELECT count(*) FROM sim_wrongs`,
		"runs have a log and no row": `SELECT count(*) FROM run_log WHERE run_id NOT IN (SELECT id FROM runs)`,
	} {
		if n := number(w.t, w.db, query); n != 0 {
			w.wrong("%d %s", n, what)
		}
	}
	rows, err := w.db.Read().Query(context.Background(), `SELECT what FROM sim_wrongs`)
	if err != nil {
		w.t.Fatal(err)
	}
	err = rows.Each(func(s store.Scanner) error {
		var what string
		err := s.Scan(&what)
		w.wrong("%s", what)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

package run_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/expr"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

var update = flag.Bool("update", false, "write the form that this program has into testdata")

// form is a run as some version of this program wrote it, and what is read of it.
type form struct {
	Rows     []formRow          `json:"rows"`
	Blobs    map[string][]byte  `json:"blobs"`
	Snapshot *formRow           `json:"snapshot,omitempty"`
	State    gathering.RunState `json:"state"`
	Report   json.RawMessage    `json:"report"` // of a run called ""
}

type formRow struct {
	Seq     int64  `json:"seq"`
	At      int64  `json:"at"`
	Version int    `json:"version"`
	Data    []byte `json:"data"`
}

// TestEveryFormIsRead reads runs as every released version wrote them. A file
// that is there is never changed: a new form gets a file of its own.
func TestEveryFormIsRead(t *testing.T) {
	t.Parallel()
	if *update {
		writeForm(t, filepath.Join("testdata", "form-1.json"))
	}
	files, err := filepath.Glob(filepath.Join("testdata", "form-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d forms, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f form
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"the log", "a snapshot"} {
			t.Run(filepath.Base(file)+" from "+from, func(t *testing.T) {
				t.Parallel()
				storetest.Each(t, func(t *testing.T, db *store.DB) {
					p := newPipelines()
					p.graphs["zoo"] = zoo(t)
					h := openHouse(t, db, p)
					id := h.start("zoo") // for its row
					after := int64(0)
					if from == "a snapshot" {
						after = f.Snapshot.Seq
					}
					f.store(t, db, id, after)
					report, err := h.Report(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(string(gathering.CompactJSON(f.Report)), reportText(t, report)); diff != "" {
						t.Errorf("report (-written +read):\n%s", diff)
					}
				})
			})
		}
	}
}

// store writes the rows after a sequence number and, where that is not 0, the
// snapshot that stands there.
func (f *form) store(t *testing.T, db *store.DB, id gathering.RunID, after int64) {
	t.Helper()
	change(t, db, `DELETE FROM run_log WHERE run_id = $1`, string(id))
	change(t, db, `UPDATE runs SET state = $2, ready_at = NULL, finished_at = 1 WHERE id = $1`, string(id), string(f.State))
	for hash, data := range f.Blobs {
		change(t, db, `INSERT INTO blobs (run_id, hash, data) VALUES ($1, $2, $3)`, string(id), hash, data)
	}
	for _, r := range f.Rows {
		if r.Seq <= after {
			continue
		}
		change(t, db, `INSERT INTO run_log (run_id, seq, at, version, rows) VALUES ($1, $2, $3, $4, $5)`, string(id), r.Seq, r.At, r.Version, r.Data)
	}
	if after > 0 {
		change(t, db, `INSERT INTO snapshots (run_id, seq, at, version, data) VALUES ($1, $2, $3, $4, $5)`,
			string(id), f.Snapshot.Seq, f.Snapshot.At, f.Snapshot.Version, f.Snapshot.Data)
	}
}

// reportText leaves out what a test chooses anew each time.
func reportText(t *testing.T, report gathering.RunReport) string {
	t.Helper()
	report.Run = ""
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	return string(gathering.CompactJSON(data))
}

// zoo has a node of every sort.
func zoo(t *testing.T) *engine.Graph {
	t.Helper()
	over := func(*expr.Scope) ([]json.RawMessage, error) {
		return []json.RawMessage{json.RawMessage(`1`), json.RawMessage(`"two"`), json.RawMessage(`{"three":3}`)}, nil
	}
	safe := engine.Work{Idempotent: true}
	nodes := []engine.Node{
		trigger(),
		{ID: "choose", Kind: "condition", Do: engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) {
			return engine.Outcome{Output: json.RawMessage(`true`), Branch: "true"}, nil
		})},
		{ID: "agent", Kind: "agent", Do: safe, Retry: gathering.Retry{MaxAttempts: 3, InitialDelay: gathering.Duration(time.Second), On: []gathering.Kind{gathering.KindUnavailable}}},
		{ID: "pay", Kind: "tool", Do: engine.Work{}},
		{ID: "not_taken", Kind: "tool", Do: safe},
		{ID: "wait", Kind: "delay", Do: engine.Sleep(func(_ *expr.Scope, now time.Time) (time.Time, error) { return now.Add(time.Hour), nil })},
		child("child", "other"),
		{ID: "each", Kind: "map", Do: engine.Map{Over: over, Do: engine.Node{ID: "each", Kind: "tool", Do: safe}, MaxParallel: 2, SkipFailed: true}},
		{ID: "loser", Kind: "tool", Do: safe},
		{ID: "first", Kind: "join", Do: engine.Join{Need: 1, CancelRest: true}},
		{ID: "breaks", Kind: "tool", Do: safe, OnError: gathering.OnErrorContinue, Fallback: json.RawMessage(`{"instead":1}`)},
		{ID: "late", Kind: "tool", Do: safe, Timeout: time.Minute, OnError: gathering.OnErrorBranch},
	}
	g, err := engine.NewGraph(nodes, []gathering.Edge{
		{From: "t", To: "choose"},
		{From: "choose", To: "agent", Branch: "true"},
		{From: "choose", To: "not_taken", Branch: "false"},
		{From: "agent", To: "pay"},
		{From: "t", To: "wait"},
		{From: "t", To: "child"},
		{From: "t", To: "each"},
		{From: "t", To: "loser"},
		{From: "each", To: "first"},
		{From: "loser", To: "first"},
		{From: "t", To: "breaks"},
		{From: "t", To: "late"},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Timeout = 24 * time.Hour
	g.Vars = map[string]json.RawMessage{"n": json.RawMessage(`1`)}
	return g
}

// keeper plays the zoo and keeps what is written of it.
type keeper struct {
	t     *testing.T
	state *engine.State
	now   time.Time
	form  form
}

func writeForm(t *testing.T, file string) {
	t.Helper()
	const id = "run_0123456789abcdefghijklmnop"
	k := &keeper{t: t, now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), state: engine.NewState(zoo(t), id, id, gathering.DefaultProject)}
	k.form.Blobs = map[string][]byte{}
	turn, err := engine.Queue(k.state, k.now, gathering.RunQueuedData{
		Pipeline: "zoo", Version: 1, Input: json.RawMessage(`{"text":"über","big":"` + strings.Repeat("x", 40_000) + `"}`),
		Vars: map[string]json.RawMessage{"n": json.RawMessage(`2`)}, Trigger: gathering.Trigger{Kind: "manual"}, Workspace: "/work",
	})
	if err != nil {
		t.Fatal(err)
	}
	k.keep(turn)
	var kid gathering.RunID
	for _, e := range k.send(engine.Begin{}).Effects {
		if start, ok := e.(engine.StartChild); ok {
			kid = start.ID
		}
	}
	k.send(engine.Stepped{Node: "agent", Attempt: 1, Step: gathering.Step{
		Key: "turn/1", Kind: gathering.StepModel, Name: "openai/gpt", Request: "ab12", Result: json.RawMessage(`{"text":"hi"}`),
		Usage: &gathering.Usage{ModelCalls: 1, InputTokens: 100, OutputTokens: 7}, Took: gathering.Duration(1500 * time.Millisecond),
	}})
	k.send(engine.Stepped{Node: "agent", Attempt: 1, Step: gathering.Step{Key: "turn/1/call/1", Kind: gathering.StepTool, Name: "mail.send", Phase: gathering.StepIntent}})
	k.finish("agent", 1, &gathering.Failure{Kind: gathering.KindUnavailable, Message: "away"})
	k.finish("breaks", 1, &gathering.Failure{Kind: gathering.KindInvalid, Code: "c", Message: "no", Fields: []gathering.FieldError{{Field: "with.url", Problem: "is missing"}}})
	k.finish("late", 1, &gathering.Failure{Kind: gathering.KindTimeout, Message: "too slow"})
	k.send(engine.Mail{ID: "1", Kind: engine.MailPause, Data: json.RawMessage(`{"by":"ann"}`)})
	k.send(engine.Takeover{Instance: "ins_2", Crashed: true})
	k.shoot()
	k.send(engine.Mail{ID: "2", Kind: engine.MailResume, Data: json.RawMessage(`{"by":"ann"}`)})
	k.now = k.now.Add(time.Minute)
	k.send(engine.Tick{})
	k.finish("agent", 2, nil)
	k.finish("pay", 1, &gathering.Failure{Kind: gathering.KindConflict, Code: gathering.CodeUnknownOutcome, Message: "who knows"})
	k.send(engine.Mail{ID: "3", Kind: engine.MailDecide, Data: json.RawMessage(`{"node":"pay","as":"done","output":{"paid":true},"by":"ann"}`)})
	k.finish("each[0]", 1, nil)
	k.finish("each[1]", 1, &gathering.Failure{Kind: gathering.KindInvalid, Message: "not this one"})
	k.finish("each[2]", 1, nil)
	k.finish("loser", 1, &gathering.Failure{Kind: gathering.KindCancelled, Message: "stopped"})
	ended, err := json.Marshal(engine.ChildEndedMail{Run: kid, Node: "child", State: gathering.RunCompleted, Output: json.RawMessage(`[1]`)})
	if err != nil {
		t.Fatal(err)
	}
	k.send(engine.Mail{ID: "4", Kind: engine.MailChildEnded, Data: ended})
	k.now = k.now.Add(time.Hour)
	k.send(engine.Tick{})
	if k.state.Run != gathering.RunCompleted {
		t.Fatalf("the zoo is %s: %+v", k.state.Run, k.state.Report())
	}
	k.form.State, k.form.Report = k.state.Run, json.RawMessage(reportText(t, k.state.Report()))
	data, err := json.MarshalIndent(k.form, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (k *keeper) send(m engine.Message) engine.Turn {
	k.t.Helper()
	k.now = k.now.Add(1500 * time.Microsecond)
	turn, err := engine.Next(k.state, k.now, m)
	if err != nil {
		k.t.Fatal(err)
	}
	k.keep(turn)
	return turn
}

func (k *keeper) finish(node string, attempt int, failure *gathering.Failure) {
	k.t.Helper()
	k.send(engine.Finished{Node: node, Attempt: attempt, Failure: failure, Outcome: engine.Outcome{Output: json.RawMessage(`"` + node + `"`)}})
}

func (k *keeper) keep(turn engine.Turn) {
	k.t.Helper()
	if len(turn.Events) == 0 {
		return
	}
	row, blobs, err := event.Pack(turn.Events)
	if err != nil {
		k.t.Fatal(err)
	}
	k.form.Rows = append(k.form.Rows, formRow{row.Seq, row.At, row.Version, row.Rows})
	for _, b := range blobs {
		k.form.Blobs[b.Hash] = b.Data
	}
}

func (k *keeper) shoot() {
	k.t.Helper()
	shot, err := k.state.Snapshot()
	if err != nil {
		k.t.Fatal(err)
	}
	k.form.Snapshot = &formRow{shot.Seq, k.now.UnixMicro(), engine.SnapshotVersion, codec.Encode(shot.Data)}
	for _, v := range shot.Values {
		b := event.NewBlob(v)
		k.form.Blobs[b.Hash] = b.Data
	}
}

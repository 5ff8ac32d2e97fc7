package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/store"
)

// history is what a run's log says, and which faults it has by itself.
type history struct {
	run    gathering.RunID
	events []gathering.Event
	nodes  map[string]*past
	end    gathering.RunEndedData
}

// past is what a log says of a node that calls.
type past struct {
	state      gathering.EventType // the last event of it
	started    int                 // attempts begun
	repeated   int                 // of these begun again by another owner
	refused    int                 // failures after which it is known that the call did not act
	unknown    int                 // times that nobody could tell
	toldRetry  int                 // times that somebody said that it had not acted
	completed  int                 // the number of the call whose answer it kept; 0 is none
	undecided  bool                // it is unknown and nobody decided
	violations []string
}

// callOf is what a service calls the calls of a node.
func callOf(run gathering.RunID, path string) string {
	call := string(run) + "/" + path
	return strings.TrimSuffix(strings.Replace(call, "[", "/", 1), "]")
}

func (s *siege) history(a *app.App, id gathering.RunID) *history {
	s.t.Helper()
	events, err := a.Runs.Events(s.t.Context(), id, 0, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	h := &history{run: id, events: events, nodes: map[string]*past{}}
	for _, e := range events {
		if err := h.take(e); err != nil {
			s.t.Fatalf("event %d of %s: %v", e.Seq, id, err)
		}
	}
	return h
}

func (h *history) node(path string) *past {
	if h.nodes[path] == nil {
		h.nodes[path] = &past{}
	}
	return h.nodes[path]
}

// take takes an event into the history.
func (h *history) take(e gathering.Event) error {
	switch {
	case e.Type == gathering.EventRunResumed:
		var d gathering.RunResumedData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		for _, path := range d.Interrupted {
			h.node(path).repeated++
		}
		return nil
	case e.Type.EndState() != "" && len(e.Data) > 0:
		return json.Unmarshal(e.Data, &h.end)
	case e.Node == "":
		return nil
	}
	item := -1
	if e.Item != nil {
		item = *e.Item
	}
	return h.node(gathering.NodePath(e.Node, item)).take(e)
}

func (n *past) take(e gathering.Event) error {
	if n.undecided && e.Type != gathering.EventNodeDecided {
		n.violations = append(n.violations, fmt.Sprintf("event %d, %s, follows an unknown outcome that nobody decided", e.Seq, e.Type))
	}
	if n.completed > 0 || n.state == gathering.EventNodeFailed {
		n.violations = append(n.violations, fmt.Sprintf("event %d, %s, comes after its end", e.Seq, e.Type))
	}
	n.state = e.Type
	var d struct {
		As        string             `json:"as"`
		Failure   *gathering.Failure `json:"failure"`
		Uncounted bool               `json:"uncounted"`
		Output    json.RawMessage    `json:"output"`
	}
	if len(e.Data) > 0 {
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
	}
	switch e.Type {
	case gathering.EventNodeStarted:
		n.started++
	case gathering.EventNodeUnknown:
		n.unknown++
		n.undecided = true
	case gathering.EventNodeDecided:
		n.undecided = false
		if d.As == "retry" {
			n.toldRetry++
		}
	case gathering.EventNodeRetrying, gathering.EventNodeFailed:
		if d.Failure != nil && d.Failure.Code != gathering.CodeUnknownOutcome {
			n.refused++
		}
	case gathering.EventNodeCompleted:
		n.completed = callIn(d.Output)
	default:
	}
	return nil
}

// callIn is the number of the call that an output came from; 0 is none.
func callIn(output json.RawMessage) int {
	var kept struct {
		Body struct {
			Call int `json:"call"`
		} `json:"body"`
	}
	if json.Unmarshal(output, &kept) != nil {
		return 0
	}
	return kept.Body.Call
}

// wantWhole holds that every run which was accepted is there and has ended,
// that rows, logs, outputs and the feed agree, and that what the service heard
// is what the logs allow.
func (s *siege) wantWhole() {
	s.t.Helper()
	a := s.open(app.Options{})
	defer func() {
		if err := a.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	all := s.every(a, gathering.RunFilter{})
	there := map[gathering.RunID]bool{}
	states := map[gathering.RunState]int{}
	books := s.service.ledger()
	histories := map[gathering.RunID]*history{}
	for _, r := range all {
		there[r.ID] = true
		states[r.State]++
		h := s.history(a, r.ID)
		histories[r.ID] = h
		s.wantAgreed(a, r, h)
		for path, n := range h.nodes {
			if account := books[callOf(r.ID, path)]; account != nil {
				s.wantAllowed(callOf(r.ID, path), n, account)
				delete(books, callOf(r.ID, path))
			}
		}
	}
	for call := range books {
		s.t.Errorf("%s was called and no log tells of it", call)
	}
	for _, id := range s.runs {
		if !there[id] {
			s.t.Errorf("%s was accepted and is not there", id)
		}
	}
	s.wantAnnounced(a.DB, histories)
	for _, left := range []string{"run_inbox", "runs WHERE owner IS NOT NULL", "runs WHERE finished_at IS NULL"} {
		var n int
		if err := a.DB.Read().QueryRow(s.t.Context(), `SELECT count(*) FROM `+left).Scan(&n); err != nil {
			s.t.Fatal(err)
		}
		if n > 0 {
			s.t.Errorf("%d rows are left of %s", n, left)
		}
	}
	s.t.Logf("%d runs accepted, %d there: %v; %d calls heard", len(s.runs), len(all), states, s.service.count())
	s.tellUnknown(histories)
}

// tellUnknown logs how much there was to be in doubt about, so that a test
// that proves nothing is seen to.
func (s *siege) tellUnknown(histories map[gathering.RunID]*history) {
	sums := map[string]int{}
	for _, h := range histories {
		for _, n := range h.nodes {
			sums["interrupted"] += n.repeated
			sums["refused"] += n.refused
			sums["unknown"] += n.unknown
			sums["told to retry"] += n.toldRetry
		}
		if h.end.Failure != nil {
			sums["failure "+h.end.Failure.Code]++
		}
	}
	s.t.Logf("%v", sums)
	if sums["interrupted"] == 0 || sums["unknown"] == 0 || sums["refused"] == 0 {
		s.t.Error("nothing was ever in doubt: this proves nothing")
	}
}

// wantAgreed holds that a run has ended, and that its row, its log and the fold
// of its log say the same.
func (s *siege) wantAgreed(a *app.App, r gathering.Run, h *history) {
	s.t.Helper()
	for i, e := range h.events {
		if e.Seq != int64(i+1) || e.Stream != string(r.ID) {
			s.t.Errorf("event %d of %s is %d of %s", i+1, r.ID, e.Seq, e.Stream)
		}
		if end := e.Type.EndState(); (end != "") != (i == len(h.events)-1) {
			s.t.Errorf("event %d of the %d of %s is %s", i+1, len(h.events), r.ID, e.Type)
		}
	}
	last := h.events[len(h.events)-1]
	if got, want := r.State, last.Type.EndState(); got != want {
		s.t.Errorf("the row of %s says %s, its log ends with %s", r.ID, got, last.Type)
	}
	if r.FinishedAt == nil || r.Owner != "" {
		s.t.Errorf("%s ended, and its row says %+v", r.ID, r)
	}
	report, err := a.Runs.Report(s.t.Context(), r.ID)
	if err != nil {
		s.t.Errorf("fold %s: %v", r.ID, err)
		return
	}
	if report.State != r.State {
		s.t.Errorf("the fold of %s is %s, its row says %s", r.ID, report.State, r.State)
	}
	if got, want := text(report.Output), text(h.end.Output); got != want {
		s.t.Errorf("the output of %s is %s in the fold and %s in the log", r.ID, got, want)
	}
	if diff := cmp.Diff(h.end.Failure, report.Error); diff != "" {
		s.t.Errorf("the failure of %s (-log +fold):\n%s", r.ID, diff)
	}
	if f := h.end.Failure; r.State != gathering.RunCompleted && (f == nil || f.Code != gathering.CodeCrashedHost && r.Parent == "") && !s.mayFail(h) {
		s.t.Errorf("%s %s: %+v", r.ID, r.State, f)
	}
}

func text(output json.RawMessage) string {
	if len(output) == 0 {
		return "null"
	}
	return string(output)
}

// mayFail reports whether a run has a reason to fail: what it waited for did.
func (s *siege) mayFail(h *history) bool {
	part := h.nodes["part"]
	return part != nil && part.state == gathering.EventNodeFailed || h.end.Failure != nil && h.end.Failure.Code == gathering.CodeCrashedHost
}

// wantAllowed holds that a service heard of a node what its log allows.
func (s *siege) wantAllowed(call string, n *past, heard *account) {
	s.t.Helper()
	bad := func(format string, args ...any) {
		s.t.Helper()
		s.t.Errorf("%s: %s\nlog: %+v\nservice: %+v", call, fmt.Sprintf(format, args...), *n, *heard)
	}
	for _, v := range n.violations {
		bad("%s", v)
	}
	requests := len(heard.requests)
	if n.completed > 0 && slices.Max(heard.requests) > n.completed {
		bad("it was called again after the answer to call %d was recorded", n.completed)
	}
	_, node, _ := strings.Cut(call, "/")
	policy, _, _ := strings.Cut(node, "_")
	if policy == "get" || policy == "put" {
		if policy == "put" && requests > n.started+n.repeated {
			bad("%d requests of %d attempts", requests, n.started+n.repeated)
		}
		return
	}
	again := 0 // what may come under the same key, once somebody has said that it had not acted
	if policy == "ask" && n.toldRetry > 0 {
		again = n.toldRetry + n.refused
	}
	for key, times := range heard.keys {
		switch {
		case key == "":
			bad("a request came without a key")
		case policy != "again" && times > 1+again:
			bad("%d requests under one key that nobody asked for", times)
		}
	}
	switch allowed := n.started + n.repeated; {
	case policy != "again" && requests > n.started, requests > allowed:
		bad("%d requests of %d attempts begun", requests, n.started)
	case len(heard.order) > 1+n.refused:
		bad("%d keys after %d failures known not to have acted", len(heard.order), n.refused)
	case heard.acted > 1:
		bad("it was acted on %d times", heard.acted)
	case n.completed > 0 && heard.acted != 1:
		bad("it completed and was acted on %d times", heard.acted)
	}
}

// wantAnnounced holds that the feed tells of every event once and in order.
func (s *siege) wantAnnounced(db *store.DB, histories map[gathering.RunID]*history) {
	s.t.Helper()
	rows, err := db.Read().Query(s.t.Context(), `SELECT entries FROM feed ORDER BY pos`)
	if err != nil {
		s.t.Fatal(err)
	}
	told := map[gathering.RunID]int64{}
	err = rows.Each(func(row store.Scanner) error {
		var packed string
		if err := row.Scan(&packed); err != nil {
			return err
		}
		var entries [][3]json.RawMessage
		if err := json.Unmarshal([]byte(packed), &entries); err != nil {
			return err
		}
		for _, e := range entries {
			stream := gathering.RunID(strings.Trim(string(e[0]), `"`))
			first, last := number(e[1]), number(e[2])
			if first != told[stream]+1 {
				s.t.Errorf("the feed tells of event %d of %s after event %d", first, stream, told[stream])
			}
			told[stream] = last
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for id, h := range histories {
		if got, want := told[id], int64(len(h.events)); got != want {
			s.t.Errorf("the feed tells of %d events of %s, want %d", got, id, want)
		}
	}
}

func number(raw json.RawMessage) int64 {
	n, _ := strconv.ParseInt(string(raw), 10, 64) // what is none breaks the order
	return n
}

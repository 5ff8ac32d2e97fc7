package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tmaxmax/go-sse"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/event"
	"gathering/internal/project"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
	"gathering/internal/watch"
)

// stream is one that somebody reads.
type stream struct {
	t      *testing.T
	status int
	header http.Header
	events chan sse.Event // closed at its end
	cut    context.CancelFunc
}

// stream has somebody read a stream. From is the ID of the last event that they
// have seen, "" is none.
func (s *service) stream(t *testing.T, p *person, path, from string) *stream {
	t.Helper()
	ctx, cut := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	p.bring(r.Header)
	r.Header.Set("Accept", "text/event-stream")
	if from != "" {
		r.Header.Set("Last-Event-ID", from)
	}
	st := &stream{t: t, events: make(chan sse.Event), cut: cut}
	t.Cleanup(st.leave)
	opened := make(chan error, 1)
	go func() {
		defer close(st.events)
		response, err := s.server.Client().Do(r)
		if err != nil {
			opened <- err
			return
		}
		defer response.Body.Close()
		st.status, st.header = response.StatusCode, response.Header
		opened <- nil
		for e, err := range sse.Read(response.Body, nil) {
			if err != nil {
				return
			}
			select {
			case st.events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	return st
}

func (st *stream) leave() {
	st.cut()
	for range st.events {
	}
}

// next is the next event; false is the end.
func (st *stream) next() (sse.Event, bool) {
	st.t.Helper()
	select {
	case e, ok := <-st.events:
		return e, ok
	case <-time.After(patience):
		st.t.Fatal("waited in vain for an event")
		return sse.Event{}, false
	}
}

// until reads to the event of a type, included, or to the end.
func (st *stream) until(kind string) (read []sse.Event) {
	st.t.Helper()
	for {
		e, ok := st.next()
		if !ok {
			return read
		}
		if read = append(read, e); e.Type == kind {
			return read
		}
	}
}

// shown is a stream's events as a test compares them.
func shown(events []sse.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.Type
		if seq, err := strconv.Atoi(e.LastEventID); err == nil && e.Type != "bye" && e.Type != "snapshot" {
			list[i] = fmt.Sprintf("%d %s", seq, e.Type)
		}
	}
	return list
}

func (s *service) history(t *testing.T, id gathering.RunID) []string {
	t.Helper()
	events, err := s.Runs.Events(t.Context(), id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = fmt.Sprintf("%d %s", e.Seq, e.Type)
	}
	return list
}

func TestStreams(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		inTurn(t, s,
			part{"of a run", testRunStream}, part{"of a run that goes on", testRunGoesOn}, part{"positions", testPositions},
			part{"of everything", testFeed}, part{"sight", testSight}, part{"interest", testInterest},
			part{"what is gone", testGone}, part{"deltas", testDeltas}, part{"who may not any more", testDismissed},
			part{"the end", testStreamsEnd},
		)
	})
}

// testRunStream reads the log of a run that has ended, cuts it anywhere, and
// goes on: without a gap, and nothing twice.
func testRunStream(t *testing.T, s *service) {
	viewer, id := s.people["viewer"], s.own.completed.ID
	path, want := at("runs", string(id), "events"), s.history(t, id)
	whole := s.stream(t, viewer, path, "").until("bye")
	if diff := cmp.Diff(append(slices.Clone(want), "bye"), shown(whole)); diff != "" {
		t.Errorf("the stream (-log +stream):\n%s", diff)
	}
	for cut := 1; cut < len(want); cut++ {
		rest := s.stream(t, viewer, path, strconv.Itoa(cut)).until("bye")
		if diff := cmp.Diff(append(slices.Clone(want[cut:]), "bye"), shown(rest)); diff != "" {
			t.Errorf("after %d (-log +stream):\n%s", cut, diff)
		}
	}
	for _, e := range whole[:len(want)] {
		var told gathering.Event
		if err := json.Unmarshal([]byte(e.Data), &told); err != nil || string(told.Type) != e.Type || fmt.Sprint(told.Seq) != e.LastEventID || told.Stream != string(id) {
			t.Errorf("event %s %s tells %s, %v", e.LastEventID, e.Type, e.Data, err)
		}
	}
	if st := s.stream(t, viewer, path, strconv.Itoa(len(want))); st.status != http.StatusNoContent {
		t.Errorf("after the last one: got %d, want that there is nothing to come back for", st.status)
	}
}

// testRunGoesOn reads a run while it goes on.
func testRunGoesOn(t *testing.T, s *service) {
	viewer := s.people["viewer"]
	r := s.start(t, s.own.patient, ``, gathering.RunWaiting)
	path := at("runs", string(r.ID), "events")
	st := s.stream(t, viewer, path, "")
	first := shown(st.until(string(gathering.EventNodeWaiting)))
	st.leave()
	if _, err := s.Runs.Cancel(t.Context(), r.ID, "ada"); err != nil {
		t.Fatal(err)
	}
	second := shown(s.stream(t, viewer, path, strconv.Itoa(len(first))).until("bye"))
	if diff := cmp.Diff(append(s.history(t, r.ID), "bye"), append(first, second...)); diff != "" {
		t.Errorf("both streams (-log +streams):\n%s", diff)
	}
}

// testPositions says from where streams go on.
func testPositions(t *testing.T, s *service) {
	viewer, waiting := s.people["viewer"], s.own.waiting.ID
	path, log := at("runs", string(waiting), "events"), s.history(t, waiting)
	// A run that has not got so far: it is of another log, as of a copy that was restored.
	beyond := s.stream(t, viewer, path, "1000")
	var got []string
	for range len(log) + 1 {
		e, _ := beyond.next()
		got = append(got, shown([]sse.Event{e})...)
	}
	if diff := cmp.Diff(append([]string{"snapshot"}, log...), got); diff != "" {
		t.Errorf("beyond the end (-want +got):\n%s", diff)
	}
	ended := s.own.completed.ID
	if got := shown(s.stream(t, viewer, at("runs", string(ended), "events"), "1000").until("bye")); len(got) != len(s.history(t, ended))+2 || got[0] != "snapshot" {
		t.Errorf("beyond the end of one that has ended: got %q", got)
	}
	// Who comes back to an address with a position in it says in the header where it is by now.
	if e, _ := s.stream(t, viewer, path+"?last_event_id=1", "2").next(); e.LastEventID != "3" {
		t.Errorf("by both: got event %s, want 3", e.LastEventID)
	}
	if e, _ := s.stream(t, viewer, path+"?last_event_id=1", "").next(); e.LastEventID != "2" {
		t.Errorf("by the query: got event %s, want 2", e.LastEventID)
	}
	for _, wrong := range []string{"x", "-1", "1.5", "9223372036854775808"} {
		if st := s.stream(t, viewer, path, wrong); st.status != http.StatusBadRequest {
			t.Errorf("%q: got %d, want it refused", wrong, st.status)
		}
		if st := s.stream(t, viewer, at("events"), s.DB.LogID()+"."+wrong); st.status != http.StatusBadRequest {
			t.Errorf("%q of everything: got %d, want it refused", wrong, st.status)
		}
	}
	head := s.ask(t, viewer, call{method: http.MethodHead, path: path, header: map[string]string{"Accept": "text/event-stream"}})
	if head.status != http.StatusOK || head.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: got %d %v", head.status, head.header)
	}
}

// here is a position of the feed that everything so far comes before.
func (s *service) here(t *testing.T) string {
	t.Helper()
	newest, err := event.Newest(t.Context(), s.DB.Read())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s.%d", s.DB.LogID(), newest)
}

// mark has something happen that everybody sees who sees a project.
func (s *service) mark(t *testing.T, id gathering.ProjectID) {
	t.Helper()
	about := fmt.Sprint("mark ", s.numbers.Add(1))
	if _, err := s.Projects.Update(t.Context(), id, project.Update{Description: &about}); err != nil {
		t.Fatal(err)
	}
}

const marked = "project.updated"

// testFeed reads everything, cuts it anywhere, and goes on.
func testFeed(t *testing.T, s *service) {
	admin, from := s.people["admin"], s.here(t)
	st := s.stream(t, admin, at("events"), "")
	for range 3 {
		s.start(t, s.own.errands, `"completed"`, gathering.RunCompleted)
	}
	s.mark(t, s.own.id)
	whole := st.until(marked)
	if got := s.stream(t, admin, at("events"), from).until(marked); !cmp.Equal(whole, got) {
		t.Errorf("read afterwards (-live +then):\n%s", cmp.Diff(whole, got))
	}
	for i, e := range whole {
		if e.LastEventID == "" || i > 0 && whole[i-1].LastEventID == e.LastEventID {
			continue // of a commit that is not told whole yet, it is told again
		}
		if i+1 == len(whole) {
			break
		}
		rest := s.stream(t, admin, at("events"), e.LastEventID).until(marked)
		if diff := cmp.Diff(data(whole[i+1:]), data(rest)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", e.LastEventID, diff)
		}
	}
	// Of a log that is not this one, and one that has not come so far.
	for _, from := range []string{"another.1", "another", s.DB.LogID() + ".999999999"} {
		st := s.stream(t, admin, at("events"), from)
		if e, _ := st.next(); e.Type != "snapshot" || !strings.Contains(e.Data, "another log") {
			t.Errorf("%s: got %s %s, want that everything is to be read anew", from, e.Type, e.Data)
		}
		s.mark(t, s.own.id)
		if e, _ := st.next(); e.Type != marked {
			t.Errorf("%s: then %s, want what is new", from, e.Type)
		}
	}
}

func data(events []sse.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.Data
	}
	return list
}

// testSight has people see what they may, and no more.
func testSight(t *testing.T, s *service) {
	from := s.here(t)
	own := s.start(t, s.own.errands, `"completed"`, gathering.RunCompleted)
	other := s.start(t, s.other.errands, `"completed"`, gathering.RunCompleted)
	s.newUser(t, "somebody new", gathering.RoleViewer)
	s.mark(t, s.other.id)
	s.mark(t, s.own.id)
	for name, want := range map[string]struct{ own, other, users bool }{
		"admin":                       {true, true, true},
		"viewer":                      {true, true, false},
		"viewer of own":               {true, false, false},
		"everything of other":         {false, true, false},
		"viewer of own, all of other": {true, true, false},
		"token of operator of own for runs.read runs.start": {false, false, false},
	} {
		p := s.people[name]
		if p.scopes != nil {
			if st := s.stream(t, p, at("events"), from); st.status != http.StatusForbidden {
				t.Errorf("%s: got %d, want it refused", name, st.status)
			}
			continue
		}
		last := s.own.id
		if !want.own {
			last = s.other.id
		}
		st := s.stream(t, p, at("events"), from)
		saw := map[string]bool{}
		for over := false; !over; {
			e, ok := st.next()
			if !ok {
				t.Fatalf("%s: the stream ended", name)
			}
			var told gathering.Event
			if err := json.Unmarshal([]byte(e.Data), &told); err != nil {
				t.Fatal(err)
			}
			saw[told.Stream], saw[strings.Split(e.Type, ".")[0]] = true, true
			over = e.Type == marked && told.Stream == "project:"+string(last)
		}
		got := struct{ own, other, users bool }{saw[string(own.ID)], saw[string(other.ID)], saw["user"]}
		if got != want {
			t.Errorf("%s: saw %+v, want %+v", name, got, want)
		}
	}
	for name, status := range map[string]int{"viewer of own": 404, "nobody": 401, "none": 404} {
		if st := s.stream(t, s.people[name], at("runs", string(other.ID), "events"), ""); st.status != status {
			t.Errorf("%s at a run of the other project: got %d, want %d", name, st.status, status)
		}
	}
}

// testInterest has readers say what they want to see.
func testInterest(t *testing.T, s *service) {
	admin, from := s.people["admin"], s.here(t)
	own := s.start(t, s.own.errands, `"completed"`, gathering.RunCompleted)
	s.start(t, s.other.errands, `"completed"`, gathering.RunCompleted)
	s.mark(t, s.own.id)
	for query, want := range map[string]func(e gathering.Event) bool{
		"type=run.completed,project.*": func(e gathering.Event) bool {
			return e.Type == gathering.EventRunCompleted || e.Type == gathering.EventProjectUpdated
		},
		"project=own": func(gathering.Event) bool { return true },
		"type=project.updated,node.*&project=own": func(e gathering.Event) bool {
			return strings.HasPrefix(string(e.Type), "node.") || e.Type == gathering.EventProjectUpdated
		},
		"stream=" + string(own.ID) + "&type=run.*": func(e gathering.Event) bool { return e.Stream == string(own.ID) },
		"stream=project:own":                       func(e gathering.Event) bool { return e.Stream == "project:own" },
	} {
		st, n := s.stream(t, admin, at("events")+"?"+query, from), 0
		last := marked
		if strings.HasPrefix(query, "stream=run") {
			last = string(gathering.EventRunCompleted)
		}
		for _, e := range st.until(last) {
			var told gathering.Event
			if err := json.Unmarshal([]byte(e.Data), &told); err != nil || !want(told) {
				t.Errorf("%s: got %s of %s, %v", query, e.Type, told.Stream, err)
			}
			n++
		}
		if n == 0 {
			t.Errorf("%s: got nothing", query)
		}
		st.leave()
	}
}

// testGone goes on from what is not kept any more.
func testGone(t *testing.T, s *service) {
	admin, from := s.people["admin"], s.here(t)
	s.mark(t, s.own.id)
	s.mark(t, s.own.id)
	_, pos, _ := strings.Cut(s.here(t), ".")
	if err := s.DB.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `DELETE FROM feed WHERE pos < `+pos)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got := s.stream(t, admin, at("events"), from).until(marked)
	if len(got) != 2 || got[0].Type != "snapshot" || !strings.Contains(got[0].Data, `"oldest":`+pos) {
		t.Errorf("got %+v, want that something is gone and then what is left", got)
	}
}

// testDeltas reads what goes on right now.
func testDeltas(t *testing.T, s *service) {
	viewer, id := s.people["viewer"], s.own.waiting.ID
	path := at("runs", string(id), "events")
	after := strconv.Itoa(len(s.history(t, id)))
	with, without := s.stream(t, viewer, path, after), s.stream(t, viewer, path+"?deltas=false", after)
	other := s.stream(t, viewer, at("runs", string(s.own.paused.ID), "events"), strconv.Itoa(len(s.history(t, s.own.paused.ID))))
	delta := gathering.Delta{Type: "node.delta", Stream: string(id), Node: "wait", Attempt: 1, Data: json.RawMessage(`{"text":"ab"}`)}
	s.Deltas.Publish(t.Context(), watch.Topic(id), delta)
	e, _ := with.next()
	var got gathering.Delta
	if err := json.Unmarshal([]byte(e.Data), &got); err != nil || e.Type != "node.delta" || !cmp.Equal(delta, got, cmpopts.IgnoreFields(got, "At")) {
		t.Errorf("got %+v, %v, want the delta", e, err)
	}
	for name, st := range map[string]*stream{"who wants none": without, "of another run": other} {
		select {
		case e := <-st.events:
			t.Errorf("%s: got %+v", name, e)
		default:
		}
	}
}

// testDismissed ends the streams of those who may not read on, and says why.
func testDismissed(t *testing.T, s *service) {
	p := s.settle(t, &person{name: "dismissed", user: s.newUser(t, "dismissed", gathering.RoleNone), roles: map[gathering.ProjectID][]gathering.Role{s.own.id: {gathering.RoleViewer}}})
	out := s.settle(t, &person{name: "out", user: s.newUser(t, "out", gathering.RoleViewer)})
	path := at("runs", string(s.own.waiting.ID), "events")
	after := strconv.Itoa(len(s.history(t, s.own.waiting.ID)))
	member, signedOut, everything := s.stream(t, p, path, after), s.stream(t, out, path, after), s.stream(t, out, at("events"), "")
	if err := s.Projects.DeleteMember(t.Context(), s.own.id, p.user.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.front.Auth.SignOut(t.Context(), &gathering.Principal{User: out.user.ID, Session: out.grant.Session.ID}); err != nil {
		t.Fatal(err)
	}
	s.mark(t, s.other.id)
	for name, st := range map[string]*stream{"who is no member any more": member, "who signed out": signedOut, "who signed out, of everything": everything} {
		read := st.until("bye")
		if last := read[len(read)-1]; last.Type != "bye" || !strings.Contains(last.Data, "reason") {
			t.Errorf("%s: got %+v, want goodbye", name, read)
		}
		if e, ok := st.next(); ok {
			t.Errorf("%s: after the end came %+v", name, e)
		}
	}
}

// testStreamsEnd tells readers to come back when the service ends, and whoever
// waits for a run that it goes on.
func testStreamsEnd(t *testing.T, s *service) {
	viewer := s.people["viewer"]
	of := s.stream(t, viewer, at("runs", string(s.own.waiting.ID), "events"), strconv.Itoa(len(s.history(t, s.own.waiting.ID))))
	all := s.stream(t, viewer, at("events"), "")
	waiting := make(chan answer, 1)
	go func() {
		waiting <- s.ask(t, s.people["operator"], call{method: http.MethodPost, path: at("pipelines", string(s.own.patient.ID), "runs") + "?wait=1m"})
	}()
	for all.until(string(gathering.EventRunQueued)) == nil {
		t.Fatal("no run was started")
	}
	s.front.API.End()
	for _, st := range []*stream{of, all} {
		read := st.until("bye")
		if last := read[len(read)-1]; last.Type != "bye" || !strings.Contains(last.Data, "come back") {
			t.Errorf("got %+v, want goodbye", read)
		}
	}
	select {
	case a := <-waiting:
		if r := decode[gathering.Run](t, a); a.status != http.StatusAccepted || r.State.Terminal() {
			t.Errorf("who waits: got %d %s", a.status, a.body)
		}
	case <-time.After(patience):
		t.Error("who waits for a run waits on")
	}
	refused := s.stream(t, viewer, at("events"), "")
	if refused.status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") == "" {
		t.Errorf("a new stream: got %d %v", refused.status, refused.header)
	}
}

// TestManyStreams bounds how many streams are open at a time.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	s := open(t, storetest.SQLite(t), app.FrontOptions{Streams: 3, StreamsEach: 2})
	s.people = map[string]*person{}
	ada := s.settle(t, &person{name: "ada", user: s.newUser(t, "ada", gathering.RoleAdmin)})
	bob := s.settle(t, &person{name: "bob", user: s.newUser(t, "bob", gathering.RoleViewer)})
	var open []*stream
	for i, p := range []*person{ada, ada, ada, bob, bob} {
		st, want := s.stream(t, p, at("events"), ""), http.StatusOK
		if i == 2 || i == 4 { // one too many of hers, one too many of all
			want = http.StatusTooManyRequests
		}
		if st.status != want || want != http.StatusOK && st.header.Get("Retry-After") == "" {
			t.Errorf("stream %d: got %d, want %d", i, st.status, want)
		}
		open = append(open, st)
	}
	open[0].leave()
	for limit := time.Now().Add(patience); ; {
		if s.stream(t, ada, at("events"), "").status == http.StatusOK {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("what a stream held is held after its end")
		}
	}
}

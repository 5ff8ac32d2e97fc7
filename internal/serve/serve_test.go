package serve_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/remote"
)

// TestEnd tells a service to end while a node works: it says so, answers what it
// is asked, begins nothing, waits for the node and listens no more. The next one
// goes on with what was accepted, and does nothing twice.
func TestEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stand) {
		r := s.administered().serve(s.options()).signedIn()
		held := r.pipeline("held", heldNodes)
		id := r.start(held).ID
		s.awaitBegun()
		r.asks(200, "GET", "/readyz", "")

		r.signals <- syscall.SIGTERM
		await(t, "word that it ends", func() bool {
			a, err := r.tries("GET", "/readyz", "")
			return err == nil && a.status == 503
		})
		later := r.start(held)
		if later.State != gathering.RunQueued {
			t.Errorf("a run that is accepted meanwhile is %s, want queued", later.State)
		}
		if got := r.run(id).State; got != gathering.RunRunning {
			t.Errorf("the run under way is %s", got)
		}
		r.asks(200, "GET", "/healthz", "")
		if a := r.asks(200, "GET", "/api/v1/runs", ""); !a.closed {
			t.Error("a connection is kept for a service that ends")
		}
		select {
		case <-r.ended:
			t.Fatal("it ends with a node at work")
		default:
		}
		close(s.letGo)
		r.ends()
		r.wantUnreachable()
		if s.called(id) != 1 || s.called(later.ID) != 0 {
			t.Errorf("the tool was called %d times for the run under way and %d times for the one after it", s.called(id), s.called(later.ID))
		}

		next := s.serve(s.options())
		next.token = r.token // the session goes on
		for _, id := range []gathering.RunID{id, later.ID} {
			await(t, "the end of a run", func() bool { return next.run(id).State.Terminal() })
			if got := next.run(id).State; got != gathering.RunCompleted || s.called(id) != 1 {
				t.Errorf("%s is %s, and its tool was called %d times, want once", id, got, s.called(id))
			}
		}
		next.signedIn()
		if report := into[struct {
			Faults   []any `json:"faults"`
			Unsealed int   `json:"unsealed"`
		}](t, next.asks(200, "GET", "/api/v1/audit/verify", "")); len(report.Faults) > 0 {
			t.Errorf("the audit trail has faults: %+v", report)
		}
	})
}

// TestToldTwice tells a service to end again, which waits for a node and for a
// request: it waits no longer, and who waits for an answer gets one.
func TestToldTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stand) {
		o := s.administered().options()
		o.Drain = time.Hour
		r := s.serve(o).signedIn()
		held := r.pipeline("held", heldNodes)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if a, err := r.tries("POST", "/api/v1/pipelines/"+string(held)+"/runs?wait=1m", ""); err != nil {
				t.Errorf("who waited got %d, %v, want an answer", a.status, err)
			}
		})
		s.awaitBegun()
		r.signals <- syscall.SIGTERM
		await(t, "word that it ends", func() bool { return strings.Contains(r.said.String(), "ending: ") })
		select {
		case <-r.ended:
			t.Fatal("it ends with a node at work")
		case <-time.After(50 * time.Millisecond):
		}
		told := time.Now()
		r.signals <- syscall.SIGINT
		r.ends()
		if took := time.Since(told); took > 5*time.Second {
			t.Errorf("it took %s to end at once", took)
		}
		waiting.Wait()

		next := s.serve(s.options()).signedIn()
		s.awaitBegun()
		close(s.letGo)
		runs := into[api.Page[gathering.Run]](t, next.asks(200, "GET", "/api/v1/runs", "")).Items
		if len(runs) != 1 {
			t.Fatalf("got %d runs, want the one that was accepted", len(runs))
		}
		await(t, "the end of the run", func() bool { return next.run(runs[0].ID).State == gathering.RunCompleted })
	})
}

// TestRequestsOutlastNodes ends a service whose time is used up by a node: a
// request under way is answered all the same.
func TestRequestsOutlastNodes(t *testing.T) {
	t.Parallel()
	s := newStand(t).administered()
	o := s.options()
	o.Drain = 50 * time.Millisecond
	r := s.serve(o).signedIn()
	held := r.pipeline("held", heldNodes)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		a, err := r.tries("POST", "/api/v1/pipelines/"+string(held)+"/runs?wait=500ms", "")
		if err != nil || a.status != 202 {
			t.Errorf("got %d, %v, want 202 after the wait: %s", a.status, err, a.body)
		}
	})
	s.awaitBegun()
	r.signals <- syscall.SIGTERM
	r.ends()
	waiting.Wait()
}

// TestToldWhileOpening tells a service to end that waits for its database.
func TestToldWhileOpening(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	asked := make(chan struct{})
	go func() {
		if conn, err := silent.Accept(); err == nil {
			t.Cleanup(func() { conn.Close() })
			close(asked)
		}
	}()
	s := newStand(t)
	s.app.Database = "postgres://nobody@" + silent.Addr().String() + "/none?sslmode=disable"
	r, _ := s.try(s.options())
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("it does not ask its database")
	}
	told := time.Now()
	r.signals <- syscall.SIGTERM
	r.ends()
	if took := time.Since(told); took > 3*time.Second {
		t.Errorf("it took %s to end", took)
	}
}

// TestContextThatEnds ends a service as a signal does.
func TestContextThatEnds(t *testing.T) {
	t.Parallel()
	s := newStand(t).administered()
	r := s.serve(s.options())
	r.asks(200, "GET", "/readyz", "")
	r.cancel()
	r.ends()
	r.wantUnreachable()
}

func TestFirstAdministratorOfTheEnvironment(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for name, test := range map[string]struct{ email, password, tells string }{
		"no password":     {email, "", "needs both GATHERING_ADMIN_EMAIL and GATHERING_ADMIN_PASSWORD"},
		"no address":      {"", password, "needs both GATHERING_ADMIN_EMAIL and GATHERING_ADMIN_PASSWORD"},
		"a weak password": {email, "admin", "must have at least 12 characters"},
		"a wrong address": {"ada", password, "must be an e-mail address"},
	} {
		s.env["GATHERING_ADMIN_EMAIL"], s.env["GATHERING_ADMIN_PASSWORD"] = test.email, test.password
		err := s.refuses(s.options())
		if gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), test.tells) {
			t.Errorf("%s: got %v, want an error of kind invalid that says %q", name, err, test.tells)
		}
	}
	s.administered()
	r := s.serve(s.options()).signedIn()
	if got := r.said.String(); strings.Contains(got, "set-up") {
		t.Errorf("it asks to be set up: %s", got)
	}
	r.signals <- syscall.SIGTERM
	r.ends()

	// The environment makes the first one, and changes nobody.
	s.env["GATHERING_ADMIN_PASSWORD"] = "another password than before"
	r = s.serve(s.options()).signedIn()
	r.token = ""
	r.asks(401, "POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, s.env["GATHERING_ADMIN_PASSWORD"]))
}

func TestSetUpByCode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stand) {
		r := s.serve(s.options())
		found := setupCode.FindStringSubmatch(r.said.String())
		if found == nil || !strings.Contains(r.said.String(), r.url+"/api/v1/setup") {
			t.Fatalf("it does not say how it is set up: %s", r.said)
		}
		setUp := func(code, who string) string {
			return fmt.Sprintf(`{"code":%q,"email":%q,"password":%q}`, code, who, password)
		}
		r.asks(401, "GET", "/api/v1/users", "")
		for _, wrong := range []string{"", "00", strings.Repeat("0", len(found[1]))} {
			r.asks(403, "POST", "/api/v1/setup", setUp(wrong, email))
		}
		r.asks(400, "POST", "/api/v1/setup", fmt.Sprintf(`{"code":%q,"email":%q,"password":"short"}`, found[1], email))
		r.asks(201, "POST", "/api/v1/setup", setUp(found[1], email))
		r.asks(409, "POST", "/api/v1/setup", setUp(found[1], "eve@example.com"))
		r.asks(409, "POST", "/api/v1/setup", setUp("00", "eve@example.com"))
		r.signedIn()
		r.signals <- syscall.SIGTERM
		r.ends()

		r = s.serve(s.options())
		if got := r.said.String(); strings.Contains(got, found[1]) {
			t.Errorf("it says the code again: %s", got)
		}
		r.asks(409, "POST", "/api/v1/setup", setUp(found[1], "eve@example.com"))
	})
}

// TestSetUpAtOnce has several set a service up with the right code at once: one
// of them is the administrator.
func TestSetUpAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stand) {
		r := s.serve(s.options())
		code := setupCode.FindStringSubmatch(r.said.String())[1]
		statuses := make([]int, 5)
		var all sync.WaitGroup
		for i := range statuses {
			all.Go(func() {
				a, err := r.tries("POST", "/api/v1/setup", fmt.Sprintf(`{"code":%q,"email":"u%d@example.com","password":%q}`, code, i, password))
				if err != nil {
					t.Error(err)
				}
				statuses[i] = a.status
			})
		}
		all.Wait()
		counts := map[int]int{}
		for _, status := range statuses {
			counts[status]++
		}
		if counts[201] != 1 || counts[409] != len(statuses)-1 {
			t.Errorf("got %v, want one 201 and else 409", counts)
		}
	})
}

func TestNobodyElseReachesAServiceWithoutAnAdministrator(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		o := s.options()
		o.Addr = addr
		err := s.refuses(o)
		if gathering.KindOf(err) != gathering.KindConflict || !strings.Contains(err.Error(), "gathering user add") {
			t.Errorf("%s: got %v, want a refusal that says what to do", addr, err)
		}
	}
	o := s.administered().options()
	o.Addr = "0.0.0.0:0"
	r := s.serve(o)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://127.0.0.1:" + port
	r.signedIn()
}

func TestPortThatIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newStand(t)
	o := s.options()
	o.Addr = taken.Addr().String()
	err = s.refuses(o)
	if gathering.KindOf(err) != gathering.KindUnavailable || !strings.Contains(err.Error(), o.Addr+" cannot be listened on: address already in use") {
		t.Errorf("got %v", err)
	}
	o.Other = true
	r := s.serve(o)
	if !strings.HasPrefix(r.url, "http://127.0.0.1:") || strings.HasSuffix(r.url, o.Addr) {
		t.Errorf("it listens on %s", r.url)
	}
	if got, want := r.said.String(), "listening on "+r.url+"\n"; !strings.HasPrefix(got, want) {
		t.Errorf("it says %q, want %q first", got, want)
	}
	r.asks(200, "GET", "/readyz", "")
}

func TestAddressThatIsNone(t *testing.T) {
	t.Parallel()
	for addr, tells := range map[string]string{"127.0.0.1": "missing port", "127.0.0.1:99999": "invalid port", "192.0.2.1:0": "cannot assign"} {
		s := newStand(t)
		o := s.options()
		o.Addr, o.Other = addr, addr != "192.0.2.1:0"
		if err := s.refuses(o); gathering.KindOf(err) != gathering.KindUnavailable || !strings.Contains(err.Error(), tells) {
			t.Errorf("%s: got %v, want one that says %q", addr, err, tells)
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	o := s.options()
	o.Names = "https://example.com"
	if err := s.refuses(o); gathering.KindOf(err) != gathering.KindInvalid {
		t.Errorf("got %v, want an error of kind invalid", err)
	}
	r := s.serve(s.options()) // the directory was given back
	r.asks(200, "GET", "/readyz", "")
}

func TestPathThatIsNone(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"gathering", "/", "/a/", "//a", "/a//b", "/a/../b", "/a b", `/"`, "/ä"} {
		s := newStand(t)
		o := s.options()
		o.Front.Path = at
		if err := s.refuses(o); gathering.KindOf(err) != gathering.KindInvalid || !strings.Contains(err.Error(), "path: must be as /gathering") {
			t.Errorf("%q: got %v", at, err)
		}
	}
}

// TestDirectoryThatIsHeld runs a second service on a data directory.
func TestDirectoryThatIsHeld(t *testing.T) {
	t.Parallel()
	s := newStand(t).administered()
	r := s.serve(s.options())
	if err := s.refuses(s.options()); gathering.CodeOf(err) != gathering.CodeDirectoryHeld {
		t.Errorf("got %v, want that the directory is held", err)
	}
	r.asks(200, "GET", "/readyz", "")
	if _, err := os.Stat(filepath.Join(s.app.Data, "control.sock")); err != nil {
		t.Errorf("the control socket: %v", err)
	}
	client := remote.NewClient(s.app.Data)
	if users, err := client.Users(context.Background()); err != nil || len(users) != 1 {
		t.Errorf("by the control socket: %v, %v, want the administrator", users, err)
	}
	r.signals <- syscall.SIGTERM
	r.ends()
	if _, err := os.Stat(filepath.Join(s.app.Data, "control.sock")); err == nil {
		t.Error("the control socket is left")
	}
}

package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gathering"
	"gathering/internal/store"
)

// hangUp is a server that takes every request and does not answer: nobody can
// tell whether it acted.
func (d *desk) hangUp() string {
	d.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
	}))
	d.t.Cleanup(server.Close)
	d.env["GATHERING_ALLOW_PRIVATE_NETWORKS"] = "127.0.0.1/32"
	return server.URL
}

// call is a node whose outcome nobody knows.
func call(url string) string {
	return fmt.Sprintf(`{kind: action, needs: [start], action: call_api, with: {method: POST, url: "%s", body: {order: 7}}}`, url)
}

// only is the ID of the run that is listed with the flags, and no other is.
func (d *desk) only(flags ...string) string {
	d.t.Helper()
	r := d.run(append([]string{"runs", "list"}, flags...)...).exits(0)
	ids := runID.FindAllString(r.stdout, -1)
	if len(ids) != 1 {
		d.t.Fatalf("gathering runs list %v: got %v, want one run", flags, ids)
	}
	return ids[0]
}

func TestDecide(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("ask.yaml", "name: ask\nnodes:\n  start: {kind: trigger}\n  call: "+call(d.hangUp())+"\noutput: \"${{ nodes.call.output }}\"\n")
		d.file("above.yaml", `name: above
nodes:
  start: {kind: trigger}
  ask: {kind: action, needs: [start], action: execute_pipeline, with: {pipeline: ./ask.yaml}}
output: "${{ nodes.ask.output }}"
`)
		root := d.run("run", "above.yaml", "--json").exits(3).tells("gathering runs decide").report()
		child := string(root.Nodes[1].Child)
		d.run("runs", "why", string(root.Run)).exits(0).says("waiting: ask: waits for run "+child, "gathering runs decide "+child+" --node ")
		d.run("runs", "why", child, "--json").exits(0).says(`"node": "call"`)
		for _, refused := range []struct {
			args []string
			code int
			want string
		}{
			{[]string{"--node", "other", "--as", "done"}, 1, `has no node "other"`},
			{[]string{"--node", "start", "--as", "done"}, 1, "is not unknown: it is completed"},
			{[]string{"--node", "call", "--as", "perhaps"}, 2, "--as"},
			{[]string{"--node", "call", "--as", "done|retry|fail"}, 2, "--as"}, // as messages name them
			{[]string{"--as", "done"}, 2, "--node"},
			{[]string{"--node", "call", "--as", "fail", "--output", "1"}, 2, "output: goes with as: done"},
			{[]string{"--node", "call", "--as", "done", "--output", "{"}, 2, "output is not valid JSON"},
		} {
			d.run(append([]string{"runs", "decide", child}, refused.args...)...).exits(refused.code).tells(refused.want)
		}
		// Done again it is lost again.
		d.run("runs", "decide", child, "--node", "call", "--as", "retry").exits(3).says(child+" waiting: call: it may have acted", string(root.Run)+" waiting")
		d.file("answer.json", `{"id": 12345678901234567890}`)
		d.run("runs", "decide", child[len(child)-8:], "--node", "call", "--as", "done", "--output", "@answer.json").exits(0).
			says(child+" completed", string(root.Run)+" completed")
		d.run("runs", "show", child).exits(0).says("decided as done by the command line", "12345678901234567890")
		d.run("runs", "show", string(root.Run)).exits(0).says("12345678901234567890")

		lost := d.run("run", "ask.yaml", "--json").exits(3).report()
		d.run("runs", "decide", string(lost.Run), "--node", "call", "--as", "fail").exits(1).says(string(lost.Run) + " failed: node call: ")
	})
}

func TestDecideItems(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("many.yaml", fmt.Sprintf(`name: many
nodes:
  start: {kind: trigger}
  each:
    kind: map
    needs: [start]
    over: "[1, 2]"
    max_parallel: 1
    on_item_error: skip
    do: {kind: action, action: call_api, with: {method: POST, url: "%s", body: "${{ item }}"}}
output: "${{ nodes.each.output }}"
`, d.hangUp()))
		r := d.run("run", "many.yaml").exits(3).says("each  started, 2 items", "each[0]  may have acted").tells("waits for a human: each[0] may have acted")
		id := runID.FindString(r.stdout)
		d.run("runs", "show", id).exits(0).says("0/2 items, 1 undecided", "? each[0]  unknown", "each[0]: conflict", "why       waiting: ")
		d.run("runs", "why", id).exits(0).says("\n  each[0]: it may have acted")
		d.run("runs", "decide", id, "--node", "each[0]", "--as", "done", "--output", `"A"`).exits(3).says("each[1]: it may have acted")
		d.run("runs", "decide", id, "--node", "each[0]", "--as", "done").exits(1).tells("is not unknown")
		d.run("runs", "decide", id, "--node", "each[1]", "--as", "fail").exits(0).says(id + " completed")
		d.run("runs", "show", id).exits(0).says("2 items, 1 failed", "! each[1]  failed", "decided as fail by the command line", `"A"`)
		d.run("runs", "events", id).exits(0).says("node.decided      each[1]")
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("nap.yaml", nap)
		b := d.start(nil, "run", "nap.yaml")
		d.await("the delay", b.stdout.seen("nap  waits"), b)
		b.signals <- syscall.SIGTERM
		d.end(b, 143)
		id := d.only()
		d.run("runs", "pause", id).exits(0).says(id + " paused: until somebody resumes it; the command line paused it")
		if got := d.only("--state", "paused"); got != id {
			t.Errorf("paused is %s, want %s", got, id)
		}
		d.run("runs", "why", id).exits(0).says("until somebody resumes it; the command line paused it")
		d.run("runs", "show", id).exits(0).says("◷ nap  paused", "the command line paused it")
		d.run("runs", "resume").exits(0).says("until somebody resumes it; the command line paused it")
		d.run("runs", "resume", id).exits(0).says(id + " waiting: nap: waits until")
		d.run("runs", "resume", id).exits(0).says(id + " waiting: nap: waits until")
		d.run("runs", "cancel", id).exits(0)
		d.run("runs", "resume", id).exits(1).tells("is not paused: cancelled")
		d.run("runs", "pause", id).exits(1).tells("has ended: cancelled")
	})
}

// TestSteeringOfWhatAnotherWorksOn steers a run that another command works on:
// on SQLite through its socket.
func TestSteeringOfWhatAnotherWorksOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("both.yaml", "name: both\nnodes:\n  start: {kind: trigger}\n  nap: {kind: delay, needs: [start], for: 1h}\n  call: "+call(d.hangUp())+"\n")
		d.file("reads.yaml", reads)
		dead := string(d.run("run", "reads.yaml", "--set", "path=a.txt", "--json").exits(1).report().Run)
		b := d.start(nil, "run", "both.yaml")
		d.await("the lost call", b.stdout.seen("call  may have acted"), b)
		id := runID.FindString(b.stdout.String())
		d.run("runs", "decide", id, "--node", "other", "--as", "done").exits(1).tells("has no node")
		d.run("runs", "redrive", id).exits(1).tells("has not ended")
		d.run("runs", "decide", id, "--node", "call", "--as", "done", "--output", "7").exits(0).says(id + " waiting: nap: waits until")
		d.await("the decision", b.stdout.seen("call  decided as done by "), b)
		if d.env["GATHERING_DATABASE_URL"] != "" {
			b.signals <- syscall.SIGINT
			d.end(b, 130)
			return
		}
		d.run("runs", "redrive", dead, "--input", `{"path": 7}`).exits(2).tells("input.path: ")
		d.run("runs", "redrive", dead, id).exits(1).says("repeats " + dead).tells("has not ended")
		d.run("runs", "dismiss", dead).exits(1).tells("is no dead letter")
		d.run("runs", "delete", dead, id).exits(1).says(dead + " deleted").tells("has not ended")
		d.run("runs", "list", "--dead").exits(0).says("no dead letters")
		// The other command works on its own run alone.
		d.run("runs", "resume", id).exits(1).tells("is not paused")
		fork := d.run("runs", "fork", id, "--from", "call").exits(0).says("repeats " + id + " as soon as somebody works on it")
		next := runID.FindString(fork.stdout)
		d.run("runs", "pause", next).exits(0).says(next + " is asked to, which it does as soon as somebody works on it")
		b.signals <- syscall.SIGINT
		d.end(b, 130)
		d.run("runs", "why", next).exits(0).says("queued: nobody works on runs here; gathering runs resume goes on with it")
		d.run("runs", "resume", next).exits(0).says(next+" waiting: nap: waits until", "call: it may have acted")
	})
}

// TestPauseOfWhatAnotherWorksOn pauses a run while a call of it is under way, in
// another command: that goes on, also after the pause was ended, until the run
// is paused and nothing of it is under way any more.
func TestPauseOfWhatAnotherWorksOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		called, answer := make(chan struct{}, 8), make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called <- struct{}{}
			select {
			case <-answer:
			case <-r.Context().Done():
			}
		}))
		t.Cleanup(server.Close)
		d.env["GATHERING_ALLOW_PRIVATE_NETWORKS"] = "127.0.0.1/32"
		get := func(needs string) string {
			return fmt.Sprintf(`{kind: tool, needs: [%s], tool: http.request, with: {url: "%s"}}`, needs, server.URL)
		}
		d.file("two.yaml", "name: two\nnodes:\n  start: {kind: trigger}\n  one: "+get("start")+"\n  two: "+get("one")+"\n  last: {kind: tool, needs: [two], tool: time.now}\n")
		b := d.start(nil, "run", "two.yaml")
		d.await("the first call", called, b)
		d.await("word of it", b.stdout.seen("one  started"), b)
		id := runID.FindString(b.stdout.String())
		const paused = " paused: until somebody resumes it; the command line paused it"
		for range 2 { // once more changes nothing
			if got, want := d.run("runs", "pause", id).exits(0).stdout, id+paused+"; one: attempt 1 is under way\n"; got != want {
				t.Errorf("pause says %q, want %q", got, want)
			}
		}
		d.await("the pause", b.stdout.seen("two  paused by the command line"), b)
		resumed := d.start(nil, "runs", "resume", id)
		d.await("its end", b.stdout.seen("two  resumed by the command line"), b)
		answer <- struct{}{}
		d.await("the second call", called, b)
		d.run("runs", "pause", id).exits(0).says(id + paused)
		answer <- struct{}{}
		d.end(b, 3)
		if got, want := b.stderr.String(), id+" is paused by the command line; gathering runs resume "+id+" goes on with it\n"; got != want {
			t.Errorf("stderr: %q, want %q", got, want)
		}
		d.end(resumed, 0)
		if got := resumed.stdout.String(); got != id+paused+"\n" {
			t.Errorf("resume says %q; it waits until the run rests", got)
		}
		d.run("runs", "resume", id).exits(0).says(id + " completed")
	})
}

// TestAskedAllTheSame holds that a command which fails once a run was asked
// something says that the run is.
func TestAskedAllTheSame(t *testing.T) {
	t.Parallel()
	d := newDesk(t).file("nap.yaml", nap)
	b := d.start(nil, "run", "nap.yaml")
	d.await("the delay", b.stdout.seen("nap  waits"), b)
	b.signals <- syscall.SIGTERM
	d.end(b, 143)
	id := d.only()
	change := func(statement string) {
		t.Helper()
		db, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(d.dir, "data")})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	change(`CREATE TRIGGER nobody BEFORE INSERT ON instances BEGIN SELECT RAISE(ABORT, 'no room'); END`)
	for _, args := range [][]string{{"pause", id}, {"resume", id}, {"cancel", id}} {
		d.run(append([]string{"runs"}, args...)...).exits(1).
			tells(id + " is asked to all the same, which it does as soon as somebody works on it: gathering runs resume\n")
	}
	change(`DROP TRIGGER nobody`)
	d.run("runs", "resume").exits(0).says("nap  cancelled")
}

const reads = `name: reads
input_schema: {type: object, required: [path], properties: {path: {type: string}}}
vars: {limit: 100}
nodes:
  start: {kind: trigger}
  made: {kind: transform, needs: [start], set: {path: "${{ input.path }}"}}
  read: {kind: tool, needs: [made], tool: files.read, with: {path: "${{ nodes.made.output.path }}", limit: "${{ vars.limit }}"}}
output: "${{ nodes.read.output.text }}"
`

func TestRedrive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("reads.yaml", reads)
		id := string(d.run("run", "reads.yaml", "--set", "path=a.txt", "--json").exits(1).report().Run)
		first := id
		id = runID.FindString(d.run("runs", "redrive", first).exits(1).says("made  kept", "read  failed").stdout)
		d.run("runs", "redrive", first).exits(1).tells("was redriven as run " + id)
		d.file("a.txt", "here it is")
		r := d.run("runs", "redrive", id[:len(id)-1]).exits(0).
			says("does read of "+id+" again and keeps 2 of its nodes", "start  kept", "made  kept", "reads  completed", "here it is")
		next := runID.FindString(r.stdout)
		d.run("runs", "show", next).exits(0).says("✓ made   kept", "origin    "+id+", again from read, 2 nodes kept")
		d.run("runs", "redrive", next).exits(1).tells("completed; fork it")

		for name, test := range map[string]struct {
			args []string
			want string
		}{
			"input that does not fit": {[]string{"redrive", id, "--input", `{"path": 7}`}, "input.path: "},
			"input that is no JSON":   {[]string{"redrive", id, "--input", `{`}, "input is not valid JSON"},
			"a var that is not there": {[]string{"redrive", id, "--var", "x=1"}, `no var "x"`},
			"which":                   {[]string{"redrive"}, "name the runs, or --all-dead"},
			"both":                    {[]string{"redrive", id, "--all-dead"}, "name the runs, or --all-dead"},
			"from nowhere":            {[]string{"fork", id}, "--from"},
			"from what is not there":  {[]string{"fork", id, "--from", "nothing"}, "from: must name nodes"},
			"a fork's input":          {[]string{"fork", id, "--from", "made", "--input", `{}`}, "input.path: is required"},
		} {
			if r := d.run(append([]string{"runs"}, test.args...)...).exits(2); !strings.Contains(r.stderr, test.want) {
				t.Errorf("%s: got %s, want %q", name, r.stderr, test.want)
			}
		}
		d.file("b.txt", "and this")
		id = string(d.run("run", "reads.yaml", "--set", "path=c.txt", "--json").exits(1).report().Run)
		d.file("c.txt", "here too")
		d.run("runs", "redrive", id, "--input", `{"path": "b.txt"}`, "--var", "limit=4").exits(0).says("start  kept", "made  kept", "\nhere\n")
		d.run("runs", "fork", next, "--from", "made,read", "--input", `{"path": "b.txt"}`).exits(0).says("does made of "+next, "and this")
		if _, err := os.Stat(filepath.Join(d.dir, "data", "gathering.db")); (err == nil) == (d.env["GATHERING_DATABASE_URL"] != "") {
			t.Errorf("the database: %v", err)
		}
	})
}

func TestRedriveMany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("reads.yaml", reads)
		a := string(d.run("run", "reads.yaml", "--set", "path=a.txt", "--json").exits(1).report().Run)
		b := string(d.run("run", "reads.yaml", "--set", "path=b.txt", "--json").exits(1).report().Run)
		d.file("a.txt", "A")
		d.run("runs", "redrive", a, b).exits(1).says("repeats "+a, "repeats "+b, " completed\n", " failed: node read: ")
		d.file("b.txt", "B")
		d.run("runs", "redrive", a, "run_none").exits(1).tells("there is no run run_none")
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("nap.yaml", nap)
		d.file("echo.yaml", echo)
		b := d.start(nil, "run", "nap.yaml", "--key", "night", "--priority", "3")
		d.await("the delay", b.stdout.seen("nap  waits"), b)
		b.signals <- syscall.SIGTERM
		d.end(b, 143)
		first := d.only()
		keyed := []string{"run", "echo.yaml", "--set", "text=x", "--key", "night"}
		d.run(keyed...).exits(1).tells("run " + first + " has the key and has not ended")
		d.run("run", "echo.yaml", "--set", "text=x", "--on-key", "cancel").exits(2).tells("--on-key goes with --key")
		d.run(append(keyed, "--on-key", "perhaps")...).exits(2).tells("--on-key")

		b = d.start(nil, append(keyed, "--on-key", "existing")...)
		d.await("the existing run", b.stdout.seen("nap  waits"), b)
		b.signals <- syscall.SIGTERM
		d.end(b, 143)
		if got := b.stderr.String(); !strings.Contains(got, first+" has the key and is worked on instead") {
			t.Errorf("stderr: %s", got)
		}

		d.run(append(keyed, "--on-key", "cancel")...).exits(0).says("echo  completed").tells("stopping " + first)
		if got := d.only("--state", "cancelled"); got != first {
			t.Errorf("cancelled is %s, want %s", got, first)
		}
		// The key is free again.
		d.run(keyed...).exits(0)
		d.run(append(keyed, "--on-key", "existing")...).exits(0).says("echo  completed")
	})
}

// TestChildLines holds that what a child run did is told before its end is.
func TestChildLines(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("below.yaml", "name: below\nnodes:\n  start: {kind: trigger}\n  now: {kind: tool, needs: [start], tool: time.now}\n  last: {kind: tool, needs: [now], tool: time.now}\n")
		d.file("above.yaml", `name: above
nodes:
  start: {kind: trigger}
  child: {kind: action, needs: [start], action: execute_pipeline, with: {pipeline: ./below.yaml}}
  after: {kind: tool, needs: [child], tool: time.now}
`)
		out := d.run("run", "above.yaml").exits(0).stdout
		rest := out
		for _, line := range []string{
			"  above  run_", "  child  waits for run_", "  child  run_", "  child/now  completed", "  child/last  completed",
			"  child  its run completed", "  child  completed", "  after  completed", "  above  completed",
		} {
			_, after, found := strings.Cut(rest, line)
			if !found {
				t.Fatalf("%q is not told, or not in its place:\n%s", line, out)
			}
			rest = after
		}
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("reads.yaml", reads)
		d.file("ask.yaml", "name: ask\nnodes:\n  start: {kind: trigger}\n  call: "+call(d.hangUp())+"\n")
		a := string(d.run("run", "reads.yaml", "--set", "path=a.txt", "--json").exits(1).report().Run)
		b := string(d.run("run", "reads.yaml", "--set", "path=b.txt", "--json").exits(1).report().Run)
		lost := string(d.run("run", "ask.yaml", "--json").exits(3).report().Run)
		d.run("runs", "delete", lost).exits(1).tells("has not ended")
		d.run("runs", "decide", lost, "--node", "call", "--as", "fail").exits(1)
		d.run("runs", "list", "--dead").exits(0).says("ERROR", a, b, lost, "node read: ")
		var letters struct {
			Items []struct {
				gathering.Run

				Error *gathering.Failure `json:"error"`
			} `json:"items"`
		}
		text := d.run("runs", "list", "--dead", "--json", "--limit", "2").exits(0).stdout
		if err := json.Unmarshal([]byte(text), &letters); err != nil || len(letters.Items) != 2 || letters.Items[0].Error == nil {
			t.Errorf("got %s, %v", text, err)
		}
		d.file("a.txt", "A")
		d.run("runs", "redrive", a, b).exits(1)
		d.run("runs", "list", "--dead", "--limit", "1").exits(0).says("node read: ") // that of b, which failed again
		d.file("b.txt", "B")
		// What was redriven is no dead letter any more; what failed again is one.
		d.run("runs", "redrive", "--all-dead").exits(3).says("repeats "+lost, " completed\n", "waiting: call: it may have acted")
		d.run("runs", "redrive", "--all-dead").exits(0).says("no dead letters")
		d.run("runs", "list", "--dead").exits(0).says("no dead letters")

		c := string(d.run("run", "reads.yaml", "--set", "path=c.txt", "--json").exits(1).report().Run)
		d.run("runs", "dismiss", c, a).exits(1).says(c + " dismissed").tells(a)
		d.run("runs", "list", "--dead").exits(0).says("no dead letters")
		d.run("runs", "delete", c[len(c)-8:], "run_none").exits(1).tells("there is no run run_none")
		if got, want := d.run("runs", "delete", c[len(c)-8:], b, c).exits(0).stdout, c+" deleted\n"+b+" deleted\n"; got != want {
			t.Errorf("delete says %q, want %q", got, want) // each once, however often it is named
		}
		d.run("runs", "show", c).exits(1).tells("there is no run " + c)
		d.run("runs", "delete", c).exits(1).tells("there is no run " + c)
	})
}

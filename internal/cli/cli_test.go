package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gathering"
	"gathering/internal/cli"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// desk is a place to run commands at: a directory and a database.
type desk struct {
	t     *testing.T
	dir   string
	env   map[string]string
	stdin string
}

// result is what a command left behind.
type result struct {
	t              *testing.T
	args           []string
	code           int
	stdout, stderr string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	return &desk{t: t, dir: t.TempDir(), env: map[string]string{"OLLAMA_HOST": "127.0.0.1:1"}}
}

// each calls fn with a desk on either database.
func each(t *testing.T, fn func(t *testing.T, d *desk)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, newDesk(t))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t)
		d.env["GATHERING_DATABASE_URL"] = storetest.PostgreSQL(t).URL
		fn(t, d)
	})
}

// file writes a file at the desk.
func (d *desk) file(name, content string) *desk {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return d
}

func (d *desk) system(args []string) cli.System {
	return cli.System{
		Args: args, Stdin: strings.NewReader(d.stdin), Dir: d.dir, Version: "v1.2.3",
		Lookup: func(name string) (string, bool) { value, ok := d.env[name]; return value, ok },
	}
}

// run runs a command at the desk.
func (d *desk) run(args ...string) result {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	s := d.system(args)
	s.Stdout, s.Stderr = &stdout, &stderr
	code := cli.Run(d.t.Context(), s)
	return result{d.t, args, code, stdout.String(), stderr.String()}
}

// exits fails the test where the command ended with another code.
func (r result) exits(want int) result {
	r.t.Helper()
	if r.code != want {
		r.t.Errorf("gathering %s: exit code %d, want %d\nstdout:\n%s\nstderr:\n%s",
			strings.Join(r.args, " "), r.code, want, r.stdout, r.stderr)
	}
	return r
}

// says fails the test where standard output lacks a text.
func (r result) says(texts ...string) result {
	r.t.Helper()
	return r.holds("stdout", r.stdout, texts)
}

// tells fails the test where standard error lacks a text.
func (r result) tells(texts ...string) result {
	r.t.Helper()
	return r.holds("stderr", r.stderr, texts)
}

func (r result) holds(name, got string, texts []string) result {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			r.t.Errorf("gathering %s: %s lacks %q:\n%s", strings.Join(r.args, " "), name, text, got)
		}
	}
	return r
}

// report is the document on standard output.
func (r result) report() gathering.RunReport {
	r.t.Helper()
	var report gathering.RunReport
	decoder := json.NewDecoder(strings.NewReader(r.stdout))
	if err := decoder.Decode(&report); err != nil || decoder.More() {
		r.t.Fatalf("gathering %s: want one JSON document (%v):\n%s\n%s", strings.Join(r.args, " "), err, r.stdout, r.stderr)
	}
	return report
}

const echo = `name: echo
vars: {greeting: hello, times: 1}
input_schema:
  type: object
  required: [text]
  properties: {text: {type: string}, more: {}}
nodes:
  start: {kind: trigger}
  say: {kind: transform, needs: [start], set: {text: "${{ vars.greeting }} ${{ input.text }}", more: "${{ input.?more.orValue(null) }}", times: "${{ vars.times }}"}}
output: "${{ nodes.say.output }}"
`

func TestRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("echo.yaml", echo)
		r := d.run("run", "echo.yaml", "--set", "text=world").exits(0)
		r.says("start  completed", "echo  completed", `"text": "hello world"`)
		if r.stderr != "" {
			t.Errorf("stderr: %s", r.stderr)
		}
		report := d.run("run", "--json", "echo.yaml", "--input", `{"text":"<&>","more":12345678901234567890}`, "--var", "greeting=hi, you", "--var", "times=3").exits(0).report()
		var output bytes.Buffer
		if err := json.Compact(&output, report.Output); err != nil {
			t.Fatal(err)
		}
		if got, want := output.String(), `{"text":"hi, you <&>","more":12345678901234567890,"times":3}`; got != want {
			t.Errorf("output %s, want %s", got, want)
		}
		if report.State != gathering.RunCompleted || len(report.Nodes) != 2 || report.Nodes[1].Kind != "transform" || report.Pipeline != "echo" {
			t.Errorf("got %+v", report)
		}
		d.run("runs", "list").exits(0).says("ID", "PIPELINE", string(report.Run), "echo", "completed")
		d.run("runs", "show", string(report.Run)).exits(0).says("✓ echo", "✓ say", "version   1", "output:", "hi, you")
		d.run("runs", "events", string(report.Run)).exits(0).says("run.queued", "node.completed", "run.completed")
		d.run("runs", "cancel", string(report.Run)).exits(1).tells("has ended: completed")
	})
}

func TestRunDocumentHasTheNamesThatScriptsReadAndNoOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t).file("echo.yaml", echo)
	r := d.run("run", "echo.yaml", "--set", "text=x", "--json").exits(0)
	var document map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.stdout), &document); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run", "state", "output", "error", "nodes", "usage"} {
		if document[name] == nil {
			t.Errorf("the document lacks %q: %s", name, r.stdout)
		}
	}
	if got := string(document["error"]); got != "null" {
		t.Errorf("error is %s, want null", got)
	}
	var nodes []map[string]json.RawMessage
	if err := json.Unmarshal(document["nodes"], &nodes); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "kind", "state", "attempts", "output", "error", "started_at", "finished_at"} {
		if nodes[0][name] == nil {
			t.Errorf("a node lacks %q: %s", name, document["nodes"])
		}
	}
}

func TestInput(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, `{}`},
		{"JSON", []string{"--input", `[1.50, "x"]`}, `[1.50,"x"]`},
		{"a file", []string{"--input", "@in.json"}, `{"a":{"b":[1,2]}}`},
		{"standard input", []string{"--input", "@-"}, `{"from":"stdin"}`},
		{"text", []string{"--set", "a=b c"}, `{"a":"b c"}`},
		{"JSON in a value", []string{"--set", `a={"x": 1.50}`, "--set", "n=null", "--set", `s="7"`}, `{"a":{"x":1.50},"n":null,"s":"7"}`},
		{"commas and equal signs", []string{"--set", "a=x,y=z"}, `{"a":"x,y=z"}`},
		{"empty", []string{"--set", "a="}, `{"a":""}`},
		{"within", []string{"--input", "@in.json", "--set", "a.b.1=9", "--set", "a.b.2=8", "--set", "c.d.e=7"}, `{"a":{"b":[1,9,8]},"c":{"d":{"e":7}}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.file("any.yaml", "name: any\nnodes: {start: {kind: trigger}}\noutput: \"${{ input }}\"\n")
			d.file("in.json", ` {"a": {"b": [1, 2]}} `)
			d.stdin = `{"from": "stdin"}`
			report := d.run(append([]string{"run", "any.yaml", "--json"}, test.args...)...).exits(0).report()
			var output bytes.Buffer
			if err := json.Compact(&output, report.Output); err != nil {
				t.Fatal(err)
			}
			if got := output.String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		args   []string
		code   int
		stderr []string
	}{
		{"a node fails", []string{"run", "fails.yaml"}, 1, nil},
		{"its time is up", []string{"run", "late.yaml"}, 1, nil},
		{"faults", []string{"run", "bad.yaml"}, 2, []string{`bad.yaml:4: nodes.x.needs[0]: there is no node "sart" (did you mean "start"?)`, "bad.yaml:4: nodes.x.tool: "}},
		{"no file", []string{"run", "nothing.yaml"}, 2, []string{"gathering: there is no file nothing.yaml"}},
		{"input that does not fit", []string{"run", "echo.yaml"}, 2, []string{"input.text: is required"}},
		{"input that is no JSON", []string{"run", "echo.yaml", "--input", "{"}, 2, []string{"input is not valid JSON"}},
		{"input that is too long", []string{"run", "echo.yaml", "--input", "@long.json"}, 2, []string{"gathering: long.json is longer than 16777216 bytes\n"}},
		{"input of no file", []string{"run", "echo.yaml", "--input", "@no.json"}, 2, []string{"there is no file no.json"}},
		{"a var that is not there", []string{"run", "echo.yaml", "--set", "text=a", "--var", "x=1"}, 2, []string{`the pipeline has no var "x"`}},
		{"--set without a value", []string{"run", "echo.yaml", "--set", "text"}, 2, []string{"--set takes path=value"}},
		{"--var without a value", []string{"run", "echo.yaml", "--var", "=1"}, 2, []string{"--var takes name=value"}},
		{"--set within a text", []string{"run", "echo.yaml", "--set", "text=a", "--set", "text.b=1"}, 2, []string{`--set text.b: there is no "b"`}},
		{"--set beyond a list", []string{"run", "echo.yaml", "--set", "a=[]", "--set", "a.4=1"}, 2, []string{`--set a.4: "4" is no place in a list of 0`}},
		{"an unknown flag", []string{"run", "echo.yaml", "--nope"}, 2, []string{"unknown flag --nope", "gathering --help"}},
		{"an unknown command", []string{"rum"}, 2, []string{`did you mean one of "run", "runs"`}},
		{"an unknown state", []string{"runs", "list", "--state", "done"}, 2, []string{`there is no state "done"`, "completed"}},
		{"a limit of none", []string{"runs", "list", "--limit", "0"}, 2, []string{"--limit must be 1 or more"}},
		{"an unknown run", []string{"runs", "show", "run_none"}, 1, []string{"there is no run run_none"}},
		{"a database that is not there", []string{"runs", "list", "--data", "elsewhere"}, 1, []string{"there is no database in", "elsewhere"}},
		{"cancel where there is no database", []string{"runs", "cancel", "run_none", "--data", "elsewhere"}, 1, []string{"there is no database in"}},
		{"a database that cannot be reached", []string{"runs", "list", "--database", "postgres://nobody:secret@127.0.0.1:1/none"}, 1, []string{"gathering: the database at 127.0.0.1:1 cannot be reached: connection refused\n"}},
		{"a demo of nothing", []string{"demo", "nowhere"}, 2, []string{"nowhere is not a directory"}},
		{"validate: faults", []string{"validate", "echo.yaml", "bad.yaml"}, 2, nil},
		{"validate: no file", []string{"validate", "nothing.yaml"}, 2, []string{"there is no file nothing.yaml"}},
		{"validate: valid", []string{"validate", "echo.yaml"}, 0, nil},
		{"help", []string{"--help"}, 0, nil},
		{"help of a command", []string{"run", "--help"}, 0, nil},
		{"nothing", nil, 0, nil},
		{"version", []string{"version"}, 0, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t).file("echo.yaml", echo)
			d.file("bad.yaml", "name: bad\nnodes:\n  start: {kind: trigger}\n  x: {kind: tool, needs: [sart], tool: files.reed}\n")
			d.file("fails.yaml", "name: fails\nnodes:\n  start: {kind: trigger}\n  read: {kind: tool, needs: [start], tool: files.read, with: {path: missing.txt}}\n")
			d.file("late.yaml", "name: late\ntimeout: 50ms\nnodes:\n  start: {kind: trigger}\n  nap: {kind: delay, needs: [start], for: 1h}\n")
			d.file("list.yaml", "- a\n")
			long, err := os.Create(filepath.Join(d.dir, "long.json"))
			if err == nil {
				err = errors.Join(long.Truncate(36<<20), long.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			d.run("migrate").exits(0)
			r := d.run(test.args...)
			r.exits(test.code).tells(test.stderr...)
			if strings.Contains(r.stderr, "nobody") || strings.Contains(r.stderr, "secret") {
				t.Errorf("stderr tells the cause: %s", r.stderr)
			}
			if _, err := os.Stat(filepath.Join(d.dir, "elsewhere")); err == nil {
				t.Error("looking at a directory made it")
			}
		})
	}
}

// full is a writer for which there is no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestOutputWithoutRoom holds that output which is lost is told, and that a run
// goes on without it.
func TestOutputWithoutRoom(t *testing.T) {
	t.Parallel()
	d := newDesk(t).file("echo.yaml", echo)
	for _, args := range [][]string{
		{"run", "echo.yaml", "--set", "text=x"}, {"run", "echo.yaml", "--set", "text=x", "--json"}, {"runs", "list"}, {"runs", "list", "--json"}, {"version"},
	} {
		var stderr bytes.Buffer
		s := d.system(args)
		s.Stdout, s.Stderr = full{}, &stderr
		code := cli.Run(t.Context(), s)
		if got, want := stderr.String(), "gathering: the output cannot be written\n"; code != 1 || got != want {
			t.Errorf("gathering %s: exit code %d, want 1; stderr %q, want %q", strings.Join(args, " "), code, got, want)
		}
	}
	if got := strings.Count(d.run("runs", "list").exits(0).stdout, "completed"); got != 2 {
		t.Errorf("%d runs completed, want both", got)
	}
}

func TestRunInADirectoryThatIsNotThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("echo.yaml", echo)
		d.run("run", "echo.yaml", "--workspace", "nowhere").exits(2).tells("nowhere is not a directory")
		d.run("run", "echo.yaml", "--workspace", "echo.yaml").exits(2).tells("echo.yaml is not a directory")
		if _, err := os.Stat(filepath.Join(d.dir, "data")); err == nil {
			t.Error("a run that cannot begin left a database behind")
		}
	})
}

func TestRunThatWaitsForAHuman(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		// A call whose outcome nobody knows: the server takes the request and hangs up.
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
		}))
		t.Cleanup(server.Close)
		d.env["GATHERING_ALLOW_PRIVATE_NETWORKS"] = "127.0.0.1/32"
		d.file("ask.yaml", fmt.Sprintf(`name: ask
nodes:
  start: {kind: trigger}
  call: {kind: action, needs: [start], action: call_api, with: {method: POST, url: "%s", body: {order: 7}}}
`, server.URL))
		d.file("above.yaml", `name: above
nodes:
  start: {kind: trigger}
  ask: {kind: action, needs: [start], action: execute_pipeline, with: {pipeline: ./ask.yaml}}
`)
		r := d.run("run", "ask.yaml", "--json").exits(3).tells("waits for a human: call may have acted and nobody can tell")
		report := r.report()
		if report.State != gathering.RunWaiting {
			t.Errorf("state %s, want waiting", report.State)
		}
		d.run("run", "above.yaml").exits(3).tells("waits for a human: ask/call may have")
		d.run("runs", "resume").exits(3).says("a human: call may have acted", "a human: ask/call may have acted")
		d.run("runs", "cancel", string(report.Run)).exits(0).says(string(report.Run) + " cancelled")
		d.run("runs", "list", "--state", "cancelled").exits(0).says(string(report.Run))
	})
}

var runID = regexp.MustCompile(`run_[0-9a-v]{26}`)

func TestListAndShow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("echo.yaml", echo)
		d.file("below.yaml", "name: below\nnodes: {start: {kind: trigger}}\noutput: 7\n")
		d.file("above.yaml", `name: above
nodes:
  start: {kind: trigger}
  child: {kind: action, needs: [start], action: execute_pipeline, with: {pipeline: ./below.yaml}}
  bad: {kind: tool, needs: [child], tool: files.read, with: {path: "../x"}}
`)
		above := d.run("run", "above.yaml", "--project", "work", "--json").exits(1).report()
		d.run("run", "echo.yaml", "--set", "text=x", "--json").exits(0)

		list := d.run("runs", "list", "--project", "work").exits(0).says("above", "└ below", "failed", "completed")
		if ids := runID.FindAllString(list.stdout, -1); len(ids) != 2 {
			t.Errorf("want two runs of the project:\n%s", list.stdout)
		}
		if got := runID.FindAllString(d.run("runs", "list", "--state", "failed,timed_out").exits(0).stdout, -1); len(got) != 1 || got[0] != string(above.Run) {
			t.Errorf("failed runs: %v, want %s", got, above.Run)
		}
		if got := runID.FindAllString(d.run("runs", "list", "--limit", "1").exits(0).stdout, -1); len(got) != 1 {
			t.Errorf("got %v, want one run", got)
		}
		d.run("runs", "list", "--state", "waiting").exits(0).says("no runs")
		var page struct {
			Items []gathering.Run `json:"items"`
		}
		if err := json.Unmarshal([]byte(d.run("runs", "list", "--json").exits(0).stdout), &page); err != nil || len(page.Items) != 3 {
			t.Errorf("got %+v, %v, want three runs", page, err)
		}

		d.run("runs", "show", string(above.Run)).exits(0).
			says("✗ above", "✓ child", "✓ below", "✗ bad", "project   work", "bad: ", "error: ", "node bad")
		short := strings.TrimPrefix(string(above.Run), "run_")
		for _, id := range []string{short[len(short)-8:], string(above.Run)[:len(above.Run)-1]} {
			shown := d.run("runs", "show", id, "--json").exits(0).report()
			if shown.Run != above.Run || shown.Error == nil || shown.State != gathering.RunFailed {
				t.Errorf("%s: got %+v", id, shown)
			}
		}
		d.run("runs", "show", short[:5]).exits(2).tells("begins or ends the IDs of several runs")

		all := strings.Split(strings.TrimSpace(d.run("runs", "events", string(above.Run), "--json").exits(0).stdout), "\n")
		rest := strings.Split(strings.TrimSpace(d.run("runs", "events", string(above.Run), "--json", "--after", "3", "--follow").exits(0).stdout), "\n")
		if len(rest) != len(all)-3 || rest[0] != all[3] {
			t.Errorf("after 3: got %d of %d events", len(rest), len(all))
		}
		for i, line := range all {
			var e gathering.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq != int64(i+1) {
				t.Errorf("line %d: %v: %s", i+1, err, line)
			}
		}
	})
}

// TestListOfFamilies holds that children are listed below their parents, in the
// order in which they began, and that one whose parent is not listed names it.
func TestListOfFamilies(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.file("low.yaml", "name: low\nnodes: {start: {kind: trigger}}\n")
	child := func(needs, file string) string {
		return fmt.Sprintf("{kind: action, needs: [%s], action: execute_pipeline, with: {pipeline: ./%s.yaml}}", needs, file)
	}
	d.file("mid.yaml", "name: mid\nnodes:\n  start: {kind: trigger}\n  a: "+child("start", "low")+"\n")
	d.file("top.yaml", "name: top\nnodes:\n  start: {kind: trigger}\n  a: "+child("start", "mid")+"\n  b: "+child("a", "low")+"\n")
	for range 2 {
		d.run("run", "top.yaml").exits(0)
	}
	names := regexp.MustCompile(`(?m)^(run_\w+)  (.*?) +completed`)
	lines := func(args ...string) (ids, texts []string) {
		for _, line := range names.FindAllStringSubmatch(d.run(append([]string{"runs", "list"}, args...)...).exits(0).stdout, -1) {
			ids, texts = append(ids, line[1]), append(texts, line[2])
		}
		return ids, texts
	}
	ids, texts := lines()
	family := []string{"top", "└ mid", "  └ low", "└ low"}
	if want := slices.Concat(family, family); !slices.Equal(texts, want) {
		t.Fatalf("got %q, want %q", texts, want)
	}
	if ids[0] < ids[4] || ids[1] > ids[3] {
		t.Errorf("got %v, want the newest family first and the oldest child", ids)
	}
	for limit, want := range map[string][]string{
		"2": {"low of " + ids[0], "low of " + ids[1]}, "3": {"low of " + ids[0], "mid of " + ids[0], "└ low"},
	} {
		if _, got := lines("--limit", limit); !slices.Equal(got, want) {
			t.Errorf("of %s: got %q, want %q", limit, got, want)
		}
	}
}

func TestValidateTellsEveryFault(t *testing.T) {
	t.Parallel()
	broken, err := filepath.Glob("../definition/testdata/broken/*.yaml")
	if err != nil || len(broken) < 20 {
		t.Fatalf("found %d broken definitions, %v", len(broken), err)
	}
	line := regexp.MustCompile(`^.+\.yaml:[0-9]+: .+`)
	for _, file := range broken {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			r := newDesk(t).run("validate", path).exits(2)
			for text := range strings.Lines(r.stdout) {
				if !line.MatchString(text) || !strings.HasPrefix(text, path+":") {
					t.Errorf("not FILE:line: path: problem: %s", text)
				}
			}
			if r.stdout == "" {
				t.Errorf("no fault is told; stderr: %s", r.stderr)
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	d := newDesk(t).file("echo.yaml", echo)
	d.file("conf.yaml", "data: from-file\nlog_level: error\nvar: [greeting=hey]\nset: [text=you]\n")
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(d.dir, name, "gathering.db"))
		return err == nil
	}
	d.run("run", "echo.yaml", "--config", "conf.yaml").exits(0).says("hey you")
	if !exists("from-file") {
		t.Error("the file's data directory was not used")
	}
	d.env["GATHERING_CONFIG"] = "conf.yaml"
	d.env["GATHERING_DATA"] = "from-environment"
	d.run("run", "echo.yaml").exits(0).says("hey you")
	if !exists("from-environment") {
		t.Error("the environment does not go before the file")
	}
	d.run("--data=from-flag", "run", "echo.yaml").exits(0)
	d.run("runs", "list", "--data", "from-flag").exits(0).says("echo")
	if !exists("from-flag") {
		t.Error("a flag does not go before the environment")
	}
	d.file("wrong.yaml", "dat: x\n").run("version", "--config=wrong.yaml").exits(2).tells(`there is no flag "dat"`, "data")
	d.file("wrong.yaml", "a: {b: c}\n").run("version", "--config=wrong.yaml").exits(2).tells("a needs a text")
	d.file("wrong.yaml", "data: [1, 2]\n").run("version", "--config=wrong.yaml").exits(2).tells("wrong.yaml: data needs a text or a number, not a list")
	d.file("wrong.yaml", "set: [[a]]\n").run("version", "--config=wrong.yaml").exits(2).tells("wrong.yaml: set needs a text, a number or a list of them")
	d.file("wrong.yaml", "set: [2030]\n").run("run", "echo.yaml", "--config=wrong.yaml").exits(2).tells("--set takes path=value")
	d.file("wrong.yaml", "{{").run("version", "--config=wrong.yaml").exits(2).tells("wrong.yaml is not a YAML file")
	d.run("version", "--config", "none.yaml").exits(2).tells("there is no file none.yaml")
	d.run("version", "--log-format", "xml").exits(2).tells("--log-format")
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.run("migrate", "--dry-run").exits(0).says("would apply", "00001_initial.sql")
		d.run("migrate").exits(0).says("applied 00001_initial.sql")
		d.run("migrate").exits(0).says("the schema is up to date")
		d.run("migrate", "--dry-run").exits(0).says("applied      00001_initial.sql")
	})
}

func TestVersion(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.run("version").exits(0).says("gathering v1.2.3 (go1.")
	d.run("version", "--json").exits(0).says(`"version": "v1.2.3"`)
}

// watched is a writer that tells when a text has been written.
type watched struct {
	mu    sync.Mutex
	text  strings.Builder
	waits map[string]chan struct{}
}

func (w *watched) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(data)
	for want, seen := range w.waits {
		if strings.Contains(w.text.String(), want) {
			close(seen)
			delete(w.waits, want)
		}
	}
	return len(data), nil
}

// seen is closed once the text was written.
func (w *watched) seen(want string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{})
	if w.waits == nil {
		w.waits = map[string]chan struct{}{}
	}
	if strings.Contains(w.text.String(), want) {
		close(c)
	} else {
		w.waits[want] = c
	}
	return c
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// background is a command that runs beside others.
type background struct {
	stdout, stderr *watched
	signals        chan os.Signal
	ended          chan int
}

// start begins a command at the desk. Change adapts its system first.
func (d *desk) start(change func(*cli.System), args ...string) *background {
	d.t.Helper()
	b := &background{&watched{}, &watched{}, make(chan os.Signal, 4), make(chan int, 1)}
	s := d.system(args)
	s.Stdout, s.Stderr, s.Signals = b.stdout, b.stderr, b.signals
	if change != nil {
		change(&s)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.ended <- cli.Run(ctx, s)
	}()
	d.t.Cleanup(func() { cancel(); <-done })
	return b
}

package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gathering"
	"gathering/internal/cli"
	"gathering/internal/store/storetest"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func (d *desk) await(what string, c <-chan struct{}, b *background) {
	d.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		d.t.Fatalf("waited in vain for %s\nstdout:\n%s\nstderr:\n%s", what, b.stdout, b.stderr)
	}
}

func (d *desk) end(b *background, want int) {
	d.t.Helper()
	select {
	case got := <-b.ended:
		if got != want {
			d.t.Errorf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", got, want, b.stdout, b.stderr)
		}
	case <-time.After(patience):
		d.t.Fatalf("it does not end\nstdout:\n%s\nstderr:\n%s", b.stdout, b.stderr)
	}
}

const nap = `name: nap
nodes:
  start: {kind: trigger}
  nap: {kind: delay, needs: [start], for: 1h}
  after: {kind: tool, needs: [nap], tool: time.now}
`

func TestInterrupt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("nap.yaml", nap)
		b := d.start(nil, "run", "nap.yaml")
		d.await("the delay", b.stdout.seen("nap  waits"), b)
		b.signals <- syscall.SIGINT
		d.end(b, 130)
		if got := b.stderr.String(); !strings.Contains(got, "cancelling run_") {
			t.Errorf("stderr: %s", got)
		}
		d.run("runs", "list").exits(0).says("cancelled")
	})
}

func TestTerminateLeavesTheRunForLater(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("nap.yaml", nap)
		b := d.start(nil, "run", "nap.yaml", "--json")
		d.await("the run", d.listed("waiting"), b)
		b.signals <- syscall.SIGTERM
		d.end(b, 143)
		if got := b.stderr.String(); !strings.Contains(got, "left run_") || !strings.Contains(got, "gathering runs resume") {
			t.Errorf("stderr: %s", got)
		}
		if report := (result{t: t, stdout: b.stdout.String()}).report(); report.State != gathering.RunWaiting {
			t.Errorf("state %s, want waiting", report.State)
		}
		d.run("runs", "resume").exits(0).says("nap: waits until ")
	})
}

// listed is closed once a run of the state is listed.
func (d *desk) listed(state string) <-chan struct{} {
	seen := make(chan struct{})
	go func() {
		for ticker := time.NewTicker(20 * time.Millisecond); ; <-ticker.C {
			r := d.run("runs", "list", "--state", state)
			if runID.MatchString(r.stdout) {
				close(seen)
				return
			}
			if d.t.Context().Err() != nil {
				return
			}
		}
	}()
	return seen
}

func TestResumeStopsWhenTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t).file("nap.yaml", nap)
	b := d.start(nil, "run", "nap.yaml")
	d.await("the delay", b.stdout.seen("nap  waits"), b)
	b.signals <- syscall.SIGTERM
	d.end(b, 143)
	b = d.start(nil, "runs", "resume", "--wait", "2h")
	d.await("the holder", holds(t, d.dir), b)
	b.signals <- syscall.SIGINT
	d.end(b, 130)
}

// holds is closed once somebody listens on the control socket.
func holds(t *testing.T, dir string) <-chan struct{} {
	t.Helper()
	seen := make(chan struct{})
	go func() {
		for ticker := time.NewTicker(10 * time.Millisecond); t.Context().Err() == nil; <-ticker.C {
			if _, err := os.Stat(filepath.Join(dir, "data", "control.sock")); err == nil {
				close(seen)
				return
			}
		}
	}()
	return seen
}

func TestCancelOfWhatAnotherWorksOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("nap.yaml", nap)
		b := d.start(nil, "run", "nap.yaml")
		d.await("the delay", b.stdout.seen("nap  waits"), b)
		id := runID.FindString(b.stdout.String())
		if d.env["GATHERING_DATABASE_URL"] == "" {
			d.run("run", "nap.yaml").exits(1).tells("the data directory is held by pid", "gathering run nap.yaml")
			d.run("runs", "resume").exits(1).tells("the data directory is held by pid")
		}
		d.run("runs", "show", id).exits(0).says("waiting")
		d.run("runs", "cancel", id[len(id)-10:]).exits(0).says(id + " cancelled")
		d.end(b, 130)
	})
}

func TestCancelWhereNobodyListens(t *testing.T) {
	t.Parallel()
	d := newDesk(t).file("nap.yaml", nap)
	b := d.start(nil, "run", "nap.yaml")
	d.await("the delay", b.stdout.seen("nap  waits"), b)
	if err := os.Remove(filepath.Join(d.dir, "data", "control.sock")); err != nil {
		t.Fatal(err)
	}
	id := runID.FindString(b.stdout.String())
	d.run("runs", "cancel", id).exits(1).tells("the process that holds the data directory cannot be reached")
	b.signals <- syscall.SIGINT
	d.end(b, 130)
}

func TestRunsItStartedWithoutWaiting(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.file("below.yaml", "name: below\nnodes:\n  start: {kind: trigger}\n  now: {kind: tool, needs: [start], tool: time.now}\n")
	d.file("above.yaml", `name: above
nodes:
  start: {kind: trigger}
  child: {kind: action, needs: [start], action: execute_pipeline, with: {pipeline: ./below.yaml, wait: false}}
`)
	d.run("run", "above.yaml").exits(0)
	if got := strings.Count(d.run("runs", "list", "--state", "completed").stdout, "completed"); got != 2 {
		t.Errorf("%d runs completed, want both", got)
	}
}

func TestLiveTree(t *testing.T) {
	t.Parallel()
	d := newDesk(t).file("nap.yaml", nap)
	b := d.start(func(s *cli.System) { s.Terminal = func() (int, int) { return 60, 20 } }, "run", "nap.yaml")
	d.await("the tree", b.stdout.seen("waiting"), b)
	b.signals <- syscall.SIGINT
	d.end(b, 130)
	out := b.stdout.String()
	if !strings.Contains(out, "\x1b[?25l") || !strings.HasSuffix(strings.TrimRight(out, "\r\n"), "\x1b[?25h") {
		t.Errorf("the cursor is not hidden and given back: %q", out)
	}
	last := out[strings.LastIndex(out, "\x1b[?2026h"):]
	for _, want := range []string{"nap", "after", "cancelled", "skipped", "\x1b[33m"} {
		if !strings.Contains(last, want) {
			t.Errorf("the last frame lacks %q: %q", want, last)
		}
	}
	d.env["NO_COLOR"] = "1"
	d.file("echo.yaml", echo)
	b = d.start(func(s *cli.System) { s.Terminal = func() (int, int) { return 60, 20 } }, "run", "echo.yaml", "--set", "text=x")
	d.end(b, 0)
	if strings.Contains(b.stdout.String(), "\x1b[3") {
		t.Errorf("colours despite NO_COLOR: %q", b.stdout)
	}
}

// repository is a git repository with a few commits.
func repository(t *testing.T, commits int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Größe 日本")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Ada", "-c", "user.email=a@b"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("README.md", "# The project\n\nThis project keeps bees. It counts them every morning. Nobody is stung.\n")
	write("LICENSE", "Free.\n")
	write("CHANGELOG.md", "# Changes\n\nTODO: write them.\n")
	git("init", "-q", ".")
	for i := range commits {
		area := []string{"src/bees", "docs", "src/hives"}[i%3]
		write(filepath.Join(area, "file.txt"), strings.Repeat("line\n", i+1))
		git("add", "-A")
		git("commit", "-q", "-m", "Add things to "+area+" <now>")
	}
	return dir
}

func TestDemo(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	files := t.TempDir()
	for name, text := range map[string]string{"notes.txt": "a", "bild ü.png": "\x00\x01", "README": "\x00\xff binary"} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, dir string
		want      []string
		not       string
	}{
		{"many commits", repository(t, 15), []string{"# The project", "15 commits by Ada", "## What it is", "keeps bees", "## Changes by area", "### `src/bees`", "5 commits", "&lt;now>", "offline/extract"}, "## Kinds of files"},
		{"few commits", repository(t, 2), []string{"2 commits by Ada", "## Changes\n", "- Add things to src/bees"}, "by area"},
		{"no commit", repository(t, 0), []string{"No git history here", "3 files", "keeps bees"}, "## Changes"},
		{"no repository", files, []string{"No git history here", "3 files", "| .png | 1 |", "`bild ü.png`"}, "## What it is"},
		{"nothing", empty, []string{"The directory is empty."}, "## "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			r := d.run("demo", test.dir).exits(0).says("which picks sentences and is no language model",
				"gathering runs show run_", "gathering runs events run_", "gathering runs list")
			_, path, _ := strings.Cut(r.stdout, "The whole document: ")
			path, _, _ = strings.Cut(path, "\n")
			if !strings.HasPrefix(path, filepath.Join(d.dir, "data", "out")+string(filepath.Separator)) {
				t.Errorf("the document is at %q", path)
			}
			document, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(string(document), want) {
					t.Errorf("the document lacks %q:\n%s", want, document)
				}
			}
			if strings.Contains(string(document), test.not) {
				t.Errorf("the document holds %q:\n%s", test.not, document)
			}
			d.run("runs", "list", "--project", "demo").exits(0).says("demo", "completed")
			d.run("runs", "list", "--project", "default").exits(0).says("no runs")
		})
	}
}

// TestDemoSaysWhere holds that the commands to go on with lead to the database
// that was given, and tell no password.
func TestDemoSaysWhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := newDesk(t)
	d.env["GATHERING_DATA"] = "data"
	where := filepath.Join(d.dir, "it's here")
	d.run("demo", dir, "--data", "it's here").exits(0).says("gathering runs list --data '" + strings.ReplaceAll(where, "'", `'\''`) + "'\n")

	u, err := url.Parse(storetest.PostgreSQL(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	d.run("demo", dir, "--database", u.String()).exits(0).says("gathering runs list --database '" + u.String() + "'\n")
	u.User = url.UserPassword(u.User.Username(), "secret")
	if r := d.run("demo", dir, "--database", u.String()).exits(0).says(" --database 'postgres://"); strings.Contains(r.stdout, "secret") {
		t.Errorf("the password is told:\n%s", r.stdout)
	}
	d.env["GATHERING_DATABASE_URL"] = u.String()
	d.run("demo", dir).exits(0).says("gathering runs list\n")
}

func TestDemoWithAModel(t *testing.T) {
	t.Parallel()
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop",`+
			`"message":{"role":"assistant","content":"Written by a model."}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
	}))
	t.Cleanup(answering.Close)
	dir := repository(t, 5)
	tests := []struct {
		name, url string
		args      []string
		says      []string
	}{
		{"that answers", answering.URL, nil, []string{"because OPENAI_API_KEY is set", "Written by a model.", "Summaries by openai/"}},
		{"that is named", answering.URL, []string{"--model", "openai/some-model"}, []string{"summaries by openai/some-model", "Summaries by openai/some-model."}},
		{"that cannot be reached", "http://127.0.0.1:1", nil, []string{"because OPENAI_API_KEY is set", "about_extracted  completed", "keeps bees", "Summaries by offline/extract"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.env["OPENAI_API_KEY"], d.env["OPENAI_BASE_URL"] = "secret-key", test.url
			r := d.run(append([]string{"demo", dir}, test.args...)...).exits(0)
			_, path, _ := strings.Cut(r.stdout, "The whole document: ")
			path, _, _ = strings.Cut(path, "\n")
			document, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r.stdout += string(document)
			r.says(test.says...)
			if strings.Contains(r.stdout+r.stderr, "secret-key") {
				t.Error("the key is told")
			}
		})
	}
	newDesk(t).run("demo", dir, "--model", "nobody/nothing").exits(2).tells("there is no such model provider")
}

func TestExamples(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file string
		args []string
		want []string
	}{
		{"changelog.yaml", nil, []string{"# Changelog", "## Added", "- Add things to docs"}},
		{"changelog.yaml", []string{"--set", "since=HEAD~2", "--var", "limit=1"}, []string{"# Changelog", "- Add things"}},
		{"triage.yaml", []string{"--set", "text=Production is down since 9:00! Please call me."}, []string{`"to": "on-call"`, "Production is down"}},
		{"triage.yaml", []string{"--set", "text=How do I change my picture?"}, []string{`"to": "desk"`}},
		{"documents.yaml", nil, []string{`"documents": 2`, `"CHANGELOG.md:3"`}},
		{"fallback.yaml", nil, []string{"attempt 3", `"by": "offline/extract"`, "There is no note."}},
		{"release.yaml", []string{"--set", "wait=20ms"}, []string{"licence/look  completed", "Everything is there."}},
		{"digest.yaml", nil, []string{"texts[2]  failed", "README.md: This project keeps bees.", `"left_out": [`, `"broken.md"`}},
		{"first-answer.yaml", []string{"--set", "text=It counts bees."}, []string{"limit  cancelled", `"text": "It counts bees."`}},
		{"release-check.yaml", []string{"--set", "what=a readme", "--set", "glob=NOTHING*"}, []string{`"there": false`}},
	}
	tried := map[string]bool{}
	for _, test := range tests {
		tried[test.file] = true
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			data, workspace := d.dir, repository(t, 4)
			if test.file == "digest.yaml" {
				d.dir = workspace
				d.file("broken.md", "\xff\xfe is no text")
			}
			d.dir = root
			args := append([]string{"run", "examples/" + test.file, "--data", data, "--workspace", workspace}, test.args...)
			d.run(args...).exits(0).says(test.want...)
		})
	}
	files, err := filepath.Glob(filepath.Join(root, "examples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !tried[filepath.Base(file)] {
			t.Errorf("%s is run by no test", file)
		}
	}
}

package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/definition"
	"gathering/internal/run"
	"gathering/internal/store/storetest"
	"gathering/internal/tool"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// patience bounds every wait of these tests; it is never waited out.
const patience = 30 * time.Second

// each runs fn with the options of a fresh database of either kind.
func each(t *testing.T, fn func(t *testing.T, o app.Options)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, app.Options{Data: storetest.SQLite(t).Dir})
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		fn(t, app.Options{Data: t.TempDir(), Database: storetest.PostgreSQL(t).URL})
	})
}

func open(t *testing.T, o app.Options) *app.App {
	t.Helper()
	a, err := app.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return a
}

func work(t *testing.T, a *app.App) *run.Worker {
	t.Helper()
	w, err := a.Runs.Work(t.Context(), run.WorkerOptions{Drain: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

const mainFile = `name: digest
vars: {title: Digest}
input_schema: {type: object, required: [text], properties: {text: {type: string}}}
agents: {reader: {model: offline/extract}}
nodes:
  start: {kind: trigger}
  read: {kind: agent, needs: [start], agent: reader, task: "Summarise the following text:\n${{ input.text }}"}
  file: {kind: pipeline, needs: [read], pipeline: ./archive.yaml, input: {text: "${{ nodes.read.output.text }}"}}
  wait: {kind: delay, needs: [start], for: 20ms}
output: {title: "${{ vars.title }}", text: "${{ nodes.read.output.text }}", filed: "${{ nodes.file.output }}"}
`

const childFile = `name: archive
nodes:
  start: {kind: trigger}
  count: {kind: transform, needs: [start], set: {letters: "${{ size(input.text) > 0 }}"}}
output: "${{ nodes.count.output.letters }}"
`

// files writes the two files and returns the path of the first.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"digest.yaml": mainFile, "archive.yaml": childFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "digest.yaml")
}

const story = `{"text":"The bridge was closed on Monday. Engineers found a crack in the second pier of the bridge. The bridge will open again when the pier is repaired."}`

func save(t *testing.T, a *app.App) gathering.Pipeline {
	t.Helper()
	p, err := a.SaveFile(t.Context(), gathering.DefaultProject, files(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func start(t *testing.T, a *app.App, p gathering.Pipeline) gathering.RunID {
	t.Helper()
	r, err := a.Start(t.Context(), p, run.New{
		Input: json.RawMessage(story), Vars: map[string]json.RawMessage{"title": json.RawMessage(`"News"`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// end waits for a run's last event.
func end(t *testing.T, a *app.App, id gathering.RunID) gathering.EventType {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last gathering.EventType
	for e, err := range a.Runs.Watch(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		last = e.Type
	}
	return last
}

// wantDigest holds that the run did what its file says.
func wantDigest(t *testing.T, a *app.App, id gathering.RunID) {
	t.Helper()
	if got := end(t, a, id); got != gathering.EventRunCompleted {
		t.Errorf("the run ended with %s", got)
	}
	report, err := a.Runs.Report(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var output struct {
		Title string `json:"title"`
		Text  string `json:"text"`
		Filed bool   `json:"filed"`
	}
	if err := json.Unmarshal(report.Output, &output); err != nil {
		t.Fatalf("%v: %+v", err, report)
	}
	if output.Title != "News" || !output.Filed || !strings.Contains(output.Text, "bridge") {
		t.Errorf("got %+v, want the text's sentences under the title of this run, filed", output)
	}
	for _, n := range report.Nodes {
		if n.State != gathering.NodeCompleted || n.Attempts != 1 {
			t.Errorf("%s is %s after %d attempts: %+v", n.ID, n.State, n.Attempts, n.Error)
		}
	}
	if report.Usage.ModelCalls != 1 {
		t.Errorf("got %d model calls, want 1", report.Usage.ModelCalls)
	}
}

func TestFromFileToEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o app.Options) {
		a := open(t, o)
		p := save(t, a)
		if p.Name != "digest" || p.Published != 1 {
			t.Errorf("got %+v, want version 1 of digest: the file that was asked for", p)
		}
		work(t, a)
		wantDigest(t, a, start(t, a, p))
	})
}

// TestWhatIsAcceptedOutlivesTheProcess starts a run where nobody works, and
// has another opening of the same data do it.
func TestWhatIsAcceptedOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o app.Options) {
		a, err := app.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		p := save(t, a)
		id := start(t, a, p)
		for range 2 {
			if err := a.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := a.Start(t.Context(), p, run.New{Input: json.RawMessage(story)}); err == nil {
			t.Error("a run was accepted after the end")
		}

		a = open(t, o)
		if again := save(t, a); again != p {
			t.Errorf("got %+v from saving the same file again, want %+v", again, p)
		}
		work(t, a)
		wantDigest(t, a, id)
	})
}

func TestStopAndGoOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o app.Options) {
		a := open(t, o)
		first := work(t, a)
		ids := make([]gathering.RunID, 5)
		p := save(t, a)
		for i := range ids {
			ids[i] = start(t, a, p)
		}
		first.Stop()
		first.Stop()
		work(t, a)
		for _, id := range ids {
			wantDigest(t, a, id)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o app.Options) {
		a := open(t, o)
		p := save(t, a)
		tests := []struct {
			name  string
			of    gathering.Pipeline
			n     run.New
			kind  gathering.Kind
			field string
		}{
			{"an input of another type", p, run.New{Input: json.RawMessage(`{"text":7}`)}, gathering.KindInvalid, "input.text"},
			{"an input without what is needed", p, run.New{Input: json.RawMessage(`{}`)}, gathering.KindInvalid, "input.text"},
			{"no input", p, run.New{}, gathering.KindInvalid, "input"},
			{"an input that is no JSON", p, run.New{Input: json.RawMessage(`{"text":`)}, gathering.KindInvalid, "input"},
			{"an unknown var", p, run.New{Input: json.RawMessage(story), Vars: map[string]json.RawMessage{"titel": json.RawMessage(`1`)}}, gathering.KindInvalid, "vars.titel"},
			{"a var that is no JSON", p, run.New{Input: json.RawMessage(story), Vars: map[string]json.RawMessage{"title": json.RawMessage(`x`)}}, gathering.KindInvalid, "vars.title"},
			{"an unknown pipeline", gathering.Pipeline{ID: "pip_none", Published: 1}, run.New{}, gathering.KindInvalid, "version"},
			{"an unknown version", gathering.Pipeline{ID: p.ID, Published: 9}, run.New{}, gathering.KindInvalid, "version"},
		}
		for _, test := range tests {
			_, err := a.Start(t.Context(), test.of, test.n)
			var fields []string
			if e, ok := errors.AsType[*gathering.Error](err); ok {
				for _, f := range e.Fields {
					fields = append(fields, f.Field)
				}
			}
			var want []string
			if test.field != "" {
				want = []string{test.field}
			}
			if diff := cmp.Diff(want, fields); diff != "" || gathering.KindOf(err) != test.kind {
				t.Errorf("%s: got %v, want %s (-want +got fields):\n%s", test.name, err, test.kind, diff)
			}
		}
		runs, err := a.Runs.Runs(t.Context(), gathering.RunFilter{})
		if err != nil || len(runs) != 0 {
			t.Errorf("got %d runs, %v, want none: all were refused", len(runs), err)
		}
	})
}

func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o app.Options) {
		a := open(t, o)
		tests := map[string]string{ // a node, and what is wrong with it
			`{kind: tool, needs: [start], tool: files.reed, with: {path: x}}`:                        `nodes.a.tool: there is no tool "files.reed" (did you mean "files.read"?)`,
			`{kind: agent, needs: [start], model: openai/gpt-5, task: x}`:                            `nodes.a.model: this model cannot be used`,
			`{kind: agent, needs: [start], agent: nobody, task: x}`:                                  `nodes.a.agent: there is no agent "nobody"`,
			`{kind: pipeline, needs: [start], pipeline: nothing}`:                                    `nodes.a.pipeline: there is no pipeline "nothing"`,
			`{kind: pipeline, needs: [start], pipeline: ./a.yaml}`:                                   `nodes.a.pipeline: a file can be named only where definitions are loaded from files`,
			`{kind: action, needs: [start], action: call_api, with: {url: 7}}`:                       `nodes.a.with.url: must be a string`,
			`{kind: action, needs: [start], action: send_notification, with: {text: "hello there"}}`: `there is no tool "notify.send"`,
		}
		for node, want := range tests {
			_, err := a.Save(t.Context(), gathering.DefaultProject, []byte("name: x\nnodes:\n  start: {kind: trigger}\n  a: "+node+"\n"))
			faults, _ := errors.AsType[definition.Faults](err)
			if len(faults) != 1 || !strings.Contains(faults[0].Text("x.yaml"), want) {
				t.Errorf("%s\n\tgot %v, want %q", node, err, want)
			}
		}
		if _, err := a.Pipelines.ByName(t.Context(), gathering.DefaultProject, "x"); gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("got %v, want nothing stored", err)
		}
	})
}

func TestSavedPipelinesKnowOneAnother(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o app.Options) {
		a := open(t, o)
		if _, err := a.Save(t.Context(), gathering.DefaultProject, []byte(childFile)); err != nil {
			t.Fatal(err)
		}
		const parent = "name: parent\nnodes:\n  start: {kind: trigger}\n  sub: {kind: pipeline, needs: [start], pipeline: archive, input: {text: x}}\noutput: \"${{ nodes.sub.output }}\"\n"
		p, err := a.Save(t.Context(), gathering.DefaultProject, []byte(parent))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Save(t.Context(), "other", []byte(parent)); gathering.KindOf(err) != gathering.KindInvalid {
			t.Errorf("got %v in a project without that pipeline, want invalid", err)
		}
		work(t, a)
		r, err := a.Start(t.Context(), p, run.New{})
		if err != nil {
			t.Fatal(err)
		}
		end(t, a, r.ID)
		report, err := a.Runs.Report(t.Context(), r.ID)
		if err != nil || string(report.Output) != "true" {
			t.Errorf("got %s, %v, want the child's output", report.Output, err)
		}
	})
}

func TestDirectoryIsHeld(t *testing.T) {
	t.Parallel()
	o := app.Options{Data: filepath.Join(t.TempDir(), "data"), Command: "the first one"}
	holder := open(t, o)
	p := save(t, holder)
	id := start(t, holder, p)

	_, err := app.Open(t.Context(), o)
	if gathering.CodeOf(err) != gathering.CodeDirectoryHeld || !strings.Contains(err.Error(), "the first one") {
		t.Errorf("got %v, want the directory held by the first one", err)
	}

	beside := o
	beside.ReadOnly = true
	reader := open(t, beside)
	if got, err := reader.Pipelines.ByName(t.Context(), gathering.DefaultProject, "digest"); err != nil || got != p {
		t.Errorf("got %+v, %v beside the holder, want %+v", got, err, p)
	}
	if got, err := reader.Runs.Run(t.Context(), id); err != nil || got.State != gathering.RunQueued {
		t.Errorf("got %+v, %v beside the holder, want the queued run", got, err)
	}
	if _, err := reader.Save(t.Context(), gathering.DefaultProject, []byte(childFile+"description: more\n")); err == nil {
		t.Error("a reader wrote")
	}
	if _, err := reader.Start(t.Context(), p, run.New{Input: json.RawMessage(story)}); err == nil {
		t.Error("a reader started a run")
	}

	work(t, holder)
	wantDigest(t, holder, id)
	wantDigest(t, reader, id)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken, err := tool.New(gathering.ToolSpec{Name: "files.read", Description: "Reads otherwise."},
		func(context.Context, tool.Call, struct{}) (struct{}, error) { return struct{}{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]app.Options{
		"a tool's name that is taken":          {Data: dir, Tools: []tool.Tool{taken}},
		"a directory that is a file":           {Data: file},
		"a database that is none":              {Data: dir, Database: "mysql://localhost/x"},
		"a directory to read that has nothing": {Data: filepath.Join(dir, "none"), ReadOnly: true},
	} {
		if a, err := app.Open(t.Context(), o); err == nil {
			t.Errorf("%s: it was opened", name)
			_ = a.Close()
		}
	}
	open(t, app.Options{Data: dir}) // nothing holds it
}

func TestCheckFileNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	def, err := app.CheckFile(t.Context(), app.Options{Data: data}, files(t))
	if err != nil || def.Name != "digest" {
		t.Errorf("got %v, %v, want digest", def, err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no data directory made", err)
	}
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("name: x\nnodes: {a: {kind: trigger}, b: {kind: trigger}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = app.CheckFile(t.Context(), app.Options{Data: data}, broken)
	if _, ok := errors.AsType[definition.Faults](err); !ok {
		t.Errorf("got %v, want the file's faults", err)
	}
}

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/pipeline"
)

// checker knows three kinds of node, which is enough to refer to files.
func checker() *definition.Checker {
	return &definition.Checker{
		Kinds: []definition.Kind{
			{Name: "trigger", Summary: "where a run begins"},
			{Name: "pipeline", Summary: "runs another pipeline", MaxIn: -1, Fields: []definition.Field{
				{Name: "pipeline", Type: definition.FieldPipeline, Required: true, Summary: "the pipeline to run"},
			}},
			{Name: "map", Summary: "does one thing for each item", MaxIn: -1, Fields: []definition.Field{
				{Name: "do", Type: definition.FieldNode, Required: true, Summary: "one node"},
			}},
		},
		Pipeline: func(name string) bool { return name == "stored" },
	}
}

// refers is a pipeline file with a node for each pipeline or file it refers to.
func refers(name string, to ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nnodes:\n  start: {kind: trigger}\n", name)
	for i, path := range to {
		fmt.Fprintf(&b, "  n%d: {kind: pipeline, needs: [start], pipeline: %s}\n", i, path)
	}
	return b.String()
}

// lay writes files below a fresh directory and returns it.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// saved are the names that a load stored, in their order.
type saved []string

func (s *saved) files() pipeline.Files {
	return pipeline.Files{Checker: checker(), Save: func(_ context.Context, def *gathering.Definition) error {
		*s = append(*s, def.Name)
		return nil
	}}
}

func TestFilesLoadTheirChildrenFirst(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{
		"main.yaml":         refers("main", "./sub/a.yaml", "b.json", "stored", "./sub/../b.json"),
		"sub/a.yaml":        refers("a", "../b.json", "./deeper/c.YML"),
		"sub/deeper/c.YML":  refers("c", "../../b.json"),
		"b.json":            `{"name": "b", "nodes": {"start": {"kind": "trigger"}}}`,
		"sub/unrelated.txt": "",
	})
	var s saved
	files := s.files()
	def, err := files.Load(t.Context(), filepath.Join(dir, "main.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(saved{"b", "c", "a", "main"}, s); diff != "" {
		t.Errorf("saved (-want +got): children first, each once\n%s", diff)
	}
	var got []string
	for _, n := range def.Nodes[1:] {
		got = append(got, string(n.Config["pipeline"]))
	}
	if diff := cmp.Diff([]string{`"a"`, `"b"`, `"stored"`, `"b"`}, got); diff != "" {
		t.Errorf("references (-want +got): a file's is its pipeline's name\n%s", diff)
	}
	files.Save = nil
	if only, err := files.Load(t.Context(), filepath.Join(dir, "main.yaml")); err != nil || only.Name != "main" {
		t.Errorf("got %v, %v from a check alone", only, err)
	}
}

func TestFilesOfAMap(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{
		"main.yaml": "name: main\nnodes:\n  start: {kind: trigger}\n" +
			"  each: {kind: map, needs: [start], do: {kind: pipeline, pipeline: ./a.yaml}}\n",
		"a.yaml": refers("of-an-item"),
	})
	var s saved
	files := s.files()
	def, err := files.Load(t.Context(), filepath.Join(dir, "main.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(saved{"of-an-item", "main"}, s); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	if got, want := string(def.Nodes[1].Config["do"]), `{"kind":"pipeline","pipeline":"of-an-item"}`; got != want {
		t.Errorf("the map does %s, want %s", got, want)
	}
	_, err = files.Load(t.Context(), filepath.Join(lay(t, map[string]string{
		"main.yaml": "name: main\nnodes:\n  start: {kind: trigger}\n" +
			"  each:\n    kind: map\n    needs: [start]\n    do: {kind: pipeline, pipeline: ./main.yaml}\n",
	}), "main.yaml"))
	if err == nil || !strings.Contains(err.Error(), "nodes.each.do.pipeline") || !strings.Contains(err.Error(), "refer to one another") {
		t.Errorf("got %v for a file that refers to itself, want a fault of nodes.each.do.pipeline", err)
	}
}

// TestFilesThatShareFiles has a ladder of files, each of which refers to the
// next one three times: without care that is 3^30 loads.
func TestFilesThatShareFiles(t *testing.T) {
	t.Parallel()
	const rungs = 30
	files := map[string]string{fmt.Sprintf("f%d.yaml", rungs): refers(fmt.Sprintf("p%d", rungs))}
	broken := map[string]string{fmt.Sprintf("f%d.yaml", rungs): "name: 7"}
	for i := range rungs {
		next := fmt.Sprintf("f%d.yaml", i+1)
		text := refers(fmt.Sprintf("p%d", i), next, "./"+next, next)
		files[fmt.Sprintf("f%d.yaml", i)], broken[fmt.Sprintf("f%d.yaml", i)] = text, text
	}
	var s saved
	loader := s.files()
	if _, err := loader.Load(t.Context(), filepath.Join(lay(t, files), "f0.yaml")); err != nil {
		t.Fatal(err)
	}
	if len(s) != rungs+1 {
		t.Errorf("%d pipelines were saved, want %d, each once", len(s), rungs+1)
	}
	s = nil
	if _, err := loader.Load(t.Context(), filepath.Join(lay(t, broken), "f0.yaml")); err == nil || s != nil {
		t.Errorf("got %v, saved %v from files of which the last is broken", err, s)
	}
}

func TestFilesRefuse(t *testing.T) {
	t.Parallel()
	outside := lay(t, map[string]string{"secret.yaml": refers("secret")})
	tests := []struct {
		name  string
		files map[string]string
		links map[string]string // path to target
		load  string            // default main.yaml
		kind  gathering.Kind
		want  []string // parts of the error
	}{
		{
			name: "a file that is not there", load: "none.yaml",
			kind: gathering.KindNotFound, want: []string{"there is no file none.yaml"},
		},
		{
			name: "a directory that is not there", load: "none/main.yaml",
			kind: gathering.KindNotFound, want: []string{"there is no file"},
		},
		{
			name: "a directory", files: map[string]string{"d.yaml/x": ""}, load: "d.yaml",
			kind: gathering.KindInvalid, want: []string{"d.yaml is not a file"},
		},
		{
			name: "a file below a file", files: map[string]string{"main.yaml": refers("main", "main.yaml/x.yaml")},
			kind: gathering.KindInvalid, want: []string{"nodes.n0.pipeline", "not a directory"},
		},
		{
			name: "a loop of links", links: map[string]string{"main.yaml": "other.yaml", "other.yaml": "main.yaml"},
			kind: gathering.KindInvalid, want: []string{"main.yaml cannot be read", "too many levels of symbolic links"},
		},
		{
			name: "a file that is too large", files: map[string]string{"main.yaml": strings.Repeat("# long\n", 700_000)},
			kind: gathering.KindTooLarge, want: []string{"main.yaml is over the limit of 4194304 bytes"},
		},
		{
			name: "a child that is not there", files: map[string]string{"main.yaml": refers("main", "./none.yaml")},
			kind: gathering.KindInvalid, want: []string{"nodes.n0.pipeline", "there is no file none.yaml"},
		},
		{
			name: "a child that is a directory", files: map[string]string{"main.yaml": refers("main", "d.yaml"), "d.yaml/x": ""},
			kind: gathering.KindInvalid, want: []string{"d.yaml is not a file"},
		},
		{
			name: "a way out", files: map[string]string{"main.yaml": refers("main", "../"+filepath.Base(outside)+"/secret.yaml")},
			kind: gathering.KindInvalid, want: []string{"nodes.n0.pipeline", "path escapes from parent"},
		},
		{
			name: "a way out from below", files: map[string]string{"main.yaml": refers("main", "sub/a.yaml"), "sub/a.yaml": refers("a", "../../x.yaml")},
			kind: gathering.KindInvalid, want: []string{"sub/a.yaml has faults of its own", "sub/a.yaml:4: nodes.n0.pipeline", "path escapes from parent"},
		},
		{
			name: "an absolute path", files: map[string]string{"main.yaml": refers("main", filepath.Join(outside, "secret.yaml"))},
			kind: gathering.KindInvalid, want: []string{"there is no file"},
		},
		{
			name: "a link that leads out", files: map[string]string{"main.yaml": refers("main", "link.yaml")},
			links: map[string]string{"link.yaml": filepath.Join(outside, "secret.yaml")},
			kind:  gathering.KindInvalid, want: []string{"path escapes from parent"},
		},
		{
			name: "a directory's link that leads out", files: map[string]string{"main.yaml": refers("main", "link/secret.yaml")},
			links: map[string]string{"link": outside},
			kind:  gathering.KindInvalid, want: []string{"path escapes from parent"},
		},
		{
			name: "itself", files: map[string]string{"main.yaml": refers("main", "./sub/../main.yaml"), "sub/x": ""},
			kind: gathering.KindInvalid, want: []string{"the files refer to one another: main.yaml → main.yaml"},
		},
		{
			name: "a circle", files: map[string]string{
				"main.yaml": refers("main", "a.yaml"), "a.yaml": refers("a", "sub/b.yaml"), "sub/b.yaml": refers("b", "../a.yaml"),
			},
			kind: gathering.KindInvalid, want: []string{"a.yaml → sub/b.yaml → a.yaml"},
		},
		{
			name: "a child with faults", files: map[string]string{"main.yaml": refers("main", "a.yaml"), "a.yaml": "name: a\nnodes:\n  start: {kind: trigger, colour: red}\n"},
			kind: gathering.KindInvalid, want: []string{"nodes.n0.pipeline", "a.yaml has faults of its own, such as a.yaml:3: nodes.start.colour"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := lay(t, test.files)
			for path, target := range test.links {
				if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
					t.Fatal(err)
				}
			}
			if test.load == "" {
				test.load = "main.yaml"
			}
			var s saved
			files := s.files()
			def, err := files.Load(t.Context(), filepath.Join(dir, test.load))
			if def != nil || gathering.KindOf(err) != test.kind {
				t.Fatalf("got %v, %v, want an error of kind %s", def, err, test.kind)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %q, want %q in it", err, part)
				}
			}
			if len(s) > 0 && strings.Contains(test.name, "out") {
				t.Errorf("%v was saved", s)
			}
		})
	}
}

func TestFaultsOfTheFileItself(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{"main.yaml": "name: main\nnodes:\n  start: {kind: trigger}\n  a: {kind: pipeline, needs: [start]}\n  b: {kind: nothing, needs: [start]}\n"})
	files := pipeline.Files{Checker: checker()}
	_, err := files.Load(t.Context(), filepath.Join(dir, "main.yaml"))
	faults, ok := errors.AsType[definition.Faults](err)
	if !ok || len(faults) != 2 || faults[0].Line != 4 || faults[1].Line != 5 {
		t.Errorf("got %v, want the faults of lines 4 and 5", err)
	}
}

// TestSaveThatFails holds that it is no fault of a file that it cannot be saved.
func TestSaveThatFails(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{"main.yaml": refers("main", "a.yaml", "b.yaml"), "a.yaml": refers("a"), "b.yaml": refers("b")})
	away := gathering.NewError(gathering.KindUnavailable, "the database cannot be reached")
	for _, name := range []string{"a", "b", "main"} {
		files := pipeline.Files{Checker: checker(), Save: func(_ context.Context, def *gathering.Definition) error {
			if def.Name == name {
				return away
			}
			return nil
		}}
		def, err := files.Load(t.Context(), filepath.Join(dir, "main.yaml"))
		if def != nil || !errors.Is(err, away) || gathering.KindOf(err) != gathering.KindUnavailable {
			t.Errorf("got %v, %v where %s could not be saved, want %v", def, err, name, away)
		}
	}
}

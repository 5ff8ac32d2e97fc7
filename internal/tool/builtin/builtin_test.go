package builtin_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gathering"
	"gathering/internal/tool"
	"gathering/internal/tool/builtin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a workspace and an output directory with the tools on top.
type bench struct {
	*testing.T
	workspace, out string
	registry       *tool.Registry
	tools          []tool.Tool // as they were made, without what the registry puts around them
}

func newBench(t *testing.T, hidden ...string) *bench {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, workspace: filepath.Join(dir, "work"), out: filepath.Join(dir, "files", "out")}
	for i, name := range hidden {
		hidden[i] = filepath.Join(b.workspace, name)
	}
	b.build(builtin.Options{
		Out: b.out, Hidden: hidden,
		Clock: func() time.Time { return time.Unix(1_700_000_000, 0) },
	})
	b.mkdir(b.workspace)
	return b
}

// build makes the tools anew.
func (b *bench) build(o builtin.Options) {
	b.Helper()
	var err error
	if b.tools, err = builtin.All(o); err != nil {
		b.Fatal(err)
	}
	if b.registry, err = tool.NewRegistry(b.tools...); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) mkdir(name string) {
	b.Helper()
	if err := os.MkdirAll(name, 0o755); err != nil {
		b.Fatal(err)
	}
}

// put writes a file of the workspace.
func (b *bench) put(name, content string) {
	b.Helper()
	file := filepath.Join(b.workspace, name)
	b.mkdir(filepath.Dir(file))
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		b.Fatal(err)
	}
}

// link makes a symbolic link in the workspace.
func (b *bench) link(target, name string) {
	b.Helper()
	if err := os.Symlink(target, filepath.Join(b.workspace, name)); err != nil {
		b.Fatal(err)
	}
}

type arguments map[string]any

func (b *bench) raw(ctx context.Context, name string, args arguments) (json.RawMessage, error) {
	b.Helper()
	t, ok := b.registry.Lookup(name)
	if !ok {
		b.Fatalf("there is no tool %s", name)
	}
	encoded, err := json.Marshal(args)
	if err != nil {
		b.Fatal(err)
	}
	return t.Call(ctx, tool.Call{Workspace: b.workspace, Arguments: encoded})
}

// use calls a tool that must succeed and decodes its result.
func use[Out any](b *bench, name string, args arguments) Out {
	b.Helper()
	var out Out
	result, err := b.raw(b.Context(), name, args)
	if err != nil {
		b.Fatalf("%s %.80v: %v", name, args, err)
	}
	if err := json.Unmarshal(result, &out); err != nil {
		b.Fatal(err)
	}
	return out
}

// refuse calls a tool that must fail with the given kind and public text.
func (b *bench) refuse(name string, args arguments, kind gathering.Kind, public string) {
	b.Helper()
	result, err := b.raw(b.Context(), name, args)
	if err == nil {
		b.Fatalf("%s %v: got %s, want an error", name, args, result)
	}
	fault, ok := errors.AsType[*gathering.Error](err)
	if !ok {
		b.Fatalf("%s %v: got error %v, want a *gathering.Error", name, args, err)
	}
	if got := fault.Public(); fault.Kind != kind || got != public {
		b.Errorf("%s %.80v:\n got %s: %s\nwant %s: %s\n(%v)", name, args, fault.Kind, got, kind, public, err)
	}
}

const asAsked = "the call cannot be made as asked: arguments."

func TestSpecs(t *testing.T) {
	t.Parallel()
	type flags struct{ SideEffect, Idempotent bool }
	got := map[string]flags{}
	for _, spec := range newBench(t).registry.Specs() {
		got[spec.Name] = flags{spec.SideEffect, spec.Idempotent}
	}
	want := map[string]flags{
		"files.list":   {false, true},
		"files.read":   {false, true},
		"files.search": {false, true},
		"files.write":  {true, true},
		"git.log":      {false, true},
		"git.diff":     {false, true},
		"time.now":     {false, true},
		"bench.noop":   {false, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("specs (-want +got):\n%s", diff)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]builtin.Options{
		"relative output":    {Out: "files"},
		"relative directory": {Hidden: []string{"data"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := builtin.All(options); err == nil {
				t.Error("the tools were made")
			}
		})
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type now struct {
		Time string
		Unix int64
		Zone string
	}
	for name, test := range map[string]struct {
		args arguments
		want now
	}{
		"UTC":        {nil, now{"2023-11-14T22:13:20Z", 1_700_000_000, "UTC"}},
		"with zone":  {arguments{"zone": "Asia/Kolkata"}, now{"2023-11-15T03:43:20+05:30", 1_700_000_000, "Asia/Kolkata"}},
		"empty zone": {arguments{"zone": ""}, now{"2023-11-14T22:13:20Z", 1_700_000_000, "UTC"}},
	} {
		if diff := cmp.Diff(test.want, use[now](b, "time.now", test.args)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, zone := range []string{"Nowhere/City", "Local", "../etc/passwd", "/etc/passwd"} {
		b.refuse("time.now", arguments{"zone": zone}, gathering.KindInvalid,
			asAsked+"zone: must be the name of an IANA time zone, such as Europe/Lisbon")
	}
}

func TestNoop(t *testing.T) {
	t.Parallel()
	got, err := newBench(t).raw(t.Context(), "bench.noop", arguments{})
	if err != nil || string(got) != "{}" {
		t.Errorf("got %s, %v, want {}", got, err)
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.workspace = ""
	for name, args := range map[string]arguments{
		"files.list": {}, "files.read": {"path": "a"}, "files.search": {"pattern": "a"},
		"git.log": {}, "git.diff": {"from": "HEAD"},
	} {
		b.refuse(name, args, gathering.KindUnavailable,
			"the run has no workspace: runs that a service starts have none, gathering run has its --workspace")
	}
	b.workspace = filepath.Join(b.out, "gone")
	b.refuse("files.list", nil, gathering.KindUnavailable, "the workspace cannot be opened")
	b.refuse("git.log", nil, gathering.KindUnavailable, "the workspace cannot be opened")
}

func TestWithoutOutput(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.build(builtin.Options{})
	b.refuse("files.write", arguments{"path": "out/a", "text": ""}, gathering.KindUnavailable,
		"there is no output directory to write to")
	b.refuse("files.read", arguments{"path": "out/a"}, gathering.KindUnavailable,
		"there is no output directory, so out/ does not exist")
}

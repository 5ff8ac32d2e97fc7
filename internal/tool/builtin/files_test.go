package builtin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/tool"
	"gathering/internal/tool/builtin"
)

type (
	entry struct {
		Path, Kind, Modified string
		Size                 int64
	}
	listing struct {
		Entries    []entry
		Truncated  bool
		Unreadable []string
	}
	reading struct {
		Path, Text string
		Size       int64
		Truncated  bool
		Next       int64 `json:"next_offset"`
	}
	found struct {
		Path, Text string
		Line       int
	}
	searching struct {
		Matches        []found
		Files, Skipped int
		Truncated      bool
		Unreadable     []string
	}
	written struct {
		Path string
		Size int
	}
)

func (l listing) paths() []string {
	paths := []string{}
	for _, e := range l.Entries {
		paths = append(paths, e.Path)
	}
	return paths
}

// TestPaths tries every way out of a tree with every tool that takes a path.
func TestPaths(t *testing.T) {
	t.Parallel()
	b := newBench(t, "data")
	secret := filepath.Join(filepath.Dir(b.workspace), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.put("dir/file", "text")
	b.put(".git/config", "secret")
	b.put("data/key", "secret")
	b.link("../secret", "link-file")
	b.link("..", "link-dir")
	b.link(filepath.Join(b.workspace, "dir"), "link-absolute")
	b.link("/dev", "devices")
	b.link(".git", "link-git")
	b.link("data", "link-data")
	b.link("link-loop", "link-loop")
	if err := syscall.Mkfifo(filepath.Join(b.workspace, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	use[written](b, "files.write", arguments{"path": "out/here", "text": "x"})
	if err := os.Symlink("../../secret", filepath.Join(b.out, "link-file")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../..", filepath.Join(b.out, "link-dir")); err != nil {
		t.Fatal(err)
	}

	const (
		dots     = `path: must not contain ".."`
		relative = "path: must be relative to the workspace, or begin with out/"
		outside  = "path: leads out of its tree by a symbolic link"
		control  = "path: must not contain control characters"
		git      = "path: must not lead into .git; git.log and git.diff tell the history"
		data     = "path: must not lead into the service's own data"
		missing  = "path: does not exist"
		long     = "path: is too long"
	)
	for _, test := range []struct {
		path    string
		kind    gathering.Kind
		problem string
	}{
		{"../secret", gathering.KindForbidden, dots},
		{"..", gathering.KindForbidden, dots},
		{"dir/../../secret", gathering.KindForbidden, dots},
		{"dir/../dir/file", gathering.KindForbidden, dots},
		{"./../secret", gathering.KindForbidden, dots},
		{"out/..", gathering.KindForbidden, dots},
		{"out/../dir/file", gathering.KindForbidden, dots},
		{"out/../../secret", gathering.KindForbidden, dots},
		{secret, gathering.KindForbidden, relative},
		{"//etc/passwd", gathering.KindForbidden, relative},
		{"link-file", gathering.KindForbidden, outside},
		{"link-dir/secret", gathering.KindForbidden, outside},
		{"link-absolute/file", gathering.KindForbidden, outside},
		{"devices/null", gathering.KindForbidden, outside},
		{"out/link-file", gathering.KindForbidden, outside},
		{"out/link-dir/secret", gathering.KindForbidden, outside},
		{"link-loop", gathering.KindInvalid, "path: leads through too many symbolic links"},
		{"dir/file\x00.txt", gathering.KindInvalid, control},
		{"dir\n/file", gathering.KindInvalid, control},
		{"..\u2215secret", gathering.KindNotFound, missing},
		{"\uff0e\uff0e/secret", gathering.KindNotFound, missing},
		{"..%2fsecret", gathering.KindNotFound, missing},
		{`..\secret`, gathering.KindNotFound, missing},
		{"...", gathering.KindNotFound, missing},
		{".git/config", gathering.KindForbidden, git},
		{".GIT/config", gathering.KindForbidden, git},
		{"dir/.git/hooks/x", gathering.KindForbidden, git},
		{"out/.git/config", gathering.KindForbidden, git},
		{"link-git/config", gathering.KindForbidden, git},
		{"data/key", gathering.KindForbidden, data},
		{"link-data/key", gathering.KindForbidden, data},
		{"dir/file/below", gathering.KindInvalid, "path: leads through a file as if it were a directory"},
		{strings.Repeat("a", 300), gathering.KindInvalid, long},
		{"out/" + strings.Repeat("a", 300), gathering.KindInvalid, long},
		{strings.Repeat("a/", 2048) + "a", gathering.KindInvalid, long},
		{"nothing", gathering.KindNotFound, missing},
	} {
		b.refuse("files.read", arguments{"path": test.path}, test.kind, asAsked+test.problem)
		b.refuse("files.list", arguments{"path": test.path}, test.kind, asAsked+test.problem)
		b.refuse("files.search", arguments{"path": test.path, "pattern": "secret"}, test.kind, asAsked+test.problem)
	}
	for _, test := range []struct {
		path    string
		kind    gathering.Kind
		problem string
	}{
		{"pipe", gathering.KindForbidden, "path: must name a regular file, not a pipe, socket or device"},
		{"dir", gathering.KindInvalid, "path: must name a file; it is a directory"},
		{"", gathering.KindInvalid, "path: must name a file; it is a directory"},
		{"out", gathering.KindInvalid, "path: must name a file; it is a directory"},
	} {
		b.refuse("files.read", arguments{"path": test.path}, test.kind, asAsked+test.problem)
	}
	const readOnly = "path: must begin with out/; everything else is read-only"
	for _, test := range []struct {
		path    string
		kind    gathering.Kind
		problem string
	}{
		{"new", gathering.KindForbidden, readOnly},
		{"dir/file", gathering.KindForbidden, readOnly},
		{"link-dir/new", gathering.KindForbidden, readOnly},
		{"output/new", gathering.KindForbidden, readOnly},
		{"OUT/new", gathering.KindForbidden, readOnly},
		{"out/../new", gathering.KindForbidden, dots},
		{"out/../../new", gathering.KindForbidden, dots},
		{"/out/new", gathering.KindForbidden, relative},
		{"out/link-dir/new", gathering.KindForbidden, outside},
		{"out/.git/hooks/post-checkout", gathering.KindForbidden, git},
		{"out/a\x00b", gathering.KindInvalid, control},
		{"out/" + strings.Repeat("a", 300), gathering.KindInvalid, long},
		{"out", gathering.KindInvalid, "path: must name a file; it is a directory"},
		{"out/", gathering.KindInvalid, "path: must name a file; it is a directory"},
		{"out/dir/", gathering.KindInvalid, "path: must name a file; it is a directory"},
		{"out/here/below", gathering.KindInvalid, "path: leads through a file as if it were a directory"},
		{"out/here/below/deep", gathering.KindInvalid, "path: leads through a file as if it were a directory"},
	} {
		b.refuse("files.write", arguments{"path": test.path, "text": "x"}, test.kind, asAsked+test.problem)
	}
	if got, err := os.ReadFile(secret); string(got) != "secret" || err != nil {
		t.Errorf("the file outside holds %q, %v", got, err)
	}
	for _, dir := range []string{b.workspace, filepath.Dir(b.workspace)} {
		if _, err := os.Lstat(filepath.Join(dir, "new")); err == nil {
			t.Errorf("%s/new was written", dir)
		}
	}
}

// TestLinksInside follows links that stay within the tree.
func TestLinksInside(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("dir/file", "text")
	b.link("dir", "to-dir")
	b.link("dir/file", "to-file")
	for _, path := range []string{"to-file", "to-dir/file", "./dir//file"} {
		if got := use[reading](b, "files.read", arguments{"path": path}).Text; got != "text" {
			t.Errorf("read %s: got %q, want %q", path, got, "text")
		}
	}
	if diff := cmp.Diff([]string{"to-dir/file"}, use[listing](b, "files.list", arguments{"path": "to-dir"}).paths()); diff != "" {
		t.Errorf("list to-dir (-want +got):\n%s", diff)
	}
}

// TestSwappedLink turns a directory into a link to the outside and back while
// it is read: no reader ever sees the outside.
func TestSwappedLink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	outside := filepath.Join(filepath.Dir(b.workspace), "outside")
	b.mkdir(outside)
	if err := os.WriteFile(filepath.Join(outside, "file"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.put("inside/file", "text")
	b.link("inside", "swap")
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		swap, next := filepath.Join(b.workspace, "swap"), filepath.Join(b.workspace, "next")
		for i := 0; ctx.Err() == nil; i++ {
			target := []string{outside, "inside", "../outside"}[i%3]
			if os.Symlink(target, next) != nil || os.Rename(next, swap) != nil {
				return
			}
		}
	})
	for range 500 {
		for _, call := range []struct {
			name string
			args arguments
		}{
			{"files.read", arguments{"path": "swap/file"}},
			{"files.search", arguments{"path": "swap", "pattern": "."}},
		} {
			result, err := b.raw(ctx, call.name, call.args)
			if bytes.Contains(result, []byte("secret")) {
				t.Errorf("%s saw the outside: %s", call.name, result)
			}
			if kind := gathering.KindOf(err); err != nil && kind != gathering.KindForbidden {
				t.Errorf("%s: got %v, want forbidden", call.name, err)
			}
		}
	}
	stop()
	group.Wait()
}

func TestList(t *testing.T) {
	t.Parallel()
	b := newBench(t, "data")
	b.put("b.go", "package b")
	b.put("a/x.go", "")
	b.put("a/deep/y.md", "")
	b.put("a-b.md", "")
	b.put(".git/HEAD", "")
	b.put("a/.git", "gitdir: elsewhere")
	b.put("data/key", "")
	b.put("out/own", "not reachable")
	b.link("a", "link")
	if err := os.WriteFile(filepath.Join(b.workspace, "bad\xffname"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args arguments
		want []string
	}{
		"the top":          {nil, []string{"a", "a-b.md", "b.go", "link"}},
		"everything":       {arguments{"recursive": true}, []string{"a", "a/deep", "a/deep/y.md", "a/x.go", "a-b.md", "b.go", "link"}},
		"below":            {arguments{"path": "a"}, []string{"a/deep", "a/x.go"}},
		"a name":           {arguments{"glob": "*.go", "recursive": true}, []string{"a/x.go", "b.go"}},
		"a name at top":    {arguments{"glob": "*.go"}, []string{"b.go"}},
		"a path":           {arguments{"glob": "a/**/*.md", "recursive": true}, []string{"a/deep/y.md"}},
		"from below":       {arguments{"path": "a", "glob": "deep/*", "recursive": true}, []string{"a/deep/y.md"}},
		"stars":            {arguments{"glob": "**/**/**", "recursive": true, "path": "a"}, []string{"a/deep", "a/deep/y.md", "a/x.go"}},
		"a file":           {arguments{"path": "b.go"}, []string{"b.go"}},
		"nothing matches":  {arguments{"glob": "*.rs", "recursive": true}, []string{}},
		"a set in a name":  {arguments{"glob": "[a-b].??", "recursive": true}, []string{"b.go"}},
		"no half of a dir": {arguments{"glob": "a/d*p", "recursive": true}, []string{"a/deep"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := use[listing](b, "files.list", test.args)
			if diff := cmp.Diff(test.want, got.paths()); diff != "" || got.Truncated {
				t.Errorf("truncated %t, paths (-want +got):\n%s", got.Truncated, diff)
			}
		})
	}
	got := use[listing](b, "files.list", arguments{"limit": 3})
	if diff := cmp.Diff([]string{"bad\uFFFDname"}, use[listing](b, "files.list", nil).Unreadable); diff != "" {
		t.Errorf("unreadable (-want +got):\n%s", diff)
	}
	got.Entries[2].Modified = strings.TrimRight(got.Entries[2].Modified, "0123456789:-TZ")
	want := []entry{{Path: "a", Kind: "directory"}, {Path: "a-b.md", Kind: "file"}, {Path: "b.go", Kind: "file", Size: 9}}
	got.Entries[1].Modified = ""
	if diff := cmp.Diff(want, got.Entries); diff != "" || !got.Truncated {
		t.Errorf("truncated %t, entries (-want +got):\n%s", got.Truncated, diff)
	}
	b.refuse("files.list", arguments{"glob": "a[/b"}, gathering.KindInvalid,
		asAsked+`glob: must be a pattern such as "*.go" or "docs/**/*.md"`)
	b.refuse("files.list", arguments{"limit": 10_001}, gathering.KindInvalid,
		"arguments does not fit its schema: arguments.limit: must be at most 10000")
}

func TestListOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.refuse("files.list", arguments{"path": "out"}, gathering.KindNotFound,
		asAsked+"path: does not exist; nothing was written under out/ yet")
	use[written](b, "files.write", arguments{"path": "out/a/b.md", "text": "x"})
	for _, path := range []string{"out", "out/", "./out"} {
		got := use[listing](b, "files.list", arguments{"path": path, "recursive": true}).paths()
		if diff := cmp.Diff([]string{"out/a", "out/a/b.md"}, got); diff != "" {
			t.Errorf("list %s (-want +got):\n%s", path, diff)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("text", "0123456789")
	b.put("empty", "")
	b.put("wide", "aé€😀b")
	b.put("mark", "\uFEFFx")
	for name, test := range map[string]struct {
		args arguments
		want reading
	}{
		"whole":            {arguments{"path": "text"}, reading{Path: "text", Text: "0123456789", Size: 10}},
		"empty":            {arguments{"path": "empty"}, reading{Path: "empty"}},
		"head":             {arguments{"path": "text", "limit": 4}, reading{Path: "text", Text: "0123", Size: 10, Truncated: true, Next: 4}},
		"middle":           {arguments{"path": "text", "limit": 4, "offset": 4}, reading{Path: "text", Text: "4567", Size: 10, Truncated: true, Next: 8}},
		"tail":             {arguments{"path": "text", "limit": 4, "offset": 8}, reading{Path: "text", Text: "89", Size: 10}},
		"at the end":       {arguments{"path": "text", "offset": 10}, reading{Path: "text", Size: 10}},
		"behind the end":   {arguments{"path": "text", "offset": 1 << 40}, reading{Path: "text", Size: 10}},
		"whole characters": {arguments{"path": "wide", "limit": 5}, reading{Path: "wide", Text: "aé", Size: 11, Truncated: true, Next: 3}},
		"byte order mark":  {arguments{"path": "mark"}, reading{Path: "mark", Text: "\uFEFFx", Size: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, use[reading](b, "files.read", test.args)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	b.refuse("files.read", arguments{"path": "wide", "offset": 2}, gathering.KindInvalid,
		asAsked+"offset: falls into the middle of a character; read on from next_offset")
	const binary = asAsked + "path: must name a text file in UTF-8; this one is binary or in another encoding"
	for name, content := range map[string]string{
		"zero": "a\x00b", "latin1": "caf\xe9 au lait", "utf16": "\xff\xfea\x00", "cut": "euro \xe2\x82", "surrogate": "\xed\xa0\x80",
	} {
		b.put(name, content)
		b.refuse("files.read", arguments{"path": name}, gathering.KindInvalid, binary)
	}
}

func TestReadHuge(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("huge", strings.Repeat("é", 1<<20+7))
	var whole strings.Builder
	for offset, reads := int64(0), 1; ; reads++ {
		got := use[reading](b, "files.read", arguments{"path": "huge", "offset": offset, "limit": 1<<20 - 1})
		if len(got.Text) > 1<<20 || !utf8.ValidString(got.Text) {
			t.Fatalf("read %d bytes, valid %t", len(got.Text), utf8.ValidString(got.Text))
		}
		whole.WriteString(got.Text)
		if !got.Truncated {
			if reads != 3 {
				t.Errorf("it took %d reads, want 3", reads)
			}
			break
		}
		offset = got.Next
	}
	if got, want := whole.Len(), 2*(1<<20+7); got != want {
		t.Errorf("the parts make %d bytes, want %d", got, want)
	}
	sparse := filepath.Join(b.workspace, "sparse")
	b.put("sparse", "")
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	b.refuse("files.read", arguments{"path": "sparse"}, gathering.KindInvalid,
		asAsked+"path: must name a text file in UTF-8; this one is binary or in another encoding")
	if got := use[searching](b, "files.search", arguments{"path": "sparse", "pattern": "a"}); got.Skipped != 1 {
		t.Errorf("searched a file of a terabyte: %+v", got)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("a.go", "package a\r\n\n// Needle here\nfunc needle() {}")
	b.put("sub/b.go", "var Needle = 1\n")
	b.put("sub/c.md", "needle\n")
	b.put("binary", "needle\x00")
	b.put(".git/needle", "needle\n")
	b.put("long", strings.Repeat("é", 400)+"needle\n")
	b.link("a.go", "link.go")
	long := found{"long", strings.Repeat("é", 250), 1}
	for name, test := range map[string]struct {
		args arguments
		want searching
	}{
		"everything": {arguments{"pattern": "needle"}, searching{Matches: []found{
			{"a.go", "func needle() {}", 4}, long, {"sub/c.md", "needle", 1},
		}, Files: 4, Skipped: 1}},
		"any case": {arguments{"pattern": "needle", "ignore_case": true, "glob": "*.go"}, searching{Matches: []found{
			{"a.go", "// Needle here", 3}, {"a.go", "func needle() {}", 4}, {"sub/b.go", "var Needle = 1", 1},
		}, Files: 2}},
		"below":        {arguments{"pattern": "^needle$", "path": "sub"}, searching{Matches: []found{{"sub/c.md", "needle", 1}}, Files: 2}},
		"one file":     {arguments{"pattern": "package", "path": "a.go"}, searching{Matches: []found{{"a.go", "package a", 1}}, Files: 1}},
		"line ends":    {arguments{"pattern": "a$", "path": "a.go"}, searching{Matches: []found{{"a.go", "package a", 1}}, Files: 1}},
		"empty lines":  {arguments{"pattern": "^$", "path": "a.go"}, searching{Matches: []found{{"a.go", "", 2}}, Files: 1}},
		"limited":      {arguments{"pattern": "needle", "limit": 1}, searching{Matches: []found{{"a.go", "func needle() {}", 4}}, Files: 2, Skipped: 1, Truncated: true}},
		"just as many": {arguments{"pattern": "^needle$", "path": "sub", "limit": 1}, searching{Matches: []found{{"sub/c.md", "needle", 1}}, Files: 2}},
		"none":         {arguments{"pattern": "haystack", "glob": "sub/*"}, searching{Matches: []found{}, Files: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, use[searching](b, "files.search", test.args)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, pattern := range []string{"(", "a**", `\1`, "a{2000}"} {
		b.refuse("files.search", arguments{"pattern": pattern}, gathering.KindInvalid,
			asAsked+"pattern: must be a regular expression in RE2 syntax")
	}
	b.refuse("files.search", arguments{"pattern": strings.Repeat("a", 1025)}, gathering.KindInvalid, asAsked+"pattern: is too long")
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("a", strings.Repeat("line\n", 10_000))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, args := range map[string]arguments{
		"files.list":   {},
		"files.search": {"pattern": "x"},
		"files.write":  {"path": "out/a", "text": "x"},
	} {
		if result, err := b.raw(ctx, name, args); gathering.KindOf(err) != gathering.KindCancelled {
			t.Errorf("%s: got %s, %v, want cancelled", name, result, err)
		}
	}
	if _, err := os.Stat(filepath.Join(b.out, "a")); err == nil {
		t.Error("a cancelled write wrote")
	}
}

// dyingContext ends after it was asked a number of times whether it ended.
type dyingContext struct {
	context.Context //nolint:containedctx // it is a context
	left            int
	stop            context.CancelFunc
}

func (c *dyingContext) Err() error {
	if c.left--; c.left == 0 {
		c.stop()
	}
	return c.Context.Err()
}

func TestCancelledMidway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 50 {
		b.put(fmt.Sprintf("dir/%02d", i), "line\n")
	}
	b.put("long", strings.Repeat("line\n", 1<<20))
	for name, test := range map[string]struct{ tool, arguments string }{
		"a listing":                {"files.list", `{"recursive":true}`},
		"a search over files":      {"files.search", `{"pattern":"line","path":"dir"}`},
		"a search in one big file": {"files.search", `{"pattern":"none","path":"long"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner, stop := context.WithCancel(t.Context())
			defer stop()
			i := slices.IndexFunc(b.tools, func(t tool.Tool) bool { return t.Spec().Name == test.tool })
			result, err := b.tools[i].Call(&dyingContext{inner, 20, stop},
				tool.Call{Workspace: b.workspace, Arguments: json.RawMessage(test.arguments)})
			if gathering.KindOf(err) != gathering.KindCancelled {
				t.Errorf("got %.80s, %v, want cancelled", result, err)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, text := range []string{"first", "second, longer", ""} {
		got := use[written](b, "files.write", arguments{"path": "out/./deep/er/report.md", "text": text})
		if diff := cmp.Diff(written{"out/deep/er/report.md", len(text)}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		file := filepath.Join(b.out, "deep", "er", "report.md")
		content, err := os.ReadFile(file)
		if err != nil || string(content) != text {
			t.Errorf("the file holds %q, %v, want %q", content, err, text)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := info.Mode(), os.FileMode(0o644); got != want {
			t.Errorf("mode %v, want %v", got, want)
		}
		if got := use[reading](b, "files.read", arguments{"path": "out/deep/er/report.md"}).Text; got != text {
			t.Errorf("read back %q, want %q", got, text)
		}
	}
	b.refuse("files.write", arguments{"path": "out/deep", "text": "x"}, gathering.KindInvalid,
		asAsked+"path: must name a file; it is a directory")
	b.refuse("files.write", arguments{"path": "out/a"}, gathering.KindInvalid,
		"arguments does not fit its schema: arguments.text: is required")
	if got := use[listing](b, "files.list", arguments{"path": "out", "recursive": true}).paths(); len(got) != 3 {
		t.Errorf("something was left behind: %v", got)
	}
}

// TestWriteReplacesLink shows that a write replaces a link instead of writing
// through it.
func TestWriteReplacesLink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	use[written](b, "files.write", arguments{"path": "out/target", "text": "kept"})
	if err := os.Symlink("target", filepath.Join(b.out, "link")); err != nil {
		t.Fatal(err)
	}
	use[written](b, "files.write", arguments{"path": "out/link", "text": "new"})
	for path, want := range map[string]string{"out/target": "kept", "out/link": "new"} {
		if got := use[reading](b, "files.read", arguments{"path": path}).Text; got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
}

// TestFailedWrite lets a write fail halfway: the old content stays and nothing
// is left behind. The write is made by this same test in a process that may
// not make large files.
func TestFailedWrite(t *testing.T) {
	t.Parallel()
	const variable = "FAILED_WRITE_OUT"
	if out := os.Getenv(variable); out != "" {
		b := newBench(t)
		b.build(builtin.Options{Out: out})
		_, err := b.raw(t.Context(), "files.write", arguments{"path": "out/file", "text": strings.Repeat("new", 1<<20)})
		t.Fatalf("the write ended with: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	use[written](b, "files.write", arguments{"path": "out/file", "text": "old"})
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `ulimit -f 64; exec "$0" -test.run='^TestFailedWrite$'`, self)
	cmd.Env = append(os.Environ(), variable+"="+b.out)
	if output, _ := cmd.CombinedOutput(); !strings.Contains(string(output), "file too large") {
		t.Fatalf("the write did not fail as it should:\n%s", output)
	}
	if got := use[reading](b, "files.read", arguments{"path": "out/file"}).Text; got != "old" {
		t.Errorf("the file holds %.80q, want the old content", got)
	}
	if diff := cmp.Diff([]string{"out/file"}, use[listing](b, "files.list", arguments{"path": "out"}).paths()); diff != "" {
		t.Errorf("something was left behind (-want +got):\n%s", diff)
	}
}

// TestWriteIsAtomic reads a file while several writers replace it.
func TestWriteIsAtomic(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const size = 50_000
	whole := func(letter string) string { return strings.Repeat(letter, size) }
	use[written](b, "files.write", arguments{"path": "out/file", "text": whole("a")})
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for ctx.Err() == nil {
			text := use[reading](b, "files.read", arguments{"path": "out/file"}).Text
			if len(text) != size || text != whole(text[:1]) {
				t.Errorf("a reader saw %d bytes of a mixed file", len(text))
				return
			}
		}
	})
	for _, letter := range []string{"b", "c", "d"} {
		writers.Go(func() {
			for range 10 {
				use[written](b, "files.write", arguments{"path": "out/file", "text": whole(letter)})
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
	if got := use[listing](b, "files.list", arguments{"path": "out"}).paths(); len(got) != 1 {
		t.Errorf("something was left behind: %v", got)
	}
}

func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("a", "text\n")
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			path := fmt.Sprintf("out/dir/%d", i)
			use[written](b, "files.write", arguments{"path": path, "text": path})
			if got := use[reading](b, "files.read", arguments{"path": path}).Text; got != path {
				t.Errorf("%s holds %q", path, got)
			}
			use[listing](b, "files.list", arguments{"recursive": true})
			use[searching](b, "files.search", arguments{"pattern": "t"})
		})
	}
	group.Wait()
	if got := len(use[listing](b, "files.list", arguments{"path": "out/dir"}).Entries); got != 16 {
		t.Errorf("%d files, want 16", got)
	}
}

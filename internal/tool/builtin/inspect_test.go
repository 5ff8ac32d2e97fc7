package builtin_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
)

// stranger makes a repository beside the workspace that has nothing to do with
// it, with loose and packed objects, and returns its git directory.
func (b *bench) stranger() string {
	b.Helper()
	dir := filepath.Join(filepath.Dir(b.workspace), "stranger")
	b.mkdir(dir)
	b.git(dir, "init", "--quiet", "--initial-branch=main")
	b.git(dir, "commit", "--quiet", "--allow-empty", "--message", "packed secret")
	b.git(dir, "repack", "--quiet", "-ad")
	b.git(dir, "pack-refs", "--all")
	b.git(dir, "commit", "--quiet", "--allow-empty", "--message", "loose secret")
	return filepath.Join(dir, ".git")
}

// TestStrangersAreNotRead has a workspace lead git to another repository of
// the machine in every way that there is.
func TestStrangersAreNotRead(t *testing.T) {
	t.Parallel()
	type trap struct {
		set    func(b *bench, stranger string)
		public string
	}
	// linked puts a link in the place of a name in the workspace's git directory.
	linked := func(name string) trap {
		return trap{func(b *bench, stranger string) {
			if err := os.RemoveAll(filepath.Join(b.workspace, ".git", name)); err != nil {
				b.Fatal(err)
			}
			b.link(filepath.Join(stranger, name), filepath.Join(".git", name))
		}, `the .git of the workspace is not read: "` + name + `" in it is a symbolic link, a pipe or a device`}
	}
	// linkedFirst does so for the first name that matches a pattern in the stranger's.
	linkedFirst := func(pattern string) trap {
		return trap{func(b *bench, stranger string) {
			found, err := filepath.Glob(filepath.Join(stranger, pattern))
			if err != nil || len(found) == 0 {
				b.Fatalf("%s: nothing matches: %v", pattern, err)
			}
			name, err := filepath.Rel(stranger, found[0])
			if err != nil {
				b.Fatal(err)
			}
			b.mkdir(filepath.Join(b.workspace, ".git", filepath.Dir(name)))
			b.link(found[0], filepath.Join(".git", name))
		}, `" in it is a symbolic link, a pipe or a device`}
	}
	// written writes a file of the workspace's git directory, with STRANGER replaced.
	written := func(name, content, public string) trap {
		return trap{func(b *bench, stranger string) {
			b.put(filepath.Join(".git", name), strings.ReplaceAll(content, "STRANGER", stranger))
		}, public}
	}
	const borrows = "the repository of the workspace borrows objects from another (objects/info/"
	for name, trap := range map[string]trap{
		"refs and objects": {func(b *bench, stranger string) {
			linked("refs").set(b, stranger)
			linked("objects").set(b, stranger)
		}, `the .git of the workspace is not read: "objects" in it is a symbolic link, a pipe or a device`},
		"HEAD":            linked("HEAD"),
		"config":          linked("config"),
		"packed-refs":     linked("packed-refs"),
		"refs":            linked("refs"),
		"refs/heads":      linked("refs/heads"),
		"branch":          linked("refs/heads/main"),
		"objects":         linked("objects"),
		"objects/info":    linked("objects/info"),
		"objects/pack":    linked("objects/pack"),
		"pack":            linkedFirst("objects/pack/*.pack"),
		"directory":       linkedFirst("objects/[0-9a-f][0-9a-f]"),
		"object":          linkedFirst("objects/[0-9a-f][0-9a-f]/*"),
		"info/attributes": linked("info/attributes"),
		"log of HEAD":     linked("logs/HEAD"),
		"pipe": {func(b *bench, _ string) {
			if err := syscall.Mkfifo(filepath.Join(b.workspace, ".git", "packed-refs"), 0o600); err != nil {
				b.Fatal(err)
			}
		}, `the .git of the workspace is not read: "packed-refs" in it is a symbolic link, a pipe or a device`},
		"alternates":      written("objects/info/alternates", "STRANGER/objects\n", borrows+"alternates), which is not read"),
		"http-alternates": written("objects/info/http-alternates", "STRANGER/objects\n", borrows+"http-alternates), which is not read"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.history()
			trap.set(b, b.stranger())
			for tool, args := range map[string]arguments{"git.log": nil, "git.diff": {"from": "HEAD"}} {
				result, err := b.raw(t.Context(), tool, args)
				fault, ok := errors.AsType[*gathering.Error](err)
				if !ok || fault.Kind != gathering.KindForbidden || !strings.HasSuffix(fault.Public(), trap.public) {
					t.Errorf("%s: got %s, %v; want forbidden: %s", tool, result, err, trap.public)
				}
			}
		})
	}
}

// TestUnreadLinks tells the history of a repository whose git directory holds
// links that git does not follow for it.
func TestUnreadLinks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.history()
	if err := os.RemoveAll(filepath.Join(b.workspace, ".git", "hooks")); err != nil {
		t.Fatal(err)
	}
	b.link("../hooks", ".git/hooks")
	b.link("somebody@somewhere.4711", ".git/.#COMMIT_EDITMSG")
	b.put(".git/config", "[include]\n\tpath = /dev/null\n[includeIf \"gitdir:/**\"]\n\tpath = /nonexistent\n")
	b.put(".git/modules/inner/HEAD", "ref: refs/heads/main\n")
	b.link("../../../../elsewhere", ".git/modules/inner/hooks")
	b.put(".git/objects/info/alternates", "")
	if got := len(use[logged](b, "git.log", nil).Commits); got != 4 {
		t.Errorf("%d commits, want 4", got)
	}
}

// TestSubmodules reads a submodule's repository only for the work tree that it
// names.
func TestSubmodules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.history()
	outer := filepath.Join(filepath.Dir(b.workspace), "outer")
	b.mkdir(outer)
	b.git(outer, "init", "--quiet")
	b.git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", b.workspace, "inner")
	inner := filepath.Join(outer, "inner")
	worktree := filepath.Join(outer, "worktree")
	b.git(inner, "worktree", "add", "--quiet", worktree, "HEAD~1")
	for dir, want := range map[string]int{inner: 4, worktree: 3} {
		b.workspace = dir
		if got := len(use[logged](b, "git.log", nil).Commits); got != want {
			t.Errorf("%s: %d commits, want %d", dir, got, want)
		}
	}
	b.workspace = filepath.Join(outer, "unpacked")
	b.put(".git", "gitdir: ../.git/modules/inner")
	b.refuse("git.log", nil, gathering.KindForbidden, "the .git of the workspace names a repository that does not know of it")
	b.git(outer, "config", "--file", ".git/modules/inner/config", "--unset", "core.worktree")
	b.refuse("git.log", nil, gathering.KindForbidden, "the .git of the workspace names a repository that does not know of it")
}

// TestWorkTreeHasNoSay compares commits of a repository whose work tree and
// index would have git read a file elsewhere in the place of what is committed,
// or leave a change out.
func TestWorkTreeHasNoSay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := filepath.Dir(b.workspace)
	elsewhere := filepath.Join(dir, "elsewhere")
	b.mkdir(elsewhere)
	b.git(b.workspace, "init", "--quiet", "--initial-branch=main")
	b.git(b.workspace, "config", "core.checkStat", "minimal")
	b.git(b.workspace, "config", "core.trustctime", "false")
	b.commit("first")
	b.put("sub/file", "public\n")
	secret := filepath.Join(elsewhere, "file")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{secret, filepath.Join(b.workspace, "sub", "file")} {
		if err := os.Chtimes(name, time.Unix(1_700_000_000, 0), time.Unix(1_700_000_000, 0)); err != nil {
			t.Fatal(err)
		}
	}
	first := b.git(b.workspace, "rev-parse", "HEAD")
	b.git(b.workspace, "update-index", "--add", "--cacheinfo", "160000,"+first+",module")
	b.git(b.workspace, "add", "sub")
	b.git(b.workspace, "commit", "--quiet", "--message", "second")
	if err := os.RemoveAll(filepath.Join(b.workspace, "sub")); err != nil {
		t.Fatal(err)
	}
	b.link(elsewhere, "sub")
	b.put(".gitmodules", "[submodule \"module\"]\n\tpath = module\n\turl = x\n\tignore = all\n")
	if out := b.git(b.workspace, "diff-tree", "-r", "-p", "HEAD~1", "HEAD"); !strings.Contains(out, "+secret") || strings.Contains(out, "Subproject") {
		t.Fatalf("git does not fall into the traps:\n%s", out)
	}
	got := use[diffed](b, "git.diff", arguments{"from": "HEAD~1"})
	if diff := cmp.Diff([]change{{Path: "module", Added: 1}, {Path: "sub/file", Added: 1}}, got.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if !strings.Contains(got.Patch, "\n+public\n") || strings.Contains(got.Patch, "secret") {
		t.Errorf("the patch is not of what is committed:\n%s", got.Patch)
	}
	commits := use[logged](b, "git.log", arguments{"files": true}).Commits
	if diff := cmp.Diff([]string{"module", "sub/file"}, commits[0].Files); diff != "" {
		t.Errorf("files of the log (-want +got):\n%s", diff)
	}
}

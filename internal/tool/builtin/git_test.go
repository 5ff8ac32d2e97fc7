package builtin_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/tool/builtin"
)

type (
	commit struct {
		Hash, Author, Date, Subject, Body string
		Files                             []string
	}
	logged struct {
		Commits   []commit
		Truncated bool
	}
	change struct {
		Path, From     string
		Added, Deleted int
		Binary         bool
	}
	diffed struct {
		Files     []change
		Patch     string
		Truncated bool
	}
)

func (l logged) subjects() []string {
	subjects := []string{}
	for _, c := range l.Commits {
		subjects = append(subjects, c.Subject)
	}
	return subjects
}

// git runs git in dir with a fixed author and no configuration from outside.
func (b *bench) git(dir string, args ...string) string {
	b.Helper()
	out, err := b.tryGit(dir, args...)
	if err != nil {
		b.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

func (b *bench) tryGit(dir string, args ...string) (string, error) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.out, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada Lovelace", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_AUTHOR_DATE=2024-02-03T04:05:06+01:00",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org", "GIT_COMMITTER_DATE=2024-02-03T04:05:06+01:00",
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (b *bench) commit(message string) string {
	b.Helper()
	b.git(b.workspace, "add", "--all")
	b.git(b.workspace, "commit", "--quiet", "--allow-empty", "--message", message)
	return b.git(b.workspace, "rev-parse", "HEAD")
}

// history makes the workspace a repository with four commits and returns their hashes.
func (b *bench) history() []string {
	b.Helper()
	b.git(b.workspace, "init", "--quiet", "--initial-branch=main")
	b.put("readme.md", "one\n")
	b.put("sub dir/old é.txt", "same\nsame\nsame\n")
	hashes := []string{b.commit("first\n\nWith a body\nof two lines.")}
	b.put("readme.md", "one\ntwo\n")
	b.put("image", "a\x00b")
	hashes = append(hashes, b.commit("second"))
	b.git(b.workspace, "mv", "sub dir/old é.txt", "sub dir/new é.txt")
	hashes = append(hashes, b.commit("third"))
	b.put("name\nwith\ttab", "x\n")
	return append(hashes, b.commit("fourth"))
}

func TestLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hashes := b.history()
	b.git(b.workspace, "tag", "v1", hashes[1])
	got := use[logged](b, "git.log", arguments{"files": true})
	const ada, date = "Ada Lovelace", "2024-02-03T04:05:06+01:00"
	want := logged{Commits: []commit{
		{hashes[3], ada, date, "fourth", "", []string{"name\nwith\ttab"}},
		{hashes[2], ada, date, "third", "", []string{"sub dir/new é.txt"}},
		{hashes[1], ada, date, "second", "", []string{"image", "readme.md"}},
		{hashes[0], ada, date, "first", "With a body\nof two lines.", []string{"readme.md", "sub dir/old é.txt"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, test := range map[string]struct {
		args arguments
		want []string
		more bool
	}{
		"everything":   {nil, []string{"fourth", "third", "second", "first"}, false},
		"limited":      {arguments{"limit": 3}, []string{"fourth", "third", "second"}, true},
		"just as many": {arguments{"limit": 4}, []string{"fourth", "third", "second", "first"}, false},
		"since":        {arguments{"since": "v1"}, []string{"fourth", "third"}, false},
		"span":         {arguments{"since": hashes[0], "until": "main~1"}, []string{"third", "second"}, false},
		"empty span":   {arguments{"since": "HEAD"}, []string{}, false},
		"file":         {arguments{"path": "readme.md"}, []string{"second", "first"}, false},
		"directory":    {arguments{"path": "sub dir/"}, []string{"third", "first"}, false},
		"unknown path": {arguments{"path": "nothing"}, []string{}, false},
		"no pattern":   {arguments{"path": "*.md"}, []string{}, false},
		"no magic":     {arguments{"path": ":(top)readme.md"}, []string{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := use[logged](b, "git.log", test.args)
			if diff := cmp.Diff(test.want, got.subjects()); diff != "" || got.Truncated != test.more {
				t.Errorf("truncated %t, subjects (-want +got):\n%s", got.Truncated, diff)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hashes := b.history()
	got := use[diffed](b, "git.diff", arguments{"from": hashes[0]})
	patch := got.Patch
	got.Patch = ""
	want := diffed{Files: []change{
		{Path: "image", Binary: true},
		{Path: "name\nwith\ttab", Added: 1},
		{Path: "readme.md", Added: 1},
		{Path: "sub dir/new é.txt", From: "sub dir/old é.txt"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, part := range []string{
		"--- a/readme.md\n+++ b/readme.md\n@@ -1 +1,2 @@\n one\n+two\n",
		"rename from sub dir/old é.txt\nrename to sub dir/new é.txt\n",
		"Binary files /dev/null and b/image differ\n",
	} {
		if !strings.Contains(patch, part) {
			t.Errorf("the patch lacks %q:\n%s", part, patch)
		}
	}
	back := use[diffed](b, "git.diff", arguments{"from": "main", "to": "main~3", "path": "readme.md", "stat_only": true})
	if diff := cmp.Diff(diffed{Files: []change{{Path: "readme.md", Deleted: 1}}}, back); diff != "" {
		t.Errorf("back (-want +got):\n%s", diff)
	}
	b.put("readme.md", "not committed\n")
	if diff := cmp.Diff(diffed{Files: []change{}}, use[diffed](b, "git.diff", arguments{"from": "HEAD"})); diff != "" {
		t.Errorf("nothing committed (-want +got):\n%s", diff)
	}
}

func TestDiffIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.git(b.workspace, "init", "--quiet")
	b.commit("first")
	b.put("huge", strings.Repeat("é line of some length to fill the file\n", 200_000))
	b.commit("second")
	got := use[diffed](b, "git.diff", arguments{"from": "HEAD~1"})
	if n := len(got.Patch); !got.Truncated || n > 1<<20 || n < 1<<20-4 {
		t.Errorf("truncated %t, %d bytes; want true, 1 MiB", got.Truncated, n)
	}
	if diff := cmp.Diff([]change{{Path: "huge", Added: 200_000}}, got.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.git(b.workspace, "init", "--quiet")
	message := filepath.Join(b.workspace, "message")
	b.put("message", "big\n\n"+strings.Repeat("a long line in a long message\n", 30_000))
	for range 6 {
		b.git(b.workspace, "commit", "--quiet", "--allow-empty", "--file", message)
	}
	got := use[logged](b, "git.log", nil)
	if len(got.Commits) != 4 || !got.Truncated || len(got.Commits[3].Body) != 30*30_000-1 {
		t.Errorf("%d commits, truncated %t; want 4 whole ones, true", len(got.Commits), got.Truncated)
	}
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.history()
	const (
		missing = "names no commit of the repository"
		dash    = `must be a revision; it must not begin with "-"`
		none    = "must be a revision, such as a branch, a tag or a hash"
		one     = "must name one commit, not a range"
	)
	canary := filepath.Join(b.workspace, "canary")
	for revision, want := range map[string]struct {
		kind    gathering.Kind
		problem string
	}{
		"--output=" + canary:      {gathering.KindInvalid, dash},
		"-n1":                     {gathering.KindInvalid, dash},
		"--upload-pack=touch":     {gathering.KindInvalid, dash},
		"nothing":                 {gathering.KindNotFound, missing},
		"HEAD:readme.md":          {gathering.KindNotFound, missing},
		"HEAD --output=" + canary: {gathering.KindNotFound, missing},
		"HEAD..main":              {gathering.KindNotFound, missing},
		"^HEAD":                   {gathering.KindInvalid, one},
		"HEAD\x00":                {gathering.KindInvalid, none},
		"HEAD\nmain":              {gathering.KindInvalid, none},
		strings.Repeat("a", 257):  {gathering.KindInvalid, "is too long"},
	} {
		b.refuse("git.diff", arguments{"from": revision}, want.kind, asAsked+"from: "+want.problem)
		b.refuse("git.diff", arguments{"from": "HEAD", "to": revision}, want.kind, asAsked+"to: "+want.problem)
		b.refuse("git.log", arguments{"since": revision}, want.kind, asAsked+"since: "+want.problem)
		b.refuse("git.log", arguments{"until": revision}, want.kind, asAsked+"until: "+want.problem)
	}
	b.refuse("git.diff", arguments{"from": ""}, gathering.KindInvalid, asAsked+"from: "+none)
	for _, path := range []string{"../x", "/etc/passwd", ".git/config"} {
		if _, err := b.raw(t.Context(), "git.log", arguments{"path": path}); gathering.KindOf(err) != gathering.KindForbidden {
			t.Errorf("path %s: got %v, want forbidden", path, err)
		}
	}
	if _, err := os.Lstat(canary); err == nil {
		t.Error("a revision wrote a file")
	}
}

func TestNoCommits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.git(b.workspace, "init", "--quiet")
	if diff := cmp.Diff(logged{Commits: []commit{}}, use[logged](b, "git.log", nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.refuse("git.log", arguments{"until": "HEAD"}, gathering.KindNotFound, asAsked+"until: names no commit of the repository")
}

func TestNoCheckout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const not = "the workspace is not a git checkout"
	b.refuse("git.log", nil, gathering.KindNotFound, not)
	b.put(".git/config", "an empty .git is no repository")
	b.refuse("git.diff", arguments{"from": "HEAD"}, gathering.KindNotFound, not)
	bare := filepath.Join(b.workspace, "bare.git")
	b.mkdir(bare)
	b.git(bare, "init", "--quiet", "--bare")
	b.workspace = bare
	b.refuse("git.log", nil, gathering.KindNotFound, not)
}

// TestBelowCheckout limits the tools to a workspace that is a part of a checkout.
func TestBelowCheckout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hashes := b.history()
	b.workspace = filepath.Join(b.workspace, "sub dir")
	got := use[logged](b, "git.log", arguments{"files": true})
	if diff := cmp.Diff([]string{"third", "first"}, got.subjects()); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"old é.txt"}, got.Commits[1].Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	changes := use[diffed](b, "git.diff", arguments{"from": hashes[0]})
	if diff := cmp.Diff([]change{{Path: "new é.txt", From: "old é.txt"}}, changes.Files); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if strings.Contains(changes.Patch, "readme") {
		t.Errorf("the patch leaves the workspace:\n%s", changes.Patch)
	}
}

// TestLinkedCheckouts follows a .git file only where the repository knows of it.
func TestLinkedCheckouts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.history()
	main := b.workspace
	dir := filepath.Dir(main)
	linked := filepath.Join(dir, "linked")
	b.git(main, "worktree", "add", "--quiet", linked, "HEAD~1")
	b.workspace = linked
	if diff := cmp.Diff([]string{"third", "second", "first"}, use[logged](b, "git.log", nil).subjects()); diff != "" {
		t.Errorf("worktree (-want +got):\n%s", diff)
	}
	outer := filepath.Join(dir, "outer")
	b.mkdir(outer)
	b.git(outer, "init", "--quiet")
	b.git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", main, "inner")
	b.workspace = filepath.Join(outer, "inner")
	if got := len(use[logged](b, "git.log", nil).Commits); got != 4 {
		t.Errorf("submodule: %d commits, want 4", got)
	}
	const unknown = "the .git of the workspace names a repository that does not know of it"
	for name, gitFile := range map[string]string{
		"stolen-main":     "gitdir: " + filepath.Join(main, ".git"),
		"stolen-worktree": "gitdir: " + filepath.Join(main, ".git", "worktrees", "linked"),
	} {
		b.workspace = filepath.Join(dir, name)
		b.put(".git", gitFile)
		b.refuse("git.log", nil, gathering.KindForbidden, unknown)
	}
	b.workspace = filepath.Join(dir, "borrower")
	b.mkdir(b.workspace)
	b.git(b.workspace, "init", "--quiet", "--initial-branch=main")
	b.put(".git/commondir", filepath.Join(main, ".git"))
	if got := use[logged](b, "git.log", nil).subjects(); len(got) != 0 {
		t.Errorf("a repository borrowed the commits of another: %v", got)
	}
	b.workspace = filepath.Join(dir, "broken")
	b.put(".git", "gitdir: ../gone")
	b.refuse("git.log", nil, gathering.KindNotFound, "the workspace is not a git checkout: its .git names no directory that is there")
	b.workspace = filepath.Join(dir, "symlink")
	b.mkdir(b.workspace)
	b.link(filepath.Join(main, ".git"), ".git")
	b.refuse("git.log", nil, gathering.KindForbidden, "the .git of the workspace is a symbolic link, which is not followed")
}

// TestForeignOwner reads a checkout that belongs to another user, which git by
// itself refuses.
func TestForeignOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	b := newBench(t)
	b.history()
	err := filepath.WalkDir(b.workspace, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, 12345, 12345)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(use[logged](b, "git.log", nil).Commits); got != 4 {
		t.Errorf("%d commits, want 4", got)
	}
	if got := len(use[diffed](b, "git.diff", arguments{"from": "HEAD~3"}).Files); got != 4 {
		t.Errorf("%d files, want 4", got)
	}
}

// TestHostileRepository sets everything by which a repository can make git run
// a program. Each program writes a line into the canary file. More than one
// measure keeps git from most of them; that all hold together is what counts.
func TestHostileRepository(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	canary := filepath.Join(filepath.Dir(b.workspace), "canary")
	program := filepath.Join(filepath.Dir(b.workspace), "program")
	script := fmt.Sprintf("#!/bin/sh\necho \"$0 $*\" >> %s\n", canary)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	hashes := b.history()
	b.put("a.evil", "evil\n")
	b.put(".gitattributes", "* diff=evil filter=evil merge=evil\n")
	hashes = append(hashes, b.commit("fifth"))
	b.put("a.evil", "more evil\n")
	hashes = append(hashes, b.commit("sixth"))
	lost := b.git(b.workspace, "rev-parse", hashes[0]+":readme.md")
	b.put(".git/config", strings.ReplaceAll(hostileConfig, "PROGRAM", program))
	for _, hook := range []string{"post-index-change", "reference-transaction", "post-checkout", "fsmonitor-watchman", "pre-auto-gc"} {
		b.mkdir(filepath.Join(b.workspace, ".git", "hooks"))
		if err := os.WriteFile(filepath.Join(b.workspace, ".git", "hooks", hook), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// trapped proves that a trap works: git by itself falls into it.
	trapped := func(args ...string) {
		t.Helper()
		out, _ := b.tryGit(b.workspace, args...)
		if err := os.Remove(canary); err != nil {
			t.Errorf("git %v does not fall into the trap: %v\n%s", args, err, out)
		}
	}
	trapped("diff", "HEAD~1", "HEAD")
	trapped("diff", "--no-ext-diff", "HEAD~1", "HEAD")
	trapped("status")
	b.put(".git/config", strings.ReplaceAll(hostileConfig, "PROGRAM", program)+"[core]\n\tbare = true\n\tworktree = /\n[diff]\n\torderFile = /dev/tty\n")

	if got := len(use[logged](b, "git.log", arguments{"files": true}).Commits); got != 6 {
		t.Errorf("%d commits, want 6", got)
	}
	use[logged](b, "git.log", arguments{"path": "a.evil", "since": hashes[0]})
	got := use[diffed](b, "git.diff", arguments{"from": hashes[4]})
	if want := "--- a/a.evil\n+++ b/a.evil\n@@ -1 +1 @@\n-evil\n+more evil\n"; !strings.HasSuffix(got.Patch, want) {
		t.Errorf("patch\n%s\nwant it to end\n%s", got.Patch, want)
	}
	// A promisor repository fetches what it misses, over a transport of its choice.
	if err := os.Remove(filepath.Join(b.workspace, ".git", "objects", lost[:2], lost[2:])); err != nil {
		t.Fatal(err)
	}
	if ran, err := os.ReadFile(canary); err == nil {
		t.Errorf("the repository ran:\n%s", ran)
	}
	b.put(".git/config", strings.ReplaceAll(hostileConfig, "PROGRAM", program))
	_ = os.Remove(canary)
	trapped("-c", "core.fsmonitor=false", "diff-tree", "-p", "--no-ext-diff", "--no-textconv", hashes[0], "HEAD")
	b.refuse("git.diff", arguments{"from": hashes[0]}, gathering.KindUnavailable, "git cannot read the repository")
	if ran, err := os.ReadFile(canary); err == nil {
		t.Errorf("the repository ran:\n%s", ran)
	}
}

const hostileConfig = `
[core]
	repositoryformatversion = 1
	fsmonitor = PROGRAM
	pager = PROGRAM
	editor = PROGRAM
	askPass = PROGRAM
	sshCommand = PROGRAM
	gitProxy = PROGRAM
	alternateRefsCommand = PROGRAM
	hooksPath = hooks
[extensions]
	partialClone = origin
[remote "origin"]
	url = ext::PROGRAM
	promisor = true
	partialclonefilter = blob:none
	uploadpack = PROGRAM
	proxy = PROGRAM
[protocol]
	allow = always
[protocol "ext"]
	allow = always
[protocol "file"]
	allow = always
[alias]
	log = !PROGRAM
	diff-tree = !PROGRAM
	rev-parse = !PROGRAM
[pager]
	log = PROGRAM
	diff = PROGRAM
	diff-tree = PROGRAM
[diff]
	external = PROGRAM
	noprefix = true
	context = 0
	submodule = diff
	relative = false
[diff "evil"]
	command = PROGRAM
	textconv = PROGRAM
	cachetextconv = true
[filter "evil"]
	clean = PROGRAM
	smudge = PROGRAM
	process = PROGRAM
	required = true
[merge "evil"]
	driver = PROGRAM
[log]
	showSignature = true
	follow = true
	decorate = full
	date = relative
	diffMerges = on
[gpg]
	program = PROGRAM
[gpg "ssh"]
	program = PROGRAM
[credential]
	helper = !PROGRAM
[color]
	ui = always
[interactive]
	diffFilter = PROGRAM
[format]
	pretty = hostile
`

// TestSignedCommits does not verify signatures with a program the repository names.
func TestSignedCommits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hashes := b.history()
	canary := filepath.Join(filepath.Dir(b.workspace), "canary")
	program := filepath.Join(filepath.Dir(b.workspace), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n: > "+canary+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	raw := strings.Replace(b.git(b.workspace, "cat-file", "commit", hashes[3]), "\n\n",
		"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n AAAA\n -----END PGP SIGNATURE-----\n\n", 1)
	b.put("signed", raw+"\n")
	signed := b.git(b.workspace, "hash-object", "-t", "commit", "-w", "signed")
	b.git(b.workspace, "update-ref", "HEAD", signed)
	b.git(b.workspace, "config", "gpg.program", program)
	b.git(b.workspace, "config", "log.showSignature", "true")
	b.git(b.workspace, "log", "-1")
	if err := os.Remove(canary); err != nil {
		t.Fatalf("the trap does not work: %v", err)
	}
	if got := len(use[logged](b, "git.log", nil).Commits); got != 4 {
		t.Errorf("%d commits, want 4", got)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("the repository ran a program")
	}
}

// slowGit lets the tools use a git that starts a child and waits for it. It
// returns the file that then tells the child's process.
func (b *bench) slowGit() (started string) {
	b.Helper()
	dir := filepath.Dir(b.workspace)
	started = filepath.Join(dir, "started")
	binary := filepath.Join(dir, "slow-git")
	script := "#!/bin/sh\n/bin/sleep 600 &\necho $! > " + started + ".new\n/bin/mv " + started + ".new " + started + "\nwait\n"
	if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
		b.Fatal(err)
	}
	b.build(builtin.Options{Git: binary})
	return started
}

// TestCancelKillsTheGroup ends a git that hangs, and what it started.
func TestCancelKillsTheGroup(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.history()
	started := b.slowGit()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.raw(ctx, "git.log", nil)
		done <- err
	}()
	child := b.await(started, func(content string) bool { return strings.HasSuffix(content, "\n") })
	cancel()
	if err := <-done; gathering.KindOf(err) != gathering.KindCancelled {
		t.Errorf("got %v, want cancelled", err)
	}
	b.await("/proc/"+strings.TrimSpace(child)+"/stat", func(content string) bool {
		return content == "" || strings.Contains(content, ") Z ")
	})
}

// await reads a file until its content, "" where it is not there, is as wanted.
func (b *bench) await(name string, wanted func(content string) bool) string {
	b.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		content, _ := os.ReadFile(name)
		if wanted(string(content)) {
			return string(content)
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.Fatalf("%s still holds %q", name, content)
		}
	}
}

func TestNoGit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.history()
	b.build(builtin.Options{Git: filepath.Join(b.out, "git")})
	b.refuse("git.log", nil, gathering.KindUnavailable, "git cannot be started")
}

func TestDamagedRepository(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.history()
	b.put(".git/config", "[core\n")
	b.refuse("git.log", nil, gathering.KindUnavailable, "git cannot read the repository")
}

func TestConcurrentGit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.history()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if got := len(use[logged](b, "git.log", nil).Commits); got != 4 {
				t.Errorf("%d commits, want 4", got)
			}
			use[diffed](b, "git.diff", arguments{"from": "HEAD~2"})
		})
	}
	group.Wait()
}

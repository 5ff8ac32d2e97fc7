package builtin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"syscall"
	"time"

	"gathering"
	"gathering/internal/tool"
)

// Bounds of what is asked of git and taken from it.
const (
	maxRevision  = 256     // bytes of a revision
	maxComplaint = 4 << 10 // bytes kept of what git says on standard error
	maxHash      = 1 << 10 // bytes of a resolved revision
	gitWaitDelay = 2 * time.Second
)

// git runs the git binary.
type git struct {
	binary string
	trees  *trees
}

// repository is a checkout opened for one call.
type repository struct {
	checkout
	binary    string
	workspace string // where git is started: top, or a directory below it
}

// open finds the repository that the call's workspace belongs to, and refuses
// one by which git would read what is not its own.
func (g *git) open(ctx context.Context, call tool.Call) (*repository, error) {
	dir, err := workspace(call)
	if err != nil {
		return nil, err
	}
	found, err := findCheckout(dir)
	if err != nil {
		return nil, err
	}
	binary := g.binary
	if binary == "" {
		if binary, err = exec.LookPath("git"); err != nil {
			return nil, gathering.NewError(gathering.KindUnavailable, "git is not installed").WithCause(err)
		}
	}
	repo := &repository{found, binary, dir}
	if err := repo.inspect(ctx); err != nil {
		return nil, err
	}
	return repo, nil
}

// paths returns the pathspec arguments that limit git to a path as it was
// given, and to the workspace where that is only a part of the checkout.
func (r *repository) paths(given string) ([]string, error) {
	name, inOut, err := split(given)
	switch {
	case err != nil:
		return nil, err
	case inOut:
		return nil, invalid("path", "must be in the workspace; out/ has no history")
	case name == "." && r.workspace == r.top:
		return nil, nil
	}
	return []string{"--", path.Clean(name)}, nil
}

// environment is all that git sees of the process around it. No setting of the
// user or the machine applies, nothing is asked of a terminal, no protocol is
// allowed, and the repository is named, so that git neither looks for one nor
// minds who owns it. There is no index: by one, git takes a file of the work
// tree, wherever a link in its path leads, for what was committed.
func (r *repository) environment() []string {
	return []string{
		"GIT_DIR=" + r.gitDir,
		"GIT_COMMON_DIR=" + r.common,
		"GIT_WORK_TREE=" + r.top,
		"GIT_INDEX_FILE=/nonexistent/index",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_NO_LAZY_FETCH=1",
		"GIT_ALLOW_PROTOCOL=none",
		"GIT_LITERAL_PATHSPECS=1",
		"GIT_PAGER=cat",
		"HOME=/nonexistent",
		"PATH=/nonexistent",
		"LC_ALL=C",
	}
}

// settings override those of the repository that name programs or files, or
// that change what is printed.
func settings() []string {
	return []string{
		"--no-pager", "--no-optional-locks",
		"-c", "core.fsmonitor=false",
		"-c", "core.hooksPath=/dev/null",
		"-c", "core.attributesFile=/dev/null",
		"-c", "core.quotePath=false",
		"-c", "core.sshCommand=false",
		"-c", "protocol.allow=never",
		"-c", "credential.helper=",
		"-c", "gc.auto=0",
		"-c", "maintenance.auto=false",
		"-c", "diff.orderFile=/dev/null",
		"-c", "diff.submodule=short",
		"-c", "log.showSignature=false",
		"-c", "log.follow=false",
		"-c", "format.pretty=medium",
		"-c", "gpg.program=false",
	}
}

// output is what a git command printed, cut off at a limit.
type output struct {
	data      []byte
	truncated bool
}

// run runs a git command and returns its standard output up to limit bytes.
// A command that prints more is killed. An exit status other than 0 is
// KindUnavailable with the *exec.ExitError in its chain.
func (r *repository) run(ctx context.Context, limit int, arguments ...string) (output, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stdout := &bounded{limit: limit, full: func() { stop(errFull) }}
	stderr := &bounded{limit: maxComplaint, full: func() {}}
	cmd := exec.CommandContext(ctx, r.binary, append(settings(), arguments...)...) //nolint:gosec // no shell; revisions are resolved hashes, paths follow "--"
	cmd.Dir = r.workspace
	cmd.Env = r.environment()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = gitWaitDelay
	err := cmd.Run()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errFull):
		return output{stdout.buffer.Bytes(), true}, nil
	case err == nil:
		return output{stdout.buffer.Bytes(), false}, nil
	case cause != nil:
		return output{}, fmt.Errorf("run git %s: %w", arguments[0], cause)
	case cmd.ProcessState == nil:
		return output{}, gathering.NewError(gathering.KindUnavailable, "git cannot be started").WithCause(err)
	}
	return output{}, gathering.NewError(gathering.KindUnavailable, "git cannot read the repository").
		WithCause(fmt.Errorf("run git %s: %w: %s", arguments[0], err, stderr.buffer.Bytes()))
}

var errFull = errors.New("git printed more than is kept")

// bounded keeps the first bytes written to it, and calls full when there are more.
type bounded struct {
	buffer bytes.Buffer
	limit  int
	full   func()
}

func (b *bounded) Write(data []byte) (int, error) {
	if room := b.limit - b.buffer.Len(); len(data) > room {
		b.buffer.Write(data[:room])
		b.full()
	} else {
		b.buffer.Write(data)
	}
	return len(data), nil
}

// commit resolves a revision as the named argument gives it to the hash of a commit.
func (r *repository) commit(ctx context.Context, argument, revision string) (string, error) {
	switch {
	case strings.HasPrefix(revision, "-"):
		return "", invalid(argument, `must be a revision; it must not begin with "-"`)
	case len(revision) > maxRevision:
		return "", invalid(argument, "is too long")
	case revision == "" || strings.ContainsFunc(revision, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", invalid(argument, "must be a revision, such as a branch, a tag or a hash")
	}
	out, err := r.run(ctx, maxHash, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return "", fault(gathering.KindNotFound, argument, "names no commit of the repository").WithCause(err)
	}
	if err != nil {
		return "", err
	}
	hash := strings.TrimSpace(string(out.data))
	if !regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`).MatchString(hash) {
		return "", invalid(argument, "must name one commit, not a range")
	}
	return hash, nil
}

// text is what git printed as valid UTF-8.
func text(printed string) string { return strings.ToValidUTF8(printed, "\uFFFD") }

package builtin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gathering"
	"gathering/internal/tool"
)

// Bounds of what is given to the file tools.
const (
	maxPath    = 4096 // bytes of a path
	maxPattern = 1024 // bytes of a glob or a regular expression
)

// outPrefix is how paths in the output directory begin.
const outPrefix = "out/"

// trees are the two trees that file tools see: the output directory, and the
// workspace of each call.
type trees struct {
	out    string
	hidden []string
}

// place is a path in an open tree. Close it.
type place struct {
	root   *os.Root
	name   string // within root, slash-separated; "." is the top
	prefix string // what its root's names begin with for the caller
	// resolved is the absolute path without symbolic links, "" where there is none.
	resolved string
	hidden   []string
}

func (p *place) Close() { _ = p.root.Close() }

// shown is the path of a name in p's tree as the caller writes it.
func (p *place) shown(name string) string { return path.Join(p.prefix, name) }

// split checks a path as it was given and returns what it is within the output
// directory, where inOut is true, or within the workspace.
func split(given string) (name string, inOut bool, err error) {
	name = path.Clean(given)
	switch {
	case len(given) > maxPath:
		return "", false, invalid("path", "is too long")
	case strings.ContainsFunc(given, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", false, invalid("path", "must not contain control characters")
	case path.IsAbs(given) || filepath.IsAbs(given):
		return "", false, fault(gathering.KindForbidden, "path", "must be relative to the workspace, or begin with out/")
	case strings.Contains("/"+given+"/", "/../") || !filepath.IsLocal(name):
		return "", false, fault(gathering.KindForbidden, "path", `must not contain ".."`)
	case insideGit(name):
		return "", false, fault(gathering.KindForbidden, "path", "must not lead into .git; git.log and git.diff tell the history")
	case name == "out":
		return ".", true, nil
	}
	name, inOut = strings.CutPrefix(name, outPrefix)
	return name, inOut, nil
}

// insideGit reports whether a path has a component that git, on some file
// system, takes for its own.
func insideGit(name string) bool {
	for part := range strings.SplitSeq(filepath.ToSlash(name), "/") {
		if strings.EqualFold(part, ".git") {
			return true
		}
	}
	return false
}

// open finds the place of a path in the call's trees.
func (t *trees) open(call tool.Call, given string) (*place, error) {
	name, inOut, err := split(given)
	if err != nil {
		return nil, err
	}
	if inOut {
		return t.openOut(name)
	}
	dir, err := workspace(call)
	if err != nil {
		return nil, err
	}
	p := &place{name: name, hidden: hiddenIn(dir, t.hidden)}
	if err := p.guard(dir); err != nil {
		return nil, err
	}
	if p.root, err = os.OpenRoot(dir); err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the workspace cannot be opened").WithCause(err)
	}
	return p, nil
}

func (t *trees) openOut(name string) (*place, error) {
	if t.out == "" {
		return nil, gathering.NewError(gathering.KindUnavailable, "there is no output directory, so out/ does not exist")
	}
	root, err := os.OpenRoot(t.out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault(gathering.KindNotFound, "path", "does not exist; nothing was written under out/ yet").WithCause(err)
	}
	if err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the output directory cannot be opened").WithCause(err)
	}
	return &place{root: root, name: name, prefix: outPrefix}, nil
}

// workspace returns the call's workspace with symbolic links resolved.
func workspace(call tool.Call) (string, error) {
	if call.Workspace == "" {
		return "", gathering.NewError(gathering.KindUnavailable,
			"the run has no workspace: runs that a service starts have none, gathering run has its --workspace")
	}
	dir, err := filepath.EvalSymlinks(call.Workspace)
	if err == nil && !filepath.IsAbs(dir) {
		err = errors.New("it is not absolute")
	}
	if err != nil {
		return "", gathering.NewError(gathering.KindUnavailable, "the workspace cannot be opened").WithCause(err)
	}
	return dir, nil
}

// hiddenIn returns those of the hidden directories that lie below dir, as
// paths without symbolic links.
func hiddenIn(dir string, hidden []string) []string {
	var inside []string
	for _, h := range hidden {
		resolved, err := filepath.EvalSymlinks(h)
		if err == nil && resolved != dir && within(dir, resolved) {
			inside = append(inside, resolved)
		}
	}
	return inside
}

// within reports whether name is dir or lies below it. Both are absolute and clean.
func within(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && filepath.IsLocal(rel)
}

// guard refuses a place that symbolic links lead into .git or a hidden
// directory. That a name leads nowhere, or out of the tree, its root reports.
func (p *place) guard(dir string) error {
	resolved, err := filepath.EvalSymlinks(filepath.Join(dir, filepath.FromSlash(p.name)))
	if err == nil {
		p.resolved = resolved
	}
	if rel, err := filepath.Rel(dir, p.resolved); err == nil && insideGit(rel) {
		return fault(gathering.KindForbidden, "path", "must not lead into .git; git.log and git.diff tell the history")
	}
	if p.hides(p.resolved) {
		return fault(gathering.KindForbidden, "path", "must not lead into the service's own data")
	}
	return nil
}

// hides reports whether an absolute path without symbolic links is hidden.
func (p *place) hides(name string) bool {
	return slices.ContainsFunc(p.hidden, func(dir string) bool { return within(dir, name) })
}

// openFile opens the regular file at p for reading. It never waits for the
// other end of a pipe and never opens a device that stays one.
func (p *place) openFile() (*os.File, error) {
	info, err := p.root.Stat(p.name)
	if err != nil {
		return nil, pathFault(err)
	}
	if err := mustBeRegular(info); err != nil {
		return nil, err
	}
	file, err := p.root.OpenFile(p.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, pathFault(err)
	}
	info, err = file.Stat()
	if err == nil {
		err = mustBeRegular(info)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func mustBeRegular(info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return invalid("path", "must name a file; it is a directory")
	case !info.Mode().IsRegular():
		return fault(gathering.KindForbidden, "path", "must name a regular file, not a pipe, socket or device")
	}
	return nil
}

// pathFault turns an error of the file system into one about the path argument.
func pathFault(err error) error {
	for _, known := range []struct {
		is      error
		kind    gathering.Kind
		problem string
	}{
		{fs.ErrNotExist, gathering.KindNotFound, "does not exist"},
		{fs.ErrPermission, gathering.KindForbidden, "may not be used by this process"},
		{syscall.ENAMETOOLONG, gathering.KindInvalid, "is too long"},
		{syscall.ELOOP, gathering.KindInvalid, "leads through too many symbolic links"},
		{syscall.ENOTDIR, gathering.KindInvalid, "leads through a file as if it were a directory"},
		{syscall.EISDIR, gathering.KindInvalid, "must name a file; it is a directory"},
		{fs.ErrExist, gathering.KindInvalid, "must name a file; it is a directory"},
		{syscall.ENOSPC, gathering.KindUnavailable, "cannot be written; the disk is full"},
		{syscall.EDQUOT, gathering.KindUnavailable, "cannot be written; the disk quota is used up"},
		{syscall.EROFS, gathering.KindUnavailable, "cannot be written; the file system is read-only"},
	} {
		if errors.Is(err, known.is) {
			return fault(known.kind, "path", known.problem).WithCause(err)
		}
	}
	// What a root refuses by itself comes without an error number.
	if _, numbered := errors.AsType[syscall.Errno](err); !numbered {
		return fault(gathering.KindForbidden, "path", "leads out of its tree by a symbolic link").WithCause(err)
	}
	return fmt.Errorf("use path: %w", err)
}

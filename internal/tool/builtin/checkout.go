package builtin

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"gathering"
)

// maxLink bounds a file by which git points to a directory, in bytes.
const maxLink = 4096

// checkout is a git work tree and where git keeps its data. All three are
// absolute and without symbolic links.
type checkout struct {
	top    string // the work tree
	gitDir string // its own data: HEAD, index
	common string // what it shares with other work trees of the repository: objects, branches
	// module: another repository keeps its data, whose settings must name top.
	module bool
}

// findCheckout returns the checkout that dir lies in: that of dir itself or of
// the nearest directory above it. dir is absolute and without symbolic links.
//
// A ".git" that sends git elsewhere is followed only where the other side
// confirms it, so that a directory somebody else made cannot open a repository
// that has nothing to do with it.
func findCheckout(dir string) (checkout, error) {
	for top := dir; ; top = filepath.Dir(top) {
		dotGit := filepath.Join(top, ".git")
		info, err := os.Lstat(dotGit)
		switch {
		case err != nil:
		case info.IsDir() && isFile(filepath.Join(dotGit, "HEAD")):
			return checkout{top: top, gitDir: dotGit, common: dotGit}, nil
		case info.Mode().IsRegular():
			return linkedCheckout(top)
		case info.Mode()&os.ModeSymlink != 0:
			return checkout{}, gathering.NewError(gathering.KindForbidden,
				"the .git of the workspace is a symbolic link, which is not followed")
		}
		if top == filepath.Dir(top) {
			return checkout{}, gathering.NewError(gathering.KindNotFound, "the workspace is not a git checkout")
		}
	}
}

// linkedCheckout returns the checkout at top, whose .git is a file naming the
// directory where its data is.
func linkedCheckout(top string) (checkout, error) {
	dotGit := filepath.Join(top, ".git")
	target, ok := strings.CutPrefix(readLink(dotGit), "gitdir:")
	gitDir, err := filepath.EvalSymlinks(absolute(top, strings.TrimSpace(target)))
	if !ok || err != nil {
		return checkout{}, gathering.NewError(gathering.KindNotFound,
			"the workspace is not a git checkout: its .git names no directory that is there").WithCause(err)
	}
	back, err := filepath.EvalSymlinks(absolute(gitDir, readLink(filepath.Join(gitDir, "gitdir"))))
	worktrees := filepath.Dir(gitDir)
	if err == nil && back == dotGit && filepath.Base(worktrees) == "worktrees" {
		return checkout{top: top, gitDir: gitDir, common: filepath.Dir(worktrees)}, nil
	}
	if amongModules(top, gitDir) {
		return checkout{top: top, gitDir: gitDir, common: gitDir, module: true}, nil
	}
	return checkout{}, errUnknown(err)
}

// errUnknown says that a .git names what does not name it.
func errUnknown(cause error) error {
	return gathering.NewError(gathering.KindForbidden,
		"the .git of the workspace names a repository that does not know of it").WithCause(cause)
}

// amongModules reports whether gitDir is where a repository around top keeps
// the data of its submodules.
func amongModules(top, gitDir string) bool {
	for dir := filepath.Dir(top); ; dir = filepath.Dir(dir) {
		if modules := filepath.Join(dir, ".git", "modules"); within(modules, gitDir) && isFile(filepath.Join(gitDir, "HEAD")) {
			return true
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

func absolute(base, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(base, name)
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// readLink returns the trimmed text of a small regular file, "" where there is none.
func readLink(name string) string {
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return ""
	}
	defer root.Close()
	file, err := (&place{root: root, name: filepath.Base(name)}).openFile()
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxLink))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

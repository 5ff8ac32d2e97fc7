package builtin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"gathering"
)

// Bounds of what is looked at before git is.
const (
	maxGitNames = 500_000 // names in a git directory
	maxSettings = 1 << 20 // bytes of the settings of a repository
)

// inspect refuses a repository by which git would tell what is in files
// elsewhere: those that links lead to, and those of repositories it borrows
// objects from. Settings that name files or programs are overridden; those that
// its configuration includes from elsewhere are no more than it can set itself.
// It also has a submodule's repository confirm its work tree.
//
// Whoever may change a repository while it is read can read what it links to.
func (r *repository) inspect(ctx context.Context) error {
	if err := refuseLinks(ctx, r.common); err != nil {
		return err
	}
	for _, name := range []string{"alternates", "http-alternates"} {
		info, err := os.Lstat(filepath.Join(r.common, "objects", "info", name))
		if err == nil && info.Size() > 0 {
			return gathering.NewError(gathering.KindForbidden,
				"the repository of the workspace borrows objects from another (objects/info/%s), which is not read", name)
		}
	}
	if !r.module {
		return nil
	}
	worktree := ""
	for _, name := range []string{filepath.Join(r.common, "config"), filepath.Join(r.gitDir, "config.worktree")} {
		set, err := r.settingsIn(ctx, name)
		if err != nil {
			return err
		}
		for _, s := range set {
			if s.name == "core.worktree" {
				worktree = s.value
			}
		}
	}
	top, err := filepath.EvalSymlinks(absolute(r.gitDir, worktree))
	if err != nil || top != r.top {
		return errUnknown(err)
	}
	return nil
}

// refuseLinks refuses a git directory in which something that git may read is
// neither a file nor a directory.
func refuseLinks(ctx context.Context, dir string) error {
	names := 0
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name) // which lies below it
		if err := ended(ctx); err != nil {
			return err
		}
		names++
		switch {
		case errors.Is(err, fs.ErrNotExist): // git has removed it since
			return nil
		case err != nil:
			return gathering.NewError(gathering.KindUnavailable, "git cannot read the repository").WithCause(err)
		case names > maxGitNames:
			return gathering.NewError(gathering.KindTooLarge,
				"the .git of the workspace holds more than %d files; pack them with git gc", maxGitNames)
		case unread(filepath.ToSlash(rel)):
			return skip(entry)
		case entry.Type()&^(fs.ModeDir|fs.ModeSocket) != 0:
			return gathering.NewError(gathering.KindForbidden,
				"the .git of the workspace is not read: %q in it is a symbolic link, a pipe or a device", rel)
		}
		return nil
	})
}

// unread reports whether git, telling a history, never reads a name in a git
// directory, which may then be anything: programs, other repositories' data,
// what belongs to other tools. No name of git's own begins with a dot.
func unread(name string) bool {
	for _, pattern := range []string{"hooks", "modules", "worktrees/*/modules", "lfs", "annex"} {
		if matched, _ := path.Match(pattern, name); matched {
			return true
		}
	}
	return name != "." && strings.HasPrefix(path.Base(name), ".")
}

// setting is what a configuration file sets.
type setting struct{ name, value string }

// settingsIn reads a configuration file without what it includes. One that is
// not there sets nothing.
func (r *repository) settingsIn(ctx context.Context, file string) ([]setting, error) {
	if !isFile(file) {
		return nil, nil
	}
	// Run in no repository, git reads this file alone.
	none := &repository{checkout{top: r.top, gitDir: os.DevNull, common: os.DevNull}, r.binary, r.workspace}
	listed, err := none.run(ctx, maxSettings, "config", "--file", file, "--no-includes", "--null", "--list")
	if err != nil {
		return nil, err
	}
	if listed.truncated {
		return nil, gathering.NewError(gathering.KindTooLarge,
			"the configuration of the repository is over the limit of %d bytes", maxSettings)
	}
	var set []setting
	for line := range strings.SplitSeq(strings.TrimSuffix(string(listed.data), "\x00"), "\x00") {
		name, value, _ := strings.Cut(line, "\n")
		set = append(set, setting{name, value})
	}
	return set, nil
}

package builtin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Bounds of one walk.
const (
	maxVisited    = 100_000 // names looked at
	maxUnreadable = 20      // unreadable names told
)

// walk goes through what is below a place, in the order of the names, without
// following symbolic links and without .git, what is hidden, and a workspace's
// own "out".
type walk struct {
	glob      glob
	recursive bool
	// visit is called for each name that the glob matches. fs.SkipAll ends
	// the walk.
	visit func(root *os.Root, f found) error

	visited    int
	truncated  bool
	unreadable []string
}

// found is something that a walk came upon.
type found struct {
	name  string // within the walk's root
	shown string // as the caller writes it
	entry fs.DirEntry
}

// run walks from p. Only a start that cannot be read is an error; what else
// cannot be read is told in unreadable.
func (w *walk) run(ctx context.Context, p *place) error {
	info, err := p.root.Stat(p.name)
	if err != nil {
		return pathFault(err)
	}
	if !info.IsDir() {
		err := w.visit(p.root, found{p.name, p.shown(p.name), fs.FileInfoToDirEntry(info)})
		if errors.Is(err, fs.SkipAll) {
			return nil
		}
		return err
	}
	root, err := p.root.OpenRoot(p.name)
	if err != nil {
		return pathFault(err)
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		f := found{name, p.shown(path.Join(p.name, name)), entry}
		if err := ended(ctx); err != nil {
			return err
		}
		switch {
		case err != nil && name == ".":
			return pathFault(err)
		case err != nil || !utf8.ValidString(name):
			return w.unread(f)
		case name == ".":
			return nil
		}
		return w.step(p, root, f)
	})
}

// step visits one name below the start and says whether to go deeper.
func (w *walk) step(p *place, root *os.Root, f found) error {
	if w.visited++; w.visited > maxVisited {
		w.truncated = true
		return fs.SkipAll
	}
	if p.skips(f) {
		return skip(f.entry)
	}
	if w.glob.match(f.name) {
		if err := w.visit(root, f); err != nil {
			return err
		}
	}
	if !w.recursive {
		return skip(f.entry)
	}
	return nil
}

// skips reports whether a walk from p leaves f out.
func (p *place) skips(f found) bool {
	return strings.EqualFold(path.Base(f.name), ".git") ||
		p.prefix == "" && f.shown == "out" ||
		p.hides(filepath.Join(p.resolved, filepath.FromSlash(f.name)))
}

// skip goes on without what is below entry.
func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func (w *walk) unread(f found) error {
	if len(w.unreadable) < maxUnreadable {
		w.unreadable = append(w.unreadable, strings.ToValidUTF8(f.shown, "\uFFFD"))
	}
	return skip(f.entry)
}

// ended returns why ctx ended, and nil while it has not.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

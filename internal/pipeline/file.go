package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gathering"
	"gathering/internal/definition"
)

// maxFile bounds a pipeline file in bytes; the checker refuses it sooner.
const maxFile = 4 << 20

// Files loads pipeline files and, first, the files that they refer to. It
// reads nothing outside the directory of the file it is asked for.
type Files struct {
	Checker *definition.Checker
	// Save stores a checked definition. Nil only checks.
	Save func(ctx context.Context, def *gathering.Definition) error
}

// Load checks, and with Save stores, the definition in a file and those it
// refers to, each once. Faults in the file itself are [definition.Faults].
func (f *Files) Load(ctx context.Context, path string) (*gathering.Definition, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer dir.Close()
	l := &loading{Files: f, dir: dir, loaded: make(map[string]loaded), names: make(map[string]string)}
	def, err := l.load(filepath.Base(path), nil)
	if err != nil || f.Save == nil {
		return def, err
	}
	for _, d := range l.definitions {
		if err := f.Save(ctx, d); err != nil {
			return nil, err
		}
	}
	return def, nil
}

// loading is one load under way.
type loading struct {
	*Files

	dir    *os.Root
	loaded map[string]loaded // by file: those that others refer to
	names  map[string]string // by the name of a pipeline: its file
	// definitions are those without faults, children before their parents.
	// Nothing is stored before all of them are known to be right.
	definitions []*gathering.Definition
}

// loaded is what came of a file: the name of its pipeline or an error.
type loaded struct {
	name string
	err  error
}

// load loads one file; above are those whose loading led to it.
func (l *loading) load(name string, above []string) (*gathering.Definition, error) {
	data, err := read(l.dir, name)
	if err != nil {
		return nil, err
	}
	trail := append(slices.Clone(above), name)
	checker := *l.Checker
	checker.File = func(path string) (string, error) {
		return l.child(trail, path)
	}
	def, err := checker.Load(data)
	if err != nil {
		return nil, err
	}
	if other, taken := l.names[def.Name]; taken {
		return nil, gathering.NewError(gathering.KindInvalid, "%s and %s both define the pipeline %q", other, name, def.Name)
	}
	l.names[def.Name] = name
	l.definitions = append(l.definitions, def)
	return def, nil
}

// child loads the file that the last one of the trail refers to by path.
func (l *loading) child(trail []string, path string) (string, error) {
	name := filepath.Clean(filepath.Join(filepath.Dir(trail[len(trail)-1]), path))
	if i := slices.Index(trail, name); i >= 0 {
		return "", gathering.NewError(gathering.KindInvalid, "the files refer to one another: %s",
			strings.Join(append(slices.Clone(trail[i:]), name), " → "))
	}
	known, ok := l.loaded[name]
	if !ok {
		def, err := l.load(name, trail)
		if err != nil {
			known.err = err
		} else {
			known.name = def.Name
		}
		l.loaded[name] = known
	}
	if faults, ok := errors.AsType[definition.Faults](known.err); ok {
		return "", gathering.NewError(gathering.KindInvalid, "%s has faults of its own, such as %s", path, faults[0].Text(name))
	}
	return known.name, known.err
}

func read(dir *os.Root, name string) ([]byte, error) {
	// Without O_NONBLOCK, opening a named pipe would wait for somebody to write to it.
	file, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, gathering.NewError(gathering.KindInvalid, "%s is not a file", name).WithCause(err)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if len(data) > maxFile {
		return nil, gathering.NewError(gathering.KindTooLarge, "%s is over the limit of %d bytes", name, maxFile)
	}
	return data, nil
}

func unreadable(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return gathering.NewError(gathering.KindNotFound, "there is no file %s", name).WithCause(err)
	}
	return gathering.NewError(gathering.KindInvalid, "%s cannot be read: %v", name, rootCause(err))
}

// rootCause is what the operating system said, without the paths around it.
func rootCause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%w", p.Err)
	}
	return err
}

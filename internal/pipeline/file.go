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
// refers to. Faults in the file itself are [definition.Faults].
func (f *Files) Load(ctx context.Context, path string) (*gathering.Definition, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer dir.Close()
	return f.load(ctx, dir, filepath.Base(path), nil)
}

// load loads one file; above are those whose loading led to it.
func (f *Files) load(ctx context.Context, dir *os.Root, name string, above []string) (*gathering.Definition, error) {
	data, err := read(dir, name)
	if err != nil {
		return nil, err
	}
	trail := append(slices.Clone(above), name)
	checker := *f.Checker
	checker.File = func(path string) (string, error) {
		child := filepath.Clean(filepath.Join(filepath.Dir(name), path))
		if i := slices.Index(trail, child); i >= 0 {
			return "", gathering.NewError(gathering.KindInvalid, "the files refer to one another: %s",
				strings.Join(append(slices.Clone(trail[i:]), child), " → "))
		}
		def, err := f.load(ctx, dir, child, trail)
		if faults, ok := errors.AsType[definition.Faults](err); ok {
			return "", gathering.NewError(gathering.KindInvalid, "%s has faults of its own, such as %s", path, faults[0].Text(child))
		}
		if err != nil {
			return "", err
		}
		return def.Name, nil
	}
	def, err := checker.Load(data)
	if err != nil || f.Save == nil {
		return def, err
	}
	return def, f.Save(ctx, def)
}

func read(dir *os.Root, name string) ([]byte, error) {
	file, err := dir.Open(name)
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

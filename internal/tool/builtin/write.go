package builtin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"gathering"
	"gathering/internal/tool"
)

type writeInput struct {
	Path string `json:"path" jsonschema:"The file to write, beginning with out/. Directories are made as needed."`
	Text string `json:"text" jsonschema:"Everything the file is to hold. What it held before is replaced."`
}

type writeOutput struct {
	Path string `json:"path"`
	Size int    `json:"size" jsonschema:"Bytes written"`
}

func (t *trees) writeTool() (tool.Tool, error) {
	return tool.New(gathering.ToolSpec{
		Name:        "files.write",
		Description: "Writes a text file below out/, replacing it whole if it is there.",
		SideEffect:  true,
		Idempotent:  true,
		Timeout:     gathering.Duration(time.Minute),
	}, t.write)
}

func (t *trees) write(ctx context.Context, _ tool.Call, in writeInput) (writeOutput, error) {
	name, inOut, err := split(in.Path)
	switch {
	case err != nil:
		return writeOutput{}, err
	case !inOut:
		return writeOutput{}, fault(gathering.KindForbidden, "path", "must begin with out/; everything else is read-only")
	case name == "." || strings.HasSuffix(in.Path, "/"):
		return writeOutput{}, invalid("path", "must name a file; it is a directory")
	case t.out == "":
		return writeOutput{}, gathering.NewError(gathering.KindUnavailable, "there is no output directory to write to")
	}
	root, err := makeRoot(t.out)
	if err != nil {
		return writeOutput{}, err
	}
	defer root.Close()
	dir := path.Dir(name)
	if err := makeParents(root, dir); err != nil {
		return writeOutput{}, pathFault(err)
	}
	if err := ended(ctx); err != nil {
		return writeOutput{}, err
	}
	if err := replace(root, name, []byte(in.Text)); err != nil {
		return writeOutput{}, pathFault(err)
	}
	return writeOutput{outPrefix + name, len(in.Text)}, nil
}

// makeRoot opens the output directory, which the first write makes.
func makeRoot(dir string) (*os.Root, error) {
	err := os.MkdirAll(dir, 0o750)
	if err == nil {
		var root *os.Root
		if root, err = os.OpenRoot(dir); err == nil {
			return root, nil
		}
	}
	return nil, gathering.NewError(gathering.KindUnavailable, "the output directory cannot be used").WithCause(err)
}

// makeParents makes dir and what is above it, each durable in its parent.
func makeParents(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	switch info, err := root.Stat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := makeParents(root, path.Dir(dir)); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o750); err != nil && !isDir(root, dir) {
		return err
	}
	return syncDir(root, path.Dir(dir))
}

func isDir(root *os.Root, name string) bool {
	info, err := root.Stat(name)
	return err == nil && info.IsDir()
}

// replace makes data the content of name. Whoever reads name, also after a
// crash, finds all of the old content or all of the new.
func replace(root *os.Root, name string, data []byte) error {
	dir := path.Dir(name)
	temporary := path.Join(dir, ".writing-"+rand.Text())
	if err := writeNew(root, temporary, data); err != nil {
		return errors.Join(err, remove(root, temporary))
	}
	if err := root.Rename(temporary, name); err != nil {
		return errors.Join(err, remove(root, temporary))
	}
	return syncDir(root, dir)
}

func writeNew(root *os.Root, name string, data []byte) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
}

func remove(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove temporary file: %w", err)
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(root *os.Root, dir string) error {
	file, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

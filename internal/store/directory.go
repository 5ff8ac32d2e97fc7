package store

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gathering"
)

const lockFile = "lock"

// Holder is the process that holds a data directory.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// directory is a data directory held by this process: a kernel lock on the file
// DIR/lock, which ends with the process however it ends, and which no child
// inherits. The file's content is for people; the lock alone counts.
type directory struct {
	file *os.File
}

// holdDirectory makes the directory if need be and takes its lock.
func holdDirectory(ctx context.Context, o Options) (*directory, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the data directory cannot be made").WithCause(err)
	}
	file, err := os.OpenFile(filepath.Join(o.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the data directory cannot be written").WithCause(err)
	}
	if err := lockPatiently(ctx, file); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, gathering.NewError(gathering.KindUnavailable, "the data directory cannot be locked").WithCause(err)
		}
		h := readHolder(file)
		return nil, gathering.NewError(gathering.KindConflict, "the data directory is held by pid %d (%s) since %s",
			h.PID, h.Command, h.Since.Format(time.RFC3339)).WithCode(gathering.CodeDirectoryHeld)
	}
	d := &directory{file: file}
	if err := d.sign(o.Command); err != nil {
		d.release()
		return nil, gathering.NewError(gathering.KindUnavailable, "the data directory cannot be written").WithCause(err)
	}
	return d, nil
}

// lockPatiently tries for a tenth of a second, because [HolderOf] and a process
// that is just ending hold the lock for a moment.
func lockPatiently(ctx context.Context, file *os.File) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for tries := 1; ; tries++ {
		err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || tries == 10 {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// sign writes into the lock file who holds it.
func (d *directory) sign(command string) error {
	if command == "" {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		command = filepath.Base(program)
	}
	text, err := json.Marshal(Holder{PID: os.Getpid(), Command: command, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := d.file.Truncate(0); err != nil {
		return err
	}
	_, err = d.file.WriteAt(append(text, '\n'), 0)
	return err
}

func (d *directory) release() { _ = d.file.Close() }

// readHolder reads who holds the lock; nothing is known of one that is just
// writing it.
func readHolder(file *os.File) Holder {
	var h Holder
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 4096))
	if err == nil {
		_ = json.Unmarshal(text, &h)
	}
	return h
}

// HolderOf tells which process holds the data directory, if one does.
func HolderOf(dir string) (Holder, bool, error) {
	file, err := os.Open(filepath.Join(dir, lockFile)) //nolint:gosec // the directory is the operator's choice
	if errors.Is(err, fs.ErrNotExist) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, gathering.NewError(gathering.KindUnavailable, "the data directory cannot be read").WithCause(err)
	}
	defer file.Close()
	err = flock(file, syscall.LOCK_SH|syscall.LOCK_NB)
	switch {
	case err == nil:
		return Holder{}, false, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return readHolder(file), true, nil
	}
	return Holder{}, false, gathering.NewError(gathering.KindUnavailable, "the data directory's lock cannot be read").WithCause(err)
}

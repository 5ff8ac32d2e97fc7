package audit

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"gathering"
)

// Anchor is the file beside the keys that holds the last seal that was seen
// from here. It shows that seals were cut off at the end of the trail. Where a
// database takes the place of another, restored from a backup or moved, whoever
// does that removes the file.
type Anchor struct {
	Dir string // the data directory
}

const anchorFile = "audit.anchor"

// anchored is what the file holds of a seal; the zero value is of none.
type anchored struct {
	Seal int64  `json:"seal"`
	Hash string `json:"hash"`
}

func (s seal) anchored() anchored {
	if s.number == 0 {
		return anchored{}
	}
	return anchored{s.number, s.hash()}
}

// write puts a seal in the place of the one before. The file is whole at any
// time; what others write at the same time is beside under another name.
func (a Anchor) write(at anchored) error {
	data, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("write the audit anchor: %w", err)
	}
	root, err := os.OpenRoot(a.Dir)
	if err != nil {
		return fmt.Errorf("write the audit anchor: %w", err)
	}
	defer root.Close()
	beside := "." + anchorFile + "." + rand.Text()
	err = writeFile(root, beside, append(data, '\n'))
	if err == nil {
		err = root.Rename(beside, anchorFile)
	}
	if err != nil {
		return fmt.Errorf("write the audit anchor: %w", errors.Join(err, root.RemoveAll(beside)))
	}
	return nil
}

func writeFile(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// read returns the zero value where there is none.
func (a Anchor) read() (anchored, error) {
	var at anchored
	root, err := os.OpenRoot(a.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("read the audit anchor: %w", err)
	}
	defer root.Close()
	data, err := root.ReadFile(anchorFile)
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("read the audit anchor: %w", err)
	}
	if err := json.Unmarshal(data, &at); err != nil || at.Seal < 1 {
		return at, gathering.NewError(gathering.KindConflict,
			"the file %s of the data directory is damaged: it cannot show whether the audit trail was cut; remove it to begin another", anchorFile).WithCause(err)
	}
	return at, nil
}

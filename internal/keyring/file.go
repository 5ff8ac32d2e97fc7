package keyring

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"gathering"
)

// File is the name of the file within a data directory that holds the ring.
const File = "keys.json"

// Variable is the environment variable that holds a ring instead of the file:
// root keys as ID:BASE64, separated by commas, the current one last.
const Variable = "GATHERING_KEYS"

// stored is the form of the file.
type stored struct {
	Keys []storedKey `json:"keys"`
}

type storedKey struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Secret    []byte    `json:"secret"` // in base64
}

// Parse reads a ring as [Variable] holds it. An error is of kind invalid and
// holds nothing of the keys.
func Parse(text string) (*Ring, error) {
	r := &Ring{}
	for part := range strings.SplitSeq(text, ",") {
		id, encoded, ok := strings.Cut(strings.TrimSpace(part), ":")
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil {
			return nil, invalid(Variable, "each key must be ID:BASE64")
		}
		r.keys = append(r.keys, key{id: id, secret: secret})
	}
	return r.checked(Variable)
}

func (r *Ring) checked(where string) (*Ring, error) {
	seen := make(map[string]bool)
	for _, k := range r.keys {
		if err := k.check(); err != nil {
			return nil, invalid(where, err.Error())
		}
		if seen[k.id] {
			return nil, invalid(where, "there are two keys "+k.id)
		}
		seen[k.id] = true
	}
	if len(r.keys) == 0 {
		return nil, invalid(where, "there is no key")
	}
	return r, nil
}

func invalid(where, problem string) error {
	return gathering.NewError(gathering.KindInvalid, "the keys in %s cannot be used", where).
		WithFields(gathering.FieldError{Field: where, Problem: problem})
}

// Open reads the ring of a data directory. Where there is none it makes one
// that is on disk when Open returns; the directory too, for its owner alone.
func Open(dir string, now time.Time) (*Ring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unreadable(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	defer root.Close()
	r, err := read(root)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r = New(now)
	err = r.write(root, root.Link)
	if errors.Is(err, fs.ErrExist) { // another process was first; what it made lasts as well from here on
		if err := syncDirectory(root); err != nil {
			return nil, unreadable(err)
		}
		return read(root)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	return r, nil
}

// Replace puts the ring in the place of the one in a data directory. Either
// the one or the other is on disk, whatever happens meanwhile.
func (r *Ring) Replace(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return unreadable(err)
	}
	defer root.Close()
	if err := r.write(root, root.Rename); err != nil {
		return unreadable(err)
	}
	return nil
}

func unreadable(err error) error {
	return gathering.NewError(gathering.KindUnavailable, "the keys in the data directory cannot be read or made").WithCause(err)
}

const maxFile = 1 << 20 // bytes

func read(root *os.Root) (*Ring, error) {
	f, err := root.Open(File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, invalid(File, "others than its owner may read it: chmod 600 it")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, unreadable(err)
	}
	var s stored
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&s)
	if _, end := decoder.Token(); err != nil || !errors.Is(end, io.EOF) {
		return nil, invalid(File, "it is damaged; put back the one of the backup")
	}
	r := &Ring{}
	for _, k := range s.Keys {
		r.keys = append(r.keys, key{id: k.ID, created: k.CreatedAt, secret: k.Secret})
	}
	return r.checked(File)
}

// write writes a file beside and moves it to its place, durably. What others
// write at the same time, in this process too, is beside under another name.
func (r *Ring) write(root *os.Root, move func(from, to string) error) (err error) {
	var s stored
	for _, k := range r.keys {
		s.Keys = append(s.Keys, storedKey{k.id, k.created, k.secret})
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	beside := "." + File + "." + rand.Text()
	defer func() {
		if removal := root.Remove(beside); !errors.Is(removal, fs.ErrNotExist) {
			err = errors.Join(err, removal)
		}
	}()
	if err := writeFile(root, beside, append(data, '\n')); err != nil {
		return err
	}
	if err := move(beside, File); err != nil {
		return err
	}
	return syncDirectory(root)
}

func writeFile(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDirectory has the names in a directory last.
func syncDirectory(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

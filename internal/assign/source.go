package assign

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"gathering"
)

// Source is where values come from that are not on the command line itself.
type Source struct {
	Stdin io.Reader
	Path  func(given string) string // of a file
}

// unreadable is the error of a file that cannot be read.
func unreadable(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return gathering.NewError(gathering.KindInvalid, "there is no file %s", path).WithCause(err)
	}
	return gathering.NewError(gathering.KindInvalid, "%s cannot be read", path).WithCause(err)
}

// Input is a run's input: the JSON given, or in a file or on standard input,
// with values set within it. Where nothing is given it is an empty object.
func (s Source) Input(given string, set []string) (json.RawMessage, error) {
	input, err := s.Text(given)
	if err != nil {
		return nil, err
	}
	if len(input) == 0 {
		input = []byte("{}")
	}
	if err := gathering.CheckJSON("input", input); err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return input, nil
	}
	value, err := Decode(input)
	if err != nil {
		return nil, err
	}
	for _, assignment := range set {
		path, text, ok := strings.Cut(assignment, "=")
		if !ok || path == "" {
			return nil, gathering.NewError(gathering.KindInvalid, "--set takes path=value, such as --set customer.name=Ada")
		}
		to, err := Value("--set "+path, text)
		if err != nil {
			return nil, err
		}
		if value, err = To(value, strings.Split(path, "."), to); err != nil {
			return nil, gathering.NewError(gathering.KindInvalid, "--set %s: %v", path, err).WithCause(err)
		}
	}
	return gathering.EncodeJSON(value)
}

// maxInput bounds what is read of a file that holds a value: the value, and
// some space around it.
const maxInput = gathering.MaxValueBytes + 64<<10

// Text is a text as it is given, or of the file that @ names.
func (s Source) Text(given string) ([]byte, error) {
	path, isFile := strings.CutPrefix(given, "@")
	if !isFile {
		return []byte(given), nil
	}
	reader, shown := s.Stdin, "standard input"
	if path != "-" {
		file, err := os.Open(s.Path(path))
		if err != nil {
			return nil, unreadable(path, err)
		}
		defer file.Close()
		reader, shown = file, path
	}
	data, err := io.ReadAll(io.LimitReader(reader, maxInput+1))
	if err != nil {
		return nil, unreadable(shown, err)
	}
	if len(data) > maxInput { // by how much is not known: the rest is not read
		return nil, gathering.NewError(gathering.KindTooLarge, "%s is longer than %d bytes", shown, gathering.MaxValueBytes)
	}
	return bytes.TrimSpace(data), nil
}

// Vars are the overrides of a pipeline's variables.
func (s Source) Vars(given []string) (map[string]json.RawMessage, error) {
	vars := make(map[string]json.RawMessage, len(given))
	for _, assignment := range given {
		name, text, ok := strings.Cut(assignment, "=")
		if !ok || name == "" {
			return nil, gathering.NewError(gathering.KindInvalid, "--var takes name=value, such as --var threshold=7")
		}
		value, err := Value("--var "+name, text)
		if err != nil {
			return nil, err
		}
		if vars[name], err = gathering.EncodeJSON(value); err != nil {
			return nil, err
		}
	}
	return vars, nil
}

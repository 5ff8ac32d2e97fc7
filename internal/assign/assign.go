// Package assign sets values within JSON, as a command line gives them:
// path=value.
package assign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"gathering"
)

// Value is the value that text stands for: as JSON, or else itself.
func Value(field, text string) (any, error) {
	if !json.Valid([]byte(text)) {
		return text, nil
	}
	if err := gathering.CheckJSON(field, []byte(text)); err != nil {
		return nil, err
	}
	return Decode([]byte(text))
}

// To sets what path leads to within value and returns the whole. Objects
// are made on the way; an item of a list must be there, or be the next one.
func To(value any, path []string, to any) (any, error) {
	if len(path) == 0 {
		return to, nil
	}
	key := path[0]
	switch within := value.(type) {
	case nil:
		return To(map[string]any{}, path, to)
	case map[string]any:
		inner, err := To(within[key], path[1:], to)
		within[key] = inner
		return within, err
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i > len(within) {
			return nil, fmt.Errorf("%q is no place in a list of %d", key, len(within))
		}
		if i == len(within) {
			within = append(within, nil)
		}
		within[i], err = To(within[i], path[1:], to)
		return within, err
	default:
		return nil, fmt.Errorf("there is no %q in a value that is neither an object nor a list", key)
	}
}

// Decode reads JSON and keeps numbers as they are written.
func Decode(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return value, nil
}

package engine

import (
	"encoding/json"
	"fmt"

	"gathering"
)

// encodeData writes an event's data as compact JSON, leaving <, > and & in
// strings as they are: what a node was given comes back as it was written.
func encodeData(data any) (json.RawMessage, error) {
	raw, err := gathering.EncodeJSON(data)
	if err != nil {
		return nil, fmt.Errorf("encode event data: %w", err)
	}
	if string(raw) == "{}" {
		return nil, nil
	}
	return raw, nil
}

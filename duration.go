package gathering

import (
	"encoding/json"
	"time"
)

// Duration is a span of time that is written as Go writes it: "90s", "1h30m".
type Duration time.Duration

// MarshalJSON writes d as a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads a string such as "500ms". A bare number is refused,
// because nobody can tell its unit.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return NewError(KindInvalid, `a duration is a string with a unit, such as "30s"`)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return NewError(KindInvalid, `a duration is a number with a unit, such as "500ms", "30s" or "1h30m"`)
	}
	*d = Duration(parsed)
	return nil
}

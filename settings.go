package gathering

import "encoding/json"

// EventSettingsUpdated tells, in the stream "settings", that an administrator
// set something. Its data is SettingsChangedData.
const EventSettingsUpdated EventType = "settings.updated"

// SettingsChangedData says what is set after a change.
type SettingsChangedData struct {
	Settings json.RawMessage `json:"settings"`
	By       string          `json:"by"`
}

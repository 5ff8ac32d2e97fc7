package gathering

import (
	"encoding/json"
	"time"
)

// The types of live deltas. They are names as those of events are, but no event
// has one of them.
const (
	DeltaText     EventType = "delta.text"     // a model goes on with its text
	DeltaTool     EventType = "delta.tool"     // a model asks for a tool, or a call of one begins or ends
	DeltaProgress EventType = "delta.progress" // how far something has come
	DeltaTyping   EventType = "delta.typing"   // somebody is writing
)

// Delta is a piece of what is going on right now, for those who watch. It is
// never stored and may be lost on its way; what came of it is in the log.
type Delta struct {
	Type   EventType `json:"type"`
	Stream string    `json:"stream"` // whose log will tell what came of it: a run's ID, say
	// Node, Item and Attempt say which node it concerns, which item of a map
	// (nil outside one) and which attempt, counted from 1.
	Node    string `json:"node,omitempty"`
	Item    *int   `json:"item,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	// Key names what the delta tells the state of: a later one with the same key
	// makes it worthless, and may come in its place. A delta without a key is
	// one of a series of which each counts.
	Key  string          `json:"key,omitempty"`
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data,omitempty"`
}

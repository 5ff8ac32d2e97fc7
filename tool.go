package gathering

import "encoding/json"

// ToolSpec describes a tool to models, definitions and people.
type ToolSpec struct {
	Name        string          `json:"name"` // "files.read"
	Description string          `json:"description"`
	Input       json.RawMessage `json:"input_schema"`            // JSON Schema, draft 2020-12
	Output      json.RawMessage `json:"output_schema,omitempty"` // likewise
	// SideEffect: it changes something outside the run.
	SideEffect bool `json:"side_effect,omitempty"`
	// Idempotent: calling it twice with the same arguments does no more than
	// calling it once. A tool without side effects is idempotent.
	Idempotent bool     `json:"idempotent,omitempty"`
	Timeout    Duration `json:"timeout,omitzero"` // 0 is none beside the node's
}

package agent

import (
	"charm.land/fantasy"
)

// DeltaKind says what a [Delta] is about.
type DeltaKind string

// The kinds of delta.
const (
	DeltaText      DeltaKind = "text"      // the model goes on with its text
	DeltaReasoning DeltaKind = "reasoning" // the model goes on thinking
	DeltaAsked     DeltaKind = "asked"     // the model writes a call of a tool
	DeltaCalled    DeltaKind = "called"    // a call of a tool begins
	DeltaReturned  DeltaKind = "returned"  // a call of a tool has ended, in whatever way
)

// Delta is a piece of what an agent does, while it does it. Deltas are for
// watching: what counts is what is recorded.
type Delta struct {
	Kind DeltaKind
	Turn int // from 1
	// Try counts the model calls of the turn, from 1. What came of an earlier
	// try of the same turn is void: that call failed.
	Try   int
	Model string // the reference of who is asked, for text, reasoning and asked
	Text  string // the piece, for text and reasoning
	Tool  string // the tool's own name, for the others
	Step  string // the key of the step, for called and returned
	// Failed says that a call that returned did not succeed.
	Failed bool
}

// tell passes a delta on. Deltas do not overlap.
func (c *conversation) tell(d Delta) {
	if c.task.Delta == nil {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	c.task.Delta(d)
}

// hearing turns the parts of a stream into deltas.
type hearing struct {
	conversation *conversation
	turn, try    int
	model        string
	any          bool // something came
}

func (h *hearing) part(part fantasy.StreamPart) {
	h.any = true
	d := Delta{Turn: h.turn, Try: h.try, Model: h.model, Text: part.Delta}
	switch part.Type {
	case fantasy.StreamPartTypeTextDelta:
		d.Kind = DeltaText
	case fantasy.StreamPartTypeReasoningDelta:
		d.Kind = DeltaReasoning
	case fantasy.StreamPartTypeToolInputStart:
		d.Kind, d.Tool, d.Text = DeltaAsked, h.conversation.tools.ownName(part.ToolCallName), ""
	default:
		return
	}
	if d.Text == "" && d.Kind != DeltaAsked {
		return
	}
	h.conversation.tell(d)
}

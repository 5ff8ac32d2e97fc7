package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"gathering"
)

// decodeData gives an event's data the type that goes with the event's type,
// or nil for an event without data.
func decodeData(e gathering.Event) (any, error) {
	data, err := dataFor(e.Type)
	if err != nil || len(e.Data) == 0 {
		return data, err
	}
	if err := json.Unmarshal(e.Data, data); err != nil {
		return nil, fmt.Errorf("decode %s %d of %s: %w", e.Type, e.Seq, e.Stream, err)
	}
	return data, nil
}

func dataFor(t gathering.EventType) (any, error) {
	switch t {
	case gathering.EventRunQueued:
		return &gathering.RunQueuedData{}, nil
	case gathering.EventRunPaused:
		return &gathering.RunPausedData{}, nil
	case gathering.EventRunWaiting:
		return &gathering.RunWaitingData{}, nil
	case gathering.EventRunResumed:
		return &gathering.RunResumedData{}, nil
	case gathering.EventRunCancelling:
		return &gathering.RunCancellingData{}, nil
	case gathering.EventRunCompleted, gathering.EventRunFailed, gathering.EventRunCancelled,
		gathering.EventRunTimedOut, gathering.EventRunBudgetExhausted:
		return &gathering.RunEndedData{}, nil
	case gathering.EventNodeStarted:
		return &gathering.NodeStartedData{}, nil
	case gathering.EventNodeCompleted:
		return &gathering.NodeCompletedData{}, nil
	case gathering.EventNodeFailed, gathering.EventNodeUnknown:
		return &gathering.NodeFailedData{}, nil
	case gathering.EventNodeRetrying:
		return &gathering.NodeRetryingData{}, nil
	case gathering.EventNodeStopping:
		return &gathering.NodeStoppingData{}, nil
	case gathering.EventNodeDecided:
		return &gathering.NodeDecidedData{}, nil
	case gathering.EventNodeSkipped:
		return &gathering.NodeSkippedData{}, nil
	case gathering.EventNodeWaiting:
		return &gathering.NodeWaitingData{}, nil
	case gathering.EventStepModel, gathering.EventStepTool:
		return &gathering.Step{}, nil
	case gathering.EventRunStarted, gathering.EventNodeCancelled, gathering.EventNodeAbandoned:
		return nil, nil //nolint:nilnil // these events carry no data
	default:
		return nil, fmt.Errorf("decode event: no type %q", t)
	}
}

// tidy makes the values in an event's data what the log will have, so that the
// live state is the same as one that is folded.
func tidy(data any) {
	switch d := data.(type) {
	case *gathering.RunQueuedData:
		d.Input = compact(d.Input)
		vars := maps.Clone(d.Vars)
		for name, value := range vars {
			vars[name] = compact(value)
		}
		d.Vars = vars
	case *gathering.RunEndedData:
		d.Output = compact(d.Output)
	case *gathering.NodeStartedData:
		d.Input = compact(d.Input)
	case *gathering.NodeCompletedData:
		d.Output = compact(d.Output)
	case *gathering.NodeFailedData:
		d.Output = compact(d.Output)
	case *gathering.Step:
		d.Result = compact(d.Result)
	}
}

func compact(value json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if len(value) == 0 || json.Compact(&b, value) != nil || b.Len() == len(value) {
		return value
	}
	return b.Bytes()
}

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

package gathering

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
)

// RunData gives the data of an event of a run the type that goes with the
// event's type, a pointer, or nil for an event that has none. The error says
// that it is no event of a run, or damaged.
func (e Event) RunData() (any, error) {
	data, err := dataOf(e.Type)
	if err != nil || len(e.Data) == 0 {
		return data, err
	}
	if err := json.Unmarshal(e.Data, data); err != nil {
		return nil, fmt.Errorf("decode %s %d of %s: %w", e.Type, e.Seq, e.Stream, err)
	}
	return data, nil
}

func dataOf(t EventType) (any, error) {
	switch t {
	case EventRunQueued:
		return &RunQueuedData{}, nil
	case EventRunPaused:
		return &RunPausedData{}, nil
	case EventRunWaiting:
		return &RunWaitingData{}, nil
	case EventRunResumed:
		return &RunResumedData{}, nil
	case EventRunCancelling:
		return &RunCancellingData{}, nil
	case EventRunCompleted, EventRunFailed, EventRunCancelled,
		EventRunTimedOut, EventRunBudgetExhausted:
		return &RunEndedData{}, nil
	case EventNodeStarted:
		return &NodeStartedData{}, nil
	case EventNodeCompleted:
		return &NodeCompletedData{}, nil
	case EventNodeFailed, EventNodeUnknown:
		return &NodeFailedData{}, nil
	case EventNodeRetrying:
		return &NodeRetryingData{}, nil
	case EventNodeStopping:
		return &NodeStoppingData{}, nil
	case EventNodeDecided:
		return &NodeDecidedData{}, nil
	case EventNodeSkipped:
		return &NodeSkippedData{}, nil
	case EventNodeWaiting:
		return &NodeWaitingData{}, nil
	case EventStepModel, EventStepTool:
		return &Step{}, nil
	case EventRunStarted, EventNodeCancelled, EventNodeAbandoned:
		return nil, nil //nolint:nilnil // these events carry no data
	default:
		return nil, fmt.Errorf("decode event: no type %q", t)
	}
}

// CompactRunData makes the values in an event's data what the log will have, so that the
// live state is the same as one that is folded.
func CompactRunData(data any) {
	switch d := data.(type) {
	case *RunQueuedData:
		d.Input = compact(d.Input)
		vars := maps.Clone(d.Vars)
		for name, value := range vars {
			vars[name] = compact(value)
		}
		d.Vars = vars
	case *RunEndedData:
		d.Output = compact(d.Output)
	case *NodeStartedData:
		d.Input = compact(d.Input)
	case *NodeCompletedData:
		d.Output = compact(d.Output)
	case *NodeFailedData:
		d.Output = compact(d.Output)
	case *Step:
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

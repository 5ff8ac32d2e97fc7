package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"gathering"
)

// steps are the recorded steps of a task, by key.
type steps struct {
	done    map[string]gathering.Step
	intents map[string]bool
}

func readSteps(recorded []gathering.Step) steps {
	s := steps{done: map[string]gathering.Step{}, intents: map[string]bool{}}
	for _, step := range recorded {
		if step.Phase == gathering.StepIntent {
			s.intents[step.Key] = true
			continue
		}
		s.done[step.Key] = step
	}
	return s
}

// find returns the recorded step of the given key. A step that was recorded
// for another request belongs to another conversation: going on with it would
// mix two, and asking again would do something twice.
func (s steps) find(key, request string) (step gathering.Step, found bool, err error) {
	step, found = s.done[key]
	if found && step.Request != request {
		return gathering.Step{}, false, gathering.NewError(gathering.KindInternal,
			"step %s was recorded for another request; it can be neither used nor made again", key)
	}
	return step, found, nil
}

// unknown reports whether the step may have been made without a record of it.
func (s steps) unknown(key string) bool {
	_, done := s.done[key]
	return s.intents[key] && !done
}

// record makes a step that has happened durable, also when ctx has ended.
func (c *conversation) record(ctx context.Context, step gathering.Step) error {
	if err := c.task.Record(context.WithoutCancel(ctx), step); err != nil {
		return fmt.Errorf("record step %s: %w", step.Key, err)
	}
	return nil
}

// digest is the SHA-256 of the parts, each in its own bounds, in hex.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// canonical writes JSON with sorted keys and without space. What is no JSON
// stays as it is.
func canonical(text string) string {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return text
	}
	if _, err := decoder.Token(); err != io.EOF {
		return text
	}
	data, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return string(data)
}

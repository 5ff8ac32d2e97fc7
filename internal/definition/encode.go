package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"gathering"
)

// Encode writes a definition in its canonical form: compact JSON in the layout
// of a file, with nodes in their order, the fields of their kinds flat, all
// edges in one list, and without what is default. Equal definitions give equal
// bytes. It returns an error for a definition that cannot have been loaded.
func Encode(def *gathering.Definition) ([]byte, error) {
	var w objectWriter
	w.add("name", def.Name)
	if def.Description != "" {
		w.add("description", def.Description)
	}
	if len(def.Vars) > 0 {
		w.add("vars", def.Vars)
	}
	if len(def.InputSchema) > 0 {
		w.add("input_schema", def.InputSchema)
	}
	if def.Timeout != 0 {
		w.add("timeout", def.Timeout)
	}
	if def.Concurrency != nil {
		w.add("concurrency", def.Concurrency)
	}
	if len(def.Agents) > 0 {
		w.add("agents", def.Agents)
	}
	var nodes objectWriter
	for i := range def.Nodes {
		node, err := encodeNode(&def.Nodes[i])
		if err != nil {
			return nil, fmt.Errorf("encode node %s: %w", def.Nodes[i].ID, err)
		}
		nodes.add(def.Nodes[i].ID, node)
	}
	document, err := nodes.bytes()
	if err != nil {
		return nil, fmt.Errorf("encode nodes: %w", err)
	}
	w.add("nodes", json.RawMessage(document))
	if len(def.Edges) > 0 {
		w.add("edges", def.Edges)
	}
	if len(def.Output) > 0 {
		w.add("output", def.Output)
	}
	return w.bytes()
}

func encodeNode(n *gathering.Node) (json.RawMessage, error) {
	var w objectWriter
	w.add("kind", n.Kind)
	if n.Name != "" {
		w.add("name", n.Name)
	}
	for _, key := range sortedKeys(n.Config) {
		if isCommon(key) {
			return nil, errors.New("its config has a field that every kind has")
		}
		w.add(key, n.Config[key])
	}
	if n.Retry != nil {
		w.add("retry", encodeRetry(n.Retry))
	}
	if n.Timeout != 0 {
		w.add("timeout", n.Timeout)
	}
	if n.TotalTimeout != 0 {
		w.add("total_timeout", n.TotalTimeout)
	}
	if n.OnError != "" && n.OnError != gathering.OnErrorFail {
		w.add("on_error", n.OnError)
	}
	if len(n.Fallback) > 0 {
		w.add("fallback", n.Fallback)
	}
	if n.Idempotent != nil {
		w.add("idempotent", *n.Idempotent)
	}
	if n.OnUnknown != "" && n.OnUnknown != gathering.OnUnknownAsk {
		w.add("on_unknown", n.OnUnknown)
	}
	if n.OnOpen != "" && n.OnOpen != gathering.OnOpenWait {
		w.add("on_open", n.OnOpen)
	}
	if n.Position != nil {
		w.add("position", n.Position)
	}
	return w.bytes()
}

// retryDocument is a retry without what is default.
type retryDocument struct {
	MaxAttempts  int                 `json:"max_attempts"`
	InitialDelay *gathering.Duration `json:"initial_delay,omitempty"`
	Factor       *float64            `json:"factor,omitempty"`
	MaxDelay     *gathering.Duration `json:"max_delay,omitempty"`
	Jitter       *float64            `json:"jitter,omitempty"`
	On           []gathering.Kind    `json:"on,omitempty"`
}

func encodeRetry(r *gathering.Retry) retryDocument {
	usual := gathering.DefaultRetry()
	document := retryDocument{MaxAttempts: r.MaxAttempts}
	if r.InitialDelay != usual.InitialDelay {
		document.InitialDelay = &r.InitialDelay
	}
	if r.Factor != usual.Factor {
		document.Factor = &r.Factor
	}
	if r.MaxDelay != usual.MaxDelay {
		document.MaxDelay = &r.MaxDelay
	}
	if r.Jitter != usual.Jitter {
		document.Jitter = &r.Jitter
	}
	if !slices.Equal(r.On, usual.On) {
		document.On = r.On
	}
	return document
}

// objectWriter writes a JSON object member by member.
type objectWriter struct {
	b   bytes.Buffer
	err error
}

func (w *objectWriter) add(key string, v any) {
	if w.err != nil {
		return
	}
	if w.b.Len() > 0 {
		w.b.WriteByte(',')
	}
	writeText(&w.b, key)
	w.b.WriteByte(':')
	e := json.NewEncoder(&w.b)
	e.SetEscapeHTML(false)
	if w.err = e.Encode(v); w.err == nil {
		w.b.Truncate(w.b.Len() - 1) // the line feed that Encode adds
	}
}

func (w *objectWriter) bytes() ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	document := make([]byte, 0, w.b.Len()+2)
	document = append(document, '{')
	document = append(document, w.b.Bytes()...)
	return append(document, '}'), nil
}

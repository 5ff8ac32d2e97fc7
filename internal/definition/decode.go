package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"gathering"
)

// Decode reads what [Encode] wrote. It trusts the document: it is for stored
// definitions, which were checked before they were stored.
func Decode(document []byte) (*gathering.Definition, error) {
	var d struct {
		gathering.Definition
		Nodes nodeList `json:"nodes"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("decode definition: %w", err)
	}
	d.Definition.Nodes = d.Nodes
	return &d.Definition, nil
}

// DecodeNode reads a node without an ID, as [Encode] writes it: what a map
// does for each item. Like [Decode] it trusts the document.
func DecodeNode(document json.RawMessage) (gathering.Node, error) {
	var node nodeDocument
	if err := json.Unmarshal(document, &node); err != nil {
		return gathering.Node{}, fmt.Errorf("decode node: %w", err)
	}
	return gathering.Node(node), nil
}

// nodeList is the nodes of a document in their order.
type nodeList []gathering.Node

// UnmarshalJSON reads a mapping of IDs to nodes.
func (l *nodeList) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return errors.New("the nodes are no mapping")
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("read the ID of a node: %w", err)
		}
		id, _ := token.(string)
		var node nodeDocument
		if err := decoder.Decode(&node); err != nil {
			return fmt.Errorf("read node %s: %w", id, err)
		}
		node.ID = id
		*l = append(*l, gathering.Node(node))
	}
	return nil
}

// nodeDocument is one node of a document, with the fields of its kind flat.
type nodeDocument gathering.Node

// UnmarshalJSON takes the fields that every kind has; what is left is config.
func (n *nodeDocument) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("decode fields: %w", err)
	}
	var retry *gathering.Retry
	if fields["retry"] != nil {
		usual := gathering.DefaultRetry()
		retry = &usual
	}
	for name, target := range map[string]any{
		"kind": &n.Kind, "name": &n.Name, "retry": retry, "timeout": &n.Timeout,
		"total_timeout": &n.TotalTimeout, "on_error": &n.OnError, "fallback": &n.Fallback,
		"idempotent": &n.Idempotent, "on_unknown": &n.OnUnknown, "on_open": &n.OnOpen, "position": &n.Position,
	} {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, target); err != nil {
			return fmt.Errorf("decode field %s: %w", name, err)
		}
		delete(fields, name)
	}
	n.Retry = retry
	if len(fields) > 0 {
		n.Config = fields
	}
	return nil
}

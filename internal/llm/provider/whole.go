package provider

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
)

// restream lets a server that was asked for a stream and answers in one piece,
// because it knows no streams, have done so: the answer becomes a stream of one
// event. What is no answer stays as it is, for the library to refuse.
func (x *exchange) restream(response *http.Response) error {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	chat := x.format == FormatCompatible || x.format == FormatOpenAI
	if !x.stream || !chat || kind != "application/json" {
		return nil
	}
	document, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	switch {
	case x.fault != nil:
		return x.fault
	case err != nil:
		return err
	}
	x.line = nil
	if event, ok := eventOf(document); ok {
		document = event
		x.read(event)
		response.Header.Set("Content-Type", "text/event-stream")
	}
	response.Body = io.NopCloser(bytes.NewReader(document))
	return nil
}

// eventOf makes a whole chat completion the events of a stream.
func eventOf(document []byte) ([]byte, bool) {
	var answer map[string]json.RawMessage
	var choices []map[string]json.RawMessage
	if json.Unmarshal(document, &answer) != nil || json.Unmarshal(answer["choices"], &choices) != nil {
		return nil, false
	}
	for _, choice := range choices {
		var delta map[string]json.RawMessage
		if json.Unmarshal(choice["message"], &delta) != nil {
			return nil, false
		}
		var calls []map[string]json.RawMessage
		if len(delta["tool_calls"]) > 0 && json.Unmarshal(delta["tool_calls"], &calls) != nil {
			return nil, false
		}
		for i, call := range calls {
			call["index"] = encoded(i)
		}
		if len(calls) > 0 {
			delta["tool_calls"] = encoded(calls)
		}
		delete(choice, "message")
		choice["delta"] = encoded(delta)
	}
	answer["choices"] = encoded(choices)
	answer["object"] = encoded("chat.completion.chunk")
	return []byte("data: " + string(encoded(answer)) + "\n\ndata: [DONE]\n\n"), true
}

// encoded is the JSON of what holds only JSON and words.
func encoded(value any) json.RawMessage {
	data, err := json.Marshal(value)
	if err != nil {
		return json.RawMessage("null")
	}
	return data
}

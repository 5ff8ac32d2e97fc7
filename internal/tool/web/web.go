// Package web holds the tool that calls HTTP services, http.request.
//
// It connects through [safedial], so that no address leads into a private
// network that the operator has not listed. It makes each request once: to try
// again is for the node that calls it, and the kinds of its errors say whether
// that is of use.
//
//   - exhausted: status 429; unavailable: 408, 425 and 503, which say that
//     nothing was done, and a server that cannot be reached. A Retry-After is
//     told as a [gathering.DelayedError].
//   - unavailable, for a call that may be repeated: also every other status
//     from 500, a broken connection and no answer in time. Not timeout: that
//     would leave open to its caller whether it acted.
//   - unavailable with circuit_open, and a delay: the guard of the host let
//     nothing through.
//   - conflict with unknown_outcome, for any other call: the connection broke,
//     or the time was up, after the request may have been sent; a gateway
//     answered 502 or 504, which tells only that it did not hear the answer; a
//     redirect that followed the call failed.
//   - too_large with output_too_large: the body is over max_bytes.
//   - forbidden: the address is in a network that is not reached, or a
//     redirect that is not followed leads there.
//   - invalid: the arguments, any other status, and a body that is not the
//     JSON it claims to be. The call is over and repeating it is of no use.
//
// GET, HEAD, PUT and DELETE may be repeated unless the call declares otherwise.
package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"gathering"
	"gathering/internal/safedial"
	"gathering/internal/tool"
)

// Options say what the tools reach.
type Options struct {
	// Network is what may be dialled, and how. Its HeaderTimeout, MaxRedirects
	// and OneShot are chosen here.
	Network safedial.Options
	// Guard is asked before each request, also before each redirect that
	// follows one, as package breaker names hosts. It hears of
	// a failure where there is no answer or one with status 429 or from 500
	// that was not expected, but not of what happens while the body is read.
	// Nil lets everything through.
	Guard tool.Guard
}

// All returns every tool of the package.
func All(o Options) ([]tool.Tool, error) {
	network := o.Network
	network.HeaderTimeout, network.MaxRedirects, network.OneShot = maxTimeout, 0, false
	r := &requester{guard: o.Guard, kept: safedial.NewClient(network)}
	network.OneShot = true
	r.oneShot = safedial.NewClient(network)
	t, err := tool.New(gathering.ToolSpec{
		Name: "http.request",
		Description: "Makes one HTTP request and returns the answer: status, headers, and the body as JSON, " +
			"as text, or as base64 where it is neither. A status from 400 is an error unless expect_status lists it.",
		Input:      json.RawMessage(inputSchema),
		SideEffect: true,
	}, r.request)
	if err != nil {
		return nil, fmt.Errorf("make web tools: %w", err)
	}
	return []tool.Tool{requestTool{t}}, nil
}

// requestTool is http.request, of which the method decides whether a call is
// repeatable.
type requestTool struct{ tool.Tool }

// Repeatable implements [tool.Tool].
func (requestTool) Repeatable(arguments json.RawMessage) bool {
	var in struct {
		Method string `json:"method"`
	}
	if len(arguments) > 0 && json.Unmarshal(arguments, &in) != nil {
		return false
	}
	return repeatable(cmp.Or(in.Method, http.MethodGet))
}

// repeatable reports whether a method is idempotent (RFC 9110, section 9.2.2).
func repeatable(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}, method)
}

// requester makes requests: oneShot those that must not be sent twice, kept
// the others.
type requester struct {
	guard         tool.Guard
	kept, oneShot *http.Client
}

const inputSchema = `{
	"type": "object",
	"required": ["url"],
	"additionalProperties": false,
	"properties": {
		"method": {
			"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
			"description": "Default GET."
		},
		"url": {
			"type": "string",
			"description": "Absolute, http or https, without user name and password."
		},
		"headers": {
			"type": "object",
			"additionalProperties": {"type": "string"},
			"maxProperties": 64,
			"description": "Headers of the request. Content-Type is content_type; Idempotency-Key is made for POST and PATCH where it is not given."
		},
		"query": {
			"type": "object",
			"additionalProperties": {
				"type": ["string", "number", "boolean", "null", "array"],
				"items": {"type": ["string", "number", "boolean"]}
			},
			"description": "Added to the query of the url. A list is repeated, null is left out."
		},
		"body": {
			"description": "Sent as JSON. A string with a content_type is sent as it is. Null is no body."
		},
		"content_type": {
			"type": "string",
			"description": "Default application/json."
		},
		"timeout": {
			"type": "string",
			"description": "How long everything may take, up to 10m. Default 30s."
		},
		"max_bytes": {
			"type": "integer", "minimum": 1, "maximum": 10485760,
			"description": "How long the body may be, unpacked. Default 1048576."
		},
		"follow_redirects": {
			"type": "boolean",
			"description": "Default true: GET and HEAD follow redirects, others only 303. False makes a redirect the answer."
		},
		"expect_status": {
			"type": "array", "minItems": 1, "maxItems": 100,
			"items": {"type": "integer", "minimum": 200, "maximum": 599},
			"description": "The statuses that are no error. Default: those below 400."
		}
	}
}`

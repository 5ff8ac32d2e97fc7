package remote

import "net/http"

// NewVia returns a client of a service elsewhere that is reached by a transport.
func NewVia(transport http.RoundTripper) *Client {
	return &Client{base: "http://there", token: "gat_x", transport: transport, who: "the service at there", far: true}
}

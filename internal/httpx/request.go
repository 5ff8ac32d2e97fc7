package httpx

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"strings"
)

// requestIDHeader names a request, to proxies and in answers.
const requestIDHeader = "X-Request-ID"

// Bounds of request IDs that proxies give, in bytes.
const (
	minRequestID = 8
	maxRequestID = 64
)

type (
	requestIDKey struct{}
	recordKey    struct{}
)

// RequestID returns the ID of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithRequestID returns a context whose [RequestID] is id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// requestID returns the ID that a trusted proxy gave a request, if it has the
// form of one, and otherwise a new one.
func requestID(r *http.Request, proxies Proxies) string {
	if given := r.Header.Values(requestIDHeader); len(given) == 1 && validRequestID(given[0]) && proxies.Trusted(r) {
		return given[0]
	}
	return "req_" + rand.Text()
}

func validRequestID(id string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-"
	return len(id) >= minRequestID && len(id) <= maxRequestID && strings.Trim(id, alphabet) == ""
}

// Record is what becomes known of a request on its way inward and is told by
// its line in the access log. It belongs to the goroutine that serves the
// request.
type Record struct {
	// Address is the client's, see [Proxies.Client].
	Address netip.Addr
	// Route is the pattern of the route, such as "/api/v1/runs/{id}". It need
	// not be set where a [http.ServeMux] gets the request as [Log] passed it on.
	Route string
	// User is the ID of who asks, "" while nobody is signed in.
	User string
	// Cause is the error that the request ended with. [WriteProblem] sets it.
	Cause error

	answer *answer // nil outside of Log
	cut    bool    // the answer had begun when the cause came up
}

// RecordOf returns the record of the request that ctx belongs to. Without one
// it returns a record that nobody reads.
func RecordOf(ctx context.Context) *Record {
	if record, ok := ctx.Value(recordKey{}).(*Record); ok {
		return record
	}
	return &Record{}
}

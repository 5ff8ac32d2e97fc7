package httpx

import (
	"log/slog"
	"net/http"
	"time"
)

// What a client may take for its part, and how long its headers are at most.
const (
	headerTime     = 5 * time.Second
	bodyTime       = 30 * time.Second
	answerTime     = time.Minute
	idleTime       = 2 * time.Minute
	stuckTime      = 10 * time.Second
	maxHeaderBytes = 32 << 10
)

// NewServer returns a server that no slow client holds up. A request's header
// has to arrive in 5 s and its body 30 s after the request began; the answer
// has to be taken within a minute from its beginning. How long the handler
// thinks in between is its own affair. A handler whose answer takes longer sets
// the write deadline itself once it has begun, as a [Stream] does.
//
// The caller listens, serves and shuts down.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           bounded(handler),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       bodyTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		// A stream's own deadline cannot end a write that its connection is stuck in.
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: stuckTime},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		// Or it would answer OPTIONS * without asking the handler.
		DisableGeneralOptionsHandler: true,
	}
}

// bounded arms the deadline for writing of every answer. That for reading ends
// by itself when the body has arrived.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		arm := func() { _ = control.SetWriteDeadline(time.Now().Add(answerTime)) }
		defer arm() // for what is still to be written after the handler
		next.ServeHTTP(&answer{ResponseWriter: w, begin: arm}, r)
	})
}

package httpx

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"gathering"
)

// Log is the outermost handler. It gives every request an ID, which travels by
// context and is answered in X-Request-ID, and a [Record]; and it writes one
// line to the log when the request has ended: by whom, from where, which
// route, with what answer, how long. What is answered as an error of the
// service is logged with its cause, at error level; what is the client's, or
// was cancelled, at info.
//
// A panic is logged with its stack and answered as an internal error.
// [http.ErrAbortHandler] passes through. An answer that has begun when it
// fails, by a panic or by [WriteProblem], is cut off with its connection, so
// that nobody takes it for whole.
func Log(next http.Handler, logger *slog.Logger, proxies Proxies) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestID(r, proxies)
		e := &exchange{
			logger: logger,
			begun:  time.Now(),
			record: &Record{Address: proxies.Client(r), answer: &answer{ResponseWriter: w}},
		}
		ctx := context.WithValue(WithRequestID(r.Context(), id), recordKey{}, e.record)
		e.request = r.WithContext(ctx)
		w.Header().Set(requestIDHeader, id)
		defer func() {
			if e.end(recover()) {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(e.record.answer, e.request)
	})
}

// exchange is one request with its answer.
type exchange struct {
	logger  *slog.Logger
	begun   time.Time
	request *http.Request
	record  *Record
}

// end ends an exchange whose handler returned, or panicked with what is given.
// It reports whether the connection is to be cut off.
func (e *exchange) end(panicked any) (abort bool) {
	switch panicked {
	case nil:
	case http.ErrAbortHandler:
		e.record.cut = true
	default:
		e.logger.LogAttrs(e.request.Context(), slog.LevelError, "panic while a request was served",
			slog.String("request_id", RequestID(e.request.Context())),
			slog.String("panic", fmt.Sprint(panicked)),
			slog.String("stack", string(debug.Stack())))
		WriteProblem(e.record.answer, e.request, fmt.Errorf("panic: %v", panicked))
	}
	e.write()
	return e.record.cut
}

// write writes the line of the access log.
func (e *exchange) write() {
	ctx, answer, cause := e.request.Context(), e.record.answer, e.record.Cause
	status := answer.status
	if status == 0 && !e.record.cut {
		status = http.StatusOK // as the server answers then
	}
	bytes := answer.bytes
	if e.request.Method == http.MethodHead {
		bytes = 0 // the server sends none
	}
	attrs := []slog.Attr{
		slog.String("request_id", RequestID(ctx)),
		slog.String("method", gathering.Brief(e.request.Method)),
		e.where(status),
		slog.Int("status", status),
		slog.Int64("bytes", bytes),
		slog.Duration("duration", time.Since(e.begun)),
		slog.String("user", e.record.User),
		slog.String("address", e.address()),
	}
	if e.record.cut {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	level := slog.LevelInfo
	kind := gathering.KindOf(cause)
	if cause != nil {
		status = max(status, StatusOf(cause))
		attrs = append(attrs, slog.String("kind", string(kind)))
	}
	switch {
	case status >= http.StatusInternalServerError && kind != gathering.KindCancelled:
		level = slog.LevelError
		if cause != nil {
			attrs = append(attrs, slog.String("error", cause.Error()))
		}
	case cause != nil:
		attrs = append(attrs, slog.String("error", gathering.Brief(gathering.FailureOf(cause).Err().Public())))
	}
	e.logger.LogAttrs(ctx, level, "request", attrs...)
}

// where tells the route, or the path that led to none.
func (e *exchange) where(status int) slog.Attr {
	route := e.record.Route
	if route == "" {
		route = e.request.Pattern[strings.IndexByte(e.request.Pattern, ' ')+1:] // without the method
	}
	if route == "" || route == "/" && status == http.StatusNotFound {
		return slog.String("path", gathering.Brief(e.request.URL.Path))
	}
	return slog.String("route", route)
}

func (e *exchange) address() string {
	if !e.record.Address.IsValid() {
		return "local"
	}
	return e.record.Address.String()
}

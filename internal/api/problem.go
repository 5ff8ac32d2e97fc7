package api

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"gathering"
)

// Problem is an error as RFC 9457 writes it. It holds what the client may see
// and never a value that was sent.
type Problem struct {
	Type      string                 `json:"type"`
	Title     string                 `json:"title"`
	Status    int                    `json:"status"`
	Detail    string                 `json:"detail,omitempty"`
	Kind      gathering.Kind         `json:"kind"`
	Code      string                 `json:"code,omitempty"`
	RequestID string                 `json:"request_id"`
	Errors    []gathering.FieldError `json:"errors,omitempty"`
}

// fail answers with a problem document and logs what was not the client's fault.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		a.logger.ErrorContext(r.Context(), "request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.String("request_id", p.RequestID), slog.String("error", err.Error()))
	}
	data, err := json.Marshal(p)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(data, '\n')) // a client that is gone needs no answer
}

func problemOf(err error) Problem {
	f := gathering.FailureOf(err)
	p := Problem{
		Type: "about:blank", Status: statusOf(f.Kind), Detail: f.Message, Kind: f.Kind, Code: f.Code,
		RequestID: "req_" + rand.Text(), Errors: f.Fields,
	}
	p.Title = http.StatusText(p.Status)
	if f.Kind == gathering.KindInternal {
		p.Detail = "internal error; the log has the cause under the request ID"
		p.Code, p.Errors = "", nil
	}
	return p
}

func statusOf(kind gathering.Kind) int {
	switch kind {
	case gathering.KindInvalid:
		return http.StatusBadRequest
	case gathering.KindUnauthenticated:
		return http.StatusUnauthorized
	case gathering.KindForbidden:
		return http.StatusForbidden
	case gathering.KindNotFound:
		return http.StatusNotFound
	case gathering.KindConflict:
		return http.StatusConflict
	case gathering.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case gathering.KindExhausted:
		return http.StatusTooManyRequests
	case gathering.KindTimeout, gathering.KindCancelled, gathering.KindUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// readProblem turns a problem document back into the error it was made of.
func readProblem(status int, body []byte) error {
	var p Problem
	if json.Unmarshal(body, &p) != nil || p.Kind == "" {
		return gathering.NewError(gathering.KindUnavailable, "the process answered with status %d", status).
			WithCause(errors.New(http.StatusText(status)))
	}
	return &gathering.Error{Kind: p.Kind, Code: p.Code, Message: p.Detail, Fields: p.Errors}
}

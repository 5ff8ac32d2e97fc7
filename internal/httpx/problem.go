package httpx

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

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

// maxProblemErrors is how many faulty fields a problem document lists.
const maxProblemErrors = 100

// StatusOf returns the status that an error, not nil, is answered with.
func StatusOf(err error) int {
	switch gathering.KindOf(err) {
	case gathering.KindInvalid:
		if gathering.CodeOf(err) == gathering.CodeMethod {
			return http.StatusMethodNotAllowed
		}
		return http.StatusBadRequest
	case gathering.KindUnauthenticated:
		return http.StatusUnauthorized
	case gathering.KindForbidden:
		return http.StatusForbidden
	case gathering.KindNotFound:
		return http.StatusNotFound
	case gathering.KindConflict:
		if gathering.CodeOf(err) == gathering.CodePrecondition {
			return http.StatusPreconditionFailed
		}
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

// WriteProblem answers a request with a problem document and leaves the error
// to its [Record]. Of an internal error the document tells the request ID
// alone. An answer that has begun gets nothing more: [Log] cuts it off.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	record := RecordOf(r.Context())
	record.Cause = err
	if record.answer != nil && record.answer.status != 0 {
		record.cut = true
		return
	}
	p, more := ProblemOf(err, RequestID(r.Context()))
	body, failed := json.Marshal(p)
	if failed != nil {
		panic(failed) // every problem can be written
	}
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Disposition", "ETag", "Last-Modified"} {
		h.Del(name) // they were for the answer that is not given
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	maps.Copy(h, more)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}

// ProblemOf returns the problem document of an error in the request of an ID,
// and the headers that go with it.
func ProblemOf(err error, id string) (p Problem, header http.Header) {
	p, header = problemOf(err, id), http.Header{}
	switch p.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after := gathering.RetryAfter(err); after > 0 {
			header.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(after.Seconds())), 10))
		}
	}
	return p, header
}

func problemOf(err error, id string) Problem {
	f := gathering.FailureOf(err)
	p := Problem{
		Type: "about:blank", Status: StatusOf(err), Detail: f.Message, Kind: f.Kind, Code: f.Code,
		RequestID: id, Errors: f.Fields,
	}
	p.Title = http.StatusText(p.Status)
	if p.Status == http.StatusInternalServerError {
		p.Kind, p.Code, p.Errors = gathering.KindInternal, "", nil
		p.Detail = "internal error; the log has the cause under the request ID"
	}
	if n := len(p.Errors); n > maxProblemErrors {
		p.Errors = p.Errors[:maxProblemErrors]
		p.Detail += fmt.Sprintf(" (the first %d of %d faults are listed)", maxProblemErrors, n)
	}
	return p
}

// ReadProblem turns an answer that is no success back into the error it was
// made of, with the delay that it asks for. What is no problem document is
// KindUnavailable.
func ReadProblem(status int, header http.Header, body []byte) error {
	var p Problem
	if json.Unmarshal(body, &p) != nil || p.Kind == "" {
		message := fmt.Sprintf("the service answered with status %d", status)
		if to := header.Get("Location"); to != "" {
			message += ", which names another address: " + gathering.Brief(to)
		}
		return gathering.NewError(gathering.KindUnavailable, "%s", message).WithCause(errors.New(http.StatusText(status)))
	}
	err := &gathering.Error{Kind: p.Kind, Code: p.Code, Message: p.Detail, Fields: p.Errors}
	seconds, _ := strconv.Atoi(header.Get("Retry-After")) // one that is a date is of another's making
	return gathering.Delayed(err, time.Duration(seconds)*time.Second)
}

package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gathering"
	"gathering/internal/httpx"
)

// problem is an error on its way through the library that answers requests.
type problem struct {
	httpx.Problem

	header http.Header
}

// newProblem turns the error of a handler into what is answered, and leaves it to
// the record of the request.
func newProblem(ctx context.Context, err error) *problem {
	httpx.RecordOf(ctx).Cause = err
	p, header := httpx.ProblemOf(err, httpx.RequestID(ctx))
	return &problem{p, header}
}

// libraryProblem is what the library itself found wrong with a request. What it
// says of a value is left out: answers repeat none.
func libraryProblem(status int, message string, errs []error) *problem {
	kind := gathering.KindInvalid
	switch {
	case status == http.StatusRequestEntityTooLarge:
		kind = gathering.KindTooLarge
	case status >= http.StatusInternalServerError:
		kind = gathering.KindInternal
	}
	err := gathering.NewError(kind, "%s", message)
	if kind == gathering.KindInvalid {
		err = gathering.NewError(kind, "the request is not what this route takes")
	}
	for _, e := range errs {
		if detail, ok := errors.AsType[*huma.ErrorDetail](e); ok {
			err.Fields = append(err.Fields, gathering.FieldError{Field: fieldOf(detail.Location), Problem: wording(detail.Message)})
		}
	}
	p, header := httpx.ProblemOf(err, "")
	return &problem{p, header}
}

// fieldOf is how clients name what is at a place of a request.
func fieldOf(location string) string {
	for _, place := range []string{"body.", "query.", "path.", "header."} {
		if rest, ok := strings.CutPrefix(location, place); ok {
			return gathering.Brief(rest)
		}
	}
	return location
}

// wording is what the library says of a field, unless it could be the words of
// a decoder, which repeat what they were given.
func wording(message string) string {
	for _, known := range []string{"expected ", "unexpected ", "unknown query parameter", "required ", "invalid ", "a rate is ", "a duration is "} {
		if strings.HasPrefix(message, known) && !strings.HasPrefix(message, "invalid value") {
			return message
		}
	}
	return "cannot be read as what this route takes"
}

// meet gives the fault the ID of the request that it answers.
func (f *problem) meet(ctx context.Context) {
	f.RequestID = httpx.RequestID(ctx)
	httpx.RecordOf(ctx).Cause = f.err()
}

func (f *problem) err() error {
	return &gathering.Error{Kind: f.Kind, Code: f.Code, Message: f.Detail, Fields: f.Errors}
}

// Error implements error.
func (f *problem) Error() string { return f.Detail }

// GetStatus implements [huma.StatusError].
func (f *problem) GetStatus() int { return f.Status }

// GetHeaders implements [huma.HeadersError].
func (f *problem) GetHeaders() http.Header { return f.header }

// ContentType implements [huma.ContentTypeFilter].
func (f *problem) ContentType(string) string { return "application/problem+json" }

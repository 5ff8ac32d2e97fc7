package web

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"

	"gathering"
	"gathering/internal/breaker"
	"gathering/internal/safedial"
	"gathering/internal/tool"
)

// guarded is a transport that makes each request, and each redirect that
// follows it, through the guard of its host and port.
type guarded struct {
	http.RoundTripper

	guard    tool.Guard
	expected func(status int) bool
}

// RoundTrip implements [http.RoundTripper].
func (g *guarded) RoundTrip(request *http.Request) (response *http.Response, err error) {
	made := false
	refusal := g.guard.Do(request.Context(), breaker.Host(request.URL), func(context.Context) error {
		made = true
		response, err = g.RoundTripper.RoundTrip(request) //nolint:bodyclose // whoever made the request closes it
		return g.verdict(request, response, err)
	})
	if made {
		return response, err
	}
	if request.Body != nil {
		request.Body.Close()
	}
	return nil, refusal
}

// verdict is what the guard hears of a request: an error where the host is
// down, or wants to be left alone. An answer whose status was expected is none.
func (g *guarded) verdict(request *http.Request, response *http.Response, err error) error {
	host := request.URL.Host
	if err != nil {
		if fault, ok := errors.AsType[*gathering.Error](err); ok {
			return fault
		}
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return gathering.NewError(gathering.KindForbidden, "the certificate of %s is not to be trusted", host).WithCause(err)
		}
		return gathering.NewError(gathering.KindUnavailable, "%s does not answer", host).WithCause(err)
	}
	kind := gathering.KindUnavailable
	switch status := response.StatusCode; {
	case g.expected(status), status == http.StatusNotImplemented:
		return nil
	case status == http.StatusTooManyRequests:
		kind = gathering.KindExhausted
	case status < http.StatusInternalServerError:
		return nil
	}
	fault := gathering.NewError(kind, "%s answered %d %s", host, response.StatusCode, http.StatusText(response.StatusCode))
	return gathering.Delayed(fault, safedial.RetryAfter(response.Header))
}

package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gathering"
	"gathering/internal/safedial"
	"gathering/internal/tool"
)

var errLate = errors.New("the request's own time is up")

// exchange is one request, and what is known of how far it got.
type exchange struct {
	method, host string
	repeatable   bool // it may be made again without harm
	follow       bool
	expect       []int
	maxBytes     int
	timeout      time.Duration
	guard        tool.Guard // nil lets everything through
	secrets      []string   // what no error repeats

	sent     atomic.Bool // there was a connection to send it on
	followed bool        // it was answered by a redirect, which was followed
}

// traced returns ctx for a request that tells when there is a connection for
// it. What happens afterwards may have reached the other side.
func (e *exchange) traced(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { e.sent.Store(true) },
	})
}

// make makes the request and reads its answer.
func (e *exchange) make(request *http.Request, client *http.Client) (requestOutput, error) {
	watched := *client
	watched.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if !e.follow {
			return http.ErrUseLastResponse
		}
		err := client.CheckRedirect(next, via)
		e.followed = e.followed || !errors.Is(err, http.ErrUseLastResponse)
		return err
	}
	if e.guard != nil {
		watched.Transport = &guarded{client.Transport, e.guard, e.expected}
	}
	response, err := watched.Do(request)
	if err != nil {
		return requestOutput{}, e.failed(request.Context(), err)
	}
	defer response.Body.Close()
	if !e.expected(response.StatusCode) {
		return requestOutput{}, e.refused(response)
	}
	data, err := e.read(response)
	if err != nil {
		return requestOutput{}, e.failed(request.Context(), err)
	}
	return e.output(response, data)
}

// expected reports whether a status is no error. A redirect that was to be
// followed and is not has not done what was asked.
func (e *exchange) expected(status int) bool {
	if e.expect != nil {
		return slices.Contains(e.expect, status)
	}
	return status >= 200 && status < 400 && (!e.follow || !redirects(status))
}

func redirects(status int) bool {
	return slices.Contains([]int{301, 302, 303, 307, 308}, status)
}

// failed is the error of a request without an answer that was read to its end.
func (e *exchange) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errLate) {
		// Whoever ended it knows what that means.
		if !e.sent.Load() {
			return gathering.NewError(gathering.KindOf(ctx.Err()), "the call of %s was stopped before anything was sent", e.host).
				WithCode(gathering.CodeNotSent).WithCause(ctx.Err())
		}
		return fmt.Errorf("call %s: %w", e.host, ctx.Err())
	}
	fault := e.fault(ctx, err)
	if e.repeatable && e.sent.Load() && fault.Kind == gathering.KindUnavailable {
		fault = fault.WithCode(gathering.CodeUnanswered)
	}
	if e.repeatable || !e.sent.Load() || gathering.CodeOf(fault) == gathering.CodeOutputTooLarge {
		return gathering.Delayed(fault, gathering.RetryAfter(err))
	}
	return e.unknown(fault)
}

// fault says why there is no answer.
func (e *exchange) fault(ctx context.Context, err error) *gathering.Error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // the outer one repeats the address with its query
	}
	if errors.Is(context.Cause(ctx), errLate) {
		return e.unavailable("did not answer within "+e.timeout.String(), err)
	}
	if fault, ok := errors.AsType[*gathering.Error](err); ok {
		return fault
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return gathering.NewError(gathering.KindInvalid, "the certificate of %s is not to be trusted", e.host).WithCause(err)
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok && lookup.IsNotFound {
		return e.unavailable("is not known by that name", err)
	}
	if !e.sent.Load() {
		return e.unavailable("cannot be reached", err)
	}
	return e.unavailable("broke off before its answer was complete", err)
}

func (e *exchange) unavailable(what string, cause error) *gathering.Error {
	return gathering.NewError(gathering.KindUnavailable, "%s %s", e.host, what).WithCause(cause)
}

// unknown is the error of a call that must not be repeated and may have acted.
func (e *exchange) unknown(fault *gathering.Error) error {
	return gathering.NewError(gathering.KindConflict, "%s to %s may have acted and nobody can tell: %s", e.method, e.host, fault.Message).
		WithCode(gathering.CodeUnknownOutcome).WithCause(fault.Unwrap())
}

// refused is the error of an answer with a status that was not expected.
func (e *exchange) refused(response *http.Response) error {
	status := response.StatusCode
	text := strings.TrimSpace(fmt.Sprintf("%s to %s was answered %d %s", e.method, e.host, status, http.StatusText(status)))
	switch {
	case redirects(status) && e.follow:
		text += ", which is not followed"
	default:
		if said := e.excerpt(response); said != "" {
			text += ": " + said
		}
	}
	fault := gathering.NewError(e.kind(status), "%s", text)
	gateway := status == http.StatusBadGateway || status == http.StatusGatewayTimeout
	if !e.repeatable && (gateway || e.followed) {
		return e.unknown(fault)
	}
	if fault.Kind == gathering.KindInvalid {
		return fault
	}
	return gathering.Delayed(fault, safedial.RetryAfter(response.Header))
}

// kind is what sort of error a status is.
func (e *exchange) kind(status int) gathering.Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return gathering.KindExhausted
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusServiceUnavailable,
		status >= http.StatusInternalServerError && e.repeatable:
		return gathering.KindUnavailable
	}
	return gathering.KindInvalid
}

// excerpt is the beginning of what an answer says in words, without what the
// request's headers held. A page for people to look at says nothing.
func (e *exchange) excerpt(response *http.Response) string {
	status := response.StatusCode
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return "" // it may quote parts of a key
	}
	// What cannot be read of it is not missed: the status says enough.
	data, cut := readAll(response.Body, maxExcerpt)
	text, ok := plain(response.Header, data)
	if !ok || strings.HasPrefix(strings.TrimSpace(text), "<") {
		return ""
	}
	for _, secret := range e.secrets {
		text = strings.ReplaceAll(text, secret, "[…]")
	}
	if cut != nil && len(e.secrets) > 0 { // it may end within one
		text = text[:max(0, len(text)-len(e.secrets[0]))]
	}
	return gathering.Brief(text)
}

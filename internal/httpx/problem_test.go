package httpx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gathering"
	"gathering/internal/httpx"
)

func fault(kind gathering.Kind) *gathering.Error { return gathering.NewError(kind, "x") }

func TestStatuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"invalid":              {fault(gathering.KindInvalid), 400},
		"unauthenticated":      {fault(gathering.KindUnauthenticated), 401},
		"forbidden":            {fault(gathering.KindForbidden), 403},
		"not found":            {fault(gathering.KindNotFound), 404},
		"conflict":             {fault(gathering.KindConflict), 409},
		"precondition":         {fault(gathering.KindConflict).WithCode(gathering.CodePrecondition), 412},
		"another conflict":     {fault(gathering.KindConflict).WithCode(gathering.CodeFenced), 409},
		"too large":            {fault(gathering.KindTooLarge), 413},
		"exhausted":            {fault(gathering.KindExhausted), 429},
		"unavailable":          {fault(gathering.KindUnavailable), 503},
		"timeout":              {fault(gathering.KindTimeout), 503},
		"cancelled":            {fault(gathering.KindCancelled), 503},
		"internal":             {fault(gathering.KindInternal), 500},
		"a kind to come":       {fault("odd"), 500},
		"no kind":              {errors.New("x"), 500},
		"wrapped":              {fmt.Errorf("y: %w", fault(gathering.KindNotFound)), 404},
		"the context's end":    {context.DeadlineExceeded, 503},
		"internal, by a cause": {fault(gathering.KindInternal).WithCause(fault(gathering.KindNotFound)), 500},
	} {
		if got := httpx.StatusOf(test.err); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}

func TestWriteProblem(t *testing.T) {
	t.Parallel()
	field := gathering.FieldError{Field: "name", Problem: "is missing"}
	public := func(status int, title string, kind gathering.Kind, detail string) httpx.Problem {
		return httpx.Problem{Type: "about:blank", Title: title, Status: status, Detail: detail, Kind: kind, RequestID: "req_12345678"}
	}
	hidden := public(500, "Internal Server Error", gathering.KindInternal, "internal error; the log has the cause under the request ID")
	invalid := public(400, "Bad Request", gathering.KindInvalid, "it is wrong")
	invalid.Code, invalid.Errors = gathering.CodeTooLong, []gathering.FieldError{field}
	for name, test := range map[string]struct {
		err    error
		want   httpx.Problem
		header map[string]string
	}{
		"invalid": {
			fmt.Errorf("save: %w", gathering.NewError(gathering.KindInvalid, "it is wrong").WithCode(gathering.CodeTooLong).WithFields(field).WithCause(errors.New("secret"))),
			invalid, nil,
		},
		"internal":        {errors.New("secret"), hidden, nil},
		"named internal":  {gathering.NewError(gathering.KindInternal, "secret").WithCode("secret").WithFields(gathering.FieldError{Field: "secret"}), hidden, nil},
		"a kind to come":  {gathering.NewError("secret", "secret"), hidden, nil},
		"unauthenticated": {fault(gathering.KindUnauthenticated), public(401, "Unauthorized", gathering.KindUnauthenticated, "x"), map[string]string{"Www-Authenticate": "Bearer"}},
		"forbidden":       {fault(gathering.KindForbidden), public(403, "Forbidden", gathering.KindForbidden, "x"), nil},
		"exhausted":       {gathering.Delayed(fault(gathering.KindExhausted), 1001*time.Millisecond), public(429, "Too Many Requests", gathering.KindExhausted, "x"), map[string]string{"Retry-After": "2"}},
		"soon":            {gathering.Delayed(fault(gathering.KindExhausted), 1), public(429, "Too Many Requests", gathering.KindExhausted, "x"), map[string]string{"Retry-After": "1"}},
		"on the second":   {gathering.Delayed(fault(gathering.KindUnavailable), 3*time.Second), public(503, "Service Unavailable", gathering.KindUnavailable, "x"), map[string]string{"Retry-After": "3"}},
		"for ever":        {gathering.Delayed(fault(gathering.KindUnavailable), math.MaxInt64), public(503, "Service Unavailable", gathering.KindUnavailable, "x"), map[string]string{"Retry-After": "9223372037"}},
		"whenever":        {fault(gathering.KindUnavailable), public(503, "Service Unavailable", gathering.KindUnavailable, "x"), nil},
		"no waiting":      {gathering.Delayed(fault(gathering.KindInvalid), time.Second), public(400, "Bad Request", gathering.KindInvalid, "x"), nil},
		"time is up":      {context.DeadlineExceeded, public(503, "Service Unavailable", gathering.KindTimeout, "it did not finish in the time allowed"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request("GET", "/", direct)
			r = r.WithContext(httpx.WithRequestID(r.Context(), "req_12345678"))
			w := httptest.NewRecorder()
			httpx.WriteProblem(w, r, test.err)
			if diff := cmp.Diff(test.want, problem(t, w.Body.Bytes())); diff != "" || w.Code != test.want.Status {
				t.Errorf("status %d, document (-want +got):\n%s", w.Code, diff)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("a client is told %s", w.Body)
			}
			header := map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
			maps.Copy(header, test.header)
			got := map[string]string{}
			for key := range w.Header() {
				got[key] = w.Header().Get(key)
			}
			if diff := cmp.Diff(header, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLongListsOfFaultsAreCut(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{100: "x", 101: "x (the first 100 of 101 faults are listed)"} {
		w := httptest.NewRecorder()
		httpx.WriteProblem(w, request("GET", "/", direct), fault(gathering.KindInvalid).WithFields(make([]gathering.FieldError, n)...))
		if p := problem(t, w.Body.Bytes()); len(p.Errors) != 100 || p.Detail != want {
			t.Errorf("%d faults: %d are listed, %q", n, len(p.Errors), p.Detail)
		}
	}
}

func TestReadProblem(t *testing.T) {
	t.Parallel()
	sent := gathering.NewError(gathering.KindConflict, "it has changed").WithCode(gathering.CodePrecondition).
		WithFields(gathering.FieldError{Field: "name", Problem: "is taken"})
	w := httptest.NewRecorder()
	httpx.WriteProblem(w, request("GET", "/", direct), sent)
	got := httpx.ReadProblem(w.Code, w.Header(), w.Body.Bytes())
	if diff := cmp.Diff(gathering.FailureOf(sent), gathering.FailureOf(got), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("came back (-sent +got):\n%s", diff)
	}
	later := httptest.NewRecorder()
	httpx.WriteProblem(later, request("GET", "/", direct), gathering.Delayed(fault(gathering.KindExhausted), 2*time.Second))
	if err := httpx.ReadProblem(later.Code, later.Header(), later.Body.Bytes()); gathering.KindOf(err) != gathering.KindExhausted || gathering.RetryAfter(err) != 2*time.Second {
		t.Errorf("came back: %v after %v, want it exhausted for 2 s", err, gathering.RetryAfter(err))
	}
	err := httpx.ReadProblem(301, http.Header{"Location": {"https://other.example/"}}, nil)
	if gathering.KindOf(err) != gathering.KindUnavailable || !strings.Contains(gathering.FailureOf(err).Message, "https://other.example/") {
		t.Errorf("a redirect: %v, want that it names the other address", err)
	}
	html, err := json.Marshal("<html>")
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "Bad Gateway", "{}", "null", string(html), `{"kind":""}`, `{"kind":3}`} {
		if err := httpx.ReadProblem(502, nil, []byte(body)); gathering.KindOf(err) != gathering.KindUnavailable || !strings.Contains(err.Error(), "502") {
			t.Errorf("%q: got %v, want that the service is not there", body, err)
		}
	}
}

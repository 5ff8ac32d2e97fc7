package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/auth"
	"gathering/internal/httpx"
	"gathering/internal/once"
)

// Operation is one method of one path.
type Operation struct {
	ID      string // unique, as "list-runs"
	Method  string
	Path    string
	Summary string
	Tag     string
	// Action is what somebody must be allowed to do; "" is open to everybody.
	Action auth.Action
	// Status of an answer that is a success.
	Status int
	// tier says which limit counts.
	tier tier
	// streamed: it answers with a list of events, or with a stream of them.
	streamed bool
	// value: its body holds a value of a run.
	value bool
	// bodied: it takes a body.
	bodied bool
}

// tier is which limit counts for an operation.
type tier int

const (
	tierByMethod tier = iota // reading or writing
	tierSignIn
	tierFree // not limited here
)

// Bounds of a request's body in bytes: of most, and of one that holds a value
// of a run.
const (
	maxBody      = 1 << 20
	maxValueBody = gathering.MaxValueBytes + 64<<10
)

func (o Operation) bound() int64 {
	if o.value {
		return maxValueBody
	}
	return maxBody
}

func (o Operation) writes() bool { return !httpx.Safe(o.Method) }

// asked is one request while it is served.
type asked struct {
	request   *http.Request
	operation Operation
	principal *gathering.Principal // nil is nobody
	decided   bool                 // whether they may
	refused   error                // why they may not, where it was found after the fact
}

type askedKey struct{}

// askedOf returns the request that a handler serves.
func askedOf(ctx context.Context) *asked {
	q, ok := ctx.Value(askedKey{}).(*asked)
	if !ok {
		return &asked{request: &http.Request{URL: &url.URL{}}} // nobody's, who may do nothing
	}
	return q
}

// register adds an operation.
func register[I, O any](a *API, o Operation, serve func(ctx context.Context, in *I) (*O, error)) {
	if o.Status == 0 {
		o.Status = http.StatusOK
	}
	_, o.bodied = reflect.TypeFor[I]().FieldByName("Body")
	a.operations = append(a.operations, o)
	described := huma.Operation{
		OperationID: o.ID, Method: o.Method, Path: o.Path, Summary: o.Summary, Tags: []string{o.Tag},
		DefaultStatus: o.Status, MaxBodyBytes: o.bound() + 1, BodyReadTimeout: -1, SkipValidateParams: false,
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) { a.admit(ctx, o, next) }},
	}
	if o.streamed {
		described.Responses = a.streamedResponses()
	}
	described.Security = []map[string][]string{{"bearer": {}}, {"cookie": {}}}
	if o.Action == "" {
		described.Security = []map[string][]string{{}} // of nobody in particular
	}
	huma.Register(a.huma, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := serve(ctx, in)
		if refused := askedOf(ctx).refused; refused != nil {
			err = refused
		}
		if err == nil && !askedOf(ctx).decided {
			err = fmt.Errorf("%s answered without having decided whether it may", o.ID)
		}
		if gathering.KindOf(err) == gathering.KindNotFound {
			if done, known := a.repeated(ctx, askedOf(ctx)); done && known == nil {
				return new(O), nil // the same request, which was quicker, has done it
			}
		}
		if err != nil {
			return nil, newProblem(ctx, err)
		}
		return out, nil
	})
}

// admit lets a request through to its operation, or answers it.
func (a *API) admit(ctx huma.Context, o Operation, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	httpx.RecordOf(r.Context()).Route = o.Path
	q := &asked{request: r, operation: o, decided: o.Action == ""}
	err := a.identify(w, r, q)
	if err == nil {
		err = a.permit(q)
	}
	if err == nil {
		err = checkTarget(r, o)
	}
	caller := a.callerOf(r, q.principal)
	request := audit.WithCaller(context.WithValue(r.Context(), askedKey{}, q), caller)
	if err == nil {
		request, err = a.takeBody(request, w, r, q)
	}
	if err != nil {
		a.refused(request, r, q, err)
		httpx.WriteProblem(w, r, err)
		return
	}
	if done, err := a.repeated(request, q); done || err != nil {
		if err != nil {
			httpx.WriteProblem(w, r, err)
			return
		}
		w.WriteHeader(o.Status)
		return
	}
	next(huma.WithContext(ctx, request))
}

// callerOf is who asks, for the audit trail.
func (a *API) callerOf(r *http.Request, p *gathering.Principal) audit.Caller {
	c := audit.Caller{Agent: r.UserAgent(), Request: httpx.RequestID(r.Context())}
	if address := httpx.RecordOf(r.Context()).Address; address.IsValid() {
		c.Address = address.String()
	}
	switch {
	case p == nil:
	case p.System:
		c.Actor, c.Name = gathering.CommandLine, gathering.CommandLine
	default:
		c.Actor, c.Name, c.Credential = string(p.User), p.Email, string(p.Session)+string(p.Token)
	}
	return c
}

// refused tells the audit trail of what somebody may not do. What is wrong with
// a request is not its business.
func (a *API) refused(ctx context.Context, r *http.Request, q *asked, err error) {
	switch gathering.KindOf(err) {
	case gathering.KindUnauthenticated, gathering.KindForbidden:
	default:
		return
	}
	a.Repeats.Record(ctx, gathering.AuditEntry{
		Action: string(q.operation.Action), Object: r.URL.Path, Outcome: gathering.OutcomeDenied, Reason: gathering.FailureOf(err).Message,
	})
}

// takeBody reads the body whole, so that what it is refused for is found before
// anything is done, and puts it back.
func (a *API) takeBody(ctx context.Context, w http.ResponseWriter, r *http.Request, q *asked) (context.Context, error) {
	var body []byte
	if r.Body != nil && r.Body != http.NoBody {
		var err error
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, q.operation.bound()))
		if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return ctx, gathering.NewError(gathering.KindTooLarge, "the body is over the limit of %d bytes", over.Limit)
		}
		if err != nil {
			return ctx, gathering.NewError(gathering.KindInvalid, "the body did not arrive whole").WithCause(err)
		}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = nil
	}
	if err := checkBody(r, q.operation, body); err != nil {
		return ctx, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return a.keyed(ctx, r, q, body)
}

// checkTarget refuses what no path or query of an operation can be: names of
// nothing that is stored, text that no database takes, and parameters that are
// given twice, of which one would count.
func checkTarget(r *http.Request, o Operation) error {
	for rest := o.Path; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			break
		}
		var name string
		name, rest, _ = strings.Cut(after, "}")
		if value := r.PathValue(name); !storable(value) || name != "name" && !nameable(value) {
			return gathering.NewError(gathering.KindNotFound, "there is nothing of that name")
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return gathering.NewError(gathering.KindInvalid, "the query cannot be read").WithCause(err)
	}
	for name, values := range query {
		var problem string
		switch {
		case len(values) > 1:
			problem = "must be given once"
		case !storable(values[0]):
			problem = "must be text in UTF-8, without a null byte"
		default:
			continue
		}
		return gathering.NewError(gathering.KindInvalid, "the query is not what this route takes").
			WithFields(gathering.FieldError{Field: gathering.Brief(name), Problem: problem})
	}
	return nil
}

func storable(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// nameable reports whether text has the letters of an ID. What has others is
// not there, and answers do not repeat it.
func nameable(text string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	return strings.Trim(text, alphabet) == ""
}

func checkBody(r *http.Request, o Operation, body []byte) error {
	if body == nil {
		return nil
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if media = strings.ToLower(strings.TrimSpace(media)); media != "application/json" && !httpx.Safe(r.Method) {
		return gathering.NewError(gathering.KindInvalid, "the body must be JSON").
			WithFields(gathering.FieldError{Field: "Content-Type", Problem: "must be application/json"})
	}
	if err := gathering.CheckJSON("body", body); err != nil || o.bodied {
		return err
	}
	if string(gathering.CompactJSON(body)) != "{}" { // which some programs send with everything
		return gathering.NewError(gathering.KindInvalid, "this route takes no body")
	}
	return nil
}

// keyed is the context of a request with an idempotency key.
func (a *API) keyed(ctx context.Context, r *http.Request, q *asked, body []byte) (context.Context, error) {
	given := r.Header.Values("Idempotency-Key")
	if len(given) == 0 || !q.operation.writes() || q.operation.Action == "" {
		return ctx, nil
	}
	if len(given) > 1 {
		return ctx, gathering.NewError(gathering.KindInvalid, "there is more than one idempotency key").
			WithFields(gathering.FieldError{Field: "Idempotency-Key", Problem: "must be given once"})
	}
	who := gathering.CommandLine
	if !q.principal.System {
		who = string(q.principal.User)
	}
	key, err := once.NewKey(once.Request{Who: who, Key: given[0], What: r.Method + " " + r.URL.RequestURI(), Body: body}, a.Now())
	if err != nil {
		return ctx, err
	}
	return once.With(ctx, key), nil
}

// repeated reports whether a request whose answer has no content was done
// before, so that what it was about need not be there any more.
func (a *API) repeated(ctx context.Context, q *asked) (bool, error) {
	if q.operation.Status != http.StatusNoContent {
		return false, nil
	}
	return once.Known(ctx, a.DB)
}

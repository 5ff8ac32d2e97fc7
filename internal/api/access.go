package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/httpx"
	"gathering/internal/ratelimit"
)

// The cookies of a browser's session. Scripts of pages cannot read them.
const (
	accessCookie  = "gathering_access"
	refreshCookie = "gathering_refresh"
)

// identify finds out who asks and whether they may ask so often. What is open
// to everybody is not asked for who it is.
func (a *API) identify(w http.ResponseWriter, r *http.Request, q *asked) error {
	if local, ok := r.Context().Value(localKey{}).(*gathering.Principal); ok {
		q.principal = local
		return nil
	}
	var err error
	if q.operation.Action != "" {
		q.principal, err = a.authenticate(r)
	}
	if limited := a.limit(w, r, q); limited != nil {
		return limited
	}
	if q.principal != nil {
		httpx.RecordOf(r.Context()).User = string(q.principal.User)
	}
	return err
}

// authenticate finds out who asks by what the request brings along.
func (a *API) authenticate(r *http.Request) (*gathering.Principal, error) {
	token, byCookie, err := credential(r)
	if err != nil {
		return nil, err
	}
	if byCookie && !httpx.Safe(r.Method) && !httpx.SameOrigin(r, a.Proxies.Scheme(r)) {
		return nil, gathering.NewError(gathering.KindForbidden, "a page of another origin may not ask this")
	}
	// Whoever guesses tokens is not even looked up any more.
	network := httpx.Bucket(httpx.RecordOf(r.Context()).Address)
	if v := a.Limiter.Look(r.Context(), guessKey(network), a.Settings.Current().LimitRead); !v.Allowed {
		return nil, exhausted(v)
	}
	p, err := a.Auth.Authenticate(r.Context(), token)
	if gathering.KindOf(err) == gathering.KindUnauthenticated {
		a.Limiter.Take(r.Context(), guessKey(network), a.Settings.Current().LimitRead)
	}
	return p, err
}

func guessKey(network string) string { return "guess " + network }

// credential is the token that a request brings along.
func credential(r *http.Request) (token string, byCookie bool, err error) {
	headers := r.Header.Values("Authorization")
	if len(headers) > 0 {
		scheme, token, _ := strings.Cut(headers[0], " ")
		if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
			return "", false, gathering.NewError(gathering.KindUnauthenticated, "the Authorization header must be Bearer and a token")
		}
		return token, false, nil
	}
	cookies := r.CookiesNamed(accessCookie)
	if len(cookies) != 1 {
		return "", false, gathering.NewError(gathering.KindUnauthenticated, "sign in first, or send an API token: Authorization: Bearer …")
	}
	return cookies[0].Value, true, nil
}

// limit counts a request against the limit of who asks, or of the network that
// it comes from, and tells them in the answer what is left.
func (a *API) limit(w http.ResponseWriter, r *http.Request, q *asked) error {
	limits := a.Settings.Current()
	name, rate := "read", limits.LimitRead
	if q.operation.writes() {
		name, rate = "write", limits.LimitWrite
	}
	key := httpx.Bucket(httpx.RecordOf(r.Context()).Address)
	switch p := q.principal; {
	case q.operation.tier == tierFree:
		return nil
	case q.operation.tier == tierSignIn:
		name, rate = "sign-in", limits.LimitSignIn
	case p != nil && p.Token != "":
		name, rate, key = "token", limits.LimitToken, string(p.Token)
	case p != nil:
		key = string(p.User)
	}
	v := a.Limiter.Take(r.Context(), name+" "+key, rate)
	tell(w, name, rate, v)
	if !v.Allowed {
		return exhausted(v)
	}
	return nil
}

func exhausted(v ratelimit.Verdict) error {
	return gathering.Delayed(gathering.NewError(gathering.KindExhausted, "too many requests: wait %s", seconds(v.RetryAfter)), v.RetryAfter)
}

func seconds(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(d.Seconds()))) + " s"
}

// tell tells a limit as draft-ietf-httpapi-ratelimit-headers-10 has it.
func tell(w http.ResponseWriter, name string, rate ratelimit.Rate, v ratelimit.Verdict) {
	w.Header().Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", name, rate.Requests, int(math.Ceil(rate.Per.Seconds()))))
	w.Header().Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", name, v.Remaining, int(math.Ceil(v.Reset.Seconds()))))
}

// permit decides what needs no object to be decided: whether somebody may do
// something everywhere, or can at all.
func (a *API) permit(q *asked) error {
	right, _ := auth.RightOf(q.operation.Action)
	if q.operation.Action == "" || right.Project {
		return nil
	}
	q.decided = true
	forbidden := func() error { return errForbidden(q.operation.Action) }
	return denied(auth.Judge(q.principal, q.operation.Action, ""), q.operation.Action, forbidden)
}

// see decides whether who asks may do what the operation does in a project.
// Hidden is what they are told where they may not know of it: the same as where
// it does not exist.
func (a *API) see(ctx context.Context, project gathering.ProjectID, hidden func() error) error {
	q := askedOf(ctx)
	q.decided = true
	if err := denied(auth.Judge(q.principal, q.operation.Action, project), q.operation.Action, hidden); err != nil {
		return a.refuse(ctx, project, err)
	}
	return nil
}

// refuse tells the audit trail that who asks may not do what the operation
// does, and returns why.
func (a *API) refuse(ctx context.Context, project gathering.ProjectID, why error) error {
	q := askedOf(ctx)
	a.Repeats.Record(ctx, gathering.AuditEntry{
		Action: string(q.operation.Action), Object: q.request.URL.Path, Project: project,
		Outcome: gathering.OutcomeDenied, Reason: gathering.FailureOf(why).Message,
	})
	return why
}

// visible are the projects in which who asks may do what the operation does.
// Nil is all. Where they know of projects and may do it in none, the operation
// is refused: an empty list would say that there is nothing.
func (a *API) visible(ctx context.Context) []gathering.ProjectID {
	q := askedOf(ctx)
	q.decided = true
	projects, all := auth.ProjectsFor(q.principal, q.operation.Action)
	if all {
		return nil
	}
	if why := nowhere(q.principal, q.operation.Action, projects); why != nil {
		q.refused = a.refuse(ctx, "", why)
	}
	return projects
}

// nowhere is why somebody may do something in none of the projects that they
// know of; nil where they may, or know of none.
func nowhere(p *gathering.Principal, action auth.Action, may []gathering.ProjectID) error {
	if p == nil || len(may) > 0 {
		return nil
	}
	best := auth.Judge(p, action, "")
	for project := range p.Projects {
		best = max(best, auth.Judge(p, action, project))
	}
	return denied(best, action, func() error { return nil })
}

func denied(v auth.Verdict, action auth.Action, hidden func() error) error {
	switch v {
	case auth.Allowed:
		return nil
	case auth.OutOfScope:
		return gathering.NewError(gathering.KindForbidden, "this token may not do that: its scopes leave out %s, or it takes a session", action)
	case auth.Forbidden:
		return errForbidden(action)
	default:
		return hidden()
	}
}

func errForbidden(action auth.Action) error {
	return gathering.NewError(gathering.KindForbidden, "you may not do that: your role does not have %s", action)
}

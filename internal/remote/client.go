// Package remote asks a service from without: the one at a URL, or the process
// that holds a data directory, by its control socket, which it serves too.
package remote

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/audit"
)

// Client asks a service: the process that holds a data directory, one
// elsewhere, or this one. That it cannot be reached is an error of kind
// unavailable.
type Client struct {
	base      string
	token     string
	transport http.RoundTripper
	who       string // for people: whom it asks
	far       bool   // over a network
}

// NewClient returns a client of the process that holds dir, an absolute path,
// by its control socket.
func NewClient(dir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		short, done, err := shorten(dir)
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(short, socketName))
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return &Client{base: "http://control", transport: transport, who: "the process that holds the data directory"}
}

// NewRemote returns a client of the service at a URL, as whoever the token
// stands for.
func NewRemote(service, token string) (*Client, error) {
	u, err := url.Parse(service)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		strings.ContainsAny(service, "?#") {
		return nil, gathering.NewError(gathering.KindInvalid, "the service cannot be asked").
			WithFields(gathering.FieldError{Field: "server", Problem: "must be a URL, as https://gathering.example.com"})
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	return &Client{
		base: strings.TrimRight(u.String(), "/"), token: token, transport: transport, who: "the service at " + u.Host, far: true,
	}, nil
}

// NewLocal returns a client of a handler of this process, [api.API.Local].
func NewLocal(handler http.Handler) *Client {
	return &Client{base: "http://here", transport: direct{handler}, who: "this process"}
}

// direct asks a handler without a network.
type direct struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &kept{response: http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r}}
	d.handler.ServeHTTP(w, r)
	w.response.Body = io.NopCloser(&w.body)
	return &w.response, nil
}

// kept is an answer that is kept until it is whole.
type kept struct {
	response http.Response
	begun    bool
	body     bytes.Buffer
}

func (k *kept) Header() http.Header { return k.response.Header }

func (k *kept) WriteHeader(status int) {
	if !k.begun {
		k.begun, k.response.StatusCode = true, status
	}
}

func (k *kept) Write(p []byte) (int, error) {
	k.begun = true
	return k.body.Write(p)
}

// Breakers returns every breaker that the process knows.
func (c *Client) Breakers(ctx context.Context) ([]gathering.Breaker, error) {
	return all[gathering.Breaker](ctx, c, "/breakers", nil)
}

// TripBreaker opens a breaker.
func (c *Client) TripBreaker(ctx context.Context, name string, order api.TripOrder) (gathering.Breaker, error) {
	return ask[gathering.Breaker](ctx, c, http.MethodPost, "/breakers/"+url.PathEscape(name)+"/trip", order)
}

// ResetBreaker closes a breaker.
func (c *Client) ResetBreaker(ctx context.Context, name string) (gathering.Breaker, error) {
	return ask[gathering.Breaker](ctx, c, http.MethodPost, "/breakers/"+url.PathEscape(name)+"/reset", nil)
}

// Users returns every user.
func (c *Client) Users(ctx context.Context) ([]gathering.User, error) {
	return all[gathering.User](ctx, c, "/users", nil)
}

// UserByEmail returns the user who has an e-mail address.
func (c *Client) UserByEmail(ctx context.Context, email string) (gathering.User, error) {
	users, err := all[gathering.User](ctx, c, "/users", url.Values{"email": {email}})
	if err == nil && len(users) == 0 {
		err = gathering.NewError(gathering.KindNotFound, "there is no user %s", email)
	}
	if err != nil {
		return gathering.User{}, err
	}
	return users[0], nil
}

// CreateUser makes a user.
func (c *Client) CreateUser(ctx context.Context, n api.NewUser) (gathering.User, error) {
	return ask[gathering.User](ctx, c, http.MethodPost, "/users", n)
}

// UpdateUser changes a user.
func (c *Client) UpdateUser(ctx context.Context, id gathering.UserID, u api.UserUpdate) (gathering.User, error) {
	return ask[gathering.User](ctx, c, http.MethodPatch, "/users/"+url.PathEscape(string(id)), u)
}

// SetPassword gives a user another password.
func (c *Client) SetPassword(ctx context.Context, id gathering.UserID, password string) error {
	return c.do(ctx, http.MethodPost, "/users/"+url.PathEscape(string(id))+"/password", api.Password{Password: password}, nil)
}

// Tokens returns every API token of a user; "*" is of all users.
func (c *Client) Tokens(ctx context.Context, user gathering.UserID) ([]gathering.Token, error) {
	return all[gathering.Token](ctx, c, "/tokens", url.Values{"user": {string(user)}})
}

// CreateToken makes an API token.
func (c *Client) CreateToken(ctx context.Context, n api.NewToken) (api.IssuedToken, error) {
	return ask[api.IssuedToken](ctx, c, http.MethodPost, "/tokens", n)
}

// DeleteToken takes an API token back.
func (c *Client) DeleteToken(ctx context.Context, id gathering.TokenID) error {
	return c.do(ctx, http.MethodDelete, "/tokens/"+url.PathEscape(string(id)), nil, nil)
}

// Audit returns audit entries, the newest first: those of actor, action and
// object, at most limit of them.
func (c *Client) Audit(ctx context.Context, f gathering.AuditFilter) ([]gathering.AuditEntry, error) {
	query := url.Values{"limit": {strconv.Itoa(f.Limit)}}
	for name, value := range map[string]string{"actor": f.Actor, "action": f.Action, "object": f.Object} {
		if value != "" {
			query.Set(name, value)
		}
	}
	p, err := ask[api.Page[gathering.AuditEntry]](ctx, c, http.MethodGet, "/audit?"+query.Encode(), nil)
	return p.Items, err
}

// VerifyAudit says what is wrong with the audit trail.
func (c *Client) VerifyAudit(ctx context.Context) (audit.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	return ask[audit.Report](ctx, c, http.MethodGet, "/audit/verify", nil)
}

// BreakerHistory returns the last events of a breaker, the oldest first.
func (c *Client) BreakerHistory(ctx context.Context, name string, limit int) ([]gathering.Event, error) {
	p, err := ask[api.Page[gathering.Event]](ctx, c, http.MethodGet, "/breakers/"+url.PathEscape(name)+"/history?limit="+strconv.Itoa(limit), nil)
	return p.Items, err
}

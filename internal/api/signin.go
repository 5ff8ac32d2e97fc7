package api

import (
	"context"
	"net/http"
	"time"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/httpx"
)

// SignIn is who signs in.
type SignIn struct {
	Email    string `json:"email" maxLength:"254"`
	Password string `json:"password" maxLength:"1024"`
	// Cookies: the tokens are set as cookies, and told nobody else.
	Cookies bool `json:"cookies,omitempty" doc:"Set the tokens as cookies, for a browser, and leave them out of the answer."`
}

// SetUp is who is to be the first administrator.
type SetUp struct {
	SignIn

	Name string `json:"name,omitempty" maxLength:"200"`
	// Code is the one in the link that the service prints when it starts.
	Code string `json:"code" maxLength:"100" doc:"The code of the set-up link that the service printed."`
}

// Tokens is what a sign-in gives.
type Tokens struct {
	AccessToken  string         `json:"access_token,omitempty"`
	TokenType    string         `json:"token_type"`
	ExpiresIn    int            `json:"expires_in" doc:"Seconds for which the access token is good."`
	RefreshToken string         `json:"refresh_token,omitempty"`
	User         gathering.User `json:"user"`
}

// Refresh asks for new tokens.
type Refresh struct {
	RefreshToken string `json:"refresh_token,omitempty" maxLength:"400" doc:"Left out by browsers, whose cookie has it."`
}

type signedIn struct {
	SetCookie []string `header:"Set-Cookie"`
	Body      Tokens
}

func (a *API) signInRoutes() {
	open := func(o Operation) Operation {
		o.Method, o.Tag, o.tier = http.MethodPost, tagSignIn, tierSignIn
		return o
	}
	register(a, open(Operation{ID: "set-up", Path: Prefix + "/setup", Summary: "Make the first administrator", Status: http.StatusCreated}), a.setUp)
	register(a, open(Operation{ID: "sign-in", Path: Prefix + "/auth/login", Summary: "Sign in"}), a.signIn)
	refresh := open(Operation{ID: "refresh", Path: Prefix + "/auth/refresh", Summary: "Get new tokens for a refresh token, which is good once"})
	refresh.tier = tierByMethod
	register(a, refresh, a.refresh)
	end := func(o Operation) Operation {
		o.Method, o.Tag, o.Action, o.Status = http.MethodPost, tagSignIn, auth.AccountSecure, http.StatusNoContent
		return o
	}
	register(a, end(Operation{ID: "sign-out", Path: Prefix + "/auth/logout", Summary: "End this session"}), a.signOut)
	register(a, end(Operation{ID: "sign-out-everywhere", Path: Prefix + "/auth/logout-all", Summary: "End all of one's sessions"}), a.signOutAll)
	register(a, end(Operation{ID: "change-password", Path: Prefix + "/auth/password", Summary: "Change one's password, and end one's other sessions"}), a.changePassword)
}

// where is from where a request comes.
func (a *API) where(ctx context.Context) auth.Where {
	address := httpx.RecordOf(ctx).Address
	w := auth.Where{Network: httpx.Bucket(address), Agent: gathering.Brief(askedOf(ctx).request.UserAgent())}
	if address.IsValid() {
		w.Address = address.String()
	}
	return w
}

func (a *API) setUp(ctx context.Context, in *struct{ Body SetUp }) (*signedIn, error) {
	if there, err := a.Auth.Administrators(ctx); err != nil || there {
		if err == nil {
			err = gathering.NewError(gathering.KindConflict, "there is an administrator already")
		}
		return nil, err
	}
	if askedOf(ctx).principal == nil && !a.Auth.CheckSetupCode(in.Body.Code) {
		a.Repeats.Record(ctx, gathering.AuditEntry{
			Action: string(gathering.EventUserCreated), Outcome: gathering.OutcomeFailed, Reason: "wrong set-up code",
		})
		return nil, gathering.NewError(gathering.KindForbidden, "the set-up code is wrong: the service prints it when it starts")
	}
	if in.Body.Password == "" {
		return nil, gathering.NewError(gathering.KindInvalid, "an administrator needs a password").
			WithFields(gathering.FieldError{Field: "password", Problem: "must have at least 12 characters"})
	}
	if _, err := a.Auth.SetUp(ctx, auth.NewUser{Email: in.Body.Email, Name: in.Body.Name, Password: in.Body.Password}); err != nil {
		return nil, err
	}
	return a.grant(ctx, in.Body.SignIn)
}

func (a *API) signIn(ctx context.Context, in *struct{ Body SignIn }) (*signedIn, error) {
	return a.grant(ctx, in.Body)
}

func (a *API) grant(ctx context.Context, who SignIn) (*signedIn, error) {
	g, err := a.Auth.SignIn(ctx, who.Email, who.Password, a.where(ctx))
	if err != nil {
		return nil, err
	}
	if who.Cookies {
		return a.byCookies(ctx, g), nil
	}
	return a.byTokens(g), nil
}

func (a *API) byTokens(g auth.Grant) *signedIn {
	expires := int(g.Expires.Sub(a.Now()).Seconds())
	return &signedIn{Body: Tokens{AccessToken: g.Access, TokenType: "Bearer", ExpiresIn: expires, RefreshToken: g.Refresh, User: g.User}}
}

// byCookies is for a browser: its cookies have the tokens, and nothing else.
func (a *API) byCookies(ctx context.Context, g auth.Grant) *signedIn {
	out := a.byTokens(g)
	out.Body.AccessToken, out.Body.RefreshToken = "", ""
	out.SetCookie = []string{
		a.cookie(ctx, crumb{name: accessCookie, value: g.Access, path: a.Path + "/"}, g.Expires),
		a.cookie(ctx, crumb{name: refreshCookie, value: g.Refresh, path: a.Path + Prefix + "/auth"}, g.Session.ExpiresAt),
	}
	return out
}

// crumb is what differs between cookies.
type crumb struct{ name, value, path string }

// cookie is one that pages of this origin send along and none can read. One
// that has expired is taken away.
func (a *API) cookie(ctx context.Context, of crumb, expires time.Time) string {
	c := http.Cookie{ //nolint:gosec // it is secure where the client came by TLS
		Name: of.name, Value: of.value, Path: of.path, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: a.Proxies.Scheme(askedOf(ctx).request) == "https",
	}
	if c.MaxAge = int(expires.Sub(a.Now()).Seconds()); c.MaxAge <= 0 {
		c.MaxAge = -1
	}
	return c.String()
}

func (a *API) refresh(ctx context.Context, in *struct{ Body *Refresh }) (*signedIn, error) {
	r := askedOf(ctx).request
	token, byCookie := "", false
	if in.Body != nil {
		token = in.Body.RefreshToken
	}
	if cookies := r.CookiesNamed(refreshCookie); token == "" && len(cookies) == 1 {
		if !httpx.SameOrigin(r, a.Proxies.Scheme(r)) {
			return nil, gathering.NewError(gathering.KindForbidden, "a page of another origin may not ask this")
		}
		token, byCookie = cookies[0].Value, true
	}
	g, err := a.Auth.Refresh(ctx, token)
	if err != nil {
		return nil, err
	}
	if byCookie {
		return a.byCookies(ctx, g), nil
	}
	return a.byTokens(g), nil
}

// ended is the answer that takes a browser's cookies away.
type ended struct {
	SetCookie []string `header:"Set-Cookie"`
}

func (a *API) ended(ctx context.Context) *ended {
	if len(askedOf(ctx).request.CookiesNamed(accessCookie)) == 0 {
		return &ended{}
	}
	return &ended{[]string{
		a.cookie(ctx, crumb{name: accessCookie, path: a.Path + "/"}, time.Time{}),
		a.cookie(ctx, crumb{name: refreshCookie, path: a.Path + Prefix + "/auth"}, time.Time{}),
	}}
}

// account is the user who asks. The command line has none.
func account(ctx context.Context) (*gathering.Principal, error) {
	p := askedOf(ctx).principal
	if p == nil || p.User == "" {
		return nil, gathering.NewError(gathering.KindConflict, "%s has no account", gathering.CommandLine)
	}
	return p, nil
}

func (a *API) signOut(ctx context.Context, _ *nothing) (*ended, error) {
	p, err := account(ctx)
	if err == nil {
		err = a.Auth.SignOut(ctx, p)
	}
	return a.ended(ctx), err
}

func (a *API) signOutAll(ctx context.Context, _ *nothing) (*ended, error) {
	p, err := account(ctx)
	if err == nil {
		err = a.Auth.SignOutAll(ctx, p)
	}
	return a.ended(ctx), err
}

// PasswordChange is a password in the place of another.
type PasswordChange struct {
	Current string `json:"current" maxLength:"1024"`
	New     string `json:"new" maxLength:"1024"`
}

func (a *API) changePassword(ctx context.Context, in *struct{ Body PasswordChange }) (*nothing, error) {
	p, err := account(ctx)
	if err == nil {
		err = a.Auth.ChangePassword(ctx, p, in.Body.Current, in.Body.New, a.where(ctx))
	}
	return &nothing{}, err
}

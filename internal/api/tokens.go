package api

import (
	"context"
	"net/http"
	"time"

	"gathering"
	"gathering/internal/auth"
)

// NewToken says what a new API token is.
type NewToken struct {
	Name      string           `json:"name" minLength:"1" maxLength:"200" doc:"What it is for."`
	Scopes    []string         `json:"scopes" minItems:"1" maxItems:"50" nullable:"false" doc:"Actions, as runs.read, or patterns of them: runs.*, *.read, *."`
	ExpiresAt *time.Time       `json:"expires_at,omitempty"`
	User      gathering.UserID `json:"user,omitempty" maxLength:"100" pattern:"^usr_[0-9a-v]*$" doc:"Whose it is; oneself where it is left out."`
}

// IssuedToken is an API token with what has to be sent, which is told once.
type IssuedToken struct {
	gathering.Token

	Secret string `json:"secret" doc:"Sent as Authorization: Bearer …; it cannot be told again."`
}

func (a *API) tokenRoutes() {
	of := func(o Operation) Operation {
		o.Tag = tagPeople
		return o
	}
	register(a, of(Operation{ID: "list-tokens", Method: http.MethodGet, Path: Prefix + "/tokens", Action: auth.AccountRead, Summary: "List API tokens"}), a.listTokens)
	register(a, of(Operation{
		ID: "create-token", Method: http.MethodPost, Path: Prefix + "/tokens", Action: auth.AccountSecure, Status: http.StatusCreated,
		Summary: "Make an API token",
	}), a.createToken)
	register(a, of(Operation{
		ID: "delete-token", Method: http.MethodDelete, Path: Prefix + "/tokens/{id}", Action: auth.AccountSecure, Status: http.StatusNoContent,
		Summary: "Take an API token back",
	}), a.deleteToken)
}

// mayFor reports whether who asks may do something with the tokens of a user.
func mayFor(ctx context.Context, user gathering.UserID, action auth.Action) bool {
	p := askedOf(ctx).principal
	return p.User == user && user != "" || auth.Judge(p, action, "") == auth.Allowed
}

func (a *API) listTokens(ctx context.Context, in *struct {
	Listed

	User gathering.UserID `query:"user" maxLength:"100" doc:"Whose; one's own where it is left out, and those of all with *."`
},
) (*answer[Page[gathering.Token]], error) {
	user := in.User
	if user == "" {
		user = askedOf(ctx).principal.User
	}
	if !mayFor(ctx, user, auth.UsersRead) {
		return nil, a.refuse(ctx, "", errForbidden(askedOf(ctx).operation.Action))
	}
	if user == "*" {
		user = ""
	}
	after, err := in.after("tok_")
	if err != nil {
		return nil, err
	}
	tokens, err := a.Auth.Tokens(ctx, user, gathering.TokenID(after), in.Limit+1)
	return page(tokens, in.Limit, func(t gathering.Token) string { return string(t.ID) }), err
}

func (a *API) createToken(ctx context.Context, in *struct {
	Keyed

	Body NewToken
},
) (*answer[IssuedToken], error) {
	n := auth.NewToken{User: in.Body.User, Name: in.Body.Name, Scopes: in.Body.Scopes}
	if n.User == "" {
		n.User = askedOf(ctx).principal.User
	}
	if in.Body.ExpiresAt != nil {
		n.Expires = *in.Body.ExpiresAt
	}
	if !mayFor(ctx, n.User, auth.UsersWrite) {
		return nil, a.refuse(ctx, "", errForbidden(askedOf(ctx).operation.Action))
	}
	t, secret, err := a.Auth.CreateToken(ctx, n)
	return &answer[IssuedToken]{IssuedToken{t, secret}}, err
}

func (a *API) deleteToken(ctx context.Context, in *struct {
	Keyed

	ID gathering.TokenID `path:"id" maxLength:"100"`
},
) (*nothing, error) {
	t, err := a.Auth.Token(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !mayFor(ctx, t.User, auth.UsersWrite) {
		return nil, a.refuse(ctx, "", gathering.NewError(gathering.KindNotFound, "there is no token %s", in.ID))
	}
	return &nothing{}, a.Auth.DeleteToken(ctx, in.ID)
}

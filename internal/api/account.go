package api

import (
	"context"
	"net/http"

	"gathering"
	"gathering/internal/auth"
)

// Me is who asks, and what they may do.
type Me struct {
	User gathering.User `json:"user"`
	// Session or Token is by what.
	Session gathering.SessionID `json:"session,omitempty"`
	Token   gathering.TokenID   `json:"token,omitempty"`
	// Actions may be done everywhere, those of Projects in these.
	Actions  []auth.Action                         `json:"actions" nullable:"false"`
	Projects map[gathering.ProjectID][]auth.Action `json:"projects"`
}

// MeUpdate is what somebody changes about themselves.
type MeUpdate struct {
	Name string `json:"name" minLength:"1" maxLength:"200"`
}

func (a *API) accountRoutes() {
	of := func(o Operation) Operation {
		o.Tag = tagSignIn
		return o
	}
	register(a, of(Operation{ID: "who-am-i", Method: http.MethodGet, Path: Prefix + "/auth/me", Action: auth.AccountRead, Summary: "Tell who one is and what one may do"}), a.me)
	register(a, of(Operation{ID: "change-me", Method: http.MethodPatch, Path: Prefix + "/auth/me", Action: auth.AccountWrite, Summary: "Change one's name"}), a.changeMe)
	register(a, of(Operation{ID: "list-sessions", Method: http.MethodGet, Path: Prefix + "/auth/sessions", Action: auth.AccountRead, Summary: "List one's sessions"}), a.sessions)
	register(a, of(Operation{
		ID: "end-session", Method: http.MethodDelete, Path: Prefix + "/auth/sessions/{id}", Action: auth.AccountSecure, Status: http.StatusNoContent,
		Summary: "End one of one's sessions",
	}), a.endSession)
}

func (a *API) me(ctx context.Context, _ *nothing) (*tagged[Me], error) {
	p, err := account(ctx)
	if err != nil {
		return nil, err
	}
	u, err := a.Auth.User(ctx, p.User)
	if err != nil {
		return nil, err
	}
	m := Me{User: u, Session: p.Session, Token: p.Token, Actions: []auth.Action{}, Projects: map[gathering.ProjectID][]auth.Action{}}
	for _, right := range auth.Rights() {
		if auth.Judge(p, right.Action, "") == auth.Allowed {
			m.Actions = append(m.Actions, right.Action)
			continue
		}
		for project := range p.Projects {
			if right.Project && auth.Judge(p, right.Action, project) == auth.Allowed {
				m.Projects[project] = append(m.Projects[project], right.Action)
			}
		}
	}
	return revised(m, u.Revision), nil
}

func (a *API) changeMe(ctx context.Context, in *struct {
	Matched
	Keyed

	Body MeUpdate
},
) (*tagged[gathering.User], error) {
	p, err := account(ctx)
	if err != nil {
		return nil, err
	}
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	u, err := a.Auth.UpdateUser(ctx, p.User, auth.UserUpdate{Name: &in.Body.Name, Revision: revision})
	return revised(u, u.Revision), err
}

func (a *API) sessions(ctx context.Context, _ *nothing) (*answer[Page[gathering.Session]], error) {
	p, err := account(ctx)
	if err != nil {
		return nil, err
	}
	sessions, err := a.Auth.Sessions(ctx, p.User)
	return page(sessions, len(sessions), func(gathering.Session) string { return "" }), err
}

func (a *API) endSession(ctx context.Context, in *struct {
	Keyed

	ID gathering.SessionID `path:"id" maxLength:"100"`
},
) (*nothing, error) {
	p, err := account(ctx)
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Auth.EndSession(ctx, p, in.ID)
}

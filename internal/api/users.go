package api

import (
	"context"
	"net/http"

	"gathering"
	"gathering/internal/auth"
)

// NewUser says what a new user is.
type NewUser struct {
	Email    string         `json:"email" maxLength:"254"`
	Name     string         `json:"name,omitempty" maxLength:"200"`
	Role     gathering.Role `json:"role" enum:"admin,operator,editor,viewer,none" doc:"In all projects."`
	Password string         `json:"password,omitempty" maxLength:"256" doc:"Without one they cannot sign in yet."`
}

// UserUpdate says what changes in a user.
type UserUpdate struct {
	Name   *string         `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Role   *gathering.Role `json:"role,omitempty" enum:"admin,operator,editor,viewer,none"`
	Active *bool           `json:"active,omitempty" doc:"False keeps somebody out, and ends their sessions."`
}

// Password is one that an administrator gives somebody.
type Password struct {
	Password string `json:"password" maxLength:"256"`
}

// UserPath is the path of a user.
type UserPath struct {
	ID gathering.UserID `path:"id" maxLength:"100"`
}

func (a *API) userRoutes() {
	of := func(o Operation) Operation {
		o.Tag = tagPeople
		return o
	}
	register(a, of(Operation{ID: "list-users", Method: http.MethodGet, Path: Prefix + "/users", Action: auth.UsersRead, Summary: "List users"}), a.listUsers)
	register(a, of(Operation{
		ID: "create-user", Method: http.MethodPost, Path: Prefix + "/users", Action: auth.UsersWrite, Status: http.StatusCreated, Summary: "Make a user",
	}), a.createUser)
	register(a, of(Operation{ID: "read-user", Method: http.MethodGet, Path: Prefix + "/users/{id}", Action: auth.UsersRead, Summary: "Read a user"}), a.readUser)
	register(a, of(Operation{ID: "change-user", Method: http.MethodPatch, Path: Prefix + "/users/{id}", Action: auth.UsersWrite, Summary: "Change a user"}), a.changeUser)
	register(a, of(Operation{
		ID: "delete-user", Method: http.MethodDelete, Path: Prefix + "/users/{id}", Action: auth.UsersWrite, Status: http.StatusNoContent,
		Summary: "Delete a user",
	}), a.deleteUser)
	register(a, of(Operation{
		ID: "set-password", Method: http.MethodPost, Path: Prefix + "/users/{id}/password", Action: auth.UsersWrite, Status: http.StatusNoContent,
		Summary: "Give a user another password, and end their sessions",
	}), a.setPassword)
}

func (a *API) listUsers(ctx context.Context, in *struct {
	Listed

	Email string `query:"email" maxLength:"254" doc:"Only the user with this address."`
},
) (*answer[Page[gathering.User]], error) {
	if in.Email != "" {
		u, err := a.Auth.UserByEmail(ctx, in.Email)
		if gathering.KindOf(err) == gathering.KindNotFound {
			return page[gathering.User](nil, 1, nil), nil
		}
		return page([]gathering.User{u}, 1, nil), err
	}
	after, err := in.after("usr_")
	if err != nil {
		return nil, err
	}
	users, err := a.Auth.Users(ctx, gathering.UserID(after), in.Limit+1)
	return page(users, in.Limit, func(u gathering.User) string { return string(u.ID) }), err
}

func (a *API) createUser(ctx context.Context, in *struct {
	Keyed

	Body NewUser
},
) (*tagged[gathering.User], error) {
	u, err := a.Auth.CreateUser(ctx, auth.NewUser{Email: in.Body.Email, Name: in.Body.Name, Role: in.Body.Role, Password: in.Body.Password})
	return revised(u, u.Revision), err
}

func (a *API) readUser(ctx context.Context, in *UserPath) (*tagged[gathering.User], error) {
	u, err := a.Auth.User(ctx, in.ID)
	return revised(u, u.Revision), err
}

func (a *API) changeUser(ctx context.Context, in *struct {
	UserPath
	Matched
	Keyed

	Body UserUpdate
},
) (*tagged[gathering.User], error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	u, err := a.Auth.UpdateUser(ctx, in.ID, auth.UserUpdate{Name: in.Body.Name, Role: in.Body.Role, Active: in.Body.Active, Revision: revision})
	return revised(u, u.Revision), err
}

func (a *API) deleteUser(ctx context.Context, in *struct {
	UserPath
	Matched
	Keyed
},
) (*nothing, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Auth.DeleteUser(ctx, in.ID, revision)
}

func (a *API) setPassword(ctx context.Context, in *struct {
	UserPath
	Keyed

	Body Password
},
) (*nothing, error) {
	return &nothing{}, a.Auth.SetPassword(ctx, in.ID, in.Body.Password, "")
}

package api

import (
	"context"
	"net/http"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/project"
)

// NewProject says what a new project is.
type NewProject struct {
	ID          gathering.ProjectID `json:"id" maxLength:"63" pattern:"^[a-z][a-z0-9_-]*$" doc:"A word that stays."`
	Name        string              `json:"name,omitempty" maxLength:"200"`
	Description string              `json:"description,omitempty" maxLength:"4000"`
}

// ProjectUpdate says what changes in a project.
type ProjectUpdate struct {
	Name        *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Description *string `json:"description,omitempty" maxLength:"4000"`
}

// NewMember is somebody's part in a project.
type NewMember struct {
	Email string           `json:"email" maxLength:"254"`
	Roles []gathering.Role `json:"roles" minItems:"1" maxItems:"4" nullable:"false" enum:"admin,operator,editor,viewer"`
}

// MemberRoles is what a member may do in a project.
type MemberRoles struct {
	Roles []gathering.Role `json:"roles" minItems:"1" maxItems:"4" nullable:"false" enum:"admin,operator,editor,viewer"`
}

// ProjectPath is the path of a project.
type ProjectPath struct {
	ID gathering.ProjectID `path:"id" maxLength:"100"`
}

// MemberPath is the path of a member of a project.
type MemberPath struct {
	ProjectPath

	User gathering.UserID `path:"user" maxLength:"100"`
}

func (a *API) projectRoutes() {
	of := func(o Operation) Operation {
		o.Tag = tagProjects
		return o
	}
	register(a, of(Operation{ID: "list-projects", Method: http.MethodGet, Path: Prefix + "/projects", Action: auth.ProjectsRead, Summary: "List projects"}), a.listProjects)
	register(a, of(Operation{
		ID: "create-project", Method: http.MethodPost, Path: Prefix + "/projects", Action: auth.ProjectsCreate, Status: http.StatusCreated,
		Summary: "Make a project",
	}), a.createProject)
	one := Prefix + "/projects/{id}"
	register(a, of(Operation{ID: "read-project", Method: http.MethodGet, Path: one, Action: auth.ProjectsRead, Summary: "Read a project"}), a.readProject)
	register(a, of(Operation{ID: "change-project", Method: http.MethodPatch, Path: one, Action: auth.ProjectsWrite, Summary: "Change a project"}), a.changeProject)
	register(a, of(Operation{
		ID: "delete-project", Method: http.MethodDelete, Path: one, Action: auth.ProjectsCreate, Status: http.StatusNoContent,
		Summary: "Delete a project that holds nothing",
	}), a.deleteProject)
	register(a, of(Operation{ID: "list-members", Method: http.MethodGet, Path: one + "/members", Action: auth.ProjectsRead, Summary: "List who has roles in a project"}), a.listMembers)
	register(a, of(Operation{
		ID: "add-member", Method: http.MethodPost, Path: one + "/members", Action: auth.ProjectsWrite, Status: http.StatusCreated,
		Summary: "Give somebody, by their e-mail address, roles in a project",
	}), a.addMember)
	register(a, of(Operation{
		ID: "set-member", Method: http.MethodPut, Path: one + "/members/{user}", Action: auth.ProjectsWrite,
		Summary: "Give a user these roles in a project, and no others",
	}), a.setMember)
	register(a, of(Operation{
		ID: "remove-member", Method: http.MethodDelete, Path: one + "/members/{user}", Action: auth.ProjectsWrite, Status: http.StatusNoContent,
		Summary: "Take a user's roles in a project away",
	}), a.removeMember)
}

// seeProject decides about the project of a path.
func (a *API) seeProject(ctx context.Context, id gathering.ProjectID) error {
	return a.see(ctx, id, func() error { return gathering.NewError(gathering.KindNotFound, "there is no project %s", id) })
}

func (a *API) listProjects(ctx context.Context, in *Listed) (*answer[Page[gathering.Project]], error) {
	after, err := in.after("")
	if err != nil {
		return nil, err
	}
	projects, err := a.Projects.Projects(ctx, a.visible(ctx), gathering.ProjectID(after), in.Limit+1)
	return page(projects, in.Limit, func(p gathering.Project) string { return string(p.ID) }), err
}

func (a *API) createProject(ctx context.Context, in *struct {
	Keyed

	Body NewProject
},
) (*tagged[gathering.Project], error) {
	p, err := a.Projects.Create(ctx, in.Body.ID, in.Body.Name, in.Body.Description)
	return revised(p, p.Revision), err
}

func (a *API) readProject(ctx context.Context, in *ProjectPath) (*tagged[gathering.Project], error) {
	if err := a.seeProject(ctx, in.ID); err != nil {
		return nil, err
	}
	p, err := a.Projects.Project(ctx, in.ID)
	return revised(p, p.Revision), err
}

func (a *API) changeProject(ctx context.Context, in *struct {
	ProjectPath
	Matched
	Keyed

	Body ProjectUpdate
},
) (*tagged[gathering.Project], error) {
	if err := a.seeProject(ctx, in.ID); err != nil {
		return nil, err
	}
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	p, err := a.Projects.Update(ctx, in.ID, project.Update{Name: in.Body.Name, Description: in.Body.Description, Revision: revision})
	return revised(p, p.Revision), err
}

func (a *API) deleteProject(ctx context.Context, in *struct {
	ProjectPath
	Matched
	Keyed
},
) (*nothing, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Projects.Delete(ctx, in.ID, revision)
}

func (a *API) listMembers(ctx context.Context, in *struct {
	ProjectPath
	Listed
},
) (*answer[Page[gathering.Member]], error) {
	if err := a.seeProject(ctx, in.ID); err != nil {
		return nil, err
	}
	if _, err := a.Projects.Project(ctx, in.ID); err != nil {
		return nil, err
	}
	after, err := in.after("usr_")
	if err != nil {
		return nil, err
	}
	members, err := a.Projects.Members(ctx, in.ID, gathering.UserID(after), in.Limit+1)
	return page(members, in.Limit, func(m gathering.Member) string { return string(m.User) }), err
}

func (a *API) addMember(ctx context.Context, in *struct {
	ProjectPath
	Keyed

	Body NewMember
},
) (*answer[gathering.Member], error) {
	if err := a.seeProject(ctx, in.ID); err != nil {
		return nil, err
	}
	u, err := a.Auth.UserByEmail(ctx, in.Body.Email)
	if gathering.KindOf(err) == gathering.KindNotFound {
		return nil, gathering.NewError(gathering.KindNotFound, "there is no user with this e-mail address")
	}
	if err != nil {
		return nil, err
	}
	m, err := a.Projects.SetMember(ctx, in.ID, u.ID, in.Body.Roles)
	return &answer[gathering.Member]{m}, err
}

func (a *API) setMember(ctx context.Context, in *struct {
	MemberPath
	Keyed

	Body MemberRoles
},
) (*answer[gathering.Member], error) {
	if err := a.seeProject(ctx, in.ID); err != nil {
		return nil, err
	}
	m, err := a.Projects.SetMember(ctx, in.ID, in.User, in.Body.Roles)
	return &answer[gathering.Member]{m}, err
}

func (a *API) removeMember(ctx context.Context, in *struct {
	MemberPath
	Keyed
},
) (*nothing, error) {
	if err := a.seeProject(ctx, in.ID); err != nil {
		return nil, err
	}
	return &nothing{}, a.Projects.DeleteMember(ctx, in.ID, in.User)
}

package auth

import (
	"slices"
	"strings"

	"gathering"
)

// Action is something that somebody may or may not do, as "runs.start".
type Action string

// The actions.
const (
	AccountRead    Action = "account.read"    // one's own name, sessions and tokens
	AccountWrite   Action = "account.write"   // one's own name
	AccountSecure  Action = "account.secure"  // one's own password, sessions and tokens
	UsersRead      Action = "users.read"      // who there is
	UsersWrite     Action = "users.write"     // make, change, disable and delete users
	AuditRead      Action = "audit.read"      // who did what
	SettingsRead   Action = "settings.read"   // how this installation is set up
	SettingsWrite  Action = "settings.write"  //
	ProvidersRead  Action = "providers.read"  // where models come from, without keys
	ProvidersWrite Action = "providers.write" //
	CatalogueRead  Action = "catalogue.read"  // kinds of node, tools and models there are
	EventsRead     Action = "events.read"     // what goes on, of what one may see
	BreakersRead   Action = "breakers.read"   // circuit breakers
	BreakersWrite  Action = "breakers.write"  // open and close them
	ProjectsCreate Action = "projects.create" // and delete
	ProjectsRead   Action = "projects.read"   // a project and its members
	ProjectsWrite  Action = "projects.write"  // its name and its members
	PipelinesRead  Action = "pipelines.read"  //
	PipelinesWrite Action = "pipelines.write" // make, change, publish, roll back and delete
	RunsRead       Action = "runs.read"       // runs, their events and dead letters
	RunsStart      Action = "runs.start"      // start, redrive and fork
	RunsWrite      Action = "runs.write"      // cancel, pause, resume, decide and dismiss
	RunsDelete     Action = "runs.delete"     //
)

// Right says who may do something.
type Right struct {
	Action Action
	// Roles may, and admins always.
	Roles []gathering.Role
	// Anyone who is signed in may.
	Anyone bool
	// Project: it is done within a project, where a member's roles count.
	// Otherwise only a role that holds everywhere does.
	Project bool
	// Session: not by an API token, so that one that is stolen cannot make
	// itself another or lock its user out.
	Session bool
}

// Rights is the table of who may do what: the only one there is.
func Rights() []Right {
	all := []gathering.Role{gathering.RoleOperator, gathering.RoleEditor, gathering.RoleViewer}
	operators := []gathering.Role{gathering.RoleOperator}
	editors := []gathering.Role{gathering.RoleEditor}
	return []Right{
		{Action: AccountRead, Anyone: true},
		{Action: AccountWrite, Anyone: true},
		{Action: AccountSecure, Anyone: true, Session: true},
		{Action: UsersRead},
		{Action: UsersWrite, Session: true},
		{Action: AuditRead, Project: true},
		{Action: SettingsRead},
		{Action: SettingsWrite},
		{Action: ProvidersRead},
		{Action: ProvidersWrite},
		{Action: CatalogueRead, Anyone: true},
		{Action: EventsRead, Anyone: true},
		{Action: BreakersRead, Roles: all},
		{Action: BreakersWrite, Roles: operators},
		{Action: ProjectsCreate},
		{Action: ProjectsRead, Roles: all, Project: true},
		{Action: ProjectsWrite, Project: true},
		{Action: PipelinesRead, Roles: all, Project: true},
		{Action: PipelinesWrite, Roles: editors, Project: true},
		{Action: RunsRead, Roles: all, Project: true},
		{Action: RunsStart, Roles: operators, Project: true},
		{Action: RunsWrite, Roles: operators, Project: true},
		{Action: RunsDelete, Project: true},
	}
}

// RightOf returns the line of the table for an action. Without one nobody may.
func RightOf(action Action) (Right, bool) {
	rights := Rights()
	i := slices.IndexFunc(rights, func(r Right) bool { return r.Action == action })
	if i < 0 {
		return Right{}, false
	}
	return rights[i], true
}

// Verdict is whether somebody may do something.
type Verdict int

// The verdicts.
const (
	Hidden     Verdict = iota // they may not, and may not know that the object exists
	Forbidden                 // they may not
	OutOfScope                // their token may not; they might
	Allowed
)

// Judge says whether a principal may do something in a project; "" is
// everywhere. Nil is nobody, who may nothing.
func Judge(p *gathering.Principal, action Action, project gathering.ProjectID) Verdict {
	right, ok := RightOf(action)
	switch {
	case p == nil || !ok:
		return Hidden
	case p.System:
		return Allowed
	case right.Project && !sees(p, project):
		return Hidden
	case !right.admits(p, project):
		return Forbidden
	case right.Session && p.Session == "", p.Scopes != nil && !inScope(p.Scopes, action):
		return OutOfScope
	default:
		return Allowed
	}
}

// sees reports whether somebody may know of a project.
func sees(p *gathering.Principal, project gathering.ProjectID) bool {
	return p.Role != gathering.RoleNone || len(p.Projects[project]) > 0
}

func (r Right) admits(p *gathering.Principal, project gathering.ProjectID) bool {
	if !r.Project {
		project = ""
	}
	if r.Anyone || p.Has(gathering.RoleAdmin, project) {
		return true
	}
	return slices.ContainsFunc(r.Roles, func(role gathering.Role) bool { return p.Has(role, project) })
}

// ProjectsFor returns the projects in which a principal may do something. All
// says that there are no others.
func ProjectsFor(p *gathering.Principal, action Action) (projects []gathering.ProjectID, all bool) {
	if Judge(p, action, "") == Allowed {
		return nil, true
	}
	projects = []gathering.ProjectID{}
	if p == nil {
		return projects, false
	}
	for project := range p.Projects {
		if Judge(p, action, project) == Allowed {
			projects = append(projects, project)
		}
	}
	slices.Sort(projects)
	return projects, false
}

// inScope reports whether one of the scopes is the action or a pattern of it.
func inScope(scopes []string, action Action) bool {
	noun, verb, _ := strings.Cut(string(action), ".")
	return slices.ContainsFunc(scopes, func(scope string) bool {
		switch scope {
		case "*", string(action), noun + ".*", "*." + verb:
			return true
		}
		return false
	})
}

// validScope reports whether a scope is one that allows anything.
func validScope(scope string) bool {
	return slices.ContainsFunc(Rights(), func(r Right) bool { return !r.Session && inScope([]string{scope}, r.Action) })
}

package gathering

import (
	"slices"
	"time"
)

// Role says what somebody may do: everywhere, or in the projects that they are a
// member of. What each may do is one table in package auth.
type Role string

// The roles. None includes another but RoleAdmin, which may do everything.
const (
	RoleAdmin    Role = "admin"    // everything, people and settings too
	RoleOperator Role = "operator" // starts runs and steers them
	RoleEditor   Role = "editor"   // changes definitions, and starts nothing
	RoleViewer   Role = "viewer"   // looks
	// RoleNone is that of somebody who may do everywhere only what any user
	// may, and else what memberships of projects allow. It is no member's.
	RoleNone Role = "none"
)

// Roles lists the roles, the most powerful first.
func Roles() []Role { return []Role{RoleAdmin, RoleOperator, RoleEditor, RoleViewer, RoleNone} }

// User is somebody who can sign in.
type User struct {
	ID    UserID `json:"id"`
	Email string `json:"email"` // as it was normalised; no two users have the same
	Name  string `json:"name"`
	Role  Role   `json:"role"` // in all projects
	// Active: false keeps somebody out without forgetting them.
	Active     bool       `json:"active"`
	Revision   int64      `json:"revision"` // counts the changes
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	SignedInAt *time.Time `json:"signed_in_at"` // last
}

// Session is what a sign-in began: it ends by signing out, by being revoked, or
// when it was not used for long.
type Session struct {
	ID        SessionID `json:"id"`
	User      UserID    `json:"user"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Address   string    `json:"address"`
	Agent     string    `json:"agent"`
}

// Token lets a program act for a user, within scopes.
type Token struct {
	ID   TokenID `json:"id"`
	User UserID  `json:"user"`
	Name string  `json:"name"`
	// Scopes are actions, as "runs.read", or patterns of them, as "runs.*",
	// "*.read" and "*". The token never may what its user may not.
	Scopes    []string   `json:"scopes"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"` // nil is never
	UsedAt    *time.Time `json:"used_at"`    // last, to about a minute
}

// Principal is who asks for something: a user, by a session or by a token, or
// the command line of the machine itself.
type Principal struct {
	User    UserID
	Email   string
	Session SessionID // "" by a token
	Token   TokenID   // "" by a session
	Role    Role
	// Projects are the memberships.
	Projects map[ProjectID][]Role
	Scopes   []string // nil is without bound
	// System: it is this machine's own command line, which may do everything.
	System bool
}

// Name is the principal's in what others read: an e-mail address, or "the
// command line".
func (p *Principal) Name() string {
	if p.System {
		return CommandLine
	}
	return p.Email
}

// Has reports whether the principal has the role in a project, by membership or
// everywhere. "" asks for everywhere alone.
func (p *Principal) Has(role Role, project ProjectID) bool {
	return p.System || p.Role == role || slices.Contains(p.Projects[project], role)
}

// CommandLine is by whom commands do things on the machine that holds the data.
const CommandLine = "the command line"

// The events of a user, in the stream that bears the user's ID.
const (
	EventUserCreated     EventType = "user.created"          // data: UserChangedData
	EventUserUpdated     EventType = "user.updated"          // data: UserChangedData
	EventUserDeleted     EventType = "user.deleted"          // data: UserChangedData
	EventSignedIn        EventType = "auth.signed_in"        // data: AuthData
	EventSignedOut       EventType = "auth.signed_out"       // data: AuthData
	EventPasswordChanged EventType = "auth.password_changed" // data: AuthData
	EventSessionRobbed   EventType = "auth.refresh_reused"   // data: AuthData
	EventTokenCreated    EventType = "token.created"         // data: TokenChangedData
	EventTokenDeleted    EventType = "token.deleted"         // data: TokenChangedData
)

// UserChangedData says how a user is after a change.
type UserChangedData struct {
	Email  string `json:"email"`
	Role   Role   `json:"role"`
	Active bool   `json:"active"`
	By     string `json:"by"`
}

// AuthData says of which session something is told; "" is of all.
type AuthData struct {
	Session SessionID `json:"session,omitempty"`
	By      string    `json:"by,omitempty"`
}

// TokenChangedData says of which token something is told.
type TokenChangedData struct {
	Token TokenID `json:"token"`
	Name  string  `json:"name"`
	By    string  `json:"by"`
}

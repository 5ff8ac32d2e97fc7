package gathering

import "time"

// Project is what pipelines, runs and everything else belongs to, and where
// people have roles.
type Project struct {
	ID          ProjectID `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Revision    int64     `json:"revision"` // counts the changes, but those of members
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// Member is somebody's part in a project, beside the role that they have in all.
type Member struct {
	User      UserID    `json:"user"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	Roles     []Role    `json:"roles"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// The events of a project, in the stream "project:" followed by its ID.
const (
	EventProjectCreated EventType = "project.created" // data: ProjectChangedData
	EventProjectUpdated EventType = "project.updated" // data: ProjectChangedData
	EventProjectDeleted EventType = "project.deleted" // data: ProjectChangedData
	EventMemberUpdated  EventType = "member.updated"  // data: MemberChangedData
	EventMemberDeleted  EventType = "member.deleted"  // data: MemberChangedData
)

// ProjectChangedData says how a project is after a change.
type ProjectChangedData struct {
	Name string `json:"name"`
	By   string `json:"by"`
}

// MemberChangedData says who has which roles in a project after a change.
type MemberChangedData struct {
	User  UserID `json:"user"`
	Roles []Role `json:"roles,omitempty"`
	By    string `json:"by"`
}

package gathering

import "time"

// Outcome says what became of something that was tried.
type Outcome string

// What can become of it.
const (
	OutcomeDone   Outcome = "done"   // it happened
	OutcomeDenied Outcome = "denied" // they may not
	OutcomeFailed Outcome = "failed" // it was wrong, as a password is
)

// AuditEntry is one thing that somebody did or tried.
type AuditEntry struct {
	ID int64     `json:"id"` // counts up, with gaps
	At time.Time `json:"at"`
	// Actor is a user's ID, "the command line", or "" for nobody known, and
	// ActorName what they were called then.
	Actor     string `json:"actor"`
	ActorName string `json:"actor_name"`
	// Credential is the session or the token that was used.
	Credential string `json:"credential,omitempty"`
	Address    string `json:"address,omitempty"`
	Agent      string `json:"agent,omitempty"`
	Request    string `json:"request,omitempty"` // the request's ID
	// Action is what was done, as "pipelines.write" or "auth.sign_in", to
	// which object, within which project.
	Action  string    `json:"action"`
	Object  string    `json:"object,omitempty"`
	Project ProjectID `json:"project,omitempty"`
	Outcome Outcome   `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	// Times is how often it happened; more than once where it was the same
	// again and again.
	Times int64 `json:"times"`
	// Seal is the number of the seal that covers the entry; 0 is none yet.
	Seal int64 `json:"seal,omitempty"`
}

// AuditFilter says which entries are wanted. What is empty does not matter.
type AuditFilter struct {
	Actor, Action, Object string
	Outcome               Outcome
	// Projects bounds what is wanted to these projects; nil does not.
	Projects    []ProjectID
	Since, Till time.Time // from the one on, before the other
	Before      int64     // only those with a lower ID
	Limit       int       // 50; at most 500
}

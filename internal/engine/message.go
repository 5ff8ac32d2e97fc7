package engine

import (
	"encoding/json"
	"time"

	"gathering"
)

// Message is something that moves a run.
type Message interface{ message() }

// Begin starts a run that was queued.
type Begin struct{}

// Takeover goes on with a run that had an owner before, after its log was folded.
type Takeover struct {
	Instance gathering.InstanceID
	Crashed  bool // since a node last ended, an owner died or could not move the run
	// Mail is what the inbox holds. It is taken in before anything is begun or
	// repeated: a run that is to stop starts nothing.
	Mail []Mail
}

// Finished is the end of an attempt of a [Work] node: an outcome or a failure.
// In messages a node is named by its path, as [gathering.NodePath] writes it.
type Finished struct {
	Node       string
	Attempt    int
	Outcome    Outcome
	Failure    *gathering.Failure
	RetryAfter time.Duration // what the other side asked for, where it did
	// Unbegun: the run was let go before the attempt did anything. It is made
	// again by whoever has the run next.
	Unbegun bool
}

// Stepped is a step made by a [Work] node.
type Stepped struct {
	Node    string
	Attempt int
	Step    gathering.Step
}

// Tick says that time has passed: whatever is due by now happens.
type Tick struct{}

// Mail is an entry of the run's inbox.
type Mail struct {
	ID   gathering.InboxID
	Kind MailKind
	Data json.RawMessage
}

// MailKind says what an inbox entry asks for.
type MailKind string

// The kinds of mail.
const (
	MailCancel     MailKind = "cancel"      // data: CancelMail
	MailPause      MailKind = "pause"       // data: PauseMail
	MailResume     MailKind = "resume"      // data: ResumeMail
	MailChildEnded MailKind = "child_ended" // data: ChildEndedMail
	MailChildBegun MailKind = "child_begun" // data: ChildBegunMail
	MailWake       MailKind = "wake"        // no data: look whether something is due
	MailDecide     MailKind = "decide"      // data: DecideMail
)

// CancelMail asks a run to stop.
type CancelMail struct {
	By string `json:"by,omitempty"`
}

// PauseMail asks a run, and the runs that it waits for, to begin nothing more.
type PauseMail struct {
	By string `json:"by,omitempty"`
}

// ResumeMail ends a pause.
type ResumeMail struct {
	By string `json:"by,omitempty"`
}

// ChildEndedMail tells a parent how its child run ended.
type ChildEndedMail struct {
	Run     gathering.RunID    `json:"run"`
	Node    string             `json:"node"`
	State   gathering.RunState `json:"state"`
	Output  json.RawMessage    `json:"output,omitempty"`
	Failure *gathering.Failure `json:"failure,omitempty"`
	// MayHaveActed is as in [gathering.RunEndedData].
	MayHaveActed bool `json:"may_have_acted,omitempty"`
}

// ChildBegunMail tells a parent that a child run is stored whose end it does not
// wait for.
type ChildBegunMail struct {
	Run  gathering.RunID `json:"run"`
	Node string          `json:"node"`
}

// DecideMail is a human's word on a node whose outcome is unknown.
type DecideMail struct {
	Node    string          `json:"node"`
	Attempt int             `json:"attempt,omitempty"` // whose outcome is decided; 0 is that of the last
	As      string          `json:"as"`                // one of the Decide constants
	Output  json.RawMessage `json:"output,omitempty"`
	By      string          `json:"by,omitempty"`
}

// What an unknown outcome can be decided to be.
const (
	DecideDone  = "done"  // it acted; the decision brings its output
	DecideRetry = "retry" // it did not act: it is done again
	DecideFail  = "fail"  // it counts as failed
)

func (Begin) message()    {}
func (Takeover) message() {}
func (Finished) message() {}
func (Stepped) message()  {}
func (Tick) message()     {}
func (Mail) message()     {}

// Effect is something to be done once the events of its turn are durable.
type Effect interface{ effect() }

// StartWork begins or repeats an attempt of a [Work] node.
type StartWork struct {
	Node     int
	Attempt  int
	Deadline time.Time // zero is none
}

// StopWork ends the attempt under way.
type StopWork struct{ Node int }

// StartChild inserts a child run. It is carried out within the commit of its
// turn's events, which also tells the parent where the child cannot be, and
// where its end is not waited for, that it is there.
type StartChild struct {
	ID      gathering.RunID
	Spec    ChildSpec
	Trigger gathering.Trigger
}

// TellChild asks a child run to stop, to pause or to go on, on behalf of its
// parent. It is carried out within the commit of its turn's events.
type TellChild struct {
	ID   gathering.RunID
	Kind MailKind
	// Seq is the parent's last event by then: it tells one request of a kind
	// from the next.
	Seq int64
}

func (StartWork) effect()  {}
func (StopWork) effect()   {}
func (StartChild) effect() {}
func (TellChild) effect()  {}

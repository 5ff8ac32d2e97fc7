package gathering

import "time"

// BreakerState says whether a circuit breaker lets calls through.
type BreakerState string

// The states of a circuit breaker. That it is open outlasts a restart and holds
// for every instance.
const (
	// BreakerClosed: calls get through. It is how each begins, and what a call
	// that succeeds while it is half open, or somebody, makes of it.
	BreakerClosed BreakerState = "closed"
	// BreakerOpen: nothing is called. Failures of calls make it so for a
	// while, or somebody does.
	BreakerOpen BreakerState = "open"
	// BreakerHalfOpen: its time of being open is up, and one call at a time is
	// let through to see whether it can be closed.
	BreakerHalfOpen BreakerState = "half_open"
)

// Breaker is the circuit breaker of what many runs call: a model provider, an
// HTTP host or a tool.
type Breaker struct {
	// Name is what is called, as "provider:openai", "host:example.com:443" or
	// "tool:mail.send".
	Name  string       `json:"name"`
	State BreakerState `json:"state"`
	// Since is when it was opened or closed last; nil where it never was open.
	Since *time.Time `json:"since,omitempty"`
	// Until is when an open one becomes half open; nil where it stays open
	// until somebody resets it.
	Until *time.Time `json:"until,omitempty"`
	// Reason and By say why and by whom it was opened or closed last. By is ""
	// where its calls did it.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
	// Failures is how many calls in a row have failed, or while it is open how
	// many failures opened it.
	Failures int `json:"failures"`
	// Calls and Failed count this instance's calls, and those that failed, of
	// about the last minute in which it was closed.
	Calls  int `json:"calls"`
	Failed int `json:"failed"`
}

// The events of a circuit breaker, in the stream "breaker:" followed by its name.
const (
	EventBreakerOpened EventType = "breaker.opened" // data: BreakerChangedData
	EventBreakerClosed EventType = "breaker.closed" // data: BreakerChangedData
)

// BreakerChangedData says why a circuit breaker was opened or closed.
type BreakerChangedData struct {
	Reason   string     `json:"reason,omitempty"`
	By       string     `json:"by,omitempty"`       // who did it; "" for its calls
	Failures int        `json:"failures,omitempty"` // that opened it
	Until    *time.Time `json:"until,omitempty"`    // when it becomes half open; nil: when it is reset
}

package event

import "sync"

// Ends tells those who wait for something of this process how it ended, so that
// they need not look. Its zero value is ready. It holds what is expected to
// end, and nothing else.
type Ends struct {
	mu       sync.Mutex
	expected map[string]*End
}

// End is an end to come.
type End struct {
	over  chan struct{} // nil until somebody waits
	ended bool
}

// Over is closed once the end is known, or that nobody here will know it.
func (e *End) Over() <-chan struct{} { return e.over }

// Ended reports, once Over is closed, whether there was an end. Otherwise what
// was expected to end is not this process's any more.
func (e *End) Ended() bool { return e.ended }

// Expect begins to expect an end.
func (e *Ends) Expect(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.expected == nil {
		e.expected = make(map[string]*End)
	}
	e.expected[what] = &End{}
}

// Tell says that the end came and is durable.
func (e *Ends) Tell(what string) { e.settle(what, End{ended: true}) }

// Drop says that no end will be told, if none was.
func (e *Ends) Drop(what string) { e.settle(what, End{}) }

func (e *Ends) settle(what string, as End) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if end := e.expected[what]; end != nil {
		delete(e.expected, what)
		end.ended = as.ended
		if end.over != nil {
			close(end.over)
		}
	}
}

// Of is the end to come of something; nil if nobody here expects one.
func (e *Ends) Of(what string) *End {
	e.mu.Lock()
	defer e.mu.Unlock()
	end := e.expected[what]
	if end != nil && end.over == nil {
		end.over = make(chan struct{})
	}
	return end
}

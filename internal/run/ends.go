package run

import (
	"sync"

	"gathering"
)

// ends tells those who wait for a run of this process how it ended, so that
// they need not read it. Its zero value is ready. It holds the runs that this
// process owns, and nothing of any other.
type ends struct {
	mu   sync.Mutex
	runs map[gathering.RunID]*awaited
}

// awaited is the end of a run to come. Once over is closed, ended says whether
// there was one: otherwise the run went on its way elsewhere.
type awaited struct {
	over  chan struct{} // nil until somebody waits
	ended bool
}

// expect begins to expect the end of a run that this process owns from now on.
func (e *ends) expect(id gathering.RunID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.runs == nil {
		e.runs = make(map[gathering.RunID]*awaited)
	}
	e.runs[id] = &awaited{}
}

// tell says that the end of a run is durable.
func (e *ends) tell(id gathering.RunID) { e.settle(id, awaited{ended: true}) }

// drop says that a run is not this process's any more, if it has not ended.
func (e *ends) drop(id gathering.RunID) { e.settle(id, awaited{}) }

func (e *ends) settle(id gathering.RunID, as awaited) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.runs[id]; r != nil {
		delete(e.runs, id)
		r.ended = as.ended
		if r.over != nil {
			close(r.over)
		}
	}
}

// of is the end to come of a run; nil if nobody here can tell.
func (e *ends) of(id gathering.RunID) *awaited {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[id]
	if r != nil && r.over == nil {
		r.over = make(chan struct{})
	}
	return r
}

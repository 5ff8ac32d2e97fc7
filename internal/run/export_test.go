package run

import "context"

// Statements that must stay fast however many runs are stored.
const (
	Claimable   = claimable
	NextToClaim = nextToClaim
	Busy        = busy
	AllRuns     = allRuns
	ChildRuns   = childRuns
	Family      = family
)

// FailBeat has the worker see another instance and then miss a beat. It returns
// how many instances the worker remembers. No beat may be due meanwhile.
func (w *Worker) FailBeat() int {
	p := w.service.local.current.Load().presence
	p.seen["ins_other"] = sighting{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.beat(ctx)
	return len(p.seen)
}

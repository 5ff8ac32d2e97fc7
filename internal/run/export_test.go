package run

// Statements that must stay fast however many runs are stored.
const (
	Claimable   = claimable
	NextToClaim = nextToClaim
	Busy        = busy
	AllRuns     = allRuns
	ChildRuns   = childRuns
	Family      = family
)

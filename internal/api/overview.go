package api

import (
	"context"
	"net/http"

	"gathering"
	"gathering/internal/auth"
)

// Overview is what goes on, of what one may see.
type Overview struct {
	Counts gathering.RunCounts `json:"counts"`
	// Runs are the latest, and Dead those that ended badly and that nobody has
	// seen to, the newest first.
	Runs []gathering.Run `json:"runs" nullable:"false"`
	Dead []DeadLetter    `json:"dead" nullable:"false"`
	// Breakers are those that are not closed, for who may see them.
	Breakers []gathering.Breaker `json:"breakers" nullable:"false"`
}

// How many of each an overview shows at most.
const (
	latestRuns   = 10
	latestDead   = 5
	openBreakers = 20
)

func (a *API) overviewRoutes() {
	register(a, Operation{
		ID: "read-overview", Method: http.MethodGet, Path: Prefix + "/overview", Tag: tagRuns, Action: auth.RunsRead,
		Summary: "Tell what goes on: how many runs there are under way, the latest, and what somebody is to see to",
	}, a.readOverview)
}

func (a *API) readOverview(ctx context.Context, in *struct {
	Project gathering.ProjectID `query:"project" maxLength:"100"`
},
) (*answer[Overview], error) {
	o := Overview{Runs: []gathering.Run{}, Breakers: []gathering.Breaker{}}
	projects := a.only(ctx, in.Project)
	var err error
	if o.Counts, err = a.Launcher.Runs.Counts(ctx, projects); err != nil {
		return nil, err
	}
	runs, err := a.Launcher.Runs.Runs(ctx, gathering.RunFilter{Projects: projects, Limit: latestRuns})
	if err != nil {
		return nil, err
	}
	o.Runs = append(o.Runs, runs...)
	if o.Dead, err = a.deadLetters(ctx, gathering.RunFilter{Projects: projects, Limit: latestDead}); err != nil {
		return nil, err
	}
	if auth.Judge(askedOf(ctx).principal, auth.BreakersRead, "") == auth.Allowed {
		for _, b := range a.Circuits.List(ctx) {
			if b.State != gathering.BreakerClosed && len(o.Breakers) < openBreakers {
				o.Breakers = append(o.Breakers, b)
			}
		}
	}
	return &answer[Overview]{o}, nil
}

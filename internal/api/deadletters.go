package api

import (
	"context"
	"net/http"

	"gathering"
	"gathering/internal/auth"
)

// DeadLetter is a run that ended badly, and what nobody has seen to yet.
type DeadLetter struct {
	gathering.Run

	Error *gathering.Failure `json:"error"`
}

func (a *API) deadLetterRoutes() {
	register(a, Operation{
		ID: "list-dead-letters", Method: http.MethodGet, Path: Prefix + "/dead-letters", Tag: tagRuns, Action: auth.RunsRead,
		Summary: "List runs that ended badly and that nobody has seen to, the newest first",
	}, a.listDeadLetters)
	register(a, Operation{
		ID: "dismiss-run", Method: http.MethodPost, Path: Prefix + "/runs/{id}/dismiss", Tag: tagRuns, Action: auth.RunsWrite,
		Summary: "Take a run off the dead letters",
	}, a.dismissRun)
}

func (a *API) listDeadLetters(ctx context.Context, in *struct {
	Listed

	Project gathering.ProjectID `query:"project" maxLength:"100"`
},
) (*answer[Page[DeadLetter]], error) {
	before, err := in.after("run_")
	if err != nil {
		return nil, err
	}
	letters, err := a.deadLetters(ctx, gathering.RunFilter{
		Projects: a.only(ctx, in.Project), Before: gathering.RunID(before), Limit: in.Limit + 1,
	})
	return page(letters, in.Limit, func(l DeadLetter) string { return string(l.ID) }), err
}

func (a *API) deadLetters(ctx context.Context, f gathering.RunFilter) ([]DeadLetter, error) {
	dead, err := a.Launcher.Runs.DeadLetters(ctx, f)
	letters := make([]DeadLetter, len(dead))
	for i, d := range dead {
		letters[i] = DeadLetter{d.Run, d.Failure}
	}
	return letters, err
}

func (a *API) dismissRun(ctx context.Context, in *Steering) (*runAnswer, error) {
	if _, err := a.seeRun(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.once(ctx, func() (gathering.Run, error) { return a.Launcher.Runs.Dismiss(ctx, in.ID, by(ctx)) })
}

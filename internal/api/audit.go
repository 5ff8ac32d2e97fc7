package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/auth"
)

func (a *API) auditRoutes() {
	register(a, Operation{
		ID: "list-audit", Method: http.MethodGet, Path: Prefix + "/audit", Tag: tagPeople, Action: auth.AuditRead,
		Summary: "List who did and tried what, the newest first",
	}, a.listAudit)
	register(a, Operation{
		ID: "verify-audit", Method: http.MethodGet, Path: Prefix + "/audit/verify", Tag: tagPeople, Action: auth.AuditRead,
		Summary: "Find what was changed in the audit trail, and how much of it is not sealed yet",
	}, a.verifyAudit)
}

func (a *API) listAudit(ctx context.Context, in *struct {
	Listed

	Actor   string              `query:"actor" maxLength:"254" doc:"A user's ID or e-mail address."`
	Action  string              `query:"action" maxLength:"100"`
	Object  string              `query:"object" maxLength:"512"`
	Outcome gathering.Outcome   `query:"outcome" enum:"done,denied,failed"`
	Project gathering.ProjectID `query:"project" maxLength:"100"`
	Since   time.Time           `query:"since"`
	Until   time.Time           `query:"until" doc:"Entries before this time."`
},
) (*answer[Page[gathering.AuditEntry]], error) {
	before := int64(0)
	if in.Cursor != "" {
		var err error
		if before, err = strconv.ParseInt(in.Cursor, 10, 64); err != nil || before < 1 {
			return nil, errCursor()
		}
	}
	f := gathering.AuditFilter{
		Actor: in.Actor, Action: in.Action, Object: in.Object, Outcome: in.Outcome, Since: in.Since, Till: in.Until,
		Before: before, Limit: in.Limit + 1, Projects: a.only(ctx, in.Project),
	}
	entries, err := audit.Entries(ctx, a.DB.Read(), f)
	return page(entries, in.Limit, func(e gathering.AuditEntry) string { return strconv.FormatInt(e.ID, 10) }), err
}

// only are the visible projects that a list is about: all of them, or the one
// that is asked for. Nil is all there are.
func (a *API) only(ctx context.Context, project gathering.ProjectID) []gathering.ProjectID {
	visible := a.visible(ctx)
	switch {
	case project == "":
		return visible
	case visible == nil && nameable(string(project)), slices.Contains(visible, project):
		return []gathering.ProjectID{project}
	default:
		return []gathering.ProjectID{}
	}
}

func errCursor() error {
	return gathering.NewError(gathering.KindInvalid, "there is no such page").
		WithFields(gathering.FieldError{Field: "cursor", Problem: "must be the next_cursor of the page before"})
}

func (a *API) verifyAudit(ctx context.Context, _ *nothing) (*answer[audit.Report], error) {
	if a.visible(ctx) != nil {
		return nil, a.refuse(ctx, "", errForbidden(askedOf(ctx).operation.Action))
	}
	report, err := audit.Verify(ctx, a.DB, a.Ring, a.Anchor)
	return &answer[audit.Report]{report}, err
}

package ask

import (
	"context"
	"strconv"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/remote"
)

// Audit is the commands about the audit trail.
type Audit struct {
	List   listAudit   `cmd:"" help:"List who did and tried what, the newest first."`
	Verify verifyAudit `cmd:"" help:"Find what was changed in the audit trail, and say how much of it is not sealed yet."`
}

type listAudit struct {
	Actor  string `help:"Only what this user did, by ID or e-mail address."`
	Action string `help:"Only this action."`
	Object string `help:"Only what was done to this object."`
	Limit  int    `default:"50" help:"How many entries, at most 500."`
	JSON   bool   `name:"json" help:"Print one JSON document."`
}

// Run lists audit entries.
func (c *listAudit) Run(ctx context.Context, out Console) error {
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		entries, err := client.Audit(ctx, gathering.AuditFilter{Actor: c.Actor, Action: c.Action, Object: c.Object, Limit: c.Limit})
		if err != nil {
			return err
		}
		if c.JSON {
			return out.Document(api.Page[gathering.AuditEntry]{Items: entries})
		}
		rows := make([][]string, len(entries))
		for i, e := range entries {
			times := ""
			if e.Times > 1 {
				times = " ×" + strconv.FormatInt(e.Times, 10)
			}
			rows[i] = []string{
				clockTime(e.At), printable(e.ActorName), printable(e.Address), printable(e.Action) + times, printable(e.Object),
				string(e.Outcome), printable(e.Reason),
			}
		}
		return out.Table("AT\tWHO\tFROM\tACTION\tOBJECT\tOUTCOME\tREASON", rows)
	})
}

type verifyAudit struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// errBroken ends a command that found the trail changed.
func errBroken(n int) error {
	return gathering.NewError(gathering.KindConflict, "the audit trail is not as it was written: %d faults", n)
}

// Run verifies the audit trail.
func (c *verifyAudit) Run(ctx context.Context, out Console) error {
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		report, err := client.VerifyAudit(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			if err := out.Document(report); err != nil {
				return err
			}
		} else {
			for _, f := range report.Faults {
				where := "seal " + strconv.FormatInt(f.Seal, 10)
				if f.Entry != 0 {
					where += ", entry " + strconv.FormatInt(f.Entry, 10)
				}
				out.Say("%s: %s", where, f.Problem)
			}
			out.Say("%d entries under %d seals; %d more were deleted because they were old; %d are not sealed yet",
				report.Entries, report.Seals, report.Pruned, report.Unsealed)
			if !report.Anchored {
				out.Say("no seal is anchored here: nothing shows whether the newest ones are missing")
			}
		}
		if len(report.Faults) > 0 {
			return errBroken(len(report.Faults))
		}
		return nil
	})
}

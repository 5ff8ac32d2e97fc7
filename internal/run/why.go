package run

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gathering"
)

// Why says what a run waits for: a place, a worker, a time, other runs, a
// decision, work under way. Of the runs that it waits for it says what they
// wait for in turn.
func (s *Service) Why(ctx context.Context, id gathering.RunID) (gathering.Why, error) {
	return s.why(ctx, id, 0)
}

func (s *Service) why(ctx context.Context, id gathering.RunID, depth int) (gathering.Why, error) {
	r, err := s.Run(ctx, id)
	if err != nil {
		return gathering.Why{}, err
	}
	report, err := s.Report(ctx, id)
	if err != nil {
		return gathering.Why{}, err
	}
	w := gathering.Why{Run: id, State: report.State}
	switch report.State {
	case gathering.RunQueued:
		if w.Waits, err = s.whyQueued(ctx, r); err != nil {
			return w, err
		}
	case gathering.RunRecovering:
		w.Waits = []gathering.Wait{{Reason: whyRecovering(r, s.now())}}
	case gathering.RunPaused:
		w.Waits = []gathering.Wait{{Reason: whyPaused(report.PausedBy)}}
	default:
	}
	if !report.State.Terminal() {
		w.Waits = append(w.Waits, s.whyNodes(report)...)
	}
	for i := range w.Waits[:min(len(w.Waits), mostWaits)] {
		if child := w.Waits[i].Run; child != "" && depth < gathering.MaxDepth {
			inner, err := s.why(ctx, child, depth+1)
			if err != nil {
				return w, err
			}
			w.Waits[i].Reason += " (" + inner.Line + ")"
		}
	}
	w.Line = whyLine(report, w.Waits)
	return w, nil
}

// mostWaits is how much of what a run waits for is told in its line.
const mostWaits = 5

func whyLine(report gathering.RunReport, waits []gathering.Wait) string {
	switch {
	case report.State.Terminal() && report.Error != nil:
		return fmt.Sprintf("%s: %s", report.State, report.Error.Message)
	case report.State.Terminal():
		return string(report.State)
	case len(waits) == 0:
		return string(report.State) + ": its owner is about to go on"
	}
	var parts []string
	for _, w := range waits[:min(len(waits), mostWaits)] {
		if w.Node != "" {
			parts = append(parts, w.Node+": "+w.Reason)
		} else {
			parts = append(parts, w.Reason)
		}
	}
	if more := len(waits) - mostWaits; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return string(report.State) + ": " + strings.Join(parts, "; ")
}

func whyPaused(by string) string {
	if by == "" {
		return "until somebody resumes it"
	}
	return "until somebody resumes it; " + by + " paused it"
}

// whyQueued says what keeps a run from being begun.
func (s *Service) whyQueued(ctx context.Context, r gathering.Run) ([]gathering.Wait, error) {
	var (
		key          string
		most, under  int
		granted      int
		due, working int
	)
	err := s.db.Read().QueryRow(ctx, `SELECT coalesce(r.concurrency_key, ''), r.concurrency_max,
		(SELECT count(*) FROM runs o WHERE o.concurrency_key = r.concurrency_key AND o.granted_at IS NOT NULL AND o.finished_at IS NULL),
		CASE WHEN r.granted_at IS NULL THEN 0 ELSE 1 END,
		(SELECT count(*) FROM runs d WHERE d.owner IS NULL AND d.ready_at IS NOT NULL AND d.ready_at <= $2 AND d.queue <= r.queue AND d.id <> r.id),
		(SELECT count(*) FROM instances)
		FROM runs r WHERE r.id = $1`, string(r.ID), s.now().UnixMicro()).Scan(&key, &most, &under, &granted, &due, &working)
	if err != nil {
		return nil, fmt.Errorf("look what %s waits for: %w", r.ID, err)
	}
	switch {
	case granted == 0 && key != "":
		_, name, _ := strings.Cut(key, "/")
		return []gathering.Wait{{Reason: fmt.Sprintf("%d of %d runs with the concurrency key %q are under way", under, most, name)}}, nil
	case r.ReadyAt != nil && r.ReadyAt.After(s.now()):
		return []gathering.Wait{{Reason: "it is not due before " + stamp(*r.ReadyAt), Until: r.ReadyAt}}, nil
	case working == 0:
		return []gathering.Wait{{Reason: "no worker is running"}}, nil
	case due > 0:
		return []gathering.Wait{{Reason: fmt.Sprintf("%d runs are before it in line for a worker", due)}}, nil
	}
	return []gathering.Wait{{Reason: "a worker is about to begin it"}}, nil
}

func whyRecovering(r gathering.Run, now time.Time) string {
	text := "its owner is gone; the next free worker goes on with it from its log"
	if r.Crashes > 0 {
		text = fmt.Sprintf("its owner is gone, for the %s time in a row; a free worker goes on with it from its log", ordinal(r.Crashes))
	}
	if r.ReadyAt != nil && r.ReadyAt.After(now) {
		text += ", not before " + stamp(*r.ReadyAt)
	}
	return text
}

func ordinal(n int) string {
	switch n {
	case 1:
		return "first"
	case 2:
		return "second"
	case 3:
		return "third"
	}
	return fmt.Sprintf("%dth", n)
}

// whyNodes says what the nodes that have begun and not ended wait for.
func (s *Service) whyNodes(report gathering.RunReport) []gathering.Wait {
	var waits []gathering.Wait
	for _, n := range report.Nodes {
		if n.Items != nil && !n.State.Terminal() {
			waits = append(waits, gathering.Wait{Node: n.ID, Reason: whyItems(n.Items)})
			for _, item := range n.Items.Open {
				of := gathering.NodeReport{
					ID: gathering.NodePath(n.ID, item.Index), State: item.State, Attempts: item.Attempts,
					Error: item.Error, Child: item.Child, Due: item.Due,
				}
				waits = appendWait(waits, of, report.Run)
			}
			continue
		}
		waits = appendWait(waits, n, report.Run)
	}
	return waits
}

func whyItems(items *gathering.ItemsReport) string {
	text := fmt.Sprintf("%d of %d items have ended, %d under way", items.Completed+items.Failed, items.Total, items.Running)
	if items.Unknown > 0 {
		text += fmt.Sprintf(", %d undecided", items.Unknown)
	}
	return text
}

func appendWait(waits []gathering.Wait, n gathering.NodeReport, run gathering.RunID) []gathering.Wait {
	w := gathering.Wait{Node: n.ID, Until: n.Due}
	switch {
	case n.State == gathering.NodeRunning:
		w.Reason = fmt.Sprintf("attempt %d is under way", n.Attempts)
	case n.State == gathering.NodeWaiting && n.Child != "":
		w.Run, w.Reason = n.Child, "waits for run "+string(n.Child)
	case n.State == gathering.NodeWaiting && n.Due != nil:
		w.Reason = "waits until " + stamp(*n.Due)
	case n.State == gathering.NodeRetrying && n.Due != nil && n.Error != nil:
		w.Reason = fmt.Sprintf("attempt %d failed (%s); the next begins at %s", n.Attempts, n.Error.Message, stamp(*n.Due))
	case n.State == gathering.NodeRetrying && n.Due != nil:
		w.Reason = "begins again at " + stamp(*n.Due)
	case n.State == gathering.NodeUnknown:
		w.Reason = fmt.Sprintf("it may have acted and nobody can tell; say so by: gathering runs decide %s --node '%s' --as done|retry|fail", run, n.ID)
	default:
		return waits
	}
	return append(waits, w)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Package reason says in words what a run waits for.
package reason

import (
	"fmt"
	"strings"
	"time"

	"gathering"
)

// Told is how much of what a run waits for is told in its line.
const Told = 5

// Line says in one line where a run stands and what it waits for.
func Line(report gathering.RunReport, waits []gathering.Wait) string {
	switch {
	case report.State.Terminal() && report.Error != nil:
		return fmt.Sprintf("%s: %s", report.State, report.Error.Message)
	case report.State.Terminal():
		return string(report.State)
	case len(waits) == 0:
		return string(report.State) + ": its owner is about to go on"
	}
	var parts []string
	for _, w := range waits[:min(len(waits), Told)] {
		if w.Node != "" {
			parts = append(parts, w.Node+": "+w.Reason)
		} else {
			parts = append(parts, w.Reason)
		}
	}
	if more := len(waits) - Told; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return string(report.State) + ": " + strings.Join(parts, "; ")
}

// Paused says what ends a pause.
func Paused(by string) string {
	if by == "" {
		return "until somebody resumes it"
	}
	return "until somebody resumes it; " + by + " paused it"
}

// Recovering says what becomes of a run whose owner is gone.
func Recovering(r gathering.Run, now time.Time) string {
	text := "its owner is gone; the next free worker goes on with it from its log"
	if r.Crashes > 0 {
		text = fmt.Sprintf("its owner is gone, for the %s time in a row; a free worker goes on with it from its log", ordinal(r.Crashes))
	}
	if r.ReadyAt != nil && r.ReadyAt.After(now) {
		text += ", not before " + Stamp(*r.ReadyAt)
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

// Nodes says what the nodes that have begun and not ended wait for.
func Nodes(report gathering.RunReport) []gathering.Wait {
	var waits []gathering.Wait
	for _, n := range report.Nodes {
		if n.Items != nil && !n.State.Terminal() {
			waits = append(waits, gathering.Wait{Node: n.ID, Reason: ofItems(n.Items)})
			for _, item := range n.Items.Open {
				of := gathering.NodeReport{
					ID: gathering.NodePath(n.ID, item.Index), State: item.State, Attempts: item.Attempts,
					Error: item.Error, Child: item.Child, Due: item.Due, Uncounted: item.Uncounted,
				}
				waits = appendWait(waits, of, report.Run)
			}
			continue
		}
		waits = appendWait(waits, n, report.Run)
	}
	return waits
}

func ofItems(items *gathering.ItemsReport) string {
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
		w.Reason = "waits until " + Stamp(*n.Due)
	case n.State == gathering.NodeRetrying && n.Due != nil && n.Error != nil && n.Uncounted:
		w.Reason = fmt.Sprintf("attempt %d came to nothing (%s); it begins again at %s", n.Attempts, n.Error.Message, Stamp(*n.Due))
	case n.State == gathering.NodeRetrying && n.Due != nil && n.Error != nil:
		w.Reason = fmt.Sprintf("attempt %d failed (%s); the next begins at %s", n.Attempts, n.Error.Message, Stamp(*n.Due))
	case n.State == gathering.NodeRetrying && n.Due != nil:
		w.Reason = "begins again at " + Stamp(*n.Due)
	case n.State == gathering.NodeUnknown:
		w.Reason = fmt.Sprintf("it may have acted and nobody can tell; say so by: gathering runs decide %s --node '%s' --as 'done|retry|fail'", run, n.ID)
	default:
		return waits
	}
	return append(waits, w)
}

// Stamp is a time as reasons tell it.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

package run

import (
	"context"
	"fmt"
	"strings"

	"gathering"
	"gathering/internal/reason"
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
		w.Waits = []gathering.Wait{{Reason: reason.Recovering(r, s.now())}}
	case gathering.RunPaused:
		w.Waits = []gathering.Wait{{Reason: reason.Paused(report.PausedBy)}}
	default:
	}
	if !report.State.Terminal() {
		w.Waits = append(w.Waits, reason.Nodes(report)...)
	}
	for i := range w.Waits[:min(len(w.Waits), reason.Told)] {
		if child := w.Waits[i].Run; child != "" && depth < gathering.MaxDepth {
			inner, err := s.why(ctx, child, depth+1)
			if gathering.KindOf(err) == gathering.KindNotFound {
				continue // it could not be started, and the run's inbox says so
			}
			if err != nil {
				return w, err
			}
			w.Waits[i].Reason += " (" + inner.Line + ")"
		}
	}
	w.Line = reason.Line(report, w.Waits)
	return w, nil
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
		return []gathering.Wait{{Reason: "it is not due before " + reason.Stamp(*r.ReadyAt), Until: r.ReadyAt}}, nil
	case working == 0:
		return []gathering.Wait{{Reason: "no worker is running"}}, nil
	case due > 0:
		return []gathering.Wait{{Reason: fmt.Sprintf("%d runs are before it in line for a worker", due)}}, nil
	}
	return []gathering.Wait{{Reason: "a worker is about to begin it"}}, nil
}

package run

import (
	"context"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/fair"
	"gathering/internal/roster"
	"gathering/internal/vital"
)

// Statements that must stay fast however many runs are stored.
const (
	Claimable  = claimable
	Suspected  = suspected
	WholeLine  = wholeLine
	FamilyLine = familyLine
	Busy       = busy
	AllRuns    = roster.AllRuns
	DeadRuns   = roster.DeadRuns
	ChildRuns  = roster.ChildRuns
	Family     = roster.Family
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

// CommitEnd ends a run in one commit that does everything a commit can, on
// the condition that its inbox count is seen.
func (s *Service) CommitEnd(ctx context.Context, r gathering.Run, other gathering.RunID, events []gathering.Event, seen int64) error {
	row, blobs, err := event.Pack(events)
	if err != nil {
		return err
	}
	m := &member{run: r, now: s.now(), logs: []event.Row{row}, snapshot: &snapshot{seq: row.Last, at: row.At, version: 1, data: []byte{0, 1}}}
	m.addBlobs(r.ID, blobs)
	m.addMail(mail{to: other, id: "box_1", kind: engine.MailCancel, data: []byte(`{}`)})
	child := r
	child.ID, child.Root, child.Depth = gathering.NewRunID(s.now()), r.ID, 1
	m.inserts = append(m.inserts, insertOf(child, m.now))
	m.update = &update{state: gathering.RunFailed, finished: m.now.UnixMicro(), dead: m.now.UnixMicro(), seen: seen}
	return s.committer.Commit(ctx, m)
}

// Steady is what a shift with that lease and beats of two seconds is asked
// right before an effect.
func Steady(ctx context.Context, l *vital.Lease) error {
	h := &shift{lease: l, ctx: ctx, options: WorkerOptions{Beat: 2 * time.Second}}
	return h.steady()
}

// Fence is what a shift with that lease is asked before an effect.
func Fence(l *vital.Lease) error { return (&shift{lease: l}).fence() }

// Line looks how many queues wait.
func (s *Service) Line(ctx context.Context) (int, error) {
	line, err := s.line(ctx, "")
	return len(line), err
}

// ClaimSome claims up to limit runs of a queue for an instance.
func (s *Service) ClaimSome(ctx context.Context, instance gathering.InstanceID, limit int) (int, error) {
	line, err := s.line(ctx, "")
	if err != nil {
		return 0, err
	}
	taken, err := s.claim(ctx, order{instance: instance, due: line, slots: limit, turns: fair.New[gathering.ProjectID]()})
	return len(taken), err
}

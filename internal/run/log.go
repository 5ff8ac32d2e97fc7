package run

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/store"
)

// runLog is the log and the inbox of one run as its owner sees them. It
// belongs to the owner's goroutine.
type runLog struct {
	service    *Service
	run        gathering.Run
	parentNode string
	workspace  string
	request    string                 // that the run was asked for by
	shift      *shift                 // whose run it is; nil while it is nobody's
	bounded    bool                   // by a concurrency key
	fresh      *insert                // the run's row, while it is still to be inserted
	entries    []gathering.AuditEntry // of the audit trail, that go with the row
	undecided  int                    // as the run's row has it
	inboxSeen  int64
	quiet      int64           // see member
	member     member          // of the commit that is being made
	rings      <-chan struct{} // there may be mail
	stopRings  func()
}

// subscribe begins to listen for mail. It comes before the first look into the
// inbox, so that no ring falls between.
func (l *runLog) subscribe() {
	l.rings, l.stopRings = l.service.bell.Subscribe(topicMail(l.run.ID))
}

func (l *runLog) unsubscribe() {
	if l.stopRings != nil {
		l.stopRings()
	}
}

func newRunLog(s *Service, r gathering.Run) *runLog {
	return &runLog{service: s, run: r}
}

var _ engine.Log = (*runLog)(nil)

// know notes what the run was begun with.
func (l *runLog) know(q gathering.RunQueuedData) {
	l.workspace, l.request = q.Workspace, q.Trigger.Request
}

// Append implements [engine.Log].
func (l *runLog) Append(ctx context.Context, c engine.Commit) error {
	if l.shift != nil {
		if err := l.shift.fence(); err != nil {
			return err
		}
	}
	m := &l.member // nobody has the last one any more
	if len(c.Start) > 0 {
		l.quiet = 0 // children write
	}
	*m = member{run: l.run, shift: l.shift, now: l.service.now(), logs: m.logs[:0], since: m.since, quiet: l.quiet}
	if err := l.fill(ctx, m, c); err != nil {
		return err
	}
	if err := l.service.committer.Commit(ctx, m); err != nil {
		if gathering.KindOf(err) == gathering.KindTooLarge {
			err = gathering.NewError(gathering.KindTooLarge, "one step of the run would write more than %d bytes at once", l.service.maxTurn).
				WithCode(gathering.CodeTurnTooLarge).WithCause(err)
		}
		return err
	}
	l.run.State, l.undecided = c.State, c.Undecided
	if c.Progress && l.run.Crashes > 0 {
		l.run.Crashes = 0
		l.shift.clear(l.run.ID)
	}
	if l.fresh != nil && l.run.Parent == "" && len(c.Start) == 0 {
		l.quiet = m.since
	}
	l.fresh = nil
	l.ring(m, c)
	return nil
}

// Fold implements [engine.Log]. It waits a while for a database that is away.
func (l *runLog) Fold(ctx context.Context) (*engine.State, error) {
	var state *engine.State
	err := l.service.patiently(ctx, func() (err error) {
		state, err = l.service.fold(ctx, l.run)
		return err
	})
	return state, err
}

// fill lays out what the commit writes.
func (l *runLog) fill(ctx context.Context, m *member, c engine.Commit) error {
	if len(c.Events) > 0 {
		row, blobs, err := event.Pack(c.Events)
		if err != nil {
			return err
		}
		m.logs = append(m.logs, row)
		m.addBlobs(l.run.ID, blobs)
	}
	m.consumed = c.Consumed
	for _, child := range c.Start {
		if err := l.startChild(ctx, m, child); err != nil {
			return err
		}
	}
	for _, child := range c.Tell {
		if err := l.tellChild(m, child); err != nil {
			return err
		}
	}
	if c.Ended != nil && l.run.Parent != "" {
		if err := l.tellParent(m, c); err != nil {
			return err
		}
	}
	if c.Snapshot != nil {
		m.addSnapshot(l.run.ID, c.Snapshot)
	}
	l.row(m, c)
	return nil
}

func (m *member) addSnapshot(id gathering.RunID, shot *engine.Snapshot) {
	m.snapshot = &snapshot{seq: shot.Seq, at: m.now.UnixMicro(), version: engine.SnapshotVersion, data: codec.Encode(shot.Data)}
	for _, value := range shot.Values {
		m.addBlobs(id, []event.Blob{event.NewBlob(value)})
	}
}

// row says what becomes of the run's own row: an insert, an update where
// something changes that it is searched or claimed by, or nothing.
func (l *runLog) row(m *member, c engine.Commit) {
	if c.Undecided != l.undecided {
		m.undecided = &c.Undecided
	}
	if l.fresh != nil {
		insert := *l.fresh
		insert.run = l.run
		insert.run.State = c.State
		insert.parentNode = l.parentNode
		m.inserts = append(m.inserts, insert)
		m.fresh, m.entries = true, l.entries
		if !c.State.Terminal() {
			return
		}
	}
	ended := c.State.Terminal()
	if c.State == l.run.State && !c.Park && (!c.Progress || l.run.Crashes == 0) {
		return
	}
	u := &update{state: c.State, owner: string(l.run.Owner), progress: c.Progress, seen: -1}
	if c.Conditional && !m.fresh {
		u.seen = l.inboxSeen
	}
	switch {
	case ended:
		u.owner = ""
		u.finished = m.now.UnixMicro()
		if l.run.Parent == "" && deadLetter(c.State) {
			u.dead = u.finished
		}
	case c.Park:
		u.owner = ""
		if !c.ReadyAt.IsZero() {
			u.ready = c.ReadyAt.UnixMicro()
		}
	}
	m.update = u
}

// deadLetter reports whether somebody is to look at a run that ended so. A run
// with a parent is its parent's business.
func deadLetter(state gathering.RunState) bool {
	return state == gathering.RunFailed || state == gathering.RunTimedOut || state == gathering.RunBudgetExhausted
}

// startChild inserts a child run with its first event. A child that cannot be
// is reported to the node like one that failed at once.
func (l *runLog) startChild(ctx context.Context, m *member, child engine.StartChild) error {
	s := l.service
	refuse := func(err error) error {
		data, encodeErr := json.Marshal(engine.ChildEndedMail{
			Run: child.ID, Node: child.Trigger.Node, State: gathering.RunFailed, Failure: gathering.FailureOf(err),
		})
		if encodeErr != nil {
			return fmt.Errorf("encode the refusal of %s: %w", child.ID, encodeErr)
		}
		m.addMail(mail{to: l.run.ID, id: childMailID(child.ID), kind: engine.MailChildEnded, data: data})
		return nil
	}
	if l.run.Depth+1 > gathering.MaxDepth {
		return refuse(gathering.NewError(gathering.KindInvalid, "runs start runs more than %d deep", gathering.MaxDepth))
	}
	pipeline, version, err := s.pipelines.Admit(ctx, l.run.Project, child.Spec.Pipeline, child.Spec.Input)
	if err != nil {
		if gathering.KindOf(err) == gathering.KindInternal || gathering.KindOf(err) == gathering.KindUnavailable {
			return err
		}
		return refuse(err)
	}
	graph, err := s.pipelines.Graph(ctx, pipeline, version)
	if err != nil {
		return err
	}
	now := m.now.UTC().Truncate(time.Microsecond)
	r := gathering.Run{
		ID: child.ID, Project: l.run.Project, Pipeline: pipeline, Version: version, State: gathering.RunQueued,
		Priority: l.run.Priority, Labels: l.run.Labels, Root: l.run.Root, Depth: l.run.Depth + 1, CreatedAt: now,
	}
	if child.Spec.Wait {
		r.Parent = l.run.ID
	}
	if graph.Timeout > 0 {
		deadline := now.Add(graph.Timeout)
		r.Deadline = &deadline
	}
	state := engine.NewState(graph, r.ID, r.Root, r.Project)
	turn, err := engine.Queue(state, now, gathering.RunQueuedData{
		Pipeline: pipeline, Version: version, Input: child.Spec.Input, Trigger: child.Trigger, Workspace: l.workspace,
	})
	if err != nil {
		return err
	}
	row, blobs, err := event.Pack(turn.Events)
	if err != nil {
		return err
	}
	insert := insertOf(r, m.now)
	insert.parentNode = child.Trigger.Node
	if err := insert.bind(graph, state.Queued); err != nil {
		return refuse(err)
	}
	m.inserts = append(m.inserts, insert)
	m.logs = append(m.logs, row)
	m.addBlobs(r.ID, blobs)
	if child.Spec.Wait {
		return nil
	}
	data, err := json.Marshal(engine.ChildBegunMail{Run: child.ID, Node: child.Trigger.Node})
	if err != nil {
		return fmt.Errorf("encode the start of %s: %w", child.ID, err)
	}
	m.addMail(mail{to: l.run.ID, id: "box_begun_" + string(child.ID), kind: engine.MailChildBegun, data: data})
	return nil
}

// tellChild asks a child run for something. A request to stop is made once.
func (l *runLog) tellChild(m *member, child engine.TellChild) error {
	data, err := json.Marshal(engine.CancelMail{By: string(l.run.ID)}) // all of them say just who asks
	if err != nil {
		return fmt.Errorf("encode the request to %s %s: %w", child.Kind, child.ID, err)
	}
	// What is asked later is read later.
	id := fmt.Sprintf("box_tell_%s_%010d_%s", l.run.ID, child.Seq, child.Kind)
	if child.Kind == engine.MailCancel {
		id = "box_cancel_" + string(l.run.ID)
	}
	m.addMail(mail{to: child.ID, id: id, kind: child.Kind, data: data})
	return nil
}

func childMailID(child gathering.RunID) string { return "box_ended_" + string(child) }

func (l *runLog) tellParent(m *member, c engine.Commit) error {
	data, err := json.Marshal(engine.ChildEndedMail{
		Run: l.run.ID, Node: l.parentNode, State: c.State, Output: c.Ended.Output, Failure: c.Ended.Failure,
		MayHaveActed: c.Ended.MayHaveActed,
	})
	if err != nil {
		return fmt.Errorf("encode the end of %s: %w", l.run.ID, err)
	}
	m.addMail(mail{to: l.run.Parent, id: childMailID(l.run.ID), kind: engine.MailChildEnded, data: data})
	return nil
}

// longMail stands in the inbox for mail whose text is a blob of its receiver.
type longMail struct {
	Blob string `json:"blob"`
}

// addMail adds mail to the commit. Long text goes beside the inbox, as a long
// event's data goes beside the log.
func (m *member) addMail(letter mail) {
	if len(letter.data) > event.MaxInline {
		blob := event.NewBlob(letter.data)
		m.addBlobs(letter.to, []event.Blob{blob})
		letter.data = []byte(`{"blob":"` + blob.Hash + `"}`)
	}
	letter.data = codec.Encode(letter.data)
	m.mail = append(m.mail, letter)
}

func (l *runLog) openMail(ctx context.Context, data []byte) ([]byte, error) {
	var long longMail
	_ = json.Unmarshal(data, &long) // what cannot be read is not long, and the engine's to judge
	if long.Blob == "" {
		return data, nil
	}
	stored, err := event.BlobOf(ctx, l.service.db.Read(), l.run.ID, long.Blob)
	if err != nil {
		return nil, err
	}
	text, err := codec.Decode(stored)
	if err != nil {
		return nil, fmt.Errorf("read long mail of %s: %w", l.run.ID, err)
	}
	return text, nil
}

// ring wakes those who wait for what was just committed.
func (l *runLog) ring(m *member, c engine.Commit) {
	bell := &l.service.bell
	bell.Ring(TopicLog(l.run.ID))
	if c.Ended != nil {
		l.service.ends.Tell(string(l.run.ID))
		bell.Ring(topicEnd(l.run.ID))
	}
	bound := func(in insert) bool { return in.concurrencyKey != "" }
	if c.Ended != nil && l.bounded || slices.ContainsFunc(m.inserts, bound) {
		bell.Ring(topicGrant)
	}
	for _, letter := range m.mail {
		l.service.ringMail(letter.to)
	}
	switch {
	case len(m.mail) > 0 || len(c.Start) > 0:
		bell.Ring(topicClaim)
	case c.Park:
		bell.RingHere(topicClaim) // for when it is due
	default:
	}
}

// Mail implements [engine.Log].
func (l *runLog) Mail(ctx context.Context) ([]engine.Mail, error) {
	q := l.service.db.Read()
	var seen int64
	// The count is read before the entries: an entry that comes in between is
	// among them and only makes the count look old.
	if err := q.QueryRow(ctx, `SELECT inbox FROM runs WHERE id = $1`, string(l.run.ID)).Scan(&seen); err != nil {
		return nil, fmt.Errorf("read the inbox count of %s: %w", l.run.ID, err)
	}
	// Whoever was told that the run stops is right whatever else has come. All
	// other entries are in the order in which they were committed.
	rows, err := q.Query(ctx, `SELECT id, kind, data FROM run_inbox WHERE run_id = $1
		ORDER BY CASE WHEN kind = 'cancel' THEN 0 ELSE 1 END, n, at, id`, string(l.run.ID))
	if err != nil {
		return nil, fmt.Errorf("read the inbox of %s: %w", l.run.ID, err)
	}
	var entries []engine.Mail
	err = rows.Each(func(row store.Scanner) error {
		var (
			m    engine.Mail
			data []byte
		)
		if err := row.Scan(&m.ID, &m.Kind, &data); err != nil {
			return err
		}
		m.Data = data // what cannot be decoded the engine cannot read either, and passes over
		if text, err := codec.Decode(data); err == nil {
			m.Data = text
		}
		entries = append(entries, m)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the inbox of %s: %w", l.run.ID, err)
	}
	for i := range entries {
		if entries[i].Data, err = l.openMail(ctx, entries[i].Data); err != nil {
			return nil, err
		}
	}
	l.inboxSeen = seen
	return entries, nil
}

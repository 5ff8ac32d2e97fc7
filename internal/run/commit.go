package run

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/store"
)

// member is one append of one run within a group commit.
type member struct {
	run      gathering.Run // as its owner knows it: the owner and the epoch are the fence
	now      time.Time
	fresh    bool // the run itself is among the inserts
	inserts  []insert
	logs     []event.Row
	blobs    []blob
	update   *update
	consumed []gathering.InboxID
	mail     []mail

	updated bool // the row was updated; a park is refused when mail has come
}

type insert struct {
	run        gathering.Run
	parentNode string
	ready      int64
}

type update struct {
	state    gathering.RunState
	owner    string // "" gives the run up
	ready    int64  // 0 is never by itself
	finished int64  // 0 is not yet
	seen     int64  // only while the inbox count is this; -1 always
	progress bool
}

// blob is a long value of a run, named by its content.
type blob struct {
	run gathering.RunID
	event.Blob
}

func (m *member) addBlobs(id gathering.RunID, blobs []event.Blob) {
	for _, b := range blobs {
		m.blobs = append(m.blobs, blob{id, b})
	}
}

type mail struct {
	to   gathering.RunID
	id   string
	kind engine.MailKind
	data []byte
}

func insertOf(r gathering.Run, now time.Time) insert {
	return insert{run: r, ready: now.UnixMicro()}
}

// size is the member's bytes, for the bound of a batch.
func (m *member) size() int {
	n := 256
	for _, row := range m.logs {
		n += len(row.Rows) + 64
	}
	for _, letter := range m.mail {
		n += len(letter.data) + 64
	}
	for _, b := range m.blobs {
		n += len(b.Data) + 64
	}
	return n + 256*len(m.inserts)
}

var errFenced = gathering.NewError(gathering.KindConflict, "another instance owns the run by now").WithCode(gathering.CodeFenced)

// write writes the members in one transaction. Rows that are there already are
// left as they are: what an owner of one epoch wrote at a sequence is one thing
// only. A new run whose ID is taken fails the transaction, so that nothing of
// it meets the run that has the ID.
func (s *Service) write(ctx context.Context, members []*member) ([]error, error) {
	var b store.Batch
	w := &writer{batch: &b, dialect: s.db.Dialect(), epochs: make(map[string]epoch), updated: make(map[string]bool)}
	w.lock(members)
	if err := w.insertRuns(members); err != nil {
		return nil, err
	}
	w.addBlobs(members)
	w.appendLogs(members)
	w.consume(members)
	w.sendMail(members)
	w.clear(members)
	w.announce(members, s.now().UnixMicro())
	w.updateRuns(members)
	err := s.db.Run(ctx, &b)
	if len(members) == 1 && members[0].fresh && store.IsUniqueViolation(err) {
		return nil, gathering.NewError(gathering.KindConflict, "there is a run %s already", members[0].run.ID).WithCause(err)
	}
	if err != nil {
		return nil, fmt.Errorf("commit %d runs: %w", len(members), err)
	}
	outcomes := make([]error, len(members))
	for i, m := range members {
		m.updated = w.updated[string(m.run.ID)]
		e := w.epochs[string(m.run.ID)]
		if !m.fresh && (e.number != m.run.Epoch || e.owner != string(m.run.Owner)) {
			outcomes[i] = errFenced
		}
	}
	return outcomes, nil
}

// reread finds out whether a commit happened whose answer was lost. The log
// row tells; what the commit did to the run's row follows from who owns it now.
func (s *Service) reread(ctx context.Context, m *member) (bool, error) {
	own := slices.IndexFunc(m.logs, func(l event.Row) bool { return l.Stream == string(m.run.ID) })
	if own < 0 {
		return false, nil // only consumed mail, which can be done again
	}
	var written []byte
	err := s.db.Read().QueryRow(ctx, `SELECT rows FROM run_log WHERE run_id = $1 AND seq = $2`,
		string(m.run.ID), m.logs[own].Seq).Scan(&written)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether %s was written: %w", m.run.ID, err)
	}
	if !bytes.Equal(written, m.logs[own].Rows) {
		return false, errFenced
	}
	r, err := readRun(ctx, s.db.Read(), m.run.ID)
	if err != nil {
		return false, err
	}
	given := r.Owner != m.run.Owner || r.Epoch != m.run.Epoch
	m.updated = m.update != nil && (m.update.owner != "" || given)
	return true, nil
}

type epoch struct {
	owner  string
	number int64
}

// writer lays out the statements of a group commit. Each of them writes only
// for members whose fence holds: the run has the owner and the epoch that the
// member knows. Its rows are locked by the first statement, in the order of
// their IDs, so that the fence holds until the commit.
type writer struct {
	batch   *store.Batch
	dialect store.Dialect
	epochs  map[string]epoch // of the runs that were locked
	updated map[string]bool
}

// fence is the condition that w's member owns its run.
const fence = ` JOIN runs f ON f.id = w.member AND f.epoch = w.epoch AND coalesce(f.owner, '') = w.owner `

func (m *member) fenceValues() []any {
	return []any{string(m.run.ID), m.run.Epoch, string(m.run.Owner)}
}

func fenced(columns ...store.Column) []store.Column {
	return append([]store.Column{{Name: "member", Type: store.Text}, {Name: "epoch", Type: store.Int}, {Name: "owner", Type: store.Text}}, columns...)
}

func text(name string) store.Column    { return store.Column{Name: name, Type: store.Text} }
func integer(name string) store.Column { return store.Column{Name: name, Type: store.Int} }

func (w *writer) lock(members []*member) {
	seen := make(map[gathering.RunID]bool)
	var rows [][]any
	add := func(id gathering.RunID) {
		if !seen[id] {
			seen[id] = true
			rows = append(rows, []any{string(id)})
		}
	}
	for _, m := range members {
		if !m.fresh {
			add(m.run.ID)
		}
		for _, letter := range m.mail {
			add(letter.to)
		}
	}
	w.batch.Rows(`SELECT r.id, coalesce(r.owner, ''), r.epoch FROM runs r JOIN {rows} ON r.id = w.id ORDER BY r.id`+
		w.dialect.Locking("FOR NO KEY UPDATE OF r"),
		[]store.Column{text("id")}, rows, func(row store.Scanner) error {
			var (
				id string
				e  epoch
			)
			err := row.Scan(&id, &e.owner, &e.number)
			w.epochs[id] = e
			return err
		})
}

func (w *writer) insertRuns(members []*member) error {
	var fresh, children [][]any
	for _, m := range members {
		for i, in := range m.inserts {
			r := in.run
			ready := any(in.ready)
			if r.Owner != "" {
				ready = nil
			}
			labels, err := json.Marshal(r.Labels)
			if err != nil {
				return fmt.Errorf("encode the labels of %s: %w", r.ID, err)
			}
			values := []any{
				string(r.ID), string(r.Project), string(r.Pipeline), r.Version, string(r.State), null(string(r.Owner)), r.Epoch,
				ready, nullTimeMicros(r.Deadline), r.Priority, string(labels), null(string(r.Parent)), null(in.parentNode),
				string(r.Root), r.Depth, r.CreatedAt.UnixMicro(),
			}
			if m.fresh && i == len(m.inserts)-1 {
				fresh = append(fresh, values)
			} else {
				children = append(children, append(m.fenceValues(), values...))
			}
		}
	}
	columns := []store.Column{
		text("id"), text("project"), text("pipeline"), integer("version"), text("state"), text("first_owner"), integer("first_epoch"),
		integer("ready_at"), integer("deadline"), integer("priority"), text("labels"), text("parent_run"), text("parent_node"),
		text("root_run"), integer("depth"), integer("created_at"),
	}
	const head = `INSERT INTO runs (id, project, pipeline, version, state, owner, epoch, ready_at, deadline, priority,
		labels, parent_run, parent_node, root_run, depth, created_at, inbox, crashes, queue, min_engine)
		SELECT w.id, w.project, w.pipeline, w.version, w.state, w.first_owner, w.first_epoch, w.ready_at, w.deadline, w.priority,
		w.labels, w.parent_run, w.parent_node, w.root_run, w.depth, w.created_at, 0, 0, 'default', 1 FROM {rows} `
	w.batch.Rows(head, columns, fresh, nil)
	w.batch.Rows(head+fence+`WHERE true ON CONFLICT (id) DO NOTHING`, fenced(columns...), children, nil)
	return nil
}

// addBlobs writes long values before the rows that name them. What is named by
// its content need not be written twice.
func (w *writer) addBlobs(members []*member) {
	var rows [][]any
	for _, m := range members {
		for _, b := range m.blobs {
			rows = append(rows, append(m.fenceValues(), string(b.run), b.Hash, b.Data))
		}
	}
	w.batch.Rows(`INSERT INTO blobs (run_id, hash, data) SELECT w.run_id, w.hash, w.data FROM {rows}`+fence+
		`WHERE true ON CONFLICT (run_id, hash) DO NOTHING`,
		fenced(text("run_id"), text("hash"), store.Column{Name: "data", Type: store.Bytes}), rows, nil)
}

func (w *writer) appendLogs(members []*member) {
	var rows [][]any
	for _, m := range members {
		for _, l := range m.logs {
			rows = append(rows, append(m.fenceValues(), l.Stream, l.Seq, l.At, l.Version, l.Rows))
		}
	}
	w.batch.Rows(`INSERT INTO run_log (run_id, seq, at, version, rows)
		SELECT w.run_id, w.seq, w.at, w.version, w.rows FROM {rows}`+fence+`WHERE true ON CONFLICT (run_id, seq) DO NOTHING`,
		fenced(text("run_id"), integer("seq"), integer("at"), integer("version"), store.Column{Name: "rows", Type: store.Bytes}),
		rows, nil)
}

// consume removes the entries that the events took in.
func (w *writer) consume(members []*member) {
	var rows [][]any
	for _, m := range members {
		for _, id := range m.consumed {
			rows = append(rows, append(m.fenceValues(), string(id)))
		}
	}
	w.batch.Rows(`DELETE FROM run_inbox WHERE (run_id, id) IN (SELECT w.member, w.id FROM {rows}`+fence+`)`,
		fenced(text("id")), rows, nil)
}

// clear removes what is in the inbox of a run that ends, and so comes after
// the mail of others in the same commit.
func (w *writer) clear(members []*member) {
	var ended [][]any
	for _, m := range members {
		if m.update != nil && m.update.finished != 0 {
			ended = append(ended, m.fenceValues())
		}
	}
	w.batch.Rows(`DELETE FROM run_inbox WHERE run_id IN (SELECT w.member FROM {rows}`+fence+`)`, fenced(), ended, nil)
}

func (w *writer) sendMail(members []*member) {
	var entries, counts [][]any
	for _, m := range members {
		for _, letter := range m.mail {
			values := append(m.fenceValues(), string(letter.to), letter.id, string(letter.kind), m.now.UnixMicro())
			counts = append(counts, values)
			entries = append(entries, append(slices.Clip(values), letter.data))
		}
	}
	columns := fenced(text("run_id"), text("id"), text("kind"), integer("at"))
	w.batch.Rows(`INSERT INTO run_inbox (run_id, id, kind, at, data)
		SELECT w.run_id, w.id, w.kind, w.at, w.data FROM {rows}`+fence+
		`JOIN runs r ON r.id = w.run_id AND r.finished_at IS NULL WHERE true ON CONFLICT (run_id, id) DO NOTHING`,
		append(slices.Clip(columns), store.Column{Name: "data", Type: store.Bytes}), entries, nil)
	w.batch.Rows(`UPDATE runs SET inbox = runs.inbox + 1,
		ready_at = CASE WHEN runs.owner IS NULL THEN w.at ELSE runs.ready_at END
		FROM {rows}`+fence+`WHERE runs.id = w.run_id AND runs.finished_at IS NULL`, columns, counts, nil)
}

// updateRuns comes after everything that is fenced by the owner, whom it may
// take away, and after the mail, which it must have seen to park a run.
func (w *writer) updateRuns(members []*member) {
	var rows [][]any
	for _, m := range members {
		u := m.update
		if u == nil {
			continue
		}
		progress := 0
		if u.progress {
			progress = 1
		}
		rows = append(rows, append(m.fenceValues(), string(u.state), null(u.owner), nullMicros(u.ready), nullMicros(u.finished), u.seen, progress))
	}
	w.batch.Rows(`UPDATE runs SET state = w.state, owner = w.next_owner, ready_at = w.ready_at, finished_at = w.finished_at,
		crashes = CASE WHEN w.progress = 1 THEN 0 ELSE runs.crashes END
		FROM {rows} WHERE runs.id = w.member AND runs.epoch = w.epoch AND runs.owner = w.owner
		AND (w.seen = -1 OR runs.inbox = w.seen) RETURNING runs.id`,
		fenced(text("state"), text("next_owner"), integer("ready_at"), integer("finished_at"), integer("seen"), integer("progress")),
		rows, func(row store.Scanner) error {
			var id string
			err := row.Scan(&id)
			w.updated[id] = true
			return err
		})
}

// announce adds the commit to the feed: the rows of members whom nobody took
// the run from. Nobody else announces anything from here to the commit.
func (w *writer) announce(members []*member, now int64) {
	var rows [][]any
	for _, m := range members {
		for _, l := range m.logs {
			rows = append(rows, append(m.fenceValues(), l.Stream, l.Seq, l.Last))
		}
	}
	if len(rows) == 0 {
		return
	}
	w.batch.Exec(w.dialect.FeedLock())
	w.batch.Rows(`INSERT INTO feed (at, entries)
		SELECT $1, '[' || string_agg('["' || w.stream || '",' || w.seq || ',' || w.last || ']', ',') || ']'
		FROM {rows}`+fence+`HAVING count(*) > 0`,
		fenced(text("stream"), integer("seq"), integer("last")), rows, nil, now)
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullMicros(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func nullTimeMicros(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}

package run

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/store"
)

// member is one append of one run within a group commit: all of it is written
// or nothing.
type member struct {
	run       gathering.Run // as its owner knows it: the owner and the epoch are the fence
	shift     *shift        // whose lease it needs; nil for a run of nobody
	now       time.Time
	fresh     bool // the run itself is the last of the inserts
	inserts   []insert
	logs      []event.Row
	blobs     []blob
	update    *update
	consumed  []gathering.InboxID
	mail      []mail
	snapshot  *snapshot
	undecided *int                   // how many of its nodes wait for a decision, where that has changed
	entries   []gathering.AuditEntry // of a fresh run alone

	since int64 // the age of the database when the owner's last commit was written, see [store.Guard]
	quiet int64 // that at which the run had no mail, and no batch can have brought it any since; 0 is none
}

// insert is a run to be inserted. What is empty or zero is NULL, or 0 where
// the column is a number.
type insert struct {
	run            gathering.Run
	parentNode     string
	ready          int64
	queue          string
	concurrencyKey string
	concurrencyMax int64
	runKey         string
	origin         gathering.RunID
	redriven       bool // the origin is no dead letter any more
}

type update struct {
	state    gathering.RunState
	owner    string // "" gives the run up
	ready    int64  // 0 is never by itself
	finished int64  // 0 is not yet
	dead     int64  // when it became a dead letter; 0 is none
	// seen makes the whole member depend on the inbox count being this;
	// otherwise nothing is written and the answer is errMail. -1 is any. A
	// member with a condition has a log row, by which it is known again.
	seen     int64
	progress bool
}

// snapshot is where a run stands after the event seq.
type snapshot struct {
	seq     int64
	at      int64
	version int
	data    []byte
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
	return insert{run: r, ready: now.UnixMicro(), queue: queueOf(r.Priority, r.Project)}
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
	if m.snapshot != nil {
		n += len(m.snapshot.data) + 64
	}
	return n + 256*len(m.inserts)
}

var (
	errFenced = gathering.NewError(gathering.KindConflict, "another instance owns the run by now").WithCode(gathering.CodeFenced)
	errMail   = gathering.NewError(gathering.KindConflict, "mail has come that the owner has not read").WithCode(gathering.CodeMail)
)

// What the guard of a group commit says of a member, beside [store.Held]. One
// of which it says nothing is fenced: the run is gone.
const hasMail = 2

// write writes the members in one transaction. A log row that is there already
// fails it: the transaction may be the repetition of one whose answer was lost,
// and nothing of that is written twice. So does a new run whose ID is taken, so
// that nothing of it meets the run that has the ID.
func (s *Service) write(ctx context.Context, members []*member) ([]error, error) {
	var b store.Batch
	w := &writer{batch: &b, dialect: s.db.Dialect()}
	w.guard(members)
	if err := w.insertRuns(members); err != nil {
		return nil, err
	}
	w.dismiss(members)
	w.addBlobs(members)
	w.appendLogs(members)
	w.keepSnapshots(members)
	w.consume(members)
	w.updateRuns(members)
	w.countUndecided(members)
	w.sendMail(members)
	w.clear(members)
	w.audit(members)
	w.announce(members, s.now().UnixMicro())
	err := s.db.Run(ctx, &b)
	if len(members) == 1 && members[0].fresh && store.IsUniqueViolation(err) {
		return nil, gathering.NewError(gathering.KindConflict, "there is a run %s already", members[0].run.ID).WithCause(err)
	}
	if err != nil {
		return nil, fmt.Errorf("commit %d runs: %w", len(members), err)
	}
	outcomes := make([]error, len(members))
	for i, m := range members {
		m.since = w.age
		if m.fresh {
			continue
		}
		switch w.verdicts[i] {
		case store.Held:
		case hasMail:
			outcomes[i] = errMail
		default:
			outcomes[i] = errFenced
		}
	}
	return outcomes, nil
}

// reread finds out whether a commit happened whose answer was lost. A commit
// is whole, so its log row tells of everything.
func (s *Service) reread(ctx context.Context, m *member) (bool, error) {
	own := slices.IndexFunc(m.logs, func(l event.Row) bool { return l.Stream == string(m.run.ID) })
	if own < 0 {
		return false, nil // only consumed mail, which can be done again
	}
	var (
		written []byte
		at      int64
	)
	err := s.db.Read().QueryRow(ctx, `SELECT rows, at FROM run_log WHERE run_id = $1 AND seq = $2`,
		string(m.run.ID), m.logs[own].Seq).Scan(&written, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether %s was written: %w", m.run.ID, err)
	}
	if at != m.logs[own].At || !bytes.Equal(written, m.logs[own].Rows) {
		return false, errFenced // another owner may have written the same at another time
	}
	return true, nil
}

// writer lays out the statements of a group commit. The first of them locks
// the runs that the members are about, in the order of their IDs, and decides
// which members are written: those whose run has the owner and the epoch that
// the member knows and, if it has a condition, no mail that it does not. So it
// stays until the commit.
type writer struct {
	batch    *store.Batch
	dialect  store.Dialect
	verdicts []int64 // of the members, in their order
	age      int64
}

// guarded are the columns of rows that are written for members who are held.
func guarded(columns ...store.Column) []store.Column {
	return append([]store.Column{integer("member")}, columns...)
}

func text(name string) store.Column    { return store.Column{Name: name, Type: store.Text} }
func integer(name string) store.Column { return store.Column{Name: name, Type: store.Int} }
func binary(name string) store.Column  { return store.Column{Name: name, Type: store.Bytes} }

// number is the number by which the batch knows member i. A new run is nobody
// else's, and so always written.
func (m *member) number(i int) int64 {
	if m.fresh {
		return 0
	}
	return int64(i + 1)
}

func (w *writer) guard(members []*member) {
	locked := make(map[gathering.RunID]bool, len(members))
	since := make([]int64, len(members))
	var rows [][]any
	for i, m := range members {
		if m.fresh {
			continue
		}
		locked[m.run.ID] = true
		seen := int64(-1)
		if m.update != nil {
			seen = m.update.seen
		}
		switch {
		case seen < 0:
			since[i] = m.since // batches take nobody's run away; only mail comes by them
		case seen == 0:
			since[i] = m.quiet
		}
		rows = append(rows, []any{m.number(i), string(m.run.ID), m.run.Epoch, string(m.run.Owner), seen})
	}
	for _, m := range members {
		for _, letter := range m.mail {
			if !locked[letter.to] {
				locked[letter.to] = true
				rows = append(rows, []any{int64(0), string(letter.to), int64(0), "", int64(-1)})
			}
		}
	}
	w.batch.Guard(`SELECT w.member, CASE WHEN r.epoch <> w.epoch OR coalesce(r.owner, '') <> w.owner THEN 0
			WHEN w.seen >= 0 AND r.inbox <> w.seen THEN 2 ELSE 1 END AS verdict
			FROM {rows} JOIN runs r ON r.id = w.id`+w.dialect.Locking("ORDER BY r.id FOR NO KEY UPDATE OF r"), store.Guard{
		Columns: guarded(text("id"), integer("epoch"), text("owner"), integer("seen")),
		Rows:    rows, Members: len(members), Since: since,
		Verdicts: func(verdicts []int64, age int64) { w.verdicts, w.age = verdicts, age },
	})
}

// A new run's columns: those that every run has and those that few have.
const (
	commonColumns = `id, project, pipeline, version, state, owner, epoch, priority, labels, root_run, depth, created_at, queue`
	rareColumns   = `ready_at, deadline, parent_run, parent_node, concurrency_key, concurrency_max, run_key, origin_run`
)

func (w *writer) insertRuns(members []*member) error {
	var plain, fresh, children [][]any
	for i, m := range members {
		for n, in := range m.inserts {
			common, rare, err := in.values()
			switch {
			case err != nil:
				return err
			case !m.fresh || n < len(m.inserts)-1:
				children = append(children, slices.Concat([]any{m.number(i)}, common, rare))
			case slices.ContainsFunc(rare, func(v any) bool { return v != nil && v != int64(0) }):
				fresh = append(fresh, append(common, rare...))
			default:
				plain = append(plain, common)
			}
		}
	}
	common := []store.Column{
		text("id"), text("project"), text("pipeline"), integer("version"), text("state"), text("owner"), integer("epoch"),
		integer("priority"), text("labels"), text("root_run"), integer("depth"), integer("created_at"), text("queue"),
	}
	all := append(slices.Clip(common), integer("ready_at"), integer("deadline"), text("parent_run"), text("parent_node"),
		text("concurrency_key"), integer("concurrency_max"), text("run_key"), text("origin_run"))
	const (
		rest = `, inbox, crashes, min_engine) {values, 0, 0, 1}`
		full = `INSERT INTO runs (` + commonColumns + `, ` + rareColumns + rest
	)
	w.batch.Rows(`INSERT INTO runs (`+commonColumns+rest, common, plain, nil)
	w.batch.Rows(full, all, fresh, nil)
	w.batch.Guarded(full+` ON CONFLICT (id) DO NOTHING`, guarded(all...), children)
	return nil
}

// values are those of the common columns and of the rare ones.
func (in *insert) values() (common, rare []any, err error) {
	r := &in.run
	ready := nullMicros(in.ready)
	if r.Owner != "" {
		ready = nil
	}
	labels := []byte("null")
	if r.Labels != nil {
		if labels, err = json.Marshal(r.Labels); err != nil {
			return nil, nil, fmt.Errorf("encode the labels of %s: %w", r.ID, err)
		}
	}
	common = []any{
		string(r.ID), string(r.Project), string(r.Pipeline), r.Version, string(r.State), null(string(r.Owner)), r.Epoch,
		r.Priority, string(labels), string(r.Root), r.Depth, r.CreatedAt.UnixMicro(), in.queue,
	}
	rare = []any{
		ready, nullTimeMicros(r.Deadline), null(string(r.Parent)), null(in.parentNode),
		null(in.concurrencyKey), in.concurrencyMax, null(in.runKey), null(string(in.origin)),
	}
	return common, rare, nil
}

// dismiss takes the runs that are done again off the dead letters. They have
// ended: nobody else writes to them.
func (w *writer) dismiss(members []*member) {
	var rows [][]any
	for _, m := range members {
		for _, in := range m.inserts {
			if in.redriven {
				rows = append(rows, []any{string(in.origin)})
			}
		}
	}
	w.batch.Rows(`UPDATE runs SET dead_at = NULL FROM {rows} WHERE runs.id = w.id`, []store.Column{text("id")}, rows, nil)
}

// addBlobs writes long values before the rows that name them. What is named by
// its content need not be written twice.
func (w *writer) addBlobs(members []*member) {
	var rows [][]any
	for i, m := range members {
		for _, b := range m.blobs {
			rows = append(rows, []any{m.number(i), string(b.run), b.Hash, b.Data})
		}
	}
	w.batch.Guarded(`INSERT INTO blobs (run_id, hash, data) {values} ON CONFLICT (run_id, hash) DO NOTHING`, guarded(text("run_id"), text("hash"), binary("data")), rows)
}

func (w *writer) appendLogs(members []*member) {
	var rows [][]any
	for i, m := range members {
		for _, l := range m.logs {
			rows = append(rows, []any{m.number(i), l.Stream, l.Seq, l.At, l.Version, l.Rows})
		}
	}
	w.batch.Guarded(`INSERT INTO run_log (run_id, seq, at, version, rows)
		{values}`,
		guarded(text("run_id"), integer("seq"), integer("at"), integer("version"), binary("rows")), rows)
}

// keepSnapshots puts the newest snapshot of a run in the place of the former.
func (w *writer) keepSnapshots(members []*member) {
	var rows [][]any
	for i, m := range members {
		if k := m.snapshot; k != nil {
			rows = append(rows, []any{m.number(i), string(m.run.ID), k.seq, k.at, k.version, k.data})
		}
	}
	w.batch.Guarded(`INSERT INTO snapshots (run_id, seq, at, version, data)
		{values} ON CONFLICT (run_id) DO UPDATE SET seq = excluded.seq, at = excluded.at, version = excluded.version, data = excluded.data`,
		guarded(text("run_id"), integer("seq"), integer("at"), integer("version"), binary("data")), rows)
}

// consume removes the entries that the events took in.
func (w *writer) consume(members []*member) {
	var rows [][]any
	for i, m := range members {
		for _, id := range m.consumed {
			rows = append(rows, []any{m.number(i), string(m.run.ID), string(id)})
		}
	}
	w.batch.Guarded(`DELETE FROM run_inbox WHERE (run_id, id) IN (SELECT w.run_id, w.id FROM {rows})`,
		guarded(text("run_id"), text("id")), rows)
}

// updateRuns comes before the mail of others in the same commit, which so finds
// a run parked or ended, and never between the condition of its owner and its
// parking.
func (w *writer) updateRuns(members []*member) {
	var rows [][]any
	for i, m := range members {
		u := m.update
		if u == nil {
			continue
		}
		progress := 0
		if u.progress {
			progress = 1
		}
		rows = append(rows, []any{
			m.number(i), string(m.run.ID), string(u.state), null(u.owner), nullMicros(u.ready), nullMicros(u.finished), nullMicros(u.dead), progress,
		})
	}
	w.batch.Guarded(`UPDATE runs SET state = {state}, owner = {owner}, ready_at = {ready_at}, finished_at = {finished_at},
		dead_at = {dead_at}, crashes = CASE WHEN {progress} = 1 THEN 0 ELSE runs.crashes END
		{from} WHERE runs.id = {id}`,
		guarded(text("id"), text("state"), text("owner"), integer("ready_at"), integer("finished_at"), integer("dead_at"), integer("progress")), rows)
}

// countUndecided is a statement of its own: few runs ever need it.
func (w *writer) countUndecided(members []*member) {
	var rows [][]any
	for i, m := range members {
		if m.undecided != nil {
			rows = append(rows, []any{m.number(i), string(m.run.ID), *m.undecided})
		}
	}
	w.batch.Guarded(`UPDATE runs SET undecided = {undecided} {from} WHERE runs.id = {id}`, guarded(text("id"), integer("undecided")), rows)
}

func (w *writer) sendMail(members []*member) {
	var entries, counts [][]any
	for i, m := range members {
		for _, letter := range m.mail {
			values := []any{m.number(i), string(letter.to), letter.id, string(letter.kind), m.now.UnixMicro()}
			counts = append(counts, values)
			entries = append(entries, append(slices.Clip(values), letter.data))
		}
	}
	columns := guarded(text("run_id"), text("id"), text("kind"), integer("at"))
	w.batch.Guarded(`INSERT INTO run_inbox (run_id, id, kind, at, n, data)
		SELECT w.run_id, w.id, w.kind, w.at, r.inbox + 1, w.data FROM {rows} JOIN runs r ON r.id = w.run_id AND r.finished_at IS NULL
		WHERE true ON CONFLICT (run_id, id) DO NOTHING`,
		append(slices.Clip(columns), binary("data")), entries)
	w.batch.Guarded(`UPDATE runs SET inbox = runs.inbox + 1,
		ready_at = CASE WHEN runs.owner IS NULL THEN w.at ELSE runs.ready_at END
		FROM {rows} WHERE runs.id = w.run_id AND runs.finished_at IS NULL`, columns, counts)
}

// clear removes what is in the inbox of a run that ends, unless it ends on the
// condition that nothing ever was.
func (w *writer) clear(members []*member) {
	var ended [][]any
	for i, m := range members {
		if m.update != nil && m.update.finished != 0 && m.update.seen != 0 {
			ended = append(ended, []any{m.number(i), string(m.run.ID)})
		}
	}
	w.batch.Guarded(`DELETE FROM run_inbox WHERE run_id IN (SELECT w.run_id FROM {rows})`, guarded(text("run_id")), ended)
}

// audit writes down who started runs.
func (w *writer) audit(members []*member) {
	var entries []gathering.AuditEntry
	for _, m := range members {
		entries = append(entries, m.entries...)
	}
	audit.Add(w.batch, entries)
}

// announce adds the commit to the feed: the rows of members whom nobody took
// the run from. Nobody else announces anything from here to the commit.
func (w *writer) announce(members []*member, now int64) {
	var (
		numbers []int64
		entries []string
	)
	for i, m := range members {
		for _, l := range m.logs {
			numbers = append(numbers, m.number(i))
			entries = append(entries, `["`+l.Stream+`",`+strconv.FormatInt(l.Seq, 10)+`,`+strconv.FormatInt(l.Last, 10)+`]`)
		}
	}
	if len(entries) == 0 {
		return
	}
	w.batch.Exec(w.dialect.FeedLock())
	w.batch.Joined(`INSERT INTO feed (at, entries) SELECT $1, '[' || j.text || ']' FROM {joined} WHERE j.text IS NOT NULL`,
		numbers, entries, now)
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

package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gathering"
	"gathering/internal/store"
)

// bare writes the rows of runs and nothing else: a row of the run with its
// first log row, a log row for each node, the end of the run with the last.
// Each is durable before the next; what many write goes through one group
// commit, with a row of the feed for each.
type bare struct {
	db        *store.DB
	committer *store.Committer[step]
	pattern   pattern
}

// pattern is a run that was made, to be written again and again.
type pattern struct {
	project, pipeline, owner, labels, queue string
	version, created, finished              int64
	logs                                    []packed
}

type packed struct {
	seq, last, version int64
	rows               []byte
}

// step is one commit of one run.
type step struct {
	run string
	n   int
}

// newBare learns the pattern from the newest run that was made, and writes to db.
func newBare(ctx context.Context, made, db *store.DB) (*bare, error) {
	b := &bare{db: db}
	var id string
	err := made.Read().QueryRow(ctx, `SELECT id, project, pipeline, version, labels, queue, created_at, finished_at
		FROM runs WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1`).Scan(&id, &b.pattern.project, &b.pattern.pipeline,
		&b.pattern.version, &b.pattern.labels, &b.pattern.queue, &b.pattern.created, &b.pattern.finished)
	if err != nil {
		return nil, fmt.Errorf("read a run as a pattern: %w", err)
	}
	rows, err := made.Read().Query(ctx, `SELECT seq, version, rows FROM run_log WHERE run_id = $1 ORDER BY seq`, id)
	if err != nil {
		return nil, fmt.Errorf("read a run as a pattern: %w", err)
	}
	err = rows.Each(func(row store.Scanner) error {
		var p packed
		err := row.Scan(&p.seq, &p.version, &p.rows)
		if n := len(b.pattern.logs); n > 0 {
			b.pattern.logs[n-1].last = p.seq - 1
		}
		p.last = p.seq
		b.pattern.logs = append(b.pattern.logs, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a run as a pattern: %w", err)
	}
	b.pattern.owner = string(gathering.NewInstanceID(time.Now()))
	b.committer = store.NewCommitter(store.CommitterOptions[step]{Write: b.write})
	return b, nil
}

func (b *bare) close() { b.committer.Close() }

// run writes one run.
func (b *bare) run(ctx context.Context) error {
	id := string(gathering.NewRunID(time.Now()))
	for n := range b.pattern.logs {
		if err := b.committer.Commit(ctx, step{id, n}); err != nil {
			return err
		}
	}
	return nil
}

// fill stores runs that have ended in another database.
func (b *bare) fill(ctx context.Context, db *store.DB, runs int) error {
	const atOnce = 500
	p := &b.pattern
	for ; runs > 0; runs -= atOnce {
		var (
			batch         store.Batch
			ended, logged [][]any
		)
		for range min(runs, atOnce) {
			id := string(gathering.NewRunID(time.Now()))
			ended = append(ended, append(p.values(id, "completed", nil), p.finished))
			for _, l := range p.logs {
				logged = append(logged, []any{id, l.seq, p.created, l.version, l.rows})
			}
		}
		batch.Rows(`INSERT INTO runs (`+runColumns+`, finished_at) {values}`, append(runTypes(), integer("finished_at")), ended, nil)
		batch.Rows(insertLog, logTypes(), logged, nil)
		if err := db.Run(ctx, &batch); err != nil {
			return err
		}
	}
	return nil
}

const (
	runColumns = `id, project, pipeline, version, state, owner, epoch, inbox, crashes, priority, queue, labels,
		root_run, depth, min_engine, created_at`
	insertLog = `INSERT INTO run_log (run_id, seq, at, version, rows) {values}`
)

func runTypes() []store.Column {
	return []store.Column{
		text("id"), text("project"), text("pipeline"), integer("version"), text("state"), text("owner"), integer("epoch"),
		integer("inbox"), integer("crashes"), integer("priority"), text("queue"), text("labels"), text("root_run"),
		integer("depth"), integer("min_engine"), integer("created_at"),
	}
}

func logTypes() []store.Column {
	return []store.Column{text("run_id"), integer("seq"), integer("at"), integer("version"), {Name: "rows", Type: store.Bytes}}
}

// values are those of a run's row.
func (p *pattern) values(id, state string, owner any) []any {
	return []any{id, p.project, p.pipeline, p.version, state, owner, 1, 0, 0, 0, p.queue, p.labels, id, 0, 1, p.created}
}

func text(name string) store.Column    { return store.Column{Name: name, Type: store.Text} }
func integer(name string) store.Column { return store.Column{Name: name, Type: store.Int} }

func (b *bare) write(ctx context.Context, steps []step) ([]error, error) {
	var (
		batch              store.Batch
		first, logs, ended [][]any
		entries            []string
	)
	p := &b.pattern
	for _, s := range steps {
		l := p.logs[s.n]
		if s.n == 0 {
			first = append(first, p.values(s.run, "running", p.owner))
		}
		if s.n == len(p.logs)-1 {
			ended = append(ended, []any{s.run, "completed", nil, p.finished})
		}
		logs = append(logs, []any{s.run, l.seq, p.created, l.version, l.rows})
		entries = append(entries, `["`+s.run+`",`+strconv.FormatInt(l.seq, 10)+`,`+strconv.FormatInt(l.last, 10)+`]`)
	}
	batch.Rows(`INSERT INTO runs (`+runColumns+`) {values}`, runTypes(), first, nil)
	batch.Rows(insertLog, logTypes(), logs, nil)
	batch.Rows(`UPDATE runs SET state = {state}, owner = {owner}, finished_at = {finished_at} {from} WHERE runs.id = {id}`,
		[]store.Column{text("id"), text("state"), text("owner"), integer("finished_at")}, ended, nil)
	batch.Exec(b.db.Dialect().FeedLock())
	batch.Joined(`INSERT INTO feed (at, entries) SELECT $1, '[' || j.text || ']' FROM {joined}`,
		make([]int64, len(entries)), entries, p.created)
	return nil, b.db.Run(ctx, &batch)
}

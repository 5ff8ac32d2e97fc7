package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
)

// sqliteBatches carries batches out on the writer's connection. Statements
// that return nothing pass below database/sql, which would cost as much as they do
// themselves: on SQLite each of them writes one row, for a statement that
// writes several first saves what it may have to undo.
type sqliteBatches struct {
	conn  *sql.Conn
	plans map[planKey]*plan
	age   int64 // how often something that is no batch was written, from 1
}

// A planKey names a statement for a number of rows. Texts are constants of the
// program, and there are few numbers.
type planKey struct {
	query string
	rows  int
}

// plan is a prepared statement and how its parameters are bound.
type plan struct {
	stmt  driver.Stmt
	order []int // the values of the rows, in the order of the parameters
	args  []driver.NamedValue
}

func newSQLiteBatches(conn *sql.Conn) *sqliteBatches {
	return &sqliteBatches{conn: conn, plans: make(map[planKey]*plan), age: 1}
}

// close ends the statements. The connection is still open.
func (s *sqliteBatches) close() {
	_ = s.conn.Raw(func(any) error {
		for _, p := range s.plans {
			_ = p.stmt.Close()
		}
		return nil
	})
}

// run carries the batch out in the transaction.
func (s *sqliteBatches) run(ctx context.Context, tx *Tx, b *Batch) error {
	var members sqliteMembers
	for i := range b.statements {
		if err := s.statement(ctx, tx, &b.statements[i], &members); err != nil {
			return tx.failed(err)
		}
	}
	return nil
}

// exec runs a statement without parameters.
func (s *sqliteBatches) exec(query string) error {
	return s.conn.Raw(func(conn any) error {
		p, err := s.plan(conn, &statement{query: query}, 1)
		if err != nil {
			return err
		}
		return p.exec(nil)
	})
}

// sqliteMembers are the verdicts on the members of a batch, the first one's first.
type sqliteMembers []int64

func (m sqliteMembers) held(row []any) bool {
	member, ok := row[0].(int64)
	return ok && (member == 0 || member <= int64(len(m)) && m[member-1] == Held)
}

func (s *sqliteBatches) statement(ctx context.Context, tx *Tx, st *statement, members *sqliteMembers) error {
	switch {
	case st.kind == guard:
		return s.judge(st, members)
	case st.scan != nil:
		return s.scanned(ctx, tx, st)
	}
	return s.conn.Raw(func(conn any) error {
		rows := st.rows
		switch st.kind {
		case single:
			rows = [][]any{nil}
		case joined:
			rows = [][]any{{nil}}
			if text := st.join(*members); text != "" {
				rows[0][0] = text
			}
		case many, guarded, guard:
		}
		p, err := s.plan(conn, st, 1)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if st.kind == guarded && !members.held(row) {
				continue
			}
			if err := p.exec(row); err != nil {
				return err
			}
		}
		return nil
	})
}

// plan is the prepared statement for so many rows at once.
func (s *sqliteBatches) plan(conn any, st *statement, rows int) (*plan, error) {
	key := planKey{st.query, rows}
	p := s.plans[key]
	if p == nil {
		e := sqliteQuery(st.query, st.shape(), rows)
		if st.kind == joined {
			e.order = []int{0}
		}
		preparer, ok := conn.(driver.ConnPrepareContext)
		if !ok {
			return nil, fmt.Errorf("a %T prepares no statements", conn)
		}
		stmt, err := preparer.PrepareContext(context.Background(), e.query)
		if err != nil {
			return nil, err
		}
		p = &plan{stmt: stmt, order: e.order, args: make([]driver.NamedValue, len(st.args)+len(e.order))}
		for i := range p.args {
			p.args[i].Ordinal = i + 1
		}
		if len(s.plans) < maxStatements {
			s.plans[key] = p
		}
	}
	for i, arg := range st.args {
		p.args[i].Value = arg
	}
	return p, nil
}

// bind puts the values of rows that follow one another where they belong.
func (p *plan) bind(values []any) {
	bound := p.args[len(p.args)-len(p.order):]
	for i, column := range p.order {
		bound[i].Value = values[column]
	}
}

func (p *plan) exec(row []any) error {
	p.bind(row)
	e, ok := p.stmt.(driver.StmtExecContext)
	if !ok {
		return fmt.Errorf("a %T cannot be carried out", p.stmt)
	}
	_, err := e.ExecContext(context.Background(), p.args) // what is begun ends: an interrupt would take all others with it
	return err
}

// judge asks for the verdicts on the members, many at a time.
func (s *sqliteBatches) judge(st *statement, members *sqliteMembers) error {
	g := st.guard
	*members = make(sqliteMembers, g.Members)
	for i, since := range g.Since {
		if since == s.age {
			(*members)[i] = Held
		}
	}
	values := make([]any, 0, len(st.rows)*len(st.columns))
	for _, row := range st.rows {
		if row[0] != int64(0) && !members.held(row) { // what is only to be locked is: everything
			values = append(values, row...)
		}
	}
	err := s.conn.Raw(func(conn any) error { return s.ask(conn, st, values, *members) })
	if err == nil {
		g.Verdicts(*members, s.age)
	}
	return err
}

// ask asks about the rows whose values follow one another.
func (s *sqliteBatches) ask(conn any, st *statement, values []any, members sqliteMembers) error {
	for _, n := range []int{64, 16, 4, 1} {
		width := n * len(st.columns)
		for ; len(values) >= width; values = values[width:] {
			p, err := s.plan(conn, st, n)
			if err != nil {
				return err
			}
			p.bind(values[:width])
			if err := p.verdicts(members); err != nil {
				return err
			}
		}
	}
	return nil
}

// verdicts reads those of the members whose rows are bound.
func (p *plan) verdicts(members sqliteMembers) (err error) {
	q, ok := p.stmt.(driver.StmtQueryContext)
	if !ok {
		return fmt.Errorf("a %T cannot be asked", p.stmt)
	}
	rows, err := q.QueryContext(context.Background(), p.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	answer := make([]driver.Value, 1)
	for {
		err := rows.Next(answer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		both, ok := answer[0].(int64)
		member := both / verdictsPerMember
		if !ok || member < 1 || member > int64(len(members)) {
			return fmt.Errorf("the verdict %v on one of %d members", answer[0], len(members))
		}
		members[member-1] = both % verdictsPerMember
	}
}

// join is the texts of the members who are held, with commas between them.
func (st *statement) join(members sqliteMembers) string {
	var b strings.Builder
	for _, row := range st.rows {
		if text, ok := row[1].(string); ok && members.held(row) {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(text)
		}
	}
	return b.String()
}

// scanned carries a statement out that returns rows.
func (s *sqliteBatches) scanned(ctx context.Context, tx *Tx, st *statement) error {
	if st.kind == single {
		return tx.scanEach(ctx, st.query, st.args, st.scan)
	}
	e := sqliteQuery(st.query, st.shape(), 1)
	args := make([]any, len(st.args)+len(e.order))
	copy(args, st.args)
	for _, row := range st.rows {
		for i, column := range e.order {
			args[len(st.args)+i] = row[column]
		}
		if err := tx.scanEach(ctx, e.query, args, st.scan); err != nil {
			return err
		}
	}
	return nil
}

// scanEach runs a statement whose parameters are portable already.
func (tx *Tx) scanEach(ctx context.Context, query string, args []any, scan func(Scanner) error) error {
	rows, err := tx.session.query(ctx, query, args)
	if err != nil {
		return err
	}
	rows.named = tx.failed
	return rows.Each(scan)
}

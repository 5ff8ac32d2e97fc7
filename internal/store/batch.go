package store

import (
	"encoding/json"
	"fmt"
	"slices"
)

// ColumnType is the type of a column of [Batch.Rows]. A nil is NULL in each.
type ColumnType int

// The types of columns.
const (
	Text ColumnType = iota
	Int
	Bytes
)

func (t ColumnType) postgres() string {
	switch t {
	case Int:
		return "bigint"
	case Bytes:
		return "bytea"
	default:
		return "text"
	}
}

func (t ColumnType) holds(value any) (ok bool) {
	switch t {
	case Int:
		_, ok = value.(int64)
	case Bytes:
		_, ok = value.([]byte)
	default:
		_, ok = value.(string)
	}
	return ok
}

// Column is one column of the rows given to [Batch.Rows].
type Column struct {
	Name string
	Type ColumnType
}

// Batch is a list of statements that [DB.Run] carries out in order in one
// transaction. Its zero value is empty and ready. A scan function sees rows
// before they are committed: what it gathered counts once Run returned nil.
type Batch struct {
	statements []statement
	err        error
}

type statement struct {
	query   string
	args    []any // portable
	columns []Column
	rows    [][]any // portable; nil for a single statement
	scan    func(row Scanner) error
}

// Exec adds one statement. An empty one, as [Dialect.FeedLock] is on SQLite, is
// left out.
func (b *Batch) Exec(query string, args ...any) {
	b.Query(query, nil, args...)
}

// Query adds one statement and calls scan for each row it returns.
func (b *Batch) Query(query string, scan func(row Scanner) error, args ...any) {
	if query == "" {
		return
	}
	b.add(statement{query: query, args: args, scan: scan})
}

// Rows adds one statement for many rows. "{rows}" in it, where a table may
// stand, becomes a source of the rows named w with the given columns:
//
//	UPDATE runs SET inbox = inbox + 1 FROM {rows} WHERE runs.id = w.run RETURNING runs.id, inbox
//
// Parameters $1, $2, … of the statement's own come in args. scan is called for
// each row returned and may be nil. Without rows nothing is run.
//
// With a [Bytes] column SQLite runs the statement once per row, in order;
// without one it runs once for all, as on PostgreSQL always. So a statement
// over all rows at once, as with count(*), must have no Bytes column. And as
// SQLite's grammar wants it, an INSERT … SELECT … FROM {rows} with ON CONFLICT
// needs a WHERE, if only WHERE true.
func (b *Batch) Rows(query string, columns []Column, rows [][]any, scan func(row Scanner) error, args ...any) {
	if len(rows) == 0 {
		return
	}
	checked := make([][]any, len(rows))
	for i, row := range rows {
		values, err := rowValues(columns, row)
		if err != nil {
			b.fail(fmt.Errorf("row %d: %w", i, err))
			return
		}
		checked[i] = values
	}
	b.add(statement{query: query, args: args, columns: columns, rows: checked, scan: scan})
}

// rowValues checks that the row is one of the columns.
func rowValues(columns []Column, row []any) ([]any, error) {
	if len(row) != len(columns) {
		return nil, fmt.Errorf("%d values for %d columns", len(row), len(columns))
	}
	values, err := portable(row)
	if err != nil {
		return nil, err
	}
	for i, c := range columns {
		if values[i] != nil && !c.Type.holds(values[i]) {
			return nil, fmt.Errorf("a %T for column %s", values[i], c.Name)
		}
	}
	return values, nil
}

func (b *Batch) add(s statement) {
	args, err := portable(s.args)
	if err != nil {
		b.fail(err)
		return
	}
	s.args = args
	b.statements = append(b.statements, s)
}

func (b *Batch) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (s *statement) hasBytes() bool {
	return slices.ContainsFunc(s.columns, func(c Column) bool { return c.Type == Bytes })
}

// rowsJSON is the rows as the JSON array of arrays that SQLite's row source reads.
func (s *statement) rowsJSON() (string, error) {
	text, err := json.Marshal(s.rows)
	if err != nil {
		return "", fmt.Errorf("write rows as JSON: %w", err)
	}
	return string(text), nil
}

// columnArrays is the rows as one array per column, as PostgreSQL's row source
// reads them.
func (s *statement) columnArrays() []any {
	arrays := make([]any, len(s.columns))
	for i, c := range s.columns {
		switch c.Type {
		case Int:
			arrays[i] = columnArray[int64](s.rows, i)
		case Bytes:
			arrays[i] = columnArray[[]byte](s.rows, i)
		default:
			arrays[i] = columnArray[string](s.rows, i)
		}
	}
	return arrays
}

// columnArray is []T, or []*T when a value is NULL.
func columnArray[T any](rows [][]any, column int) any {
	values := make([]T, len(rows))
	pointers := make([]*T, len(rows))
	nulls := false
	for i, row := range rows {
		v, ok := row[column].(T)
		if !ok {
			nulls = true
			continue
		}
		values[i] = v
		pointers[i] = &values[i]
	}
	if nulls {
		return pointers
	}
	return values
}

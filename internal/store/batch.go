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
//	UPDATE runs SET inbox = inbox + 1 FROM {rows} WHERE runs.id = w.run RETURNING id, inbox
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
		if len(row) != len(columns) {
			b.fail(fmt.Errorf("row %d has %d values for %d columns", i, len(row), len(columns)))
			return
		}
		values, err := portable(row)
		if err != nil {
			b.fail(fmt.Errorf("row %d: %w", i, err))
			return
		}
		checked[i] = values
	}
	b.add(statement{query: query, args: args, columns: columns, rows: checked, scan: scan})
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
func (s *statement) columnArrays() ([]any, error) {
	arrays := make([]any, len(s.columns))
	for i, c := range s.columns {
		var err error
		switch c.Type {
		case Int:
			arrays[i], err = columnArray[int64](s.rows, i)
		case Bytes:
			arrays[i], err = columnArray[[]byte](s.rows, i)
		default:
			arrays[i], err = columnArray[string](s.rows, i)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	return arrays, nil
}

// columnArray is []T, or []*T when a value is nil.
func columnArray[T any](rows [][]any, column int) (any, error) {
	values := make([]T, len(rows))
	nulls := false
	for i, row := range rows {
		if row[column] == nil {
			nulls = true
			continue
		}
		v, ok := row[column].(T)
		if !ok {
			return nil, fmt.Errorf("row %d holds a %T", i, row[column])
		}
		values[i] = v
	}
	if !nulls {
		return values, nil
	}
	pointers := make([]*T, len(rows))
	for i, row := range rows {
		if row[column] != nil {
			pointers[i] = &values[i]
		}
	}
	return pointers, nil
}

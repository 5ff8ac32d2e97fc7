package store

import "fmt"

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
//
// A batch may have members, numbered from 1, of which it is decided inside the
// transaction whether they are written: by [Batch.Guard], once for all
// statements after it. Member 0 is always written.
type Batch struct {
	statements []statement
	err        error
}

// Held is the verdict of [Batch.Guard] on a member that is written.
const Held = 1

type statement struct {
	kind    statementKind
	query   string
	args    []any // portable
	columns []Column
	rows    [][]any // portable; nil for a single statement
	scan    func(row Scanner) error
	guard   *Guard
}

type statementKind int

const (
	single  statementKind = iota
	many                  // for each of the rows
	guarded               // for each of the rows whose first column is a member that is held
	guard
	joined // once, for the texts of those rows
)

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

// Rows adds one statement for many rows, of which it sees one after the other:
// it must not look at all of them at once, as with count(*). Within its text
// these stand for the rows:
//
//	{values}  in an INSERT, the values of all columns in their order; {values, 0} with constants after them
//	{from}    in an UPDATE, what it is from; {name} is then the value of that column
//	{rows}    anywhere, a table named w with the columns
//
// as in
//
//	INSERT INTO run_log (run_id, seq) {values}
//	UPDATE runs SET state = {state} {from} WHERE runs.id = {id}
//	DELETE FROM run_inbox WHERE (run_id, id) IN (SELECT w.run_id, w.id FROM {rows})
//
// {rows} is the slowest on SQLite, which runs the statement once per row;
// PostgreSQL runs it once for all. Parameters $1, $2, … of the statement's own
// come in args. scan is called for each row returned and may be nil. Without
// rows nothing is run. The rows belong to the batch from then on, and a text
// always comes with the same columns.
func (b *Batch) Rows(query string, columns []Column, rows [][]any, scan func(row Scanner) error, args ...any) {
	b.addRows(statement{kind: many, query: query, args: args, columns: columns, rows: rows, scan: scan})
}

// Guard decides which of the members of a batch are written.
type Guard struct {
	Columns []Column
	// Rows belong to one member each; one of member 0 is only locked.
	Rows    [][]any
	Members int
	// Since is, for each member, the age of the database at which it was held
	// the last time; 0 is never. While the age is the same it is held without
	// being asked about. So no batch may take from another's member what its
	// guard looks at, unless that has 0 here. Nil is 0 for all.
	Since []int64
	// Verdicts is told those on the members and the age. On SQLite, where all
	// that is written passes one writer, every write that is no batch raises
	// it; on PostgreSQL, where others write too, it is always 0.
	Verdicts func(verdicts []int64, age int64)
}

// Guard adds the statement that decides, once for all statements after it,
// which members are written. There is one to a batch. It selects the columns
// member and verdict from {rows}, and locks what it looks at. A member that it
// does not select has the verdict 0; those whose verdict is [Held] are written.
// A verdict is from 0 to 1023.
func (b *Batch) Guard(query string, g Guard) {
	b.addRows(statement{kind: guard, query: query, columns: g.Columns, rows: g.Rows, guard: &g})
}

// Guarded is like [Batch.Rows] for the rows of members: the first column is
// member, its number, and the rows of those who are not held are passed over.
func (b *Batch) Guarded(query string, columns []Column, rows [][]any) {
	b.addRows(statement{kind: guarded, query: query, columns: columns, rows: rows})
}

// Joined adds one statement for all texts of members who are held. "{joined}"
// in it becomes a table j of one row with one column, text: the texts with
// commas between them, NULL where there is none.
func (b *Batch) Joined(query string, members []int64, texts []string, args ...any) {
	rows := make([][]any, len(texts))
	for i := range texts {
		rows[i] = []any{members[i], texts[i]}
	}
	b.addRows(statement{kind: joined, query: query, args: args, rows: rows, columns: []Column{{"member", Int}, {"text", Text}}})
}

func (b *Batch) addRows(s statement) {
	if len(s.rows) == 0 && s.kind != guard {
		return
	}
	for i, row := range s.rows {
		if err := rowValues(s.columns, row); err != nil {
			b.fail(fmt.Errorf("row %d: %w", i, err))
			return
		}
	}
	b.add(s)
}

func (s *statement) shape() shape {
	return shape{kind: s.kind, columns: s.columns, given: len(s.args)}
}

// rowValues checks that the row is one of the columns and makes it portable.
func rowValues(columns []Column, row []any) error {
	if len(row) != len(columns) {
		return fmt.Errorf("%d values for %d columns", len(row), len(columns))
	}
	for i, c := range columns {
		value, err := portableValue(row[i])
		if err != nil {
			return fmt.Errorf("parameter $%d: %w", i+1, err)
		}
		row[i] = value
		if value != nil && !c.Type.holds(value) {
			return fmt.Errorf("a %T for column %s", value, c.Name)
		}
	}
	return nil
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

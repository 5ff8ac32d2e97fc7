package store

import (
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Database is one of the two databases.
type Database string

// The databases GatheRing runs on.
const (
	SQLite     Database = "sqlite"
	PostgreSQL Database = "postgresql"
)

// Dialect is what SQL has to say differently on the two databases, in one
// place. Everything else is written once.
type Dialect struct {
	Database Database
	Version  string // as in "3.50.4" or "15.14"

	file string // of SQLite, for people
}

// String is for people: "postgresql 15.14".
func (d Dialect) String() string { return string(d.Database) + " " + d.Version }

// ForUpdate is the suffix of a SELECT that locks the rows it returns until the
// transaction ends: "" on SQLite, where a write transaction is alone anyway.
func (d Dialect) ForUpdate() string { return d.Locking("FOR UPDATE") }

// Locking is clause, a PostgreSQL locking clause such as
// "FOR NO KEY UPDATE OF r SKIP LOCKED", with a space before it; "" on SQLite.
func (d Dialect) Locking(clause string) string {
	if d.Database == SQLite {
		return ""
	}
	return " " + clause
}

// FeedLock is the statement to run right before a row is added to the feed:
// with it the order of positions is the order of commits. It comes as late in
// the transaction as can be, and after it only rows are written that the
// transaction has locked already. It is "" on SQLite, which writes one
// transaction at a time.
func (d Dialect) FeedLock() string {
	if d.Database == SQLite {
		return ""
	}
	// The key is unique to this schema's feed: a constant above, the table's OID below.
	return `SELECT pg_advisory_xact_lock(5135603447292250112 + 'feed'::regclass::oid::bigint)`
}

// Ambiguous reports whether err came from a commit that may or may not have
// happened: the connection broke before the answer came. Only reading tells.
func Ambiguous(err error) bool {
	_, ok := errors.AsType[*AmbiguousError](err)
	return ok
}

// AmbiguousError is the error of a commit that may or may not have happened.
type AmbiguousError struct {
	Err error // why nobody can tell
}

func (e *AmbiguousError) Error() string {
	return "the commit may or may not have happened: " + e.Err.Error()
}

// Unwrap returns why nobody can tell.
func (e *AmbiguousError) Unwrap() error { return e.Err }

// IsUniqueViolation reports whether err says that a row with the same key is
// there already.
func IsUniqueViolation(err error) bool {
	return sqliteUniqueViolation(err) || postgresUniqueViolation(err)
}

// named turns errors that say what is the matter with the database itself into
// [gathering.Error]s that a client may see, and returns all others as they are.
func (d Dialect) named(err error) error {
	switch {
	case err == nil:
		return nil
	case d.Database == SQLite:
		return sqliteNamed(err, d.file)
	default:
		return postgresNamed(err)
	}
}

// verdicts is the setting in which the verdicts of a batch's guard last until
// its end on PostgreSQL, where the client does not hear of them before. The
// subquery is evaluated once per statement.
const verdicts = `gathering.verdicts`

// On SQLite a member and its verdict come as one number, which is read faster
// than two.
const verdictsPerMember = 1024

func judged(query string) string {
	return "SELECT member * 1024 + verdict FROM (" + query + ") AS v"
}

// shape is what the text of a statement over rows depends on beside its query.
type shape struct {
	kind    statementKind
	columns []Column
	given   int // parameters of the statement's own, which come first
}

// data are the columns that are written: those after the member's.
func (s shape) data() []Column {
	if s.kind == guarded {
		return s.columns[1:]
	}
	return s.columns
}

// postgresQuery puts the row source into a query: one array for each column.
func postgresQuery(query string, s shape) string {
	source := "unnest("
	for i, c := range s.columns {
		source += comma(i) + "$" + strconv.Itoa(s.given+i+1) + "::" + c.Type.postgres() + "[]"
	}
	all := names(s.columns)
	source += ") AS w(" + all + ")"
	if s.kind == guarded || s.kind == joined {
		source = "(SELECT " + all + " FROM " + source + " WHERE w.member = 0" +
			" OR (SELECT current_setting('" + verdicts + "', true)::bigint[])[w.member] = 1) AS w"
	}
	expanded := expand(query, func(token, rest string) string {
		switch token {
		case "rows":
			return source
		case "from":
			return "FROM " + source
		case "values":
			return "SELECT " + names(s.data()) + rest + " FROM " + source
		case "joined":
			return "(SELECT string_agg(w.text, ',') AS text FROM " + source + ") AS j"
		default:
			return "w." + token
		}
	})
	if s.kind != guard {
		return expanded
	}
	members := strconv.Itoa(s.given + len(s.columns) + 1)
	// Whom the guard does not select is there with 0. A join with v would take
	// as long as there are members, for each.
	return "WITH v AS MATERIALIZED (" + expanded + ") SELECT set_config('" + verdicts +
		"', array_agg(m.verdict ORDER BY m.member)::text, true)::bigint[] FROM (SELECT n.member, max(n.verdict) AS verdict FROM" +
		" (SELECT v.member, v.verdict FROM v WHERE v.member > 0" +
		" UNION ALL SELECT member, 0 FROM generate_series(1, $" + members + "::bigint) AS s(member)) AS n GROUP BY n.member) AS m"
}

// expansion is a query with the source of its rows.
type expansion struct {
	query string
	order []int // the values of the rows, column by column of row after row, in the order of the parameters
}

// sqliteQuery puts a source of so many rows into a query.
func sqliteQuery(query string, s shape, rows int) expansion {
	var order []int
	parameter := func(column int) string {
		if s.given == 0 {
			order = append(order, column)
			return "?" // the driver looks for what has a name
		}
		return "$" + strconv.Itoa(s.given+column+1)
	}
	text := expand(query, func(token, rest string) string {
		switch token {
		case "rows":
			return sqliteRows(s, rows, parameter)
		case "from":
			return ""
		case "values":
			first := len(s.columns) - len(s.data())
			var b strings.Builder
			for i := range s.data() {
				b.WriteString(comma(i) + parameter(first+i))
			}
			return "VALUES (" + b.String() + rest + ")"
		case "joined":
			return "(SELECT $" + strconv.Itoa(s.given+1) + " AS text) AS j"
		default:
			for i, c := range s.columns {
				if c.Name == token {
					return parameter(i)
				}
			}
			return "{" + token + "}"
		}
	})
	if s.kind == guard {
		text = judged(text)
	}
	if s.given > 0 {
		order = nil
		for i := range s.columns {
			order = append(order, i)
		}
	}
	return expansion{query: text, order: order}
}

func sqliteRows(s shape, rows int, parameter func(column int) string) string {
	var b strings.Builder
	if rows == 1 {
		for i, c := range s.columns {
			b.WriteString(comma(i) + parameter(i) + " AS " + c.Name)
		}
		return "(SELECT " + b.String() + ") AS w"
	}
	for i, c := range s.columns {
		b.WriteString(comma(i) + "column" + strconv.Itoa(i+1) + " AS " + c.Name)
	}
	b.WriteString(" FROM (VALUES ")
	for row := range rows {
		b.WriteString(comma(row) + "(")
		for i := range s.columns {
			b.WriteString(comma(i) + parameter(row*len(s.columns)+i))
		}
		b.WriteString(")")
	}
	return "(SELECT " + b.String() + ")) AS w"
}

// expand replaces what stands in braces: a name and, from a comma on, the rest.
func expand(query string, token func(name, rest string) string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(query, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		var name string
		name, query, _ = strings.Cut(rest, "}")
		name, rest, more := strings.Cut(name, ",")
		if more {
			rest = "," + rest
		}
		b.WriteString(token(name, rest))
	}
}

func names(columns []Column) string {
	var b strings.Builder
	for i, c := range columns {
		b.WriteString(comma(i) + c.Name)
	}
	return b.String()
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

func createSchema(name string) string {
	return "CREATE SCHEMA " + pgx.Identifier{name}.Sanitize()
}

func dropSchema(name string) string {
	return "DROP SCHEMA " + pgx.Identifier{name}.Sanitize() + " CASCADE"
}

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
		return sqliteNamed(err)
	default:
		return postgresNamed(err)
	}
}

// verdicts is the setting in which the verdicts of a batch's guard last until
// its end on PostgreSQL, where the client does not hear of them before. The
// subquery is evaluated once per statement.
const verdicts = `gathering.verdicts`

// rowSource expands {rows} in query for one statement that takes all rows on
// PostgreSQL. The parameters of the rows come after the first given ones.
func rowSource(query string, columns []Column, given int, kind statementKind) string {
	var b strings.Builder
	b.WriteString("unnest(")
	for i, c := range columns {
		separate(&b, i)
		b.WriteString("$" + strconv.Itoa(given+i+1) + "::" + c.Type.postgres() + "[]")
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	list := strings.Join(names, ", ")
	b.WriteString(") AS w(" + list + ")")
	source := b.String()
	if kind == guarded || kind == joined {
		source = "(SELECT " + list + " FROM " + source + " WHERE w." + columns[0].Name +
			" = 0 OR (SELECT current_setting('" + verdicts + "', true)::bigint[])[w." + columns[0].Name + "] = 1) AS w"
	}
	switch kind {
	case joined:
		return strings.ReplaceAll(query, "{joined}", "(SELECT string_agg(w.text, ',') AS text FROM "+source+") AS j")
	case guard:
		members := strconv.Itoa(given + len(columns) + 1)
		return "WITH v AS MATERIALIZED (" + strings.ReplaceAll(query, "{rows}", source) + ") SELECT set_config('" + verdicts +
			"', array_agg(coalesce(v.verdict, 0) ORDER BY m.member)::text, true)::bigint[]" +
			" FROM generate_series(1, $" + members + "::bigint) AS m(member) LEFT JOIN v ON v.member = m.member"
	default:
		return strings.ReplaceAll(query, "{rows}", source)
	}
}

// oneRowSource expands {rows} in query for a statement that takes one row, as
// on SQLite.
func oneRowSource(query string, columns []Column, given int) string {
	var b strings.Builder
	b.WriteString("(SELECT ")
	for i, c := range columns {
		separate(&b, i)
		b.WriteString("$" + strconv.Itoa(given+i+1) + " AS " + c.Name)
	}
	b.WriteString(") AS w")
	return strings.ReplaceAll(query, "{rows}", b.String())
}

// joinedSource expands {joined} in query for a parameter that holds the texts
// joined already, as on SQLite.
func joinedSource(query string, given int) string {
	return strings.ReplaceAll(query, "{joined}", "(SELECT $"+strconv.Itoa(given+1)+" AS text) AS j")
}

func createSchema(name string) string {
	return "CREATE SCHEMA " + pgx.Identifier{name}.Sanitize()
}

func dropSchema(name string) string {
	return "DROP SCHEMA " + pgx.Identifier{name}.Sanitize() + " CASCADE"
}

func separate(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteString(", ")
	}
}

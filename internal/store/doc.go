// Package store opens the database, SQLite in a directory or PostgreSQL, and
// runs statements in it. It knows no noun: the SQL of runs, pipelines and so on
// lives with them, written once in the subset that both databases share:
//
//   - placeholders are $1, $2, …; columns are named; RETURNING and
//     ON CONFLICT … DO UPDATE SET … = EXCLUDED.… work;
//   - times are BIGINT microseconds since 1970 in UTC, passed as parameters
//     (never the database's clock), documents are TEXT holding JSON or bytes
//     made by the codec;
//   - a parameter is nil, a string, an integer, bytes, or of a type made from
//     these; a [json.RawMessage] is sent as text;
//   - a statement that fails ends its transaction.
//
// What has to differ is asked of [Dialect].
//
// # Writes
//
// There are two ways to write. [DB.Tx] takes a function; [DB.Run] takes a
// [Batch] of statements that is complete beforehand, and is one round trip on
// PostgreSQL. Above both, a [Committer] gathers what many goroutines want to
// write into few transactions.
//
//	callers ── Commit ──▶ Committer ── Run(batch) ─┐
//	                                               ├─▶ writer ─▶ BEGIN … COMMIT   (SQLite)
//	services ───────────────────────── Tx(func) ───┘
//
// On SQLite everything passes one writer, which gathers what waits into one
// transaction: each function runs under a savepoint of its own, so that one
// that fails takes nothing with it, and all are answered when the one commit is
// on disk. On PostgreSQL each Tx and each Run is a transaction on a connection
// of the pool.
//
// # Errors
//
// That the database is full, locked, gone or refuses more connections is an
// error of [gathering.KindUnavailable] whose message says which. Who opens a
// database is told which server or file that is; later errors, which others may
// see, name no server. A commit of which nobody can tell whether it happened is
// [Ambiguous]: who wrote must read again.
package store

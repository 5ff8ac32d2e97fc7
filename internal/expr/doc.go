// Package expr evaluates the expressions of pipelines. There is one language,
// CEL (https://cel.dev), checked when it is saved and run under limits, without
// clock, random numbers, input or output.
//
// An [Env] says what is in scope at one place and compiles expressions and
// templates for it; a [Scope] holds the values they are run on.
//
//	input                      the run's input
//	vars.NAME                  a declared variable
//	nodes.ID.output            what an upstream node left behind; null if it was skipped
//	nodes.ID.state             its state, as text
//	nodes.ID.finished_at       when it ended, a timestamp or null
//	run.id, run.started_at, run.project
//	trigger                    what caused the run
//	item, index                inside a map
//	error.kind, .code, .message on an error branch
//	secrets.NAME               where values are sent out
//
// # Values
//
// Values are JSON. An expression that is nothing but a path gives the very
// bytes that are there: numbers as they are spelled, whatever their length.
// Objects and lists that an expression passes on keep their text too. What is
// computed becomes JSON again: timestamps as RFC 3339 text, durations as Go
// writes them ("1m30s"), bytes in base64, an optional that is empty as null.
//
// A whole number is an int of 64 bits, any other number a double. The two mix
// in arithmetic and comparisons: what works for 7 works for 7.5. Two whole
// numbers divide to a whole number, as in CEL. A whole number beyond 64 bits
// may be passed on, compared for equality and turned into a string; to compute
// with it is an error. A field that is missing is an error too: test it with
// has(input.a) or give a default with input.?a.orValue(0).
//
// # Functions
//
// Beside CEL's own: the extension libraries for strings, lists, sets and math;
// base64.encode and base64.decode; json.parse, which turns JSON text into its
// value, and json.format, which writes a value as JSON text. Patterns are RE2.
//
// # Templates
//
// In any string of a JSON value, ${{ expression }} stands for its result; see
// [Env.Template].
package expr

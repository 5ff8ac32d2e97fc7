// Package schema compiles JSON Schemas and validates JSON values against them,
// in words that whoever wrote the value can act on.
//
// The dialect is draft 2020-12 unless the document's $schema names an older
// one. A schema refers only to itself: nothing is ever loaded from a file or
// the network. As the standard has it, format is a note and not a condition
// from draft 2019-09 on.
//
// Numbers are compared exactly, whatever their length. Neither compiling nor
// validating panics or runs without end, whatever is given: see the limits.
package schema

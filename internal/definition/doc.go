// Package definition reads, checks and writes pipeline definitions.
//
//	file ──read──▶ tree with lines ──▶ draft ──▶ graph, kinds, expressions ──▶ Definition
//	                    └───────────── faults, all at once ─────────────┘
//
// A file is YAML 1.2 or JSON. [Checker.Load] reports every fault it finds, each
// with its path, its line and what would be right. [Encode] writes a definition
// in its one canonical form: files of the same meaning give the same bytes,
// however they were written, and loading those bytes gives the definition back.
// [Decode] reads that form without checking it again.
//
// Within a file an absent field and a null one mean the same.
package definition

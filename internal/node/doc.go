// Package node knows every kind of node: what may be written in a definition
// and what it does in a run. No other package knows the kinds.
package node

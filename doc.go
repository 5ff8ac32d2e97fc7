// Package gathering is the vocabulary of GatheRing: the nouns, their states,
// their IDs and the one error type. Every other package speaks it, and it
// imports only the standard library.
//
// A [Pipeline] is a stored graph of nodes in immutable versions. Executing one
// is a run ([Run]): a log of [Event]s, of which the run's state is the fold.
package gathering

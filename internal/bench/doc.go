// Package bench measures how many runs a second this machine makes, and how
// near that is to what its database would do without the engine.
package bench

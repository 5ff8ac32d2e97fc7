// Package engine executes a validated graph of nodes. It knows no SQL, HTTP,
// clock or model.
//
// # State and transitions
//
// A run's [State] is the fold of its events. [Next] is the only place where a
// run moves: given a state, a time and one [Message] it emits events, applies
// them, and lists effects. It asks nobody for the time and draws no random
// number, so the same messages give the same events.
//
//	message ─▶ Next ─▶ events ──append──▶ durable ─▶ effects released
//	   ▲                                                  │
//	   └──────── result, step, mail, tick ◀───────────────┘
//
// No effect is released before the events that caused it are durable. Nodes
// that need nothing from outside ([Pure]) are decided within the same message,
// up to a fixpoint, and their outcomes are in the same append: what was decided
// is never decided again.
//
// # Edges
//
// Every edge ends taken or dead. A node that ends decides all its outgoing
// edges at once. A node runs when no incoming edge is pending and at least one
// is taken; when all are dead it is skipped, which kills its own edges.
//
// # Owner
//
// [Owner] is the one goroutine that holds a run's state. Nodes work in
// goroutines of their own and only send it messages.
package engine

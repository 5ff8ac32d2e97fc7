// Package api is what a client may ask: routes under /api/v1, JSON in and out,
// errors as RFC 9457 problem documents, described by an OpenAPI document that is
// made of the same Go types. A resource is a file.
//
// It is served in two places. [API.Public] is for the network: who asks is found
// out for every request, and what they may do is looked up in the table of
// package auth by the operation that was matched, never by the path. [API.Local]
// is for the control socket of a data directory, which only the directory's owner
// may open, and who may do everything.
//
// Every operation is registered by [register], which sees to what all have in
// common, in this order: who asks, how often they may, whether they may do it
// anywhere at all, the body, the idempotency key, the parameters. A handler
// decides about the object it is asked for by [API.see], calls one service and
// answers. One that answers without having decided is a defect, and fails.
package api

// Package api is what a client may ask of a process: routes under /api/v1, JSON
// in and out, errors as RFC 9457 problem documents.
//
// For now it is served on one place alone: the control socket of a data
// directory, which the process that holds the directory listens on and only
// the same user may open.
package api

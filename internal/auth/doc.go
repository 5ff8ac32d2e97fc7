// Package auth knows who asks and what they may do.
//
// A sign-in begins a session. From it come access tokens, which are good for
// [AccessLifetime] and are sent with each request, and refresh tokens, each of
// which is good for one refresh:
//
//	password ──▶ session ──▶ refresh token 1 ──▶ 2 ──▶ 3 …
//	                └──────▶ access token    ──▶ ·  ──▶ ·
//
// A refresh token that comes a second time was copied by somebody: the session
// ends, and with it every token that came from it. Only within [refreshGrace]
// it may be a program's that asked twice at once, and is just refused. Nothing
// of these tokens is stored but which generation of a session's refresh tokens
// is the good one, and of an API token a hash.
//
// Who a token stands for is read from the database for each request, at most
// [freshness] before it: what they may do is what they may do now, and a
// session or a token that was taken back is good nowhere any more, on no
// instance. Without the database nobody is let in.
//
// What each role may do is one table, [Rights]. [Judge] reads it, and nothing
// else decides.
package auth

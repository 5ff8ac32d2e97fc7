// Package httpx is what every HTTP request needs before any route is known:
// who asks from where, a request ID, the access log, problem documents,
// security headers, deadlines, and the kernel of event streams. From outside
// to inside:
//
//	NewServer     deadlines against slow clients
//	  Log         request ID, Record, access log, panics
//	    Secure    security headers
//	      Guard   host names, against DNS rebinding
//	        …     limits by [Bucket], sign-in with [SameOrigin], routes
//
// What a header says of the way a request took is believed only where the
// peer, whose address the connection tells, is a trusted proxy. Nothing here
// reads query strings, bodies or credentials, and nothing logs them.
package httpx

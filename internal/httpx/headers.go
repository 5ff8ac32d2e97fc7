package httpx

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// CSPNone lets an answer load nothing and be shown in nothing. It is the content
// security policy of every answer that does not choose another.
const CSPNone = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// SetCSP chooses the content security policy of an answer that has not begun.
func SetCSP(w http.ResponseWriter, policy string) {
	w.Header().Set("Content-Security-Policy", policy)
}

// Policy says what [Secure] adds to answers. The zero value works.
type Policy struct {
	// Proxies are believed when they say that a client came by TLS.
	Proxies Proxies
	// HSTS is for how long browsers that came by TLS come by nothing else.
	// Default 1 year.
	HSTS time.Duration
}

// Secure adds security headers to every answer. They are those of an answer to
// a program, which nobody shows, frames, stores or guesses the type of; a
// handler that serves pages sets its own policy by [SetCSP], and Cache-Control
// where its answer may be stored.
//
// No answer has CORS headers: pages of other origins read nothing. A preflight
// request is answered as any other with that method.
func Secure(next http.Handler, policy Policy) http.Handler {
	const year = 365 * 24 * time.Hour
	hsts := "max-age=" + strconv.FormatInt(int64(cmp.Or(policy.HSTS, year)/time.Second), 10)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		SetCSP(w, CSPNone)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), publickey-credentials-get=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if policy.Proxies.Scheme(r) == "https" {
			h.Set("Strict-Transport-Security", hsts)
		}
		next.ServeHTTP(w, r)
	})
}

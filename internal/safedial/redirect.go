package safedial

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gathering"
)

// Redirects returns a policy for [http.Client.CheckRedirect] that follows up
// to limit redirects; 0 is 10, below 0 is none. A redirect that is not to be
// followed at all is the answer.
//
//   - GET and HEAD are redirected; other methods only by 303 (See Other),
//     which turns them into GET. Nothing with a body is sent twice.
//   - A redirect from https to http, to another scheme, or to an address with
//     a user name or password is KindForbidden; one too many is KindInvalid.
//   - To another origin (scheme, host and port) go only headers that hold no
//     secret: those about what answer is wanted, and User-Agent. That drops
//     Authorization, Cookie and every header of an API's own; once dropped
//     they stay away, also where the way leads back.
//   - An Idempotency-Key belongs to one request of one origin: it is not sent
//     to another, nor with the GET that follows a 303.
//   - No Referer is added.
func Redirects(limit int) func(next *http.Request, via []*http.Request) error {
	limit = cmp.Or(limit, 10)
	return func(next *http.Request, via []*http.Request) error {
		first, last := via[0], via[len(via)-1]
		switch {
		case limit < 0, !redirectable(last.Method) && !seeOther(next):
			return http.ErrUseLastResponse
		case len(via) > limit:
			return gathering.NewError(gathering.KindInvalid, "%s redirects more than %d times", first.URL.Host, limit)
		case next.URL.Scheme != "https" && (next.URL.Scheme != "http" || last.URL.Scheme == "https"):
			return gathering.NewError(gathering.KindForbidden,
				"%s redirects to an address that is less safe, which is not followed: ask the address itself", last.URL.Host)
		case next.URL.User != nil:
			return gathering.NewError(gathering.KindForbidden,
				"%s redirects to an address with credentials in it, which is not followed", last.URL.Host)
		}
		clean(next, via)
		return nil
	}
}

func redirectable(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == ""
}

func seeOther(next *http.Request) bool {
	return next.Response != nil && next.Response.StatusCode == http.StatusSeeOther
}

// clean removes what next must not take along.
func clean(next *http.Request, via []*http.Request) {
	if via[0].Header.Get("Referer") == "" {
		next.Header.Del("Referer")
	}
	if next.Method != via[0].Method {
		next.Header.Del("Idempotency-Key")
	}
	home := origin(via[0].URL)
	abroad := origin(next.URL) != home ||
		slices.ContainsFunc(via, func(r *http.Request) bool { return origin(r.URL) != home })
	if !abroad {
		return
	}
	for name := range next.Header {
		switch http.CanonicalHeaderKey(name) {
		case "Accept", "Accept-Encoding", "Accept-Language", "User-Agent":
		default:
			delete(next.Header, name)
		}
	}
}

// origin is the scheme, host and port of an address.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}

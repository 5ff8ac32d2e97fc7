package httpx

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"gathering"
)

// Hosts are the names under which the service may be asked. A page of another
// name that was made to lead to this machine (DNS rebinding) asks under its
// own name, which is not among them.
//
// The names of the machine itself, localhost, 127.0.0.0/8 and [::1], are always
// among them: no page of somebody else's has them. The zero value has no other.
type Hosts struct {
	names map[string]bool
	every bool
}

// ParseHosts reads a list of names and addresses without ports, such as
// "gathering.example.com, 192.0.2.1, ::1". Nothing means that a server which
// listens on a loopback address answers to the names of the machine alone, and
// one which listens on others, or on none, to every name. Its error is
// KindInvalid and names each entry that is wrong by its place in the list.
func ParseHosts(list string, listen netip.Addr) (Hosts, error) {
	if strings.TrimSpace(list) == "" {
		return Hosts{every: !listen.IsLoopback()}, nil
	}
	h := Hosts{names: map[string]bool{}}
	var faults []gathering.FieldError
	for i, entry := range strings.Split(list, ",") {
		entry = strings.TrimSpace(entry)
		if address, err := netip.ParseAddr(entry); err == nil {
			h.names[plain(address).String()] = true
			continue
		}
		name, ok := canonicalName(entry)
		if !ok {
			faults = append(faults, entryFault("hosts", i, `is neither a name such as "gathering.example.com", without scheme and port, nor an address`))
			continue
		}
		h.names[name] = true
	}
	if len(faults) > 0 {
		return Hosts{}, gathering.NewError(gathering.KindInvalid, "the names of this service cannot be read").WithFields(faults...)
	}
	return h, nil
}

// Allow reports whether a Host header, with or without a port, names this
// service.
func (h Hosts) Allow(host string) bool {
	if h.every {
		return true
	}
	u, err := url.Parse("//" + host)
	if err != nil || u.Host != host {
		return false
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		address = plain(address)
		return address.IsLoopback() || h.names[address.String()]
	}
	name, ok := canonicalName(u.Hostname())
	return ok && (name == "localhost" || h.names[name])
}

// Guard refuses requests under other names, as forbidden.
func (h Hosts) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.Allow(r.Host) {
			WriteProblem(w, r, gathering.NewError(gathering.KindForbidden,
				"this service does not answer to the name it was asked by; its administrator can add the name to its hosts"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// maxName is how long a name is at most in the domain name system.
const maxName = 253

// canonicalName returns the one form in which names are compared.
func canonicalName(name string) (canonical string, ok bool) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name, name != "" && len(name) <= maxName && strings.Trim(name, alphabet) == "" && !strings.HasPrefix(name, ".")
}

// Safe reports whether a method is one that changes nothing.
func Safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// SameOrigin reports whether a browser says that a page of this service, which
// is asked by scheme, made the request. Unsafe requests that are signed in by a
// cookie, which browsers add whoever made the request, need it.
//
// [http.CrossOriginProtection] is for services that take requests from anybody
// but other pages. Here what tells no origin is refused, as are requests that
// no page made, and an origin that differs in its scheme.
func SameOrigin(r *http.Request, scheme string) bool {
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 0 {
		return len(site) == 1 && site[0] == "same-origin"
	}
	origin := r.Header.Values("Origin")
	return len(origin) == 1 && r.Host != "" && strings.EqualFold(origin[0], scheme+"://"+r.Host)
}

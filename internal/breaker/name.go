package breaker

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"gathering"
)

// maxName bounds a name in bytes.
const maxName = 300

// Host is the name of the breaker of an address's host and port.
func Host(address *url.URL) string {
	port := address.Port()
	switch {
	case port != "":
	case strings.EqualFold(address.Scheme, "http"):
		port = "80"
	default:
		port = "443"
	}
	return "host:" + strings.ToLower(net.JoinHostPort(strings.TrimSuffix(address.Hostname(), "."), port))
}

// Provider is the name of a model provider's breaker.
func Provider(name string) string { return "provider:" + name }

// Tool is the name of a tool's breaker.
func Tool(name string) string { return "tool:" + name }

// Name returns a breaker's name as it is kept: "provider:" or "tool:" and a
// name, or "host:", a host in lower case and a port, which is 443 where none is
// given. Anything else is KindInvalid.
func Name(given string) (string, error) {
	kind, rest, _ := strings.Cut(strings.TrimSpace(given), ":")
	bad := func(r rune) bool {
		return r == '/' || r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.IsSpace(r)
	}
	if rest == "" || len(given) > maxName || strings.ContainsFunc(rest, bad) {
		return "", notAName()
	}
	switch kind {
	case "provider", "tool":
		return kind + ":" + rest, nil
	case "host":
		return hostName(rest)
	default:
		return "", notAName()
	}
}

func hostName(rest string) (string, error) {
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		host, port = strings.Trim(rest, "[]"), "443"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return "", notAName()
	}
	return "host:" + strings.ToLower(net.JoinHostPort(strings.TrimSuffix(host, "."), port)), nil
}

func notAName() error {
	return gathering.NewError(gathering.KindInvalid, "that is no name of a circuit breaker").WithFields(gathering.FieldError{
		Field: "name", Problem: `must be as "provider:openai", "host:example.com:443" or "tool:mail.send"`,
	})
}

// shown is how messages speak of a breaker: "host example.com:443".
func shown(name string) string { return strings.Replace(name, ":", " ", 1) }

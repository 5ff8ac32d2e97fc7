package httpx

import "strings"

// forwarded is the header of RFC 7239.
const forwarded = "Forwarded"

// element is what one proxy said of the request it took.
type element struct {
	node  string // whom it took it from; "unknown" if that cannot be told
	proto string // by what protocol, "" if it does not say
}

// parseForwarded reads a Forwarded header. Each comma ends an element, even
// within quotes: otherwise a client could open a quote that takes in what
// proxies append. Elements that this tears apart, as all that are not well
// formed, name nobody.
func parseForwarded(list string) []element {
	var elements []element
	for text := range strings.SplitSeq(list, ",") {
		e, ok := parseElement(text)
		if !ok || e.node == "" {
			e = element{node: "unknown"}
		}
		elements = append(elements, e)
	}
	return elements
}

// parseElement reads pairs as in `for="[2001:db8::1]:4711";proto=https`.
func parseElement(text string) (e element, ok bool) {
	for pair := range strings.SplitSeq(text, ";") {
		name, value, found := strings.Cut(strings.TrimSpace(pair), "=")
		if !found && name == "" {
			continue // the standard lets pairs be empty
		}
		value, ok = unquote(value)
		if !found || !ok {
			return e, false
		}
		var field *string
		switch strings.ToLower(name) {
		case "for":
			field = &e.node
		case "proto":
			field = &e.proto
		default:
			continue
		}
		if *field != "" || value == "" {
			return e, false // each at most once
		}
		*field = value
	}
	return e, true
}

// unquote takes the quotes off a value. It is not well formed with a quote
// elsewhere, such as the end of one that began before a comma.
func unquote(value string) (bare string, ok bool) {
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value, !strings.Contains(value, `"`)
}

// nodes lists whom proxies took a request from, as X-Forwarded-For does.
func nodes(elements []element) string {
	list := make([]string, len(elements))
	for i, e := range elements {
		list[i] = e.node
	}
	return strings.Join(list, ",")
}

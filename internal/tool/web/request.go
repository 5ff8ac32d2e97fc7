package web

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gathering"
	"gathering/internal/tool"
)

// Bounds of a request.
const (
	maxURL          = 8 << 10 // bytes
	maxHeader       = 8 << 10 // bytes of a header's value
	maxTimeout      = 10 * time.Minute
	defaultTimeout  = 30 * time.Second
	defaultMaxBytes = 1 << 20
	maxHost         = 253 // bytes of a host's name
	minSecret       = 8   // bytes: a shorter word is no key
)

type requestInput struct {
	Method          string                     `json:"method,omitempty"`
	URL             string                     `json:"url"`
	Headers         map[string]string          `json:"headers,omitempty"`
	Query           map[string]json.RawMessage `json:"query,omitempty"`
	Body            json.RawMessage            `json:"body,omitempty"`
	ContentType     string                     `json:"content_type,omitempty"`
	Timeout         string                     `json:"timeout,omitempty"`
	MaxBytes        int                        `json:"max_bytes,omitempty"`
	FollowRedirects *bool                      `json:"follow_redirects,omitempty"`
	ExpectStatus    []int                      `json:"expect_status,omitempty"`
}

// request is the tool http.request.
func (r *requester) request(ctx context.Context, call tool.Call, in requestInput) (requestOutput, error) {
	in.Method = cmp.Or(in.Method, http.MethodGet)
	timeout, err := in.timeout()
	if err != nil {
		return requestOutput{}, err
	}
	e := &exchange{
		method: in.Method, expect: in.ExpectStatus, timeout: timeout, guard: r.guard,
		maxBytes:   cmp.Or(in.MaxBytes, defaultMaxBytes),
		follow:     in.FollowRedirects == nil || *in.FollowRedirects,
		repeatable: repeatable(in.Method),
	}
	if call.Idempotent != nil {
		e.repeatable = *call.Idempotent
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errLate)
	defer cancel()
	request, err := in.build(e.traced(ctx), call)
	if err != nil {
		return requestOutput{}, err
	}
	e.host = request.URL.Host
	e.secrets = in.secrets()
	client := r.oneShot
	if e.repeatable && (in.Method == http.MethodGet || in.Method == http.MethodHead) {
		client = r.kept
	}
	return e.make(request, client)
}

func (in *requestInput) timeout() (time.Duration, error) {
	if in.Timeout == "" {
		return defaultTimeout, nil
	}
	d, err := time.ParseDuration(in.Timeout)
	if err != nil || d <= 0 || d > maxTimeout {
		return 0, invalid("timeout", `must be a duration above 0s and up to 10m, such as "30s"`)
	}
	return d, nil
}

// secrets are the words of headers that may be keys, the longest first.
func (in *requestInput) secrets() []string {
	var words []string
	for name, value := range in.Headers {
		if strings.HasPrefix(strings.ToLower(name), "accept") || strings.EqualFold(name, "User-Agent") {
			continue
		}
		for word := range strings.FieldsSeq(value) {
			if len(word) >= minSecret {
				words = append(words, word)
			}
		}
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return words
}

// build makes the request of its arguments.
func (in *requestInput) build(ctx context.Context, call tool.Call) (*http.Request, error) {
	address, err := in.address()
	if err != nil {
		return nil, err
	}
	body, contentType, err := in.content()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, in.Method, address.String(), body)
	if err != nil {
		return nil, invalid("url", "cannot be requested").WithCause(err)
	}
	request.GetBody = nil // what is sent once cannot be sent again
	if err := setHeaders(request.Header, in.Headers); err != nil {
		return nil, err
	}
	setDefault(request.Header, "Accept", "application/json, text/*;q=0.9, */*;q=0.8")
	setDefault(request.Header, "User-Agent", "GatheRing")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if call.Key != "" && (in.Method == http.MethodPost || in.Method == http.MethodPatch) {
		setDefault(request.Header, "Idempotency-Key", idempotencyKey(call.Key))
	}
	return request, nil
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// idempotencyKey is a key for the other side that says nothing about the run.
func idempotencyKey(key string) string {
	sum := sha256.Sum256([]byte("http.request " + key))
	return hex.EncodeToString(sum[:16])
}

// address is where the request goes.
func (in *requestInput) address() (*url.URL, error) {
	if len(in.URL) > maxURL {
		return nil, invalid("url", "is longer than 8192 bytes")
	}
	address, err := url.Parse(in.URL)
	switch {
	case err != nil:
		return nil, invalid("url", `must be an address such as "https://example.com/path"`) // err repeats it
	case address.Scheme != "http" && address.Scheme != "https":
		return nil, invalid("url", "must begin with http:// or https://")
	case address.User != nil:
		return nil, invalid("url", "must hold no user name or password; send them in headers, as Authorization")
	case address.Hostname() == "" || len(address.Hostname()) > maxHost:
		return nil, invalid("url", "must name a host, in up to 253 bytes")
	}
	added, err := in.query()
	if err != nil {
		return nil, err
	}
	address.RawQuery = strings.Trim(address.RawQuery+"&"+added, "&")
	address.Fragment = ""
	return address, nil
}

var errNested = errors.New("an object or a list in a list")

// query encodes the query that the arguments add.
func (in *requestInput) query() (string, error) {
	added := url.Values{}
	for name, value := range in.Query {
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil {
			list = []json.RawMessage{value}
		}
		for _, one := range list {
			text, err := scalar(one)
			if err != nil {
				return "", invalid("query", "must hold texts, numbers, true, false, null, and lists of them")
			}
			if text != "null" || one[0] == '"' {
				added.Add(name, text)
			}
		}
	}
	return added.Encode(), nil
}

// scalar is a JSON text without its quotes, or a number, true, false or null.
func scalar(value json.RawMessage) (string, error) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 || value[0] != '"' {
		if bytes.ContainsAny(value, "{[") {
			return "", errNested
		}
		return string(value), nil
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err
}

// content is the body to send and its type; "" where there is none.
func (in *requestInput) content() (io.Reader, string, error) {
	if gathering.CompactJSON(in.Body) == nil {
		if in.ContentType != "" {
			return nil, "", invalid("content_type", "says what a body is, and there is none")
		}
		return http.NoBody, "", nil
	}
	if in.Method == http.MethodGet || in.Method == http.MethodHead {
		return nil, "", invalid("body", "must be absent: "+in.Method+" sends none")
	}
	if in.ContentType == "" {
		return bytes.NewReader(in.Body), "application/json", nil
	}
	media, _, err := mime.ParseMediaType(in.ContentType)
	if err != nil || !strings.Contains(media, "/") || !isHeaderValue(in.ContentType) {
		return nil, "", invalid("content_type", `must be a media type such as "text/plain; charset=utf-8"`)
	}
	var text string
	switch {
	case json.Unmarshal(in.Body, &text) == nil:
		return strings.NewReader(text), in.ContentType, nil
	case isJSON(media):
		return bytes.NewReader(in.Body), in.ContentType, nil
	}
	return nil, "", invalid("body", "must be a string where content_type is not JSON")
}

// setHeaders puts the headers of the arguments into h.
func setHeaders(h http.Header, given map[string]string) error {
	for name, value := range given {
		problem := ""
		switch canonical := http.CanonicalHeaderKey(name); {
		case !isToken(name):
			problem = "must be a name of letters, digits and hyphens"
		case len(value) > maxHeader || !isHeaderValue(value):
			problem = "must be a value of up to 8192 bytes without line breaks and control characters"
		case canonical == "Content-Type":
			problem = "must be given as content_type"
		case canonical == "Host":
			problem = "must not be given: it is the host of the url"
		case managed(canonical):
			problem = "must not be given: the connection has its own"
		case h[canonical] != nil:
			problem = "must not be given twice in different case"
		}
		if problem != "" {
			return invalid("headers", "a header "+problem)
		}
		h.Set(name, value)
	}
	return nil
}

// managed reports whether a header, in canonical form, is about the connection
// or the length of the message.
func managed(name string) bool {
	return strings.HasPrefix(name, "Proxy-") || slices.Contains([]string{
		"Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Expect", "Http2-Settings", "Keep-Alive",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade",
	}, name)
}

// isToken reports whether text is a token (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		digit := '0' <= r && r <= '9'
		return !letter && !digit && !strings.ContainsRune(marks, r)
	})
}

// isHeaderValue reports whether text may stand behind a header's name (RFC
// 9110, section 5.5).
func isHeaderValue(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// invalid is the error of an argument, which it names and does not repeat.
func invalid(argument, problem string) *gathering.Error {
	return gathering.NewError(gathering.KindInvalid, "the request cannot be made as asked").
		WithFields(gathering.FieldError{Field: "arguments." + argument, Problem: problem})
}

package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"gathering"
)

// maxExcerpt bounds, in bytes, what is read of an answer that is an error.
const maxExcerpt = 8 << 10

type requestOutput struct {
	Status int `json:"status"`
	// URL is without query, which may hold keys.
	URL     string            `json:"url" jsonschema:"Where the answer came from, after redirects, without query"`
	Headers map[string]string `json:"headers" jsonschema:"Names in lower case; without cookies, tokens and what is about the connection"`
	Body    json.RawMessage   `json:"body" jsonschema:"A JSON value, a text, or null where there is none"`
	Base64  bool              `json:"base64,omitempty" jsonschema:"Whether body is a text of bytes in base64"`
}

// read reads the body of an answer.
func (e *exchange) read(response *http.Response) ([]byte, error) {
	tooLarge := gathering.NewError(gathering.KindTooLarge,
		"the answer of %s is over the limit of %d bytes; max_bytes raises it up to 10485760", e.host, e.maxBytes).
		WithCode(gathering.CodeOutputTooLarge)
	if response.ContentLength > int64(e.maxBytes) && e.method != http.MethodHead {
		return nil, tooLarge
	}
	data, err := readAll(response.Body, e.maxBytes)
	if errors.Is(err, errFull) {
		return nil, tooLarge
	}
	return data, err
}

var errFull = errors.New("there is more than is to be read")

// readAll reads to the end, or up to limit bytes and errFull.
func readAll(r io.Reader, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(data) > limit {
		return data[:limit], errFull
	}
	return data, err
}

func (e *exchange) output(response *http.Response, data []byte) (requestOutput, error) {
	final := *response.Request.URL
	final.RawQuery, final.ForceQuery, final.Fragment = "", false, ""
	out := requestOutput{
		Status: response.StatusCode, URL: final.String(), Headers: safeHeaders(response.Header), Body: json.RawMessage("null"),
	}
	if len(data) == 0 {
		return out, nil
	}
	text, ok := plain(response.Header, data) // where it is not, text is empty and no JSON
	media, _ := mediaType(response.Header)
	switch {
	case isJSON(media) && !packed(response.Header):
		out.Body = json.RawMessage(text)
		return out, e.checkJSON(response.StatusCode, out.Body)
	case !ok:
		text, out.Base64 = base64.StdEncoding.EncodeToString(data), true
	}
	body, err := encode(text)
	if err != nil {
		return requestOutput{}, fmt.Errorf("encode the answer of %s: %w", e.host, err)
	}
	out.Body = body
	return out, nil
}

// checkJSON returns an error where a body is not the JSON that it claims to
// be, or cannot be kept in an output.
func (e *exchange) checkJSON(status int, body json.RawMessage) error {
	problem := "it is not the JSON it claims to be"
	switch {
	case json.Valid(body):
		err := gathering.CheckJSON("answer", fmt.Appendf(nil, `{"body":%s}`, body))
		if err == nil {
			return nil
		}
		if fault, ok := errors.AsType[*gathering.Error](err); ok {
			problem = fault.Message
		}
	case isDeep(body):
		problem = fmt.Sprintf("it is nested too deeply; the limit is %d", gathering.MaxValueDepth)
	}
	return gathering.NewError(gathering.KindInvalid,
		"%s to %s was answered %d with a body that cannot be used: %s", e.method, e.host, status, problem)
}

// isDeep reports whether text begins as JSON that is nested too deeply. To
// [json.Valid] what is nested very deeply is not valid.
func isDeep(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for depth := 0; depth <= gathering.MaxValueDepth; {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return true
}

// encode writes text as JSON, without escaping what only web pages need escaped.
func encode(text string) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// plain decodes a body that is text in the charset that it names; without one
// in UTF-8. It reports false where the body is no text, or is not in that
// charset from its beginning to its end.
func plain(h http.Header, data []byte) (string, bool) {
	media, charset := mediaType(h)
	if packed(h) || !isText(media) {
		return "", false
	}
	if charset != "" && !strings.EqualFold(charset, "utf-8") {
		encoding, err := htmlindex.Get(charset)
		if err != nil {
			return "", false
		}
		data, _, err = transform.Bytes(unicode.BOMOverride(encoding.NewDecoder()), data)
		if err != nil || bytes.ContainsRune(data, utf8.RuneError) {
			return "", false
		}
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if !utf8.Valid(data) || media == "" && bytes.IndexByte(data, 0) >= 0 {
		return "", false
	}
	return string(data), true
}

// mediaType is what an answer says that its body is.
func mediaType(h http.Header) (media, charset string) {
	media, parameters, _ := mime.ParseMediaType(h.Get("Content-Type")) // what cannot be read is ""
	return media, parameters["charset"]
}

// packed reports whether the body is still compressed, in a way nobody asked for.
func packed(h http.Header) bool {
	encoding := h.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}

func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// isText reports whether a body of a media type is for reading. One without a
// type may be.
func isText(media string) bool {
	return media == "" || isJSON(media) || strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+xml") ||
		strings.HasSuffix(media, "+yaml") || slices.Contains([]string{
		"application/ecmascript", "application/graphql", "application/javascript", "application/jsonl",
		"application/sql", "application/toml", "application/x-ndjson", "application/x-www-form-urlencoded",
		"application/x-yaml", "application/xml", "application/yaml",
	}, media)
}

// safeHeaders are the headers of an answer that may be kept in a run's log.
func safeHeaders(h http.Header) map[string]string {
	safe := make(map[string]string, len(h))
	for name, values := range h {
		if name = strings.ToLower(name); !private(name) {
			safe[name] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
		}
	}
	return safe
}

// private reports whether a header of an answer holds what lets its reader act
// for somebody else, or is about the connection.
func private(name string) bool {
	for _, word := range []string{"auth", "cookie", "credential", "password", "proxy-", "secret", "session", "token"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return slices.Contains([]string{"alt-svc", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}, name)
}

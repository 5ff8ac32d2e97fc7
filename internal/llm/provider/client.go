package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/safedial"
)

const (
	maxAnswer = 16 << 20 // bytes of a model's answer
	maxFault  = 64 << 10 // bytes read of an answer that reports a fault
)

// client makes the requests of one provider. It decides which headers leave the
// process: the client library above it would add what the environment of the
// process holds for OpenAI, whatever server it speaks to.
type client struct {
	http *http.Client
	key  string
}

var errRedirect = gathering.NewError(gathering.KindInvalid,
	"the model provider answered with a redirect, which is not followed; set the address it leads to")

func newClient(key string, timeout time.Duration) *client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &client{
		key: key,
		http: &http.Client{
			Timeout:       timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         dialer.DialContext,
				TLSHandshakeTimeout: 10 * time.Second,
				ForceAttemptHTTP2:   true,
				MaxIdleConnsPerHost: 16,
				IdleConnTimeout:     90 * time.Second,
			},
		},
	}
}

// Do makes one request. A status other than success is a *[llm.StatusError].
func (c *client) Do(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header = http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/json"},
		"User-Agent":   {"GatheRing"},
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		defer response.Body.Close()
		// What cannot be read of a fault is not missed: the status says enough.
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxFault))
		return nil, &llm.StatusError{
			Status:     response.StatusCode,
			RetryAfter: safedial.RetryAfter(response.Header),
			Message:    c.redact(said(body)),
		}
	}
	response.Body = &bounded{ReadCloser: response.Body, left: maxAnswer}
	return response, nil
}

// redact removes the key from what a provider said about it.
func (c *client) redact(text string) string {
	if c.key == "" {
		return text
	}
	return strings.ReplaceAll(text, c.key, "[key]")
}

// said finds the sentence for people in the body of a fault: servers differ in
// where they put it.
func said(body []byte) string {
	var document struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(body, &document) != nil {
		if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
			return "" // a page, from something in between
		}
		return gathering.Brief(string(body))
	}
	var inner struct {
		Message string `json:"message"`
	}
	var text string
	switch {
	case json.Unmarshal(document.Error, &inner) == nil && inner.Message != "":
		text = inner.Message
	case json.Unmarshal(document.Error, &text) == nil && text != "":
	default:
		text = document.Message
	}
	return gathering.Brief(text)
}

// bounded is a body that ends in an error where it is longer than it may be.
type bounded struct {
	io.ReadCloser
	left int64
}

var errTooLong = errors.New("the answer is longer than 16 MiB")

// Read reads on until the bound is passed.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

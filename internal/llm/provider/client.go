package provider

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"gathering"
	"gathering/internal/safedial"
)

// maxFault bounds, in bytes, an answer that reports a fault.
const maxFault = 64 << 10

// client makes the requests of one provider. It decides where they go and which
// headers they carry: the client libraries above it would add what the
// environment of the process holds for their vendors, whatever server they
// speak to.
//
// Its rule is that of one origin. Requests go to the scheme, host and port of
// the base URL and to no other, whatever a library makes of a model's name or a
// server of a redirect: redirects are faults, so that neither the key nor the
// conversation follows one. Where the operator wrote the base URL, that host is
// reached at any address, as a name within a private network or a server on
// this machine has to be; a base URL of the catalogue is reached on the public
// internet and in the networks that the operator allows to all outgoing calls.
// A proxy, which only the operator names, is reached wherever it is.
type client struct {
	http   *http.Client
	base   *url.URL
	header http.Header // of every request
	idle   time.Duration
	limit  int64 // bytes of an answer
}

var (
	errRedirect = gathering.NewError(gathering.KindInvalid,
		"the model provider answered with a redirect, which is not followed; set the address it leads to")
	errElsewhere = gathering.NewError(gathering.KindForbidden, "a model call would go to another server than its provider's")
)

func errTooLong(limit int64) error {
	return gathering.NewError(gathering.KindTooLarge, "the model's answer is longer than %d bytes", limit)
}

// idleError is the cause of a call that was given up because nothing came.
type idleError struct{}

// Error says so.
func (idleError) Error() string { return "nothing came for too long" }

// Timeout is what it is: [net.Error] has it.
func (idleError) Timeout() bool { return true }

// Temporary is part of [net.Error].
func (idleError) Temporary() bool { return true }

func newClient(c Config) (*client, error) {
	base, err := url.Parse(c.BaseURL)
	if err != nil {
		return nil, err
	}
	var proxy *url.URL
	if c.Proxy != nil {
		if proxy, err = c.Proxy(base); err != nil {
			// The cause is left out: the address of a proxy may hold a password.
			return nil, gathering.NewError(gathering.KindInvalid, "HTTPS_PROXY and HTTP_PROXY must be addresses of proxies")
		}
	}
	options := safedial.Options{HeaderTimeout: c.Timeout, MaxRedirects: -1, Allow: c.Allow}
	if c.Own || proxy != nil {
		options.Allow = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	transport := safedial.NewTransport(options)
	if proxy != nil {
		transport.Proxy = http.ProxyURL(proxy)
	}
	return &client{
		http:   &http.Client{Transport: transport, CheckRedirect: safedial.Redirects(-1)},
		base:   base,
		header: c.header(),
		idle:   c.Idle,
		limit:  cmp.Or(c.MaxAnswer, DefaultMaxAnswer),
	}, nil
}

// header is what every request carries.
func (c *Config) header() http.Header {
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"GatheRing"}}
	switch {
	case c.Format == FormatAnthropic:
		header.Set("Anthropic-Version", "2023-06-01")
		if c.Key != "" {
			header.Set("X-Api-Key", c.Key)
		}
	case c.Key == "":
	case c.Format == FormatGoogle:
		header.Set("X-Goog-Api-Key", c.Key)
	default:
		header.Set("Authorization", "Bearer "+c.Key)
	}
	return header
}

// wrapped is the client for libraries that want a whole one.
func (c *client) wrapped() *http.Client { return &http.Client{Transport: c} }

// Do makes one request. A status other than success is a *[llm.StatusError].
func (c *client) Do(request *http.Request) (*http.Response, error) { return c.RoundTrip(request) }

// RoundTrip is Do.
func (c *client) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != c.base.Scheme || request.URL.Host != c.base.Host {
		return nil, errElsewhere
	}
	x := exchangeOf(request.Context())
	ctx, cancel := context.WithCancelCause(request.Context())
	var silence *time.Timer
	if x.stream {
		silence = time.AfterFunc(c.idle, func() { cancel(idleError{}) })
		context.AfterFunc(request.Context(), func() { silence.Stop() }) // libraries do not always close
	}
	end := func() {
		if silence != nil {
			silence.Stop()
		}
		cancel(nil)
	}
	request = request.Clone(ctx)
	request.Header = c.header.Clone()
	request.Header.Set("Accept", x.accept())
	response, err := c.http.Do(request)
	if err == nil && (response.StatusCode < 200 || response.StatusCode > 299) {
		err = c.refused(response)
	}
	if err != nil {
		x.fault = because(ctx, err)
		end()
		return nil, x.fault
	}
	response.Body = &body{
		ReadCloser: response.Body, limit: c.limit, exchange: x,
		ctx: ctx, silence: silence, idle: c.idle, end: end,
	}
	if err := x.restream(response); err != nil {
		return nil, err
	}
	return response, nil
}

// because prefers the reason that ctx was given up for.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, idleError{}) {
		return cause
	}
	return err
}

// refused reads an answer that is no success. One that does not come whole is
// not missed: the status says enough, and what is cut may end within the key.
func (c *client) refused(response *http.Response) error {
	defer response.Body.Close()
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return errRedirect
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxFault+1))
	if err != nil || len(document) > maxFault {
		document = nil
	}
	fault := readFault(response.StatusCode, document)
	if delay := safedial.RetryAfter(response.Header); delay > 0 {
		fault.RetryAfter = delay
	}
	return fault
}

// body is an answer on its way: bounded in size, given up when nothing comes.
type body struct {
	io.ReadCloser
	limit    int64
	read     int64
	exchange *exchange
	ctx      context.Context //nolint:containedctx // that of the request which the body is the answer of
	silence  *time.Timer     // nil: any silence is borne
	idle     time.Duration
	end      func()
}

// Read reads on until the bound is passed. Libraries differ in what they make
// of faults, so the exchange keeps them; the reader of a stream sees its end.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.silence != nil && n > 0 {
		b.silence.Reset(b.idle)
	}
	if b.read += int64(n); b.read > b.limit {
		n, err = 0, errTooLong(b.limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.exchange.fault = because(b.ctx, err)
	}
	if b.exchange.stream {
		b.exchange.read(p[:n])
		if err != nil {
			err = io.EOF
		}
	}
	return n, err
}

// Close ends the exchange.
func (b *body) Close() error {
	b.end()
	return b.ReadCloser.Close()
}

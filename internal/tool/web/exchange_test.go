package web_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/safedial"
	"gathering/internal/tool"
)

const unknown = gathering.CodeUnknownOutcome

func TestStatuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method string
		status int
		body   string
		want   want
	}{
		"not found":       {"GET", 404, "", want{gathering.KindInvalid, "", "GET to H was answered 404 Not Found"}},
		"said why":        {"POST", 422, " {\"error\":\n\"no such\x00 city\"} ", want{gathering.KindInvalid, "", `POST to H was answered 422 Unprocessable Entity: {"error": "no such city"}`}},
		"says little":     {"GET", 400, "ab", want{gathering.KindInvalid, "", "GET to H was answered 400 Bad Request: ab"}},
		"a page":          {"GET", 404, " <html>oops", want{gathering.KindInvalid, "", "GET to H was answered 404 Not Found"}},
		"our key":         {"GET", 400, "bad key s3cr3t-k3y, said Bearer", want{gathering.KindInvalid, "", "GET to H was answered 400 Bad Request: bad key […], said Bearer"}},
		"refused":         {"GET", 401, "key s3cr…", want{gathering.KindInvalid, "", "GET to H was answered 401 Unauthorized"}},
		"forbidden":       {"POST", 403, "key s3cr…", want{gathering.KindInvalid, "", "POST to H was answered 403 Forbidden"}},
		"unheard of":      {"GET", 499, "", want{gathering.KindInvalid, "", "GET to H was answered 499"}},
		"too slow":        {"POST", 408, "", want{gathering.KindUnavailable, "", "POST to H was answered 408 Request Timeout"}},
		"too early":       {"POST", 425, "", want{gathering.KindUnavailable, "", "POST to H was answered 425 Too Early"}},
		"too often":       {"POST", 429, "", want{gathering.KindExhausted, "", "POST to H was answered 429 Too Many Requests"}},
		"broken":          {"GET", 500, "", want{gathering.KindUnavailable, "", "GET to H was answered 500 Internal Server Error"}},
		"broken for good": {"POST", 500, "", want{gathering.KindInvalid, "", "POST to H was answered 500 Internal Server Error"}},
		"overloaded":      {"POST", 503, "", want{gathering.KindUnavailable, "", "POST to H was answered 503 Service Unavailable"}},
		"a gateway":       {"PUT", 502, "", want{gathering.KindUnavailable, "", "PUT to H was answered 502 Bad Gateway"}},
		"a slow gateway":  {"DELETE", 504, "", want{gathering.KindUnavailable, "", "DELETE to H was answered 504 Gateway Timeout"}},
		"a gateway that heard nothing": {"POST", 502, "", want{
			gathering.KindConflict, unknown, "POST to H may have acted and nobody can tell: POST to H was answered 502 Bad Gateway",
		}},
		"a gateway that waited": {"PATCH", 504, "later", want{
			gathering.KindConflict, unknown, "PATCH to H may have acted and nobody can tell: PATCH to H was answered 504 Gateway Timeout: later",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			_, err := request(t, arguments{"method": test.method, "url": s.URL, "headers": arguments{"Authorization": "Bearer s3cr3t-k3y"}})
			test.want.text = strings.ReplaceAll(test.want.text, "H", "\x00")
			test.want.text = strings.NewReplacer(" to \x00", " to "+host(s), "\x00", "H").Replace(test.want.text)
			test.want.check(t, err)
		})
	}
}

func TestLongComplaint(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, strings.Repeat("long ", 1<<20))
	})
	_, err := request(t, arguments{"url": s.URL})
	fault, ok := errors.AsType[*gathering.Error](err)
	if !ok || len(fault.Message) > 400 || !strings.HasSuffix(fault.Message, " …") {
		t.Errorf("got %v, want it shortened", err)
	}
}

// TestComplaintCutWithinAKey holds that nothing is left of a key within which an
// answer, or what is read of it, ends.
func TestComplaintCutWithinAKey(t *testing.T) {
	t.Parallel()
	const key = "s3cr3t-k3y"
	for name, test := range map[string]struct{ length, body string }{
		"over the bound":     {"", "Not with" + strings.Repeat(" ", 8<<10-13) + key},
		"broken off":         {"1000", "Not with s3cr3t"},
		"broken off, in two": {"1000", "Not with " + key + " s3cr"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				if test.length != "" {
					w.Header().Set("Content-Length", test.length)
				}
				w.WriteHeader(http.StatusBadRequest)
				io.WriteString(w, test.body)
			})
			_, err := request(t, arguments{"url": s.URL, "headers": arguments{"Authorization": "Bearer " + key}})
			if err == nil || strings.Contains(err.Error(), "s3") || !strings.Contains(err.Error(), ": Not") {
				t.Errorf("got %v, want the beginning without the key", err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		value  string
		want   time.Duration
	}{
		"too often":      {429, "7", 7 * time.Second},
		"overloaded":     {503, "0.5", 500 * time.Millisecond},
		"unsaid":         {503, "", 0},
		"of no interest": {404, "7", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", test.value)
				w.WriteHeader(test.status)
			})
			_, err := request(t, arguments{"url": s.URL})
			if got := gathering.RetryAfter(err); err == nil || got != test.want {
				t.Errorf("got %s with %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestExpectStatus(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	if a, err := request(t, arguments{"url": s.URL + "/missing", "expect_status": []int{200, 404}}); err != nil || a.Status != 404 {
		t.Errorf("got %d, %v, want 404", a.Status, err)
	}
	_, err := request(t, arguments{"method": "POST", "url": s.URL, "expect_status": []int{201}})
	want{kind: gathering.KindInvalid, text: "POST to " + host(s) + " was answered 202 Accepted"}.check(t, err)
}

// TestBrokenOff is every way in which an answer does not come, for a call that
// may be repeated and one that may not.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	say := func(text string) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			return raw(t, func(conn net.Conn) { io.WriteString(conn, text) })
		}
	}
	silent := func(t *testing.T) string {
		t.Helper()
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		return host(s)
	}
	dribbling := func(t *testing.T) string {
		t.Helper()
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "a")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		return host(s)
	}
	const brokeOff, late = " broke off before its answer was complete", " did not answer within 500ms"
	for name, test := range map[string]struct {
		server  func(*testing.T) string
		timeout string
		text    string
		sent    bool
	}{
		"nobody listens":       {closed, "1m", " cannot be reached", false},
		"hangs up at once":     {say(""), "1m", brokeOff, true},
		"cut in the header":    {say("HTTP/1.1 200 OK\r\nContent-"), "1m", brokeOff, true},
		"cut in the body":      {say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), "1m", brokeOff, true},
		"cut in a chunk":       {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "1m", brokeOff, true},
		"another protocol":     {say("SSH-2.0-OpenSSH_9.2\r\n"), "1m", brokeOff, true},
		"a header too large":   {say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n"), "1m", brokeOff, true},
		"says nothing":         {silent, "500ms", late, true},
		"does not come to end": {dribbling, "500ms", late, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			yes, no := true, false
			for _, call := range []struct {
				method     string
				declared   *bool
				repeatable bool
			}{
				{"GET", nil, true},
				{"PUT", nil, true},
				{"DELETE", nil, true},
				{"POST", nil, false},
				{"PATCH", nil, false},
				{"POST", &yes, true},
				{"PUT", &no, false},
			} {
				if test.text == late && call.method != http.MethodGet && call.method != http.MethodPost {
					continue // each costs its time
				}
				t.Run(fmt.Sprintf("%s repeatable %t", call.method, call.repeatable), func(t *testing.T) {
					t.Parallel()
					server := test.server(t)
					_, err := requestAs(t, requester(t), tool.Call{Key: "k", Idempotent: call.declared},
						arguments{"method": call.method, "url": "http://" + server + "/?key=s3cr3t", "timeout": test.timeout})
					w := want{kind: gathering.KindUnavailable, text: server + test.text}
					if test.sent && call.repeatable {
						w.code = gathering.CodeUnanswered
					}
					if test.sent && !call.repeatable {
						w = want{gathering.KindConflict, unknown, call.method + " to " + server + " may have acted and nobody can tell: " + w.text}
					}
					w.check(t, err)
					if strings.Contains(err.Error(), "s3cr3t") {
						t.Errorf("the log learns the query: %v", err)
					}
				})
			}
		})
	}
}

// TestEndedFromOutside holds that the error is that of the context, whose
// owner knows what it means for a call that was under way.
func TestEndedFromOutside(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST"} {
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		_, err := requestIn(t, ctx, requester(t), tool.Call{}, arguments{"method": method, "url": s.URL})
		if !errors.Is(err, context.Canceled) || gathering.KindOf(err) != gathering.KindCancelled {
			t.Errorf("%s: got %v, want it cancelled", method, err)
		}
	}
}

// TestEndedBeforeItWasSent holds that a call which never had a connection says
// that it has not acted.
func TestEndedBeforeItWasSent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was called") })
	_, err := requestIn(t, ctx, requester(t), tool.Call{}, arguments{"method": "POST", "url": s.URL})
	if gathering.CodeOf(err) != gathering.CodeNotSent || gathering.KindOf(err) != gathering.KindCancelled {
		t.Errorf("got %v, want it cancelled and not sent", err)
	}
}

// TestMadeOnce holds that nothing is sent again, also where the connection of
// an earlier call could have been used.
func TestMadeOnce(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		if requests.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
	})
	made := requester(t)
	for range 2 {
		requestAs(t, made, tool.Call{Key: "k"}, arguments{"method": "POST", "url": s.URL, "body": 1})
	}
	if got := requests.Load(); got != 2 {
		t.Errorf("the server saw %d requests, want 2", got)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	other := serve(t, mirror)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/abroad": other.URL + "/end?key=1", "/gone": "/404", "/inside": "http://127.0.0.2/", "/loop": "/loop"}[r.URL.Path]
		switch {
		case r.URL.Path == "/404":
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPost && r.URL.Query().Has("keep"):
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		default:
			http.Redirect(w, r, to, http.StatusSeeOther)
		}
	})
	const inside = "127.0.0.2 is in a private or special network; outgoing calls reach it only if GATHERING_ALLOW_PRIVATE_NETWORKS lists its network"
	maybe := "POST to " + host(s) + " may have acted and nobody can tell: "
	for name, test := range map[string]struct {
		with arguments
		want want
	}{
		"GET inside":   {arguments{"url": s.URL + "/inside"}, want{kind: gathering.KindForbidden, text: inside}},
		"GET gone":     {arguments{"url": s.URL + "/gone"}, want{kind: gathering.KindInvalid, text: "GET to " + host(s) + " was answered 404 Not Found"}},
		"GET in loops": {arguments{"url": s.URL + "/loop"}, want{kind: gathering.KindInvalid, text: host(s) + " redirects more than 10 times"}},
		"POST inside":  {arguments{"method": "POST", "url": s.URL + "/inside"}, want{gathering.KindConflict, unknown, maybe + inside}},
		"POST gone":    {arguments{"method": "POST", "url": s.URL + "/gone"}, want{gathering.KindConflict, unknown, maybe + "POST to " + host(s) + " was answered 404 Not Found"}},
		"POST kept": {
			arguments{"method": "POST", "url": s.URL + "/abroad?keep=1"},
			want{kind: gathering.KindInvalid, text: "POST to " + host(s) + " was answered 307 Temporary Redirect, which is not followed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := request(t, test.with)
			test.want.check(t, err)
		})
	}
	for _, method := range []string{"GET", "POST"} {
		a, err := request(t, arguments{"method": method, "url": s.URL + "/abroad", "headers": arguments{"Authorization": "s3cr3t", "X-Key": "s3cr3t"}})
		if err != nil || a.URL != other.URL+"/end" || strings.Contains(string(a.Body), "s3cr3t") || !strings.Contains(string(a.Body), `"method":"GET"`) {
			t.Errorf("%s: got %s from %s, %v", method, a.Body, a.URL, err)
		}
		a, err = request(t, arguments{"method": method, "url": s.URL + "/abroad", "follow_redirects": false})
		if err != nil || a.Status != http.StatusSeeOther || a.Headers["location"] != other.URL+"/end?key=1" {
			t.Errorf("%s not followed: got %d %v, %v", method, a.Status, a.Headers, err)
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(mirror))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.StartTLS()
	t.Cleanup(s.Close)
	_, err := request(t, arguments{"method": "POST", "url": s.URL})
	name := strings.TrimPrefix(s.URL, "https://")
	want{kind: gathering.KindInvalid, text: "the certificate of " + name + " is not to be trusted"}.check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	made := requesterTo(t, safedial.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, RootCAs: roots})
	for _, method := range []string{"GET", "POST"} {
		if a, err := requestAs(t, made, tool.Call{}, arguments{"method": method, "url": s.URL}); err != nil || a.Status != 200 {
			t.Errorf("%s: got %d, %v", method, a.Status, err)
		}
	}
}

func TestUnknownName(t *testing.T) {
	t.Parallel()
	broken := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}}
	made := requesterTo(t, safedial.Options{Resolver: broken})
	_, err := requestAs(t, made, tool.Call{}, arguments{"method": "POST", "url": "http://nowhere.example/"})
	if gathering.KindOf(err) != gathering.KindUnavailable {
		t.Errorf("got %v, want it unavailable", err)
	}
}

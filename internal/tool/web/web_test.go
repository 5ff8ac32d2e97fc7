package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"gathering"
	"gathering/internal/safedial"
	"gathering/internal/tool"
	"gathering/internal/tool/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// requester is the tool as a node gets it, allowed to reach 127.0.0.1.
func requester(t *testing.T) tool.Tool {
	t.Helper()
	return requesterTo(t, safedial.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
}

func requesterTo(t *testing.T, network safedial.Options) tool.Tool {
	t.Helper()
	tools, err := web.All(web.Options{Network: network})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := tool.NewRegistry(tools...)
	if err != nil {
		t.Fatal(err)
	}
	made, ok := registry.Lookup("http.request")
	if !ok {
		t.Fatal("there is no http.request")
	}
	return made
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

type arguments map[string]any

// answer is what the tool returns.
type answer struct {
	Status  int               `json:"status"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	Base64  bool              `json:"base64"`
}

func request(t *testing.T, with arguments) (answer, error) {
	t.Helper()
	return requestAs(t, requester(t), tool.Call{Key: "run_1/ask/1"}, with)
}

func requestAs(t *testing.T, made tool.Tool, call tool.Call, with arguments) (answer, error) {
	t.Helper()
	return requestIn(t, t.Context(), made, call, with)
}

func requestIn(t *testing.T, ctx context.Context, made tool.Tool, call tool.Call, with arguments) (answer, error) { //nolint:revive // t comes first in tests
	t.Helper()
	var err error
	if call.Arguments, err = json.Marshal(with); err != nil {
		t.Fatal(err)
	}
	result, err := made.Call(ctx, call)
	if err != nil {
		return answer{}, err
	}
	var a answer
	if err := json.Unmarshal(result, &a); err != nil {
		t.Fatal(err)
	}
	return a, nil
}

// want is an error as whoever asked sees it.
type want struct {
	kind gathering.Kind
	code string
	text string
}

func (w want) check(t *testing.T, err error) {
	t.Helper()
	fault, ok := errors.AsType[*gathering.Error](err)
	if !ok {
		t.Errorf("got %v, want %s %s: %s", err, w.kind, w.code, w.text)
		return
	}
	if got := (want{fault.Kind, fault.Code, fault.Public()}); got != w {
		t.Errorf("got  %+v\nwant %+v", got, w)
	}
}

// raw is a server that reads a request and then does whatever talk does. It
// returns its address.
func raw(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				r.Body.Close()
				talk(conn)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

// closed is an address at which nobody listens and, until the test ends, nobody
// can: that of a connection's other end.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); listener.Close() })
	return conn.LocalAddr().String()
}

func host(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

// TestRepeatable holds that the method decides whether a call may be repeated,
// and that one which is not known yet does not.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string]bool{
		``:                                 true,
		`null`:                             true,
		`{}`:                               true,
		`{"url":"http://example.com"}`:     true,
		`{"method":"GET"}`:                 true,
		`{"method":"HEAD"}`:                true,
		`{"method":"PUT","body":[1]}`:      true,
		`{"method":"DELETE"}`:              true,
		`{"method":"POST"}`:                false,
		`{"method":"PATCH"}`:               false,
		`{"method":"get"}`:                 false,
		`{"method":"OPTIONS"}`:             false,
		`{"method":"${{ input.how }}"}`:    false,
		`{"method":7}`:                     false,
		`{"method":"GET"`:                  false,
		`"GET"`:                            false,
		`{"method":"GET","method":"POST"}`: false,
	} {
		if got := requester(t).Repeatable(json.RawMessage(arguments)); got != want {
			t.Errorf("%s: got %t, want %t", arguments, got, want)
		}
	}
}

func TestSpec(t *testing.T) {
	t.Parallel()
	spec := requester(t).Spec()
	if !spec.SideEffect || spec.Idempotent || spec.Timeout != 0 {
		t.Errorf("got %+v, want a side effect that may not come twice, without a timeout beside its own", spec)
	}
}

package safedial_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
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

	"go.uber.org/goleak"

	"gathering"
	"gathering/internal/safedial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// home is what tests allow: the loopback address of test servers.
func home() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }

func client(t *testing.T, o safedial.Options) *http.Client {
	t.Helper()
	c := safedial.NewClient(o)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func get(t *testing.T, c *http.Client, url string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, c, request)
}

func do(t *testing.T, c *http.Client, request *http.Request) (int, string, error) {
	t.Helper()
	response, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// counted is a server that counts the connections made to it.
type counted struct {
	*httptest.Server

	port        string
	connections atomic.Int32
}

func serve(t *testing.T, address string, handler http.HandlerFunc) *counted {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("no listener on %s: %v", address, err)
	}
	s := &counted{Server: httptest.NewUnstartedServer(handler)}
	s.Listener.Close()
	s.Listener = listener
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	if _, s.port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return s
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// wantForbidden checks that err is the refusal of a host and tells no more.
func wantForbidden(t *testing.T, err error, host string) {
	t.Helper()
	fault, ok := errors.AsType[*gathering.Error](err)
	if !ok || fault.Kind != gathering.KindForbidden {
		t.Errorf("%s: got %v, want it forbidden", host, err)
		return
	}
	want := host + " is in a private or special network; outgoing calls reach it only if GATHERING_ALLOW_PRIVATE_NETWORKS lists its network"
	if got := fault.Public(); got != want {
		t.Errorf("%s: got %q, want %q", host, got, want)
	}
}

func TestRefusedHosts(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0", hello)
	c := client(t, safedial.Options{})
	for written, host := range map[string]string{
		"127.0.0.1": "127.0.0.1", "127.1.2.3": "127.1.2.3", "0.0.0.0": "0.0.0.0", "169.254.169.254": "169.254.169.254",
		"10.0.0.1": "10.0.0.1", "172.16.0.1": "172.16.0.1", "192.168.1.1": "192.168.1.1", "100.64.0.1": "100.64.0.1",
		"198.18.0.1": "198.18.0.1", "224.0.0.1": "224.0.0.1", "255.255.255.255": "255.255.255.255",
		"[::]": "::", "[::1]": "::1", "[0:0:0:0:0:0:0:1]": "0:0:0:0:0:0:0:1", "[::127.0.0.1]": "::127.0.0.1",
		"[::ffff:127.0.0.1]": "::ffff:127.0.0.1", "[::ffff:7f00:1]": "::ffff:7f00:1", "[::ffff:169.254.169.254]": "::ffff:169.254.169.254",
		"[64:ff9b::127.0.0.1]": "64:ff9b::127.0.0.1", "[2002:7f00:1::]": "2002:7f00:1::", "[2001:0:7f00:1::]": "2001:0:7f00:1::",
		"[fe80::1%25lo]": "fe80::1%lo", "[::1%25lo]": "::1%lo", "[fd00:ec2::254]": "fd00:ec2::254", "[ff02::1]": "ff02::1",
		"localhost": "localhost", "LOCALHOST": "LOCALHOST",
		"１２７.０.０.１": "127.0.0.1", "①②⑦.0.0.1": "127.0.0.1", "127。0。0。1": "127.0.0.1",
	} {
		_, _, err := get(t, c, "http://"+written+":"+s.port+"/")
		wantForbidden(t, err, host)
	}
	if got := s.connections.Load(); got != 0 {
		t.Errorf("%d connections reached the server, want none", got)
	}
}

// TestNumbers holds that no resolver gets to read a number as an address.
func TestNumbers(t *testing.T) {
	t.Parallel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a number was looked up")
		return nil, errors.New("no")
	}}
	c := client(t, safedial.Options{Allow: home(), Resolver: resolver})
	for _, host := range []string{
		"2130706433", "0x7f000001", "0X7F.1", "017700000001", "0177.0.0.1", "0x7f.0.0.1", "127.1", "127.0.1", "127.0.0.1.",
		"127.0.0.0x1", "127.0.0.256", "1.2.3.4.5", "a.0x", "0",
	} {
		_, _, err := get(t, c, "http://"+host+"/")
		if gathering.KindOf(err) != gathering.KindForbidden {
			t.Errorf("%s: got %v, want it forbidden", host, err)
		}
	}
}

func TestAllowedHost(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0", hello)
	c := client(t, safedial.Options{Allow: home()})
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		status, body, err := get(t, c, "http://"+host+":"+s.port+"/")
		if err != nil || status != http.StatusOK || body != "hello" {
			t.Errorf("%s: got %d %q, %v", host, status, body, err)
		}
	}
	_, _, err := get(t, c, "http://127.0.0.2:"+s.port+"/")
	wantForbidden(t, err, "127.0.0.2")
}

// names is a name server that answers every question for an IPv4 address with
// the next of its addresses, the last over and over.
type names struct {
	addresses []netip.Addr
	asked     atomic.Int32
}

func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			conn.WriteTo(n.answer(buffer[:size]), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer writes the answer to a question (RFC 1035, section 4).
func (n *names) answer(query []byte) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	answer := append([]byte{}, query[:end+5]...)
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	if kind != 1 {
		return answer
	}
	i := min(int(n.asked.Add(1)), len(n.addresses)) - 1
	answer[7] = 1
	answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(answer, n.addresses[i].AsSlice()...)
}

// TestRebinding lets a name mean an allowed address when it is first looked up
// and another one afterwards.
func TestRebinding(t *testing.T) {
	t.Parallel()
	public := serve(t, "127.0.0.1:0", hello)
	private := serve(t, "127.0.0.2:"+public.port, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "secret") })
	n := &names{addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}}
	c := client(t, safedial.Options{Allow: home(), Resolver: n.resolver(t), OneShot: true})
	url := "http://rebound.example:" + public.port + "/"
	if _, body, err := get(t, c, url); err != nil || body != "hello" {
		t.Fatalf("got %q, %v", body, err)
	}
	_, body, err := get(t, c, url)
	wantForbidden(t, err, "rebound.example")
	if body != "" || private.connections.Load() != 0 {
		t.Errorf("the private server was reached and said %q", body)
	}
	if text := err.Error(); !strings.Contains(text, "127.0.0.2 is loopback") {
		t.Errorf("the log does not learn of the address: %s", text)
	}
}

// TestRedirectInside holds that each hop is judged by itself.
func TestRedirectInside(t *testing.T) {
	t.Parallel()
	inside := serve(t, "127.0.0.2:0", hello)
	outside := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusFound)
	})
	_, _, err := get(t, client(t, safedial.Options{Allow: home()}), outside.URL)
	wantForbidden(t, err, "127.0.0.2")
	if got := inside.connections.Load(); got != 0 {
		t.Errorf("%d connections reached the server inside", got)
	}
}

func TestNoProxy(t *testing.T) {
	t.Parallel()
	if safedial.NewTransport(safedial.Options{}).Proxy != nil {
		t.Error("a proxy would connect to whatever it is asked for")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		oneShot bool
		proto   string
	}{
		"kept":     {false, "HTTP/2.0"},
		"one shot": {true, "HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
			s.EnableHTTP2 = true
			s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
			s.StartTLS()
			t.Cleanup(s.Close)
			roots := x509.NewCertPool()
			roots.AddCert(s.Certificate())
			_, body, err := get(t, client(t, safedial.Options{Allow: home(), RootCAs: roots, OneShot: test.oneShot}), s.URL)
			if err != nil || body != test.proto {
				t.Errorf("got %q, %v, want %s", body, err, test.proto)
			}
			if _, _, err := get(t, client(t, safedial.Options{Allow: home()}), s.URL); err == nil {
				t.Error("a certificate of an unknown authority was taken")
			}
		})
	}
}

func TestOldTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.TLS = oldTLS()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	_, _, err := get(t, client(t, safedial.Options{Allow: home(), RootCAs: roots}), s.URL)
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("got %v, want TLS 1.1 refused", err)
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() }) // it accepts nobody, so nobody answers
	const short = 20 * time.Millisecond
	for name, test := range map[string]struct {
		scheme  string
		options safedial.Options
	}{
		"handshake": {"https://", safedial.Options{TLSTimeout: short}},
		"header":    {"http://", safedial.Options{HeaderTimeout: short}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.options.Allow = home()
			_, _, err := get(t, client(t, test.options), test.scheme+listener.Addr().String())
			if late, ok := errors.AsType[net.Error](err); !ok || !late.Timeout() {
				t.Errorf("got %v, want a timeout", err)
			}
		})
	}
}

// TestOneShotSendsOnce holds that a request is not repeated on a new
// connection where the one kept for it turns out to be closed.
func TestOneShotSendsOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		oneShot bool
		want    int32
	}{
		"kept":     {false, 3},
		"one shot": {true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) {
				if requests.Add(1) == 2 {
					panic(http.ErrAbortHandler)
				}
				hello(w, nil)
			})
			c := client(t, safedial.Options{Allow: home(), OneShot: test.oneShot})
			for range 2 {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Idempotency-Key", "k")
				do(t, c, request)
			}
			if got := requests.Load(); got != test.want {
				t.Errorf("the server saw %d requests, want %d", got, test.want)
			}
		})
	}
}

package httpx_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/httpx"
)

// occurrence is an event as a reader gets it.
type occurrence struct{ ID, Event, Data string }

// read reads events by the rules of the HTML standard, 9.2.6, and returns the
// last time to wait that it was told, "" for none.
func read(stream []byte) (events []occurrence, retry string) {
	text := string(bytes.TrimPrefix(stream, []byte("\ufeff")))
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	var id, event, data string
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			break
		}
		if line == "" {
			if data != "" {
				events = append(events, occurrence{id, event, strings.TrimSuffix(data, "\n")})
			}
			event, data = "", ""
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "data":
			data += value + "\n"
		case "id":
			if !strings.Contains(value, "\x00") {
				id = value
			}
		case "retry":
			if value != "" && strings.Trim(value, "0123456789") == "" {
				retry = value
			}
		}
	}
	return events, retry
}

// recorder is a writer to memory that knows deadlines.
type recorder struct {
	*httptest.ResponseRecorder

	writes, flushes int
}

func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

func (r *recorder) Write(p []byte) (int, error) {
	r.writes++
	return r.ResponseRecorder.Write(p)
}

func (r *recorder) Flush() {
	r.flushes++
	r.ResponseRecorder.Flush()
}

func record(t *testing.T) (*httpx.Stream, *recorder) {
	t.Helper()
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	s, err := httpx.NewStream(w, httpx.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s, w
}

func TestStream(t *testing.T) {
	t.Parallel()
	s, w := record(t)
	if got, want := w.Body.String(), "retry: 2000\n\n"; got != want || w.flushes != 1 {
		t.Errorf("began with %q and %d flushes, want %q and 1", got, w.flushes, want)
	}
	want := http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-store"}, "X-Accel-Buffering": {"no"}}
	if diff := cmp.Diff(want, w.Header()); diff != "" || w.Code != http.StatusOK {
		t.Errorf("status %d, headers (-want +got):\n%s", w.Code, diff)
	}
	w.Body.Reset()

	if err := errors.Join(s.Send("1", "run.started", []byte(`{"a":1}`)), s.Send("", "", []byte("two\nlines\r\nand\rmore\n")), s.Send("3", "", nil)); err != nil {
		t.Fatal(err)
	}
	if w.Body.Len() > 0 {
		t.Errorf("%q was sent before its flush", w.Body)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Body.String(), "id: 1\nevent: run.started\ndata: {\"a\":1}\n\ndata: two\ndata: lines\ndata: and\ndata: more\ndata: \n\nid: 3\ndata: \n\n"; got != want || w.flushes != 2 || w.writes != 2 {
		t.Errorf("got %q by %d writes and %d flushes, want %q at once", got, w.writes-1, w.flushes-1, want)
	}
	if err := s.Flush(); err != nil || w.flushes != 2 {
		t.Errorf("%v: nothing was flushed once more", err)
	}
	w.Body.Reset()
	if err := s.Heartbeat(); err != nil || w.Body.String() != ":\n\n" {
		t.Errorf("%v: got %q, want a comment", err, w.Body)
	}
	w.Body.Reset()

	if err := errors.Join(s.Send("4", "", []byte("last")), s.Goodbye(`draining "now"`, 1500*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	events, retry := read(w.Body.Bytes())
	if diff := cmp.Diff([]occurrence{{"4", "", "last"}, {"4", "bye", `{"reason":"draining \"now\""}`}}, events); diff != "" || retry != "1500" {
		t.Errorf("retry %s, the end (-want +got):\n%s", retry, diff)
	}
	w.Body.Reset()
	for name, err := range map[string]error{"send": s.Send("", "", nil), "heartbeat": s.Heartbeat(), "flush": s.Flush(), "goodbye": s.Goodbye("", 0)} {
		if err == nil || w.Body.Len() > 0 {
			t.Errorf("%s after goodbye: %v, %q", name, err, w.Body)
		}
	}
}

func TestGoodbyeKeepsTheWait(t *testing.T) {
	t.Parallel()
	s, w := record(t)
	if err := s.Goodbye("done", 0); err != nil {
		t.Fatal(err)
	}
	if _, retry := read(w.Body.Bytes()); retry != "2000" {
		t.Errorf("retry %s, want as it was", retry)
	}
}

// TestMuchIsSentInPieces holds that what waits for a flush is bounded and that
// one long event is written piece by piece, each with its own time.
func TestMuchIsSentInPieces(t *testing.T) {
	t.Parallel()
	s, w := record(t)
	event := bytes.Repeat([]byte("x"), 1000)
	for w.writes == 1 {
		if err := s.Send("", "", event); err != nil {
			t.Fatal(err)
		}
	}
	if events, _ := read(w.Body.Bytes()); len(events) != 66 {
		t.Errorf("%d events were sent without a flush, want 66", len(events))
	}
	w.Body.Reset()
	w.writes = 0
	long := bytes.Repeat([]byte("y"), 1<<20)
	if err := s.Send("", "", long); err != nil {
		t.Fatal(err)
	}
	if events, _ := read(w.Body.Bytes()); w.writes != 17 || len(events) != 1 || events[0].Data != string(long) {
		t.Errorf("%d events by %d writes, want 1 by 17", len(events), w.writes)
	}
}

func TestNoStreamWithoutDeadlines(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if _, err := httpx.NewStream(w, httpx.StreamOptions{}); !errors.Is(err, http.ErrNotSupported) || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("got %v and %q, want it refused before it begins", err, w.Body)
	}
}

// FuzzStream holds that what is sent is what arrives, and nothing else.
func FuzzStream(f *testing.F) {
	f.Add("1", "run.started", []byte("x"))
	f.Add("1\nevent: evil", "a\r\ndata: b", []byte("x\n\nevent: evil\ndata: y\n\n"))
	f.Add("1", "a\ndata: b", []byte("x"))
	f.Add("1", "a\r", []byte("x"))
	f.Add("1\x00", "", []byte("\r\r\n\n\rid: 5\n"))
	f.Add(" 1", ": x", []byte(" x\n y:\n"))
	f.Add("", "", []byte("\xef\xbb\xbf\xff\u2028\u0085"))
	f.Fuzz(func(t *testing.T, id, event string, data []byte) {
		s, w := record(t)
		err := s.Send(id, event, data)
		broken := strings.ContainsAny(id+event, "\r\n\x00")
		if broken != (err != nil) {
			t.Fatalf("%q %q: got %v", id, event, err)
		}
		if err := errors.Join(s.Send("z", "end", []byte("end")), s.Flush()); err != nil {
			t.Fatal(err)
		}
		want := []occurrence{{"z", "end", "end"}}
		if !broken {
			text := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
			want = append([]occurrence{{id, event, text}}, want...)
		}
		if got, retry := read(w.Body.Bytes()); !cmp.Equal(want, got) || retry != "2000" {
			t.Errorf("got %q and retry %s, want %q", got, retry, want)
		}
	})
}

const get = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"

// TestHeartbeats holds that one is due when nothing was sent for 15 s.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		news := make(chan struct{})
		begun := time.Now()
		connect := serve(t, func(w http.ResponseWriter, r *http.Request) {
			s, err := httpx.NewStream(w, httpx.StreamOptions{})
			for err == nil {
				select {
				case <-r.Context().Done():
					return
				case <-news:
					_ = s.Send("", "", []byte("news"))
					err = s.Flush()
				case <-s.Due():
					err = s.Heartbeat()
				}
			}
			if gathering.KindOf(err) != gathering.KindCancelled {
				t.Errorf("got %v", err)
			}
		})
		c := connect()
		send(t, c, get)
		go func() {
			<-time.After(20 * time.Second)
			news <- struct{}{}
		}()
		var got []string
		for lines := bufio.NewReader(c); len(got) < 5; {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, ":") || strings.HasPrefix(line, "data") || strings.HasPrefix(line, "retry") {
				got = append(got, fmt.Sprint(time.Since(begun).Round(time.Millisecond), " ", strings.TrimSpace(line)))
			}
		}
		c.Close()
		if diff := cmp.Diff([]string{"0s retry: 2000", "15s :", "20s data: news", "35s :", "50s :"}, got); diff != "" {
			t.Errorf("arrived (-want +got):\n%s", diff)
		}
	})
}

// TestReaderThatStopsReading holds that it is found out within the write
// timeout, to the second, and that the connection ends with the handler.
func TestReaderThatStopsReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		connect := serve(t, func(w http.ResponseWriter, r *http.Request) {
			s, err := httpx.NewStream(w, httpx.StreamOptions{Heartbeat: time.Minute})
			for err == nil {
				select {
				case <-r.Context().Done():
					err = r.Context().Err()
				case <-s.Due():
					err = s.Heartbeat()
				}
			}
			ended <- err
		})
		c := connect()
		defer c.Close()
		send(t, c, get)
		begun, lines := time.Now(), bufio.NewReader(c)
		for line := ""; line != ":\n"; {
			var err error
			if line, err = lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		// It has seen one heartbeat, and reads no other.
		err := <-ended
		if took := time.Since(begun); took != 2*time.Minute+10*time.Second {
			t.Errorf("it was found out after %s, want 10 s after the second heartbeat", took)
		}
		if !errors.Is(err, httpx.ErrSlowReader) || gathering.KindOf(err) != gathering.KindCancelled {
			t.Errorf("got %v, want that the reader is too slow", err)
		}
		if _, took := ends(c); took != 0 {
			t.Errorf("the connection ended %s later, want at once", took)
		}
	})
}

// closedWindow asks a server and does not read the answer.
func closedWindow(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	send(t, c, get)
	return c
}

// pouring sends events for as long as it can.
func pouring(o httpx.StreamOptions, ended chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s, err := httpx.NewStream(w, o)
		for err == nil {
			err = s.Send("1", "flood", bytes.Repeat([]byte("x"), 10_000))
		}
		if again := s.Flush(); !errors.Is(again, err) {
			err = fmt.Errorf("flushed after %w", err)
		}
		ended <- err
	}
}

func TestClosedWindow(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	server := onTheWire(t, &journal{}, pouring(httpx.StreamOptions{WriteTimeout: 100 * time.Millisecond}, ended))
	closedWindow(t, server)
	if err := <-ended; !errors.Is(err, httpx.ErrSlowReader) || gathering.KindOf(err) != gathering.KindCancelled {
		t.Errorf("got %v, want that the reader is too slow", err)
	}
}

func TestReaderThatIsGone(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	server := onTheWire(t, &journal{}, pouring(httpx.StreamOptions{WriteTimeout: time.Minute}, ended))
	closedWindow(t, server).Close()
	if err := <-ended; errors.Is(err, httpx.ErrSlowReader) || gathering.KindOf(err) != gathering.KindCancelled {
		t.Errorf("got %v, want that the reader is gone", err)
	}
}

// TestStreamsOverHTTP2 holds the same of a reader that opens no window of its
// stream, and that a stream lives through long silence.
func TestStreamsOverHTTP2(t *testing.T) {
	t.Parallel()
	const limit = 100 * time.Millisecond
	ended := make(chan error, 2)
	mux := http.NewServeMux()
	mux.HandleFunc("/flood", pouring(httpx.StreamOptions{WriteTimeout: limit}, ended))
	mux.HandleFunc("/quiet", func(w http.ResponseWriter, r *http.Request) {
		s, err := httpx.NewStream(w, httpx.StreamOptions{WriteTimeout: limit, Heartbeat: 3 * limit})
		if err != nil {
			t.Error(err)
			return
		}
		select {
		case <-s.Due():
			ended <- s.Goodbye("done", 0)
		case <-r.Context().Done():
			ended <- r.Context().Err()
		}
	})
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpx.NewServer(mux, slog.New(slog.DiscardHandler))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	get := func(path string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if response.ProtoMajor != 2 {
			t.Fatalf("it speaks %s", response.Proto)
		}
		return response
	}
	flood := get("/flood")
	defer flood.Body.Close()
	if err := <-ended; !errors.Is(err, httpx.ErrSlowReader) {
		t.Errorf("got %v, want that the reader is too slow", err)
	}
	quiet := get("/quiet")
	defer quiet.Body.Close()
	body, err := io.ReadAll(quiet.Body)
	if events, _ := read(body); len(events) != 1 || err != nil {
		t.Errorf("got %q, %v, want a goodbye", body, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStuckHTTP2Connection holds that a stream ends whose whole connection
// takes nothing.
func TestStuckHTTP2Connection(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpx.NewServer(pouring(httpx.StreamOptions{WriteTimeout: 100 * time.Millisecond}, ended), slog.New(slog.DiscardHandler))
	if got, want := server.Config.HTTP2.WriteByteTimeout, 10*time.Second; got != want {
		t.Errorf("a connection may be stuck for %s, want %s", got, want)
	}
	server.Config.HTTP2.WriteByteTimeout = 200 * time.Millisecond
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.NextProtos = []string{"h2"}
	c, err := (&tls.Dialer{Config: trust}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Windows as large as they can be, and a request for /; nothing is read.
	send(t, c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
		"\x00\x00\x06\x04\x00\x00\x00\x00\x00"+"\x00\x04\x7f\xff\xff\xff"+
		"\x00\x00\x04\x08\x00\x00\x00\x00\x00"+"\x7f\xff\x00\x00"+
		"\x00\x00\x0e\x01\x05\x00\x00\x00\x01"+"\x82\x84\x87\x41\x09localhost")
	if err := <-ended; gathering.KindOf(err) != gathering.KindCancelled {
		t.Errorf("got %v, want that the stream was ended", err)
	}
}

func TestLastEventID(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		target string
		header []string
		want   string
		wrong  bool
	}{
		"new":               {"/", nil, "", false},
		"by header":         {"/", []string{"Last-Event-ID", "log1:42"}, "log1:42", false},
		"by query":          {"/?last_event_id=log1%3A42", nil, "log1:42", false},
		"header over query": {"/?last_event_id=1", []string{"Last-Event-ID", "2"}, "2", false},
		"longest":           {"/?last_event_id=" + strings.Repeat("x", 256), nil, strings.Repeat("x", 256), false},
		"too long":          {"/?last_event_id=" + strings.Repeat("x", 257), nil, "", true},
		"too long a header": {"/", []string{"Last-Event-ID", strings.Repeat("x", 257)}, "", true},
		"line break":        {"/?last_event_id=a%0Ab", nil, "", true},
		"carriage return":   {"/?last_event_id=a%0Db", nil, "", true},
		"NUL":               {"/?last_event_id=a%00b", nil, "", true},
		"no text":           {"/?last_event_id=%ff", nil, "", true},
	} {
		got, err := httpx.LastEventID(request("GET", test.target, direct, test.header...))
		if got != test.want || (err != nil) != test.wrong || err != nil && gathering.KindOf(err) != gathering.KindInvalid {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	s, err := httpx.NewStream(w, httpx.StreamOptions{})
	if err != nil {
		b.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 300)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Send("log1:42", "node.completed", data)
		w.Body.Reset()
	}
}

package httpx_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gathering"
	"gathering/internal/httpx"
)

// drip sends a byte every second for as long as the connection takes it.
func drip(t *testing.T, c net.Conn) {
	t.Helper()
	var done sync.WaitGroup
	done.Go(func() {
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			<-time.After(time.Second)
		}
	})
	t.Cleanup(func() {
		c.Close()
		done.Wait()
	})
}

func TestSlowHeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request without an end was served") })()
		defer c.Close()
		send(t, c, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
		drip(t, c)
		if text, took := ends(c); took != 5*time.Second || text != "" {
			t.Errorf("the connection ended after %s with %q, want 5 s", took, text)
		}
	})
}

func TestSilentConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		connect := serve(t, func(http.ResponseWriter, *http.Request) {})
		c := connect()
		defer c.Close()
		if _, took := ends(c); took != 5*time.Second {
			t.Errorf("a connection on which nothing came ended after %s, want 5 s", took)
		}
		c = connect()
		defer c.Close()
		send(t, c, get)
		if text, took := ends(c); took != 2*time.Minute || !strings.HasPrefix(text, "HTTP/1.1 200") {
			t.Errorf("an idle connection ended after %s with %q, want 2 min", took, text)
		}
	})
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun, ended := time.Now(), make(chan time.Duration, 1)
		c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want that it took too long", err)
			}
			ended <- time.Since(begun)
		})()
		defer c.Close()
		send(t, c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
		drip(t, c)
		go io.Copy(io.Discard, c)
		if took := <-ended; took != 30*time.Second {
			t.Errorf("the body was given up after %s, want 30 s", took)
		}
	})
}

// TestBodyThatNobodyReads holds that what the server reads of it afterwards is
// bounded too.
func TestBodyThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })()
		defer c.Close()
		send(t, c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
		drip(t, c)
		if text, took := ends(c); took > 31*time.Second || !strings.HasPrefix(text, "HTTP/1.1 418") {
			t.Errorf("the connection ended after %s with %q, want 30 s", took, text)
		}
	})
}

// TestHandlersMayTakeTheirTime holds that a client which waits for a long time
// gets its answer, and is not taken for one that is gone.
func TestHandlersMayTakeTheirTime(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]string{
		"no body":        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"empty":          "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
		"a body":         "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
		"a chunked body": "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				c := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.ReadAll(r.Body); err != nil {
						t.Error(err)
					}
					select {
					case <-time.After(5 * time.Minute):
					case <-r.Context().Done():
						t.Errorf("the client is taken for gone after %s", time.Since(begun))
					}
					_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
				})()
				defer c.Close()
				send(t, c, sent)
				response, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if body, err := io.ReadAll(response.Body); len(body) != 100_000 || err != nil || time.Since(begun) != 5*time.Minute {
					t.Errorf("got %d bytes, %v after %s", len(body), err, time.Since(begun))
				}
			})
		})
	}
}

// TestClientThatLeaves holds that handlers hear of it.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan struct{})
		c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			<-r.Context().Done()
			close(heard)
		})()
		send(t, c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
		<-time.After(time.Minute)
		c.Close()
		<-heard
	})
}

// TestAnswersThatNobodyTakes holds that they are given up a minute after they
// began, or after the handler where the server held all of them back.
func TestAnswersThatNobodyTakes(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter){
		"long":    func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat("x", 100_000)) },
		"short":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
		"empty":   func(http.ResponseWriter) {},
		"flushed": func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"panic": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, strings.Repeat("x", 3000))
			panic(http.ErrAbortHandler)
		},
		"lifted": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				connect := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					<-time.After(5 * time.Minute)
					answer(w)
				})
				c := connect()
				defer c.Close()
				send(t, c, get)
				<-time.After(6*time.Minute + time.Second)
				synctest.Wait()
				if _, err := io.WriteString(c, "x"); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("got %v, want the connection closed", err)
				}
			})
		})
	}
}

// TestLongAnswers holds that a handler can take more time than a minute.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				if _, err := io.WriteString(w, strings.Repeat("x", 10_000)); err != nil {
					t.Error(err)
					return
				}
				_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
				<-time.After(30 * time.Second)
			}
		})()
		defer c.Close()
		send(t, c, get)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); len(body) != 200_000 || err != nil {
			t.Errorf("got %d bytes, %v", len(body), err)
		}
	})
}

func TestLongHeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		connect := serve(t, func(http.ResponseWriter, *http.Request) {})
		for size, want := range map[int]string{30 << 10: "HTTP/1.1 200", 40 << 10: "HTTP/1.1 431"} {
			c := connect()
			go io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: "+strings.Repeat("x", size)+"\r\n\r\n")
			if text, _ := ends(c); !strings.HasPrefix(text, want) {
				t.Errorf("%d bytes: got %.40q, want %s", size, text, want)
			}
			c.Close()
		}
	})
}

// TestEveryRequestIsAsked holds that the server answers none by itself.
func TestEveryRequestIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })()
		defer c.Close()
		send(t, c, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if text, _ := ends(c); !strings.HasPrefix(text, "HTTP/1.1 418") {
			t.Errorf("got %q", text)
		}
	})
}

// TestLongBodiesAreAnswered holds that who sends more than a handler reads gets
// its answer, not a connection that breaks.
func TestLongBodiesAreAnswered(t *testing.T) {
	t.Parallel()
	server := onTheWire(t, &journal{}, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1000)); err != nil {
			httpx.WriteProblem(w, r, gathering.NewError(gathering.KindTooLarge, "x").WithCause(err))
		}
	})
	for name, body := range map[string]io.Reader{
		"of a known length": strings.NewReader(strings.Repeat("x", 5<<20)),
		"chunked":           struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 5<<20))},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d, want 413", name, response.StatusCode)
		}
	}
}

func TestServerLog(t *testing.T) {
	t.Parallel()
	var logged journal
	httpx.NewServer(nil, logged.logger().With(slog.String("part", "http"))).ErrorLog.Print("odd")
	if line := logged.lines(t)[0]; line["level"] != "WARN" || line["msg"] != "odd" || line["part"] != "http" {
		t.Errorf("got %v", line)
	}
}

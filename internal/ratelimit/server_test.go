package ratelimit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// patience is for tests that want an answer of Redis, on a machine that may be
// busy with others.
const patience = 10 * time.Second

func TestMain(m *testing.M) {
	var said journal
	redis.SetLogger(&said)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if s, err := startRedis(); err == nil {
			s.stop()
		}
		if text := said.String(); text != "" {
			fmt.Fprintln(os.Stderr, "the Redis library wrote to standard error:", text)
			code = 1
		}
		os.Exit(code)
	}))
}

// startRedis starts the Redis that tests share, the first time.
var startRedis = sync.OnceValues(newServer)

// redisURL is the URL of a Redis that is there all the time.
func redisURL(tb testing.TB) string {
	tb.Helper()
	if url := os.Getenv("TEST_REDIS_URL"); url != "" {
		return url
	}
	s, err := startRedis()
	if err != nil {
		tb.Fatal(err)
	}
	return s.url()
}

// unique makes a key that no other test has, on a Redis that others may use.
func unique(key string) string { return key + rand.Text() }

// flaky is a Redis that a test stops and starts.
type flaky interface {
	url() string
	start() error
	stop()
}

// newFlaky returns a Redis of the test's own, which is running: a server, or
// where there need not be one a way to that which TEST_REDIS_URL names.
func newFlaky(t *testing.T) flaky {
	t.Helper()
	var (
		f   flaky
		err error
	)
	if url := os.Getenv("TEST_REDIS_URL"); url != "" {
		f, err = newDoor(url)
	} else {
		f, err = newServer()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	return f
}

// server is a Redis of this test binary's own, reached through a socket in its
// directory. It keeps nothing. It ends with the binary and its directory with
// it, even when the binary is killed: what watches over it then reads the end of
// its input.
type server struct {
	program, dir string
	watch        *exec.Cmd // nil while it is stopped
	hold         io.Closer
}

func newServer() (*server, error) {
	program, err := exec.LookPath("redis-server")
	if valkey, otherwise := exec.LookPath("valkey-server"); err != nil && otherwise == nil {
		program, err = valkey, nil
	}
	if err != nil {
		return nil, fmt.Errorf("start Redis for the tests (make deps installs it, TEST_REDIS_URL replaces it): %w", err)
	}
	dir, err := shortDir()
	if err != nil {
		return nil, err
	}
	s := &server{program: program, dir: dir}
	if err := s.start(); err != nil {
		s.stop()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return s, nil
}

// shortDir makes a directory. A socket's path may have 107 bytes, so a long
// TMPDIR is passed over.
func shortDir() (string, error) {
	tmp := os.TempDir()
	if len(tmp) > 40 {
		tmp = "/tmp"
	}
	return os.MkdirTemp(tmp, "gathering-redis-")
}

func (s *server) socket() string { return filepath.Join(s.dir, "socket") }
func (s *server) url() string    { return "unix://" + s.socket() }

func (s *server) start() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	watch := exec.Command("sh", "-c", `"$@" & cat >/dev/null; kill -9 $!; wait; rm -rf "$0"`, s.dir,
		s.program, "--port", "0", "--unixsocket", s.socket(), "--dir", s.dir, "--save", "", "--appendonly", "no")
	watch.Stdout, watch.Stderr = log, log
	hold, err := watch.StdinPipe()
	if err != nil {
		return err
	}
	if err := watch.Start(); err != nil {
		return err
	}
	s.watch, s.hold = watch, hold
	if err := answers(s.url()); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(text))
	}
	return nil
}

// answers waits until the Redis answers.
func answers(url string) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	dial := redis.NewDialer(options)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := dial(ctx, options.Network, options.Addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// stop kills the server.
func (s *server) stop() {
	if s.watch != nil {
		s.hold.Close()
		_ = s.watch.Wait() // says that the server was killed
		s.watch = nil
	}
	os.RemoveAll(s.dir)
}

// door is a way to a Redis that is elsewhere.
type door struct {
	options *redis.Options // of the Redis that is elsewhere
	dir     string

	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
	guests   sync.WaitGroup
}

func newDoor(url string) (*door, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	dir, err := shortDir()
	if err != nil {
		return nil, err
	}
	d := &door{options: options, dir: dir}
	return d, d.start()
}

func (d *door) url() string {
	return fmt.Sprintf("unix://%s:%s@%s?db=%d", d.options.Username, d.options.Password, filepath.Join(d.dir, "socket"), d.options.DB)
}

func (d *door) start() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	listener, err := net.Listen("unix", filepath.Join(d.dir, "socket"))
	if err != nil {
		return err
	}
	d.listener = listener
	d.guests.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			d.guests.Go(func() { d.lead(in) })
		}
	})
	return nil
}

func (d *door) lead(in net.Conn) {
	defer in.Close()
	out, err := redis.NewDialer(d.options)(context.Background(), d.options.Network, d.options.Addr)
	if err != nil {
		return
	}
	defer out.Close()
	d.mu.Lock()
	d.open = append(d.open, in, out)
	d.mu.Unlock()
	d.guests.Go(func() {
		defer in.Close()
		_, _ = io.Copy(in, out)
	})
	_, _ = io.Copy(out, in)
}

func (d *door) stop() {
	err := d.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return
	}
	d.mu.Lock()
	for _, conn := range d.open {
		conn.Close()
	}
	d.open = nil
	d.mu.Unlock()
	d.guests.Wait()
	os.RemoveAll(d.dir)
}

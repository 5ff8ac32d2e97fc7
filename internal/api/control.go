package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gathering"
)

// socketName is the control socket within a data directory.
const socketName = "control.sock"

// Control serves the routes on the control socket of a data directory. Close it.
type Control struct {
	server *http.Server
	path   string
	done   sync.WaitGroup
}

// ServeControl listens on DIR/control.sock, which this process's user alone
// may open. The caller holds the directory, so that a socket which is there
// already belongs to a process that died; it is replaced.
func ServeControl(dir string, services Services, logger *slog.Logger) (*Control, error) {
	listener, err := listen(dir)
	if err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the control socket cannot be made in the data directory").WithCause(err)
	}
	c := &Control{
		path: filepath.Join(dir, socketName),
		server: &http.Server{
			Handler:           NewHandler(services, logger),
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       30 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       time.Minute,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelError),
		},
	}
	c.done.Go(func() {
		if err := c.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the control socket is gone", slog.String("error", err.Error()))
		}
	})
	return c, nil
}

// controlDrain is how long requests under way may take when the socket closes.
const controlDrain = 2 * time.Second

// Close answers the requests under way and removes the socket. Give the
// directory back afterwards.
func (c *Control) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), controlDrain)
	defer cancel()
	err := os.Remove(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if shutdown := c.server.Shutdown(ctx); shutdown != nil {
		err = errors.Join(err, c.server.Close())
	}
	c.done.Wait()
	return err
}

// privatePrefix begins the names of the directories in which sockets are made.
const privatePrefix = ".control-"

// listen binds a socket in a directory of its own, which nobody else may
// enter, and moves it to its place once its rights are set. The move replaces
// what a process that died left there.
func listen(dir string) (net.Listener, error) {
	left, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), privatePrefix) { // of a process that died in here
			_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}
	private, err := os.MkdirTemp(dir, privatePrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	short, done, err := shorten(private)
	if err != nil {
		return nil, err
	}
	defer done()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, "s"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	socket := filepath.Join(private, "s")
	if err := errors.Join(os.Chmod(socket, 0o600), os.Rename(socket, filepath.Join(dir, socketName))); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// maxSocketPath is the longest path of a socket that every system takes, in
// bytes; its terminating zero is not counted.
const maxSocketPath = 103

// shorten returns another path of dir that is short enough for a socket in it:
// a link in the directory for temporary files. Call done after using it.
func shorten(dir string) (short string, done func(), err error) {
	if len(filepath.Join(dir, socketName)) <= maxSocketPath {
		return dir, func() {}, nil
	}
	tmp, err := os.MkdirTemp("", "gathering-")
	if err != nil {
		return "", nil, err
	}
	done = func() { _ = os.RemoveAll(tmp) }
	short = filepath.Join(tmp, "d")
	if err = os.Symlink(dir, short); err == nil && len(filepath.Join(short, socketName)) > maxSocketPath {
		err = fmt.Errorf("the path of %s is too long, and so is that of the directory for temporary files", socketName)
	}
	if err != nil {
		done()
		return "", nil, err
	}
	return short, done, nil
}

// Client speaks to the process that holds a data directory.
type Client struct{ dir string }

// NewClient returns a client of the process that holds dir, an absolute path.
func NewClient(dir string) *Client { return &Client{dir} }

func (c *Client) get(ctx context.Context, path string, answer any) error {
	return c.do(ctx, http.MethodGet, path, nil, answer)
}

// post sends a body, nil for none.
func (c *Client) post(ctx context.Context, path string, body, answer any) error {
	if body == nil {
		return c.do(ctx, http.MethodPost, path, nil, answer)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask the process that holds the directory: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, data, answer)
}

// maxAnswer bounds an answer in bytes.
const maxAnswer = maxValueBody

func (c *Client) do(ctx context.Context, method, path string, sent []byte, answer any) error {
	transport := &http.Transport{DialContext: c.dial}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, method, "http://control"+Prefix+path, bytes.NewReader(sent))
	if err != nil {
		return fmt.Errorf("ask the process that holds the directory: %w", err)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return gathering.NewError(gathering.KindUnavailable, "the process that holds the data directory cannot be reached").WithCause(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return gathering.NewError(gathering.KindUnavailable, "the process that holds the data directory broke off").WithCause(err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return readProblem(response.StatusCode, body)
	}
	if response.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("read the answer of the process that holds the directory: %w", err)
	}
	return nil
}

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	short, done, err := shorten(c.dir)
	if err != nil {
		return nil, err
	}
	defer done()
	return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(short, socketName))
}

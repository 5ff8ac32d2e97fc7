package remote

import (
	"context"
	"errors"
	"fmt"
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
	"gathering/internal/httpx"
)

// socketName is the control socket within a data directory.
const socketName = "control.sock"

// Control serves the routes on the control socket of a data directory. Close it.
type Control struct {
	server *http.Server
	path   string
	done   sync.WaitGroup
}

// ServeControl serves a handler, [api.API.Local], on DIR/control.sock, which this
// process's user alone may open. The caller holds the directory, so that a socket which is there
// already belongs to a process that died; it is replaced.
func ServeControl(dir string, handler http.Handler, logger *slog.Logger) (*Control, error) {
	listener, err := listen(dir)
	if err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the control socket cannot be made in the data directory").WithCause(err)
	}
	c := &Control{
		path:   filepath.Join(dir, socketName),
		server: httpx.NewServer(handler, logger),
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

// Package serve runs the service: it opens the database, lets people and
// programs in, works on runs, and ends so that nothing accepted is lost.
//
// When it is told to end it says so at /readyz at once and takes no more runs.
// What is under way, requests and nodes, has [Options.Drain] to end by itself;
// requests are answered until the last node has, and what has not ended by then
// is stopped and let go of, for another instance or the next start. Told a
// second time it waits for nothing any more.
package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	neturl "net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/httpx"
	"gathering/internal/remote"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/web"
)

// Options say how the service is. The zero value of a field means the default
// named.
type Options struct {
	App    app.Options
	Front  app.FrontOptions
	Worker run.WorkerOptions
	Addr   string // to listen on, as 127.0.0.1:8080; the next free port if that one is taken and Other is set
	Other  bool
	Names  string // by which it may be asked, separated by commas; see [httpx.ParseHosts]
	// Certificate and Key are the files of TLS; none is plain HTTP.
	Certificate, Key string
	// Drain is how long requests and nodes may take to end; 30 s.
	Drain time.Duration
	// Signals tell the service to end.
	Signals <-chan os.Signal
	// Say tells people something on a line. Nil tells nobody.
	Say func(format string, args ...any)
	// Page is the one of the dashboard that people are led to, as "/runs/run_1".
	Page string
	// Ready is called once the service answers, with its URL. Nil calls nobody.
	Ready func(url string)
}

// service is what runs.
type service struct {
	Options

	app      *app.App
	front    *app.Front
	worker   *run.Worker
	control  *remote.Control
	tls      *tls.Config // nil is plain HTTP
	server   *http.Server
	hangUp   context.CancelFunc // ends the contexts of requests
	listener net.Listener
	serving  sync.WaitGroup
	failed   chan error
	ending   atomic.Bool
}

// Run runs the service until it is told to end, or cannot go on. Being told is
// no error, whatever had to be broken off for it.
func Run(ctx context.Context, o Options) (err error) {
	s := &service{Options: o.withDefaults(), failed: make(chan error, 1)}
	told, err := s.opened(ctx)
	if s.app != nil {
		defer func() { err = errors.Join(err, s.app.Close()) }()
	}
	if s.server == nil {
		return errors.Join(err, s.close(ctx))
	}
	if !told {
		select {
		case err = <-s.failed:
		case signal := <-o.Signals:
			s.told(signal)
		case <-ctx.Done():
		}
	}
	return errors.Join(err, s.end(context.WithoutCancel(ctx)))
}

func (o Options) withDefaults() Options {
	o.Drain = cmp.Or(o.Drain, 30*time.Second)
	if o.App.Logger == nil {
		o.App.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	return o
}

// opened opens everything, and reports whether it was told to end meanwhile.
// What was not opened by then is not.
func (s *service) opened(ctx context.Context) (told bool, err error) {
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.open(opening) }()
	select {
	case err = <-done:
		return false, err
	case signal := <-s.Signals:
		s.told(signal)
	}
	cancel()
	if err = <-done; errors.Is(err, context.Canceled) || gathering.KindOf(err) == gathering.KindCancelled {
		err = nil
	}
	return true, err
}

func (s *service) logger() *slog.Logger { return s.App.Logger }

func (s *service) told(signal os.Signal) {
	s.logger().Info("told to end", slog.String("signal", signal.String()))
}

// open opens the database and the doors, the one for the network last.
func (s *service) open(ctx context.Context) (err error) {
	if s.tls, err = s.certificate(); err != nil {
		return err
	}
	if at := s.Front.Path; at != "" && (path.Clean(at) != at || at[0] != '/' || strings.Trim(at, pathLetters) != "" || len(at) == 1) {
		return gathering.NewError(gathering.KindInvalid, "the path of the service cannot be used").
			WithFields(gathering.FieldError{Field: "path", Problem: "must be as /gathering: letters, digits, _, - and . between slashes, and none at its end"})
	}
	if s.app, err = app.Open(ctx, s.App); err != nil {
		return err
	}
	s.Front.Ready = func(context.Context) error {
		if s.ending.Load() {
			return gathering.NewError(gathering.KindUnavailable, "the service is ending")
		}
		return nil
	}
	hosts, err := s.listen(ctx)
	if err != nil {
		return err
	}
	if s.Front.Hosts == nil {
		s.Front.Hosts = hosts
	}
	if s.front, err = s.app.OpenFront(ctx, s.Front); err != nil {
		return err
	}
	if err := s.front.Administrator(ctx); err != nil {
		return err
	}
	code, err := s.setup(ctx)
	if err != nil {
		return err
	}
	lasting := context.WithoutCancel(ctx) // beyond the opening
	s.front.Start(lasting)
	if s.app.DB.Dialect().Database == store.SQLite {
		if s.control, err = remote.ServeControl(s.app.Data, s.front.API.Local(), s.logger()); err != nil {
			return err
		}
	}
	if s.worker, err = s.app.Runs.Work(ctx, s.Worker); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.serve(lasting, code)
	return nil
}

// pathLetters are what the path of the service is made of.
const pathLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./"

// certificate reads what TLS takes, or nothing for plain HTTP.
func (s *service) certificate() (*tls.Config, error) {
	switch {
	case s.Certificate == "" && s.Key == "":
		return nil, nil //nolint:nilnil // there is none
	case s.Certificate == "" || s.Key == "":
		return nil, gathering.NewError(gathering.KindInvalid, "a certificate and its key go together: give both, or none")
	}
	pair, err := tls.LoadX509KeyPair(s.Certificate, s.Key)
	if err != nil {
		return nil, gathering.NewError(gathering.KindInvalid, "the certificate %s and its key %s cannot be used: %v", s.Certificate, s.Key, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

// setup returns the code by which the first administrator is made, "" where
// there is one. Nobody but this machine may reach a service that has none.
func (s *service) setup(ctx context.Context) (string, error) {
	there, err := s.front.Auth.Administrators(ctx)
	if err != nil || there {
		return "", err
	}
	if !s.address().Addr().Unmap().IsLoopback() {
		return "", gathering.NewError(gathering.KindConflict,
			"there is no administrator yet, and %s can be reached from elsewhere: set GATHERING_ADMIN_EMAIL and GATHERING_ADMIN_PASSWORD, "+
				"use gathering user add, or listen on 127.0.0.1 until there is one", s.listener.Addr())
	}
	return s.front.Auth.SetupCode(), nil
}

func (s *service) address() netip.AddrPort {
	tcp, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return tcp.AddrPort()
}

// listen takes the address, and returns by which names it may be asked.
func (s *service) listen(ctx context.Context) (*httpx.Hosts, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.Addr)
	for next := s.Addr; s.Other && errors.Is(err, syscall.EADDRINUSE) && next != ""; {
		if next = following(next); next != "" {
			listener, err = config.Listen(ctx, "tcp", next)
		}
	}
	if err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the address %s cannot be listened on: %s; choose another one", s.Addr, reason(err)).WithCause(err)
	}
	s.listener = listener
	hosts, err := httpx.ParseHosts(s.Names, s.address().Addr())
	return &hosts, err
}

// following is an address with the next port; "" is none.
func following(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == math.MaxUint16 {
		return ""
	}
	return net.JoinHostPort(host, strconv.FormatUint(number+1, 10))
}

// reason is why an address cannot be listened on.
func reason(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	if wrong, ok := errors.AsType[*net.OpError](err); ok && wrong.Err != nil {
		return wrong.Err.Error()
	}
	return err.Error()
}

// serve answers requests.
func (s *service) serve(ctx context.Context, code string) {
	requests, hangUp := context.WithCancel(ctx)
	s.hangUp = hangUp
	s.server = httpx.NewServer(s.retiring(s.front.API.Public()), s.logger())
	s.server.BaseContext = func(net.Listener) context.Context { return requests }
	s.server.TLSConfig = s.tls
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	s.serving.Go(func() {
		var err error
		if s.tls != nil {
			err = s.server.ServeTLS(s.listener, "", "")
		} else {
			err = s.server.Serve(s.listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve: %w", err)
		}
	})
	url := scheme + "://" + s.listener.Addr().String()
	s.Say("listening on %s", url)
	switch {
	case code != "":
		s.Say("there is no administrator yet; the set-up code is %s:", code)
		if web.Built() {
			s.Say("  open %s%s/set-up?next=%s#%s or type", url, s.Front.Path, neturl.QueryEscape(cmp.Or(s.Page, "/")), code)
		}
		s.Say(`  curl -H 'Content-Type: application/json' %s/api/v1/setup -d '{"code": "%s", "email": "you@example.com", "password": "…"}'`, url, code)
	case s.Page != "" && web.Built():
		s.Say("  open %s%s%s", url, s.Front.Path, s.Page)
	}
	if s.Ready != nil {
		s.Ready(url)
	}
}

// retiring has clients give up their connections one by one, with an answer,
// once the service ends: at its last moment none is under way that was idle.
func (s *service) retiring(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.ending.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

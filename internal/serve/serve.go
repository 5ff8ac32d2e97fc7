// Package serve runs the service: it opens the database, lets people and
// programs in, works on runs, and ends so that nothing accepted is lost.
//
// When it is told to end it says so at /readyz at once and takes no more runs.
// What is under way, requests and nodes, has [Options.Drain] to end by itself;
// what has not ended by then is stopped and let go of, for another instance or
// the next start. Told a second time it ends at once, as a crash does.
package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/app"
	"gathering/internal/httpx"
	"gathering/internal/run"
	"gathering/internal/store"
)

// Options say how the service is. The zero value of a field means the default
// named.
type Options struct {
	App    app.Options
	Front  app.FrontOptions
	Worker run.WorkerOptions
	Addr   string // to listen on, as 127.0.0.1:8080; another port if that one is taken and Other is set
	Other  bool
	Names  string // by which it may be asked, separated by commas; see [httpx.ParseHosts]
	// Certificate and Key are the files of TLS; none is plain HTTP.
	Certificate, Key string
	// Drain is how long requests and nodes may take to end; 30 s.
	Drain time.Duration
	// Signals tell the service to end.
	Signals <-chan os.Signal
	// Say tells people something on a line.
	Say func(format string, args ...any)
	// Ready is called once the service answers, with its URL. Nil calls nobody.
	Ready func(url string)
}

// service is what runs.
type service struct {
	Options

	app      *app.App
	front    *app.Front
	worker   *run.Worker
	control  *api.Control
	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup
	failed   chan error
	ending   atomic.Bool
}

// Run runs the service until it is told to end, or cannot go on.
func Run(ctx context.Context, o Options) (err error) {
	o.Drain = cmp.Or(o.Drain, 30*time.Second)
	s := &service{Options: o, failed: make(chan error, 1)}
	if s.app, err = app.Open(ctx, o.App); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.app.Close()) }()
	if err := s.open(ctx); err != nil {
		return errors.Join(err, s.close(ctx))
	}
	select {
	case err = <-s.failed:
	case signal := <-o.Signals:
		s.logger().InfoContext(ctx, "told to end", slog.String("signal", signal.String()))
	case <-ctx.Done():
	}
	return errors.Join(err, s.end(context.WithoutCancel(ctx)))
}

func (s *service) logger() *slog.Logger { return s.App.Logger }

// open opens the doors, the one for the network last.
func (s *service) open(ctx context.Context) error {
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
	s.front.Start(ctx)
	if s.app.DB.Dialect().Database == store.SQLite {
		if s.control, err = api.ServeControl(s.app.Data, s.front.API.Local(), s.logger()); err != nil {
			return err
		}
	}
	if s.worker, err = s.app.Runs.Work(ctx, s.Worker); err != nil {
		return err
	}
	return s.serve(code)
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
	if err != nil && s.Other {
		if host, _, split := net.SplitHostPort(s.Addr); split == nil {
			listener, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
		}
	}
	if err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the address %s cannot be listened on", s.Addr).WithCause(err)
	}
	s.listener = listener
	hosts, err := httpx.ParseHosts(s.Names, s.address().Addr())
	return &hosts, err
}

// serve answers requests.
func (s *service) serve(code string) error {
	s.server = httpx.NewServer(s.front.API.Public(), s.logger())
	scheme := "http"
	if s.Certificate != "" || s.Key != "" {
		pair, err := tls.LoadX509KeyPair(s.Certificate, s.Key)
		if err != nil {
			return gathering.NewError(gathering.KindInvalid, "the certificate and its key cannot be used").WithCause(err)
		}
		s.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
		scheme = "https"
	}
	s.serving.Go(func() {
		var err error
		if scheme == "https" {
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
	if code != "" {
		s.Say("there is no administrator yet; the set-up code is %s:", code)
		s.Say(`  curl -H 'Content-Type: application/json' %s/api/v1/setup -d '{"code": "%s", "email": "you@example.com", "password": "…"}'`, url, code)
	}
	if s.Ready != nil {
		s.Ready(url)
	}
	return nil
}

// end ends what is under way, and everything at once if it is told to again.
func (s *service) end(ctx context.Context) error {
	s.ending.Store(true)
	s.front.API.End()
	ctx, now := context.WithCancel(ctx)
	defer now()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-s.Signals:
			now()
		case <-done:
		}
	}()
	drain, cancel := context.WithTimeout(ctx, s.Drain)
	defer cancel()
	s.worker.Drain(drain)
	err := s.server.Shutdown(drain)
	if err != nil {
		s.logger().WarnContext(ctx, "requests were broken off", slog.String("error", err.Error()))
		err = s.server.Close()
	}
	return errors.Join(err, s.close(ctx))
}

// last is how long it may take to write what is left to write.
const last = 10 * time.Second

// close closes what is open.
func (s *service) close(ctx context.Context) error {
	var err error
	if s.server == nil && s.listener != nil {
		err = s.listener.Close()
	}
	s.serving.Wait()
	if s.control != nil {
		err = errors.Join(err, s.control.Close())
	}
	if s.worker != nil {
		s.worker.Stop()
	}
	if s.front != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
		defer cancel()
		err = errors.Join(err, s.front.Stop(ctx))
	}
	return err
}

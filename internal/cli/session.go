package cli

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/httpx"
	"gathering/internal/remote"
	"gathering/internal/run"
	"gathering/internal/store"
)

// session is an open database and, once work was called, a worker on it.
//
// Of a service elsewhere it is what that knows of runs.
type session struct {
	*app.App // nil where --server names a service

	book    book
	shell   *shell
	worker  *run.Worker
	control *remote.Control
	front   *app.Front // once somebody asked by the control socket

	elsewhere *remote.Client // nil where this is about the data directory
}

// service is who does here what this session does not: the service that
// --server names, or the process that holds the data directory.
func (x *session) service() *remote.Client {
	if x.elsewhere != nil {
		return x.elsewhere
	}
	return remote.NewClient(x.Data)
}

func (s *shell) appOptions() app.Options {
	return app.Options{
		Data: s.Data, Database: s.Database, Logger: s.logger, Lookup: s.Lookup,
		Command: strings.Join(append([]string{"gathering"}, s.command()...), " "),
	}
}

// command is the words of the command line up to the first flag, which may
// hold what others should not read.
func (s *shell) command() []string {
	for i, arg := range s.Args {
		if strings.HasPrefix(arg, "-") {
			return s.Args[:i]
		}
	}
	return s.Args
}

// open opens the database for writing. Close the session.
func (s *shell) open(ctx context.Context) (*session, error) {
	a, err := app.Open(ctx, s.appOptions())
	if err != nil {
		return nil, err
	}
	return s.sessionOf(a), nil
}

func (s *shell) sessionOf(a *app.App) *session {
	return &session{App: a, book: stored{a.Runs, a.Catalog}, shell: s}
}

// openToRead opens the database beside whoever holds it, or the service that
// --server names. Close the session.
func (s *shell) openToRead(ctx context.Context) (*session, error) {
	if s.Server != "" {
		client, err := remote.NewRemote(s.Server, s.Token)
		return &session{book: client, elsewhere: client, shell: s}, err
	}
	o := s.appOptions()
	o.ReadOnly = true
	a, err := app.Open(ctx, o)
	if gathering.KindOf(err) == gathering.KindNotFound {
		return nil, gathering.NewError(gathering.KindNotFound, "there is no database in %s; name another with --data", s.Data).WithCause(err)
	}
	if err != nil {
		return nil, err
	}
	return s.sessionOf(a), nil
}

// work begins to work on runs: on one and those it leads to, or with "" on all.
func (x *session) work(ctx context.Context, only gathering.RunID) error {
	if x.onSQLite() {
		control, err := x.serveControl(ctx)
		if err != nil {
			x.shell.logger.WarnContext(ctx, "other commands cannot steer this process", slog.String("error", err.Error()))
		}
		x.control = control
	}
	return x.workOn(ctx, only)
}

// serveControl has other commands steer this process. What that takes is put
// together when the first one asks.
func (x *session) serveControl(ctx context.Context) (*remote.Control, error) {
	opened := sync.OnceValues(func() (http.Handler, error) {
		front, err := x.OpenFront(context.WithoutCancel(ctx), app.FrontOptions{Version: x.shell.Version})
		if err != nil {
			return nil, err
		}
		x.front = front
		return front.API.Local(), nil
	})
	return remote.ServeControl(x.Data, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, err := opened()
		if err != nil {
			httpx.WriteProblem(w, r, err)
			return
		}
		handler.ServeHTTP(w, r)
	}), x.shell.logger)
}

// workOn begins to work on other runs than before.
func (x *session) workOn(ctx context.Context, only gathering.RunID) error {
	if x.worker != nil {
		x.worker.Stop()
		x.worker = nil
	}
	worker, err := x.Runs.Work(ctx, run.WorkerOptions{
		Only: only, Host: x.shell.Host, PID: x.shell.PID, Version: x.shell.Version, Beat: x.shell.Beat,
	})
	x.worker = worker
	return err
}

func (x *session) onSQLite() bool { return x.DB.Dialect().Database == store.SQLite }

// close stops the work, lets go of the runs that are left and closes the database.
func (x *session) close() error {
	if x.elsewhere != nil {
		return nil
	}
	var err error
	if x.control != nil {
		err = x.control.Close()
		x.control = nil
	}
	if x.worker != nil {
		x.worker.Stop()
		x.worker = nil
	}
	return errors.Join(err, x.seal(), x.Close())
}

// seal seals the audit trail, where nobody else does, and ends the front door.
func (x *session) seal() error {
	ctx, cancel := context.WithTimeout(context.Background(), sealing)
	defer cancel()
	switch {
	case x.front != nil:
		return x.front.Stop(ctx)
	case x.DB.ReadOnly(), !x.DB.Exclusive():
		return nil
	}
	return x.Seal(ctx)
}

// sealing is how long the end of a command may take to seal what it did.
const sealing = 10 * time.Second

// settled shows a run as it is: its row says that it is running until somebody
// notices that its owner died.
func (x *session) settled(ctx context.Context, r gathering.Run) (gathering.Run, error) {
	if r.Owner == "" || r.State.Terminal() || x.elsewhere != nil { // which knows who is alive
		return r, nil
	}
	orphaned, err := x.orphaned(ctx, r)
	if err == nil && orphaned {
		r.State, r.Owner = gathering.RunRecovering, ""
	}
	return r, err
}

func (x *session) orphaned(ctx context.Context, r gathering.Run) (bool, error) {
	if !x.onSQLite() {
		return x.Runs.Orphaned(ctx, r)
	}
	_, held, err := store.HolderOf(x.Data)
	return !held, err
}

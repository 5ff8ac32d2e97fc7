package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/cli/ask"
	"gathering/internal/httpx"
	"gathering/internal/ratelimit"
	"gathering/internal/remote"
	"gathering/internal/run"
	"gathering/internal/serve"
)

// commandLine is by whom things are done here.
const commandLine = gathering.CommandLine

// console is the command line as commands see it that ask a service.
type console struct{ shell *shell }

// asking are the commands that can ask a service elsewhere.
func asking() []string { return []string{"run", "runs", "user", "token", "audit", "breakers"} }

func asks(command string) bool { return slices.Contains(asking(), command) }

// Say implements [ask.Console].
func (c console) Say(format string, args ...any) { c.shell.say(format, args...) }

// Table implements [ask.Console].
func (c console) Table(heading string, rows [][]string) error { return c.shell.table(heading, rows) }

// Document implements [ask.Console].
func (c console) Document(document any) error { return writeDocument(c.shell.Stdout, document) }

// Secret implements [ask.Console]: it is the first line of standard input.
func (c console) Secret(what string) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(c.shell.Stdin, 4<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", gathering.NewError(gathering.KindInvalid, "the %s cannot be read from standard input", what).WithCause(err)
	}
	secret := strings.TrimRight(line, "\r\n")
	if secret == "" {
		return "", gathering.NewError(gathering.KindInvalid, "the %s is expected on standard input, as in: echo … | gathering …", what)
	}
	return secret, nil
}

// Service implements [ask.Console].
func (c console) Service(ctx context.Context, making ask.Making, use func(ctx context.Context, client *remote.Client) error) error {
	s := c.shell
	if s.Server != "" {
		client, err := remote.NewRemote(s.Server, s.Token)
		if err != nil {
			return err
		}
		ctx, stop := s.interruptible(ctx)
		defer stop()
		return interrupted(ctx, use(ctx, client))
	}
	return s.hereOrThere(ctx,
		func(ctx context.Context, s *shell) (err error) {
			// Looking first leaves a directory alone that has no database.
			if !making {
				if err := s.reading(ctx, func(context.Context, *session) error { return nil }); err != nil {
					return err
				}
			}
			x, err := s.open(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, x.close()) }()
			if x.front, err = x.OpenFront(ctx, app.FrontOptions{Version: s.Version}); err != nil {
				return err
			}
			return use(ctx, remote.NewLocal(x.front.API.Local()))
		},
		func(ctx context.Context, s *shell) error { return use(ctx, remote.NewClient(s.Data)) })
}

type serveCmd struct {
	Addr        string         `default:"127.0.0.1:8080" help:"Address to listen on."`
	TLSCert     string         `placeholder:"FILE" help:"Certificate of the service, PEM; without it, it speaks plain HTTP."`
	TLSKey      string         `placeholder:"FILE" help:"Key of the certificate, PEM."`
	Proxies     string         `placeholder:"CIDR,…" help:"Proxies that are believed when they say where a request comes from."`
	Path        string         `placeholder:"/PATH" help:"Where a proxy serves it, if not at the root of its host."`
	Hosts       string         `placeholder:"NAME,…" help:"Names by which the service may be asked. Default: any, or on a loopback address those of loopback."`
	Redis       string         `placeholder:"URL" help:"Share rate limits between instances: redis://…"`
	LimitSignIn ratelimit.Rate `default:"10/min" help:"How often somebody may try to sign in, from one network."`
	LimitWrite  ratelimit.Rate `default:"30/min" help:"How often a user may change something."`
	LimitRead   ratelimit.Rate `default:"120/min" help:"How often a user may read something."`
	LimitToken  ratelimit.Rate `default:"600/min" help:"How often an API token may ask anything."`
	Streams     int            `default:"4000" help:"How many streams of events may be open at a time."`
	StreamsEach int            `default:"200" help:"And how many of one user."`
	AuditKept   time.Duration  `default:"0s" help:"How long audit entries are kept; 0s is for ever."`
	Drain       time.Duration  `default:"30s" help:"How long requests and nodes may take to end once the service is told to."`
}

// Run runs the service.
func (c *serveCmd) Run(ctx context.Context, s *shell) error {
	proxies, err := httpx.ParseProxies(c.Proxies)
	if err != nil {
		return err
	}
	o := serve.Options{
		App: s.appOptions(), Addr: c.Addr, Certificate: c.TLSCert, Key: c.TLSKey, Drain: max(c.Drain, time.Nanosecond), Signals: s.Signals,
		Names: c.Hosts, Say: s.tell,
		Worker: run.WorkerOptions{Host: s.Host, PID: s.PID, Version: s.Version, Beat: s.Beat},
		Front: app.FrontOptions{
			Version: s.Version, Path: c.Path, Proxies: proxies, Redis: c.Redis, Retention: c.AuditKept, Streams: c.Streams, StreamsEach: c.StreamsEach,
			Limits: app.Limits{SignIn: c.LimitSignIn, Write: c.LimitWrite, Read: c.LimitRead, Token: c.LimitToken},
		},
	}
	return serve.Run(ctx, o)
}

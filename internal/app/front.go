package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/audit"
	"gathering/internal/auth"
	"gathering/internal/httpx"
	"gathering/internal/keyring"
	"gathering/internal/llm/stored"
	"gathering/internal/once"
	"gathering/internal/ratelimit"
	"gathering/internal/settings"
	"gathering/internal/watch"
	"gathering/internal/web"
)

// FrontOptions say how the front door is. The zero value of a field means the
// default named.
type FrontOptions struct {
	Version              string
	Limits               Limits
	Redis                string        // redis://… shares the counts of limits; "" counts here
	Proxies              httpx.Proxies // none
	Hosts                *httpx.Hosts  // any name
	Cost                 auth.Cost     // of checking a password
	Path                 string        // where a proxy serves it, as /gathering; the root
	Streams, StreamsEach int           // that may be open at a time, of all and of one user; 4000 and 200
	// Retention is how long audit entries are kept; 0 is for ever. It and the
	// limits hold until an administrator sets them.
	Retention time.Duration
	// Ready reports whether the service takes requests; nil is always.
	Ready func(ctx context.Context) error
}

// Limits are how often requests may come, by what they are for. Zero fields
// mean the default named.
type Limits struct {
	SignIn ratelimit.Rate // 10 a minute
	Write  ratelimit.Rate // 30 a minute
	Read   ratelimit.Rate // 120 a minute
	Token  ratelimit.Rate // of an API token, whatever it asks; 600 a minute
}

// Front is the front door of an [App]: who comes in, and what is written down
// of it.
type Front struct {
	API  *api.API
	Auth *auth.Service

	app       *App
	ring      *keyring.Ring
	sealer    *audit.Sealer
	repeats   *audit.Repeats
	limiter   *ratelimit.Limiter
	providers *stored.Store
	settings  *settings.Store
	stop      context.CancelFunc
	ended     sync.WaitGroup
}

// Ring opens the keys of the installation and holds them against those that
// the database was used with.
func (a *App) Ring(ctx context.Context) (*keyring.Ring, error) {
	var (
		ring *keyring.Ring
		err  error
	)
	if text, ok := a.options.Lookup(keyring.Variable); ok {
		ring, err = keyring.Parse(text)
	} else {
		ring, err = keyring.Open(a.Data, a.options.Now())
	}
	if err != nil {
		return nil, err
	}
	return ring, ring.Agree(ctx, a.DB)
}

func (a *App) storedProviders(ring *keyring.Ring) *stored.Store {
	return &stored.Store{
		DB: a.DB, Ring: ring, Models: a.Models, Lookup: a.options.Lookup, Now: a.options.Now, Logger: a.options.Logger,
	}
}

// useStored has models use stored providers, if there are any. Without the keys
// of the installation these cannot be used, and everything else can.
func (a *App) useStored(ctx context.Context) error {
	there, err := stored.Any(ctx, a.DB.Read())
	if err != nil || !there {
		return err
	}
	ring, err := a.Ring(ctx)
	if err != nil {
		a.options.Logger.WarnContext(ctx, "stored providers of models cannot be used", slog.String("error", err.Error()))
		return nil
	}
	return a.storedProviders(ring).Load(ctx)
}

// Seal seals what the audit trail holds that is not sealed.
func (a *App) Seal(ctx context.Context) error {
	pending, err := audit.Pending(ctx, a.DB.Read())
	if err != nil || !pending {
		return err
	}
	ring, err := a.Ring(ctx)
	if err != nil {
		return err
	}
	return a.sealer(ring, func() time.Duration { return 0 }).Seal(ctx)
}

func (a *App) sealer(ring *keyring.Ring, retention func() time.Duration) *audit.Sealer {
	return &audit.Sealer{
		DB: a.DB, Ring: ring, Anchor: audit.Anchor{Dir: a.Data}, Now: a.options.Now, Logger: a.options.Logger,
		Retention: func(context.Context) (time.Duration, error) { return retention(), nil },
	}
}

// OpenFront puts the front door together. Start it, and stop it before the app
// is closed.
func (a *App) OpenFront(ctx context.Context, o FrontOptions) (*Front, error) {
	ring, err := a.Ring(ctx)
	if err != nil {
		return nil, err
	}
	limiter, err := ratelimit.New(ratelimit.Options{Redis: o.Redis, Logger: a.options.Logger, Now: a.options.Now})
	if err != nil {
		return nil, err
	}
	f := &Front{app: a, ring: ring, limiter: limiter}
	f.repeats = &audit.Repeats{DB: a.DB, Now: a.options.Now, Logger: a.options.Logger}
	f.settings = &settings.Store{DB: a.DB, Now: a.options.Now, Logger: a.options.Logger, Started: settings.Settings{
		AuditKept: gathering.Duration(o.Retention), LimitSignIn: o.Limits.SignIn, LimitWrite: o.Limits.Write, LimitRead: o.Limits.Read, LimitToken: o.Limits.Token,
	}}
	if _, err := f.settings.Read(ctx); err != nil {
		limiter.Close()
		return nil, err
	}
	f.sealer = a.sealer(ring, func() time.Duration { return time.Duration(f.settings.Current().AuditKept) })
	f.Auth, err = auth.New(auth.Options{
		DB: a.DB, Ring: ring, Repeats: f.repeats, Logger: a.options.Logger, Now: a.options.Now, Cost: o.Cost,
	})
	if err != nil {
		limiter.Close()
		return nil, err
	}
	a.Projects.Changed = f.Auth.Forget
	pages, err := web.New(o.Path)
	if err != nil {
		limiter.Close()
		return nil, err
	}
	watching, err := watch.New(a.DB, a.Runs, a.Deltas)
	if err != nil {
		limiter.Close()
		return nil, err
	}
	f.providers = a.storedProviders(ring)
	if err := f.providers.Load(ctx); err != nil {
		limiter.Close()
		return nil, err
	}
	f.API = api.New(api.Options{
		DB: a.DB, Auth: f.Auth, Projects: a.Projects, Launcher: a.Launcher, Circuits: a.Circuits, Breakers: a.Breakers, Providers: f.providers,
		Repeats: f.repeats, Watch: watching, Ring: ring, Anchor: f.sealer.Anchor, Limiter: limiter, Settings: f.settings, Logger: a.options.Logger,
		Now: a.options.Now, Version: o.Version, Proxies: o.Proxies, Hosts: o.Hosts, Ready: o.Ready, Streams: o.Streams, StreamsEach: o.StreamsEach,
		Dashboard: pages, Path: o.Path,
	})
	return f, nil
}

// tidyPause is how often what is over is deleted.
const tidyPause = 10 * time.Minute

// Start begins to seal the audit trail and to delete what is over.
func (f *Front) Start(ctx context.Context) {
	ctx, f.stop = context.WithCancel(ctx)
	f.sealer.Start(ctx)
	f.repeats.Start(ctx)
	f.providers.Start(ctx)
	f.settings.Start(ctx)
	f.ended.Go(func() {
		tick := time.NewTicker(tidyPause)
		defer tick.Stop()
		for {
			f.tidy(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

func (f *Front) tidy(ctx context.Context) {
	err := errors.Join(f.Auth.Expire(ctx), once.Expire(ctx, f.app.DB, f.app.options.Now()))
	if err != nil && ctx.Err() == nil {
		f.app.options.Logger.WarnContext(ctx, "what is over was not deleted", slog.String("error", err.Error()))
	}
}

// Stop writes and seals what is left to be, and ends.
func (f *Front) Stop(ctx context.Context) error {
	if f.stop != nil {
		f.stop()
		f.ended.Wait()
		f.stop = nil
	}
	f.providers.Stop()
	f.settings.Stop()
	f.repeats.Stop(ctx)
	err := f.sealer.Stop(ctx)
	f.limiter.Close()
	return err
}

// Administrator makes the first administrator of what the environment says,
// unless there is one.
func (f *Front) Administrator(ctx context.Context) error {
	email, _ := f.app.options.Lookup("GATHERING_ADMIN_EMAIL")
	password, _ := f.app.options.Lookup("GATHERING_ADMIN_PASSWORD")
	if email == "" && password == "" {
		return nil
	}
	there, err := f.Auth.Administrators(ctx)
	if err != nil || there {
		return err
	}
	if email == "" || password == "" {
		return gathering.NewError(gathering.KindInvalid, "the first administrator needs both GATHERING_ADMIN_EMAIL and GATHERING_ADMIN_PASSWORD")
	}
	ctx = audit.WithCaller(ctx, audit.Caller{Actor: gathering.CommandLine, Name: gathering.CommandLine})
	_, err = f.Auth.SetUp(ctx, auth.NewUser{Email: email, Password: password})
	if gathering.KindOf(err) == gathering.KindConflict {
		if there, again := f.Auth.Administrators(ctx); again == nil && there {
			return nil // another instance was first
		}
	}
	return err
}

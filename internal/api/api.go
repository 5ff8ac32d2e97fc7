package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/auth"
	"gathering/internal/breaker"
	"gathering/internal/httpx"
	"gathering/internal/keyring"
	"gathering/internal/launch"
	"gathering/internal/llm/stored"
	"gathering/internal/project"
	"gathering/internal/ratelimit"
	"gathering/internal/settings"
	"gathering/internal/store"
	"gathering/internal/watch"
)

// Prefix is what every route of a resource begins with.
const Prefix = "/api/v1"

// Options are what the routes need. All but those that say otherwise must be set.
type Options struct {
	DB        *store.DB
	Auth      *auth.Service
	Projects  *project.Store
	Launcher  *launch.Launcher
	Circuits  *breaker.Registry
	Breakers  *breaker.Store
	Providers *stored.Store
	Repeats   *audit.Repeats
	Watch     *watch.Watch
	Ring      *keyring.Ring
	Anchor    audit.Anchor
	Limiter   *ratelimit.Limiter
	Settings  *settings.Store
	Logger    *slog.Logger
	Now       func() time.Time
	Version   string
	// Proxies are believed in what they say of clients. The zero value is none.
	Proxies httpx.Proxies
	// Hosts are by which names the service may be asked. Nil is any.
	Hosts *httpx.Hosts
	// Streams and StreamsEach are how many streams may be open at a time, of all
	// and of one user; 4000 and 200.
	Streams, StreamsEach int
	// Dashboard answers what no route is for: pages and what belongs to them. Nil
	// has none.
	Dashboard http.Handler
	// Path is where a proxy serves all of this, as "/gathering". A request may
	// come with it or without. "" is the root.
	Path string
	// Ready reports whether the service takes work; nil is always.
	Ready func(ctx context.Context) error
}

// API is the routes.
type API struct {
	Options

	mux        *http.ServeMux
	huma       huma.API
	operations []Operation
	gate       *httpx.Gate
	ending     chan struct{} // closed when streams are to end
	endOnce    sync.Once
}

// New returns the routes.
func New(o Options) *API {
	strict()
	a := &API{Options: o, mux: http.NewServeMux(), gate: httpx.NewGate(cmp.Or(o.Streams, 4000), cmp.Or(o.StreamsEach, 200)), ending: make(chan struct{})}
	a.huma = humago.New(a.mux, a.config())
	a.mux.HandleFunc(elsewhere, a.noRoute)
	a.signInRoutes()
	a.accountRoutes()
	a.userRoutes()
	a.tokenRoutes()
	a.projectRoutes()
	a.auditRoutes()
	a.pipelineRoutes()
	a.runRoutes()
	a.eventRoutes()
	a.deadLetterRoutes()
	a.overviewRoutes()
	a.breakerRoutes()
	a.catalogueRoutes()
	a.providerRoutes()
	a.settingsRoutes()
	a.healthRoutes()
	a.documentRoutes()
	return a
}

// elsewhere is the pattern of what no route is for.
const elsewhere = "/"

// noRoute answers what no route is for: by which methods it could be asked, if
// any.
func (a *API) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if _, pattern := a.mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != elsewhere {
			allowed = append(allowed, method)
		}
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	if len(allowed) == 0 && read && a.Dashboard != nil && !strings.HasPrefix(r.URL.Path, Prefix+"/") {
		a.Dashboard.ServeHTTP(w, r)
		return
	}
	if len(allowed) == 0 {
		httpx.WriteProblem(w, r, gathering.NewError(gathering.KindNotFound, "there is no such route"))
		return
	}
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	httpx.WriteProblem(w, r, gathering.NewError(gathering.KindInvalid, "the methods of this route are %s", allow).WithCode(gathering.CodeMethod))
}

// strict sets what the library has one setting for in the whole program: that
// the names of fields are what they are, and how its errors are written.
//
//nolint:gochecknoglobals // the library's settings are such, and are set once
var strict = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return libraryProblem(status, message, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		f := libraryProblem(status, message, errs)
		f.meet(ctx.Context())
		return f
	}
})

func (a *API) config() huma.Config {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[gathering.Duration](), reflect.TypeFor[string]())
	schemas.RegisterTypeAlias(reflect.TypeFor[ratelimit.Rate](), reflect.TypeFor[string]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "GatheRing", Version: a.Version, Description: description,
				License: &huma.License{Name: "MIT", Identifier: "MIT"},
			},
			Servers: []*huma.Server{{URL: "/"}},
			Components: &huma.Components{
				Schemas: schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", Description: "An access token of a sign-in, or an API token (gat_…)."},
					"cookie": {Type: "apiKey", In: "cookie", Name: accessCookie, Description: "Set by a sign-in that asked for cookies."},
				},
			},
			Tags: tags(),
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// Operations lists what the routes can be asked, in the order of the paths.
func (a *API) Operations() []Operation {
	return slices.SortedFunc(slices.Values(a.operations), func(x, y Operation) int {
		return slices.Compare([]string{x.Path, x.Method}, []string{y.Path, y.Method})
	})
}

// Public is the routes for the network.
func (a *API) Public() http.Handler {
	next := http.Handler(a.mux)
	if a.Hosts != nil {
		next = a.Hosts.Guard(next)
	}
	next = compressed(next)
	next = httpx.Secure(next, httpx.Policy{Proxies: a.Proxies})
	return httpx.Log(a.below(next), a.Logger, a.Proxies)
}

// below serves under the path at which a proxy does, whether or not the proxy
// takes that off.
func (a *API) below(next http.Handler) http.Handler {
	if a.Path == "" {
		return next
	}
	stripped := http.StripPrefix(a.Path, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == a.Path:
			http.Redirect(w, r, a.Path+"/", http.StatusPermanentRedirect)
		case strings.HasPrefix(r.URL.Path, a.Path+"/"):
			stripped.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// Local is the routes for who owns the data.
func (a *API) Local() http.Handler {
	system := &gathering.Principal{System: true}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), localKey{}, system)))
	})
	return httpx.Log(next, a.Logger, httpx.Proxies{})
}

type localKey struct{}

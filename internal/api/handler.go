package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"gathering"
)

// Services are what the routes ask. Without one its routes are not there.
type Services struct {
	Runs        Runs
	Steering    Steering
	Repeating   Repeating
	DeadLetters DeadLetters
	Breakers    Breakers
}

// Prefix is what every route begins with.
const Prefix = "/api/v1"

// Bounds of a request's body in bytes: of most, and of one that holds a value
// of a run.
const (
	maxBody      = 1 << 20
	maxValueBody = gathering.MaxValueBytes + 64<<10
)

// NewHandler returns the routes. Requests that fail by no fault of the client
// are logged.
func NewHandler(services Services, logger *slog.Logger) http.Handler {
	a := &api{Services: services, logger: logger}
	mux := http.NewServeMux()
	for _, route := range a.routes() {
		mux.Handle(route.method+" "+Prefix+route.path, a.handle(route.bound(), route.serve))
	}
	mux.Handle("/", a.handle(maxBody, func(http.ResponseWriter, *http.Request) error {
		return gathering.NewError(gathering.KindNotFound, "there is no such route")
	}))
	return mux
}

type api struct {
	Services

	logger *slog.Logger
}

// route is what one method of one path does.
type route struct {
	method, path string
	serve        func(http.ResponseWriter, *http.Request) error
	value        bool // its body holds a value of a run
}

func (r route) bound() int64 {
	if r.value {
		return maxValueBody
	}
	return maxBody
}

func (a *api) routes() []route {
	var routes []route
	if a.Runs != nil {
		routes = append(routes, route{method: "GET", path: "/runs/{id}", serve: a.run}, route{method: "GET", path: "/runs/{id}/why", serve: a.whyRun})
	}
	if a.Steering != nil {
		routes = append(
			routes,
			route{method: "POST", path: "/runs/{id}/cancel", serve: a.steer(a.Steering.Cancel)},
			route{method: "POST", path: "/runs/{id}/pause", serve: a.steer(a.Steering.Pause)},
			route{method: "POST", path: "/runs/{id}/resume", serve: a.steer(a.Steering.Resume)},
			route{method: "POST", path: "/runs/{id}/decide", serve: a.decideRun, value: true},
		)
	}
	if a.Repeating != nil {
		routes = append(
			routes,
			route{method: "POST", path: "/runs/{id}/redrive", serve: a.redriveRun, value: true},
			route{method: "POST", path: "/runs/{id}/fork", serve: a.forkRun, value: true},
		)
	}
	if a.DeadLetters != nil {
		routes = append(
			routes,
			route{method: "GET", path: "/dead-letters", serve: a.listDeadLetters},
			route{method: "POST", path: "/runs/{id}/dismiss", serve: a.dismissRun},
			route{method: "DELETE", path: "/runs/{id}", serve: a.deleteRun},
		)
	}
	if a.Breakers != nil {
		routes = append(
			routes,
			route{method: "GET", path: "/breakers", serve: a.listBreakers},
			route{method: "GET", path: "/breakers/{name}/history", serve: a.breakerHistory},
			route{method: "POST", path: "/breakers/{name}/trip", serve: a.tripBreaker},
			route{method: "POST", path: "/breakers/{name}/reset", serve: a.resetBreaker},
		)
	}
	return routes
}

// handle turns a function that may fail into a handler: its error becomes a
// problem document. Bound is how long a body may be, in bytes.
func (a *api) handle(bound int64, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bound)
		if err := serve(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

// noBody refuses a body other than an empty object.
func noBody(r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if len(body) > 0 && !bytes.Equal(body, []byte("{}")) {
		return gathering.NewError(gathering.KindInvalid, "this request takes no body")
	}
	return nil
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, gathering.NewError(gathering.KindTooLarge, "the body is over the limit of %d bytes", over.Limit)
	}
	if err != nil {
		return nil, gathering.NewError(gathering.KindInvalid, "the body cannot be read").WithCause(err)
	}
	return bytes.TrimSpace(body), nil
}

// decode reads a body, an object of no other fields than into has. None is an
// empty object.
func decode(r *http.Request, into any) error {
	body, err := readBody(r)
	if err != nil || len(body) == 0 {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(into)
	if err == nil && decoder.More() {
		err = errors.New("there is more than one document")
	}
	if err != nil {
		return gathering.NewError(gathering.KindInvalid, "the body is not what this request takes").WithCause(err)
	}
	return nil
}

func reply(w http.ResponseWriter, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that is gone needs no answer
	return nil
}

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"gathering"
)

// Services are what the routes ask.
type Services struct {
	Runs     Runs
	Breakers Breakers
}

// Runs is what the routes ask of runs.
type Runs interface {
	Run(ctx context.Context, id gathering.RunID) (gathering.Run, error)
	Cancel(ctx context.Context, id gathering.RunID, by string) error
}

// Prefix is what every route begins with.
const Prefix = "/api/v1"

// maxBody bounds a request's body in bytes.
const maxBody = 1 << 20

// NewHandler returns the routes. Requests that fail by no fault of the client
// are logged.
func NewHandler(services Services, logger *slog.Logger) http.Handler {
	a := &api{runs: services.Runs, breakers: services.Breakers, logger: logger}
	mux := http.NewServeMux()
	mux.Handle("GET "+Prefix+"/runs/{id}", a.handle(a.run))
	mux.Handle("POST "+Prefix+"/runs/{id}/cancel", a.handle(a.cancelRun))
	mux.Handle("GET "+Prefix+"/breakers", a.handle(a.listBreakers))
	mux.Handle("GET "+Prefix+"/breakers/{name}/history", a.handle(a.breakerHistory))
	mux.Handle("POST "+Prefix+"/breakers/{name}/trip", a.handle(a.tripBreaker))
	mux.Handle("POST "+Prefix+"/breakers/{name}/reset", a.handle(a.resetBreaker))
	mux.Handle("/", a.handle(func(http.ResponseWriter, *http.Request) error {
		return gathering.NewError(gathering.KindNotFound, "there is no such route")
	}))
	return mux
}

type api struct {
	runs     Runs
	breakers Breakers
	logger   *slog.Logger
}

// handle turns a function that may fail into a handler: its error becomes a
// problem document.
func (a *api) handle(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := serve(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *api) run(w http.ResponseWriter, r *http.Request) error {
	run, err := a.runs.Run(r.Context(), gathering.RunID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, run)
}

// cancelRun asks a run to stop and answers with the run as it is by then.
func (a *api) cancelRun(w http.ResponseWriter, r *http.Request) error {
	if err := noBody(r); err != nil {
		return err
	}
	id := gathering.RunID(r.PathValue("id"))
	if err := a.runs.Cancel(r.Context(), id, "api"); err != nil {
		return err
	}
	run, err := a.runs.Run(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, run)
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
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, gathering.NewError(gathering.KindTooLarge, "the body is over the limit of %d bytes", maxBody)
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

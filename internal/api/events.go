package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/event"
	"gathering/internal/httpx"
	"gathering/internal/watch"
)

// How streams are kept.
const (
	recheck   = 5 * time.Second // after which it is asked again whether a reader may read on
	maxBehind = 20_000          // commits that one who was up to date may fall behind
	comeBack  = time.Second     // after which readers come back to a service that ends
)

func (a *API) eventRoutes() {
	register(a, Operation{
		ID: "watch-run", Method: http.MethodGet, Path: Prefix + "/runs/{id}/events", Tag: tagRuns, Action: auth.RunsRead,
		Summary: "List what happened in a run, or with Accept: text/event-stream watch it, live deltas included", streamed: true,
	}, a.watchRun)
	register(a, Operation{
		ID: "watch", Method: http.MethodGet, Path: Prefix + "/events", Tag: tagRuns, Action: auth.EventsRead,
		Summary: "List what happened to everything that one may see, or with Accept: text/event-stream watch it", streamed: true,
	}, a.watchAll)
}

// flow is an answer that is written bit by bit.
type flow struct{ Body func(ctx huma.Context) }

// wantsStream reports whether somebody wants to watch instead of a list.
func wantsStream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// listing is a list as an answer of a route that can be watched as well.
func listing(body any) *flow {
	return &flow{func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(http.StatusOK)
		_ = json.NewEncoder(ctx.BodyWriter()).Encode(body) // a client that is gone needs no answer
	}}
}

// spectator is somebody who watches.
type spectator struct {
	api    *API
	asked  *asked
	stream *httpx.Stream
	allow  func() error // whether they still may
	deltas <-chan found[event.Delivery]
}

// watched answers with a stream, which see fills until it returns. A reader
// that has read all there will ever be is told not to come back.
func (a *API) watched(ctx context.Context, allow func() error, see func(ctx context.Context, s *spectator) error) (*flow, error) {
	q := askedOf(ctx)
	leave, ok := a.gate.Enter(string(q.principal.User))
	if !ok {
		return nil, gathering.Delayed(gathering.NewError(gathering.KindExhausted, "too many streams are open"), 10*time.Second)
	}
	select {
	case <-a.ending:
		leave()
		return nil, gathering.Delayed(gathering.NewError(gathering.KindUnavailable, "the service is ending"), comeBack)
	default:
	}
	return &flow{func(hctx huma.Context) {
		defer leave()
		_, w := humago.Unwrap(hctx)
		if q.request.Method == http.MethodHead {
			w.Header().Set("Content-Type", "text/event-stream")
			return
		}
		stream, err := httpx.NewStream(w, httpx.StreamOptions{})
		if err == nil {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			err = see(ctx, &spectator{api: a, asked: q, stream: stream, allow: allow})
		}
		switch {
		case errors.Is(err, httpx.ErrSlowReader):
			a.Logger.InfoContext(ctx, "a reader of events was cut off", slog.String("reason", "it takes nothing"),
				slog.String("request_id", httpx.RequestID(ctx)), slog.String("user", string(q.principal.User)))
		case err != nil && gathering.KindOf(err) != gathering.KindCancelled:
			httpx.RecordOf(ctx).Cause = err
		}
	}}, nil
}

// End tells all who watch to come back a little later, to whoever serves then.
func (a *API) End() { a.endOnce.Do(func() { close(a.ending) }) }

// found is one of what an iterator yields.
type found[T any] struct {
	item T
	err  error
}

// ahead is how many items wait to be told together.
const ahead = 32

// pump has an iterator's items in a channel until ctx ends. Stop ends it and
// waits until it has.
func pump[T any](ctx context.Context, items func(ctx context.Context) iter.Seq2[T, error]) (news <-chan found[T], stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	c := make(chan found[T], ahead)
	go func() {
		defer close(c)
		for item, err := range items(ctx) {
			select {
			case c <- found[T]{item, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return c, func() {
		cancel()
		for range c {
		}
	}
}

// faultless is an iterator that has no errors, as one that might.
func faultless[T any](items func(ctx context.Context) iter.Seq[T]) func(ctx context.Context) iter.Seq2[T, error] {
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			for item := range items(ctx) {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// follow tells what comes until tell says that there will be no more, the
// reader is gone, or may not read on.
func follow[T any](ctx context.Context, s *spectator, news <-chan found[T], tell func(found[T]) (over bool, err error)) error {
	again := time.NewTicker(recheck)
	defer again.Stop()
	for {
		var err error
		over := false
		select {
		case n, ok := <-news:
			if !ok {
				return ctx.Err()
			}
			if over, err = together(n, news, tell); !over && err == nil {
				err = s.stream.Flush()
			}
		case d := <-s.deltas:
			err = s.live(d.item)
		case <-s.stream.Due():
			err = s.stream.Heartbeat()
		case <-again.C:
			if refused := s.still(ctx); refused != nil {
				return s.stream.Goodbye(gathering.FailureOf(refused).Message, 0)
			}
		case <-s.api.ending:
			return s.stream.Goodbye("the service is ending: come back", comeBack)
		case <-ctx.Done():
			return ctx.Err()
		}
		if over || err != nil {
			return err
		}
	}
}

// together tells one item and those that are there already, to be sent at once.
func together[T any](n found[T], news <-chan found[T], tell func(found[T]) (over bool, err error)) (over bool, err error) {
	for {
		if over, err = tell(n); over || err != nil {
			return over, err
		}
		select {
		case next, ok := <-news:
			if !ok {
				return false, nil
			}
			n = next
		default:
			return false, nil
		}
	}
}

// still reports why a reader may not read on, if they may not: their session
// may be over, or their role another one by now. That nobody can tell because
// the database is away is no reason; what is there to read is not either.
func (s *spectator) still(ctx context.Context) error {
	if !s.asked.principal.System {
		token, _, err := credential(s.asked.request)
		if err != nil {
			return err
		}
		p, err := s.api.Auth.Authenticate(ctx, token)
		if gathering.KindOf(err) == gathering.KindUnavailable {
			return nil
		}
		if err != nil {
			return err
		}
		s.asked.principal = p
	}
	return s.allow()
}

// lost tells a reader that what followed its position is not kept any more.
func (s *spectator) lost(err error) bool {
	gone, ok := errors.AsType[*event.GoneError](err)
	if ok {
		text := []byte(`{"reason":"what came before this is not kept any more: read it anew","oldest":` + strconv.FormatInt(gone.Oldest, 10) + `}`)
		_ = s.stream.Send("", "snapshot", text) // the next Flush fails as well
	}
	return ok
}

// snapshot tells a reader at once that what it knows is not what is here.
func (s *spectator) snapshot(reason string) error {
	if err := s.stream.Send("", "snapshot", []byte(`{"reason":"`+reason+`"}`)); err != nil {
		return err
	}
	return s.stream.Flush()
}

func (a *API) watchRun(ctx context.Context, in *struct {
	RunPath

	Limit       int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many events at most, of a list."`
	Cursor      int64  `query:"cursor" minimum:"0" doc:"Only events after this number, of a list."`
	LastEventID string `header:"Last-Event-Id" maxLength:"30" doc:"The number of the last event that was seen, of a stream."`
	LastID      string `query:"last_event_id" maxLength:"30" doc:"The same, for those who cannot send headers."`
	Deltas      bool   `query:"deltas" default:"true" doc:"Live deltas too, of a stream."`
},
) (*flow, error) {
	r, err := a.seeRun(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !wantsStream(askedOf(ctx).request) {
		return a.listEvents(ctx, in.ID, in.Cursor, in.Limit)
	}
	after, err := positionOf(cmp.Or(in.LastEventID, in.LastID))
	if err != nil {
		return nil, err
	}
	known := true
	if after > 0 {
		from, err := a.Launcher.Runs.Events(ctx, in.ID, after-1, 2)
		if err != nil {
			return nil, err
		}
		if known = len(from) > 0; !known {
			after = 0
		}
		if r.State.Terminal() && len(from) == 1 {
			return &flow{func(ctx huma.Context) { ctx.SetStatus(http.StatusNoContent) }}, nil // there is nothing to come back for
		}
	}
	allow := func() error {
		return a.see(ctx, r.Project, func() error { return errForbidden(auth.RunsRead) })
	}
	return a.watched(ctx, allow, func(ctx context.Context, s *spectator) error {
		if !known {
			if err := s.snapshot("this is another log than before: read it anew"); err != nil {
				return err
			}
		}
		if in.Deltas {
			defer s.hear(ctx, in.ID)()
		}
		return s.run(ctx, in.ID, after)
	})
}

func positionOf(given string) (int64, error) {
	if given == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(given, 10, 64)
	if err != nil || n < 0 {
		return 0, gathering.NewError(gathering.KindInvalid, "there is no such event").
			WithFields(gathering.FieldError{Field: "Last-Event-ID", Problem: "must be the ID of the last event that was seen"})
	}
	return n, nil
}

func (a *API) listEvents(ctx context.Context, id gathering.RunID, after int64, limit int) (*flow, error) {
	events, more, err := a.Launcher.Runs.EventPage(ctx, id, after, limit)
	if err != nil {
		return nil, err
	}
	p := page(events, limit, nil).Body
	if more {
		p.NextCursor = strconv.FormatInt(events[len(events)-1].Seq, 10)
	}
	return listing(p), nil
}

// run tells what happens in a run until it has ended.
func (s *spectator) run(ctx context.Context, id gathering.RunID, after int64) error {
	news, stop := pump(ctx, func(ctx context.Context) iter.Seq2[watch.Told, error] {
		return s.api.Watch.Runs.Read(ctx, string(id), after)
	})
	defer stop()
	return follow(ctx, s, news, func(n found[watch.Told]) (over bool, err error) {
		if n.err != nil {
			return false, s.trouble(n.err)
		}
		if err := s.stream.Send(strconv.FormatInt(n.item.Seq, 10), string(n.item.Type), n.item.JSON); err != nil {
			return false, err
		}
		if n.item.Type.EndState() == "" {
			return false, nil
		}
		return true, s.stream.Goodbye("the run has ended", 0)
	})
}

// hear has the stream tell live deltas of a run too, until stop is called.
func (s *spectator) hear(ctx context.Context, id gathering.RunID) (stop func()) {
	subscription := s.api.Watch.Deltas.Subscribe(watch.Topic(id))
	deltas, end := pump(ctx, faultless(subscription.All))
	s.deltas = deltas
	return func() {
		end()
		subscription.Close()
	}
}

// trouble tells a reader what is gone, or returns an error that ends the stream.
func (s *spectator) trouble(err error) error {
	if s.lost(err) || gathering.KindOf(err) == gathering.KindUnavailable {
		return nil // what is away comes back, and nothing is missed
	}
	return err
}

// live tells what goes on right now. It has no ID: nobody can come back to it.
func (s *spectator) live(d event.Delivery) error {
	for _, delta := range d.Deltas {
		text, err := gathering.EncodeJSON(delta)
		if err != nil {
			return err
		}
		if err := s.stream.Send("", string(delta.Type), text); err != nil {
			return err
		}
	}
	if d.Dropped > 0 {
		if err := s.stream.Send("", "dropped", []byte(`{"deltas":`+strconv.Itoa(d.Dropped)+`}`)); err != nil {
			return err
		}
	}
	return s.stream.Flush()
}

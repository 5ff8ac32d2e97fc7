package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/tmaxmax/go-sse"

	"gathering"
	"gathering/internal/api"
)

// How a stream is read.
const (
	lull = time.Minute // after which one in which nothing came is given up; a service says every 15 s that it is there
	// maxEvent bounds an event in bytes: the longest value, each of its bytes
	// escaped, and what is around it.
	maxEvent = 6*gathering.MaxValueBytes + 64<<10
)

// Watch yields the events of a run after a sequence number, first those that
// are there and then each as it becomes durable, until the run has ended or ctx
// has. It comes back to a service that broke off, and missed nothing then. A
// client of [NewLocal] cannot watch.
func (c *Client) Watch(ctx context.Context, id gathering.RunID, after int64) iter.Seq2[gathering.Event, error] {
	return func(yield func(gathering.Event, error) bool) {
		w := watching{client: c, run: id, after: after, yield: yield, heard: time.Now()}
		for {
			over, err := w.once(ctx)
			if over {
				return
			}
			final := err != nil && gathering.KindOf(err) != gathering.KindUnavailable && gathering.KindOf(err) != gathering.KindExhausted
			if err != nil && (final || time.Since(w.heard) > persist) {
				yield(gathering.Event{}, err)
				return
			}
			select {
			case <-time.After(max(again, gathering.RetryAfter(err))):
			case <-ctx.Done():
				yield(gathering.Event{}, ctx.Err())
				return
			}
		}
	}
}

// watching is a run that is watched, over one stream after another.
type watching struct {
	client *Client
	run    gathering.RunID
	after  int64
	yield  func(gathering.Event, error) bool
	heard  time.Time // when a stream was open last
}

// once reads one stream to its end. It is over once the run has ended or
// whoever reads wants no more.
func (w *watching) once(ctx context.Context) (over bool, err error) {
	c := w.client
	stream, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(stream, http.MethodGet, c.base+api.Prefix+pathOfRun(w.run, "/events?deltas=false"), http.NoBody)
	if err != nil {
		return false, fmt.Errorf("ask %s: %w", c.who, err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-Id", strconv.FormatInt(w.after, 10))
	c.authorize(r)
	silence := time.AfterFunc(lull, cancel)
	defer silence.Stop()
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return false, c.away(ctx, err)
	}
	defer response.Body.Close()
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case response.StatusCode == http.StatusNoContent:
		return true, nil
	case response.StatusCode != http.StatusOK:
		_, err := c.read(ctx, response)
		return false, err
	case kind != "text/event-stream":
		return false, gathering.NewError(gathering.KindUnavailable, "%s answers with something else than a stream of events", c.who)
	}
	defer func() { w.heard = time.Now() }()
	for event, err := range sse.Read(lively{response.Body, silence}, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return false, c.away(ctx, err)
		}
		if over, err := w.tell(event); over || err != nil {
			return over, err
		}
	}
	return false, nil
}

// tell tells an event of the log, unless it was told before; what else a stream
// holds is no such event.
func (w *watching) tell(event sse.Event) (over bool, err error) {
	seq, err := strconv.ParseInt(event.LastEventID, 10, 64)
	if err != nil || seq <= w.after {
		return gathering.EventType(event.Type).EndState() != "", nil //nolint:nilerr // it has no ID
	}
	var e gathering.Event
	if err := json.Unmarshal([]byte(event.Data), &e); err != nil {
		return false, fmt.Errorf("read an event of %s: %w", w.client.who, err)
	}
	w.after = seq
	return !w.yield(e, nil) || e.Type.EndState() != "", nil
}

// lively puts off the end of a stream's patience with each byte of it.
type lively struct {
	stream  io.Reader
	silence *time.Timer
}

func (l lively) Read(p []byte) (int, error) {
	n, err := l.stream.Read(p)
	if n > 0 {
		l.silence.Reset(lull)
	}
	return n, err
}

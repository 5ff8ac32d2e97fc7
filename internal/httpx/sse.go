package httpx

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gathering"
)

// Bounds of streams, in bytes.
const (
	chunkBytes     = 64 << 10 // what is written at once, and what Send gathers before it flushes
	maxKept        = 256 << 10
	maxLastEventID = 256
)

// ErrSlowReader is in the chain of errors of a [Stream] whose reader did not
// take what it was sent in time.
var ErrSlowReader = errors.New("the reader of the stream is too slow")

var errStreamEnded = errors.New("the stream has said goodbye")

// StreamOptions are the times of a stream. Zero fields mean the default named.
type StreamOptions struct {
	// Heartbeat is how long nothing is sent before a heartbeat is due. Default 15 s.
	Heartbeat time.Duration
	// WriteTimeout is how long the reader may take for every 64 KiB. Default 10 s.
	WriteTimeout time.Duration
	// Retry is how long the reader is to wait before it comes back after the
	// stream broke. Default 2 s.
	Retry time.Duration
}

// Stream is an answer of server-sent events, as in
// https://html.spec.whatwg.org/multipage/server-sent-events.html. It belongs
// to the handler's goroutine:
//
//	for {
//		select {
//		case <-ctx.Done():
//			return nil
//		case <-news:
//			// Send what is new, then Flush.
//		case <-stream.Due():
//			// Heartbeat.
//		}
//	}
//
// Its errors are KindCancelled where the reader is gone or, with
// [ErrSlowReader] in the chain, takes nothing. The stream takes nothing more
// after an error; the handler returns.
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	options StreamOptions
	due     *time.Timer
	pending []byte
	err     error
}

// NewStream begins an answer that is a stream. The reader learns at once that
// it is open.
func NewStream(w http.ResponseWriter, o StreamOptions) (*Stream, error) {
	o.Heartbeat = cmp.Or(o.Heartbeat, 15*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.Retry = cmp.Or(o.Retry, 2*time.Second)
	s := &Stream{w: w, control: http.NewResponseController(w), options: o, due: time.NewTimer(o.Heartbeat)}
	if err := s.control.SetWriteDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("begin a stream: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s.field("retry", milliseconds(o.Retry))
	s.pending = append(s.pending, '\n')
	if err := s.Flush(); err != nil {
		return nil, err
	}
	return s, nil
}

// Send adds an event to those that the next Flush sends; where much has
// gathered it flushes itself. The ID is what [LastEventID] returns when the
// reader comes back, "" leaves it as it was. The event's name is "message"
// where it is "". Neither may contain line breaks or NUL. Of the data every
// kind of line break arrives as a line feed.
func (s *Stream) Send(id, event string, data []byte) error {
	if s.err != nil {
		return s.err
	}
	if strings.ContainsAny(id, "\r\n\x00") || strings.ContainsAny(event, "\r\n\x00") {
		return errors.New("send an event: its ID or its name has a line break or NUL in it")
	}
	s.append(id, event, data)
	if len(s.pending) < chunkBytes {
		return nil
	}
	return s.Flush()
}

func (s *Stream) append(id, event string, data []byte) {
	if id != "" {
		s.field("id", id)
	}
	if event != "" {
		s.field("event", event)
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
	for line := range strings.SplitSeq(text, "\n") {
		s.field("data", line)
	}
	s.pending = append(s.pending, '\n')
}

// field adds a line. The space behind the colon is not part of the value.
func (s *Stream) field(name, value string) {
	s.pending = append(s.pending, name...)
	s.pending = append(s.pending, ": "...)
	s.pending = append(s.pending, value...)
	s.pending = append(s.pending, '\n')
}

// Flush sends what has gathered. It waits for the reader to take it, within the
// write timeout.
func (s *Stream) Flush() error {
	if s.err != nil || len(s.pending) == 0 {
		return s.err
	}
	for chunk := range slices.Chunk(s.pending, chunkBytes) {
		s.within(func() error {
			_, err := s.w.Write(chunk)
			return err
		})
	}
	s.within(s.control.Flush)
	if s.pending = s.pending[:0]; cap(s.pending) > maxKept {
		s.pending = nil
	}
	if s.err == nil {
		// HTTP/2 ends a stream at its deadline even while nothing is written.
		_ = s.control.SetWriteDeadline(time.Time{})
		s.due.Reset(s.options.Heartbeat)
	}
	return s.err
}

// within writes under a deadline, unless the stream has failed. A deadline that
// passed stays, so that nothing behind it waits for the reader either.
func (s *Stream) within(write func() error) {
	if s.err != nil {
		return
	}
	deadline := time.Now().Add(s.options.WriteTimeout)
	err := s.control.SetWriteDeadline(deadline)
	if err == nil {
		err = write()
	}
	switch {
	case err == nil:
		return
	case !time.Now().Before(deadline):
		err = fmt.Errorf("%w: %w", ErrSlowReader, err)
	}
	s.err = gathering.NewError(gathering.KindCancelled, "the stream broke").WithCause(err)
}

// Due returns a channel that receives when nothing was sent for as long as the
// heartbeat's interval.
func (s *Stream) Due() <-chan time.Time { return s.due.C }

// Heartbeat sends a comment, which readers skip, with what has gathered. It
// keeps proxies from closing the connection and finds out whether the reader is
// still there.
func (s *Stream) Heartbeat() error {
	if s.err == nil {
		s.pending = append(s.pending, ":\n\n"...)
	}
	return s.Flush()
}

// Goodbye ends the stream with an event "bye" that holds {"reason": …}, sent
// with what has gathered. The reader is to wait for retry before it comes back,
// as before if that is 0. Nothing can be sent afterwards.
func (s *Stream) Goodbye(reason string, retry time.Duration) error {
	if s.err != nil {
		return s.err
	}
	data, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return fmt.Errorf("say goodbye: %w", err)
	}
	if retry > 0 {
		s.field("retry", milliseconds(retry))
	}
	s.append("", "bye", data)
	if err := s.Flush(); err != nil {
		return err
	}
	s.err = errStreamEnded
	s.due.Stop()
	return nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// LastEventID returns the ID of the last event that the reader of a stream has
// seen, "" if it is new: as a browser that comes back says in Last-Event-ID,
// or else as the query's last_event_id says. One that no stream can have sent
// is KindInvalid.
func LastEventID(r *http.Request) (string, error) {
	id := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("last_event_id"))
	if len(id) > maxLastEventID || strings.ContainsAny(id, "\r\n\x00") || !utf8.ValidString(id) {
		return "", gathering.NewError(gathering.KindInvalid, "the last event's ID is none of this service's")
	}
	return id, nil
}

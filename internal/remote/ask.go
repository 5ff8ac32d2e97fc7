package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/httpx"
)

// How long things may take.
const (
	toRead   = 15 * time.Second // to be told something
	toChange = 90 * time.Second // as the run that is begun waits for the one before it to stop
	longest  = 30 * time.Minute // to be told of the whole audit trail
	inTurn   = 90 * time.Second // to wait for one's turn at a service that limits how often it is asked
	persist  = 15 * time.Second // to ask again a service that broke off, before that is an error
	again    = 500 * time.Millisecond
)

// maxAnswer bounds an answer in bytes.
const maxAnswer = 4 * (gathering.MaxValueBytes + 64<<10)

// question is one thing that is asked for.
type question struct {
	method, path string
	body         []byte
	key          string // under which it is done once, however often it is asked for; "" is none
	limit        time.Duration
}

// do asks for something. Sent is the body, nil for none; the answer is read
// into answer, which may be nil.
//
// A service elsewhere is asked again where it says that it is not one's turn.
// Where it broke off while it was asked for a change it is asked again too: by
// the same key, so that the change is made once.
func (c *Client) do(ctx context.Context, method, path string, sent, answer any) error {
	q := question{method: method, path: path, limit: toRead}
	if !httpx.Safe(method) {
		q.limit = toChange
		if c.far {
			q.key = rand.Text()
		}
	}
	if sent != nil {
		var err error
		if q.body, err = gathering.EncodeJSON(sent); err != nil {
			return fmt.Errorf("ask %s: %w", c.who, err)
		}
	}
	text, err := c.insist(ctx, q)
	if err != nil || answer == nil || len(text) == 0 {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.who, err)
	}
	return nil
}

// insist asks until there is an answer, or for as long as is sensible.
func (c *Client) insist(ctx context.Context, q question) (text []byte, err error) {
	begun := time.Now()
	for {
		text, err = c.once(ctx, q)
		pause, until := gathering.RetryAfter(err), inTurn
		switch {
		case !c.far || ctx.Err() != nil:
			return text, err
		case gathering.KindOf(err) == gathering.KindExhausted && pause > 0:
		case gathering.KindOf(err) == gathering.KindUnavailable && q.key != "" && sent(err):
			pause, until = max(pause, again), persist
		default:
			return text, err
		}
		if time.Since(begun)+pause > until {
			if q.key != "" && gathering.KindOf(err) == gathering.KindUnavailable {
				f := gathering.FailureOf(err)
				err = gathering.NewError(f.Kind, "%s; whether it did what it was asked is not known", f.Message).WithCause(err)
			}
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// sent reports whether a service may have got what it did not answer.
func sent(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return !ok || dial.Op != "dial"
}

// once asks one time and returns the answer.
func (c *Client) once(ctx context.Context, q question) ([]byte, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel = context.WithTimeout(ctx, q.limit)
	}
	defer cancel()
	r, err := http.NewRequestWithContext(limited, q.method, c.base+api.Prefix+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.who, err)
	}
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.key != "" {
		r.Header.Set("Idempotency-Key", q.key)
	}
	c.authorize(r)
	// Of a change a redirect would make a read, which succeeds: none is followed.
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, c.away(ctx, err)
	}
	defer response.Body.Close()
	return c.read(ctx, response)
}

// read reads an answer, or the error that it is.
func (c *Client) read(ctx context.Context, response *http.Response) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.away(ctx, err)
	case response.StatusCode/100 != 2:
		return nil, httpx.ReadProblem(response.StatusCode, response.Header, text)
	case len(text) > maxAnswer:
		return nil, gathering.NewError(gathering.KindTooLarge, "%s answered with more than %d bytes", c.who, maxAnswer)
	}
	return text, nil
}

func (c *Client) authorize(r *http.Request) {
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
}

// away is the error of a service that does not answer, or of a context that ended.
func (c *Client) away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	away := gathering.NewError(gathering.KindUnavailable, "%s cannot be reached", c.who)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		away.Message = c.who + " does not answer"
	case c.far: // it is their own network that people are told of
		away.Message += ": " + err.Error()
	}
	return away.WithCause(err)
}

// ask is do of a route that answers with a T.
func ask[T any](ctx context.Context, c *Client, method, path string, sent any) (T, error) {
	var answer T
	err := c.do(ctx, method, path, sent, &answer)
	return answer, err
}

// all asks for every page of a list. Of is its other parameters.
func all[T any](ctx context.Context, c *Client, path string, of url.Values) ([]T, error) {
	items := []T{}
	query := url.Values{"limit": {"500"}}
	maps.Copy(query, of)
	for {
		p, err := ask[api.Page[T]](ctx, c, http.MethodGet, path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		items = append(items, p.Items...)
		if p.NextCursor == "" {
			return items, nil
		}
		if p.NextCursor == query.Get("cursor") {
			return nil, c.stuck()
		}
		query.Set("cursor", p.NextCursor)
	}
}

// stuck is the error of a list whose pages lead nowhere.
func (c *Client) stuck() error {
	return gathering.NewError(gathering.KindInternal, "a list of %s does not go on where it says", c.who)
}

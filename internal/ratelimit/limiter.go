package ratelimit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"log/slog"
	"strconv"
	"time"
)

// Options say how a limiter works. The zero value works.
type Options struct {
	// Redis is the URL of a Redis whose users share their buckets:
	// redis://[[user]:password@]host[:port][/database], rediss:// for TLS, or
	// unix://[[user]:password@]/path[?db=database]. Deployments that are not to
	// share take a database each. Default none.
	Redis string
	// Timeout is how long Redis may take to answer, and how long a request waits
	// at most for the verdict. Default 150 ms.
	Timeout time.Duration
	Keys    int              // how many buckets are kept in memory; 100,000
	Logger  *slog.Logger     // of Redis going away and coming back; default nobody
	Now     func() time.Time // time.Now; tells the time for the buckets in memory
}

// Verdict is whether a request is let through, and what is left.
type Verdict struct {
	Allowed    bool
	Limit      int           // how many requests the bucket holds when it is full
	Remaining  int           // how many it holds now
	Reset      time.Duration // until it is full again
	RetryAfter time.Duration // until a request is let through; 0 when this one is
}

// Limiter judges requests. It may be used by many goroutines at once, after it
// was closed as well: it then counts in memory.
type Limiter struct {
	local  *local
	shared *shared // nil without Redis
}

// New returns a limiter, which the caller has to close. It does not wait for
// Redis to be there. The error is invalid if the URL of Redis is not one.
func New(o Options) (*Limiter, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Timeout = cmp.Or(max(0, o.Timeout), 150*time.Millisecond)
	o.Keys = cmp.Or(max(0, o.Keys), 100_000)
	var l Limiter
	if o.Redis != "" {
		s, err := newShared(o)
		if err != nil {
			return nil, err
		}
		l.shared = s
	}
	l.local = newLocal(o)
	return &l, nil
}

// Take takes a request out of the bucket of a key, if it holds one, and says
// whether it did. A request that is refused costs nothing. That ctx ends does
// not keep the request from being counted.
func (l *Limiter) Take(ctx context.Context, key string, r Rate) Verdict {
	return l.count(ctx, key, r, 1)
}

// Look says what [Limiter.Take] would say, and takes nothing: Remaining and
// Reset are those of the bucket as it is.
func (l *Limiter) Look(ctx context.Context, key string, r Rate) Verdict {
	return l.count(ctx, key, r, 0)
}

func (l *Limiter) count(ctx context.Context, key string, r Rate, requests int) Verdict {
	if !r.valid() {
		return Verdict{RetryAfter: time.Minute}
	}
	b := bucketOf(key, r)
	if l.shared != nil {
		if v, ok := l.shared.count(ctx, b, r, requests); ok {
			l.local.note(b, v.Reset)
			return v
		}
	}
	return l.local.count(b, r, requests)
}

// Close ends the limiter's connections and goroutines. It may be called again.
func (l *Limiter) Close() {
	if l.shared != nil {
		l.shared.close()
	}
	l.local.close()
}

// bucket names the bucket of a key and a rate, in as many bytes whatever the
// key. Nobody can find a key that shares the bucket of another's.
type bucket [16]byte

func bucketOf(key string, r Rate) bucket {
	text := make([]byte, 0, 128)
	text = strconv.AppendInt(text, int64(r.Requests), 10)
	text = append(text, '/')
	text = strconv.AppendInt(text, int64(r.Per), 10)
	text = append(text, ' ')
	text = append(text, key...)
	sum := sha256.Sum256(text)
	return bucket(sum[:len(bucket{})])
}

package ratelimit

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"gathering"
)

// pause is how long Redis is left alone after it did not answer.
const pause = time.Second

// grain is by how much Redis' arithmetic may be off: it counts microseconds, as
// floating-point seconds.
const grain = 2 * time.Microsecond

// shared asks Redis, where the buckets are that instances share.
type shared struct {
	client   *redis.Client
	limiter  *redis_rate.Limiter
	timeout  time.Duration
	password string
	logger   *slog.Logger

	mu     sync.Mutex
	closed bool
	away   bool
	again  time.Time // while it is away: when it may be asked whether it is back
}

func newShared(o Options) (*shared, error) {
	options, err := redis.ParseURL(o.Redis)
	if err != nil {
		// The cause may repeat parts of the URL, the password among them.
		return nil, gathering.NewError(gathering.KindInvalid, "the URL of Redis cannot be read: it is redis://[[user]:password@]host[:port][/database], rediss://… for TLS, or unix://[[user]:password@]/path[?db=database], with special characters in it percent-encoded")
	}
	options.DialTimeout, options.PoolTimeout = o.Timeout, o.Timeout
	options.ReadTimeout, options.WriteTimeout = o.Timeout, o.Timeout
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.MinIdleConns = -1, 0
	options.Protocol = 2
	options.DisableIdentity = true
	options.PipelinePoolSize = -1
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.Dialer = dialer(options)
	client := redis.NewClient(options)
	return &shared{
		client: client, limiter: redis_rate.NewLimiter(client), timeout: o.Timeout,
		password: options.Password, logger: o.Logger,
	}, nil
}

// dialer returns how connections are made. The library writes to standard error
// when one cannot be, and after some of those keeps trying in a goroutine that
// outlives it. So none fails: the connection does when it is first used.
func dialer(o *redis.Options) func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := redis.NewDialer(o)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, failure := dial(ctx, network, address)
		if failure != nil {
			conn, _ = net.Pipe()
			conn = unconnected{conn, fmt.Errorf("connect to redis: %w", failure)}
		}
		return conn, nil
	}
}

// unconnected is a connection that could not be made.
type unconnected struct {
	net.Conn

	failure error
}

// Write says why there is no connection.
func (u unconnected) Write([]byte) (int, error) { return 0, u.failure }

// count is judge for the shared bucket. It is not ok when Redis does not tell.
func (s *shared) count(ctx context.Context, b bucket, r Rate, requests int) (v Verdict, ok bool) {
	asking, probing := s.admit()
	if !asking {
		return v, false
	}
	// A caller that goes away has asked all the same, and says nothing about Redis.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	result, err := s.ask(ctx, b, r, requests)
	if err != nil {
		s.failed(ctx, err)
		return v, false
	}
	if probing {
		s.recovered(ctx)
	}
	v = r.judge(min(max(0, result.ResetAfter-grain), r.capacity()), 0)
	if requests > 0 {
		v.Allowed = result.Allowed > 0
	}
	if v.Allowed {
		v.RetryAfter = 0
	} else {
		v.Remaining = 0
		v.RetryAfter += 2 * grain
	}
	return v, true
}

func (s *shared) ask(ctx context.Context, b bucket, r Rate, requests int) (*redis_rate.Result, error) {
	limit := redis_rate.Limit{Rate: r.Requests, Burst: r.Requests, Period: r.capacity()}
	result, err := s.limiter.AllowN(ctx, b.key(), limit, requests)
	if err == nil && result.ResetAfter > r.capacity()+grain {
		// Redis' clock went back. The bucket would not refill for as long.
		err = s.limiter.Reset(ctx, b.key())
	}
	return result, err
}

// key is what a bucket is called in Redis, where "rate:" is put before it.
func (b bucket) key() string { return "gathering:" + hex.EncodeToString(b[:]) }

// admit reports whether Redis is to be asked now, and whether that is to see
// whether it is back.
func (s *shared) admit() (asking, probing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.away {
		return true, false
	}
	now := time.Now()
	if now.Before(s.again) {
		return false, false
	}
	s.again = now.Add(pause)
	return true, true
}

func (s *shared) failed(ctx context.Context, err error) {
	s.mu.Lock()
	quiet := s.away || s.closed
	s.away, s.again = true, time.Now().Add(pause)
	s.mu.Unlock()
	if !quiet {
		s.logger.WarnContext(ctx, "rate limits are not shared for now: redis failed", slog.String("error", s.redacted(err)))
	}
}

func (s *shared) recovered(ctx context.Context) {
	s.mu.Lock()
	before := s.away
	s.away = false
	s.mu.Unlock()
	if before {
		s.logger.InfoContext(ctx, "rate limits are shared again")
	}
}

// close ends the connections. That there are none is then nothing to tell.
func (s *shared) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.client.Close()
}

// redacted is the text of an error without the password, which a server that
// is not Redis may send back.
func (s *shared) redacted(err error) string {
	if s.password == "" {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), s.password, "…")
}

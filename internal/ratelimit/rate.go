package ratelimit

import (
	"strconv"
	"strings"
	"time"

	"gathering"
)

// The bounds of a rate. Its requests are at least a microsecond apart, which
// is what Redis' clock can tell.
const (
	maxRequests = 1_000_000
	minPer      = time.Second
	maxPer      = 24 * time.Hour
)

// Rate is a bucket of Requests, from 1 to 1,000,000, that refills evenly over
// Per, from 1 s to 24 h. Any other, such as the zero Rate, lets nothing
// through. In JSON it is the text that [ParseRate] reads.
type Rate struct {
	Requests int           `json:"-"`
	Per      time.Duration `json:"-"`
}

// ParseRate reads a rate written as requests/period, where the period is s,
// min, h or a duration: "10/min", "5/s", "600/1h30m". Its error is invalid and
// says what would be right.
func ParseRate(text string) (Rate, error) {
	requests, period, _ := strings.Cut(text, "/")
	for _, u := range units() {
		if period == u.name {
			period = u.per.String()
		}
	}
	n, err := strconv.ParseUint(requests, 10, 31)
	per, perErr := time.ParseDuration(period)
	r := Rate{int(n), per}
	if err != nil || perErr != nil || !r.valid() {
		return Rate{}, gathering.NewError(gathering.KindInvalid, `a rate is a number of requests from 1 to %d, a slash, and s, min, h or a duration from 1s to 24h, such as "30/min" or "600/1h30m"`, maxRequests)
	}
	return r, nil
}

// String is the rate as [ParseRate] reads it.
func (r Rate) String() string {
	period := r.Per.String()
	for _, u := range units() {
		if r.Per == u.per {
			period = u.name
		}
	}
	return strconv.Itoa(r.Requests) + "/" + period
}

type unit struct {
	name string
	per  time.Duration
}

// units are the periods with a name.
func units() []unit {
	return []unit{{"s", time.Second}, {"min", time.Minute}, {"h", time.Hour}}
}

// MarshalText writes the rate as [ParseRate] reads it.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the rate by [ParseRate].
func (r *Rate) UnmarshalText(text []byte) error {
	parsed, err := ParseRate(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

func (r Rate) valid() bool {
	return 1 <= r.Requests && r.Requests <= maxRequests && minPer <= r.Per && r.Per <= maxPer
}

// interval is the time in which one request is refilled. It is rounded up, so
// that no more than the rate is let through.
func (r Rate) interval() time.Duration {
	n := time.Duration(r.Requests)
	return (r.Per + n - 1) / n
}

// capacity is the time in which an empty bucket is full again.
func (r Rate) capacity() time.Duration { return r.interval() * time.Duration(r.Requests) }

// judge takes a number of requests, 0 or 1, out of a bucket that would be full
// again after a while. The verdict's Reset is that of the bucket it leaves.
func (r Rate) judge(full time.Duration, requests int) Verdict {
	each, room := r.interval(), r.capacity()-full
	v := Verdict{Limit: r.Requests, Allowed: room >= each}
	if v.Allowed {
		room -= each * time.Duration(requests)
	} else {
		v.RetryAfter = each - room
	}
	v.Remaining = int(room / each)
	v.Reset = r.capacity() - room
	return v
}

package safedial

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest delay that an answer is believed to mean.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads the Retry-After of an answer's header: seconds, or a time,
// which is taken relative to the answer's Date. It returns 0 where there is
// none, and never more than a day.
func RetryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if !(seconds > 0) { // also what is no number
			return 0
		}
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, min(until.Sub(date), maxRetryAfter))
}

package ratelimit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/ratelimit"
)

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		rate ratelimit.Rate
		text string // as it is written; "": as it was read
	}{
		"10/min":      {rate: ratelimit.Rate{Requests: 10, Per: time.Minute}},
		"1/s":         {rate: ratelimit.Rate{Requests: 1, Per: time.Second}},
		"120/h":       {rate: ratelimit.Rate{Requests: 120, Per: time.Hour}},
		"1000000/s":   {rate: ratelimit.Rate{Requests: 1_000_000, Per: time.Second}},
		"600/1h30m":   {rate: ratelimit.Rate{Requests: 600, Per: 90 * time.Minute}, text: "600/1h30m0s"},
		"600/1h30m0s": {rate: ratelimit.Rate{Requests: 600, Per: 90 * time.Minute}},
		"5/60s":       {rate: ratelimit.Rate{Requests: 5, Per: time.Minute}, text: "5/min"},
		"007/24h":     {rate: ratelimit.Rate{Requests: 7, Per: 24 * time.Hour}, text: "7/24h0m0s"},
		"3/1.5s":      {rate: ratelimit.Rate{Requests: 3, Per: 1500 * time.Millisecond}},
	} {
		got, err := ratelimit.ParseRate(text)
		if err != nil || got != want.rate {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want.rate)
		}
		if want.text == "" {
			want.text = text
		}
		if got := got.String(); got != want.text {
			t.Errorf("%q is written as %q, want %q", text, got, want.text)
		}
	}
}

func TestParseRateSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	const want = `a rate is a number of requests from 1 to 1000000, a slash, and s, min, h or a duration from 1s to 24h, such as "30/min" or "600/1h30m"`
	for _, text := range []string{
		"", "/", "10", "10/", "/min", "0/min", "-1/min", "+1/min", "1.5/s", "1e3/s", "10/m", "10/minute", "10/ min", "10 /min",
		"10/min/s", "10/0s", "10/999ms", "10/-1s", "10/24h0m1s", "10/d", "1000001/s", "99999999999999999999/s", strings.Repeat("9", 100) + "/s",
	} {
		got, err := ratelimit.ParseRate(text)
		if gathering.KindOf(err) != gathering.KindInvalid || err.Error() != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestRateInSettings(t *testing.T) {
	t.Parallel()
	type settings struct {
		SignIn ratelimit.Rate `json:"sign_in"`
		Write  ratelimit.Rate `json:"write"`
	}
	const text = `{"sign_in":"10/min","write":"30/1m30s"}`
	want := settings{ratelimit.Rate{Requests: 10, Per: time.Minute}, ratelimit.Rate{Requests: 30, Per: 90 * time.Second}}
	var got settings
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if written, err := json.Marshal(got); err != nil || string(written) != text {
		t.Errorf("written: %s, %v, want %s", written, err, text)
	}
	if err := json.Unmarshal([]byte(`{"sign_in":"often"}`), &got); gathering.KindOf(err) != gathering.KindInvalid || got != want {
		t.Errorf("got %+v, %v, want it invalid and nothing changed", got, err)
	}
}

func FuzzParseRate(f *testing.F) {
	f.Add("10/min")
	f.Add("600/1h30m")
	f.Fuzz(func(t *testing.T, text string) {
		rate, err := ratelimit.ParseRate(text)
		if err != nil {
			return
		}
		again, err := ratelimit.ParseRate(rate.String())
		if err != nil || again != rate {
			t.Errorf("%q is %+v, written %q, which is %+v, %v", text, rate, rate, again, err)
		}
	})
}

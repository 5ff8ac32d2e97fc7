package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/event"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var at = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

// shelf keeps blobs by hash.
type shelf map[string][]byte

func (s shelf) fetch(_ context.Context, hash string) ([]byte, error) {
	data, ok := s[hash]
	if !ok {
		return nil, errors.New("no such blob")
	}
	return data, nil
}

// roundTrip packs events and unpacks them again.
func roundTrip(t *testing.T, events []gathering.Event) (event.Row, shelf) {
	t.Helper()
	row, blobs, err := event.Pack(events)
	if err != nil {
		t.Fatal(err)
	}
	kept := shelf{}
	for _, b := range blobs {
		kept[b.Hash] = b.Data
	}
	got, err := event.Unpack(t.Context(), row, kept.fetch)
	if err != nil {
		t.Fatal(err)
	}
	sameData := cmp.Comparer(func(a, b json.RawMessage) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) })
	if diff := cmp.Diff(events, got, sameData); diff != "" {
		t.Errorf("events came back changed (-packed +unpacked):\n%.2000s", diff)
	}
	return row, kept
}

func text(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }

func TestPack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		events []gathering.Event
		blobs  int
	}{
		{"no data", []gathering.Event{{Type: "run.started"}}, 0},
		{"nodes, items and attempts", []gathering.Event{
			{Type: "node.started", Node: "a", Attempt: 1},
			{Type: "node.started", Node: "a", Item: new(0), Attempt: 2, Data: json.RawMessage(`{"input":null}`)},
			{Type: "node.started", Node: "a", Item: new(7)},
		}, 0},
		{"names that need quoting", []gathering.Event{
			{Type: "a\"b", Node: `\ " <&>`, Data: json.RawMessage(`1`)}, {Type: "é", Node: "\u2028\x00\x7f~"},
		}, 0},
		{"times that go on, stand still and go back", []gathering.Event{
			{Type: "a", At: at},
			{Type: "b", At: at.Add(time.Microsecond)},
			{Type: "c", At: at.Add(time.Microsecond)},
			{Type: "d", At: at.Add(-time.Hour)},
			{Type: "e", At: at.Add(1000 * time.Hour)},
		}, 0},
		{"before 1970", []gathering.Event{{Type: "a", At: time.UnixMicro(-1).UTC()}, {Type: "b", At: time.UnixMicro(0).UTC()}}, 0},
		{"data of every kind", []gathering.Event{
			{Type: "a", Data: json.RawMessage(`null`)},
			{Type: "b", Data: json.RawMessage(`false`)},
			{Type: "c", Data: json.RawMessage(`[123456789012345678901234567890,1.10,-0.0]`)},
			{Type: "d", Data: json.RawMessage(`{"a":"<b>&é\u0000","":{}}`)},
		}, 0},
		{"as long as a row takes", []gathering.Event{{Type: "a", Data: text(event.MaxInline)}}, 0},
		{"a byte longer", []gathering.Event{{Type: "a", Data: text(event.MaxInline + 1)}, {Type: "b", Data: text(2)}}, 1},
		{"two of the same content", []gathering.Event{
			{Type: "a", Data: text(event.MaxInline + 9)}, {Type: "b", Data: text(event.MaxInline + 9)},
		}, 1},
		{"long data that is not compact", []gathering.Event{
			{Type: "a", Data: json.RawMessage("[ " + strings.Repeat("1, ", event.MaxInline/3) + " 2 ]")},
		}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for i := range test.events {
				test.events[i].Stream, test.events[i].Seq = "run_1", int64(41+i)
				if test.events[i].At.IsZero() {
					test.events[i].At = at
				}
			}
			row, blobs := roundTrip(t, test.events)
			if got, want := row.Last, int64(40+len(test.events)); row.Seq != 41 || got != want || row.Stream != "run_1" {
				t.Errorf("got a row of %s from %d to %d, want run_1 from 41 to %d", row.Stream, row.Seq, got, want)
			}
			if len(blobs) != test.blobs {
				t.Errorf("got %d blobs, want %d", len(blobs), test.blobs)
			}
		})
	}
}

func TestPackRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{`, `}`, `1,2`, `]`, "\x00", `"a`} {
		if row, _, err := event.Pack([]gathering.Event{{Stream: "run_1", Seq: 1, Type: "a", Data: json.RawMessage(data)}}); err == nil {
			t.Errorf("%q is packed as %q", data, row.Rows)
		}
	}
}

func FuzzPack(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, []byte(`{"a":1}`))
	}
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		value := gathering.CompactJSON(data)
		events := make([]gathering.Event, 1+r.IntN(20))
		for i := range events {
			e := gathering.Event{
				Stream: "run_1", Seq: seed2seq(seed) + int64(i), Type: gathering.EventType([]string{"run.started", "node.started", "step.model"}[r.IntN(3)]),
				At:   at.Add(time.Duration(r.Int64N(1e12)) * time.Microsecond),
				Node: []string{"", "a", "node_2"}[r.IntN(3)], Attempt: r.IntN(3),
			}
			if r.IntN(2) == 0 {
				e.Item = new(r.IntN(1000))
			}
			switch r.IntN(4) {
			case 0:
				e.Data = value
			case 1:
				e.Data = text(event.MaxInline - 2 + r.IntN(5))
			case 2:
				e.Data = text(2 + r.IntN(4000))
			}
			events[i] = e
		}
		roundTrip(t, events)
	})
}

func seed2seq(seed uint64) int64 { return int64(seed>>2) + 1 }

func TestUnpackRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	good, blobs, err := event.Pack([]gathering.Event{{Stream: "run_1", Seq: 3, Type: "a", At: at, Data: text(event.MaxInline + 1)}})
	if err != nil {
		t.Fatal(err)
	}
	whole := shelf{blobs[0].Hash: blobs[0].Data}
	tests := []struct {
		name   string
		change func(r *event.Row)
		blobs  shelf
		want   string
	}{
		{"a newer format", func(r *event.Row) { r.Version = event.FormatVersion + 1 }, whole, "unpack run_1 at 3: format 2 is newer than this program"},
		{"no bytes", func(r *event.Row) { r.Rows = nil }, whole, "unpack run_1 at 3: "},
		{"an unknown codec", func(r *event.Row) { r.Rows = []byte{0xee, 1} }, whole, "unpack run_1 at 3: "},
		{"cut short", func(r *event.Row) { r.Rows = r.Rows[:len(r.Rows)-3] }, whole, "unpack run_1 at 3: "},
		{"compressed and cut short", func(r *event.Row) { r.Rows = codec.Encode(bytes.Repeat([]byte(" "), 9000))[:9] }, whole, "unpack run_1 at 3: "},
		{"no list", func(r *event.Row) { r.Rows = codec.Encode([]byte(`{"t":"a"}`)) }, whole, "unpack run_1 at 3: "},
		{"a blob that is gone", func(*event.Row) {}, shelf{}, "fetch the data of run_1 at 3: no such blob"},
		{"a blob that is damaged", func(*event.Row) {}, shelf{blobs[0].Hash: {}}, "decode the data of run_1 at 3: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			row := good
			row.Rows = bytes.Clone(good.Rows)
			test.change(&row)
			events, err := event.Unpack(t.Context(), row, test.blobs.fetch)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || events != nil {
				t.Errorf("got %v, %v, want an error %q", events, err, test.want)
			}
		})
	}
}

// FuzzUnpack reads rows that may be damaged: whatever they hold, the answer is
// events or an error.
func FuzzUnpack(f *testing.F) {
	row, _, err := event.Pack([]gathering.Event{
		{Stream: "run_1", Seq: 1, Type: "a", At: at, Node: "n", Item: new(1), Attempt: 2, Data: text(100)},
		{Stream: "run_1", Seq: 2, Type: "b", At: at, Data: text(event.MaxInline + 1)},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row.Rows, int64(1), at.UnixMicro(), []byte{0, '1'})
	f.Add([]byte("\x00[{\"t\":\"a\",\"l\":-9223372036854775808,\"b\":\"x\"}]"), int64(-5), int64(-1<<63), []byte{})
	f.Add([]byte("\x00null"), int64(0), int64(0), []byte{1})
	f.Add([]byte("\x00[null]"), int64(0), int64(0), []byte{2})
	f.Fuzz(func(t *testing.T, rows []byte, seq, micros int64, blob []byte) {
		row := event.Row{Stream: "run_1", Seq: seq, At: micros, Version: event.FormatVersion, Rows: rows}
		events, err := event.Unpack(t.Context(), row, func(context.Context, string) ([]byte, error) { return blob, nil })
		if err != nil && events != nil {
			t.Errorf("got events beside the error %v", err)
		}
		for i, e := range events {
			if e.Stream != "run_1" || e.Seq != seq+int64(i) {
				t.Errorf("got %s %d, want run_1 %d", e.Stream, e.Seq, seq+int64(i))
			}
		}
	})
}

package codec_test

import (
	"bytes"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/codec"
)

func TestCodec(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		document []byte
		header   byte
		most     int // bytes stored
	}{
		{"empty", nil, 0, 1},
		{"short", []byte(`{"a":1}`), 0, 8},
		{"long", []byte(strings.Repeat(`{"a":1}`, 1000)), 1, 100},
		{"largest value", bytes.Repeat([]byte("0123456789abcdef"), gathering.MaxValueBytes/16), 1, 1 << 20},
		{"long and dense", dense(5000), 0, 5001},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stored := codec.Encode(test.document)
			if stored[0] != test.header || len(stored) > test.most {
				t.Errorf("stored as header %d and %d bytes, want %d and at most %d", stored[0], len(stored), test.header, test.most)
			}
			got, err := codec.Decode(stored)
			if err != nil || !bytes.Equal(got, test.document) {
				t.Errorf("%d bytes came back as %d (%v)", len(test.document), len(got), err)
			}
		})
	}
}

// dense is bytes that nothing makes shorter: a linear congruential generator's.
func dense(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestDecodeFaults(t *testing.T) {
	t.Parallel()
	long := codec.Encode([]byte(strings.Repeat("a", 10000)))
	bomb := codec.Encode(make([]byte, 64<<20))
	tests := []struct {
		name   string
		stored []byte
		want   string
	}{
		{"nothing", nil, "it has no header"},
		{"unknown header", []byte{9, 1}, "header 0x9 is unknown"},
		{"encrypted", []byte{2, 1}, "it is encrypted"},
		{"cut short", long[:len(long)-3], "decode a stored document"},
		{"more than a document may be", append(bomb, bomb[1:]...), "decode a stored document"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := codec.Decode(test.stored); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func FuzzCodec(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("short"))
	f.Add([]byte(strings.Repeat("long ", 1000)))
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := codec.Decode(codec.Encode(document))
		if err != nil || !bytes.Equal(got, document) {
			t.Errorf("%q came back as %q (%v)", document, got, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(codec.Encode([]byte("short")))
	f.Add(codec.Encode([]byte(strings.Repeat("long ", 1000))))
	f.Fuzz(func(t *testing.T, stored []byte) {
		document, err := codec.Decode(stored)
		if err == nil && len(document) > 64<<20 {
			t.Errorf("%d bytes grew to %d", len(stored), len(document))
		}
	})
}

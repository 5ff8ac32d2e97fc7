// Package codec is the form in which documents are stored.
package codec

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The first byte of a stored document says how the rest is to be read.
const (
	raw            = 0
	compressedZstd = 1
)

// Encrypted is the first byte of what a keyring encrypted.
const Encrypted = 2

const (
	compressFrom = 2 << 10  // bytes; what is shorter gains too little
	decodeLimit  = 64 << 20 // bytes a stored document may grow to
)

// tables holds the tables that compressing needs, which take long to make.
type tables struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// compression is made once: both halves are used through their stateless,
// concurrent methods alone.
//
//nolint:gochecknoglobals // tables of constants, too slow to make for each document
var compression = sync.OnceValue(func() *tables {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	if err != nil {
		panic(err) // the options are constants
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(decodeLimit))
	if err != nil {
		panic(err) // the options are constants
	}
	return &tables{encoder, decoder}
})

// Encode is the form in which a document is stored: a header byte and the
// document, compressed if that makes it shorter.
func Encode(document []byte) []byte {
	stored := make([]byte, 1+len(document))
	copy(stored[1:], document)
	return Seal(stored)
}

// Seal is [Encode] for a document that stands behind one free byte. Its memory
// is the result's from then on.
func Seal(stored []byte) []byte {
	if document := stored[1:]; len(document) >= compressFrom && len(document) <= decodeLimit {
		compressed := make([]byte, 1, len(document)/2+64)
		compressed[0] = compressedZstd
		compressed = compression().encoder.EncodeAll(document, compressed)
		if len(compressed) <= len(document) {
			return compressed
		}
	}
	stored[0] = raw
	return stored
}

// Decode is the document that [Encode] stored. The result may share memory
// with stored.
func Decode(stored []byte) ([]byte, error) {
	if len(stored) == 0 {
		return nil, fmt.Errorf("decode a stored document: it has no header")
	}
	switch stored[0] {
	case raw:
		return stored[1:], nil
	case compressedZstd:
		document, err := compression().decoder.DecodeAll(stored[1:], nil)
		if err != nil {
			return nil, fmt.Errorf("decode a stored document: %w", err)
		}
		return document, nil
	case Encrypted:
		return nil, fmt.Errorf("decode a stored document: it is encrypted")
	}
	return nil, fmt.Errorf("decode a stored document: its header %#x is unknown", stored[0])
}

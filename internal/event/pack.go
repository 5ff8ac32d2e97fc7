package event

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"gathering"
	"gathering/internal/codec"
)

// FormatVersion is the version of the rows that [Pack] writes. Every version
// that was ever released stays readable.
const FormatVersion = 1

const (
	// MaxInline is the size in bytes up to which an event's data is kept in its
	// row; longer data is kept beside it as a blob.
	MaxInline = 32 << 10
	// maxRow is how many bytes of data one row gathers before all but short
	// data is kept beside it.
	maxRow   = 1 << 20
	shortest = 1 << 10
)

// Blob is an event's data that is kept beside its row, named by its SHA-256 in hex.
type Blob struct {
	Hash string
	Data []byte // as a document is stored
}

// NewBlob names data by its content.
func NewBlob(data []byte) Blob {
	sum := sha256.Sum256(data)
	return Blob{Hash: hex.EncodeToString(sum[:]), Data: codec.Encode(data)}
}

// packed is one event of a row. What all events of a row share, or what counts
// up, is in the row's columns.
type packed struct {
	Type    gathering.EventType `json:"t"`
	Later   int64               `json:"l,omitempty"` // microseconds after the row's first event
	Node    string              `json:"n,omitempty"`
	Item    *int                `json:"i,omitempty"`
	Attempt int                 `json:"a,omitempty"`
	Data    json.RawMessage     `json:"d,omitempty"`
	Blob    string              `json:"b,omitempty"`
}

// Row is a row of a log: the events of one commit.
type Row struct {
	Stream  string
	Seq     int64 // of the first event
	Last    int64 // of the last event
	At      int64 // of the first event, microseconds since 1970
	Version int
	Rows    []byte
}

// Pack packs the events of one commit, which follow one another in one stream.
func Pack(events []gathering.Event) (Row, []Blob, error) {
	first := events[0]
	row := Row{
		Stream: first.Stream, Seq: first.Seq, Last: events[len(events)-1].Seq,
		At: first.At.UnixMicro(), Version: FormatVersion,
	}
	var blobs []Blob
	size, inline := 16, 0
	for _, e := range events {
		size += 64 + len(e.Type) + len(e.Node) + min(len(e.Data), MaxInline)
	}
	b := append(make([]byte, 1, size), '[')
	for i, e := range events {
		p := packed{
			Type: e.Type, Later: e.At.UnixMicro() - row.At,
			Node: e.Node, Item: e.Item, Attempt: e.Attempt, Data: e.Data,
		}
		inline += len(e.Data)
		if len(e.Data) > MaxInline || inline > maxRow && len(e.Data) > shortest {
			blob := NewBlob(e.Data)
			p.Data, p.Blob = nil, blob.Hash
			blobs = append(blobs, blob)
			inline -= len(e.Data)
		}
		if len(p.Data) > 0 && !json.Valid(p.Data) {
			return Row{}, nil, fmt.Errorf("pack %s of %s: its data is no JSON", e.Type, e.Stream)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = p.append(b)
	}
	row.Rows = codec.Seal(append(b, ']'))
	return row, blobs, nil
}

// append appends what [json.Marshal] would, at a fraction of its cost: every
// commit of every run passes here.
func (p *packed) append(b []byte) []byte {
	b = appendText(append(b, `{"t":`...), string(p.Type))
	if p.Later != 0 {
		b = strconv.AppendInt(append(b, `,"l":`...), p.Later, 10)
	}
	if p.Node != "" {
		b = appendText(append(b, `,"n":`...), p.Node)
	}
	if p.Item != nil {
		b = strconv.AppendInt(append(b, `,"i":`...), int64(*p.Item), 10)
	}
	if p.Attempt != 0 {
		b = strconv.AppendInt(append(b, `,"a":`...), int64(p.Attempt), 10)
	}
	if len(p.Data) > 0 {
		b = append(append(b, `,"d":`...), p.Data...)
	}
	if p.Blob != "" {
		b = appendText(append(b, `,"b":`...), p.Blob)
	}
	return append(b, '}')
}

// appendText appends text as a JSON string.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c > '~' {
			quoted, err := json.Marshal(text)
			if err != nil {
				panic(err) // every string can be quoted
			}
			return append(b, quoted...)
		}
	}
	b = append(append(b, '"'), text...)
	return append(b, '"')
}

// Unpack returns the events of a row. Blob fetches data that is kept beside it.
func Unpack(ctx context.Context, row Row, blob func(ctx context.Context, hash string) ([]byte, error)) ([]gathering.Event, error) {
	if row.Version != FormatVersion {
		return nil, fmt.Errorf("unpack %s at %d: format %d is newer than this program", row.Stream, row.Seq, row.Version)
	}
	text, err := codec.Decode(row.Rows)
	if err != nil {
		return nil, fmt.Errorf("unpack %s at %d: %w", row.Stream, row.Seq, err)
	}
	var list []packed
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("unpack %s at %d: %w", row.Stream, row.Seq, err)
	}
	events := make([]gathering.Event, len(list))
	for i, p := range list {
		events[i] = gathering.Event{
			Stream: row.Stream, Seq: row.Seq + int64(i), Type: p.Type,
			At:   time.UnixMicro(row.At + p.Later).UTC(),
			Node: p.Node, Item: p.Item, Attempt: p.Attempt, Data: p.Data,
		}
		if p.Blob == "" {
			continue
		}
		stored, err := blob(ctx, p.Blob)
		if err != nil {
			return nil, fmt.Errorf("fetch the data of %s at %d: %w", row.Stream, events[i].Seq, err)
		}
		if events[i].Data, err = codec.Decode(stored); err != nil {
			return nil, fmt.Errorf("decode the data of %s at %d: %w", row.Stream, events[i].Seq, err)
		}
	}
	return events, nil
}

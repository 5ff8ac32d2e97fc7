package expr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"gathering"
)

// encoder writes what expressions compute with as JSON.
type encoder struct {
	out   []byte
	depth int
}

// encode returns value as JSON, within the limits of a value.
func encode(value ref.Val) (json.RawMessage, error) {
	e := encoder{}
	if err := e.value(value); err != nil {
		return nil, err
	}
	return e.out, nil
}

func errTooLarge() error {
	return gathering.NewError(gathering.KindTooLarge, "the result is over the limit of 16 MiB").
		WithCode(gathering.CodeOutputTooLarge)
}

func errTooDeep() error {
	return gathering.NewError(gathering.KindInvalid, "the result is nested too deeply; the limit is %d", gathering.MaxValueDepth)
}

func (e *encoder) value(value ref.Val) error {
	if len(e.out) > gathering.MaxValueBytes {
		return errTooLarge()
	}
	switch v := value.(type) {
	case types.Null:
		e.out = append(e.out, "null"...)
	case types.Bool:
		e.out = strconv.AppendBool(e.out, bool(v))
	case types.Int:
		e.out = strconv.AppendInt(e.out, int64(v), 10)
	case types.Uint:
		e.out = strconv.AppendUint(e.out, uint64(v), 10)
	case wideInt:
		e.out = append(e.out, v...)
	case types.Double:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return gathering.NewError(gathering.KindInvalid, "the result is not a finite number")
		}
		e.out = appendDouble(e.out, float64(v))
	case types.String:
		e.out = appendString(e.out, string(v))
	case types.Bytes:
		e.out = appendString(e.out, base64.StdEncoding.EncodeToString(v))
	case types.Timestamp:
		e.out = appendString(e.out, v.Time.UTC().Format(time.RFC3339Nano))
	case types.Duration:
		e.out = appendString(e.out, v.String())
	case *types.Optional:
		if !v.HasValue() {
			e.out = append(e.out, "null"...)
			return nil
		}
		return e.value(v.GetValue())
	case *object:
		return e.text(v.text)
	case *list:
		return e.text(v.text)
	case traits.Mapper:
		return e.object(v)
	case traits.Lister:
		return e.elements("[]", v.Iterator(), e.value)
	default:
		return gathering.NewError(gathering.KindInvalid, "the result is a %s, which has no JSON form", value.Type().TypeName())
	}
	return nil
}

// text appends JSON that was there before.
func (e *encoder) text(text []byte) error {
	if e.depth > 0 && e.depth+depthOf(text) > gathering.MaxValueDepth {
		return errTooDeep()
	}
	if len(e.out)+len(text) > gathering.MaxValueBytes {
		return errTooLarge()
	}
	e.out = append(e.out, text...)
	return nil
}

func (e *encoder) object(value traits.Mapper) error {
	return e.elements("{}", value.Iterator(), func(key ref.Val) error {
		name, ok := key.(types.String)
		if !ok {
			return gathering.NewError(gathering.KindInvalid, "an object's keys must be strings; write string(…) around the key")
		}
		e.out = append(appendString(e.out, string(name)), ':')
		return e.value(value.Get(key))
	})
}

// elements writes what each writes for every element between the two braces.
func (e *encoder) elements(braces string, it traits.Iterator, each func(ref.Val) error) error {
	if e.depth++; e.depth > gathering.MaxValueDepth {
		return errTooDeep()
	}
	e.out = append(e.out, braces[0])
	for first := true; it.HasNext() == types.True; first = false {
		if !first {
			e.out = append(e.out, ',')
		}
		if err := each(it.Next()); err != nil {
			return err
		}
	}
	e.out = append(e.out, braces[1])
	e.depth--
	return nil
}

// appendDouble writes f in the shortest form that reads back as f, without an
// exponent where people would write none.
func appendDouble(out []byte, f float64) []byte {
	size := math.Abs(f)
	if size != 0 && (size < 1e-6 || size >= 1e21) {
		return strconv.AppendFloat(out, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(out, f, 'f', -1, 64)
}

// appendString writes s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	return append(appendEscaped(out, s), '"')
}

// appendEscaped writes s as the inside of a JSON string.
func appendEscaped(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				out = append(out, s[start:i]...)
				out = append(out, "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		out = append(out, s[start:i]...)
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(out, s[start:]...)
}

// appendInText writes JSON text the way it reads inside other text: a string
// as it is, null as nothing, objects and lists without space.
func appendInText(out []byte, text json.RawMessage) []byte {
	text = trim(text)
	if len(text) == 0 {
		return out
	}
	switch text[0] {
	case '"':
		return append(out, text[1:len(text)-1]...)
	case 'n':
		return out
	case '{', '[':
		return appendEscaped(out, string(appendCompact(nil, text)))
	}
	return append(out, text...)
}

// appendCompact writes JSON text without insignificant space.
func appendCompact(out []byte, text json.RawMessage) []byte {
	compact := bytes.NewBuffer(out)
	if json.Compact(compact, text) != nil {
		return append(out, text...)
	}
	return compact.Bytes()
}

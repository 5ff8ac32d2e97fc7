package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"gathering"
)

// portable checks statement parameters and turns them into the few types that
// both databases take alike. Text that PostgreSQL could not store (with a NUL,
// or not UTF-8) is refused here, on both databases and before anything is sent.
func portable(args []any) ([]any, error) {
	out := make([]any, len(args))
	for i, arg := range args {
		v, err := portableValue(arg)
		if err != nil {
			return nil, fmt.Errorf("parameter $%d: %w", i+1, err)
		}
		out[i] = v
	}
	return out, nil
}

func portableValue(arg any) (any, error) {
	switch v := arg.(type) {
	case nil, int64:
		return arg, nil
	case string:
		return arg, checkText(v)
	case []byte:
		if v != nil {
			return arg, nil
		}
	case int:
		return int64(v), nil
	case json.RawMessage:
		if v != nil {
			return string(v), checkText(string(v))
		}
	case driver.Valuer:
		inner, err := v.Value()
		if err != nil {
			return nil, fmt.Errorf("take its value: %w", err)
		}
		return portableKind(inner)
	}
	return portableKind(arg)
}

// portableKind is the slow way, for types made from strings, integers or bytes
// and for pointers to them. Every nil is NULL.
func portableKind(arg any) (value any, err error) {
	v := reflect.ValueOf(arg)
	switch v.Kind() {
	case reflect.Invalid:
		return value, nil
	case reflect.Pointer:
		if v.IsNil() {
			return value, nil
		}
		return portableValue(v.Elem().Interface())
	case reflect.String:
		return v.String(), checkText(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			break
		}
		if v.IsNil() {
			return value, nil
		}
		return v.Bytes(), nil
	default:
	}
	return nil, fmt.Errorf("a %T is stored differently by the two databases; pass a string, an int64 or bytes", arg)
}

func checkText(s string) error {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return gathering.NewError(gathering.KindInvalid, "text with a NUL character cannot be stored")
	case !utf8.ValidString(s):
		return gathering.NewError(gathering.KindInvalid, "text that is not valid UTF-8 cannot be stored")
	}
	return nil
}

package gathering_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gathering"
)

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, value, want string
	}{
		{"object", `{"a": [1, {"b": "x\n"}], "c": null}`, ""},
		{"null byte", `{"a":"\u0000"}`, ""},
		{"pair", `"\ud83d\ude00"`, ""},
		{"huge integer", `123456789012345678901234567890`, ""},
		{"empty object", ` { } `, ""},
		{"deep enough", deep(gathering.MaxValueDepth), ""},
		{"lone high", `{"a":["\ud83d"]}`, "input.a[0] holds half of a surrogate pair"},
		{"lone low", `{"a":"\ude00"}`, "input.a holds half of a surrogate pair"},
		{"high then text", `"\ud83dx"`, "input holds half of a surrogate pair"},
		{"lone in key", `{"\ud83d":1}`, "input holds half of a surrogate pair"},
		{"beyond float", `{"n": 1e999}`, "input.n is a number beyond the range of a 64-bit float"},
		{"too deep", deep(gathering.MaxValueDepth + 2), "nested too deeply"},
		{"twice", `{"a": 1, "b": [{"c": 1, "d": 2, "c": 3}]}`, "input.b[0].c is there twice"},
		{"twice, spelled in two ways", `{"a\"é": 1, "\u0061\u0022\u00e9": 2}`, `input.\u0061\u0022\u00e9 is there twice`},
		{"twice among many", `{"n0": 1` + names(1000) + `, "n777": 2}`, "input.n777 is there twice"},
		{"many", `{"n0": 1` + names(1000) + `}`, ""},
		{"alike in different objects", `{"a": {"a": 1}, "A": [{"a": 1}, {"a": 2}]}`, ""},
		{"not JSON", `{"a"}`, "input is not valid JSON"},
		{"nothing", ``, "input is not valid JSON"},
		{"not UTF-8", "\"\xff\"", "input is not valid UTF-8"},
		{"too long", `"` + strings.Repeat("x", gathering.MaxValueBytes) + `"`, "the limit is"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := gathering.CheckJSON("input", []byte(test.value))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// names are n members of an object.
func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `, "n%d": 1`, i+1)
	}
	return b.String()
}

func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,"\u00e9\ud83d\ude00"]}`, `[[[]]]`, `"\ud800"`, `{"a":1,"\u0061":2}`, `-0`, `{"a":{"b":null}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		err := gathering.CheckJSON("v", value)
		if err == nil && !json.Valid(value) {
			t.Errorf("accepted invalid JSON %q", value)
		}
	})
}

func TestEncodeJSON(t *testing.T) {
	t.Parallel()
	type object struct {
		A string          `json:"a,omitempty"`
		B json.RawMessage `json:"b,omitempty"`
	}
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"plain", object{A: "x", B: json.RawMessage(`[ 1, {"c": 1.50} ]`)}, `{"a":"x","b":[1,{"c":1.50}]}`},
		{"nothing", object{}, `{}`},
		{"HTML", object{A: `<a> & \u003c`, B: json.RawMessage(`"<b>&"`)}, `{"a":"<a> & \\u003c","b":"<b>&"}`},
		{"escaped by whoever wrote it", object{B: json.RawMessage(`"\u003c<"`)}, `{"b":"\u003c<"}`},
		{"separators", object{A: "\u2028", B: json.RawMessage("\"\u2028\"")}, `{"a":"\u2028","b":"` + "\u2028" + `"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := gathering.EncodeJSON(test.value)
			if err != nil || string(got) != test.want {
				t.Errorf("got %s (%v), want %s", got, err, test.want)
			}
		})
	}
	if got, err := gathering.EncodeJSON(object{B: json.RawMessage(`{`)}); err == nil {
		t.Errorf("got %s of what is no JSON", got)
	}
}

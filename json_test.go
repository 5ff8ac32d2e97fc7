package gathering_test

import (
	"encoding/json"
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

func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,"\u00e9\ud83d\ude00"]}`, `[[[]]]`, `"\ud800"`, `-0`, `{"a":{"b":null}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		err := gathering.CheckJSON("v", value)
		if err == nil && !json.Valid(value) {
			t.Errorf("accepted invalid JSON %q", value)
		}
	})
}

package web_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
)

func TestBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		contentType, body string
		want              string
		base64            bool
	}{
		"JSON":                       {"application/json; charset=utf-8", "\uFEFF {\"a\": 1.50} \n", `{"a":1.50}`, false},
		"another JSON":               {"application/problem+json", `[1]`, `[1]`, false},
		"JSON in Latin-1":            {"application/json; charset=iso-8859-1", "\"caf\xe9\"", `"café"`, false},
		"null":                       {"application/json", `null`, `null`, false},
		"nothing":                    {"application/json", "", `null`, false},
		"text":                       {"text/plain", "<é>", `"<é>"`, false},
		"text in Latin-1":            {"text/html; charset=ISO-8859-1", "caf\xe9", `"café"`, false},
		"text in UTF-16":             {"text/plain; charset=utf-16", "\xfe\xff\x00h\x00i", `"hi"`, false},
		"text in Shift JIS":          {"text/csv; charset=Shift_JIS", "\x93\xfa", `"日"`, false},
		"XML":                        {"image/svg+xml", "<svg/>", `"<svg/>"`, false},
		"text in a wrong UTF-8":      {"text/plain; charset=utf-8", "caf\xe9", `"Y2Fm6Q=="`, true},
		"text that is not UTF-8":     {"text/plain", "caf\xe9", `"Y2Fm6Q=="`, true},
		"a wrong charset":            {"text/plain; charset=shift_jis", "\x93", `"kw=="`, true},
		"an unknown charset":         {"text/plain; charset=klingon", "a", `"YQ=="`, true},
		"bytes":                      {"image/png", "\x89PNG", `"iVBORw=="`, true},
		"an unreadable type":         {"///", "a\x00", `"YQA="`, true},
		"an unreadable type of text": {"///", "abc", `"abc"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.contentType)
				io.WriteString(w, test.body)
			})
			a, err := request(t, arguments{"url": s.URL})
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			json.Compact(&got, a.Body)
			if got.String() != test.want || a.Base64 != test.base64 {
				t.Errorf("got %s, base64 %t; want %s, %t", a.Body, a.Base64, test.want, test.base64)
			}
		})
	}
}

func TestFalseJSON(t *testing.T) {
	t.Parallel()
	for body, problem := range map[string]string{
		`{"a":`:       "it is not the JSON it claims to be",
		"<html>":      "it is not the JSON it claims to be",
		"\"\xff\"":    "it is not the JSON it claims to be",
		`["\ud800"]`:  "answer.body[0] holds half of a surrogate pair",
		`{"a":1e999}`: "answer.body.a is a number beyond the range of a 64-bit float",
		strings.Repeat("[", 65) + strings.Repeat("]", 65):                     "answer.body" + strings.Repeat("[0]", 64) + " is nested too deeply; the limit is 64",
		strings.Repeat("[", 20000) + strings.Repeat("]", 20000):               "it is nested too deeply; the limit is 64",
		strings.Repeat(`{"a":`, 20000) + "1e999" + strings.Repeat("}", 20000): "it is nested too deeply; the limit is 64",
		"[" + strings.Repeat("[null],", 20000) + "0":                          "it is not the JSON it claims to be",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, body)
		})
		_, err := request(t, arguments{"method": "POST", "url": s.URL})
		want{
			kind: gathering.KindInvalid,
			text: "POST to " + host(s) + " was answered 200 with a body that cannot be used: " + problem,
		}.check(t, err)
	}
}

func TestHeadersAndURL(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"Set-Cookie", "WWW-Authenticate", "X-Auth-Token", "X-Session-Id", "Proxy-Status", "Alt-Svc"} {
			w.Header().Set(name, "secret")
		}
		w.Header()["Link"] = []string{"<a>", "<b>"}
		w.Header().Set("X-Total", "\xe9")
		w.Header().Set("Date", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.WriteHeader(http.StatusNoContent)
	})
	a, err := request(t, arguments{"url": s.URL + "/x?key=1#part"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answer{
		Status: 204, URL: s.URL + "/x", Body: json.RawMessage("null"),
		Headers: map[string]string{"link": "<a>, <b>", "x-total": "\uFFFD", "date": "Mon, 02 Jan 2006 15:04:05 GMT"},
	}, a); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// TestTooLarge holds that a body is bounded by what it is unpacked, whatever
// the answer says beforehand.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	packed := func(n int) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.CopyN(w, zeros{}, int64(n))
		w.Close()
		return b.Bytes()
	}
	bomb := packed(8 << 20)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		switch r.URL.Path {
		case "/fits":
			w.Write(make([]byte, 100))
		case "/announced":
			w.Header().Set("Content-Length", "101")
			w.Write(make([]byte, 101))
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		case "/unasked":
			w.Header().Set("Content-Encoding", "br")
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("{}"))
		}
	})
	for path, base64 := range map[string]bool{"/fits": false, "/unasked": true} {
		if a, err := request(t, arguments{"url": s.URL + path, "max_bytes": 100}); err != nil || a.Base64 != base64 {
			t.Errorf("%s: got base64 %t, %v; want %t", path, a.Base64, err, base64)
		}
	}
	for _, method := range []string{"GET", "POST"} {
		for _, path := range []string{"/announced", "/endless", "/bomb"} {
			_, err := request(t, arguments{"method": method, "url": s.URL + path, "max_bytes": 100})
			want{
				kind: gathering.KindTooLarge, code: gathering.CodeOutputTooLarge,
				text: "the answer of " + host(s) + " is over the limit of 100 bytes; max_bytes raises it up to 10485760",
			}.check(t, err)
		}
	}
	if a, err := request(t, arguments{"method": "HEAD", "url": s.URL + "/announced", "max_bytes": 100}); err != nil || a.Headers["content-length"] != "101" {
		t.Errorf("HEAD: got %v, %v", a.Headers, err)
	}
	if _, err := request(t, arguments{"url": s.URL + "/bomb"}); gathering.CodeOf(err) != gathering.CodeOutputTooLarge {
		t.Errorf("the default limit: got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestBrokenGzip(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "not packed at all")
	})
	_, err := request(t, arguments{"url": s.URL})
	want{kind: gathering.KindUnavailable, code: gathering.CodeUnanswered, text: host(s) + " broke off before its answer was complete"}.check(t, err)
}

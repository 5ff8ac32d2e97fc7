// Package web is the dashboard: the files that the build in the directory web
// at the top makes, each compressed, as a part of the program.
//
// The program builds without them. It then has a page in their place that says
// how they are made.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"gathering"
	"gathering/internal/httpx"
)

//go:embed all:dist
var dist embed.FS

// built is where the build puts its files, each with .gz behind its name.
const built = "dist/app/"

// Built reports whether the program has the dashboard.
func Built() bool {
	_, err := fs.Stat(dist, built+"index.html.gz")
	return err == nil
}

// file is one that is served.
type file struct {
	packed []byte // by gzip; nil if it is not
	plain  []byte // nil if it is packed
	kind   string // its media type
	tag    string
	named  bool // by its content, so that it never changes
}

// Dashboard serves the pages and what belongs to them.
type Dashboard struct {
	base  string // where it is, from the root of its host; it ends in "/"
	files map[string]file
	index []byte // the page, of which no two answers are the same
}

// New returns the dashboard at a path, "" for the root of its host, as in
// "/gathering".
func New(at string) (*Dashboard, error) {
	d := &Dashboard{base: at + "/", files: map[string]file{}}
	err := fs.WalkDir(dist, strings.TrimSuffix(built, "/"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		d.add(strings.TrimPrefix(name, built), data)
		return nil
	})
	if err != nil && Built() {
		return nil, err
	}
	if page, ok := d.files["index.html"]; ok {
		delete(d.files, "index.html")
		d.index, err = page.text()
		return d, err
	}
	d.index, err = dist.ReadFile("dist/placeholder.html")
	return d, err
}

func (d *Dashboard) add(name string, data []byte) {
	name, packed := strings.CutSuffix(name, ".gz")
	sum := sha256.Sum256(data)
	f := file{
		kind: mime.TypeByExtension(path.Ext(name)), named: strings.HasPrefix(name, "assets/"),
		tag: `W/"` + hex.EncodeToString(sum[:12]) + `"`,
	}
	if packed {
		f.packed = data
	} else {
		f.plain = data
	}
	d.files[name] = f
}

// text is a file's content.
func (f file) text() ([]byte, error) {
	if f.packed == nil {
		return f.plain, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(f.packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// ServeHTTP implements [http.Handler], for the methods GET and HEAD. Whatever is
// no file is a page, which finds out by itself what it shows; only where
// something else than a page is asked for, nothing is there.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	f, ok := d.files[name]
	switch {
	case ok:
		f.serve(w, r)
	case path.Ext(name) == "" && strings.Contains(r.Header.Get("Accept"), "text/html"):
		d.page(w, r)
	default:
		httpx.WriteProblem(w, r, gathering.NewError(gathering.KindNotFound, "there is no such route"))
	}
}

// policy is what the page may load and do: its own files and this service, and
// nothing that stands in the page itself. Of styles that libraries add at run
// time those are let through that know the answer's nonce.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-NONCE'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"

func (d *Dashboard) page(w http.ResponseWriter, r *http.Request) {
	nonce := rand.Text()
	text := strings.NewReplacer(
		`<base href="/"`, `<base href="`+html.EscapeString(d.base)+`"`,
		`property="csp-nonce" nonce=""`, `property="csp-nonce" nonce="`+nonce+`"`,
	).Replace(string(d.index))
	h := w.Header()
	httpx.SetCSP(w, strings.Replace(policy, "NONCE", nonce, 1))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, text) // a client that is gone needs no answer
	}
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if f.named {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.packed
	if body != nil && takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
	} else {
		var err error
		if body, err = f.text(); err != nil {
			httpx.WriteProblem(w, r, err)
			return
		}
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
}

// takesGzip reports whether who asks can unpack an answer.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";")
		if strings.EqualFold(coding, "gzip") {
			return strings.Trim(weight, "q=0.") != "" || weight == ""
		}
	}
	return false
}

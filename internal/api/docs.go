package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gathering/internal/httpx"
)

// The page that tells people of the routes. It loads nothing and runs nothing.
//
//go:embed docs.html
var docsPage string

//go:embed docs.css
var docsStyle string

// docs is what the page tells.
type docs struct {
	Style                template.CSS
	Description, Version string
	Groups               []docsGroup
}

type docsGroup struct {
	Name, Description string
	Operations        []docsOperation
}

type docsOperation struct {
	Operation

	Parameters   []docsField
	Body, Answer []docsField
	BodyRequired bool
}

type docsField struct {
	Name, In, Type, About string
	Required              bool
}

// docsRoute serves the page, which is made once: the routes do not change.
func (a *API) docsRoute() {
	page, err := template.New("docs").Parse(docsPage)
	if err != nil {
		panic(err) // it is part of the program
	}
	var text bytes.Buffer
	if err := page.Execute(&text, a.docs()); err != nil {
		panic(err) // it is made of what the program says of itself
	}
	sum := sha256.Sum256([]byte(docsStyle))
	policy := strings.Replace(httpx.CSPNone, "default-src 'none'", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", 1)
	a.mux.HandleFunc("GET /docs", func(w http.ResponseWriter, _ *http.Request) {
		httpx.SetCSP(w, policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(text.Bytes()) // a client that is gone needs no answer
	})
}

func (a *API) docs() docs {
	api := a.huma.OpenAPI()
	d := docs{Style: template.CSS(docsStyle), Description: description, Version: cmp.Or(a.Version, "unknown")} //nolint:gosec // it is part of the program
	for _, tag := range api.Tags {
		g := docsGroup{Name: tag.Name, Description: tag.Description}
		for _, o := range a.Operations() {
			if o.Tag == tag.Name {
				g.Operations = append(g.Operations, a.docsOf(o, api.Paths[o.Path]))
			}
		}
		d.Groups = append(d.Groups, g)
	}
	return d
}

func (a *API) docsOf(o Operation, path *huma.PathItem) docsOperation {
	told := docsOperation{Operation: o}
	described := map[string]*huma.Operation{
		http.MethodGet: path.Get, http.MethodPost: path.Post, http.MethodPut: path.Put, http.MethodPatch: path.Patch, http.MethodDelete: path.Delete,
	}[o.Method]
	for _, p := range described.Parameters {
		told.Parameters = append(told.Parameters, docsField{Name: p.Name, In: p.In, Type: a.typeOf(p.Schema), About: p.Description, Required: p.Required})
	}
	if body := described.RequestBody; body != nil {
		told.Body, told.BodyRequired = a.fieldsOf(body.Content["application/json"].Schema), body.Required
	}
	if answer := described.Responses[strconv.Itoa(o.Status)]; answer != nil && answer.Content["application/json"] != nil {
		told.Answer = a.fieldsOf(answer.Content["application/json"].Schema)
	}
	return told
}

// named is the schema that a reference names.
func (a *API) named(s *huma.Schema) *huma.Schema {
	for s != nil && s.Ref != "" {
		s = a.huma.OpenAPI().Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// fieldsOf lists the fields of an object, by their names.
func (a *API) fieldsOf(s *huma.Schema) []docsField {
	s = a.named(s)
	if s == nil {
		return nil
	}
	fields := make([]docsField, 0, len(s.Properties))
	for name, property := range s.Properties {
		fields = append(fields, docsField{Name: name, Type: a.typeOf(property), About: property.Description, Required: slices.Contains(s.Required, name)})
	}
	slices.SortFunc(fields, func(x, y docsField) int { return cmp.Compare(x.Name, y.Name) })
	return fields
}

// typeOf is a type in a few words.
func (a *API) typeOf(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return name
	}
	switch {
	case s.Type == huma.TypeArray:
		return "list of " + a.typeOf(s.Items)
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, value := range s.Enum {
			words[i] = fmt.Sprint(value)
		}
		return strings.Join(words, " | ")
	case s.Format != "":
		return s.Format
	default:
		return cmp.Or(s.Type, "any value")
	}
}

// Package demo has the built-in demo: pipelines that tell what a directory
// holds and what changed in it lately.
package demo

import (
	"embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"gathering"
)

//go:embed pipelines
var pipelines embed.FS

// Project is where the demo's pipelines and runs are kept.
const Project gathering.ProjectID = "demo"

// Offline is the model that the pipelines use where they are given no other.
const Offline = "offline/extract"

// Documents returns the demo's pipelines in the order to store them; the last
// one is what to run, with an [Input]. Summaries are written by the model.
func Documents(model string) ([][]byte, error) {
	var documents [][]byte
	for _, name := range []string{"area.yaml", "demo.yaml"} {
		document, err := pipelines.ReadFile("pipelines/" + name)
		if err != nil {
			return nil, fmt.Errorf("read the demo's pipelines: %w", err)
		}
		text := strings.ReplaceAll(string(document), "MODEL", model)
		documents = append(documents, []byte(text))
	}
	return documents, nil
}

// Input is what the demo's pipeline is given.
type Input struct {
	Name string `json:"name"` // of the directory, for people
	Slug string `json:"slug"` // the same as part of a path
}

// maxSlug bounds a slug in bytes.
const maxSlug = 80

// NewInput describes a directory of the given name.
func NewInput(name string) Input {
	name = strings.ToValidUTF8(name, "\uFFFD")
	slug := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, name)
	for len(slug) > maxSlug {
		_, size := utf8.DecodeLastRuneInString(slug)
		slug = slug[:len(slug)-size]
	}
	if slug = strings.Trim(slug, ".-"); slug == "" {
		slug = "directory"
	}
	return Input{Name: name, Slug: slug}
}

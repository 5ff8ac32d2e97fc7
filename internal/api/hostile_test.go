package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gathering/internal/store"
)

// hostile are texts that mean something to somebody between here and the disk.
func hostile() []string {
	return []string{
		"own\x00", "own\xff", `' OR '1'='1' --`, `own'; DROP TABLE users; --`, `x","own`, `%`, `o_n`, `own\`, `$1`,
		`own" OR ""="`, `*`, "\u202eown", "ｏｗｎ", "OWN", " own\n", "\ufeffo\u0301wn", "🏴‍☠️\u2028",
		`../../../../etc/passwd`, `..\..\own`, `.`, `own%2f..%2fother`,
		`${{ 7 * 7 }}{{7*7}}`, `${jndi:ldap://x/a}%s%n`, `<script>alert(1)</script>`, "own\r\nSet-Cookie: a=b",
		`-1`, `9223372036854775808`, `1e309`, `null`, `{"$gt":""}`, strings.Repeat("own", 3000),
	}
}

// TestHostileText sends such texts to every place of every operation and holds
// that they are refused or taken for what they are: text.
func TestHostileText(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		d, admin := s.document(t), s.people["admin"]
		before := s.belongings(t)
		for _, o := range s.operations(t) {
			c := o.make(t, s, admin)
			c.then = nil
			words := hostile()
			switch {
			case strings.HasSuffix(o.ID, "-provider"): // each change of which takes long
				words = words[:4]
			case s.DB.Dialect().Database != store.SQLite || o.ID == "watch":
				words = words[:9] // those that databases take for something
			}
			for _, word := range words {
				for _, p := range d.of(o).Parameters {
					where := o.ID + " " + p.In + "." + p.Name
					if p.In == "header" && strings.ContainsAny(word, "\x00\r\n") {
						continue // which no client can send
					}
					s.survives(t, where, word, s.ask(t, admin, p.carry(o, c, word)))
				}
				for _, f := range d.texts(o) {
					if !utf8.ValidString(word) || strings.TrimSpace(word) == "" {
						continue // which is no JSON, or no text
					}
					other := c
					other.body = f.within(c.body, word)
					s.tellsAsGiven(t, o.ID, f.name, word, s.ask(t, admin, other))
				}
			}
			s.restore(t, o, admin)
		}
		if diff := cmp.Diff(before, s.belongings(t)); diff != "" {
			t.Errorf("what nobody asked for is another (-before +after):\n%s", diff)
		}
		for _, o := range s.operations(t) {
			if o.Method != http.MethodGet {
				continue
			}
			if got := s.ask(t, admin, o.make(t, s, admin)); got.status != o.recipe.status {
				t.Errorf("%s afterwards: got %d %.300s", o.ID, got.status, got.body)
			}
		}
	})
}

// texts are the fields of an operation's body that are texts.
func (d *document) texts(o asking) []field {
	var list []field
	if body := d.body(o); body != nil {
		for name, p := range body.Properties {
			if p = d.resolve(p); p.is("string") {
				list = append(list, field{name: name})
			}
		}
	}
	return list
}

// belongings is what there is in other, as the service tells it.
func (s *service) belongings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range []string{
		"projects/other", "projects/other/members", "pipelines?project=other", "runs?project=other&limit=500", "dead-letters?project=other",
		"users/" + string(s.keeper.user.ID), "tokens?user=" + string(s.keeper.user.ID),
	} {
		all[path] = s.ask(t, s.keeper, call{method: http.MethodGet, path: "/api/v1/" + path}).body
	}
	return all
}

// survives holds that an answer is no defect's, and that a filter which names
// nothing finds nothing.
func (s *service) survives(t *testing.T, where, word string, got answer) {
	t.Helper()
	if got.status >= http.StatusInternalServerError {
		t.Errorf("%s = %.60q: got %d %.300s", where, word, got.status, got.body)
		return
	}
	if got.status != http.StatusOK || !strings.Contains(where, " query.") {
		return
	}
	switch {
	case strings.HasPrefix(where, "list-tokens") && word == "*", strings.HasPrefix(where, "watch ") && strings.Contains(word, "*"):
		return // which is for everything
	case slices.ContainsFunc([]string{".wait", ".limit", ".deltas", ".usable", ".number", ".last_event_id"}, func(name string) bool { return strings.HasSuffix(where, name) }):
		return // that is no filter
	case strings.HasSuffix(where, ".cursor") && (strings.HasPrefix(where, "list-models") || strings.HasPrefix(where, "list-projects") || word == "0"):
		return // of a list in the order of words, or the beginning
	}
	var page struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal([]byte(got.body), &page); err != nil || len(page.Items) > 0 {
		t.Errorf("%s = %.60q: found %d: %.300s", where, word, len(page.Items), got.body)
	}
}

// tellsAsGiven holds that a text is refused or taken as it is.
func (s *service) tellsAsGiven(t *testing.T, id, name, word string, got answer) {
	t.Helper()
	if got.status >= http.StatusInternalServerError {
		t.Errorf("%s body.%s = %.60q: got %d %.300s", id, name, word, got.status, got.body)
		return
	}
	var told map[string]any
	if got.status >= http.StatusBadRequest || json.Unmarshal([]byte(got.body), &told) != nil {
		return
	}
	if is, ok := told[name].(string); ok && name != "reason" && name != "audit_kept" && is != word && is != strings.TrimSpace(word) {
		t.Errorf("%s body.%s = %.60q: it is %.100q", id, name, word, is)
	}
}

package api_test

import (
	"slices"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/audit"
)

// exchange is a request with what must come back.
type exchange struct {
	as, method, path, body string
	status                 int
	want                   string // in the answer
	never                  string // words that are not in it, separated by spaces
	audit                  string // what the audit trail tells of it, as "denied runs.start"; "" is not looked at
}

// plays makes requests one after another.
func (s *service) plays(t *testing.T, list []exchange) {
	t.Helper()
	for _, x := range list {
		p := s.people[x.as]
		if p == nil {
			t.Fatalf("there is nobody called %q", x.as)
		}
		got := s.ask(t, p, call{method: x.method, path: x.path, body: x.body})
		if got.status != x.status || !strings.Contains(got.body, x.want) {
			t.Errorf("%s: %s %s %s: got %d %s, want %d and %q", x.as, x.method, x.path, x.body, got.status, got.body, x.status, x.want)
		}
		for word := range strings.FieldsSeq(x.never) {
			if strings.Contains(got.body, word) {
				t.Errorf("%s: %s %s: got %s, which has %s", x.as, x.method, x.path, got.body, word)
			}
		}
		if x.audit == "" {
			continue
		}
		var told []string
		for _, e := range s.audited(t, got) {
			told = append(told, string(e.Outcome)+" "+e.Action)
		}
		if !slices.Equal(told, []string{x.audit}) {
			t.Errorf("%s: %s %s: the audit trail tells %q, want %q", x.as, x.method, x.path, told, x.audit)
		}
	}
}

// audited is what the audit trail tells of a request, the newest first.
func (s *service) audited(t *testing.T, a answer) []gathering.AuditEntry {
	t.Helper()
	all, err := audit.Entries(t.Context(), s.DB.Read(), gathering.AuditFilter{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e gathering.AuditEntry) bool { return e.Request != a.request() })
}

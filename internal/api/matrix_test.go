package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/auth"
)

// actions are what somebody must be allowed to do to ask for an operation, by
// hand: that one takes less than it should is found nowhere else.
func actions() map[string]auth.Action {
	byAction := map[auth.Action]string{
		"":                  "alive ready set-up sign-in refresh",
		auth.AccountRead:    "who-am-i list-sessions list-tokens",
		auth.AccountWrite:   "change-me",
		auth.AccountSecure:  "change-password end-session sign-out sign-out-everywhere create-token delete-token",
		auth.UsersRead:      "list-users read-user",
		auth.UsersWrite:     "create-user change-user delete-user set-password",
		auth.AuditRead:      "list-audit verify-audit",
		auth.SettingsRead:   "read-settings",
		auth.SettingsWrite:  "change-settings",
		auth.ProvidersRead:  "list-providers read-provider",
		auth.ProvidersWrite: "create-provider change-provider delete-provider",
		auth.CatalogueRead:  "list-kinds list-tools list-models",
		auth.EventsRead:     "watch",
		auth.BreakersRead:   "list-breakers breaker-history",
		auth.BreakersWrite:  "trip-breaker reset-breaker",
		auth.ProjectsCreate: "create-project delete-project",
		auth.ProjectsRead:   "list-projects read-project list-members",
		auth.ProjectsWrite:  "change-project add-member set-member remove-member",
		auth.PipelinesRead:  "list-pipelines read-pipeline list-versions read-version",
		auth.PipelinesWrite: "create-pipeline validate-pipeline create-version validate-version publish-version roll-back delete-pipeline",
		auth.RunsRead:       "list-runs list-pipeline-runs read-run read-report why-run watch-run list-dead-letters read-overview",
		auth.RunsStart:      "start-run redrive-run fork-run",
		auth.RunsWrite:      "cancel-run pause-run resume-run decide-run dismiss-run",
		auth.RunsDelete:     "delete-run",
	}
	table := map[string]auth.Action{}
	for action, ids := range byAction {
		for id := range strings.FieldsSeq(ids) {
			table[id] = action
		}
	}
	return table
}

// TestWhoMayDoWhat asks for every operation there is as everybody there is.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		wanted := actions()
		for _, o := range s.operations(t) {
			if action, known := wanted[o.ID]; !known || action != o.Action {
				t.Errorf("%s takes %q, want %q: the table in matrix_test.go says so", o.ID, o.Action, action)
			}
			t.Run(o.ID, func(t *testing.T) {
				if o.Action == "" != o.open() {
					t.Fatalf("%s %s: it is open to everybody: %t, promised: %t", o.Method, o.Path, o.Action == "", o.open())
				}
				spare := o.make(t, s, s.people["admin"]) // is not used up by who may not
				for _, p := range s.outsiders() {
					if o.open() {
						s.admits(t, o, p)
					} else {
						s.turnsAway(t, o, p, spare)
					}
				}
				for _, p := range s.insiders() {
					s.judges(t, o, p, spare)
				}
			})
		}
	})
}

func (s *service) judges(t *testing.T, o asking, p *person, spare call) {
	t.Helper()
	if o.open() {
		s.admits(t, o, p)
		return
	}
	switch o.expect(t, s, p) {
	case allowed:
		s.admits(t, o, p)
	case denied:
		s.denies(t, o, p, spare)
	case hidden:
		s.hides(t, o, p, spare)
	}
}

func (s *service) admits(t *testing.T, o asking, p *person) {
	t.Helper()
	if got := s.ask(t, p, o.make(t, s, p)); got.status != o.recipe.status {
		t.Errorf("%s as %s: got %d %s, want %d", o.ID, p.name, got.status, got.body, o.recipe.status)
	}
}

func (s *service) turnsAway(t *testing.T, o asking, p *person, c call) {
	t.Helper()
	c.then = nil
	got := s.ask(t, p, c)
	if got.status != http.StatusUnauthorized {
		t.Errorf("%s as %s: got %d %s, want 401", o.ID, p.name, got.status, got.body)
		return
	}
	if problem := got.problem(t); problem.Kind != gathering.KindUnauthenticated || got.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("%s as %s: got %+v with %v", o.ID, p.name, problem, got.header)
	}
}

func (s *service) denies(t *testing.T, o asking, p *person, c call) {
	t.Helper()
	c.then = nil
	got := s.ask(t, p, c)
	if got.status != http.StatusForbidden || got.problem(t).Kind != gathering.KindForbidden {
		t.Errorf("%s as %s: got %d %s, want 403", o.ID, p.name, got.status, got.body)
	}
}

// hides holds that somebody cannot tell what they may not see from what is not
// there.
func (s *service) hides(t *testing.T, o asking, p *person, c call) {
	t.Helper()
	c.then = nil
	got := s.ask(t, p, c)
	switch {
	case o.recipe.about == whole:
		if got.status != http.StatusForbidden {
			t.Errorf("%s as %s: got %d %s, want 403", o.ID, p.name, got.status, got.body)
		}
		return
	case o.recipe.about == listing, o.recipe.about == summary:
		want := `{"items":[]}`
		if o.recipe.about == summary {
			want = nothingGoesOn
		}
		if got.status != http.StatusOK || strings.TrimSpace(got.body) != want {
			t.Errorf("%s as %s: got %d %s, want %s", o.ID, p.name, got.status, got.body, want)
		}
		return
	case got.status != http.StatusNotFound:
		t.Errorf("%s as %s: got %d %s, want 404", o.ID, p.name, got.status, got.body)
		return
	}
	nowhere := s.ask(t, p, absent(c))
	if diff := cmp.Diff(anonymous(nowhere.body), anonymous(got.body)); diff != "" {
		t.Errorf("%s as %s: what is hidden is told from what is not there (-not there +hidden):\n%s", o.ID, p.name, diff)
	}
}

// nothingGoesOn is an overview of nothing.
const nothingGoesOn = `{"counts":{"queued":0,"running":0,"recovering":0,"waiting":0,"paused":0,"cancelling":0,"undecided":0,"dead":0},"runs":[],"dead":[],"breakers":[]}`

var (
	objectID  = regexp.MustCompile(`\b(run|pip|usr|tok|ses|prv)_[0-9a-v]{26}\b`)
	projectID = regexp.MustCompile(`\b(own|nowhere)\b`)
	requestID = regexp.MustCompile(`req_[A-Z0-9]+`)
)

// absent is the call about something that is not there.
func absent(c call) call {
	for _, part := range []*string{&c.path, &c.body} {
		*part = objectID.ReplaceAllString(*part, "${1}_00000000000000000000000000")
		*part = projectID.ReplaceAllString(*part, "nowhere")
	}
	return c
}

// anonymous is an answer without what it is about and the request's own ID.
func anonymous(body string) string {
	body = requestID.ReplaceAllString(body, "REQUEST")
	return projectID.ReplaceAllString(objectID.ReplaceAllString(body, "ID"), "PROJECT")
}

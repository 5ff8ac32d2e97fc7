package auth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/auth"
)

// The verdicts as letters.
const (
	allowed   = 'A'
	forbidden = 'F'
	hidden    = 'H'
	outside   = 'O' // of the token's scopes
)

func letter(v auth.Verdict) rune {
	return map[auth.Verdict]rune{auth.Allowed: allowed, auth.Forbidden: forbidden, auth.Hidden: hidden, auth.OutOfScope: outside}[v]
}

// decided is what was decided about who may do what: for a session of an
// administrator, operator, editor, viewer and of nobody in particular; then for
// those who are that in one project, in that project. It is written down here a
// second time on purpose.
func decided() string {
	return `
		account.read    AAAAA AAAA token
		account.write   AAAAA AAAA token
		account.secure  AAAAA AAAA session
		users.read      AFFFF FFFF token
		users.write     AFFFF FFFF session
		audit.read      AFFFH AFFF token project
		settings.read   AFFFF FFFF token
		settings.write  AFFFF FFFF token
		providers.read  AFFFF FFFF token
		providers.write AFFFF FFFF token
		catalogue.read  AAAAA AAAA token
		events.read     AAAAA AAAA token
		breakers.read   AAAAF FFFF token
		breakers.write  AAFFF FFFF token
		projects.create AFFFF FFFF token
		projects.read   AAAAH AAAA token project
		projects.write  AFFFH AFFF token project
		pipelines.read  AAAAH AAAA token project
		pipelines.write AFAFH AFAF token project
		runs.read       AAAAH AAAA token project
		runs.start      AAFFH AAFF token project
		runs.write      AAFFH AAFF token project
		runs.delete     AFFFH AFFF token project`
}

// line is one of what was decided.
type line struct {
	action         auth.Action
	global, member string // letters, by role
	session        bool   // alone
	project        bool   // is where it is done
}

func lines(t *testing.T) []line {
	t.Helper()
	var all []line
	for text := range strings.Lines(strings.TrimSpace(decided())) {
		words := strings.Fields(text)
		if len(words) < 4 || len(words[1]) != 5 || len(words[2]) != 4 {
			t.Fatalf("bad line %q", text)
		}
		all = append(all, line{
			auth.Action(words[0]), words[1], words[2], words[3] == "session", slices.Contains(words, "project"),
		})
	}
	return all
}

// scopings are scopes of a token for an action, and whether it is within them.
func scopings(action auth.Action) map[string]bool {
	noun, verb, _ := strings.Cut(string(action), ".")
	return map[string]bool{
		"":                              false,
		"*":                             true,
		string(action):                  true,
		noun + ".*":                     true,
		"*." + verb:                     true,
		"other.thing " + string(action): true,
		"other.thing":                   false,
		noun:                            false,
		noun + ".":                      false,
		"." + verb:                      false,
		"*.":                            false,
		"*.*":                           false,
		strings.ToUpper(string(action)): false,
		string(action) + "s":            false,
		noun + "s.*":                    false,
		"*." + verb + "s":               false,
	}
}

// judged holds one verdict for a session and, by scopes, for tokens.
func judged(t *testing.T, l line, p gathering.Principal, project gathering.ProjectID, want rune) {
	t.Helper()
	p.User, p.Session = "usr_1", "ses_1"
	if got := letter(auth.Judge(&p, l.action, project)); got != want {
		t.Errorf("%s in %q as %q with %v: %c, want %c", l.action, project, p.Role, p.Projects, got, want)
	}
	p.Session, p.Token = "", "tok_1"
	for text, within := range scopings(l.action) {
		p.Scopes = strings.Fields(text)
		want := want
		if want == allowed && (l.session || !within) {
			want = outside
		}
		if got := letter(auth.Judge(&p, l.action, project)); got != want {
			t.Errorf("%s in %q as %q with %v by a token of %q: %c, want %c", l.action, project, p.Role, p.Projects, text, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	var actions []auth.Action
	for _, l := range lines(t) {
		actions = append(actions, l.action)
		for i, role := range gathering.Roles() {
			want := rune(l.global[i])
			judged(t, l, gathering.Principal{Role: role}, "", want)
			judged(t, l, gathering.Principal{Role: role}, "p", want)
		}
		elsewhere := rune(l.global[4]) // as for who is nobody in particular
		for i, role := range gathering.Roles()[:4] {
			p := gathering.Principal{Role: gathering.RoleNone, Projects: map[gathering.ProjectID][]gathering.Role{"p": {role}, "empty": {}}}
			judged(t, l, p, "p", rune(l.member[i]))
			for _, project := range []gathering.ProjectID{"", "q", "empty"} {
				judged(t, l, p, project, elsewhere)
			}
			// What one role leaves out another may allow, and nothing else.
			for j, global := range gathering.Roles()[:4] {
				p.Role = global
				judged(t, l, p, "q", rune(l.global[j]))
				want := rune(l.global[j])
				if l.project && l.member[i] == allowed {
					want = allowed
				}
				judged(t, l, p, "p", want)
			}
		}
		if got := auth.Judge(nil, l.action, "p"); got != auth.Hidden {
			t.Errorf("%s as nobody: %v", l.action, got)
		}
		if got := auth.Judge(&gathering.Principal{System: true}, l.action, ""); got != auth.Allowed {
			t.Errorf("%s as the command line: %v", l.action, got)
		}
	}
	var table []auth.Action
	for _, right := range auth.Rights() {
		table = append(table, right.Action)
	}
	if diff := cmp.Diff(actions, table); diff != "" {
		t.Errorf("actions of the table (-decided +there):\n%s", diff)
	}
	for _, action := range []auth.Action{"", "*", "runs", "runs.*", "runs.fly"} {
		if got := auth.Judge(&gathering.Principal{Role: gathering.RoleAdmin, Session: "ses_1"}, action, ""); got != auth.Hidden {
			t.Errorf("%q, which is no action: %v", action, got)
		}
		if _, ok := auth.RightOf(action); ok {
			t.Errorf("%q is an action", action)
		}
	}
}

func TestProjectsFor(t *testing.T) {
	t.Parallel()
	type ids = []gathering.ProjectID
	member := map[gathering.ProjectID][]gathering.Role{
		"v": {gathering.RoleViewer}, "o": {gathering.RoleOperator}, "e": {gathering.RoleEditor}, "a": {gathering.RoleAdmin},
		"both": {gathering.RoleViewer, gathering.RoleOperator}, "empty": {},
	}
	as := func(role gathering.Role) *gathering.Principal {
		return &gathering.Principal{User: "usr_1", Session: "ses_1", Role: role, Projects: member}
	}
	by := func(scopes ...string) *gathering.Principal {
		return &gathering.Principal{User: "usr_1", Token: "tok_1", Role: gathering.RoleNone, Projects: member, Scopes: scopes}
	}
	for name, c := range map[string]struct {
		p      *gathering.Principal
		action auth.Action
		want   ids
		all    bool
	}{
		"nobody":                   {nil, auth.RunsRead, ids{}, false},
		"the command line":         {&gathering.Principal{System: true}, auth.RunsDelete, nil, true},
		"a viewer of all":          {as(gathering.RoleViewer), auth.RunsRead, nil, true},
		"a viewer who starts":      {as(gathering.RoleViewer), auth.RunsStart, ids{"a", "both", "o"}, false},
		"members read":             {as(gathering.RoleNone), auth.RunsRead, ids{"a", "both", "e", "o", "v"}, false},
		"members edit":             {as(gathering.RoleNone), auth.PipelinesWrite, ids{"a", "e"}, false},
		"members administer":       {as(gathering.RoleNone), auth.ProjectsWrite, ids{"a"}, false},
		"an operator of all edits": {as(gathering.RoleOperator), auth.PipelinesWrite, ids{"a", "e"}, false},
		"what no project decides":  {as(gathering.RoleNone), auth.BreakersRead, ids{}, false},
		"a token within":           {by("runs.*"), auth.RunsRead, ids{"a", "both", "e", "o", "v"}, false},
		"a token without":          {by("pipelines.read"), auth.RunsRead, ids{}, false},
		"nobody's member":          {&gathering.Principal{Role: gathering.RoleNone}, auth.RunsRead, ids{}, false},
	} {
		got, all := auth.ProjectsFor(c.p, c.action)
		if diff := cmp.Diff(c.want, got); diff != "" || all != c.all {
			t.Errorf("%s: all %v, want %v (-want +got):\n%s", name, all, c.all, diff)
		}
	}
}

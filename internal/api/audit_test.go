package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/auth"
)

// TestAudit holds what the audit trail tells of requests.
func TestAudit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		inTurn(t, s, part{"refused", refusedIsTold}, part{"failed", failedSignInsAreTold}, part{"done", doneIsTold})
	})
}

// entry is what the audit trail tells of an operation, but for who did it.
type entry struct {
	action  string
	object  string // or what it begins with, where that ends in _
	project gathering.ProjectID
}

// entries are those of every operation that changes something, nil where that
// is nothing.
func entries() map[string]*entry {
	in := func(action, object string) *entry { return &entry{action, object, "own"} }
	of := func(action, object string) *entry { return &entry{action, object, ""} }
	return map[string]*entry{
		"sign-in": of("auth.signed_in", "usr_"), "refresh": of("auth.refreshed", "ses_"), "sign-out": of("auth.signed_out", "usr_"), "set-up": nil,
		"sign-out-everywhere": of("auth.signed_out", "usr_"), "end-session": of("auth.signed_out", "usr_"), "change-password": of("auth.password_changed", "usr_"),
		"change-me": of("user.updated", "usr_"), "create-user": of("user.created", "usr_"), "change-user": of("user.updated", "usr_"),
		"delete-user": of("user.deleted", "usr_"), "set-password": of("auth.password_changed", "usr_"),
		"create-token": of("token.created", "tok_"), "delete-token": of("token.deleted", "tok_"),
		"create-project": {"project.created", "project:p_", "*"}, "change-project": in("project.updated", "project:own"),
		"delete-project": {"project.deleted", "project:p_", "*"}, "add-member": in("member.updated", "project:own"),
		"set-member": in("member.updated", "project:own"), "remove-member": in("member.deleted", "project:own"),
		"create-pipeline": in("pipeline.created", "pip_"), "validate-pipeline": nil, "create-version": in("pipeline.updated", "pip_"), "validate-version": nil,
		"publish-version": in("pipeline.updated", "pip_"), "roll-back": in("pipeline.updated", "pip_"), "delete-pipeline": in("pipeline.deleted", "pip_"),
		"start-run": in("run.start", "run_"), "cancel-run": in("run.cancel", "run_"), "pause-run": in("run.pause", "run_"), "resume-run": in("run.resume", "run_"),
		"decide-run": in("run.decide", "run_"), "redrive-run": in("run.redrive", "run_"), "fork-run": in("run.fork", "run_"),
		"delete-run": in("run.delete", "run_"), "dismiss-run": in("run.dismiss", "run_"),
		"trip-breaker": of("breaker.opened", "breaker:"+circuit), "reset-breaker": of("breaker.closed", "breaker:"+circuit),
		"create-provider": of("provider.created", "prv_"), "change-provider": of("provider.updated", "prv_"), "delete-provider": of("provider.deleted", "prv_"),
		"change-settings": of("settings.updated", "settings"),
	}
}

// is reports whether an entry is the one that is wanted.
func (w *entry) is(e gathering.AuditEntry) bool {
	prefix, some := strings.CutSuffix(w.object, "_")
	return e.Action == w.action && (e.Object == w.object || some && strings.HasPrefix(e.Object, prefix)) && (w.project == "*" && e.Project != "" || e.Project == w.project)
}

// doneIsTold holds that everything that is done is told once, with who
// did it to what, and what is only read is not.
func doneIsTold(t *testing.T, s *service) {
	admin, wanted := s.people["admin"], entries()
	for _, o := range s.operations(t) {
		want, known := wanted[o.ID]
		if writes := o.Method != http.MethodGet; writes != known {
			t.Errorf("%s changes something: %t, and the audit trail tells of it: %t; give it a line in audit_test.go", o.ID, writes, known)
			continue
		}
		c, who := o.make(t, s, admin).with("User-Agent", "the tests"), admin
		session := who.grant.Session.ID
		if o.ID == "sign-in" || o.ID == "refresh" {
			who = s.people["viewer"]
			session = ""
		}
		got := s.audited(t, s.ask(t, admin, c))
		if want == nil {
			if len(got) > 0 && o.ID != "set-up" {
				t.Errorf("%s: the audit trail tells %+v", o.ID, got)
			}
			continue
		}
		if len(got) != 1 || !want.is(got[0]) {
			t.Errorf("%s: the audit trail tells %+v, want %+v", o.ID, got, *want)
			continue
		}
		e := got[0]
		if e.Outcome != gathering.OutcomeDone || e.Actor != string(who.user.ID) || e.ActorName != who.user.Email || e.Address != "127.0.0.1" || e.Agent != "the tests" || e.Times != 1 {
			t.Errorf("%s: the audit trail tells %+v", o.ID, e)
		}
		if session != "" && e.Credential != string(session) {
			t.Errorf("%s: by %q, want %q", o.ID, e.Credential, session)
		}
	}
	report, err := audit.Verify(t.Context(), s.DB, s.front.API.Ring, s.front.API.Anchor)
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("the audit trail has %+v, %v", report, err)
	}
}

// refusedIsTold holds that it is told once of each who tried what they
// may not, and by what token.
func refusedIsTold(t *testing.T, s *service) {
	token := s.people["token of admin for runs.*"]
	refused := map[auth.Action]bool{}
	for _, o := range s.operations(t) {
		if o.open() {
			continue
		}
		c := o.make(t, s, s.people["admin"])
		c.then = nil
		for _, p := range []*person{s.people["viewer"], s.people["none"], token} {
			want := o.expect(t, s, p)
			if want == allowed || want == hidden && (o.recipe.about == listing || o.recipe.about == summary) {
				continue
			}
			answer := s.ask(t, p, c)
			kind := auth.Action(p.name + string(o.Action) + answer.problem(t).Detail)
			got := s.audited(t, answer)
			if refused[kind] {
				continue // it is counted with the one before
			}
			refused[kind] = true
			if len(got) != 1 {
				t.Errorf("%s as %s: the audit trail tells %+v", o.ID, p.name, got)
				continue
			}
			e := got[0]
			project := gathering.ProjectID("")
			if right, _ := auth.RightOf(o.Action); right.Project && o.recipe.about == thing {
				project = s.own.id
			}
			if e.Outcome != gathering.OutcomeDenied || e.Action != string(o.Action) || e.Actor != string(p.user.ID) || e.Object != c.path || e.Project != project {
				t.Errorf("%s as %s: the audit trail tells %+v", o.ID, p.name, e)
			}
			if p == token && !strings.HasPrefix(e.Credential, "tok_") {
				t.Errorf("%s as %s: by %q", o.ID, p.name, e.Credential)
			}
		}
	}
	if len(refused) < 20 {
		t.Errorf("only %d were refused", len(refused))
	}
}

// failedSignInsAreTold holds that they are told of, without the password.
func failedSignInsAreTold(t *testing.T, s *service) {
	for name, test := range map[string]struct{ email, reason string }{
		"a wrong password": {"viewer@example.com", "wrong password"}, "nobody": {"nobody@example.com", "no such account"}, "disabled": {"gone@example.com", "disabled account"},
	} {
		got := s.ask(t, nil, call{method: http.MethodPost, path: at("auth", "login"), body: text(map[string]string{"email": test.email, "password": "another secret of mine"})})
		told := s.audited(t, got)
		if got.status != http.StatusUnauthorized || len(told) != 1 || told[0].Outcome != gathering.OutcomeFailed || told[0].Reason != test.reason || told[0].ActorName != test.email {
			t.Errorf("%s: got %d %s, the audit trail tells %+v", name, got.status, got.body, told)
		}
	}
	all, err := audit.Entries(t.Context(), s.DB.Read(), gathering.AuditFilter{Limit: 500})
	if err != nil || slices.ContainsFunc(all, func(e gathering.AuditEntry) bool { return strings.Contains(text(e), "secret of mine") }) {
		t.Errorf("the audit trail tells a password, or %v", err)
	}
}

package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/remote"
	"gathering/internal/store/storetest"
)

// control serves the routes on the control socket of a directory.
func control(t *testing.T, dir string, handler http.Handler) {
	t.Helper()
	c, err := remote.ServeControl(dir, handler, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// localMayEverything asks for every operation as who owns the data: without a token, and
// with everything allowed but what takes an account.
func localMayEverything(t *testing.T, s *service) {
	server := serve(t, s.front.API.Local())
	for _, o := range s.operations(t) {
		c := o.make(t, s, s.people["admin"])
		c.then = nil
		want := o.recipe.status
		switch o.ID {
		case "who-am-i", "change-me", "list-sessions", "end-session", "sign-out", "sign-out-everywhere", "change-password":
			want = http.StatusConflict
		case "list-tokens":
			c.path += "?user=*"
		case "create-token":
			c.body = text(map[string]any{"name": "x", "scopes": []string{"*"}, "user": s.guest.ID})
		}
		got := send(t, server.Client(), server.URL, nil, c)
		if got.status != want {
			t.Errorf("%s: got %d %s, want %d", o.ID, got.status, got.body, want)
		}
		for _, e := range s.audited(t, got) {
			if who := gathering.CommandLine; o.Action != "" && (e.Actor != who || e.ActorName != who || e.Outcome != gathering.OutcomeDone) {
				t.Errorf("%s: the audit trail tells %+v", o.ID, e)
			}
		}
	}
}

// TestClient asks by way of the client for what commands need.
func TestClient(t *testing.T) {
	t.Parallel()
	s, dir := furnished(t, storetest.SQLite(t)), t.TempDir()
	control(t, dir, s.front.API.Local())
	elsewhere, err := remote.NewRemote(s.server.URL, s.people["admin"].grant.Access)
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]*remote.Client{"socket": remote.NewClient(dir), "here": remote.NewLocal(s.front.API.Local()), "remote": elsewhere} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.uses(t, client)
			s.steers(t, client)
		})
	}
	wrong, err := remote.NewRemote(s.server.URL, "nonsense")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Breakers(t.Context()); gathering.KindOf(err) != gathering.KindUnauthenticated {
		t.Errorf("with a wrong token: got %v", err)
	}
	for _, service := range []string{"", "x", "ftp://x", "http://", "http://a:b@c", "http://x?y=z"} {
		if _, err := remote.NewRemote(service, "x"); gathering.KindOf(err) != gathering.KindInvalid {
			t.Errorf("%q is a service: %v", service, err)
		}
	}
}

// uses makes a user, a token and a breaker, and looks at them.
func (s *service) uses(t *testing.T, client *remote.Client) {
	t.Helper()
	ctx, email := t.Context(), s.fresh("client")+"@example.com"
	u, err := client.CreateUser(ctx, api.NewUser{Email: email, Role: gathering.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	if same, err := client.UserByEmail(ctx, strings.ToUpper(email)); err != nil || same.ID != u.ID {
		t.Errorf("by the e-mail address: got %+v, %v", same, err)
	}
	if _, err := client.UserByEmail(ctx, "nobody@example.com"); gathering.KindOf(err) != gathering.KindNotFound {
		t.Errorf("of nobody: got %v", err)
	}
	off := false
	if u, err = client.UpdateUser(ctx, u.ID, api.UserUpdate{Active: &off}); err != nil || u.Active {
		t.Errorf("disabled: got %+v, %v", u, err)
	}
	if err := client.SetPassword(ctx, u.ID, password); err != nil {
		t.Error(err)
	}
	if users, err := client.Users(ctx); err != nil || len(users) < 10 {
		t.Errorf("there are %d users, %v", len(users), err)
	}
	made, err := client.CreateToken(ctx, api.NewToken{Name: "x", Scopes: []string{"runs.read"}, User: u.ID})
	if err != nil || !strings.HasPrefix(made.Secret, "gat_") {
		t.Errorf("got %+v, %v", made.Token, err)
	}
	if tokens, err := client.Tokens(ctx, u.ID); err != nil || len(tokens) != 1 {
		t.Errorf("got %+v, %v", tokens, err)
	}
	if err := client.DeleteToken(ctx, made.ID); err != nil {
		t.Error(err)
	}
	if entries, err := client.Audit(ctx, gathering.AuditFilter{Object: string(made.ID), Limit: 10}); err != nil || len(entries) != 2 {
		t.Errorf("got %+v, %v", entries, err)
	}
	if report, err := client.VerifyAudit(ctx); err != nil || len(report.Faults) > 0 {
		t.Errorf("got %+v, %v", report, err)
	}
	name := "tool:" + s.fresh("client")
	if b, err := client.TripBreaker(ctx, name, api.TripOrder{Reason: "moving"}); err != nil || b.State != gathering.BreakerOpen || b.Reason != "moving" {
		t.Errorf("tripped: got %+v, %v", b, err)
	}
	if b, err := client.ResetBreaker(ctx, name); err != nil || b.State != gathering.BreakerClosed {
		t.Errorf("reset: got %+v, %v", b, err)
	}
	if events, err := client.BreakerHistory(ctx, name, 10); err != nil || len(events) != 2 {
		t.Errorf("got %+v, %v", events, err)
	}
}

// steers steers runs.
func (s *service) steers(t *testing.T, client *remote.Client) {
	t.Helper()
	ctx := t.Context()
	waiting := s.start(t, s.own.patient, "", gathering.RunWaiting).ID
	if _, err := client.PauseRun(ctx, waiting); err != nil {
		t.Fatal(err)
	}
	s.until(t, waiting, gathering.RunPaused)
	if why, err := client.Why(ctx, waiting); err != nil || !strings.Contains(why.Line, "paused it") {
		t.Errorf("got %+v, %v", why, err)
	}
	if _, err := client.ResumeRun(ctx, waiting); err != nil {
		t.Fatal(err)
	}
	s.until(t, waiting, gathering.RunWaiting)
	if _, err := client.CancelRun(ctx, waiting); err != nil {
		t.Fatal(err)
	}
	s.until(t, waiting, gathering.RunCancelled)
	unknown := s.start(t, s.own.errands, `"unknown"`, gathering.RunWaiting).ID
	_, err := client.DecideRun(ctx, unknown, api.Decision{Node: "go", As: "perhaps"})
	if gathering.KindOf(err) != gathering.KindInvalid || gathering.FailureOf(err).Fields[0].Field != "as" {
		t.Errorf("got %v, want that as is wrong", err)
	}
	if _, err := client.DecideRun(ctx, unknown, api.Decision{Node: "go", As: "fail"}); err != nil {
		t.Fatal(err)
	}
	s.until(t, unknown, gathering.RunFailed)
	next, err := client.RedriveRun(ctx, unknown, api.RedriveOrder{Input: json.RawMessage(`"completed"`)})
	if err != nil {
		t.Fatal(err)
	}
	s.until(t, next.ID, gathering.RunCompleted)
	forked, err := client.ForkRun(ctx, next.ID, api.ForkOrder{From: []string{"go"}, Input: json.RawMessage(`"failed"`)})
	if err != nil {
		t.Fatal(err)
	}
	s.until(t, forked.ID, gathering.RunFailed)
	var letters []gathering.RunID
	for before, more := gathering.RunID(""), true; more; {
		part, err := client.DeadLetters(ctx, gathering.RunFilter{Before: before, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if more = len(part) > 0; more {
			before = part[0].ID
			letters = append(letters, before)
		}
	}
	if newest := slices.SortedFunc(slices.Values(letters), func(a, b gathering.RunID) int { return strings.Compare(string(b), string(a)) }); len(letters) < 3 || !slices.Equal(letters, newest) {
		t.Errorf("dead letters are %v", letters)
	}
	if err := client.DismissRun(ctx, forked.ID); err != nil {
		t.Error(err)
	}
	if err := client.DeleteRun(ctx, forked.ID); err != nil {
		t.Error(err)
	}
	if err := client.DeleteRun(ctx, forked.ID); gathering.KindOf(err) != gathering.KindNotFound {
		t.Errorf("got %v, want that there is no such run", err)
	}
	if _, err := client.ForkRun(ctx, "run_../../x", api.ForkOrder{From: []string{"go"}}); gathering.KindOf(err) != gathering.KindNotFound {
		t.Errorf("got %v, want that there is no such run", err)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
)

// noun is one thing that people store. Every kind of thing has a line in
// [nouns]; a route that reads what no line makes fails the test.
type noun struct {
	name string
	// make stores one, changes it, and returns what is to be asked for.
	make func(c *creator) []string
	// routes are those that what make returns is of.
	routes string
}

// creator makes things at a service and remembers the secrets among them.
type creator struct {
	*services

	secrets []string // that are stored nowhere as they are
}

func (c *creator) secret(text string) string {
	c.secrets = append(c.secrets, text)
	return text
}

// adds makes something and returns its ID.
func (c *creator) adds(path, body string) string {
	c.t.Helper()
	return gets[named](c.services, 201, "POST", "/api/v1"+path, c.token, body).ID
}

func (c *creator) changes(method, path, body string, want int) {
	c.t.Helper()
	gets[any](c.services, want, method, "/api/v1"+path, c.token, body)
}

// run starts a run and waits until its state is as wanted.
func (c *creator) run(pipeline, body, state string) string {
	c.t.Helper()
	id := gets[named](c.services, 202, "POST", "/api/v1/pipelines/"+pipeline+"/runs", c.token, body).ID
	c.until(id, state)
	return id
}

// until waits until a run is so and nobody works on it.
func (c *creator) until(id, state string) {
	c.t.Helper()
	await(c.t, "the run to be "+state, func() bool {
		r := gets[gathering.Run](c.services, 200, "GET", "/api/v1/runs/"+id, c.token, "")
		if string(r.State) != state && r.State.Terminal() {
			c.t.Fatalf("%s is %s, want %s", id, r.State, state)
		}
		return string(r.State) == state && r.Owner == ""
	})
}

const parked = `name: parked
nodes:
  start: {kind: trigger}
  rest: {kind: delay, needs: [start], for: 24h}
`

func nouns() []noun {
	return []noun{
		{"user", func(c *creator) []string {
			id := c.adds("/users", fmt.Sprintf(`{"email":"Bob@example.com","role":"viewer","password":%q}`, c.secret("bob's long pass phrase")))
			c.changes("PATCH", "/users/"+id, `{"role":"operator","name":"Bob"}`, 200)
			c.changes("POST", "/users/"+id+"/password", fmt.Sprintf(`{"password":%q}`, c.secret("bob's other pass phrase")), 204)
			return []string{"/users/" + id, "/users?limit=500", "/auth/me"}
		}, "/users /users/{id} /auth/me"},
		{"project", func(c *creator) []string {
			c.adds("/projects", `{"id":"garden","name":"Garden"}`)
			c.changes("PATCH", "/projects/garden", `{"description":"of flowers"}`, 200)
			c.adds("/users", `{"email":"eve@example.com","role":"none"}`)
			c.changes("POST", "/projects/garden/members", `{"email":"eve@example.com","roles":["viewer"]}`, 201)
			return []string{"/projects", "/projects/garden", "/projects/garden/members"}
		}, "/projects /projects/{id} /projects/{id}/members"},
		{"pipeline", func(c *creator) []string {
			id := c.pipeline(strings.Replace(quick, "quick", "kept", 1))
			next := strings.Replace(strings.Replace(quick, "quick", "kept", 1), "20ms", "21ms", 1)
			source, err := json.Marshal(map[string]string{"source": next})
			if err != nil {
				c.t.Fatal(err)
			}
			c.changes("POST", "/pipelines/"+id+"/versions", string(source), 201)
			c.changes("POST", "/pipelines/"+id+"/publish", `{"version":2}`, 200)
			c.changes("POST", "/pipelines/"+id+"/rollback", "", 200)
			return []string{"/pipelines", "/pipelines/" + id, "/pipelines/" + id + "/versions", "/pipelines/" + id + "/versions/2"}
		}, "/pipelines /pipelines/{id} /pipelines/{id}/versions /pipelines/{id}/versions/{number}"},
		{"run", func(c *creator) []string {
			waits, ends := c.pipeline(parked), c.pipeline(quick)
			paths := []string{"/runs", "/pipelines/" + ends + "/runs"}
			done := c.run(ends, `{"input":{"n":7},"labels":{"a":"b"},"key":"k"}`, "completed")
			paused := c.run(waits, "", "waiting")
			c.changes("POST", "/runs/"+paused+"/pause", "", 202)
			c.until(paused, "paused")
			for _, id := range []string{done, paused, c.run(waits, "", "waiting")} {
				paths = append(paths, "/runs/"+id, "/runs/"+id+"/events", "/runs/"+id+"/report", "/runs/"+id+"/why")
			}
			return paths
		}, "/runs /pipelines/{id}/runs /runs/{id} /runs/{id}/events /runs/{id}/report /runs/{id}/why"},
		{"dead letter", func(c *creator) []string {
			id := c.pipeline(strings.Replace(quick, "quick", "failing", 1)) // for want of input
			c.run(id, "", "failed")
			c.changes("POST", "/runs/"+c.run(id, "", "failed")+"/dismiss", "", 200)
			return []string{"/dead-letters", "/overview"}
		}, "/dead-letters /overview"},
		{"breaker", func(c *creator) []string {
			c.changes("POST", "/breakers/tool:git.log/trip", `{"reason":"it is late"}`, 200)
			return []string{"/breakers", "/breakers/tool:git.log/history"}
		}, "/breakers /breakers/{name}/history"},
		{"provider", func(c *creator) []string {
			id := c.adds("/providers", fmt.Sprintf(`{"name":"acme","format":"compatible","base_url":"https://models.example.com/v1","key":%q}`, c.secret("sk-acme-0123456789")))
			c.changes("PATCH", "/providers/"+id, fmt.Sprintf(`{"key":%q}`, c.secret("sk-acme-9876543210")), 200)
			return []string{"/providers", "/providers/" + id, "/models?provider=acme"}
		}, "/providers /providers/{id}"},
		{"session", func(c *creator) []string {
			over := c.signIn()
			gets[any](c.services, 204, "POST", "/api/v1/auth/logout", c.secret(over), "")
			c.secret(c.signIn())
			return []string{"/auth/sessions"}
		}, "/auth/sessions"},
		{"token", func(c *creator) []string {
			c.secret(c.apiToken(c.token))
			gone := gets[struct {
				ID     string `json:"id"`
				Secret string `json:"secret"`
			}](c.services, 201, "POST", "/api/v1/tokens", c.token, `{"name":"gone","scopes":["runs.read"],"expires_at":"2099-01-01T00:00:00Z"}`)
			c.secret(gone.Secret)
			c.changes("DELETE", "/tokens/"+gone.ID, "", 204)
			return []string{"/tokens"}
		}, "/tokens"},
		{"setting", func(c *creator) []string {
			c.changes("PATCH", "/settings", `{"audit_kept":"2400h"}`, 200)
			return []string{"/settings"}
		}, "/settings"},
		{"audit entry", func(c *creator) []string {
			c.secret("a wrong pass phrase")
			gets[any](c.services, 401, "POST", "/api/v1/auth/login", "", `{"email":"ada@example.com","password":"a wrong pass phrase"}`)
			return []string{"/audit?limit=500"}
		}, "/audit"},
		{"event", func(c *creator) []string {
			c.run(c.pipeline(strings.Replace(quick, "quick", "told", 1)), `{"input":{"n":8}}`, "completed")
			return []string{"/events?limit=500"}
		}, "/events"},
	}
}

// unstored are the routes that tell nothing which is stored.
const unstored = "/healthz /readyz /kinds /tools /models /audit/verify"

// TestEverythingSurvives stores one of everything there is, kills the service
// in the moment the last answer has come, and has another one say the same. No
// secret is in what it leaves on the disk or says.
func TestEverythingSurvives(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, p *place) {
		p.env = append(p.env, "GATHERING_LOG_LEVEL=debug")
		c := &creator{services: newServices(t, p)}
		c.secret(adminPassword)
		r := c.serve()
		c.token = c.secret(c.signIn())
		var paths []string
		routes := strings.Fields(unstored)
		for _, n := range nouns() {
			paths = append(paths, n.make(c)...)
			routes = append(routes, strings.Fields(n.routes)...)
		}
		document := gets[struct {
			Paths map[string]map[string]any `json:"paths"`
		}](c.services, 200, "GET", "/openapi.json", "", "")
		for path, operations := range document.Paths {
			if _, reads := operations["get"]; reads && !slices.Contains(routes, strings.TrimPrefix(path, "/api/v1")) {
				t.Errorf("GET %s reads something that no line of nouns makes", path)
			}
		}
		before := c.read(paths)
		r.signal(syscall.SIGKILL)
		<-r.ended
		logged := r.cmd.Stderr.(*spoken).String()
		r = c.serve()
		after := c.read(paths)
		for _, path := range paths {
			if diff := cmp.Diff(before[path], after[path]); diff != "" {
				t.Errorf("%s, before the service was killed (-) and after:\n%s", path, diff)
			}
		}
		if report := gets[struct {
			Faults []any `json:"faults"`
		}](c.services, 200, "GET", "/api/v1/audit/verify", c.token, ""); len(report.Faults) > 0 {
			t.Errorf("the audit trail has faults: %v", report.Faults)
		}
		r.signal(syscall.SIGTERM)
		r.exits(0)
		logged += r.cmd.Stderr.(*spoken).String()
		for _, secret := range c.secrets {
			if strings.Contains(logged, secret) {
				t.Errorf("the log has the secret %q", secret)
			}
		}
		c.searchFiles()
	})
}

// read asks for everything and returns the answers, without what may change by
// itself.
func (c *creator) read(paths []string) map[string]any {
	c.t.Helper()
	answers := map[string]any{}
	for _, path := range paths {
		answers[path] = settled(gets[any](c.services, 200, "GET", "/api/v1"+path, c.token, ""))
	}
	return answers
}

// settled is a value without when somebody was last seen.
func settled(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range []string{"last_used_at", "used_at"} {
			delete(v, name)
		}
		for _, inner := range v {
			settled(inner)
		}
	case []any:
		for _, inner := range v {
			settled(inner)
		}
	}
	return value
}

// searchFiles looks for secrets in all that is on the disk. Of PostgreSQL that
// is the keys alone.
func (c *creator) searchFiles() {
	c.t.Helper()
	searched := 0
	err := filepath.WalkDir(filepath.Join(c.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range c.secrets {
			if bytes.Contains(content, []byte(secret)) {
				c.t.Errorf("%s has the secret %q", path, secret)
			}
		}
		searched++
		return err
	})
	if err != nil || searched == 0 {
		c.t.Errorf("searched %d files: %v", searched, err)
	}
}

package cli_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/store"
)

const password = "correct horse battery staple"

// types has the next commands read a text from standard input.
func (d *desk) types(text string) *desk {
	d.stdin = text
	return d
}

// serve runs the service at the desk and returns its URL once it answers.
func (d *desk) serve(args ...string) (b *background, url string) {
	d.t.Helper()
	b = d.start(nil, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
	d.await("the service", b.stderr.seen("listening on "), b)
	return b, regexp.MustCompile(`listening on (\S+)`).FindStringSubmatch(b.stderr.String())[1]
}

func (d *desk) stops(b *background) {
	d.t.Helper()
	b.signals <- syscall.SIGTERM
	d.end(b, 0)
}

// document reads the document on standard output.
func document[T any](r result) T {
	r.t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		r.t.Fatalf("gathering %s: %v:\n%s\n%s", strings.Join(r.args, " "), err, r.stdout, r.stderr)
	}
	return v
}

type list[T any] struct {
	Items []T `json:"items"`
}

func TestUsers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.types(password).run("user", "passwd", "ada@example.com").exits(1)
	d.run("user", "add", "--email", "Ada@Example.com", "--role", "admin", "--name", "Ada L.").exits(0).says("  ada@example.com  admin\n")
	d.run("user", "add", "--email", "ada@example.com", "--role", "viewer").exits(1).tells("gathering: there is a user with this e-mail address already\n")
	d.types("\n").run("user", "add", "--email", "bob@example.com", "--role", "none").exits(2).tells("the password is expected on standard input")
	d.types(password+"\r\nand more\n").run("user", "add", "--email", "bob@example.com", "--role", "viewer").exits(0).says("bob@example.com  viewer")

	d.run("user", "list").exits(0).says("ID", "E-MAIL", "SIGNED IN", "ada@example.com", "Ada L.", "admin", "bob@example.com", "bob ", "viewer", "active")
	users := document[list[gathering.User]](d.run("user", "list", "--json").exits(0)).Items
	if len(users) != 2 || users[1].Email != "bob@example.com" || users[1].Role != gathering.RoleViewer || !users[1].Active {
		t.Errorf("got %+v", users)
	}

	d.run("user", "role", "bob@example.com", "editor").exits(0).says(string(users[1].ID), "bob@example.com  editor  active")
	d.run("user", "disable", "BOB@example.com").exits(0).says("bob@example.com  editor  disabled")
	d.run("user", "enable", "bob@example.com").exits(0).says("bob@example.com  editor  active")
	d.run("user", "disable", "ada@example.com").exits(1).tells("this is the last administrator who can sign in")
	d.run("user", "role", "ada@example.com", "none").exits(1).tells("this is the last administrator who can sign in")
	d.types("another "+password).run("user", "passwd", "bob@example.com").exits(0).says("bob@example.com has another password, and no session any more")
	d.types("short").run("user", "passwd", "bob@example.com").exits(2).tells("password: must have at least 12 characters")
	for _, args := range [][]string{{"disable"}, {"enable"}, {"passwd"}, {"role"}} {
		args = append(append([]string{"user"}, args...), "eve@example.com")
		if args[1] == "role" {
			args = append(args, "viewer")
		}
		d.types(password).run(args...).exits(1).tells("gathering: there is no user eve@example.com\n")
	}

	if strings.Contains(d.run("audit", "list").exits(0).stdout, password) {
		t.Error("the audit trail holds a password")
	}
	d.run("audit", "list", "--action", "user.updated").exits(0).says("AT", "WHO", "ACTION", "the command line", "role viewer to editor", "disabled", "enabled", "done")
	if entries := document[list[gathering.AuditEntry]](d.run("audit", "list", "--json", "--action", "user.created", "--limit", "1").exits(0)).Items; len(entries) != 1 ||
		entries[0].Object != string(users[1].ID) || entries[0].Actor != gathering.CommandLine {
		t.Errorf("got %+v, want the last user made", entries)
	}
	tokens(t, d)
}

// TestUsersOfNoInstallation holds that looking makes nothing, and that the first
// user makes all that there is to be.
func TestUsersOfNoInstallation(t *testing.T) {
	t.Parallel()
	d := newDesk(t).types(password)
	for _, args := range [][]string{{"user", "list"}, {"user", "enable", "a@b.c"}, {"token", "list"}, {"audit", "verify"}, {"breakers", "list"}} {
		d.run(args...).exits(1).tells("there is no database in", "name another with --data")
	}
	if _, err := os.Stat(filepath.Join(d.dir, "data")); err == nil {
		t.Error("looking made a directory")
	}
	d.run("user", "add", "--email", "nobody", "--role", "admin").exits(2).tells("email: must be an e-mail address")
	d.run("user", "add", "--email", "ada@example.com", "--role", "admin").exits(0)
	info, err := os.Stat(filepath.Join(d.dir, "data", "keys.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the keys: %v, %v, want a file for its owner alone", info, err)
	}
	d.run("audit", "verify").exits(0).says("0 are not sealed yet")
}

// tokens makes API tokens of a user and takes them back.
func tokens(t *testing.T, d *desk) {
	t.Helper()
	made := d.run("token", "create", "--user", "ada@example.com", "--scope", "runs.*", "--scope", "users.read", "--expires", "720h").exits(0)
	if !regexp.MustCompile(`^gat_\S{20,}\n$`).MatchString(made.stdout) || made.stderr != "" {
		t.Errorf("got %q and %q, want the token alone", made.stdout, made.stderr)
	}
	forever := document[api.IssuedToken](d.run("token", "create", "--user", "ada@example.com", "--scope", "*", "--expires", "0s", "--name", "robot", "--json").exits(0))
	if !strings.HasPrefix(forever.Secret, "gat_") || forever.Name != "robot" {
		t.Errorf("got %+v, want the token", forever)
	}
	r := d.run("token", "list").exits(0).says("ID", "SCOPES", "runs.* users.read", "command line", "robot", "never")
	if strings.Contains(r.stdout, "gat_") {
		t.Errorf("the list holds tokens:\n%s", r.stdout)
	}
	tokens := document[list[gathering.Token]](d.run("token", "list", "--user", "ada@example.com", "--json").exits(0)).Items
	if len(tokens) != 2 || tokens[0].ExpiresAt == nil || tokens[1].ExpiresAt != nil || tokens[1].ID != forever.ID {
		t.Errorf("got %+v", tokens)
	}
	d.run("token", "revoke", string(forever.ID)).exits(0).says("is good for nothing any more")
	d.run("token", "revoke", string(forever.ID)).exits(1).tells("there is no token")
	if tokens := document[list[gathering.Token]](d.run("token", "list", "--json").exits(0)).Items; len(tokens) != 1 {
		t.Errorf("got %+v, want the one that is left", tokens)
	}

	d.run("token", "create", "--user", "eve@example.com", "--scope", "*").exits(1).tells("there is no user eve@example.com")
	d.run("token", "list", "--user", "eve@example.com").exits(1).tells("there is no user eve@example.com")
	d.run("token", "create", "--user", "ada@example.com", "--scope", "runs.fly").exits(2).tells("scopes")
	d.run("token", "create", "--user", "ada@example.com", "--scope", "*", "--expires", "-1h").exits(2).tells("--expires")
	d.run("token", "create", "--user", "ada@example.com", "--scope", "*", "--expires=-1h").exits(2).tells("--expires must not be below 0s")
}

func TestServiceUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		code  int
		tells []string
	}{
		"no role":                     {[]string{"user", "add", "--email", "a@b.c"}, 2, []string{"missing flags: --role"}},
		"no such role":                {[]string{"user", "add", "--email", "a@b.c", "--role", "root"}, 2, []string{"--role", "admin"}},
		"no such role of somebody":    {[]string{"user", "role", "a@b.c", "root"}, 2, []string{"admin"}},
		"no scope":                    {[]string{"token", "create", "--user", "a@b.c"}, 2, []string{"missing flags: --scope"}},
		"no time":                     {[]string{"token", "create", "--user", "a@b.c", "--scope", "*", "--expires", "soon"}, 2, []string{"--expires"}},
		"no URL":                      {[]string{"user", "list", "--server", "gathering.example.com"}, 2, []string{"server: must be a URL"}},
		"a URL with a password":       {[]string{"user", "list", "--server", "https://a:b@example.com"}, 2, []string{"server: must be a URL"}},
		"a server that is away":       {[]string{"user", "list", "--server", "http://127.0.0.1:1", "--token", "gat_x"}, 1, []string{"gathering: the service at 127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1"}},
		"a demo elsewhere":            {[]string{"demo", "--server", "http://127.0.0.1:1"}, 2, []string{"--server is for the commands run, runs, user, token, audit, breakers"}},
		"all runs elsewhere":          {[]string{"runs", "resume", "--server", "http://127.0.0.1:1"}, 2, []string{"name the run: the service"}},
		"a workspace elsewhere":       {[]string{"run", "echo.yaml", "--workspace", ".", "--server", "http://127.0.0.1:1"}, 2, []string{"--workspace is a directory here"}},
		"a run elsewhere":             {[]string{"run", "echo.yaml", "--set", "text=a", "--server", "http://127.0.0.1:1"}, 1, []string{"the service at 127.0.0.1:1 cannot be reached"}},
		"everybody without anybody":   {[]string{"serve", "--addr", "0.0.0.0:0"}, 1, []string{"there is no administrator yet", "gathering user add"}},
		"an address that is none":     {[]string{"serve", "--addr", "localhost"}, 1, []string{"the address localhost cannot be listened on", "missing port"}},
		"a certificate without a key": {[]string{"serve", "--tls-cert", "a.pem"}, 2, []string{"a certificate and its key go together"}},
		"a certificate that is none":  {[]string{"serve", "--tls-cert", "a.pem", "--tls-key", "a.key"}, 2, []string{"a.pem", "no such file"}},
		"proxies that are none":       {[]string{"serve", "--proxies", "here"}, 2, []string{"proxies"}},
		"hosts that are none":         {[]string{"serve", "--addr", "127.0.0.1:0", "--hosts", "http://x"}, 2, []string{"hosts"}},
		"a limit that is none":        {[]string{"serve", "--limit-read", "often"}, 2, []string{"--limit-read"}},
		"Redis that is none":          {[]string{"serve", "--addr", "127.0.0.1:0", "--redis", "http://x"}, 2, []string{"redis"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t).file("echo.yaml", echo).types(password)
			r := d.run(test.args...)
			r.exits(test.code).tells(test.tells...)
			if r.stdout != "" {
				t.Errorf("stdout: %s", r.stdout)
			}
		})
	}
}

// TestServe has commands ask a service that holds the data directory, or has
// the same database, and others ask it from elsewhere.
func TestServe(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.env["GATHERING_BEAT"] = "100ms"
		d.file("echo.yaml", echo)
		b, url := d.serve()
		if got := b.stderr.String(); !strings.Contains(got, "there is no administrator yet; the set-up code is ") {
			t.Errorf("it does not say how it is set up: %s", got)
		}
		d.types(password).run("user", "add", "--email", "ada@example.com", "--role", "admin").exits(0)
		d.run("user", "add", "--email", "eve@example.com", "--role", "viewer").exits(0)
		token := func(email string, scopes ...string) string {
			args := []string{"token", "create", "--user", email}
			for _, s := range scopes {
				args = append(args, "--scope", s)
			}
			return strings.TrimSpace(d.run(args...).exits(0).stdout)
		}
		admin, reader, guest := token("ada@example.com", "*"), token("ada@example.com", "users.read"), token("eve@example.com", "*")

		away := newDesk(t) // of somebody who has no data
		ask := func(token string, args ...string) result {
			return away.types(password).run(append(args, "--server", url, "--token", token)...)
		}
		ask(admin, "user", "list").exits(0).says("ada@example.com", "eve@example.com")
		ask(admin, "user", "add", "--email", "bob@example.com", "--role", "none").exits(1).tells("this token may not do that", "it takes a session")
		ask(admin, "breakers", "trip", "tool:time.now").exits(0).says("tool:time.now open until reset")
		d.run("breakers", "list").exits(0).says("tool:time.now")
		ask(reader, "user", "list").exits(0).says("eve@example.com")
		ask(reader, "breakers", "reset", "tool:time.now").exits(1).tells("this token may not do that")
		ask(guest, "user", "list").exits(1).tells("you may not do that")
		ask("gat_wrong", "user", "list").exits(1).tells("the token is wrong, has expired or was taken back")
		ask("", "user", "list").exits(1).tells("sign in first, or send an API token")
		away.env["GATHERING_SERVER"], away.env["GATHERING_TOKEN"] = url, admin
		away.run("audit", "list", "--actor", "ada@example.com").exits(0).says("ada@example.com", "127.0.0.1", "breaker.opened", "users.write", "denied")
		away.run("audit", "verify").exits(0).says("entries under")
		if _, err := os.Stat(filepath.Join(away.dir, "data")); err == nil {
			t.Error("asking a service elsewhere made a directory here")
		}

		if _, onPostgreSQL := d.env["GATHERING_DATABASE_URL"]; !onPostgreSQL {
			d.run("run", "echo.yaml", "--set", "text=x").exits(1).tells("the data directory is held by pid", "(gathering serve)")
			d.run("serve", "--addr", "127.0.0.1:0").exits(1).tells("the data directory is held by pid")
		}
		d.stops(b)
		away.run("user", "list").exits(1).tells("cannot be reached")
		// What was said is there, and nobody who holds the directory is needed.
		d.run("user", "list").exits(0).says("eve@example.com")
		d.run("breakers", "reset", "tool:time.now").exits(0).says("closed")
		d.run("audit", "verify").exits(0).says("entries under")

		// Whoever was an administrator is one; what is not for everybody is said no more.
		b, url = d.serve()
		if got := b.stderr.String(); strings.Contains(got, "set-up") {
			t.Errorf("it asks to be set up again: %s", got)
		}
		ask(admin, "user", "list").exits(0).says("eve@example.com")
		d.stops(b)
	})
}

// TestAuditThatWasChanged changes the trail behind everybody's back.
func TestAuditThatWasChanged(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.run("migrate").exits(0)
	d.run("breakers", "trip", "tool:time.now").exits(0)
	d.run("audit", "verify").exits(0).says("1 entries under 1 seals")
	db, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(d.dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE audit SET actor_name = 'eve' WHERE id = 1`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d.run("audit", "verify").exits(1).says("seal 1, entry 1: ").tells("gathering: the audit trail is not as it was written: 1 faults\n")
	report := document[struct {
		Faults []struct {
			Entry int `json:"entry"`
		} `json:"faults"`
	}](d.run("audit", "verify", "--json").exits(1))
	if len(report.Faults) != 1 || report.Faults[0].Entry != 1 {
		t.Errorf("got %+v, want one fault of entry 1", report)
	}
}

// TestHeldBySomebodySilent has a data directory held by a process that does not
// answer: commands wait a little for it and say so.
func TestHeldBySomebodySilent(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.run("migrate").exits(0)
	db, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(d.dir, "data"), Command: "something else"})
	if err != nil {
		t.Fatal(err)
	}
	d.run("user", "list").exits(1).tells("the process that holds the data directory cannot be reached")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d.run("user", "list").exits(0).says("E-MAIL")
}

// TestServerThatIsNone asks a server that is no service.
func TestServerThatIsNone(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<html>")
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	r := newDesk(t).run("user", "list", "--server", "http://"+listener.Addr().String(), "--token", "gat_x").exits(1)
	if r.stdout != "" {
		t.Errorf("stdout: %s", r.stdout)
	}
}

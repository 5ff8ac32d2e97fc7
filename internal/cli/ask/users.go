package ask

import (
	"context"
	"strings"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/remote"
)

// Users is the commands about people.
type Users struct {
	Add     addUser     `cmd:"" help:"Make a user; the password comes from standard input."`
	List    listUsers   `cmd:"" help:"List users."`
	Disable disableUser `cmd:"" help:"Keep a user out, and end their sessions."`
	Enable  enableUser  `cmd:"" help:"Let a user in again."`
	Role    setRole     `cmd:"" help:"Give a user another role in all projects."`
	Passwd  setPassword `cmd:"" help:"Give a user another password, from standard input, and end their sessions."`
}

type addUser struct {
	Email string         `required:"" help:"Their e-mail address."`
	Name  string         `help:"Their name. Default: the address up to its @."`
	Role  gathering.Role `required:"" enum:"admin,operator,editor,viewer,none" help:"What they may do in all projects: admin, operator, editor, viewer or none."`
}

// Run makes a user.
func (c *addUser) Run(ctx context.Context, out Console) error {
	password, err := out.Secret("password")
	if err != nil {
		return err
	}
	return out.Service(ctx, Made, func(ctx context.Context, client *remote.Client) error {
		u, err := client.CreateUser(ctx, api.NewUser{Email: c.Email, Name: c.Name, Role: c.Role, Password: password})
		if err != nil {
			return err
		}
		out.Say("%s  %s  %s", u.ID, u.Email, u.Role)
		return nil
	})
}

type listUsers struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Run lists users.
func (c *listUsers) Run(ctx context.Context, out Console) error {
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		users, err := client.Users(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.Document(api.Page[gathering.User]{Items: users})
		}
		rows := make([][]string, len(users))
		for i, u := range users {
			state := "active"
			if !u.Active {
				state = "disabled"
			}
			rows[i] = []string{string(u.ID), printable(u.Email), printable(u.Name), string(u.Role), state, moment(u.SignedInAt)}
		}
		return out.Table("ID\tE-MAIL\tNAME\tROLE\tSTATE\tSIGNED IN", rows)
	})
}

// which is the user that a command is about.
type which struct {
	Email string `arg:"" help:"Their e-mail address."`
}

// update changes the user and says what it is then.
func (w which) update(ctx context.Context, out Console, change api.UserUpdate) error {
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		u, err := client.UserByEmail(ctx, w.Email)
		if err != nil {
			return err
		}
		if u, err = client.UpdateUser(ctx, u.ID, change); err != nil {
			return err
		}
		state := "active"
		if !u.Active {
			state = "disabled"
		}
		out.Say("%s  %s  %s  %s", u.ID, u.Email, u.Role, state)
		return nil
	})
}

type disableUser struct{ which }

// Run keeps a user out.
func (c *disableUser) Run(ctx context.Context, out Console) error {
	no := false
	return c.update(ctx, out, api.UserUpdate{Active: &no})
}

type enableUser struct{ which }

// Run lets a user in again.
func (c *enableUser) Run(ctx context.Context, out Console) error {
	yes := true
	return c.update(ctx, out, api.UserUpdate{Active: &yes})
}

type setRole struct {
	which

	Role gathering.Role `arg:"" enum:"admin,operator,editor,viewer,none" help:"admin, operator, editor, viewer or none."`
}

// Run gives a user another role.
func (c *setRole) Run(ctx context.Context, out Console) error {
	return c.update(ctx, out, api.UserUpdate{Role: &c.Role})
}

type setPassword struct{ which }

// Run gives a user another password.
func (c *setPassword) Run(ctx context.Context, out Console) error {
	password, err := out.Secret("password")
	if err != nil {
		return err
	}
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		u, err := client.UserByEmail(ctx, c.Email)
		if err != nil {
			return err
		}
		if err := client.SetPassword(ctx, u.ID, password); err != nil {
			return err
		}
		out.Say("%s has another password, and no session any more", u.Email)
		return nil
	})
}

// Tokens is the commands about API tokens.
type Tokens struct {
	Create createToken `cmd:"" help:"Make an API token and print it, once."`
	List   listTokens  `cmd:"" help:"List API tokens."`
	Revoke revokeToken `cmd:"" help:"Take an API token back."`
}

type createToken struct {
	User    string        `required:"" placeholder:"EMAIL" help:"Whose it is: it may never do what they may not."`
	Scope   []string      `required:"" help:"What it may do: actions such as runs.read, or patterns such as runs.*, *.read or *. Repeatable."`
	Expires time.Duration `default:"2160h" help:"How long it is good, such as 720h; 0s is for ever."`
	Name    string        `default:"command line" help:"What it is for."`
	JSON    bool          `name:"json" help:"Print one JSON document."`
}

// Run makes an API token.
func (c *createToken) Run(ctx context.Context, out Console) error {
	if c.Expires < 0 {
		return gathering.NewError(gathering.KindInvalid, "--expires must not be below 0s")
	}
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		u, err := client.UserByEmail(ctx, c.User)
		if err != nil {
			return err
		}
		n := api.NewToken{User: u.ID, Name: c.Name, Scopes: c.Scope}
		if c.Expires > 0 {
			at := time.Now().Add(c.Expires).UTC()
			n.ExpiresAt = &at
		}
		t, err := client.CreateToken(ctx, n)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.Document(t)
		}
		out.Say("%s", t.Secret)
		return nil
	})
}

type listTokens struct {
	User string `placeholder:"EMAIL" help:"Only those of one user."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Run lists API tokens.
func (c *listTokens) Run(ctx context.Context, out Console) error {
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		user := gathering.UserID("*")
		if c.User != "" {
			u, err := client.UserByEmail(ctx, c.User)
			if err != nil {
				return err
			}
			user = u.ID
		}
		tokens, err := client.Tokens(ctx, user)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.Document(api.Page[gathering.Token]{Items: tokens})
		}
		rows := make([][]string, len(tokens))
		for i, t := range tokens {
			expires := "never"
			if t.ExpiresAt != nil {
				expires = clockTime(*t.ExpiresAt)
			}
			rows[i] = []string{string(t.ID), string(t.User), printable(t.Name), printable(strings.Join(t.Scopes, " ")), expires, moment(t.UsedAt)}
		}
		return out.Table("ID\tUSER\tNAME\tSCOPES\tEXPIRES\tUSED", rows)
	})
}

type revokeToken struct {
	ID gathering.TokenID `arg:"" help:"The token's ID, which is not the token."`
}

// Run takes an API token back.
func (c *revokeToken) Run(ctx context.Context, out Console) error {
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		if err := client.DeleteToken(ctx, c.ID); err != nil {
			return err
		}
		out.Say("%s is good for nothing any more", c.ID)
		return nil
	})
}

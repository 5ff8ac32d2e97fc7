package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/once"
	"gathering/internal/store"
)

// NewUser says what a new user is.
type NewUser struct {
	Email    string
	Name     string // "" is the e-mail address up to its @
	Role     gathering.Role
	Password string // "" keeps them from signing in until there is one
}

// UserUpdate says what changes; nil leaves it as it is.
type UserUpdate struct {
	Name   *string
	Role   *gathering.Role
	Active *bool
	// Revision is the one that is changed; 0 is any.
	Revision int64
}

// Bounds of what is said of a user, in bytes.
const (
	maxEmail = 254 // RFC 5321, section 4.5.3.1.3, without its brackets
	maxName  = 200
)

// normalEmail is an address by which a user is known, however it was written.
// One with characters that cannot be seen, and so looks like another, is none.
func normalEmail(given string) (string, bool) {
	text := norm.NFKC.String(strings.ToLower(norm.NFKC.String(strings.TrimSpace(given)))) // small letters may combine where large ones do not
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text || len(text) > maxEmail || !utf8.ValidString(given) || strings.ContainsFunc(text, unseen) {
		return "", false
	}
	return text, true
}

func unseen(r rune) bool { return !unicode.IsPrint(r) }

func fault(field, problem string) error {
	return gathering.NewError(gathering.KindInvalid, "%s %s", field, problem).
		WithFields(gathering.FieldError{Field: field, Problem: problem})
}

func checkName(name string) error {
	if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fault("name", fmt.Sprintf("must be at most %d bytes of text on one line", maxName))
	}
	return nil
}

func checkRole(role gathering.Role) error {
	if !slices.Contains(gathering.Roles(), role) {
		return fault("role", "must be admin, operator, editor, viewer or none")
	}
	return nil
}

// CreateUser makes a user. An e-mail address that somebody has is a conflict.
func (s *Service) CreateUser(ctx context.Context, n NewUser) (gathering.User, error) {
	return s.createUser(ctx, n, func(*store.Tx) error { return nil })
}

// SetUp makes the first administrator. Where there is one it is a conflict.
func (s *Service) SetUp(ctx context.Context, n NewUser) (gathering.User, error) {
	n.Role = gathering.RoleAdmin
	return s.createUser(ctx, n, func(tx *store.Tx) error {
		if err := lockAdministrators(ctx, tx); err != nil {
			return err
		}
		if admins, err := administrators(ctx, tx, ""); err != nil || admins == 0 {
			return err
		}
		return gathering.NewError(gathering.KindConflict, "there is an administrator already")
	})
}

func (s *Service) createUser(ctx context.Context, n NewUser, allow func(tx *store.Tx) error) (gathering.User, error) {
	now := s.now()
	email, ok := normalEmail(n.Email)
	if !ok {
		return gathering.User{}, fault("email", "must be an e-mail address, as name@example.com")
	}
	name := strings.TrimSpace(n.Name)
	if name == "" {
		name, _, _ = strings.Cut(email, "@")
	}
	if err := errors.Join(checkName(name), checkRole(n.Role)); err != nil {
		return gathering.User{}, err
	}
	hash, err := s.newHash(ctx, n.Password, email, name)
	if err != nil {
		return gathering.User{}, err
	}
	u, err := once.Do(ctx, s.db, func(tx *store.Tx) (gathering.User, error) {
		u := gathering.User{
			ID: gathering.NewUserID(now), Email: email, Name: name, Role: n.Role, Active: true, Revision: 1, CreatedAt: now, UpdatedAt: now,
		}
		if err := allow(tx); err != nil {
			return u, err
		}
		made, err := tx.Exec(ctx, `INSERT INTO users (id, email, name, role, active, password, revision, seq, created_at, updated_at)
			VALUES ($1, $2, $3, $4, 1, $5, 1, 1, $6, $6) ON CONFLICT (email) DO NOTHING`,
			string(u.ID), email, name, string(u.Role), hash, now.UnixMicro())
		if err != nil {
			return u, err
		}
		if made == 0 {
			return u, gathering.NewError(gathering.KindConflict, "there is a user with this e-mail address already")
		}
		return u, audit.Tell(ctx, tx, gathering.Event{Stream: string(u.ID), Seq: 1, Type: gathering.EventUserCreated, At: now},
			gathering.UserChangedData{Email: u.Email, Role: u.Role, Active: true, By: by(ctx)}, gathering.AuditEntry{Reason: "role " + string(u.Role)})
	})
	if err != nil {
		return gathering.User{}, fmt.Errorf("create user: %w", err)
	}
	return u, nil
}

// newHash is how a new password is stored; "" is that of none.
func (s *Service) newHash(ctx context.Context, password string, about ...string) (string, error) {
	if password == "" {
		return "", nil
	}
	if err := checkPassword("password", password, about...); err != nil {
		return "", err
	}
	return s.hasher.hash(ctx, password)
}

// lockAdministrators has those who change who is an administrator follow one
// another.
func lockAdministrators(ctx context.Context, tx *store.Tx) error {
	var id string
	return tx.QueryRow(ctx, `SELECT value FROM meta WHERE key = 'log_id'`+tx.Dialect().ForUpdate()).Scan(&id)
}

// administrators counts those who can sign in, but for one.
func administrators(ctx context.Context, q store.Querier, but gathering.UserID) (int, error) {
	var n int
	err := q.QueryRow(ctx, `SELECT count(*) FROM users WHERE role = 'admin' AND active = 1 AND password <> '' AND id <> $1`, string(but)).Scan(&n)
	return n, err
}

// Administrators reports whether there is somebody who may do everything and
// can sign in.
func (s *Service) Administrators(ctx context.Context) (bool, error) {
	n, err := administrators(ctx, s.db.Read(), "")
	if err != nil {
		return false, fmt.Errorf("count administrators: %w", err)
	}
	return n > 0, nil
}

const userColumns = `id, email, name, role, active, revision, created_at, updated_at, signed_in_at`

func scanUser(row store.Scanner, more ...any) (gathering.User, error) {
	var (
		u                gathering.User
		active           int
		created, updated int64
		signedIn         sql.NullInt64
	)
	err := row.Scan(append([]any{&u.ID, &u.Email, &u.Name, &u.Role, &active, &u.Revision, &created, &updated, &signedIn}, more...)...)
	u.Active = active == 1
	u.CreatedAt, u.UpdatedAt, u.SignedInAt = at(created), at(updated), atOrNever(signedIn)
	return u, err
}

func at(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func atOrNever(micros sql.NullInt64) *time.Time {
	if !micros.Valid {
		return nil
	}
	t := at(micros.Int64)
	return &t
}

// User returns a user, or an error of kind not_found.
func (s *Service) User(ctx context.Context, id gathering.UserID) (gathering.User, error) {
	u, err := scanUser(s.db.Read().QueryRow(ctx, `SELECT `+userColumns+` FROM users WHERE id = $1`, string(id)))
	return u, foundUser(err, string(id))
}

// UserByEmail returns the user who has an e-mail address, or an error of kind
// not_found.
func (s *Service) UserByEmail(ctx context.Context, given string) (gathering.User, error) {
	email, _ := normalEmail(given) // "" is nobody's
	u, err := scanUser(s.db.Read().QueryRow(ctx, `SELECT `+userColumns+` FROM users WHERE email = $1`, email))
	return u, foundUser(err, given)
}

func foundUser(err error, which string) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return gathering.NewError(gathering.KindNotFound, "there is no user %s", which)
	case err != nil:
		return fmt.Errorf("read user: %w", err)
	}
	return nil
}

// Users returns users after one, in the order in which they were made, at most
// limit of them.
func (s *Service) Users(ctx context.Context, after gathering.UserID, limit int) ([]gathering.User, error) {
	rows, err := s.db.Read().Query(ctx, `SELECT `+userColumns+` FROM users WHERE id > $1 ORDER BY id LIMIT $2`, string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	var users []gathering.User
	err = rows.Each(func(row store.Scanner) error {
		u, err := scanUser(row)
		users = append(users, u)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

func erase(ctx context.Context, tx *store.Tx, id gathering.UserID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM members WHERE user_id = $1`, string(id)); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM api_tokens WHERE user_id = $1`, string(id)); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM sessions WHERE user_id = $1`, string(id)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, string(id))
	return err
}

// stored is a user as a transaction changes it.
type stored struct {
	gathering.User

	password string
	seq      int64
}

// lockUser returns a user for the transaction to change.
func lockUser(ctx context.Context, tx *store.Tx, id gathering.UserID) (stored, error) {
	var u stored
	var err error
	u.User, err = scanUser(tx.QueryRow(ctx, `SELECT `+userColumns+`, password, seq FROM users WHERE id = $1`+tx.Dialect().ForUpdate(), string(id)),
		&u.password, &u.seq)
	return u, foundUser(err, string(id))
}

// write stores what a locked user becomes, and tells of what happened.
func (u *stored) write(ctx context.Context, tx *store.Tx, e gathering.Event, data any, entry gathering.AuditEntry) error {
	active, signedIn := 0, sql.NullInt64{Valid: u.SignedInAt != nil}
	if u.Active {
		active = 1
	}
	if u.SignedInAt != nil {
		signedIn.Int64 = u.SignedInAt.UnixMicro()
	}
	u.seq++
	if _, err := tx.Exec(ctx, `UPDATE users SET name = $2, role = $3, active = $4, password = $5, revision = $6, seq = $7, updated_at = $8, signed_in_at = $9
		WHERE id = $1`, string(u.ID), u.Name, string(u.Role), active, u.password, u.Revision, u.seq, u.UpdatedAt.UnixMicro(), signedIn); err != nil {
		return err
	}
	e.Stream, e.Seq = string(u.ID), u.seq
	return audit.Tell(ctx, tx, e, data, entry)
}

// changes says what is different in a user, for the audit trail.
func changes(was, is gathering.User) string {
	var parts []string
	if was.Role != is.Role {
		parts = append(parts, fmt.Sprintf("role %s to %s", was.Role, is.Role))
	}
	if was.Active != is.Active {
		parts = append(parts, map[bool]string{true: "enabled", false: "disabled"}[is.Active])
	}
	if was.Name != is.Name {
		parts = append(parts, "name")
	}
	return strings.Join(parts, ", ")
}

// errStale is what a change of a revision that is no more is answered with.
func errStale() error {
	return gathering.NewError(gathering.KindConflict, "it was changed by somebody else meanwhile: read it again").WithCode(gathering.CodePrecondition)
}

// UpdateUser changes a user. The last administrator who can sign in stays one.
func (s *Service) UpdateUser(ctx context.Context, id gathering.UserID, c UserUpdate) (gathering.User, error) {
	if c.Name != nil {
		if err := checkName(*c.Name); err != nil {
			return gathering.User{}, err
		}
	}
	if c.Role != nil {
		if err := checkRole(*c.Role); err != nil {
			return gathering.User{}, err
		}
	}
	u, err := once.Do(ctx, s.db, func(tx *store.Tx) (gathering.User, error) { return s.updateUser(ctx, tx, id, c) })
	s.Forget()
	if err != nil {
		return gathering.User{}, fmt.Errorf("change user: %w", err)
	}
	return u, nil
}

func (s *Service) updateUser(ctx context.Context, tx *store.Tx, id gathering.UserID, c UserUpdate) (gathering.User, error) {
	if err := lockAdministrators(ctx, tx); err != nil {
		return gathering.User{}, err
	}
	u, err := lockUser(ctx, tx, id)
	if err != nil {
		return u.User, err
	}
	if c.Revision != 0 && c.Revision != u.Revision {
		return u.User, errStale()
	}
	was := u.User
	if u.apply(c); u.User == was {
		return was, nil
	}
	if err := keepAdministrator(ctx, tx, was, u.User); err != nil {
		return was, err
	}
	u.Revision++
	u.UpdatedAt = s.now()
	if !u.Active {
		if err := endSessions(ctx, tx, u.UpdatedAt, id, ""); err != nil {
			return was, err
		}
	}
	return u.User, u.write(ctx, tx, gathering.Event{Type: gathering.EventUserUpdated, At: u.UpdatedAt},
		gathering.UserChangedData{Email: u.Email, Role: u.Role, Active: u.Active, By: by(ctx)}, gathering.AuditEntry{Reason: changes(was, u.User)})
}

func (u *stored) apply(c UserUpdate) {
	if c.Name != nil && strings.TrimSpace(*c.Name) != "" {
		u.Name = strings.TrimSpace(*c.Name)
	}
	if c.Role != nil {
		u.Role = *c.Role
	}
	if c.Active != nil {
		u.Active = *c.Active
	}
}

// keepAdministrator refuses a change after which nobody could administer.
func keepAdministrator(ctx context.Context, tx *store.Tx, was, is gathering.User) error {
	if was.Role != gathering.RoleAdmin || !was.Active || (is.Role == gathering.RoleAdmin && is.Active) {
		return nil
	}
	others, err := administrators(ctx, tx, was.ID)
	if err != nil || others > 0 {
		return err
	}
	return gathering.NewError(gathering.KindConflict, "this is the last administrator who can sign in: make another one first")
}

// DeleteUser deletes a user with memberships, sessions and tokens. What they
// did stays in the audit trail.
func (s *Service) DeleteUser(ctx context.Context, id gathering.UserID, revision int64) error {
	_, err := once.Do(ctx, s.db, func(tx *store.Tx) (gathering.UserID, error) {
		if err := lockAdministrators(ctx, tx); err != nil {
			return id, err
		}
		u, err := lockUser(ctx, tx, id)
		if err != nil {
			return id, err
		}
		if revision != 0 && revision != u.Revision {
			return id, errStale()
		}
		if err := keepAdministrator(ctx, tx, u.User, gathering.User{}); err != nil {
			return id, err
		}
		if err := erase(ctx, tx, id); err != nil {
			return id, err
		}
		return id, audit.Tell(ctx, tx, gathering.Event{Stream: string(id), Seq: u.seq + 1, Type: gathering.EventUserDeleted, At: s.now()},
			gathering.UserChangedData{Email: u.Email, Role: u.Role, By: by(ctx)}, gathering.AuditEntry{Reason: u.Email})
	})
	s.Forget()
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}

package auth

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/keyring"
	"gathering/internal/once"
	"gathering/internal/store"
)

// How long what comes from a sign-in is good.
const (
	AccessLifetime  = 15 * time.Minute
	SessionLifetime = 14 * 24 * time.Hour // since the last refresh
	MaxSession      = 90 * 24 * time.Hour // since the sign-in
	// refreshGrace is how long after a refresh the token that it used is only
	// refused. A program that refreshes twice at once has not been robbed.
	refreshGrace = 10 * time.Second
)

// Grant is what a sign-in or a refresh gives.
type Grant struct {
	Access  string
	Expires time.Time // of Access
	Refresh string
	Session gathering.Session
	User    gathering.User
}

// Where says from where somebody signs in.
type Where struct {
	Address string
	Network string // what the addresses around have in common
	Agent   string
}

// SignIn begins a session. Whatever is wrong, the account, the password or
// that it is disabled, the error and the time it takes are the same.
func (s *Service) SignIn(ctx context.Context, email, password string, from Where) (Grant, error) {
	account, _ := normalEmail(email)
	if account == "" {
		account = "nobody" // no account's name; it is locked out like one
	}
	a := attempt{account, password, from, gathering.AuditEntry{Action: string(gathering.EventSignedIn), ActorName: account}}
	for {
		p, err := s.prove(ctx, a)
		if err != nil {
			return Grant{}, err
		}
		if !p.matches {
			return Grant{}, gathering.NewError(gathering.KindUnauthenticated, "the e-mail address or the password is wrong")
		}
		fresh := p.hash
		if p.stale {
			if fresh, err = s.hasher.hash(ctx, password); err != nil {
				return Grant{}, err
			}
		}
		g, err := s.begin(ctx, p, fresh, from)
		if !errors.Is(err, errOutdated) {
			return g, err
		}
	}
}

// credentials are those of the user who has an e-mail address; of nobody a user
// without an ID and no hash.
func (s *Service) credentials(ctx context.Context, email string) (u gathering.User, hash string, err error) {
	u, err = scanUser(s.db.Read().QueryRow(ctx, `SELECT `+userColumns+`, password FROM users WHERE email = $1`, email), &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return gathering.User{}, "", nil
	}
	if err != nil {
		return u, "", fmt.Errorf("sign in: %w", err)
	}
	return u, hash, nil
}

// errOutdated is what is answered where a user is not any more as they were
// when their password was right.
var errOutdated = errors.New("the user was changed meanwhile")

// maxAgent bounds what is kept of what a program says it is, in bytes.
const maxAgent = 512

// printable is the beginning of a text, as far as a database stores it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text[:min(len(text), maxAgent)])
}

// begin stores a session of a user whose password was right, and is so still.
// Fresh is how the password is stored from now on.
func (s *Service) begin(ctx context.Context, p proof, fresh string, from Where) (Grant, error) {
	now := s.now()
	session := gathering.Session{
		ID: gathering.NewSessionID(now), User: p.user.ID, CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(SessionLifetime),
		Address: from.Address, Agent: printable(from.Agent),
	}
	var u stored
	err := s.db.Tx(ctx, func(tx *store.Tx) (err error) {
		u, err = lockUser(ctx, tx, p.user.ID)
		if gathering.KindOf(err) == gathering.KindNotFound || err == nil && (!u.Active || u.password != p.hash) {
			return errOutdated
		}
		if err != nil {
			return err
		}
		u.password, u.SignedInAt = fresh, &now
		if err := clearFailures(ctx, tx, []string{accountKey(u.Email), networkKey(u.Email, from)}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO sessions (id, user_id, generation, created_at, used_at, expires_at, address, network, agent)
			VALUES ($1, $2, 1, $3, $3, $4, $5, $6, $7)`,
			string(session.ID), string(u.ID), now.UnixMicro(), session.ExpiresAt.UnixMicro(), session.Address, from.Network, session.Agent); err != nil {
			return err
		}
		signedIn := withActor(ctx, u.User, session.ID)
		return u.write(signedIn, tx, gathering.Event{Type: gathering.EventSignedIn, At: now}, gathering.AuthData{Session: session.ID, By: u.Email}, gathering.AuditEntry{})
	})
	if err != nil {
		return Grant{}, fmt.Errorf("sign in: %w", err)
	}
	return s.grant(u.User, session, 1)
}

// withActor is a request's context once it is known who asks.
func withActor(ctx context.Context, u gathering.User, session gathering.SessionID) context.Context {
	c, _ := audit.CallerOf(ctx)
	c.Actor, c.Name, c.Credential = string(u.ID), u.Email, string(session)
	return audit.WithCaller(ctx, c)
}

func (s *Service) grant(u gathering.User, session gathering.Session, generation int64) (Grant, error) {
	access, expires, err := s.issue(u, session)
	if err != nil {
		return Grant{}, err
	}
	return Grant{Access: access, Expires: expires, Refresh: s.refreshToken(session.ID, generation), Session: session, User: u}, nil
}

const refreshPrefix = "grt_"

// refreshToken is that of a generation of a session. It is stored nowhere: the
// ring tells that it was made here.
func (s *Service) refreshToken(session gathering.SessionID, generation int64) string {
	body := string(session) + "." + strconv.FormatInt(generation, 10)
	return refreshPrefix + body + "." + base64.RawURLEncoding.EncodeToString(s.ring.MAC(keyring.PurposeRefresh, s.here(body)))
}

// here is a message of this database alone. After a restore it is another:
// tokens that were used since the backup, or taken back, are good for nothing.
func (s *Service) here(body string) string { return s.db.LogID() + "." + body }

// readRefresh returns what a refresh token that was made here is for.
func (s *Service) readRefresh(token string) (session gathering.SessionID, generation int64, ok bool) {
	rest, ok := strings.CutPrefix(token, refreshPrefix)
	if !ok || len(rest) > 200 || wrapped(rest) {
		return "", 0, false
	}
	last := strings.LastIndexByte(rest, '.')
	if last < 0 {
		return "", 0, false
	}
	body := rest[:last]
	mac, err := base64.RawURLEncoding.Strict().DecodeString(rest[last+1:])
	if err != nil || !s.ring.CheckMAC(keyring.PurposeRefresh, s.here(body), mac) {
		return "", 0, false
	}
	id, number, _ := strings.Cut(body, ".")
	generation, err = strconv.ParseInt(number, 10, 64)
	return gathering.SessionID(id), generation, err == nil
}

func errNotSignedIn() error {
	return gathering.NewError(gathering.KindUnauthenticated, "the session is over: sign in again")
}

// Refresh gives a new access token and a new refresh token for one that was
// not used yet. One that was used ends the session: somebody has a copy.
func (s *Service) Refresh(ctx context.Context, token string) (Grant, error) {
	id, generation, ok := s.readRefresh(token)
	if !ok {
		s.repeats.Record(ctx, gathering.AuditEntry{Action: actionRefreshed, Outcome: gathering.OutcomeFailed, Reason: "no such token"})
		return Grant{}, errNotSignedIn()
	}
	var r refresh
	now := s.now()
	err := s.db.Tx(ctx, func(tx *store.Tx) (err error) {
		if r, err = rotate(ctx, tx, id, generation, now); err != nil {
			return err
		}
		known := withActor(ctx, r.user.User, id)
		switch r.outcome {
		case refreshGood:
			return audit.Record(known, tx, gathering.AuditEntry{Action: actionRefreshed, Object: string(id)}, now)
		case refreshReused:
			if err := endSession(ctx, tx, now, id); err != nil {
				return err
			}
			return r.user.write(known, tx, gathering.Event{Type: gathering.EventSessionRobbed, At: now}, gathering.AuthData{Session: id},
				gathering.AuditEntry{Outcome: gathering.OutcomeFailed, Reason: "a refresh token was used twice: the session ended"})
		default:
			return nil
		}
	})
	if err != nil {
		return Grant{}, fmt.Errorf("refresh: %w", err)
	}
	reason, refusal := "the session is over", errNotSignedIn()
	switch r.outcome {
	case refreshGood:
		return s.grant(r.user.User, r.session, generation+1)
	case refreshReused:
		s.Forget()
		return Grant{}, refusal
	case refreshLate:
		reason = "used a moment ago"
		refusal = gathering.NewError(gathering.KindConflict, "this refresh token has just been used: use the one that came of it")
	case refreshOver:
	}
	s.repeats.Record(withActor(ctx, r.user.User, id), gathering.AuditEntry{
		Action: actionRefreshed, Object: string(id), Outcome: gathering.OutcomeFailed, Reason: reason,
	})
	return Grant{}, refusal
}

// actionRefreshed is what a refresh is called in the audit trail. It is no event.
const actionRefreshed = "auth.refreshed"

// refresh is what became of a refresh token.
type refresh struct {
	user    stored // whose it is; nobody if that is not known any more
	session gathering.Session
	outcome refreshed
}

type refreshed int

const (
	refreshOver   refreshed = iota // the session is over
	refreshGood                    // the session goes on with the next generation
	refreshLate                    // another request used it a moment ago
	refreshReused                  // it was used before
)

// rotate goes on with the next generation of a session, if the one given is the
// good one. The user is locked before the session, as everywhere.
func rotate(ctx context.Context, tx *store.Tx, id gathering.SessionID, generation int64, now time.Time) (r refresh, err error) {
	err = tx.QueryRow(ctx, `SELECT user_id FROM sessions WHERE id = $1`, string(id)).Scan(&r.session.User)
	if err == nil {
		r.user, err = lockUser(ctx, tx, r.session.User)
	}
	if errors.Is(err, sql.ErrNoRows) || gathering.KindOf(err) == gathering.KindNotFound {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	var current int64
	r.session, err = scanSession(tx.QueryRow(ctx, `SELECT `+sessionColumns+`, generation FROM sessions WHERE id = $1 AND revoked_at IS NULL`+
		tx.Dialect().ForUpdate(), string(id)), &current)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return r, nil
	case err != nil, !r.user.Active, !r.session.ExpiresAt.After(now):
		return r, err
	case generation == current-1 && now.Sub(r.session.UsedAt) < refreshGrace:
		r.outcome = refreshLate
		return r, nil
	case generation != current:
		r.outcome = refreshReused
		return r, nil
	}
	r.outcome = refreshGood
	r.session.UsedAt = now
	r.session.ExpiresAt = earlier(now.Add(SessionLifetime), r.session.CreatedAt.Add(MaxSession))
	_, err = tx.Exec(ctx, `UPDATE sessions SET generation = $2, used_at = $3, expires_at = $4 WHERE id = $1`,
		string(id), current+1, now.UnixMicro(), r.session.ExpiresAt.UnixMicro())
	return r, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

const sessionColumns = `id, user_id, created_at, used_at, expires_at, address, agent`

func scanSession(row store.Scanner, more ...any) (gathering.Session, error) {
	var (
		x                      gathering.Session
		created, used, expires int64
	)
	err := row.Scan(append([]any{&x.ID, &x.User, &created, &used, &expires, &x.Address, &x.Agent}, more...)...)
	x.CreatedAt, x.UsedAt, x.ExpiresAt = at(created), at(used), at(expires)
	return x, err
}

// endSession revokes one session. Its row stays until its last token has
// expired, and says so.
func endSession(ctx context.Context, tx *store.Tx, now time.Time, id gathering.SessionID) error {
	_, err := tx.Exec(ctx, `UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL`, string(id), now.UnixMicro())
	return err
}

// endSessions revokes all sessions of a user but one.
func endSessions(ctx context.Context, tx *store.Tx, now time.Time, user gathering.UserID, but gathering.SessionID) error {
	_, err := tx.Exec(ctx, `UPDATE sessions SET revoked_at = $3 WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL`,
		string(user), string(but), now.UnixMicro())
	return err
}

// SignOut ends the session of a principal.
func (s *Service) SignOut(ctx context.Context, p *gathering.Principal) error {
	return s.signOut(ctx, p, gathering.AuthData{Session: p.Session, By: p.Email}, func(tx *store.Tx) error {
		return endSession(ctx, tx, s.now(), p.Session)
	})
}

// EndSession ends one of a principal's user's sessions. One that is over, or
// somebody else's, is not found.
func (s *Service) EndSession(ctx context.Context, p *gathering.Principal, id gathering.SessionID) error {
	return s.signOut(ctx, p, gathering.AuthData{Session: id, By: p.Email}, func(tx *store.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE sessions SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3`,
			string(id), string(p.User), s.now().UnixMicro())
		if err == nil && n == 0 {
			err = gathering.NewError(gathering.KindNotFound, "there is no session %s", id)
		}
		return err
	})
}

// SignOutAll ends all sessions of a principal's user. API tokens stay.
func (s *Service) SignOutAll(ctx context.Context, p *gathering.Principal) error {
	return s.signOut(ctx, p, gathering.AuthData{By: p.Email}, func(tx *store.Tx) error {
		return endSessions(ctx, tx, s.now(), p.User, "")
	})
}

func (s *Service) signOut(ctx context.Context, p *gathering.Principal, data gathering.AuthData, end func(tx *store.Tx) error) error {
	_, err := once.Do(ctx, s.db, func(tx *store.Tx) (gathering.UserID, error) {
		u, err := lockUser(ctx, tx, p.User)
		if err != nil {
			return p.User, err
		}
		if err := end(tx); err != nil {
			return p.User, err
		}
		reason := ""
		if data.Session == "" {
			reason = "all sessions"
		}
		return p.User, u.write(ctx, tx, gathering.Event{Type: gathering.EventSignedOut, At: s.now()}, data, gathering.AuditEntry{Reason: reason})
	})
	s.Forget()
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return nil
}

// Sessions returns a user's sessions that are not over, the newest first.
func (s *Service) Sessions(ctx context.Context, user gathering.UserID) ([]gathering.Session, error) {
	rows, err := s.db.Read().Query(ctx, `SELECT `+sessionColumns+` FROM sessions
		WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY id DESC LIMIT 500`, string(user), s.now().UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	sessions := []gathering.Session{}
	err = rows.Each(func(row store.Scanner) error {
		x, err := scanSession(row)
		sessions = append(sessions, x)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return sessions, nil
}

// ChangePassword gives a principal's user another password, and ends their
// other sessions. The current password is wrong: an error of kind invalid,
// counted as a failed sign-in is.
func (s *Service) ChangePassword(ctx context.Context, p *gathering.Principal, current, next string, from Where) error {
	proven, err := s.prove(ctx, attempt{p.Email, current, from, gathering.AuditEntry{Action: string(gathering.EventPasswordChanged), Object: string(p.User)}})
	if err != nil {
		return err
	}
	if !proven.matches || proven.user.ID != p.User {
		return fault("current", "is not the current password")
	}
	return s.setPassword(ctx, proven.user, newPassword{field: "new", text: next, but: p.Session}, func(u stored) error {
		if u.password != proven.hash {
			return gathering.NewError(gathering.KindConflict, "the password was changed meanwhile")
		}
		return nil
	})
}

// SetPassword gives a user another password and ends their sessions but one.
func (s *Service) SetPassword(ctx context.Context, id gathering.UserID, password string, but gathering.SessionID) error {
	u, err := s.User(ctx, id)
	if err != nil {
		return err
	}
	return s.setPassword(ctx, u, newPassword{field: "password", text: password, but: but}, func(stored) error { return nil })
}

// newPassword is one in the place of another.
type newPassword struct {
	field, text string
	but         gathering.SessionID // goes on
}

func (s *Service) setPassword(ctx context.Context, of gathering.User, n newPassword, allow func(u stored) error) error {
	if err := checkPassword(n.field, n.text, of.Email, of.Name); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, n.text)
	if err != nil {
		return err
	}
	_, err = once.Do(ctx, s.db, func(tx *store.Tx) (gathering.UserID, error) {
		u, err := lockUser(ctx, tx, of.ID)
		if err != nil {
			return of.ID, err
		}
		if err := allow(u); err != nil {
			return of.ID, err
		}
		u.password = hash
		u.UpdatedAt = s.now()
		if err := endSessions(ctx, tx, u.UpdatedAt, u.ID, n.but); err != nil {
			return of.ID, err
		}
		if err := clearFailures(ctx, tx, []string{accountKey(u.Email)}); err != nil {
			return of.ID, err
		}
		return of.ID, u.write(ctx, tx, gathering.Event{Type: gathering.EventPasswordChanged, At: u.UpdatedAt}, gathering.AuthData{By: by(ctx)}, gathering.AuditEntry{})
	})
	s.Forget()
	if err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	return nil
}

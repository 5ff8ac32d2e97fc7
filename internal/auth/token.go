package auth

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/once"
	"gathering/internal/store"
)

// tokenPrefix begins API tokens, so that people and scanners know one when
// they see it.
const tokenPrefix = "gat_"

// NewToken says what a new API token is.
type NewToken struct {
	User    gathering.UserID
	Name    string
	Scopes  []string
	Expires time.Time // zero is never
}

// Bounds of API tokens.
const (
	maxScopes = 50
	maxTokens = 200 // of one user
)

func (n NewToken) check(now time.Time) error {
	if strings.TrimSpace(n.Name) == "" {
		return fault("name", "must say what the token is for")
	}
	if len(n.Scopes) == 0 || len(n.Scopes) > maxScopes {
		return fault("scopes", fmt.Sprintf("must have 1 to %d scopes, such as runs.read, runs.*, *.read or *", maxScopes))
	}
	for i, scope := range n.Scopes {
		if !validScope(scope) {
			return fault(fmt.Sprintf("scopes[%d]", i), "is no scope: an action, as runs.read, or a pattern, as runs.*, *.read or *")
		}
	}
	if !n.Expires.IsZero() && !n.Expires.After(now) {
		return fault("expires_at", "must be in the future")
	}
	return checkName(n.Name)
}

// CreateToken makes an API token and returns it together with what has to be
// sent, which is stored nowhere and cannot be shown again.
func (s *Service) CreateToken(ctx context.Context, n NewToken) (t gathering.Token, secret string, err error) {
	now := s.now()
	id := gathering.NewTokenID(now)
	if err := n.check(now); err != nil {
		return t, "", err
	}
	scopes, err := json.Marshal(n.Scopes)
	if err != nil {
		return t, "", fmt.Errorf("create a token: %w", err)
	}
	secret = tokenPrefix + rand.Text() + rand.Text()
	t, err = once.Do(ctx, s.db, func(tx *store.Tx) (gathering.Token, error) {
		t := gathering.Token{ID: id, User: n.User, Name: strings.TrimSpace(n.Name), Scopes: n.Scopes, CreatedAt: now}
		expires := sql.NullInt64{Valid: !n.Expires.IsZero()}
		if expires.Valid {
			expires.Int64 = n.Expires.UnixMicro()
			t.ExpiresAt = atOrNever(expires)
		}
		u, err := lockUser(ctx, tx, n.User)
		if err != nil {
			return t, err
		}
		var others int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM api_tokens WHERE user_id = $1`, string(n.User)).Scan(&others); err != nil {
			return t, err
		}
		if others >= maxTokens {
			return t, gathering.NewError(gathering.KindConflict, "there are %d tokens already: delete those that are not used", others)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO api_tokens (id, user_id, name, hash, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			string(t.ID), string(t.User), t.Name, digest(secret), string(scopes), now.UnixMicro(), expires); err != nil {
			return t, err
		}
		return t, u.tell(ctx, tx, gathering.Event{Type: gathering.EventTokenCreated, At: now}, t)
	})
	if err != nil {
		return t, "", fmt.Errorf("create a token: %w", err)
	}
	if t.ID != id {
		return t, "", gathering.NewError(gathering.KindConflict, "token %s was made by this request before; it was shown then and cannot be shown again", t.ID)
	}
	return t, secret, nil
}

// tell tells that a token of the user was made or deleted.
func (u *stored) tell(ctx context.Context, tx *store.Tx, e gathering.Event, t gathering.Token) error {
	e.Stream, e.Seq = string(u.ID), u.seq+1
	if _, err := tx.Exec(ctx, `UPDATE users SET seq = $2 WHERE id = $1`, string(u.ID), e.Seq); err != nil {
		return err
	}
	return audit.Tell(ctx, tx, e, gathering.TokenChangedData{Token: t.ID, Name: t.Name, By: by(ctx)},
		gathering.AuditEntry{Object: string(t.ID), Reason: t.Name + ": " + strings.Join(t.Scopes, " ")})
}

const issuedColumns = `id, user_id, name, scopes, created_at, expires_at, used_at`

func scanToken(row store.Scanner) (gathering.Token, error) {
	var (
		t             gathering.Token
		scopes        string
		created       int64
		expires, used sql.NullInt64
	)
	if err := row.Scan(&t.ID, &t.User, &t.Name, &scopes, &created, &expires, &used); err != nil {
		return t, err
	}
	t.CreatedAt, t.ExpiresAt, t.UsedAt = at(created), atOrNever(expires), atOrNever(used)
	return t, json.Unmarshal([]byte(scopes), &t.Scopes)
}

// Tokens returns API tokens of a user, the oldest first. "" is of all users,
// after one, at most limit of them.
func (s *Service) Tokens(ctx context.Context, user gathering.UserID, after gathering.TokenID, limit int) ([]gathering.Token, error) {
	rows, err := s.db.Read().Query(ctx, `SELECT `+issuedColumns+` FROM api_tokens WHERE ($1 = '' OR user_id = $1) AND id > $2 ORDER BY id LIMIT $3`,
		string(user), string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	var tokens []gathering.Token
	err = rows.Each(func(row store.Scanner) error {
		t, err := scanToken(row)
		tokens = append(tokens, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return tokens, nil
}

// Token returns an API token, or an error of kind not_found.
func (s *Service) Token(ctx context.Context, id gathering.TokenID) (gathering.Token, error) {
	return readToken(ctx, s.db.Read(), id)
}

func readToken(ctx context.Context, q store.Querier, id gathering.TokenID) (gathering.Token, error) {
	t, err := scanToken(q.QueryRow(ctx, `SELECT `+issuedColumns+` FROM api_tokens WHERE id = $1`, string(id)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t, gathering.NewError(gathering.KindNotFound, "there is no token %s", id)
	case err != nil:
		return t, fmt.Errorf("read a token: %w", err)
	}
	return t, nil
}

// DeleteToken takes an API token back.
func (s *Service) DeleteToken(ctx context.Context, id gathering.TokenID) error {
	_, err := once.Do(ctx, s.db, func(tx *store.Tx) (gathering.TokenID, error) {
		t, err := readToken(ctx, tx, id)
		if err != nil {
			return id, err
		}
		u, err := lockUser(ctx, tx, t.User)
		if err != nil {
			return id, err
		}
		n, err := tx.Exec(ctx, `DELETE FROM api_tokens WHERE id = $1`, string(id))
		if err != nil {
			return id, err
		}
		if n == 0 {
			return id, gathering.NewError(gathering.KindNotFound, "there is no token %s", id)
		}
		return id, u.tell(ctx, tx, gathering.Event{Type: gathering.EventTokenDeleted, At: s.now()}, t)
	})
	s.Forget()
	if err != nil {
		return fmt.Errorf("delete a token: %w", err)
	}
	return nil
}

// usedPause is how often it is noted that a token is used.
const usedPause = time.Minute

// byToken finds whose API token it is.
func (s *Service) byToken(ctx context.Context, p *gathering.Principal, secret string) (expires time.Time, err error) {
	now := s.now()
	t, err := scanToken(s.db.Read().QueryRow(ctx, `SELECT `+issuedColumns+` FROM api_tokens WHERE hash = $1`, digest(secret)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return expires, errUnknownToken(nil)
	case err != nil:
		return expires, fmt.Errorf("look up a token: %w", err)
	case t.ExpiresAt != nil && !t.ExpiresAt.After(now):
		return expires, errUnknownToken(nil)
	}
	if t.ExpiresAt != nil {
		expires = *t.ExpiresAt
	}
	p.User, p.Token, p.Scopes = t.User, t.ID, t.Scopes
	if t.UsedAt != nil && now.Sub(*t.UsedAt) < usedPause {
		return expires, nil
	}
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE api_tokens SET used_at = $2 WHERE id = $1`, string(t.ID), now.UnixMicro())
		return err
	})
	if err != nil {
		return expires, fmt.Errorf("note that a token is used: %w", err)
	}
	return expires, nil
}

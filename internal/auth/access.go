package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gathering"
	"gathering/internal/keyring"
	"gathering/internal/store"
)

// issuer is who access tokens are from.
const issuer = "gathering"

// claims are those of an access token (RFC 7519, section 4.1). Role tells
// programs what to offer; what somebody may do is not taken from it.
type claims struct {
	jwt.RegisteredClaims

	Role    gathering.Role      `json:"role"`
	Session gathering.SessionID `json:"sid"`
}

// issue makes an access token. It is for this database alone.
func (s *Service) issue(u gathering.User, session gathering.Session) (token string, expires time.Time, err error) {
	now := s.now().Truncate(time.Second)
	expires = earlier(now.Add(AccessLifetime), session.ExpiresAt.Truncate(time.Second))
	id, private := s.ring.SigningKey(keyring.PurposeAccess)
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{s.db.LogID()}, Subject: string(u.ID), ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Role: u.Role, Session: session.ID,
	})
	t.Header["kid"] = id
	if token, err = t.SignedString(private); err != nil {
		return "", expires, fmt.Errorf("sign an access token: %w", err)
	}
	return token, expires, nil
}

// readAccess returns the claims of an access token that was made here for this
// database and has not expired.
func (s *Service) readAccess(token string) (claims, error) {
	var c claims
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithIssuer(issuer), jwt.WithAudience(s.db.LogID()),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(s.now), jwt.WithStrictDecoding(),
	)
	_, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		public, ok := s.ring.PublicKey(keyring.PurposeAccess, id)
		if !ok {
			return nil, errors.New("it was signed by no key of the ring")
		}
		return public, nil
	})
	return c, err
}

// freshness is how long it may take until a change of what somebody may do is
// seen by every instance; below the second that is promised.
const freshness = 500 * time.Millisecond

// known is what a token stood for when it was looked up.
type known struct {
	principal *gathering.Principal
	asked     time.Time // before the database was
	changes   int64     // how many there had been by then, see [Service.Forget]
	expires   time.Time // zero is never
}

// maxToken is how long a token may be, in bytes.
const maxToken = 4 << 10

// Authenticate returns who a token stands for: an access token, or an API
// token. One that is wrong, expired or was taken back is an error of kind
// unauthenticated; that the database is away is one of kind unavailable. The
// principal belongs to many: it must not be changed.
func (s *Service) Authenticate(ctx context.Context, token string) (*gathering.Principal, error) {
	if token == "" || len(token) > maxToken || wrapped(token) {
		return nil, errUnknownToken(nil)
	}
	now, changes := s.clock(), s.changes.Load()
	key := sha256.Sum256([]byte(token))
	if k, ok := s.known.GetIfPresent(key); ok && k.changes == changes && now.Sub(k.asked) < freshness && now.Sub(k.asked) >= 0 {
		if !k.expires.IsZero() && !now.Before(k.expires) {
			return nil, errUnknownToken(nil)
		}
		return k.principal, nil
	}
	k, err := s.lookUp(ctx, token)
	if err != nil {
		return nil, err
	}
	k.asked, k.changes = now, changes
	s.known.Set(key, k)
	return k.principal, nil
}

// wrapped reports whether there are line breaks in a token. Decoders of base64
// pass over them; here a token has one form.
func wrapped(token string) bool { return strings.ContainsAny(token, "\r\n") }

func errUnknownToken(cause error) error {
	return gathering.NewError(gathering.KindUnauthenticated, "the token is wrong, has expired or was taken back").WithCause(cause)
}

func (s *Service) lookUp(ctx context.Context, token string) (known, error) {
	var (
		k   known
		p   gathering.Principal
		err error
	)
	if strings.HasPrefix(token, tokenPrefix) {
		k.expires, err = s.byToken(ctx, &p, token)
	} else {
		k.expires, err = s.bySession(ctx, &p, token)
	}
	if err == nil {
		err = s.rights(ctx, &p)
	}
	k.principal = &p
	return k, err
}

// bySession finds whose session an access token is of.
func (s *Service) bySession(ctx context.Context, p *gathering.Principal, token string) (expires time.Time, err error) {
	c, err := s.readAccess(token)
	if err != nil {
		return expires, errUnknownToken(err)
	}
	var user gathering.UserID
	err = s.db.Read().QueryRow(ctx, `SELECT user_id FROM sessions WHERE id = $1 AND revoked_at IS NULL`, string(c.Session)).Scan(&user)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && string(user) != c.Subject:
		return expires, errUnknownToken(err)
	case err != nil:
		return expires, fmt.Errorf("look up a session: %w", err)
	}
	p.User, p.Session = user, c.Session
	return c.ExpiresAt.Time, nil
}

// rights reads who a user is by now and what they may.
func (s *Service) rights(ctx context.Context, p *gathering.Principal) error {
	var active int
	err := s.db.Read().QueryRow(ctx, `SELECT email, role, active FROM users WHERE id = $1`, string(p.User)).Scan(&p.Email, &p.Role, &active)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && active != 1:
		return errUnknownToken(err)
	case err != nil:
		return fmt.Errorf("look up a user: %w", err)
	}
	rows, err := s.db.Read().Query(ctx, `SELECT project, roles FROM members WHERE user_id = $1`, string(p.User))
	if err != nil {
		return fmt.Errorf("look up memberships: %w", err)
	}
	p.Projects = make(map[gathering.ProjectID][]gathering.Role)
	err = rows.Each(func(row store.Scanner) error {
		var (
			project gathering.ProjectID
			text    string
			roles   []gathering.Role
		)
		if err := row.Scan(&project, &text); err != nil {
			return err
		}
		err := json.Unmarshal([]byte(text), &roles)
		p.Projects[project] = roles
		return err
	})
	if err != nil {
		return fmt.Errorf("look up memberships: %w", err)
	}
	return nil
}

// SetupCode is what whoever sets this installation up proves with that they
// read its log. It is the same for every instance, and good for nothing once
// there is an administrator.
func (s *Service) SetupCode() string {
	return hex.EncodeToString(s.ring.MAC(keyring.PurposeSetup, s.db.LogID())[:20])
}

// CheckSetupCode reports whether a code is [Service.SetupCode].
func (s *Service) CheckSetupCode(code string) bool {
	return subtle.ConstantTimeCompare([]byte(code), []byte(s.SetupCode())) == 1
}

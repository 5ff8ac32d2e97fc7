package project

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gathering"
	"gathering/internal/once"
	"gathering/internal/store"
)

const memberColumns = `m.user_id, u.email, u.name, m.roles, m.created_at, m.updated_at`

func scanMember(row store.Scanner) (gathering.Member, error) {
	var (
		m                gathering.Member
		roles            string
		created, updated int64
	)
	if err := row.Scan(&m.User, &m.Email, &m.Name, &roles, &created, &updated); err != nil {
		return m, err
	}
	m.CreatedAt, m.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return m, json.Unmarshal([]byte(roles), &m.Roles)
}

// Members returns members of a project after one, at most limit of them.
func (s *Store) Members(ctx context.Context, id gathering.ProjectID, after gathering.UserID, limit int) ([]gathering.Member, error) {
	rows, err := s.DB.Read().Query(ctx, `SELECT `+memberColumns+` FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.project = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3`, string(id), string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	var members []gathering.Member
	err = rows.Each(func(row store.Scanner) error {
		m, err := scanMember(row)
		members = append(members, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	return members, nil
}

// Member returns a member of a project, or an error of kind not_found.
func (s *Store) Member(ctx context.Context, id gathering.ProjectID, user gathering.UserID) (gathering.Member, error) {
	return readMember(ctx, s.DB.Read(), id, user)
}

func readMember(ctx context.Context, q store.Querier, id gathering.ProjectID, user gathering.UserID) (gathering.Member, error) {
	m, err := scanMember(q.QueryRow(ctx, `SELECT `+memberColumns+` FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.project = $1 AND m.user_id = $2`, string(id), string(user)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return m, gathering.NewError(gathering.KindNotFound, "project %s has no member %s", id, user)
	case err != nil:
		return m, fmt.Errorf("read member: %w", err)
	}
	return m, nil
}

// checkRoles returns the roles in their order, each once.
func checkRoles(roles []gathering.Role) ([]gathering.Role, error) {
	var sorted []gathering.Role
	for _, role := range gathering.Roles() {
		if role != gathering.RoleNone && slices.Contains(roles, role) {
			sorted = append(sorted, role)
		}
	}
	for i, role := range roles {
		if !slices.Contains(sorted, role) {
			return nil, fault(fmt.Sprintf("roles[%d]", i), "must be admin, operator, editor or viewer")
		}
	}
	if len(sorted) == 0 {
		return nil, fault("roles", "must name at least one role: admin, operator, editor or viewer")
	}
	return sorted, nil
}

// SetMember gives a user these roles in a project, and no others.
func (s *Store) SetMember(ctx context.Context, id gathering.ProjectID, user gathering.UserID, roles []gathering.Role) (gathering.Member, error) {
	sorted, err := checkRoles(roles)
	if err != nil {
		return gathering.Member{}, err
	}
	text, err := json.Marshal(sorted)
	if err != nil {
		return gathering.Member{}, fmt.Errorf("set member: %w", err)
	}
	m, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.Member, error) {
		now := s.now()
		p, err := read(ctx, tx, id, tx.Dialect().ForUpdate())
		if err != nil {
			return gathering.Member{}, err
		}
		// Whoever is being deleted is gone by then, or waits until this is done.
		var there string
		err = tx.QueryRow(ctx, `SELECT id FROM users WHERE id = $1`+tx.Dialect().Locking("FOR KEY SHARE"), string(user)).Scan(&there)
		if errors.Is(err, sql.ErrNoRows) {
			err = gathering.NewError(gathering.KindNotFound, "there is no user %s", user)
		}
		if err != nil {
			return gathering.Member{}, err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO members (project, user_id, roles, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
			ON CONFLICT (project, user_id) DO UPDATE SET roles = excluded.roles, updated_at = excluded.updated_at`,
			string(id), string(user), string(text), now.UnixMicro()); err != nil {
			return gathering.Member{}, err
		}
		m, err := readMember(ctx, tx, id, user)
		if err != nil {
			return m, err
		}
		return m, p.tell(ctx, tx, gathering.Event{Type: gathering.EventMemberUpdated, At: now},
			gathering.MemberChangedData{User: user, Roles: sorted, By: by(ctx)}, string(user)+" "+string(text))
	})
	s.changed()
	if err != nil {
		return m, fmt.Errorf("set member: %w", err)
	}
	return m, nil
}

// DeleteMember takes a user's roles in a project away.
func (s *Store) DeleteMember(ctx context.Context, id gathering.ProjectID, user gathering.UserID) error {
	_, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.UserID, error) {
		p, err := read(ctx, tx, id, tx.Dialect().ForUpdate())
		if err != nil {
			return user, err
		}
		n, err := tx.Exec(ctx, `DELETE FROM members WHERE project = $1 AND user_id = $2`, string(id), string(user))
		if err != nil {
			return user, err
		}
		if n == 0 {
			return user, gathering.NewError(gathering.KindNotFound, "project %s has no member %s", id, user)
		}
		return user, p.tell(ctx, tx, gathering.Event{Type: gathering.EventMemberDeleted, At: s.now()},
			gathering.MemberChangedData{User: user, By: by(ctx)}, string(user))
	})
	s.changed()
	if err != nil {
		return fmt.Errorf("delete member: %w", err)
	}
	return nil
}

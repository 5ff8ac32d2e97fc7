// Package project keeps projects and who is a member of them.
package project

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/once"
	"gathering/internal/store"
)

// Store keeps projects.
type Store struct {
	DB  *store.DB
	Now func() time.Time
	// Changed is called after memberships have changed: what somebody may do
	// is something else by then. Nil calls nobody.
	Changed func()
}

// Update says what changes; nil leaves it as it is.
type Update struct {
	Name        *string
	Description *string
	Revision    int64 // the one that is changed; 0 is any
}

// Bounds of what is said of a project, in bytes.
const (
	maxName        = 200
	maxDescription = 4000
)

var validID = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func fault(field, problem string) error {
	return gathering.NewError(gathering.KindInvalid, "%s %s", field, problem).
		WithFields(gathering.FieldError{Field: field, Problem: problem})
}

func check(p gathering.Project) error {
	if !validID.MatchString(string(p.ID)) {
		return fault("id", "must be 1 to 63 small letters, digits, - or _, a letter first")
	}
	if p.Name == "" || len(p.Name) > maxName || !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, unicode.IsControl) {
		return fault("name", fmt.Sprintf("must be 1 to %d bytes of text on one line", maxName))
	}
	if len(p.Description) > maxDescription || !utf8.ValidString(p.Description) || strings.ContainsRune(p.Description, 0) {
		return fault("description", fmt.Sprintf("must be at most %d bytes of text", maxDescription))
	}
	return nil
}

func (s *Store) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

func by(ctx context.Context) string {
	c, _ := audit.CallerOf(ctx)
	return c.Name
}

// Create makes a project. One whose ID is taken is a conflict.
func (s *Store) Create(ctx context.Context, id gathering.ProjectID, name, description string) (gathering.Project, error) {
	now := s.now()
	p := gathering.Project{ID: id, Name: strings.TrimSpace(name), Description: description, Revision: 1, CreatedAt: now, UpdatedAt: now}
	if p.Name == "" {
		p.Name = string(id)
	}
	if err := check(p); err != nil {
		return p, err
	}
	p, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.Project, error) {
		made, err := create(ctx, tx, p)
		if err == nil && !made {
			err = gathering.NewError(gathering.KindConflict, "there is a project %s already", id)
		}
		return p, err
	})
	if err != nil {
		return p, fmt.Errorf("create project: %w", err)
	}
	return p, nil
}

// Ensure makes a project unless there is one.
func (s *Store) Ensure(ctx context.Context, id gathering.ProjectID) error {
	_, err := s.Project(ctx, id)
	if gathering.KindOf(err) != gathering.KindNotFound {
		return err
	}
	now := s.now()
	p := gathering.Project{ID: id, Name: string(id), Revision: 1, CreatedAt: now, UpdatedAt: now}
	if err := check(p); err != nil {
		return err
	}
	err = s.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := create(ctx, tx, p)
		return err
	})
	if err != nil {
		return fmt.Errorf("create project: %w", err)
	}
	return nil
}

func create(ctx context.Context, tx *store.Tx, p gathering.Project) (bool, error) {
	// The events of one that was deleted stay, and those of this one follow them.
	made, err := tx.Exec(ctx, `INSERT INTO projects (id, name, description, seq, revision, created_at, updated_at)
		VALUES ($1, $2, $3, (SELECT coalesce(max(seq), 0) + 1 FROM noun_log WHERE stream = $4), 1, $5, $5) ON CONFLICT (id) DO NOTHING`,
		string(p.ID), p.Name, p.Description, stream(p.ID), p.CreatedAt.UnixMicro())
	if err != nil || made == 0 {
		return false, err
	}
	row, err := read(ctx, tx, p.ID, "")
	if err != nil {
		return false, err
	}
	row.seq--
	return true, row.tell(ctx, tx, gathering.Event{Type: gathering.EventProjectCreated, At: p.CreatedAt},
		gathering.ProjectChangedData{Name: p.Name, By: by(ctx)}, "")
}

func stream(id gathering.ProjectID) string { return "project:" + string(id) }

// stored is a project as a transaction changes it.
type stored struct {
	gathering.Project

	seq int64
}

const columns = `id, name, description, revision, created_at, updated_at, seq`

func scan(row store.Scanner) (stored, error) {
	var (
		p                stored
		created, updated int64
	)
	err := row.Scan(&p.ID, &p.Name, &p.Description, &p.Revision, &created, &updated, &p.seq)
	p.CreatedAt, p.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return p, err
}

func read(ctx context.Context, q store.Querier, id gathering.ProjectID, clause string) (stored, error) {
	p, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM projects WHERE id = $1`+clause, string(id)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return p, gathering.NewError(gathering.KindNotFound, "there is no project %s", id)
	case err != nil:
		return p, fmt.Errorf("read project: %w", err)
	}
	return p, nil
}

// tell stores the number of the next event of a locked project, with the event.
func (p *stored) tell(ctx context.Context, tx *store.Tx, e gathering.Event, data any, reason string) error {
	p.seq++
	if _, err := tx.Exec(ctx, `UPDATE projects SET seq = $2 WHERE id = $1`, string(p.ID), p.seq); err != nil {
		return err
	}
	e.Stream, e.Seq = stream(p.ID), p.seq
	return audit.Tell(ctx, tx, e, data, gathering.AuditEntry{Project: p.ID, Reason: reason})
}

// Project returns a project, or an error of kind not_found.
func (s *Store) Project(ctx context.Context, id gathering.ProjectID) (gathering.Project, error) {
	p, err := read(ctx, s.DB.Read(), id, "")
	return p.Project, err
}

// Projects returns projects after one, by their IDs, at most limit of them. Of
// is those that are wanted; nil is all.
func (s *Store) Projects(ctx context.Context, of []gathering.ProjectID, after gathering.ProjectID, limit int) ([]gathering.Project, error) {
	wanted := ""
	if of != nil {
		list, err := json.Marshal(of)
		if err != nil {
			return nil, fmt.Errorf("list projects: %w", err)
		}
		wanted = string(list)
	}
	// Whether the list holds a project: replaced, it is another list.
	rows, err := s.DB.Read().Query(ctx, `SELECT `+columns+` FROM projects WHERE ($1 = '' OR replace($1, '"' || id || '"', '') <> $1) AND id > $2 ORDER BY id LIMIT $3`,
		wanted, string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	var projects []gathering.Project
	err = rows.Each(func(row store.Scanner) error {
		p, err := scan(row)
		projects = append(projects, p.Project)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	return projects, nil
}

func errStale() error {
	return gathering.NewError(gathering.KindConflict, "it was changed by somebody else meanwhile: read it again").WithCode(gathering.CodePrecondition)
}

// Update changes a project.
func (s *Store) Update(ctx context.Context, id gathering.ProjectID, c Update) (gathering.Project, error) {
	p, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.Project, error) {
		p, err := read(ctx, tx, id, tx.Dialect().ForUpdate())
		if err != nil {
			return p.Project, err
		}
		if c.Revision != 0 && c.Revision != p.Revision {
			return p.Project, errStale()
		}
		was := p.Project
		if c.Name != nil {
			p.Name = strings.TrimSpace(*c.Name)
		}
		if c.Description != nil {
			p.Description = *c.Description
		}
		if p.Project == was {
			return was, nil
		}
		if err := check(p.Project); err != nil {
			return was, err
		}
		p.Revision++
		p.UpdatedAt = s.now()
		if _, err := tx.Exec(ctx, `UPDATE projects SET name = $2, description = $3, revision = $4, updated_at = $5 WHERE id = $1`,
			string(id), p.Name, p.Description, p.Revision, p.UpdatedAt.UnixMicro()); err != nil {
			return was, err
		}
		return p.Project, p.tell(ctx, tx, gathering.Event{Type: gathering.EventProjectUpdated, At: p.UpdatedAt},
			gathering.ProjectChangedData{Name: p.Name, By: by(ctx)}, "")
	})
	if err != nil {
		return p, fmt.Errorf("change project: %w", err)
	}
	return p, nil
}

// Delete deletes a project that holds nothing, with its memberships. The
// default project stays.
func (s *Store) Delete(ctx context.Context, id gathering.ProjectID, revision int64) error {
	if id == gathering.DefaultProject {
		return gathering.NewError(gathering.KindConflict, "the default project cannot be deleted")
	}
	_, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.ProjectID, error) {
		p, err := read(ctx, tx, id, tx.Dialect().ForUpdate())
		if err != nil {
			return id, err
		}
		if revision != 0 && revision != p.Revision {
			return id, errStale()
		}
		var held int
		if err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM pipelines WHERE project = $1 AND deleted_at IS NULL) + (SELECT count(*) FROM runs WHERE project = $1)`,
			string(id)).Scan(&held); err != nil {
			return id, err
		}
		if held > 0 {
			return id, gathering.NewError(gathering.KindConflict, "project %s holds pipelines or runs: delete them first", id)
		}
		if err := erase(ctx, tx, id); err != nil {
			return id, err
		}
		return id, p.tell(ctx, tx, gathering.Event{Type: gathering.EventProjectDeleted, At: s.now()},
			gathering.ProjectChangedData{Name: p.Name, By: by(ctx)}, "")
	})
	s.changed()
	if err != nil {
		return fmt.Errorf("delete project: %w", err)
	}
	return nil
}

// erase removes a project with what it alone needs: its members and what is
// left of pipelines that were deleted.
func erase(ctx context.Context, tx *store.Tx, id gathering.ProjectID) error {
	var failed error
	erase := func(query string) {
		if failed == nil {
			_, failed = tx.Exec(ctx, query, string(id))
		}
	}
	erase(`DELETE FROM pipeline_versions WHERE pipeline IN (SELECT id FROM pipelines WHERE project = $1)`)
	erase(`DELETE FROM pipelines WHERE project = $1`)
	erase(`DELETE FROM members WHERE project = $1`)
	erase(`DELETE FROM projects WHERE id = $1`)
	return failed
}

func (s *Store) changed() {
	if s.Changed != nil {
		s.Changed()
	}
}

// Package pipeline stores pipelines and their immutable versions, and says
// which version is published.
package pipeline

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/codec"
	"gathering/internal/definition"
	"gathering/internal/once"
	"gathering/internal/store"
)

// Store keeps pipelines.
type Store struct {
	DB  *store.DB
	Now func() time.Time
}

// Save stores a checked definition as the newest version of the pipeline of
// its name and publishes it. A definition that the published version holds
// already adds none; one that an older version holds publishes that.
func (s *Store) Save(ctx context.Context, project gathering.ProjectID, def *gathering.Definition) (gathering.Pipeline, error) {
	p, err := s.put(ctx, put{project: project, def: def, publish: true})
	return p.Pipeline, err
}

// Create stores a checked definition as the first version of a new pipeline
// and publishes it. A name that another one of the project has is a conflict.
func (s *Store) Create(ctx context.Context, project gathering.ProjectID, def *gathering.Definition) (gathering.Pipeline, error) {
	p, err := s.put(ctx, put{project: project, def: def, fresh: true, publish: true})
	return p.Pipeline, err
}

// Change says of which revision of a pipeline something is changed, 0 is any,
// and whether a new version is published.
type Change struct {
	Revision int64
	Publish  bool
}

// Add stores a checked definition, which has the name of the pipeline, as a
// version of it. One that another version holds already adds none and is that.
func (s *Store) Add(ctx context.Context, p gathering.Pipeline, def *gathering.Definition, c Change) (gathering.Pipeline, gathering.Version, error) {
	if def.Name != p.Name {
		return p, gathering.Version{}, gathering.NewError(gathering.KindInvalid, "the definition has another name than the pipeline").
			WithFields(gathering.FieldError{Field: "definition.name", Problem: "must be " + p.Name})
	}
	added, err := s.put(ctx, put{id: p.ID, project: p.Project, def: def, publish: c.Publish, revision: c.Revision})
	return added.Pipeline, added.Version, err
}

// put is a definition that is to be stored.
type put struct {
	id       gathering.PipelineID // "" is whichever has the name, and one is made if none has
	project  gathering.ProjectID
	def      *gathering.Definition
	fresh    bool // there must be none
	publish  bool
	revision int64
}

// added is a pipeline with the version that holds a definition.
type added struct {
	Pipeline gathering.Pipeline
	Version  gathering.Version
}

func (s *Store) put(ctx context.Context, o put) (added, error) {
	name := o.def.Name
	document, err := definition.Encode(o.def)
	if err != nil {
		return added{}, fmt.Errorf("save pipeline %s: %w", name, err)
	}
	sum := sha256.Sum256(document)
	v := gathering.Version{Hash: hex.EncodeToString(sum[:]), Document: document}
	a, err := once.Do(ctx, s.DB, func(tx *store.Tx) (added, error) { return s.add(ctx, tx, o, v) })
	if err != nil {
		return a, fmt.Errorf("save pipeline %s: %w", name, err)
	}
	return a, nil
}

func (s *Store) add(ctx context.Context, tx *store.Tx, o put, v gathering.Version) (added, error) {
	now := s.now()
	p, err := s.target(ctx, tx, o, now)
	if err != nil {
		return added{}, err
	}
	v, isNew, err := s.version(ctx, tx, p.ID, v, now)
	if err != nil || (!isNew && (!o.publish || v.Number == p.Published)) {
		return added{p, v}, err
	}
	kind := gathering.EventPipelineUpdated
	if p.Revision == 0 {
		kind = gathering.EventPipelineCreated
	}
	if o.publish {
		p.Published = v.Number
	}
	p.UpdatedAt = now
	err = write(ctx, tx, &p, kind, gathering.PipelineChangedData{Version: v.Number})
	return added{p, v}, err
}

// target returns the pipeline that gets a definition, locked.
func (s *Store) target(ctx context.Context, tx *store.Tx, o put, now time.Time) (gathering.Pipeline, error) {
	if o.id != "" {
		return lock(ctx, tx, o.id, o.revision)
	}
	for {
		if err := s.make(ctx, tx, o, now); err != nil {
			return gathering.Pipeline{}, err
		}
		p, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM pipelines WHERE project = $1 AND name = $2 AND deleted_at IS NULL`+
			tx.Dialect().ForUpdate(), string(o.project), o.def.Name))
		if !errors.Is(err, sql.ErrNoRows) { // else it was deleted in between, and another is made
			return p, err
		}
	}
}

func (s *Store) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

func errDeleted(id gathering.PipelineID) error {
	return gathering.NewError(gathering.KindConflict, "pipeline %s was deleted", id)
}

func errStale() error {
	return gathering.NewError(gathering.KindConflict, "it was changed by somebody else meanwhile: read it again").WithCode(gathering.CodePrecondition)
}

// make makes the pipeline of a definition's name unless there is one. The
// insert locks the name, so that two who save it at once follow one another.
func (s *Store) make(ctx context.Context, tx *store.Tx, o put, now time.Time) error {
	var project string
	err := tx.QueryRow(ctx, `SELECT id FROM projects WHERE id = $1`+tx.Dialect().Locking("FOR KEY SHARE"), string(o.project)).Scan(&project)
	if err := found(err, "there is no project %s", string(o.project)); err != nil {
		return err
	}
	made, err := tx.Exec(ctx, `INSERT INTO pipelines (id, project, name, published, seq, created_at, updated_at)
		VALUES ($1, $2, $3, 0, 0, $4, $4) ON CONFLICT (project, name) WHERE deleted_at IS NULL DO NOTHING`,
		string(gathering.NewPipelineID(now)), string(o.project), o.def.Name, now.UnixMicro())
	if err == nil && made == 0 && o.fresh {
		err = gathering.NewError(gathering.KindConflict, "the project has a pipeline %q already", o.def.Name)
	}
	return err
}

// version returns the version with that content, which it adds if there is none.
func (s *Store) version(
	ctx context.Context, tx *store.Tx, id gathering.PipelineID, v gathering.Version, now time.Time,
) (stored gathering.Version, isNew bool, err error) {
	stored, err = scanVersion(tx.QueryRow(ctx, `SELECT `+versionColumns+` FROM pipeline_versions WHERE pipeline = $1 AND hash = $2
		ORDER BY number DESC LIMIT 1`, string(id), v.Hash))
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return stored, false, err
	}
	v.Pipeline, v.CreatedAt = id, now
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(number), 0) + 1 FROM pipeline_versions WHERE pipeline = $1`,
		string(id)).Scan(&v.Number); err != nil {
		return v, false, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO pipeline_versions (pipeline, number, hash, document, created_at) VALUES ($1, $2, $3, $4, $5)`,
		string(id), v.Number, v.Hash, codec.Encode(v.Document), now.UnixMicro())
	return v, true, err
}

// write stores what a locked pipeline becomes, and tells of it.
func write(ctx context.Context, tx *store.Tx, p *gathering.Pipeline, kind gathering.EventType, data gathering.PipelineChangedData) error {
	p.Revision++
	var deleted *int64
	if p.DeletedAt != nil {
		at := p.DeletedAt.UnixMicro()
		deleted = &at
	}
	if _, err := tx.Exec(ctx, `UPDATE pipelines SET published = $2, seq = $3, updated_at = $4, deleted_at = $5 WHERE id = $1`,
		string(p.ID), p.Published, p.Revision, p.UpdatedAt.UnixMicro(), deleted); err != nil {
		return err
	}
	c, _ := audit.CallerOf(ctx)
	data.Name, data.Published, data.By = p.Name, p.Published, c.Name
	return audit.Tell(ctx, tx, gathering.Event{Stream: string(p.ID), Seq: p.Revision, Type: kind, At: p.UpdatedAt}, data, gathering.AuditEntry{
		Project: p.Project, Reason: fmt.Sprintf("version %d, published %d", data.Version, p.Published),
	})
}

const columns = `id, project, name, published, seq, created_at, updated_at, deleted_at`

func scan(row store.Scanner) (gathering.Pipeline, error) {
	var (
		p                gathering.Pipeline
		created, updated int64
		deleted          sql.NullInt64
	)
	err := row.Scan(&p.ID, &p.Project, &p.Name, &p.Published, &p.Revision, &created, &updated, &deleted)
	p.CreatedAt, p.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	if deleted.Valid {
		at := time.UnixMicro(deleted.Int64).UTC()
		p.DeletedAt = &at
	}
	return p, err
}

// ByName returns a pipeline of a project, or an error of kind not_found.
func (s *Store) ByName(ctx context.Context, project gathering.ProjectID, name string) (gathering.Pipeline, error) {
	p, err := scan(s.DB.Read().QueryRow(ctx, `SELECT `+columns+` FROM pipelines WHERE project = $1 AND name = $2 AND deleted_at IS NULL`,
		string(project), name))
	return p, found(err, "there is no pipeline %q", name)
}

// Pipeline returns a pipeline, one that was deleted too, or an error of kind not_found.
func (s *Store) Pipeline(ctx context.Context, id gathering.PipelineID) (gathering.Pipeline, error) {
	p, err := scan(s.DB.Read().QueryRow(ctx, `SELECT `+columns+` FROM pipelines WHERE id = $1`, string(id)))
	return p, found(err, "there is no pipeline %s", string(id))
}

// Definition returns a version of a pipeline, or an error of kind not_found.
func (s *Store) Definition(ctx context.Context, id gathering.PipelineID, number int) (*gathering.Definition, error) {
	var stored []byte
	err := s.DB.Read().QueryRow(ctx, `SELECT document FROM pipeline_versions WHERE pipeline = $1 AND number = $2`,
		string(id), number).Scan(&stored)
	if err := found(err, "pipeline %s has no such version", string(id)); err != nil {
		return nil, err
	}
	document, err := codec.Decode(stored)
	if err != nil {
		return nil, fmt.Errorf("read version %d of %s: %w", number, id, err)
	}
	return definition.Decode(document)
}

func found(err error, format, name string) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return gathering.NewError(gathering.KindNotFound, format, name)
	case err != nil:
		return fmt.Errorf("read pipeline %s: %w", name, err)
	}
	return nil
}

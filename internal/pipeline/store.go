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
	"gathering/internal/codec"
	"gathering/internal/definition"
	"gathering/internal/event"
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
	document, err := definition.Encode(def)
	if err != nil {
		return gathering.Pipeline{}, fmt.Errorf("save pipeline %s: %w", def.Name, err)
	}
	sum := sha256.Sum256(document)
	v := gathering.Version{Hash: hex.EncodeToString(sum[:]), Document: document}
	var p gathering.Pipeline
	err = s.DB.Tx(ctx, func(tx *store.Tx) error {
		var err error
		p, err = s.save(ctx, tx, project, def.Name, v)
		return err
	})
	if err != nil {
		return gathering.Pipeline{}, fmt.Errorf("save pipeline %s: %w", def.Name, err)
	}
	return p, nil
}

func (s *Store) save(ctx context.Context, tx *store.Tx, project gathering.ProjectID, name string, v gathering.Version) (gathering.Pipeline, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	// The insert locks the name, so that two who save it at once follow one another.
	_, err := tx.Exec(ctx, `INSERT INTO pipelines (id, project, name, published, seq, created_at, updated_at)
		VALUES ($1, $2, $3, 0, 0, $4, $4) ON CONFLICT (project, name) DO NOTHING`,
		string(gathering.NewPipelineID(now)), string(project), name, now.UnixMicro())
	if err != nil {
		return gathering.Pipeline{}, err
	}
	p, seq, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM pipelines WHERE project = $1 AND name = $2`+
		tx.Dialect().ForUpdate(), string(project), name))
	if err != nil {
		return p, err
	}
	kind := gathering.EventPipelineUpdated
	if p.Published == 0 {
		kind = gathering.EventPipelineCreated
	}
	number, err := s.version(ctx, tx, p.ID, v, now)
	if err != nil || number == p.Published {
		return p, err
	}
	p.Published, p.UpdatedAt = number, now
	if _, err := tx.Exec(ctx, `UPDATE pipelines SET published = $2, seq = $3, updated_at = $4 WHERE id = $1`,
		string(p.ID), number, seq+1, now.UnixMicro()); err != nil {
		return p, err
	}
	return p, event.Append(ctx, tx, gathering.Event{Stream: string(p.ID), Seq: seq + 1, Type: kind, At: now},
		gathering.PipelineChangedData{Name: name, Version: number})
}

// version returns the number of the version with that content, which it adds
// if there is none.
func (s *Store) version(ctx context.Context, tx *store.Tx, id gathering.PipelineID, v gathering.Version, now time.Time) (int, error) {
	var number int
	err := tx.QueryRow(ctx, `SELECT number FROM pipeline_versions WHERE pipeline = $1 AND hash = $2
		ORDER BY number DESC LIMIT 1`, string(id), v.Hash).Scan(&number)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return number, err
	}
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(number), 0) + 1 FROM pipeline_versions WHERE pipeline = $1`,
		string(id)).Scan(&number); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO pipeline_versions (pipeline, number, hash, document, created_at) VALUES ($1, $2, $3, $4, $5)`,
		string(id), number, v.Hash, codec.Encode(v.Document), now.UnixMicro())
	return number, err
}

const columns = `id, project, name, published, seq, created_at, updated_at`

func scan(row store.Scanner) (gathering.Pipeline, int64, error) {
	var (
		p                     gathering.Pipeline
		seq, created, updated int64
	)
	err := row.Scan(&p.ID, &p.Project, &p.Name, &p.Published, &seq, &created, &updated)
	p.CreatedAt, p.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return p, seq, err
}

// ByName returns a pipeline of a project, or an error of kind not_found.
func (s *Store) ByName(ctx context.Context, project gathering.ProjectID, name string) (gathering.Pipeline, error) {
	p, _, err := scan(s.DB.Read().QueryRow(ctx, `SELECT `+columns+` FROM pipelines WHERE project = $1 AND name = $2`,
		string(project), name))
	return p, found(err, "there is no pipeline %q", name)
}

// Pipeline returns a pipeline, or an error of kind not_found.
func (s *Store) Pipeline(ctx context.Context, id gathering.PipelineID) (gathering.Pipeline, error) {
	p, _, err := scan(s.DB.Read().QueryRow(ctx, `SELECT `+columns+` FROM pipelines WHERE id = $1`, string(id)))
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

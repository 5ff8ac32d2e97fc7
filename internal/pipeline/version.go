package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/once"
	"gathering/internal/store"
)

const versionColumns = `pipeline, number, hash, document, created_at`

func scanVersion(row store.Scanner) (gathering.Version, error) {
	var (
		v       gathering.Version
		stored  []byte
		created int64
	)
	err := row.Scan(&v.Pipeline, &v.Number, &v.Hash, &stored, &created)
	if err != nil {
		return v, err
	}
	v.CreatedAt = time.UnixMicro(created).UTC()
	v.Document, err = codec.Decode(stored)
	return v, err
}

// Version returns a version of a pipeline with its document, or an error of
// kind not_found.
func (s *Store) Version(ctx context.Context, id gathering.PipelineID, number int) (gathering.Version, error) {
	v, err := scanVersion(s.DB.Read().QueryRow(ctx, `SELECT `+versionColumns+` FROM pipeline_versions WHERE pipeline = $1 AND number = $2`,
		string(id), number))
	return v, found(err, "pipeline %s has no such version", string(id))
}

// Versions returns versions of a pipeline before a number, 0 is the end, the
// newest first, at most limit of them. They come without their documents.
func (s *Store) Versions(ctx context.Context, id gathering.PipelineID, before, limit int) ([]gathering.Version, error) {
	rows, err := s.DB.Read().Query(ctx, `SELECT pipeline, number, hash, created_at FROM pipeline_versions
		WHERE pipeline = $1 AND ($2 = 0 OR number < $2) ORDER BY number DESC LIMIT $3`, string(id), before, limit)
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	var versions []gathering.Version
	err = rows.Each(func(row store.Scanner) error {
		var (
			v       gathering.Version
			created int64
		)
		err := row.Scan(&v.Pipeline, &v.Number, &v.Hash, &created)
		v.CreatedAt = time.UnixMicro(created).UTC()
		versions = append(versions, v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	return versions, nil
}

// Filter says which pipelines are wanted. What is empty does not matter.
type Filter struct {
	// Projects bounds what is wanted to these projects; nil does not.
	Projects []gathering.ProjectID
	Name     string
	After    gathering.PipelineID // only those with a higher ID
	Limit    int
}

// Pipelines returns those, not deleted, that the filter selects, in the order in which they
// were made.
func (s *Store) Pipelines(ctx context.Context, f Filter) ([]gathering.Pipeline, error) {
	projects := ""
	if f.Projects != nil {
		list, err := json.Marshal(f.Projects)
		if err != nil {
			return nil, fmt.Errorf("list pipelines: %w", err)
		}
		projects = string(list)
	}
	// Whether the list holds a project: replaced, it is another list.
	rows, err := s.DB.Read().Query(ctx, `SELECT `+columns+` FROM pipelines
		WHERE ($1 = '' OR replace($1, '"' || project || '"', '') <> $1) AND ($2 = '' OR name = $2) AND id > $3 AND deleted_at IS NULL
		ORDER BY id LIMIT $4`,
		projects, f.Name, string(f.After), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	var pipelines []gathering.Pipeline
	err = rows.Each(func(row store.Scanner) error {
		p, err := scan(row)
		pipelines = append(pipelines, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	return pipelines, nil
}

// Publish has new runs use a version of a pipeline. Revision is the one of the
// pipeline that is changed; 0 is any.
func (s *Store) Publish(ctx context.Context, id gathering.PipelineID, number int, revision int64) (gathering.Pipeline, error) {
	return s.publish(ctx, id, revision, func(tx *store.Tx, _ gathering.Pipeline) (int, error) {
		var there int
		err := tx.QueryRow(ctx, `SELECT number FROM pipeline_versions WHERE pipeline = $1 AND number = $2`, string(id), number).Scan(&there)
		return there, found(err, "pipeline %s has no such version", string(id))
	})
}

// Rollback has new runs use the version before the one that is published.
func (s *Store) Rollback(ctx context.Context, id gathering.PipelineID, revision int64) (gathering.Pipeline, error) {
	return s.publish(ctx, id, revision, func(tx *store.Tx, p gathering.Pipeline) (int, error) {
		var before int
		err := tx.QueryRow(ctx, `SELECT coalesce(max(number), 0) FROM pipeline_versions WHERE pipeline = $1 AND number < $2`,
			string(id), p.Published).Scan(&before)
		if err == nil && before == 0 {
			err = gathering.NewError(gathering.KindConflict, "there is no version before %d", p.Published)
		}
		return before, err
	})
}

func (s *Store) publish(
	ctx context.Context, id gathering.PipelineID, revision int64, which func(tx *store.Tx, p gathering.Pipeline) (int, error),
) (gathering.Pipeline, error) {
	p, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.Pipeline, error) {
		p, err := lock(ctx, tx, id, revision)
		if err != nil {
			return p, err
		}
		number, err := which(tx, p)
		if err != nil || number == p.Published {
			return p, err
		}
		p.Published, p.UpdatedAt = number, s.now()
		err = write(ctx, tx, &p, gathering.EventPipelineUpdated, gathering.PipelineChangedData{Version: number})
		return p, err
	})
	if err != nil {
		return p, fmt.Errorf("publish a version of %s: %w", id, err)
	}
	return p, nil
}

// lock returns a pipeline that is to be changed. Revision is the one that it is
// expected to have; 0 is any.
func lock(ctx context.Context, tx *store.Tx, id gathering.PipelineID, revision int64) (gathering.Pipeline, error) {
	p, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM pipelines WHERE id = $1`+tx.Dialect().ForUpdate(), string(id)))
	if err := found(err, "there is no pipeline %s", string(id)); err != nil {
		return p, err
	}
	switch {
	case p.DeletedAt != nil:
		return p, errDeleted(id)
	case revision != 0 && revision != p.Revision:
		return p, errStale()
	}
	return p, nil
}

// Delete deletes a pipeline: nobody starts a run of it from then on, though one
// that is being started may still begin, and its name is free. The runs that it
// had stay, and what they need of it. Revision is the one
// that is deleted; 0 is any.
func (s *Store) Delete(ctx context.Context, id gathering.PipelineID, revision int64) error {
	_, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.PipelineID, error) {
		p, err := lock(ctx, tx, id, revision)
		if err != nil {
			return id, err
		}
		now := s.now()
		p.UpdatedAt, p.DeletedAt = now, &now
		return id, write(ctx, tx, &p, gathering.EventPipelineDeleted, gathering.PipelineChangedData{Version: p.Published})
	})
	if err != nil {
		return fmt.Errorf("delete pipeline %s: %w", id, err)
	}
	return nil
}

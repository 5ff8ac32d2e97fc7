package run

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/store"
)

// MaxKey bounds a key of a run, in bytes.
const MaxKey = 200

func checkKey(field, key string) error {
	if len(key) > MaxKey || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return gathering.NewError(gathering.KindInvalid, "the key cannot be used").WithFields(gathering.FieldError{
			Field: field, Problem: fmt.Sprintf("must be text of %d bytes at most, without a null byte", MaxKey),
		})
	}
	return nil
}

// bind gives a new run the key that bounds how many runs are under way at once,
// if its pipeline has one. Such a run is not due before it is granted a place.
func (in *insert) bind(graph *engine.Graph, queued gathering.RunQueuedData) error {
	if graph.Concurrency == nil {
		return nil
	}
	trigger, err := json.Marshal(queued.Trigger)
	if err != nil {
		return fmt.Errorf("encode the trigger of %s: %w", in.run.ID, err)
	}
	vars := make(map[string]json.RawMessage, len(graph.Vars)+len(queued.Vars))
	maps.Copy(vars, graph.Vars)
	maps.Copy(vars, queued.Vars)
	bound, err := graph.Concurrency(&expr.Scope{
		Input: queued.Input, Trigger: trigger, Vars: vars,
		Run: expr.Run{ID: string(in.run.ID), StartedAt: in.run.CreatedAt, Project: string(in.run.Project)},
	})
	if err != nil {
		return err
	}
	if bound.Max < 1 {
		return gathering.NewError(gathering.KindInvalid, "the pipeline's bound on concurrency lets no run begin").
			WithFields(gathering.FieldError{Field: "concurrency.max", Problem: "must be 1 at least"})
	}
	key := bound.Key
	if key == "" {
		key = "pipeline:" + string(in.run.Pipeline)
	}
	if err := checkKey("concurrency.key", key); err != nil {
		return err
	}
	in.concurrencyKey, in.concurrencyMax = string(in.run.Project)+"/"+key, int64(bound.Max)
	in.ready = 0
	if in.run.Deadline != nil {
		in.ready = in.run.Deadline.UnixMicro() // to end it, place or not
	}
	return nil
}

// A run that waits for a place has a key and was never granted one; it holds
// its place from then on until it ends, whoever owns it and parked or not. So
// everything follows from the rows, whoever dies.
const (
	// vacancies are the keys of which a run waits that has a place free.
	vacancies = `WITH RECURSIVE waiting(name) AS (
			SELECT (SELECT r.concurrency_key FROM runs r WHERE r.concurrency_key IS NOT NULL AND r.granted_at IS NULL
				AND r.owner IS NULL AND r.finished_at IS NULL ORDER BY r.concurrency_key LIMIT 1)
			UNION ALL SELECT (SELECT r.concurrency_key FROM runs r WHERE r.concurrency_key IS NOT NULL AND r.granted_at IS NULL
				AND r.owner IS NULL AND r.finished_at IS NULL AND r.concurrency_key > waiting.name ORDER BY r.concurrency_key LIMIT 1)
			FROM waiting WHERE waiting.name IS NOT NULL)
		SELECT waiting.name FROM waiting WHERE waiting.name IS NOT NULL
			AND (SELECT count(*) FROM runs h WHERE h.concurrency_key = waiting.name AND h.granted_at IS NOT NULL AND h.finished_at IS NULL)
			< (SELECT r.concurrency_max FROM runs r WHERE r.concurrency_key IS NOT NULL AND r.granted_at IS NULL
				AND r.owner IS NULL AND r.finished_at IS NULL AND r.concurrency_key = waiting.name ORDER BY r.queue, r.created_at LIMIT 1)`
	holding = `SELECT count(*) FROM runs WHERE concurrency_key = $1 AND granted_at IS NOT NULL AND finished_at IS NULL`
	waiting = `SELECT id, concurrency_max FROM runs WHERE concurrency_key IS NOT NULL AND granted_at IS NULL
		AND owner IS NULL AND finished_at IS NULL AND concurrency_key = $1 ORDER BY queue, created_at, id LIMIT $2`
)

const (
	grantKeys = 32 // that one transaction looks at
	grantRuns = 64 // of one key that one transaction makes due
)

// vacant lists the keys with a place for a run that waits.
func (s *Service) vacant(ctx context.Context) ([]string, error) {
	rows, err := s.db.Read().Query(ctx, vacancies)
	if err != nil {
		return nil, fmt.Errorf("look for free places: %w", err)
	}
	var keys []string
	err = rows.Each(func(row store.Scanner) error {
		var key string
		err := row.Scan(&key)
		keys = append(keys, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for free places: %w", err)
	}
	return keys, nil
}

// grant makes runs due that wait for a place, as many as there are places.
func (s *Service) grant(ctx context.Context) error {
	for more := true; more; {
		keys, err := s.vacant(ctx)
		if err != nil {
			return err
		}
		more = false
		for some := range slices.Chunk(keys, grantKeys) {
			granted, err := s.grantSome(ctx, some)
			if err != nil {
				return err
			}
			if granted > 0 {
				more = true
				s.bell.Ring(topicClaim)
			}
		}
	}
	return nil
}

func (s *Service) grantSome(ctx context.Context, keys []string) (granted int, err error) {
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		granted = 0
		// One at a time grants, and sees what the others did.
		var name string
		if err := tx.QueryRow(ctx, `SELECT value FROM meta WHERE key = 'log_id'`+tx.Dialect().ForUpdate()).Scan(&name); err != nil {
			return err
		}
		for _, key := range keys {
			n, err := s.grantKey(ctx, tx, key)
			if err != nil {
				return err
			}
			granted += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("grant places: %w", err)
	}
	return granted, nil
}

// grantKey grants places to the runs of one key, the most urgent first and then
// the oldest. One that has to wait has all behind it wait.
func (s *Service) grantKey(ctx context.Context, tx *store.Tx, key string) (granted int, err error) {
	var held int64
	if err := tx.QueryRow(ctx, holding, key).Scan(&held); err != nil {
		return 0, err
	}
	rows, err := tx.Query(ctx, waiting, key, grantRuns)
	if err != nil {
		return 0, err
	}
	var next []string
	open := true
	err = rows.Each(func(row store.Scanner) error {
		var (
			id   string
			most int64
		)
		err := row.Scan(&id, &most)
		if open = open && held+int64(len(next)) < most; open {
			next = append(next, id)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	now := s.now().UnixMicro()
	for _, id := range next {
		n, err := tx.Exec(ctx, `UPDATE runs SET granted_at = $2, ready_at = $2
			WHERE id = $1 AND granted_at IS NULL AND owner IS NULL AND finished_at IS NULL`, id, now)
		if err != nil {
			return 0, err
		}
		granted += int(n)
	}
	return granted, nil
}

// grantLoop grants places whenever there may be one.
func (h *shift) grantLoop() {
	rings, cancel := h.service.bell.Subscribe(topicGrant)
	defer cancel()
	poll := time.NewTicker(h.options.Poll)
	defer poll.Stop()
	for {
		if err := h.service.grant(h.ctx); err != nil && h.ctx.Err() == nil {
			h.logger.ErrorContext(h.ctx, "could not grant places", slog.String("error", err.Error()))
		}
		select {
		case <-rings:
		case <-poll.C:
		case <-h.ctx.Done():
			return
		}
	}
}

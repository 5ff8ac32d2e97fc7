package run

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
	"gathering/internal/place"
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

// grantLoop grants places whenever there may be one.
func (h *shift) grantLoop() {
	rings, cancel := h.service.bell.Subscribe(topicGrant)
	defer cancel()
	poll := time.NewTicker(h.options.Poll)
	defer poll.Stop()
	for {
		granted, err := place.Grant(h.ctx, h.service.db, h.service.now().UnixMicro())
		if granted > 0 {
			h.service.bell.Ring(topicClaim)
		}
		if err != nil && h.ctx.Err() == nil {
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

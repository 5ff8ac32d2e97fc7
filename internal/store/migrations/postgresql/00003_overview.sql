-- What is under way, and what somebody is to look at, found without looking at
-- what has ended.

-- +goose Up
-- +goose StatementBegin

-- How many nodes of a run wait for somebody to say what became of them.
ALTER TABLE runs ADD COLUMN undecided BIGINT NOT NULL DEFAULT 0;
CREATE INDEX runs_undecided ON runs (id) WHERE undecided > 0 AND finished_at IS NULL;

-- Those that only mail moves: with runs_owned and runs_ready, all that have not ended.
CREATE INDEX runs_parked ON runs (id) WHERE owner IS NULL AND ready_at IS NULL AND finished_at IS NULL;

-- Those that wait are looked at once more, which counts what they wait for.
UPDATE runs SET ready_at = 1 WHERE state = 'waiting' AND owner IS NULL AND finished_at IS NULL;
-- +goose StatementEnd

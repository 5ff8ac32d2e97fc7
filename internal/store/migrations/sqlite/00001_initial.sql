-- Times are microseconds since 1970 in UTC. Documents and log rows are in the
-- store's codec: a header byte, then the bytes.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE instances (
    id         TEXT   NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    counter    BIGINT NOT NULL,
    host       TEXT   NOT NULL,
    pid        BIGINT NOT NULL,
    version    TEXT   NOT NULL,
    max_engine BIGINT NOT NULL,
    beat       BIGINT NOT NULL DEFAULT 0
);

-- What a run is searched and claimed by. Its state is the fold of its log.
CREATE TABLE runs (
    id              TEXT   NOT NULL PRIMARY KEY,
    project         TEXT   NOT NULL,
    pipeline        TEXT   NOT NULL,
    version         BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    owner           TEXT,
    epoch           BIGINT NOT NULL,
    inbox           BIGINT NOT NULL,
    crashes         BIGINT NOT NULL,
    ready_at        BIGINT,
    deadline        BIGINT,
    priority        BIGINT NOT NULL,
    queue           TEXT   NOT NULL,
    concurrency_key TEXT,
    concurrency_max BIGINT NOT NULL DEFAULT 0,
    granted_at      BIGINT,
    run_key         TEXT,
    labels          TEXT   NOT NULL,
    parent_run      TEXT,
    parent_node     TEXT,
    root_run        TEXT   NOT NULL,
    depth           BIGINT NOT NULL,
    min_engine      BIGINT NOT NULL,
    origin_run      TEXT,
    created_at      BIGINT NOT NULL,
    finished_at     BIGINT,
    dead_at         BIGINT
) WITHOUT ROWID;
CREATE INDEX runs_ready ON runs (queue, ready_at) WHERE owner IS NULL AND ready_at IS NOT NULL;
CREATE INDEX runs_suspect ON runs (ready_at) WHERE owner IS NULL AND ready_at IS NOT NULL AND crashes >= 2;
CREATE INDEX runs_owned ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_root ON runs (root_run) WHERE depth > 0;
CREATE INDEX runs_parent ON runs (parent_run) WHERE parent_run IS NOT NULL;
CREATE UNIQUE INDEX runs_key ON runs (project, run_key) WHERE run_key IS NOT NULL AND finished_at IS NULL;
CREATE UNIQUE INDEX runs_redrive ON runs (origin_run) WHERE origin_run IS NOT NULL AND run_key IS NOT NULL;
CREATE INDEX runs_granted ON runs (concurrency_key) WHERE granted_at IS NOT NULL AND finished_at IS NULL;
CREATE INDEX runs_bounded ON runs (concurrency_key, queue, created_at)
    WHERE concurrency_key IS NOT NULL AND granted_at IS NULL AND owner IS NULL AND finished_at IS NULL;
CREATE INDEX runs_dead ON runs (id) WHERE dead_at IS NOT NULL;

-- One row per commit of a run: seq is that of the first event packed in rows.
-- Rows lie in the order in which they were written, so that a group commit
-- touches few pages.
CREATE TABLE run_log (
    run_id  TEXT   NOT NULL,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    version BIGINT NOT NULL,
    rows    BLOB   NOT NULL,
    PRIMARY KEY (run_id, seq)
);

-- Where a long run stood after the event seq: its log is folded from there.
CREATE TABLE snapshots (
    run_id  TEXT   NOT NULL PRIMARY KEY,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data    BLOB   NOT NULL
) WITHOUT ROWID;

-- The logs of everything else that is stored.
CREATE TABLE noun_log (
    stream  TEXT   NOT NULL,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    version BIGINT NOT NULL,
    rows    BLOB   NOT NULL,
    PRIMARY KEY (stream, seq)
) WITHOUT ROWID;

-- One row per commit that wrote logs: entries is [[stream, first seq, last seq], …].
-- pos order is commit order.
CREATE TABLE feed (
    pos INTEGER PRIMARY KEY AUTOINCREMENT,
    at      BIGINT NOT NULL,
    entries TEXT   NOT NULL
);

-- What others have to say to a run's owner: n is the count of its inbox with it.
CREATE TABLE run_inbox (
    run_id TEXT   NOT NULL,
    id     TEXT   NOT NULL,
    kind   TEXT   NOT NULL,
    data   BLOB,
    at     BIGINT NOT NULL,
    n      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, id)
) WITHOUT ROWID;

-- Values too large for a log row.
CREATE TABLE blobs (
    run_id TEXT  NOT NULL,
    hash   TEXT  NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (run_id, hash)
);

CREATE TABLE pipelines (
    id         TEXT   NOT NULL PRIMARY KEY,
    project    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    published  BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (project, name)
);

CREATE TABLE pipeline_versions (
    pipeline   TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    hash       TEXT   NOT NULL,
    document   BLOB   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (pipeline, number)
);
CREATE INDEX pipeline_versions_hash ON pipeline_versions (pipeline, hash);

-- Circuit breakers that were open once. One whose time of being open is up is
-- half open; without until it stays open until somebody resets it.
CREATE TABLE breakers (
    name     TEXT NOT NULL PRIMARY KEY,
    state    TEXT NOT NULL,
    since    BIGINT NOT NULL,
    until    BIGINT,
    failures BIGINT NOT NULL,
    reason   TEXT NOT NULL,
    by_whom  TEXT NOT NULL,
    seq      BIGINT NOT NULL
);
CREATE INDEX breakers_open ON breakers (since) WHERE state = 'open';
-- +goose StatementEnd

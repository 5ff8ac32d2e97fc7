-- Who may do what, and who did what.

-- +goose Up
-- +goose StatementBegin

-- People. E-mail addresses are normalised; password is an argon2id hash, or ''
-- for somebody who cannot sign in.
CREATE TABLE users (
    id           TEXT   NOT NULL PRIMARY KEY,
    email        TEXT   NOT NULL UNIQUE,
    name         TEXT   NOT NULL,
    role         TEXT   NOT NULL,
    active       BIGINT NOT NULL,
    password     TEXT   NOT NULL,
    revision     BIGINT NOT NULL,
    seq          BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    signed_in_at BIGINT
);

-- What a sign-in began: the family of its refresh tokens, of which that of the
-- newest generation alone is good, and that of its access tokens. A session
-- that is not here is over.
CREATE TABLE sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    address    TEXT   NOT NULL,
    network    TEXT   NOT NULL,
    agent      TEXT   NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Failed sign-ins, by what they have in common: an account, or an account and a
-- network. Until then no further one is looked at.
CREATE TABLE signin_failures (
    key      TEXT   NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    until    BIGINT NOT NULL
);
CREATE INDEX signin_failures_last ON signin_failures (last_at);

-- hash is the SHA-256 of the token, in hex.
CREATE TABLE api_tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    hash       TEXT   NOT NULL UNIQUE,
    scopes     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    used_at    BIGINT
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, id);

CREATE TABLE projects (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    revision    BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- roles is a JSON array.
CREATE TABLE members (
    project    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    roles      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, user_id)
);
CREATE INDEX members_user ON members (user_id);

INSERT INTO projects (id, name, description, revision, seq, created_at, updated_at)
SELECT project, project, '', 1, 0, min(created_at), min(created_at) FROM pipelines GROUP BY project;
INSERT INTO projects (id, name, description, revision, seq, created_at, updated_at)
VALUES ('default', 'Default', '', 1, 0, 0, 0) ON CONFLICT (id) DO NOTHING;

-- What was done and tried. A row without a seal is younger than about a second;
-- one with a seal has a digest of the rest.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         BIGINT NOT NULL,
    actor      TEXT   NOT NULL,
    actor_name TEXT   NOT NULL,
    credential TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    agent      TEXT   NOT NULL,
    request    TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    object     TEXT   NOT NULL,
    project    TEXT   NOT NULL,
    outcome    TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    times      BIGINT NOT NULL,
    seal       BIGINT,
    digest     TEXT
);
CREATE INDEX audit_unsealed ON audit (id) WHERE seal IS NULL;
CREATE INDEX audit_seal ON audit (seal) WHERE seal IS NOT NULL;
CREATE INDEX audit_object ON audit (object, id);

-- Each seal covers the rows that bear its number, the seal before it, and the
-- seals whose rows were deleted by then.
CREATE TABLE audit_seals (
    number     BIGINT NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    entries    BIGINT NOT NULL,
    root       TEXT   NOT NULL,
    previous   TEXT   NOT NULL,
    pruned     BIGINT NOT NULL,
    key        TEXT   NOT NULL,
    signature  TEXT   NOT NULL
);

-- What writes with an Idempotency-Key came to.
CREATE TABLE idempotency (
    key         TEXT   NOT NULL PRIMARY KEY,
    fingerprint TEXT   NOT NULL,
    result      BLOB   NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

CREATE TABLE settings (
    name       TEXT   NOT NULL PRIMARY KEY,
    value      TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Model providers. secret is encrypted.
CREATE TABLE providers (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    kind       TEXT   NOT NULL,
    base_url   TEXT   NOT NULL,
    secret     BLOB,
    seq        BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- A pipeline that was deleted stays for the runs it had; its name is free.
CREATE TABLE pipelines_next (
    id         TEXT   NOT NULL PRIMARY KEY,
    project    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    published  BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
INSERT INTO pipelines_next SELECT id, project, name, published, seq, created_at, updated_at, NULL FROM pipelines;
DROP TABLE pipelines;
ALTER TABLE pipelines_next RENAME TO pipelines;
CREATE UNIQUE INDEX pipelines_name ON pipelines (project, name) WHERE deleted_at IS NULL;
-- +goose StatementEnd

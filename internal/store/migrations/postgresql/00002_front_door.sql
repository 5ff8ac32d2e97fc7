-- Who may do what, and who did what.

-- +goose Up
-- +goose StatementBegin

-- People. E-mail addresses are normalised; password is an argon2id hash, or ''
-- for somebody who cannot sign in.
CREATE TABLE users (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    email        TEXT COLLATE "C" NOT NULL UNIQUE,
    name         TEXT COLLATE "C" NOT NULL,
    role         TEXT COLLATE "C" NOT NULL,
    active       BIGINT NOT NULL,
    password     TEXT COLLATE "C" NOT NULL,
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
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    address    TEXT COLLATE "C" NOT NULL,
    network    TEXT COLLATE "C" NOT NULL,
    agent      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Failed sign-ins, by what they have in common: an account, or an account and a
-- network. Until then no further one is looked at.
CREATE TABLE signin_failures (
    key      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    until    BIGINT NOT NULL
);
CREATE INDEX signin_failures_last ON signin_failures (last_at);

-- hash is the SHA-256 of the token, in hex.
CREATE TABLE api_tokens (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    scopes     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    used_at    BIGINT
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, id);

CREATE TABLE projects (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    revision    BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- roles is a JSON array.
CREATE TABLE members (
    project    TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    roles      TEXT COLLATE "C" NOT NULL,
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
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    actor_name TEXT COLLATE "C" NOT NULL,
    credential TEXT COLLATE "C" NOT NULL,
    address    TEXT COLLATE "C" NOT NULL,
    agent      TEXT COLLATE "C" NOT NULL,
    request    TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    object     TEXT COLLATE "C" NOT NULL,
    project    TEXT COLLATE "C" NOT NULL,
    outcome    TEXT COLLATE "C" NOT NULL,
    reason     TEXT COLLATE "C" NOT NULL,
    times      BIGINT NOT NULL,
    seal       BIGINT,
    digest     TEXT COLLATE "C"
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
    root       TEXT COLLATE "C" NOT NULL,
    previous   TEXT COLLATE "C" NOT NULL,
    pruned     BIGINT NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    signature  TEXT COLLATE "C" NOT NULL
);

-- What writes with an Idempotency-Key came to.
CREATE TABLE idempotency (
    key         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    fingerprint TEXT COLLATE "C" NOT NULL,
    result      BYTEA NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

CREATE TABLE settings (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value      TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Model providers. secret is encrypted.
CREATE TABLE providers (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    kind       TEXT COLLATE "C" NOT NULL,
    base_url   TEXT COLLATE "C" NOT NULL,
    secret     BYTEA,
    seq        BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- A pipeline that was deleted stays for the runs it had; its name is free.
ALTER TABLE pipelines ADD COLUMN deleted_at BIGINT;
ALTER TABLE pipelines DROP CONSTRAINT pipelines_project_name_key;
CREATE UNIQUE INDEX pipelines_name ON pipelines (project, name) WHERE deleted_at IS NULL;
-- +goose StatementEnd

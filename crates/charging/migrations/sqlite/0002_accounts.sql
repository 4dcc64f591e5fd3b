CREATE TABLE accounts (
    id BLOB NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    -- As names are compared: two that look alike are one.
    username_key TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    -- Verified addresses only: one that is not verified belongs to a code.
    email TEXT,
    email_key TEXT UNIQUE,
    name TEXT,
    language TEXT NOT NULL,
    address TEXT,
    status TEXT NOT NULL,
    status_reason TEXT,
    totp_secret BLOB,
    totp_confirmed INTEGER NOT NULL,
    -- A one-time password is accepted once.
    totp_last_step INTEGER NOT NULL,
    terms_version TEXT,
    terms_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE account_roles (
    account_id BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (account_id, role)
) STRICT;
CREATE INDEX account_roles_role ON account_roles (role, account_id);

CREATE TABLE role_locations (
    account_id BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    location_id BLOB NOT NULL REFERENCES locations (id) ON DELETE CASCADE,
    PRIMARY KEY (account_id, role, location_id)
) STRICT;
CREATE INDEX role_locations_location ON role_locations (location_id);

-- A sign-in is the family of its refresh tokens, and the `sid` of its access tokens.
CREATE TABLE sign_ins (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- The key from which the successor of a refresh token is derived, so that it can be returned again.
    secret BLOB NOT NULL,
    client TEXT,
    -- When the password was last entered.
    authenticated_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    ended_because TEXT
) STRICT;
CREATE INDEX sign_ins_account ON sign_ins (account_id, id);
CREATE INDEX sign_ins_expires ON sign_ins (expires_at);

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token.
    hash BLOB NOT NULL PRIMARY KEY,
    sign_in_id BLOB NOT NULL REFERENCES sign_ins (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    rotated_at INTEGER
) STRICT;
CREATE INDEX refresh_tokens_sign_in ON refresh_tokens (sign_in_id);
CREATE INDEX refresh_tokens_rotated ON refresh_tokens (rotated_at);

-- Codes that are sent by mail. A used code is deleted.
CREATE TABLE account_codes (
    -- SHA-256 of the code.
    hash BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL,
    email TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX account_codes_account ON account_codes (account_id, purpose);
CREATE INDEX account_codes_expires ON account_codes (expires_at);

-- The keys of access tokens where JWT_KEY_FILE names none. The newest signs.
CREATE TABLE signing_keys (
    id TEXT NOT NULL PRIMARY KEY,
    pkcs8 BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- What only one transaction may do at a time, by its row.
CREATE TABLE account_locks (name TEXT NOT NULL PRIMARY KEY) STRICT;
INSERT INTO account_locks VALUES ('administrators'), ('signing_keys');

CREATE TABLE vehicles (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    plate TEXT,
    connector TEXT,
    max_power_w INTEGER,
    battery_wh INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX vehicles_account ON vehicles (account_id, id);

-- OCPP's parent id tags.
CREATE TABLE token_groups (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE fleets (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- The account that manages the fleet and pays for it.
    payer_id BLOB NOT NULL REFERENCES accounts (id),
    address TEXT,
    vat_id TEXT,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX fleets_payer ON fleets (payer_id);

CREATE TABLE fleet_members (
    fleet_id BLOB NOT NULL REFERENCES fleets (id) ON DELETE CASCADE,
    account_id BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    status TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (fleet_id, account_id)
) STRICT;
CREATE INDEX fleet_members_account ON fleet_members (account_id);

-- What drivers show. One row has three names, and is OCPP's id tag too.
CREATE TABLE tokens (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB REFERENCES accounts (id) ON DELETE CASCADE,
    fleet_id BLOB REFERENCES fleets (id) ON DELETE SET NULL,
    group_id BLOB REFERENCES token_groups (id),
    type TEXT NOT NULL,
    uid TEXT NOT NULL,
    uid_key TEXT NOT NULL UNIQUE,
    driver_token TEXT NOT NULL UNIQUE,
    id_tag TEXT,
    id_tag_key TEXT UNIQUE,
    status TEXT NOT NULL,
    -- `owner`, or `operator`: a block by an operator is not lifted by the owner.
    blocked_by TEXT,
    -- The account is blocked, and its tokens with it.
    owner_blocked INTEGER NOT NULL,
    whitelist TEXT NOT NULL,
    expires_at INTEGER,
    -- SHA-256 of the code that is printed on a card which has no account yet.
    bind_code BLOB UNIQUE,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tokens_account ON tokens (account_id, id);
CREATE INDEX tokens_group ON tokens (group_id, id);
CREATE INDEX tokens_fleet ON tokens (fleet_id, id);
CREATE INDEX tokens_expires ON tokens (expires_at);

-- Stations and tokens whose state acl-service has to learn. The state is read when it is sent, so a row says only that it
-- may have changed.
CREATE TABLE core_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    actor TEXT
) STRICT;
CREATE INDEX core_changes_key ON core_changes (key);
-- One row: the number of the last changes that acl-service has.
CREATE TABLE core_state (version INTEGER NOT NULL) STRICT;
INSERT INTO core_state VALUES (0);

-- What people and keys did to others. It carries ids and the reason, and no personal data of its own.
CREATE TABLE audit (
    id BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_id BLOB NOT NULL,
    reason TEXT,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject_id, id);
CREATE INDEX audit_at ON audit (at);

-- Accounts that were erased, so that a restored backup can be cleaned of them again.
CREATE TABLE erasures (
    account_id BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;

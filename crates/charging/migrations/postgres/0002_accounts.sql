CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    username text NOT NULL,
    -- As names are compared: two that look alike are one.
    username_key text NOT NULL UNIQUE,
    password text NOT NULL,
    -- Verified addresses only: one that is not verified belongs to a code.
    email text,
    email_key text UNIQUE,
    name text,
    language text NOT NULL,
    address jsonb,
    status text NOT NULL,
    status_reason text,
    totp_secret bytea,
    totp_confirmed boolean NOT NULL,
    -- A one-time password is accepted once.
    totp_last_step bigint NOT NULL,
    terms_version text,
    terms_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE account_roles (
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role text NOT NULL,
    PRIMARY KEY (account_id, role)
);
CREATE INDEX account_roles_role ON account_roles (role, account_id);

CREATE TABLE role_locations (
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role text NOT NULL,
    location_id uuid NOT NULL REFERENCES locations (id) ON DELETE CASCADE,
    PRIMARY KEY (account_id, role, location_id)
);
CREATE INDEX role_locations_location ON role_locations (location_id);

-- A sign-in is the family of its refresh tokens, and the `sid` of its access tokens.
CREATE TABLE sign_ins (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- The key from which the successor of a refresh token is derived, so that it can be returned again.
    secret bytea NOT NULL,
    client text,
    -- When the password was last entered.
    authenticated_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_because text
);
CREATE INDEX sign_ins_account ON sign_ins (account_id, id);
CREATE INDEX sign_ins_expires ON sign_ins (expires_at);

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token.
    hash bytea PRIMARY KEY,
    sign_in_id uuid NOT NULL REFERENCES sign_ins (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    rotated_at timestamptz
);
CREATE INDEX refresh_tokens_sign_in ON refresh_tokens (sign_in_id);
CREATE INDEX refresh_tokens_rotated ON refresh_tokens (rotated_at);

-- Codes that are sent by mail. A used code is deleted.
CREATE TABLE account_codes (
    -- SHA-256 of the code.
    hash bytea PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    purpose text NOT NULL,
    email text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX account_codes_account ON account_codes (account_id, purpose);
CREATE INDEX account_codes_expires ON account_codes (expires_at);

-- The keys of access tokens where JWT_KEY_FILE names none. The newest signs.
CREATE TABLE signing_keys (
    id text PRIMARY KEY,
    pkcs8 bytea NOT NULL,
    created_at timestamptz NOT NULL
);

-- What only one transaction may do at a time, by its row.
CREATE TABLE account_locks (name text PRIMARY KEY);
INSERT INTO account_locks VALUES ('administrators'), ('signing_keys');

CREATE TABLE vehicles (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name text NOT NULL,
    plate text,
    connector text,
    max_power_w bigint,
    battery_wh bigint,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX vehicles_account ON vehicles (account_id, id);

-- OCPP's parent id tags.
CREATE TABLE token_groups (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    name_key text NOT NULL UNIQUE,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE fleets (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    -- The account that manages the fleet and pays for it.
    payer_id uuid NOT NULL REFERENCES accounts (id),
    address jsonb,
    vat_id text,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX fleets_payer ON fleets (payer_id);

CREATE TABLE fleet_members (
    fleet_id uuid NOT NULL REFERENCES fleets (id) ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    status text NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (fleet_id, account_id)
);
CREATE INDEX fleet_members_account ON fleet_members (account_id);

-- What drivers show. One row has three names, and is OCPP's id tag too.
CREATE TABLE tokens (
    id uuid PRIMARY KEY,
    account_id uuid REFERENCES accounts (id) ON DELETE CASCADE,
    fleet_id uuid REFERENCES fleets (id) ON DELETE SET NULL,
    group_id uuid REFERENCES token_groups (id),
    type text NOT NULL,
    uid text NOT NULL,
    uid_key text NOT NULL UNIQUE,
    driver_token text NOT NULL UNIQUE,
    id_tag text,
    id_tag_key text UNIQUE,
    status text NOT NULL,
    -- `owner`, or `operator`: a block by an operator is not lifted by the owner.
    blocked_by text,
    -- The account is blocked, and its tokens with it.
    owner_blocked boolean NOT NULL,
    whitelist text NOT NULL,
    expires_at timestamptz,
    -- SHA-256 of the code that is printed on a card which has no account yet.
    bind_code bytea UNIQUE,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX tokens_account ON tokens (account_id, id);
CREATE INDEX tokens_group ON tokens (group_id, id);
CREATE INDEX tokens_fleet ON tokens (fleet_id, id);
CREATE INDEX tokens_expires ON tokens (expires_at);

-- Stations and tokens whose state acl-service has to learn. The state is read when it is sent, so a row says only that it
-- may have changed.
CREATE TABLE core_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    key text NOT NULL,
    actor text
);
CREATE INDEX core_changes_key ON core_changes (key);
-- One row: the number of the last changes that acl-service has.
CREATE TABLE core_state (version bigint NOT NULL);
INSERT INTO core_state VALUES (0);

-- What people and keys did to others. It carries ids and the reason, and no personal data of its own.
CREATE TABLE audit (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    subject_id uuid NOT NULL,
    reason text,
    data jsonb NOT NULL
);
CREATE INDEX audit_subject ON audit (subject_id, id);
CREATE INDEX audit_at ON audit (at);

-- Accounts that were erased, so that a restored backup can be cleaned of them again.
CREATE TABLE erasures (
    account_id uuid PRIMARY KEY,
    at timestamptz NOT NULL
);

-- What the gateway knows of a station that speaks OCPP. The row comes with its first connection, or with what an operator sets.
CREATE TABLE chargers (
    station_id uuid PRIMARY KEY REFERENCES stations (id) ON DELETE CASCADE,
    registration text NOT NULL,
    enabled boolean NOT NULL,
    security_profile bigint NOT NULL,
    assume_subprotocol boolean NOT NULL,
    clock_offset_minutes bigint NOT NULL,
    -- HMAC-SHA256 of the password under a salt of its own; the next one beside it until the charger has come with it.
    salt bytea,
    password_hash bytea,
    next_password_hash bytea,
    -- Raised by each connection. The newest one is the charger.
    epoch bigint NOT NULL,
    -- The node that holds the newest connection.
    node_id uuid,
    connected_at timestamptz,
    disconnected_at timestamptz,
    disconnect_reason text,
    subprotocol text,
    charge_point_serial text,
    charge_box_serial text,
    iccid text,
    imsi text,
    meter_type text,
    meter_serial text,
    booted_at timestamptz,
    -- How far the charger's clock is ahead.
    clock_skew_ms bigint,
    -- How often what was taken leniently, by kind.
    leniencies jsonb NOT NULL
);
CREATE INDEX chargers_node ON chargers (node_id, station_id);

-- A node is a gateway process. Its chargers are online only while its lease lasts.
CREATE TABLE gateway_nodes (
    id uuid PRIMARY KEY,
    until timestamptz NOT NULL
);

-- Chargers that tried to connect and are not known.
CREATE TABLE unknown_chargers (
    name text COLLATE "C" PRIMARY KEY,
    address text,
    user_agent text,
    subprotocols text NOT NULL,
    attempts bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL
);
CREATE INDEX unknown_chargers_last_seen ON unknown_chargers (last_seen);

-- Frames of chargers, masked. Without a reference to the station: they are pruned in pieces.
CREATE TABLE charger_messages (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL,
    epoch bigint NOT NULL,
    direction text NOT NULL,
    action text,
    size bigint NOT NULL,
    body text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX charger_messages_station ON charger_messages (station_id, id);

CREATE TABLE commands (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL,
    charger text NOT NULL,
    action text NOT NULL,
    payload jsonb NOT NULL,
    state text NOT NULL,
    -- The charger's answer, or what it says about its error.
    result jsonb,
    -- What came after the time limit.
    late_result jsonb,
    error text,
    -- The account whose tag the command names, so that its erasure finds it.
    account_id uuid,
    limit_ms bigint NOT NULL,
    -- Until when an offline charger is waited for.
    wait_until timestamptz,
    actor text,
    session_id uuid,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    ended_at timestamptz
);
CREATE INDEX commands_station ON commands (station_id, id);
CREATE INDEX commands_account ON commands (account_id);
CREATE INDEX commands_open ON commands (state, id) WHERE ended_at IS NULL;

-- One charging at one EVSE.
CREATE TABLE sessions (
    -- OCPP's transactionId, which no other session ever has.
    number bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 2147483647) PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    station_id uuid NOT NULL,
    charger text NOT NULL,
    location_id uuid,
    evse_id uuid,
    connector_number bigint,
    token_id uuid,
    account_id uuid,
    id_tag text,
    id_tag_key text,
    state text NOT NULL,
    -- The same start, however often it is sent, has the same key.
    start_key text,
    started_at timestamptz,
    start_received_at timestamptz,
    ended_at timestamptz,
    end_received_at timestamptz,
    meter_start bigint,
    meter_stop bigint,
    last_meter bigint,
    last_meter_at timestamptz,
    energy_wh bigint,
    stop_reason text,
    -- In upper case.
    stop_id_tag text,
    -- What the start was answered; null while it is decided.
    answer text,
    -- The rest of that answer, for the same start when it comes again.
    answer_expires_at timestamptz,
    answer_parent text,
    -- Whether the charger has used the number, so that it is known to have the answer.
    confirmed boolean NOT NULL,
    reservation_number bigint,
    anomalies jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX sessions_start ON sessions (station_id, start_key);
CREATE INDEX sessions_station ON sessions (station_id, number);
CREATE INDEX sessions_id_tag ON sessions (id_tag_key, number);
CREATE INDEX sessions_account ON sessions (account_id, number);
CREATE INDEX sessions_stop_id_tag ON sessions (stop_id_tag) WHERE stop_id_tag IS NOT NULL;
CREATE INDEX sessions_open ON sessions (station_id, connector_number) WHERE ended_at IS NULL;

CREATE TABLE meter_values (
    station_id uuid NOT NULL,
    connector_number bigint NOT NULL,
    at timestamptz NOT NULL,
    measurand text NOT NULL,
    phase text NOT NULL,
    context text NOT NULL,
    location text NOT NULL,
    session_id uuid,
    value bigint,
    unit text,
    -- Of signed data, and of a value that is no number.
    raw text,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (station_id, connector_number, at, measurand, phase, context, location)
);
CREATE INDEX meter_values_session ON meter_values (session_id, at);
CREATE INDEX meter_values_received ON meter_values (received_at);

-- What the gateway knows of a station that speaks OCPP. The row comes with its first connection, or with what an operator sets.
CREATE TABLE chargers (
    station_id BLOB NOT NULL PRIMARY KEY REFERENCES stations (id) ON DELETE CASCADE,
    registration TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    security_profile INTEGER NOT NULL,
    assume_subprotocol INTEGER NOT NULL,
    clock_offset_minutes INTEGER NOT NULL,
    -- HMAC-SHA256 of the password under a salt of its own; the next one beside it until the charger has come with it.
    salt BLOB,
    password_hash BLOB,
    next_password_hash BLOB,
    -- Raised by each connection. The newest one is the charger.
    epoch INTEGER NOT NULL,
    -- The node that holds the newest connection.
    node_id BLOB,
    connected_at INTEGER,
    disconnected_at INTEGER,
    disconnect_reason TEXT,
    subprotocol TEXT,
    charge_point_serial TEXT,
    charge_box_serial TEXT,
    iccid TEXT,
    imsi TEXT,
    meter_type TEXT,
    meter_serial TEXT,
    booted_at INTEGER,
    -- How far the charger's clock is ahead.
    clock_skew_ms INTEGER,
    -- How often what was taken leniently, by kind.
    leniencies TEXT NOT NULL
) STRICT;
CREATE INDEX chargers_node ON chargers (node_id, station_id);

-- A node is a gateway process. Its chargers are online only while its lease lasts.
CREATE TABLE gateway_nodes (
    id BLOB NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT;

-- Chargers that tried to connect and are not known.
CREATE TABLE unknown_chargers (
    name TEXT NOT NULL PRIMARY KEY,
    address TEXT,
    user_agent TEXT,
    subprotocols TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL
) STRICT;
CREATE INDEX unknown_chargers_last_seen ON unknown_chargers (last_seen);

-- Frames of chargers, masked. Without a reference to the station: they are pruned in pieces.
CREATE TABLE charger_messages (
    id BLOB NOT NULL PRIMARY KEY,
    station_id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    direction TEXT NOT NULL,
    action TEXT,
    size INTEGER NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX charger_messages_station ON charger_messages (station_id, id);

CREATE TABLE commands (
    id BLOB NOT NULL PRIMARY KEY,
    station_id BLOB NOT NULL,
    charger TEXT NOT NULL,
    action TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    -- The charger's answer, or what it says about its error.
    result TEXT,
    -- What came after the time limit.
    late_result TEXT,
    error TEXT,
    -- The account whose tag the command names, so that its erasure finds it.
    account_id BLOB,
    limit_ms INTEGER NOT NULL,
    -- Until when an offline charger is waited for.
    wait_until INTEGER,
    actor TEXT,
    session_id BLOB,
    created_at INTEGER NOT NULL,
    sent_at INTEGER,
    ended_at INTEGER
) STRICT;
CREATE INDEX commands_station ON commands (station_id, id);
CREATE INDEX commands_account ON commands (account_id);
CREATE INDEX commands_open ON commands (state, id) WHERE ended_at IS NULL;

-- One charging at one EVSE.
CREATE TABLE sessions (
    -- OCPP's transactionId, which no other session ever has.
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    station_id BLOB NOT NULL,
    charger TEXT NOT NULL,
    location_id BLOB,
    evse_id BLOB,
    connector_number INTEGER,
    token_id BLOB,
    account_id BLOB,
    id_tag TEXT,
    id_tag_key TEXT,
    state TEXT NOT NULL,
    -- The same start, however often it is sent, has the same key.
    start_key TEXT,
    started_at INTEGER,
    start_received_at INTEGER,
    ended_at INTEGER,
    end_received_at INTEGER,
    meter_start INTEGER,
    meter_stop INTEGER,
    last_meter INTEGER,
    last_meter_at INTEGER,
    energy_wh INTEGER,
    stop_reason TEXT,
    -- In upper case.
    stop_id_tag TEXT,
    -- What the start was answered; null while it is decided.
    answer TEXT,
    -- The rest of that answer, for the same start when it comes again.
    answer_expires_at INTEGER,
    answer_parent TEXT,
    -- Whether the charger has used the number, so that it is known to have the answer.
    confirmed INTEGER NOT NULL,
    reservation_number INTEGER,
    anomalies TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_start ON sessions (station_id, start_key);
CREATE INDEX sessions_station ON sessions (station_id, number);
CREATE INDEX sessions_id_tag ON sessions (id_tag_key, number);
CREATE INDEX sessions_account ON sessions (account_id, number);
CREATE INDEX sessions_stop_id_tag ON sessions (stop_id_tag) WHERE stop_id_tag IS NOT NULL;
CREATE INDEX sessions_open ON sessions (station_id, connector_number) WHERE ended_at IS NULL;

CREATE TABLE meter_values (
    station_id BLOB NOT NULL,
    connector_number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    measurand TEXT NOT NULL,
    phase TEXT NOT NULL,
    context TEXT NOT NULL,
    location TEXT NOT NULL,
    session_id BLOB,
    value INTEGER,
    unit TEXT,
    -- Of signed data, and of a value that is no number.
    raw TEXT,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (station_id, connector_number, at, measurand, phase, context, location)
) STRICT;
CREATE INDEX meter_values_session ON meter_values (session_id, at);
CREATE INDEX meter_values_received ON meter_values (received_at);

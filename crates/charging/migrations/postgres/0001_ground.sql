-- The oldest program that can use these tables. A step that removes something raises it.
CREATE TABLE schema_support (oldest_program bigint NOT NULL);
INSERT INTO schema_support VALUES (1);

CREATE TABLE locations (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    address text NOT NULL,
    postal_code text,
    city text NOT NULL,
    country text NOT NULL,
    -- Millionths of a degree.
    latitude bigint NOT NULL,
    longitude bigint NOT NULL,
    time_zone text NOT NULL,
    opening_times jsonb,
    tariff_id uuid,
    booking_terms jsonb,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX locations_name ON locations (name, address);
CREATE INDEX locations_place ON locations (latitude, longitude, id);

CREATE TABLE stations (
    id uuid PRIMARY KEY,
    location_id uuid REFERENCES locations (id),
    charger text UNIQUE,
    name text,
    access text NOT NULL,
    tariff_id uuid,
    vendor text,
    model text,
    firmware text,
    online boolean NOT NULL,
    last_seen timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX stations_location ON stations (location_id, id);

CREATE TABLE evses (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL REFERENCES stations (id) ON DELETE CASCADE,
    number bigint NOT NULL,
    tariff_id uuid,
    status text NOT NULL,
    status_at timestamptz,
    -- Raised first by each transaction that claims the EVSE, so that they wait for each other.
    claims bigint NOT NULL,
    UNIQUE (station_id, number)
);

CREATE TABLE connectors (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL REFERENCES stations (id) ON DELETE CASCADE,
    evse_id uuid NOT NULL REFERENCES evses (id) ON DELETE CASCADE,
    number bigint NOT NULL,
    standard text NOT NULL,
    format text NOT NULL,
    power_type text NOT NULL,
    max_power_w bigint NOT NULL,
    status text,
    status_at timestamptz,
    UNIQUE (station_id, number)
);
CREATE INDEX connectors_standard ON connectors (standard, station_id);
CREATE INDEX connectors_evse ON connectors (evse_id, standard, max_power_w);

-- What a location and its stations are found by. A word of a charger's name is found by operators only.
CREATE TABLE location_words (
    word text COLLATE "C" NOT NULL,
    location_id uuid NOT NULL REFERENCES locations (id) ON DELETE CASCADE,
    of_charger boolean NOT NULL,
    PRIMARY KEY (word, location_id, of_charger)
);
CREATE INDEX location_words_location ON location_words (location_id, word, of_charger);
-- Strangers need not pass over the names of chargers, of which many begin alike.
CREATE INDEX location_words_open ON location_words (word, location_id) WHERE NOT of_charger;

-- Without a reference to the station: the log of a deleted one is long, and is pruned in pieces like that of others.
CREATE TABLE status_log (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL,
    evse_id uuid,
    connector_number bigint,
    status text NOT NULL,
    error_code text,
    info text,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX status_log_station ON status_log (station_id, id);

-- Events in the order of their transactions. The position is given when the event becomes visible to readers.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position bigint UNIQUE,
    routing_key text NOT NULL,
    station_id uuid,
    location_id uuid,
    data jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX outbox_new ON outbox (id) WHERE position IS NULL;
CREATE INDEX outbox_at ON outbox (at);
-- One row: the last position that was given, and the last that was published.
CREATE TABLE outbox_state (last_position bigint NOT NULL, published bigint NOT NULL);
INSERT INTO outbox_state VALUES (0, 0);

CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    request bytea NOT NULL,
    status bigint,
    headers jsonb,
    body text,
    at timestamptz NOT NULL,
    PRIMARY KEY (caller, route, key)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

CREATE TABLE leases (
    name text PRIMARY KEY,
    holder uuid NOT NULL,
    until timestamptz NOT NULL
);

CREATE TABLE periodic_tasks (
    name text PRIMARY KEY,
    due_at timestamptz NOT NULL
);

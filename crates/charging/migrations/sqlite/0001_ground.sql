-- The oldest program that can use these tables. A step that removes something raises it.
CREATE TABLE schema_support (oldest_program INTEGER NOT NULL) STRICT;
INSERT INTO schema_support VALUES (1);

CREATE TABLE locations (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    postal_code TEXT,
    city TEXT NOT NULL,
    country TEXT NOT NULL,
    -- Millionths of a degree.
    latitude INTEGER NOT NULL,
    longitude INTEGER NOT NULL,
    time_zone TEXT NOT NULL,
    opening_times TEXT,
    tariff_id BLOB,
    booking_terms TEXT,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX locations_name ON locations (name, address);
CREATE INDEX locations_place ON locations (latitude, longitude, id);

CREATE TABLE stations (
    id BLOB NOT NULL PRIMARY KEY,
    location_id BLOB REFERENCES locations (id),
    charger TEXT UNIQUE,
    name TEXT,
    access TEXT NOT NULL,
    tariff_id BLOB,
    vendor TEXT,
    model TEXT,
    firmware TEXT,
    online INTEGER NOT NULL,
    last_seen INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX stations_location ON stations (location_id, id);

CREATE TABLE evses (
    id BLOB NOT NULL PRIMARY KEY,
    station_id BLOB NOT NULL REFERENCES stations (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    tariff_id BLOB,
    status TEXT NOT NULL,
    status_at INTEGER,
    -- Raised first by each transaction that claims the EVSE, so that they wait for each other.
    claims INTEGER NOT NULL,
    UNIQUE (station_id, number)
) STRICT;

CREATE TABLE connectors (
    id BLOB NOT NULL PRIMARY KEY,
    station_id BLOB NOT NULL REFERENCES stations (id) ON DELETE CASCADE,
    evse_id BLOB NOT NULL REFERENCES evses (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    standard TEXT NOT NULL,
    format TEXT NOT NULL,
    power_type TEXT NOT NULL,
    max_power_w INTEGER NOT NULL,
    status TEXT,
    status_at INTEGER,
    UNIQUE (station_id, number)
) STRICT;
CREATE INDEX connectors_standard ON connectors (standard, station_id);
CREATE INDEX connectors_evse ON connectors (evse_id, standard, max_power_w);

-- What a location and its stations are found by. A word of a charger's name is found by operators only.
CREATE TABLE location_words (
    word TEXT NOT NULL,
    location_id BLOB NOT NULL REFERENCES locations (id) ON DELETE CASCADE,
    of_charger INTEGER NOT NULL,
    PRIMARY KEY (word, location_id, of_charger)
) STRICT;
CREATE INDEX location_words_location ON location_words (location_id, word, of_charger);
-- Strangers need not pass over the names of chargers, of which many begin alike.
CREATE INDEX location_words_open ON location_words (word, location_id) WHERE NOT of_charger;

-- Without a reference to the station: the log of a deleted one is long, and is pruned in pieces like that of others.
CREATE TABLE status_log (
    id BLOB NOT NULL PRIMARY KEY,
    station_id BLOB NOT NULL,
    evse_id BLOB,
    connector_number INTEGER,
    status TEXT NOT NULL,
    error_code TEXT,
    info TEXT,
    at INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;
CREATE INDEX status_log_station ON status_log (station_id, id);

-- Events in the order of their transactions. The position is given when the event becomes visible to readers.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    position INTEGER UNIQUE,
    routing_key TEXT NOT NULL,
    station_id BLOB,
    location_id BLOB,
    data TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_new ON outbox (id) WHERE position IS NULL;
CREATE INDEX outbox_at ON outbox (at);
-- One row: the last position that was given, and the last that was published.
CREATE TABLE outbox_state (last_position INTEGER NOT NULL, published INTEGER NOT NULL) STRICT;
INSERT INTO outbox_state VALUES (0, 0);

CREATE TABLE idempotency_keys (
    caller TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    status INTEGER,
    headers TEXT,
    body TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (caller, route, key)
) STRICT;
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder BLOB NOT NULL,
    until INTEGER NOT NULL
) STRICT;

CREATE TABLE periodic_tasks (
    name TEXT NOT NULL PRIMARY KEY,
    due_at INTEGER NOT NULL
) STRICT;

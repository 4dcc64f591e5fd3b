-- What a connector repeats of its station and its EVSE, and a word of its location, so that a search looks in one index.
-- Names of their own: statements of the release before name the columns of a location without its table.
ALTER TABLE connectors ADD COLUMN location_id uuid;
ALTER TABLE connectors ADD COLUMN evse_status text;
UPDATE connectors SET location_id = (SELECT s.location_id FROM stations s WHERE s.id = connectors.station_id),
    evse_status = (SELECT e.status FROM evses e WHERE e.id = connectors.evse_id);
CREATE INDEX connectors_offer ON connectors (location_id, standard, max_power_w, evse_status);

ALTER TABLE location_words ADD COLUMN at_latitude bigint;
ALTER TABLE location_words ADD COLUMN at_longitude bigint;
UPDATE location_words SET at_latitude = (SELECT l.latitude FROM locations l WHERE l.id = location_words.location_id),
    at_longitude = (SELECT l.longitude FROM locations l WHERE l.id = location_words.location_id);
CREATE INDEX location_words_place ON location_words (word, at_latitude, at_longitude, location_id, of_charger);

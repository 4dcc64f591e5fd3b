-- What a charger wants to have signed, and how its files fare.
ALTER TABLE chargers ADD COLUMN certificate_request TEXT;
ALTER TABLE chargers ADD COLUMN certificate_requested_at INTEGER;
ALTER TABLE chargers ADD COLUMN transfers TEXT;

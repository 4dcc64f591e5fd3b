-- What a charger wants to have signed, and how its files fare.
ALTER TABLE chargers ADD COLUMN certificate_request text;
ALTER TABLE chargers ADD COLUMN certificate_requested_at timestamptz;
ALTER TABLE chargers ADD COLUMN transfers jsonb;

-- What a charger wants to have signed, and how its files fare.
ALTER TABLE chargers ADD COLUMN certificate_request text;
ALTER TABLE chargers ADD COLUMN certificate_requested_at timestamptz;
ALTER TABLE chargers ADD COLUMN transfers jsonb;

-- The rest of what a start was answered, for the same start when it comes again.
ALTER TABLE sessions ADD COLUMN answer_expires_at timestamptz;
ALTER TABLE sessions ADD COLUMN answer_parent text;

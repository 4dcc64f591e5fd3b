-- What a charger wants to have signed, and how its files fare.
ALTER TABLE chargers ADD COLUMN certificate_request TEXT;
ALTER TABLE chargers ADD COLUMN certificate_requested_at INTEGER;
ALTER TABLE chargers ADD COLUMN transfers TEXT;

-- The rest of what a start was answered, for the same start when it comes again.
ALTER TABLE sessions ADD COLUMN answer_expires_at INTEGER;
ALTER TABLE sessions ADD COLUMN answer_parent TEXT;

-- Mails, written with their cause and sent after it. Once a mail is sent, failed or dropped, the address and the data are
-- gone. The row stays for a while, so that a repeat is recognized.
CREATE TABLE mails (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    -- Names the cause; a kind has one mail for it. No personal data, because it stays.
    dedupe TEXT NOT NULL,
    -- Without a reference: the mail about the erasure of an account outlives it.
    account_id BLOB,
    language TEXT NOT NULL,
    recipient TEXT,
    data TEXT,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    -- When the next attempt is due; while a worker makes one, when its claim ends.
    due_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    UNIQUE (kind, dedupe),
    CHECK ((state = 'queued') = (recipient IS NOT NULL)),
    CHECK ((state = 'queued') = (data IS NOT NULL)),
    CHECK ((state = 'queued') = (finished_at IS NULL))
) STRICT;
CREATE INDEX mails_due ON mails (due_at, id) WHERE state = 'queued';
CREATE INDEX mails_expiry ON mails (expires_at) WHERE state = 'queued';
CREATE INDEX mails_age ON mails (created_at) WHERE state = 'queued';
CREATE INDEX mails_finished ON mails (finished_at);
CREATE INDEX mails_account ON mails (account_id);

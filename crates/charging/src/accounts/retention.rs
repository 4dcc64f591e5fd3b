//! What is stored about people: where, what, how long and why, and what an erasure does with it. The table of
//! `docs/privacy.md` and of `voltgate users retention` is made from this list.

use std::fmt::Write;

/// A place where something about people is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The place.
    pub place: &'static str,
    /// What is stored there.
    pub what: &'static str,
    /// How long.
    pub how_long: &'static str,
    /// Why.
    pub why: &'static str,
    /// What the erasure of the account does with it.
    pub erasure: &'static str,
}

const fn kept(
    place: &'static str,
    what: &'static str,
    how_long: &'static str,
    why: &'static str,
    erasure: &'static str,
) -> Kept {
    Kept { place, what, how_long, why, erasure }
}

/// Every place.
pub const TABLE: &[Kept] = &[
    kept(
        "database: `accounts`, `account_roles`, `role_locations`",
        "name, hash of the password, mail address, name and address of a person, second factor, accepted terms, roles",
        "until the account is erased",
        "the contract",
        "deleted",
    ),
    kept(
        "database: `sign_ins`, `refresh_tokens`",
        "what a client calls itself, times, hashes of refresh tokens",
        "30 days after the last use; 7 days after its end; a used refresh token 7 days",
        "sign-in, and to recognize a stolen token",
        "deleted",
    ),
    kept(
        "database: `account_codes`",
        "a mail address, the hash of a code",
        "48 hours; 1 hour for a new password",
        "to prove the address",
        "deleted",
    ),
    kept(
        "database: `vehicles`",
        "name, plate, connector",
        "until deleted by the owner",
        "the contract",
        "deleted",
    ),
    kept(
        "database: `tokens`",
        "the three names of what a driver shows",
        "until deleted",
        "the contract",
        "deleted, also those of cards",
    ),
    kept(
        "database: `sessions`, `meter_values`",
        "which token and account charged where, when and how much",
        "not deleted by Voltgate yet",
        "proof of what was charged, and for bills",
        "stays without token, account and id tag; an account with a session that goes on is not erased",
    ),
    kept(
        "database: `unknown_chargers`",
        "name, network address and user agent of a charger that is not known",
        "until adopted or removed; the newest 1,000",
        "to adopt it",
        "stays",
    ),
    kept(
        "database: `commands`",
        "the id tag of a remote start, and who requested it",
        "90 days",
        "to follow a command",
        "stays without the request",
    ),
    kept(
        "database: `charger_messages`",
        "messages of chargers, in which id tags and keys are masked",
        "`OCPP_MESSAGES_DAYS`",
        "support",
        "stays",
    ),
    kept(
        "database: `fleet_members`",
        "which account belongs to which fleet",
        "until it leaves",
        "the contract",
        "deleted; an account that pays for a fleet is not erased before it has another payer",
    ),
    kept(
        "database: `mails`",
        "recipient, language, content",
        "until it is sent, failed or dropped; 90 days without recipient and content, to recognize a repeat",
        "delivery",
        "deleted, except for the mail about the erasure until it is sent",
    ),
    kept(
        "database: `idempotency_keys`",
        "the answers to POST requests",
        "24 hours",
        "repeats",
        "deleted; answers that others got about the account stay for their 24 hours",
    ),
    kept(
        "database: `audit`",
        "ids, what was done, and the reason in the words of who did it",
        "3 years",
        "accountability",
        "the reasons are deleted, ids stay",
    ),
    kept(
        "database: `outbox`",
        "ids of accounts and sign-ins",
        "`EVENTS_RETENTION_HOURS`",
        "live streams, and readers that were away",
        "stays; an id means nothing without the account",
    ),
    kept(
        "database: `core_changes`",
        "driver tokens that have changed",
        "until acl-service has them, usually seconds",
        "access lists follow the tokens",
        "a row for each token, until acl-service has it",
    ),
    kept(
        "database: `erasures`",
        "the ids of erased accounts",
        "as long as backups are kept that hold them; not deleted by Voltgate",
        "a restored backup is cleaned again",
        "written",
    ),
    kept(
        "store (Redis or `store.db`): access lists and groups",
        "driver tokens",
        "until removed, or the end of their validity",
        "decisions",
        "tokens are no members any more; entries of stations and groups stay until they are removed, as pseudonyms",
    ),
    kept(
        "store: decision records",
        "driver token, station, decision, callback URL",
        "`LOG_RETENTION_DAYS`",
        "proof of decisions",
        "stays; the driver token is a pseudonym, and means nothing once the token's row is gone",
    ),
    kept(
        "store: audit trail of access lists",
        "driver tokens, names of keys, ids of accounts",
        "`LOG_RETENTION_DAYS`",
        "accountability",
        "stays, as a pseudonym",
    ),
    kept(
        "queues (RabbitMQ or `queue.db`)",
        "driver tokens, callback URLs",
        "until the callback is delivered, at most minutes",
        "delivery",
        "stays, as a pseudonym",
    ),
    kept(
        "dead letters",
        "driver tokens, callback URLs",
        "until replayed or purged: `voltgate dead purge --older-than 30d`",
        "repair by an operator",
        "stays, as a pseudonym",
    ),
    kept(
        "mail folder, where `SMTP_URL` is not set",
        "recipient and content of every mail",
        "until you delete the files",
        "trying it out",
        "stays: delete the files",
    ),
    kept(
        "backups",
        "everything above",
        "as long as you keep them",
        "recovery",
        "stays: after a restore run `voltgate users erase --again`",
    ),
    kept(
        "log, metrics, traces",
        "ids of accounts, sign-ins and requests; no names, addresses, tokens or codes",
        "as long as you keep the log",
        "operation",
        "stays; an id means nothing without the account",
    ),
];

/// The table as Markdown.
pub fn markdown_table() -> String {
    let mut table =
        "| where | what | how long | why | on erasure |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for Kept { place, what, how_long, why, erasure } in TABLE {
        // A `String` takes everything.
        let _ = writeln!(table, "| {place} | {what} | {how_long} | {why} | {erasure} |");
    }
    table
}

//! The charging platform's domain, one module a subject. Each module owns its tables and is used through its functions;
//! no module reads another's tables. Everything is in one database, PostgreSQL or SQLite.
#![warn(missing_docs)]

pub mod accounts;
pub mod billing;
pub mod chargers;
pub mod config;
pub mod db;
pub mod events;
pub mod idempotency;
pub mod lease;
pub mod maintenance;
pub mod metrics;
pub mod notifications;
pub mod periodic;
pub mod reports;
pub mod reservations;
pub mod sessions;
pub mod settings;
pub mod stations;
pub mod tariffs;
pub mod tokens;

pub use config::{DatabaseConfig, PublicUrl};
pub use db::{At, Db, DbError, Tx};

/// Every statement of this crate, by module, for the test that prepares each on both databases.
pub const STATEMENTS: &[(&str, db::Statements)] = &[
    ("events", events::STATEMENTS),
    ("idempotency", idempotency::STATEMENTS),
    ("lease", lease::STATEMENTS),
    ("notifications", notifications::STATEMENTS),
    ("notifications::delivery", notifications::delivery::STATEMENTS),
    ("periodic", periodic::STATEMENTS),
    ("stations::charging_stations::evses", stations::charging_stations::evses::STATEMENTS),
    ("stations::locations", stations::locations::STATEMENTS),
    ("stations::search", stations::search::STATEMENTS),
    ("stations::search::near", stations::search::near::STATEMENTS),
    ("stations::charging_stations", stations::charging_stations::STATEMENTS),
    ("stations::status_log", stations::status_log::STATEMENTS),
];

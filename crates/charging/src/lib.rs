//! The charging platform's domain, one module a subject. Each module owns its tables and is used through its functions;
//! no module reads another's tables. Everything is in one database, PostgreSQL or SQLite.
#![warn(missing_docs)]

pub mod accounts;
pub mod billing;
pub mod chargers;
pub mod config;
pub mod core_sync;
pub mod db;
pub mod events;
pub mod fleets;
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
mod text;
pub mod tokens;

pub use config::{DatabaseConfig, PublicUrl};
pub use db::{At, Db, DbError, Tx};

/// Every statement of this crate, by module, for the test that prepares each on both databases.
pub const STATEMENTS: &[(&str, db::Statements)] = &[
    ("accounts", accounts::STATEMENTS),
    ("accounts::audit", accounts::audit::STATEMENTS),
    ("accounts::codes", accounts::codes::STATEMENTS),
    ("accounts::erasure", accounts::erasure::STATEMENTS),
    ("accounts::locks", accounts::locks::STATEMENTS),
    ("accounts::roles", accounts::roles::STATEMENTS),
    ("accounts::second_factor", accounts::second_factor::STATEMENTS),
    ("accounts::sign_ins", accounts::sign_ins::STATEMENTS),
    ("accounts::signing_keys", accounts::signing_keys::STATEMENTS),
    ("accounts::vehicles", accounts::vehicles::STATEMENTS),
    ("chargers", chargers::STATEMENTS),
    ("chargers::boots", chargers::boots::STATEMENTS),
    ("chargers::certificates", chargers::certificates::STATEMENTS),
    ("chargers::commands", chargers::commands::STATEMENTS),
    ("chargers::connections", chargers::connections::STATEMENTS),
    ("chargers::credentials", chargers::credentials::STATEMENTS),
    ("chargers::inbox", chargers::inbox::STATEMENTS),
    ("chargers::messages", chargers::messages::STATEMENTS),
    ("chargers::nodes", chargers::nodes::STATEMENTS),
    ("chargers::transfers", chargers::transfers::STATEMENTS),
    ("core_sync", core_sync::STATEMENTS),
    ("events", events::STATEMENTS),
    ("fleets", fleets::STATEMENTS),
    ("fleets::members", fleets::members::STATEMENTS),
    ("idempotency", idempotency::STATEMENTS),
    ("lease", lease::STATEMENTS),
    ("notifications", notifications::STATEMENTS),
    ("notifications::delivery", notifications::delivery::STATEMENTS),
    ("periodic", periodic::STATEMENTS),
    ("sessions", sessions::STATEMENTS),
    ("sessions::meter_values", sessions::meter_values::STATEMENTS),
    ("sessions::personal", sessions::personal::STATEMENTS),
    ("sessions::start", sessions::start::STATEMENTS),
    ("sessions::stop", sessions::stop::STATEMENTS),
    ("tokens::personal", tokens::personal::STATEMENTS),
    ("stations::charging_stations::evses", stations::charging_stations::evses::STATEMENTS),
    ("stations::charging_stations::named", stations::charging_stations::named::STATEMENTS),
    ("stations::charging_stations::public", stations::charging_stations::public::STATEMENTS),
    ("stations::charging_stations::statuses", stations::charging_stations::statuses::STATEMENTS),
    ("stations::charging_stations::from_charger", stations::charging_stations::from_charger::STATEMENTS),
    ("stations::locations", stations::locations::STATEMENTS),
    ("stations::search", stations::search::STATEMENTS),
    ("stations::search::near", stations::search::near::STATEMENTS),
    ("stations::charging_stations", stations::charging_stations::STATEMENTS),
    ("stations::status_log", stations::status_log::STATEMENTS),
    ("tokens", tokens::STATEMENTS),
    ("tokens::changes", tokens::changes::STATEMENTS),
    ("tokens::groups", tokens::groups::STATEMENTS),
    ("tokens::members", tokens::members::STATEMENTS),
];

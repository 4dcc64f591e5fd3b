//! Errors of the database, by what the caller can do about them.

use embedded_db::DirectoryError;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database cannot be reached, or cannot work at present. The same may succeed later.
    #[error("the database cannot be used at present: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The server cannot be reached.
    #[error("the database cannot be reached")]
    Away,
    /// The time limit passed.
    #[error("the database did not answer in time")]
    Slow,
    /// Another transaction was first. The same again may succeed at once.
    #[error("the database ended the transaction because of another one: {0}")]
    Conflict(#[source] sqlx::Error),
    /// A row violates this constraint, which is named as PostgreSQL names it: `stations_charger_key`.
    #[error("the constraint {0} is violated")]
    Constraint(String),
    /// The tables cannot be brought up to date.
    #[error(transparent)]
    Tables(Box<OpenError>),
    /// A statement or a row is not as expected: a defect in Voltgate, or a database that was changed by hand.
    #[error("the database refused a statement: {0}")]
    Defect(#[source] sqlx::Error),
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is malformed.
    #[error("it is not a URL of PostgreSQL")]
    BadUrl,
    /// It cannot be reached or used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The tables cannot be brought up to date.
    #[error("its tables cannot be brought up to date: {0}")]
    Migration(#[source] MigrateError),
    /// A later version of Voltgate has changed the tables so that this one can no longer use them.
    #[error(
        "its tables are of version {found}, which needs Voltgate with version {needed} or later; this one has {ours}"
    )]
    TooNew {
        /// The version of the tables.
        found: i64,
        /// The oldest version of a program that can use them.
        needed: i64,
        /// The version of this program.
        ours: i64,
    },
    /// The directory of an embedded database.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl DbError {
    /// Whether the same transaction may succeed at once.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Away | Self::Slow | Self::Conflict(_))
    }

    /// Whether this constraint is violated.
    pub fn violates(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint(violated) if violated == constraint)
    }
}

impl super::TxError for DbError {
    fn database(&self) -> Option<&DbError> {
        Some(self)
    }
}

impl From<OpenError> for DbError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Database(error) => error,
            other => Self::Tables(Box::new(other)),
        }
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        match &error {
            Error::Database(refused) => match class(&**refused) {
                Class::Constraint(name) => Self::Constraint(name),
                Class::Conflict => Self::Conflict(error),
                Class::Unavailable => Self::Unavailable(error),
                Class::Defect => Self::Defect(error),
            },
            Error::Io(_)
            | Error::Tls(_)
            | Error::Protocol(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::WorkerCrashed
            | Error::BeginFailed => Self::Unavailable(error),
            _ => Self::Defect(error),
        }
    }
}

enum Class {
    Constraint(String),
    Conflict,
    Unavailable,
    Defect,
}

fn class(refused: &dyn DatabaseError) -> Class {
    if refused.is_unique_violation() || refused.is_foreign_key_violation() || refused.is_check_violation() {
        return Class::Constraint(constraint(refused));
    }
    match refused.code().as_deref().unwrap_or_default() {
        // PostgreSQL: serialization failure, deadlock.
        "40001" | "40P01" => Class::Conflict,
        // PostgreSQL: it starts, stops, is full, a replica, or the statement took too long.
        "25006" | "57014" => Class::Unavailable,
        code if code.len() == 5 && ["08", "53", "57", "58"].contains(&&code[..2]) => Class::Unavailable,
        // SQLite: locked, out of memory, read-only, interrupted, an I/O error, full, cannot open. The lower byte is the primary code.
        code if code.len() < 5 => match code.parse::<u32>().map(|code| code & 0xff) {
            Ok(5..=10 | 13 | 14) => Class::Unavailable,
            _ => Class::Defect,
        },
        _ => Class::Defect,
    }
}

/// PostgreSQL reports the name. SQLite reports the columns, as `UNIQUE constraint failed: stations.charger`.
fn constraint(refused: &dyn DatabaseError) -> String {
    if let Some(name) = refused.constraint() {
        return name.to_owned();
    }
    let columns = refused.message().rsplit(": ").next().unwrap_or_default();
    let mut names = Vec::new();
    for column in columns.split(", ") {
        let (table, column) = column.split_once('.').unwrap_or(("", column));
        if names.is_empty() && !table.is_empty() {
            names.push(table);
        }
        names.push(column);
    }
    format!("{}_key", names.join("_"))
}

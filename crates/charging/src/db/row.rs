//! Macros that compile one text for both databases.

use uuid::Uuid;

/// Runs an expression on the connection of a transaction, whichever database it is: `on!(tx, |c|
/// sqlx::query(DELETE).bind(id).execute(c).await)`.
macro_rules! on {
    ($tx:expr, |$connection:ident| $body:expr) => {
        match $tx {
            $crate::db::Tx::Pg(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
            $crate::db::Tx::Lite(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
        }
    };
}

/// A struct that is read from a row of either database, each field from the column of its name.
macro_rules! row {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident { $($(#[$about:meta])* $of:vis $field:ident: $kind:ty,)* }) => {
        $(#[$attribute])*
        $visibility struct $name { $($(#[$about])* $of $field: $kind,)* }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            &'static str: sqlx::ColumnIndex<R>,
            $($kind: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($field: row.try_get(stringify!($field))?,)* })
            }
        }
    };
}

/// Constants for the statements of one module, and the list `STATEMENTS` of them, for the test that prepares each.
macro_rules! statements {
    ($($(#[$about:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$about])* const $name: &str = $text;)*
        pub(crate) const STATEMENTS: $crate::db::Statements = &[$((stringify!($name), $name)),*];
    };
}

/// The ids, filled up with one that no row has: for a statement with a fixed number of parameters, `IN ($1, …)`.
pub(crate) fn filled<const COUNT: usize>(ids: impl Iterator<Item = Uuid>) -> impl Iterator<Item = Uuid> {
    ids.chain(std::iter::repeat(Uuid::nil())).take(COUNT)
}

pub(crate) use {on, row, statements};

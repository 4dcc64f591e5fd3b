//! Empty databases, each used by one test, of both kinds.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use charging::db::OpenError;
use charging::{Db, Tx};
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// How long a test waits for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);
const CONNECTIONS: u32 = 20;

/// Runs an expression on the connection of a transaction, whichever database it is.
macro_rules! on {
    ($tx:expr, |$connection:ident| $body:expr) => {
        match $tx {
            charging::Tx::Pg(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
            charging::Tx::Lite(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
        }
    };
}
pub(crate) use on;

/// Where a database is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Postgres { url: String },
    Sqlite { directory: PathBuf },
}

impl Place {
    pub(crate) async fn open(&self) -> Result<Db, OpenError> {
        match self {
            Self::Postgres { url } => Db::connect(url, CONNECTIONS, SOON).await,
            Self::Sqlite { directory } => Db::open(directory).await,
        }
    }
}

/// Runs a test on both, each time with an empty database. The output of a test that fails names the database.
pub(crate) async fn each_database(test: impl AsyncFn(&Db)) {
    each_place(async |place| test(&place.open().await.unwrap()).await).await;
}

/// Same as [`each_database`], with a database that is not opened yet.
pub(crate) async fn each_place(test: impl AsyncFn(&Place)) {
    on_postgres(&test).await;
    let directory = TempDir::new().unwrap();
    let place = Place::Sqlite { directory: directory.path().to_owned() };
    AssertUnwindSafe(test(&place)).catch_unwind().await.unwrap_or_else(|panic| failed("SQLite", panic));
}

/// Runs a test on PostgreSQL only.
pub(crate) async fn on_postgres(test: impl AsyncFn(&Place)) {
    let (server, name) = (server(), format!("test_{}", Uuid::new_v4().simple()));
    // A collation that differs from the order of bytes, as most installations have one.
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'");
    administer(&server, &create).await;
    let place = Place::Postgres { url: format!("{server}/{name}") };
    let ran = AssertUnwindSafe(test(&place)).catch_unwind().await;
    administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    ran.unwrap_or_else(|panic| failed("PostgreSQL", panic));
}

/// Which database a transaction is in.
pub(crate) fn is_postgres(tx: &Tx) -> bool {
    matches!(tx, Tx::Pg(_))
}

fn failed(database: &str, panic: Box<dyn std::any::Any + Send>) -> ! {
    eprintln!("the test failed on {database}");
    resume_unwind(panic)
}

async fn administer(server: &str, statement: &str) {
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[expect(clippy::disallowed_methods, reason = "this is the test run's, not a setting of the product")]
fn server() -> String {
    std::env::var("VOLTGATE_TEST_POSTGRES_URL")
        .expect("run the tests through with-servers: see CONTRIBUTING.md")
}

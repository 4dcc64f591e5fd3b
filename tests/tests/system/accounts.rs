//! What the tests of accounts share: a platform-api on each kind of database, and two on one.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tests::deployment::Deployment;
use tests::platform::Platform;
use uuid::Uuid;

/// The URL of a new database on the run's PostgreSQL, which ends with the run.
pub(super) async fn new_database() -> String {
    let (server, name) = (server(), format!("test_{}", Uuid::new_v4().simple()));
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    let create = format!("CREATE DATABASE {name}");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    format!("{server}/{name}")
}

/// Without limits that many requests of one test would meet.
pub(super) async fn unlimited() -> Deployment {
    let deployment = Deployment::new().await.with("AUTH_RATE_PER_MIN", 0);
    deployment.with("RATE_LIMIT_PER_SEC", 0).with("RATE_LIMIT_ADDRESS_PER_SEC", 0)
}

/// Runs a test on an embedded database and on PostgreSQL.
pub(super) async fn on_each_database(settings: &[(&str, &str)], test: impl AsyncFn(Platform)) {
    for url in [None, Some(new_database().await)] {
        let mut deployment = unlimited().await;
        for (name, value) in settings {
            deployment = deployment.with(name, value);
        }
        eprintln!("on {}", url.as_deref().unwrap_or("an embedded database"));
        let deployment = match url {
            None => deployment,
            Some(url) => deployment.with("DATABASE_URL", url),
        };
        test(Platform::of(deployment).await).await;
    }
}

/// Two replicas on one PostgreSQL.
pub(super) async fn two_replicas(deployment: Deployment) -> [Platform; 2] {
    let one = Platform::of(deployment.with("DATABASE_URL", new_database().await)).await;
    let (process, url) = one.deployment.start_platform().await;
    let other = Platform::at(&one.deployment, process, url);
    [one, other]
}

#[expect(clippy::disallowed_methods, reason = "this is the test run's, not a setting of the product")]
fn server() -> String {
    std::env::var("VOLTGATE_TEST_POSTGRES_URL")
        .expect("run the tests through with-servers: see CONTRIBUTING.md")
}

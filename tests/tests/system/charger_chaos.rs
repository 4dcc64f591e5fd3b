//! A short run of the fault suite of chargers that `make chaos CHARGERS=40` runs for ten minutes, and its oracle.

use std::time::Duration;

use charging::{Db, DbError, Tx};
use tests::charger_chaos::{Plan, run};
use tests::chargers::oracle::judge;
use tests::chargers::{Noted, adopt};
use tests::eventually;

use super::ocpp::{Gateway, TAG};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transaction_of_a_charger_is_lost_or_doubled_whatever_fails_meanwhile() {
    let seed = uuid::Uuid::new_v4().as_u64_pair().1 % 1_000_000;
    let plan = Plan { seed, length: Duration::from_secs(16), chargers: 24, progress: false };
    let report = run(plan).await;
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}

#[tokio::test]
async fn the_oracle_notices_what_is_missing_or_other_than_it_was_sent() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let station = adopt(&gateway.db, &["CP-1".to_owned()]).await[0];
    let mut settings = Noted::settings(&gateway.url, "CP-1", 1);
    settings.configuration.push(("MeterValueSampleInterval", "720".to_owned()));
    let mut chargers = [Noted::start(station, settings)];
    chargers[0].until("its boot", |now| now.accepted && now.idle).await;
    chargers[0].plug_and_tap(TAG).await;
    eventually("two readings", async || (chargers[0].notes().readings.len() > 1).then_some(())).await;
    chargers[0].unplug().await;
    chargers[0].until("its last answer", |now| now.idle && now.unanswered == 0).await;
    chargers[0].switch_off().await;
    let found = async || judge(&gateway.db, &chargers).await.unwrap().violations;
    assert!(found().await.is_empty(), "{:?}", found().await);
    for (change, back, noticed) in [
        (
            "UPDATE sessions SET energy_wh = energy_wh + 1",
            "UPDATE sessions SET energy_wh = energy_wh - 1",
            "Wh were metered",
        ),
        (
            "UPDATE sessions SET started_at = started_at + interval '1 second'",
            "UPDATE sessions SET started_at = started_at - interval '1 second'",
            "no such start was sent",
        ),
        (
            "UPDATE sessions SET state = 'ended_unconfirmed'",
            "UPDATE sessions SET state = 'completed'",
            "was answered, on record is",
        ),
        (
            "UPDATE meter_values SET value = value + 1",
            "UPDATE meter_values SET value = value - 1",
            "readings that were never sent",
        ),
        ("DELETE FROM meter_values", "SELECT 1", "is on record 0 times, and was answered"),
        ("DELETE FROM sessions", "SELECT 1", "on record is []"),
    ] {
        execute(&gateway.db, change).await;
        let violations = found().await;
        let is_noticed = violations.iter().any(|violation| violation.what.contains(noticed));
        assert!(is_noticed, "{change}: {violations:?}");
        execute(&gateway.db, back).await;
    }
}

async fn execute(db: &Db, statement: &'static str) {
    let executed: Result<(), DbError> = db
        .write(async |tx| {
            let Tx::Pg(tx) = tx else { panic!("it is PostgreSQL") };
            sqlx::query(statement).execute(&mut **tx).await?;
            Ok(())
        })
        .await;
    executed.unwrap();
}

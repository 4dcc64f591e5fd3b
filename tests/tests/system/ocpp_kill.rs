//! `kill -9` of a gateway with a thousand running transactions: another one takes its chargers, and none is lost or doubled.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tests::chargers::oracle::judge;
use tests::chargers::{Noted, adopt, online};
use tests::eventually;
use tests::link::Link;

use super::ocpp::{Gateway, TAG};

const CHARGERS: usize = 1_000;
/// So long a charger may be connected before it is online.
const ONLINE_WITHIN: Duration = Duration::from_secs(15);
/// Between the starts of two chargers.
const APART: Duration = Duration::from_millis(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_transactions_survive_the_kill_of_their_gateway() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (_second, second_url) = gateway.deployment.start_gateway().await;
    let front = Link::to(&gateway.url).await;
    let url = front.through(&gateway.url);
    let names: Vec<String> = (0..CHARGERS).map(|number| format!("CP-{number}")).collect();
    let stations = adopt(&gateway.db, &names).await;
    let mut chargers = Vec::new();
    for (seed, (name, station)) in (0..).zip(names.iter().zip(stations)) {
        let mut settings = Noted::settings(&url, name, seed);
        // A reading every ten seconds.
        settings.configuration.push(("MeterValueSampleInterval", "36000".to_owned()));
        chargers.push(Noted::start(station, settings));
        tokio::time::sleep(APART).await;
    }
    for charger in &chargers {
        charger.until("its boot", |now| now.accepted && now.idle).await;
        charger.plug_and_tap(TAG).await;
    }
    eventually("all to charge", async || {
        chargers.iter().all(|charger| charger.notes().started() == 1).then_some(())
    })
    .await;

    let Gateway { process, db, deployment: _deployment, _acl, .. } = gateway;
    let first = online(&db).await.unwrap()[0].2;
    front.lead(0, &second_url);
    process.kill().await;
    let killed = Instant::now();
    let mut since: HashMap<_, Instant> = HashMap::new();
    eventually("all to be online again", async || {
        let online = online(&db).await.unwrap();
        for (station, _, _) in online.iter().filter(|(_, _, node)| *node != first) {
            since.entry(*station).or_insert_with(Instant::now);
        }
        (since.len() == CHARGERS).then_some(())
    })
    .await;
    let mut longest = Duration::ZERO;
    for charger in &chargers {
        let connected = *charger.notes().connected.last().unwrap();
        longest = longest.max(since[&charger.station].saturating_duration_since(connected));
    }
    println!("all are back after {:?}; online at most {longest:?} after they connected", killed.elapsed());
    assert!(longest < ONLINE_WITHIN, "{longest:?}");

    for charger in &chargers {
        charger.unplug().await;
    }
    for charger in &mut chargers {
        charger.until("its last answer", |now| now.idle && now.unanswered == 0).await;
        charger.switch_off().await;
    }
    let findings = judge(&db, &chargers).await.unwrap();
    assert!(findings.violations.is_empty(), "{:?}", findings.violations);
    let counts = (findings.started, findings.sessions, findings.completed);
    assert_eq!(counts, (CHARGERS, CHARGERS, CHARGERS));
    assert!(findings.metered_wh > 0 && findings.metered_wh == findings.recorded_wh, "{findings:?}");
}

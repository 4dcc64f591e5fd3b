//! What every store guarantees, tested on each.

use std::collections::BTreeSet;
use std::time::Duration;

use common::api_key::ApiKey;
use common::clock;
use common::decision::{Decision, Source};
use common::ids::{DriverToken, PresentedToken, RequestId, StationId};
use common::key_store::KeyRecord;
use store::{
    Attempt, Change, Changed, DecideOutcome, Decided, DeliveryState, Grounds, OpenedRecord, PageQuery,
    RecordKey, Store, StoreOptions,
};
use tempfile::TempDir;
use tests::deployment::{Deployment, STATION};
use tests::{PATIENCE, eventually};

pub(super) async fn stores() -> Vec<(&'static str, Store, Option<TempDir>)> {
    let deployment = Deployment::new().await;
    let options =
        StoreOptions { key_prefix: deployment.prefix.clone(), retention: Duration::from_secs(3600) };
    let directory = tempfile::tempdir().unwrap();
    let embedded = format!("embedded:{}", directory.path().display());
    vec![
        ("redis", Store::open(&deployment.servers.redis, options.clone(), PATIENCE).await.unwrap(), None),
        ("embedded", Store::open(&embedded, options, PATIENCE).await.unwrap(), Some(directory)),
    ]
}

fn station() -> StationId {
    STATION.parse().unwrap()
}

fn driver(number: usize) -> DriverToken {
    DriverToken::parse(&format!("driver-token-number-{number:04}")).unwrap()
}

pub(super) fn key(token: &str) -> RecordKey {
    RecordKey { start_ns: clock::now(), station_id: station(), driver_token: PresentedToken::new(token) }
}

pub(super) fn decided(request_id: RequestId, decision: Decision) -> Decided {
    let now = clock::now();
    Decided {
        request_id,
        decision,
        callback_url: Some("http://example.com/".to_owned()),
        deadline_ns: now,
        decided_ns: now,
        source: Source::Api,
    }
}

#[tokio::test]
async fn an_access_list_is_a_set() {
    for (kind, store, _directory) in stores().await {
        let access = &store.access_lists().lists;
        assert!(access.check(station(), &driver(1)).await.unwrap().is_none(), "{kind}");
        let change = async |changes: &[Change]| access.change(station(), changes).await.unwrap();
        assert_eq!(change(&[]).await, Changed { changed: 0, size: 0 }, "{kind}");
        let both = [1, 2].map(|number| Change::admit(driver(number)));
        assert_eq!(change(&both).await, Changed { changed: 2, size: 2 }, "{kind}");
        assert_eq!(change(&both[1..]).await, Changed { changed: 0, size: 2 }, "{kind}");
        let pairs: Vec<_> = [2, 3, 1].map(|number| (station(), driver(number))).into();
        assert_eq!(
            access.check_many(&pairs).await.unwrap(),
            [Some(Grounds::List), None, Some(Grounds::List)],
            "{kind}"
        );
        assert!(access.check_many(&[]).await.unwrap().is_empty(), "{kind}");
        let removal = [Change::Remove(driver(1))];
        assert_eq!(change(&removal).await, Changed { changed: 1, size: 1 }, "{kind}");
        assert_eq!(change(&removal).await, Changed { changed: 0, size: 1 }, "{kind}");
        assert!(access.check(station(), &driver(1)).await.unwrap().is_none(), "{kind}");
    }
}

#[tokio::test]
async fn the_pages_of_a_list_hold_everybody() {
    for (kind, store, _directory) in stores().await {
        let all: Vec<DriverToken> = (0..750).map(driver).collect();
        let everybody: Vec<_> = all.iter().cloned().map(Change::admit).collect();
        store.access_lists().lists.change(station(), &everybody).await.unwrap();
        let (mut seen, mut cursor) = (BTreeSet::new(), None);
        loop {
            let query = PageQuery { cursor: cursor.as_deref(), limit: 100, search: None };
            let page = store.access_lists().lists.page(station(), &query).await.unwrap();
            assert_eq!(page.size, 750, "{kind}");
            seen.extend(page.entries.into_iter().map(|entry| entry.token));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all.into_iter().collect(), "{kind}");
    }
}

#[tokio::test]
async fn the_first_decision_and_the_first_start_time_hold() {
    for (kind, store, _directory) in stores().await {
        let (request, first) = (RequestId::new(), key("token with : and \n in it"));
        let opened = store.records().open(request, &first).await.unwrap();
        assert_eq!(opened, OpenedRecord { key: first.clone(), record: None }, "{kind}");
        assert_eq!(store.records().find(request).await.unwrap(), None, "{kind}");
        let again = store.records().open(request, &key("token with : and \n in it")).await.unwrap();
        assert_eq!(again, OpenedRecord { key: first.clone(), record: None }, "{kind}");
        for decision in [Decision::NotAllowed, Decision::Allowed] {
            let held = store.records().decide(&first, &decided(request, decision)).await.unwrap();
            let new = decision == Decision::NotAllowed;
            assert_eq!(
                held,
                DecideOutcome { key: first.clone(), decision: Decision::NotAllowed, new },
                "{kind}"
            );
        }
        let record = store.records().open(request, &first).await.unwrap().record.unwrap();
        assert_eq!(
            (record.decided.decision, record.delivery),
            (Decision::NotAllowed, DeliveryState::Pending),
            "{kind}"
        );
        assert_eq!(store.records().find(request).await.unwrap(), Some(record), "{kind}");
    }
}

#[tokio::test]
async fn a_record_that_nobody_opened_is_found_by_its_request() {
    for (kind, store, _directory) in stores().await {
        let (request, key) = (RequestId::new(), key("x"));
        assert!(!store.records().is_open(request).await.unwrap(), "{kind}");
        let held = store.records().decide(&key, &decided(request, Decision::Allowed)).await.unwrap();
        assert_eq!((held.decision, held.new), (Decision::Allowed, true), "{kind}");
        assert!(store.records().is_open(request).await.unwrap(), "{kind}");
        let record = store.records().find(request).await.unwrap().unwrap();
        let opened = store.records().open(request, &record.key).await.unwrap();
        assert_eq!(opened, OpenedRecord { key, record: Some(record) }, "{kind}");
    }
}

#[tokio::test]
async fn two_start_times_of_one_request_are_one_record_and_one_decision() {
    for (kind, store, _directory) in stores().await {
        let (request, first) = (RequestId::new(), key("x"));
        let second = RecordKey { start_ns: first.start_ns + 1, ..first.clone() };
        store.records().decide(&first, &decided(request, Decision::NotAllowed)).await.unwrap();
        let held = store.records().decide(&second, &decided(request, Decision::Allowed)).await.unwrap();
        assert_eq!(held, DecideOutcome { key: first, decision: Decision::NotAllowed, new: false }, "{kind}");
        let record = store.records().find(request).await.unwrap().unwrap();
        assert_eq!((record.key, record.decided.decision), (held.key, Decision::NotAllowed), "{kind}");
    }
}

#[tokio::test]
async fn another_requests_record_with_the_same_key_is_not_reused() {
    for (kind, store, _directory) in stores().await {
        let (first, second, key) = (RequestId::new(), RequestId::new(), key("x"));
        store.records().decide(&key, &decided(first, Decision::Allowed)).await.unwrap();
        let held = store.records().decide(&key, &decided(second, Decision::Invalid)).await.unwrap();
        assert_eq!((held.decision, held.new), (Decision::Allowed, false), "{kind}");
        let opened = store.records().open(second, &key).await.unwrap();
        assert_eq!(opened, OpenedRecord { key, record: None }, "{kind}: the second one has no record");
    }
}

#[tokio::test]
async fn scripts_that_somebody_flushed_out_of_redis_are_sent_again() {
    // A private Redis: other tests would fail if their scripts were flushed twice in a row.
    let directory = TempDir::new().unwrap();
    let server = test_servers::Redis::start(directory.path()).unwrap();
    let options = StoreOptions { key_prefix: String::new(), retention: Duration::from_secs(60) };
    let store = Store::open(&server.url(), options, PATIENCE).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    for number in 0..10 {
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut redis).await.unwrap();
        let (request, key) = (RequestId::new(), key(&format!("token number {number}")));
        store.records().open(request, &key).await.unwrap();
        let held = store.records().decide(&key, &decided(request, Decision::Allowed)).await;
        assert_eq!(held.unwrap().decision, Decision::Allowed);
    }
}

#[tokio::test]
async fn one_id_used_for_two_questions_has_a_record_for_each() {
    for (kind, store, _directory) in stores().await {
        let (request, first, second) = (RequestId::new(), key("first"), key("second"));
        for (key, decision) in [(&first, Decision::Allowed), (&second, Decision::Invalid)] {
            let opened = store.records().open(request, key).await.unwrap();
            assert_eq!(opened, OpenedRecord { key: key.clone(), record: None }, "{kind}");
            let held = store.records().decide(key, &decided(request, decision)).await.unwrap();
            assert_eq!(held, DecideOutcome { key: key.clone(), decision, new: true }, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_record_keeps_its_source_and_may_have_no_callback() {
    for (kind, store, _directory) in stores().await {
        for (token, source, callback_url) in
            [("a", Source::Api, Some("http://example.com/".to_owned())), ("b", Source::Ocpp, None)]
        {
            let (request, key) = (RequestId::new(), key(token));
            let decided = Decided { source, callback_url, ..decided(request, Decision::Allowed) };
            store.records().decide(&key, &decided).await.unwrap();
            assert_eq!(store.records().find(request).await.unwrap().unwrap().decided, decided, "{kind}");
        }
    }
}

#[tokio::test]
async fn every_attempt_is_kept_in_order_and_the_last_sets_the_state() {
    for (kind, store, _directory) in stores().await {
        let (request, key) = (RequestId::new(), key("x"));
        store.records().open(request, &key).await.unwrap();
        store.records().decide(&key, &decided(request, Decision::Invalid)).await.unwrap();
        let attempts: Vec<Attempt> = [(1, "timeout"), (2, "503"), (3, "200")]
            .map(|(number, outcome)| Attempt {
                number,
                at_ns: clock::now(),
                took_ms: 5,
                outcome: outcome.to_owned().into(),
            })
            .into();
        for attempt in &attempts {
            let state = if attempt.number == 3 { DeliveryState::Delivered } else { DeliveryState::Pending };
            store.records().attempted(&key, attempt, state).await.unwrap();
            // Written twice, as on a redelivery.
            store.records().attempted(&key, attempt, state).await.unwrap();
        }
        let record = store.records().find(request).await.unwrap().unwrap();
        assert_eq!(record.attempts, attempts, "{kind}");
        assert_eq!(
            (record.callback_status.as_str(), record.delivery),
            ("200", DeliveryState::Delivered),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn delivered_stays_delivered_whatever_a_late_worker_tells() {
    use DeliveryState::{Delivered, Pending, Undeliverable};
    for (kind, store, _directory) in stores().await {
        let (request, key) = (RequestId::new(), key("x"));
        store.records().open(request, &key).await.unwrap();
        store.records().decide(&key, &decided(request, Decision::Allowed)).await.unwrap();
        let attempt = |number, outcome: &str, at_ns| Attempt {
            number,
            at_ns,
            took_ms: 5,
            outcome: outcome.to_owned().into(),
        };
        let told = [
            (attempt(1, "503", 1), Pending, Pending),
            (attempt(2, "the window is over", 2), Undeliverable, Undeliverable),
            // One by another worker for the same delivery; then those of a replay.
            (attempt(1, "timeout", 3), Pending, Undeliverable),
            (attempt(4, "500", 4), Pending, Pending),
            (attempt(5, "200", 5), Delivered, Delivered),
            (attempt(5, "timeout", 6), Pending, Delivered),
            (attempt(6, "410", 7), Undeliverable, Delivered),
        ];
        for (attempt, state, held) in &told {
            let now = store.records().attempted(&key, attempt, *state).await.unwrap();
            assert_eq!(now, *held, "{kind}: {attempt:?}");
        }
        let record = store.records().find(request).await.unwrap().unwrap();
        assert_eq!((record.callback_status.as_str(), record.delivery), ("200", Delivered), "{kind}");
        let kept: Vec<(u32, String)> =
            record.attempts.iter().map(|attempt| (attempt.number, attempt.outcome.to_string())).collect();
        let all = ["503", "the window is over", "timeout", "500", "200", "timeout", "410"];
        let all = all.map(str::to_owned);
        assert_eq!(kept, (1..).zip(all).collect::<Vec<_>>(), "{kind}: nothing is written over");
    }
}

#[tokio::test]
async fn an_overdue_delivery_is_claimed_by_one_worker_at_a_time() {
    for (kind, store, _directory) in stores().await {
        let overdue = &store.overdue();
        let [first, second] = [RequestId::new(), RequestId::new()];
        let claim = async |now| overdue.claim_overdue(now, 10).await.unwrap();
        overdue.expect(first, 1_000).await.unwrap();
        overdue.expect(second, 2_000).await.unwrap();
        overdue.expect(second, 5_000_000).await.unwrap();
        assert!(claim(999).await.is_empty(), "{kind}");
        assert_eq!(claim(1_000).await, [first], "{kind}");
        assert!(claim(600_999).await.is_empty(), "{kind}: it is claimed");
        assert_eq!(claim(601_000).await, [first], "{kind}: the claim has ended");
        overdue.over(&[first]).await.unwrap();
        overdue.over(&[]).await.unwrap();
        assert_eq!(claim(5_000_000).await, [second], "{kind}: the later moment holds");
        overdue.over(&[second]).await.unwrap();
        assert!(claim(100_000_000).await.is_empty(), "{kind}");
    }
}

#[tokio::test]
async fn a_value_is_put_once_until_it_expires() {
    for (kind, store, _directory) in stores().await {
        let (keyed, minute) = (&store.key_values(), Duration::from_secs(60));
        assert_eq!(keyed.put_if_absent("k", "first", minute).await.unwrap(), None, "{kind}");
        let held = keyed.put_if_absent("k", "second", minute).await.unwrap();
        assert_eq!(held.as_deref(), Some("first"), "{kind}");
        keyed.put("k", "third", Duration::from_millis(50)).await.unwrap();
        eventually("the value to expire", async || {
            keyed.put_if_absent("k", "fourth", minute).await.unwrap().is_none().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn values_are_read_in_order_and_a_removed_one_is_gone() {
    for (kind, store, _directory) in stores().await {
        let (keyed, minute) = (&store.key_values(), Duration::from_secs(60));
        keyed.put("a", "1", minute).await.unwrap();
        keyed.put("b", "2", minute).await.unwrap();
        let held = keyed.get(&["b", "nothing", "a"]).await.unwrap();
        assert_eq!(held, [Some("2".to_owned()), None, Some("1".to_owned())], "{kind}");
        keyed.remove("a").await.unwrap();
        keyed.remove("nothing").await.unwrap();
        assert_eq!(keyed.get(&["a"]).await.unwrap(), [None], "{kind}");
    }
}

#[tokio::test]
async fn a_key_is_kept_without_its_secret_until_it_is_revoked() {
    for (kind, store, _directory) in stores().await {
        let keys = &store.keys();
        let key = ApiKey::generate().unwrap();
        let record = KeyRecord {
            id: key.id().clone(),
            name: "fleet: \"north\"".to_owned(),
            scopes: "acl,read".parse().unwrap(),
            hash: key.hash(),
            created_ms: 1000,
            expires_ms: Some(2000),
            last_used_ms: None,
            revoked_ms: None,
        };
        assert_eq!(keys.find(key.id()).await.unwrap(), None, "{kind}");
        assert!(!keys.revoke(key.id(), 1).await.unwrap(), "{kind}");
        keys.used(key.id(), 1).await.unwrap();
        assert_eq!(keys.list().await.unwrap(), [], "{kind}: what is not there is not made");
        keys.insert(&record).await.unwrap();
        assert_eq!(keys.find(key.id()).await.unwrap().as_ref(), Some(&record), "{kind}");
        let other = ApiKey::generate().unwrap();
        let older = KeyRecord { id: other.id().clone(), created_ms: 500, expires_ms: None, ..record.clone() };
        keys.insert(&older).await.unwrap();
        assert_eq!(keys.list().await.unwrap(), [older, record.clone()], "{kind}");
        keys.used(key.id(), 1500).await.unwrap();
        for at_ms in [1600, 1700] {
            assert!(keys.revoke(key.id(), at_ms).await.unwrap(), "{kind}");
        }
        let revoked = KeyRecord { last_used_ms: Some(1500), revoked_ms: Some(1600), ..record.clone() };
        assert!(record.is_good_at(1999) && !record.is_good_at(2000) && !revoked.is_good_at(1999), "{kind}");
        assert_eq!(keys.find(key.id()).await.unwrap(), Some(revoked), "{kind}: the first end holds");
    }
}

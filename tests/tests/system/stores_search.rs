//! What every store guarantees about finding records, tested on each.

use std::time::Duration;

use common::clock::{self, Nanos};
use common::decision::Decision;
use common::ids::{PresentedToken, RequestId, StationId};
use futures_util::{StreamExt, stream};
use store::{
    Accepted, Attempt, AttemptOutcome, Decided, DeliveryState, FeedPosition, Filter, Known, RecordKey, Store,
    StoreOptions,
};
use tests::PATIENCE;
use tests::deployment::Deployment;

use super::stores::{decided, key, stores};

const SECOND: Nanos = 1_000_000_000;
const STATIONS: [&str; 2] = ["123e4567-e89b-12d3-a456-426614174000", "00000000-e89b-12d3-a456-426614174000"];

/// Stores a decision on a request made this long ago; returns its id.
async fn put(store: &Store, ago: Nanos, station: usize, token: &str, decision: Decision) -> RequestId {
    let request_id = RequestId::new();
    let key = RecordKey {
        start_ns: clock::now() - ago,
        station_id: STATIONS[station].parse().unwrap(),
        driver_token: PresentedToken::new(token),
    };
    store.records().open(request_id, &key).await.unwrap();
    store.records().decide(&key, &decided(request_id, decision)).await.unwrap();
    request_id
}

/// Stores this many decisions, each a nanosecond older than the one before.
async fn put_many(store: &Store, count: Nanos, station: usize, token: &str, decision: Decision) {
    let one = async |ago| {
        put(store, ago, station, token, decision).await;
    };
    stream::iter(0..count).for_each_concurrent(64, one).await;
}

/// All pages, in order.
async fn all(store: &Store, filter: &Filter, limit: usize) -> Vec<RequestId> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let listing = store.search().list(filter, after, limit).await.unwrap();
        assert!(listing.records.len() <= limit);
        found.extend(listing.records.iter().map(|record| record.decided.request_id));
        after = listing.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn records_are_found_by_each_filter_newest_first_in_pages() {
    use Decision::{Allowed, Invalid, NotAllowed};
    for (kind, store, _directory) in stores().await {
        let mut ids = Vec::new();
        for (ago, station, token, decision) in [
            (10, 0, "a", Allowed),
            (20, 1, "a", NotAllowed),
            (30, 0, "b", Allowed),
            (3700, 0, "b", Invalid),
            (3800, 1, "b", Allowed),
        ] {
            ids.push(put(&store, ago * SECOND, station, token, decision).await);
        }
        let station: StationId = STATIONS[0].parse().unwrap();
        let of_station = Filter { station_id: Some(station), ..Filter::default() };
        let of_driver = Filter { driver_token: Some(PresentedToken::new("b")), ..Filter::default() };
        let allowed = Filter { status: Some(Allowed), ..Filter::default() };
        let both = Filter { station_id: Some(station), ..of_driver.clone() };
        let three = Filter { status: Some(Invalid), ..both.clone() };
        let delivered = Filter { delivery: Some(DeliveryState::Delivered), ..Filter::default() };
        let cases: [(&Filter, &[usize]); 7] = [
            (&Filter::default(), &[0, 1, 2, 3, 4]),
            (&of_station, &[0, 2, 3]),
            (&of_driver, &[2, 3, 4]),
            (&allowed, &[0, 2, 4]),
            (&both, &[2, 3]),
            (&three, &[3]),
            (&delivered, &[]),
        ];
        for (filter, wanted) in cases {
            let wanted: Vec<RequestId> = wanted.iter().map(|&at| ids[at]).collect();
            for limit in [1, 2, 100] {
                assert_eq!(all(&store, filter, limit).await, wanted, "{kind}, {limit} at once: {filter:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_could_not_be_delivered_is_found_until_it_was() {
    use DeliveryState::{Delivered, Pending, Undeliverable};
    for (kind, store, _directory) in stores().await {
        let given_up = put(&store, 10 * SECOND, 0, "x", Decision::Invalid).await;
        let waits = put(&store, 20 * SECOND, 0, "x", Decision::Invalid).await;
        let record = store.records().find(given_up).await.unwrap().unwrap();
        for (number, state) in [(1, Pending), (2, Undeliverable), (3, Pending), (4, Delivered)] {
            let attempt = Attempt { number, at_ns: 1, took_ms: 1, outcome: AttemptOutcome::Status(503) };
            store.records().attempted(&record.key, &attempt, state).await.unwrap();
            for delivery in [Pending, Undeliverable, Delivered] {
                let fits =
                    [(state, given_up), (Pending, waits)].into_iter().filter(|(is, _)| *is == delivery);
                let wanted: Vec<RequestId> = fits.map(|(_, id)| id).collect();
                let alone = Filter { delivery: Some(delivery), ..Filter::default() };
                let driver_token = Some(PresentedToken::new("x"));
                let with_others = Filter { driver_token, status: Some(Decision::Invalid), ..alone.clone() };
                for filter in [alone, with_others] {
                    assert_eq!(all(&store, &filter, 1).await, wanted, "{kind}, now {state:?}: {filter:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn in_redis_a_match_of_two_filters_is_on_the_first_page() {
    let deployment = Deployment::new().await;
    let options =
        StoreOptions { key_prefix: deployment.prefix.clone(), retention: Duration::from_secs(3600) };
    let store = Store::open(&deployment.servers.redis, options, PATIENCE).await.unwrap();
    let rare = put(&store, 600 * SECOND, 1, "x", Decision::Invalid).await;
    put_many(&store, 800, 0, "x", Decision::Allowed).await;
    put_many(&store, 800, 1, "y", Decision::Invalid).await;
    let of_driver = Filter { driver_token: Some(PresentedToken::new("x")), ..Filter::default() };
    let invalid = Filter { status: Some(Decision::Invalid), ..of_driver.clone() };
    let at_station = Filter { station_id: Some(STATIONS[1].parse().unwrap()), ..of_driver };
    for filter in [invalid, at_station] {
        let first = store.search().list(&filter, None, 10).await.unwrap();
        let ids: Vec<RequestId> = first.records.iter().map(|record| record.decided.request_id).collect();
        assert_eq!((ids, first.next), (vec![rare], None), "{filter:?}");
    }
}

#[tokio::test]
async fn a_time_span_includes_its_start_and_excludes_its_end() {
    for (kind, store, _directory) in stores().await {
        let mut records = Vec::new();
        for ago in [30, 20, 10] {
            let id = put(&store, ago * 60 * SECOND, 0, "x", Decision::Allowed).await;
            records.push(store.records().find(id).await.unwrap().unwrap());
        }
        let start = |at: usize| records[at].key.start_ns;
        let id = |at: usize| records[at].decided.request_id;
        for (from, to, wanted) in [
            (Some(start(0)), Some(start(2)), vec![id(1), id(0)]),
            (Some(start(1)), None, vec![id(2), id(1)]),
            (Some(start(1) + 1), Some(start(2)), vec![]),
            (None, Some(start(0)), vec![]),
            (Some(0), Some(u64::MAX), vec![id(2), id(1), id(0)]),
            (Some(start(2)), Some(start(0)), vec![]),
        ] {
            let filter = Filter { from_ns: from, to_ns: to, ..Filter::default() };
            assert_eq!(all(&store, &filter, 10).await, wanted, "{kind}: {filter:?}");
        }
    }
}

#[tokio::test]
async fn a_page_that_scans_too_much_is_short_and_the_next_continues() {
    for (kind, store, _directory) in stores().await {
        let rare = put(&store, 600 * SECOND, 0, "x", Decision::Allowed).await;
        let record = store.records().find(rare).await.unwrap().unwrap();
        let attempt = Attempt { number: 1, at_ns: 1, took_ms: 1, outcome: AttemptOutcome::Status(200) };
        store.records().attempted(&record.key, &attempt, DeliveryState::Delivered).await.unwrap();
        put_many(&store, 1100, 0, "x", Decision::Allowed).await;
        let delivered = Filter { delivery: Some(DeliveryState::Delivered), ..Filter::default() };
        let first = store.search().list(&delivered, None, 10).await.unwrap();
        assert!(first.records.is_empty() && first.next.is_some(), "{kind}: {first:?}");
        assert_eq!(all(&store, &delivered, 10).await, [rare], "{kind}");
    }
}

#[tokio::test]
async fn records_that_began_at_the_same_moment_are_all_found() {
    for (kind, store, _directory) in stores().await {
        let start_ns = clock::now();
        let mut ids: Vec<RequestId> = (0..5).map(|_| RequestId::new()).collect();
        for (number, request) in ids.iter().enumerate() {
            let key = RecordKey { start_ns, ..key(&format!("driver {number}")) };
            store.records().open(*request, &key).await.unwrap();
            store.records().decide(&key, &decided(*request, Decision::Invalid)).await.unwrap();
        }
        ids.reverse();
        assert_eq!(all(&store, &Filter::default(), 2).await, ids, "{kind}");
    }
}

#[tokio::test]
async fn the_feed_has_every_decision_in_the_order_of_recording() {
    for (kind, store, _directory) in stores().await {
        put(&store, 0, 0, "before", Decision::Allowed).await;
        let begin = store.search().feed_end().await.unwrap();
        let mut ids = Vec::new();
        for ago in [0, 3600 * SECOND, SECOND, 0] {
            ids.push(put(&store, ago, 0, "x", Decision::Unknown).await);
        }
        let (mut told, mut position) = (Vec::new(), begin);
        loop {
            let fed = store.search().feed_after(position, 3).await.unwrap();
            told.extend(fed.records.iter().map(|(_, record)| record.decided.request_id));
            position = fed.position;
            if !fed.more {
                break;
            }
        }
        assert_eq!(told, ids, "{kind}");
        assert_eq!(store.search().feed_end().await.unwrap(), position, "{kind}");
        assert!(store.search().feed_holds(position).await.unwrap(), "{kind}");
        let never = FeedPosition { ms: 1, seq: 1 };
        assert!(!store.search().feed_holds(never).await.unwrap(), "{kind}");
    }
}

#[tokio::test]
async fn a_request_is_known_until_decided_and_no_note_is_left() {
    for (kind, store, _directory) in stores().await {
        let (request_id, key) = (RequestId::new(), key("x"));
        assert_eq!(store.records().look_up(request_id).await.unwrap(), None, "{kind}");
        let accepted = Accepted {
            request_id,
            station_id: key.station_id,
            driver_token: key.driver_token.clone(),
            callback_url: Some("http://example.com/".to_owned()),
            start_ns: key.start_ns,
            deadline_ns: Some(7),
        };
        let waits = Some(Known::Accepted(accepted.clone()));
        store.records().accepted(std::slice::from_ref(&accepted)).await.unwrap();
        assert_eq!(store.records().look_up(request_id).await.unwrap(), waits, "{kind}");
        store.records().open(request_id, &key).await.unwrap();
        assert_eq!(store.records().look_up(request_id).await.unwrap(), waits, "{kind}: in flight");
        store.records().decide(&key, &decided(request_id, Decision::Allowed)).await.unwrap();
        let is_decided = async || {
            let known = store.records().look_up(request_id).await.unwrap();
            assert!(matches!(known, Some(Known::Decided(_))), "{kind}: {known:?}");
        };
        is_decided().await;
        // The worker may be faster than the note.
        store.records().accepted(&[accepted]).await.unwrap();
        is_decided().await;
    }
}

#[tokio::test]
async fn a_task_that_came_past_the_api_is_known_once_a_worker_has_it() {
    for (kind, store, _directory) in stores().await {
        let (request, key) = (RequestId::new(), key("x"));
        store.records().open(request, &key).await.unwrap();
        let Some(Known::Accepted(known)) = store.records().look_up(request).await.unwrap() else {
            panic!("{kind}");
        };
        assert_eq!((known.start_ns, known.callback_url), (key.start_ns, None), "{kind}");
    }
}

#[tokio::test]
async fn a_redelivery_completes_the_index_and_all_of_it_expires() {
    let deployment = Deployment::new().await;
    let options =
        StoreOptions { key_prefix: deployment.prefix.clone(), retention: Duration::from_secs(3600) };
    let store = Store::open(&deployment.servers.redis, options, PATIENCE).await.unwrap();
    let (request_id, key) = (RequestId::new(), key("x"));
    let decided = Decided { ..decided(request_id, Decision::Allowed) };
    store.records().open(request_id, &key).await.unwrap();
    store.records().decide(&key, &decided).await.unwrap();
    let mut redis = deployment.servers.redis().await;
    let attempt = Attempt { number: 1, at_ns: 1, took_ms: 1, outcome: AttemptOutcome::Status(404) };
    store.records().attempted(&key, &attempt, DeliveryState::Undeliverable).await.unwrap();
    let index: Vec<String> =
        deployment.keys().await.into_iter().filter(|name| name.contains(":by-")).collect();
    assert_eq!(index.len(), 4, "{index:?}");
    assert!(!format!("{index:?}").contains("\"x\""), "no token in the keys of the index");
    for name in &index {
        let key = format!("{}{name}", deployment.prefix);
        let left: i64 = redis::cmd("TTL").arg(&key).query_async(&mut redis).await.unwrap();
        assert!(left > 3600, "{name} expires in {left} s");
        let _: () = redis::cmd("DEL").arg(&key).query_async(&mut redis).await.unwrap();
    }
    assert!(all(&store, &Filter::default(), 10).await.is_empty());
    let opened = store.records().open(request_id, &key).await.unwrap();
    assert!(opened.record.is_some());
    assert_eq!(all(&store, &Filter::default(), 10).await, [request_id]);
}

//! The live stream shows what happens, and goes on where a client left it.

use charging::events::{self, Happened};
use charging::{At, Db, DbError};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tests::event_stream::{EventStream, StreamEvent};
use tests::eventually;
use tests::platform::{Answer, Platform};

/// The next event of a stream, which does not end.
async fn next(stream: &mut EventStream) -> StreamEvent {
    stream.next().await.expect("the stream goes on")
}

/// The ids of this many events, none of which is a reset.
async fn ids(stream: &mut EventStream, count: usize) -> Vec<i64> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        let event = next(stream).await;
        assert_eq!(event.kind, "station", "{event:?}");
        ids.push(event.id.parse().unwrap());
    }
    ids
}

/// Creates this many stations.
async fn create(platform: &Platform, beginning: &str, count: usize) {
    let creating = (0..count).map(|n| async move {
        platform.station(&format!("{beginning}-{n}")).await;
    });
    futures_util::stream::iter(creating).buffer_unordered(16).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn each_change_is_an_event_with_a_growing_id() {
    let platform = Platform::start().await;
    let mut stream = platform.live("", None).await;
    let location = platform.location("Harbour").await;
    let draft = json!({"location_id": location.id(), "charger": "HAM-1"});
    let station = platform.created("/api/v1/stations", &draft).await;
    let refused = platform.post("/api/v1/stations", &draft).await;
    assert_eq!(refused.status, 409);
    let changed = platform.patch(station.place(), station.etag(), &json!({"name": "Left"})).await;
    let same = platform.patch(station.place(), changed.etag(), &json!({"name": "Left"})).await;
    assert_eq!(same.status, 200);
    platform.patch(location.place(), location.etag(), &json!({"name": "Market"})).await;
    platform.delete(station.place(), changed.etag()).await;
    platform.delete(location.place(), "*").await;
    let (station, location) = (json!(station.id()), json!(location.id()));
    let expected = [
        ("station.location_created", None, &location),
        ("station.created", Some(&station), &location),
        ("station.updated", Some(&station), &location),
        ("station.location_updated", None, &location),
        ("station.deleted", Some(&station), &location),
        ("station.location_deleted", None, &location),
    ];
    for (n, (kind, station, location)) in (1..).zip(expected) {
        let event = next(&mut stream).await;
        assert_eq!((event.kind.as_str(), event.id), ("station", n.to_string()));
        assert_eq!((&event.data["id"], &event.data["type"]), (&json!(n), &json!(kind)));
        assert_eq!((event.data.get("station_id"), &event.data["location_id"]), (station, location), "{kind}");
        assert!(event.data["at"].as_str().unwrap().ends_with('Z'), "{}", event.data);
    }
}

#[tokio::test]
async fn a_stream_has_the_events_that_it_asked_for() {
    let platform = Platform::start().await;
    let mut stations = platform.live("?events=charger,station", None).await;
    let mut others = platform.live("?events=charger,connector,session", None).await;
    platform.station("HAM-1").await;
    assert_eq!(ids(&mut stations, 1).await, [1]);
    for (query, field) in
        [("?events=stations", "events"), ("?events=station;meter", "events"), ("?event=station", "query")]
    {
        let request = platform.request(Method::GET, &format!("/api/v1/live{query}"));
        assert_eq!(Answer::to(request).await.refusal(), (400, field), "{query}");
    }
    for id in ["-1", "one", "1-1", "99999999999999999999"] {
        let request = platform.request(Method::GET, "/api/v1/live").header("last-event-id", id);
        assert_eq!(Answer::to(request).await.refusal(), (400, "last-event-id"), "{id}");
    }
    assert_eq!(platform.process.stop().await, Some(0));
    assert!(others.next().await.is_none(), "an event that was not asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_stream_has_what_was_missed_exactly_once() {
    let platform = Platform::start().await;
    let mut stream = platform.live("", None).await;
    create(&platform, "first", 5).await;
    assert_eq!(ids(&mut stream, 3).await, [1, 2, 3]);
    drop(stream);
    create(&platform, "missed", 450).await;
    // While it catches up, more happens.
    let (received, ()) = tokio::join!(
        async {
            let mut stream = platform.live("", Some("3")).await;
            ids(&mut stream, 552).await
        },
        create(&platform, "meanwhile", 100)
    );
    assert_eq!(received, (4..=555).collect::<Vec<i64>>());
    let platform = platform.crash().await;
    let mut stream = platform.live("", Some("550")).await;
    platform.station("after").await;
    assert_eq!(ids(&mut stream, 6).await, [551, 552, 553, 554, 555, 556]);
    let mut up_to_date = platform.live("", Some("556")).await;
    platform.station("last").await;
    assert_eq!(ids(&mut up_to_date, 1).await, [557]);
}

#[tokio::test]
async fn an_id_without_events_gets_one_reset_and_what_follows() {
    let platform = Platform::start().await;
    create(&platform, "pruned", 4).await;
    let mut all = platform.live("", Some("0")).await;
    assert_eq!(ids(&mut all, 4).await, [1, 2, 3, 4]);
    let db = Db::open_beside(&platform.directory().join("platform")).await.unwrap();
    let pruned = db.write(async |tx| events::prune(tx, At::now(), 3, false).await).await.unwrap();
    assert_eq!(pruned, 3);
    let mut long_gone = platform.live("", Some("2")).await;
    let mut future = platform.live("", Some("1000")).await;
    let mut not_lost = platform.live("", Some("3")).await;
    platform.station("next").await;
    for stream in [&mut long_gone, &mut future] {
        let reset = next(stream).await;
        assert_eq!((reset.kind.as_str(), reset.id.as_str()), ("reset", "4"));
        assert!(reset.data["at"].is_string() && reset.data["detail"].is_string());
        assert_eq!(ids(stream, 1).await, [5]);
    }
    assert_eq!(ids(&mut not_lost, 2).await, [4, 5]);
}

/// Writes events of this size at once, as many changes would.
pub(crate) async fn burst(db: &Db, count: usize, size: usize) {
    let more = json!({ "padding": "x".repeat(size) });
    db.write(async |tx| {
        for _ in 0..count {
            let event = Happened {
                routing_key: "station.updated",
                station_id: None,
                location_id: None,
                more: more.clone(),
            };
            events::write(tx, &event).await?;
        }
        Ok::<_, DbError>(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_dropped_with_a_reset_and_delays_no_other() {
    let platform = Platform::start().await;
    let mut slow = platform.live("", None).await;
    let mut fast = platform.live("", None).await;
    let db = Db::open_beside(&platform.directory().join("platform")).await.unwrap();
    let (bursts, each) = (40, 100);
    for n in 0..bursts {
        burst(&db, each, 4000).await;
        let begin = i64::from(n) * 100;
        assert_eq!(ids(&mut fast, each).await, (begin + 1..=begin + 100).collect::<Vec<_>>());
    }
    eventually("the slow reader to be dropped", async || {
        let metrics = Answer::to(platform.stranger(Method::GET, "/metrics")).await.text;
        metrics.contains("voltgate_live_streams_dropped_total 1").then_some(())
    })
    .await;
    let mut last = 0;
    let reset = loop {
        let event = next(&mut slow).await;
        if event.kind == "reset" {
            break event;
        }
        assert_eq!(event.data["id"], last + 1);
        last += 1;
    };
    assert_eq!(reset.id, last.to_string());
    assert!(last < 4000 && slow.next().await.is_none());
    let mut resumed = platform.live("", Some(&reset.id)).await;
    let rest: Vec<i64> = (last + 1..=4000).collect();
    assert_eq!(ids(&mut resumed, rest.len()).await, rest);
}

#[tokio::test]
async fn an_event_that_is_streamed_can_be_read_at_once() {
    let platform = Platform::start().await;
    let mut stream = platform.live("", None).await;
    for n in 0..10 {
        platform.station(&format!("HAM-{n}")).await;
        let station: Value = next(&mut stream).await.data["station_id"].clone();
        let read = platform.get(&format!("/api/v1/stations/{}", station.as_str().unwrap())).await;
        assert_eq!(read.body["charger"], format!("HAM-{n}"));
    }
}

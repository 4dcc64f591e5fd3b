//! Labels and formats of clients other than Celery that a Celery worker accepts.

use std::time::{Duration, SystemTime};

use task_queue::QueueType;
use tests::deployment::Deployment;

use super::celery_messages::{Notes, broker, client};

#[tokio::test]
async fn json_is_read_whatever_content_encoding_a_client_gives_it() {
    let deployment = Deployment::new().await;
    let broker = broker(&deployment, QueueType::Quorum).await;
    let mut notes = Notes::start(&broker).await;
    // celery-ts sends the first of these.
    let script = r#"
import zlib
body = json.dumps([["h\u00e9"], {"again": True}, {}], ensure_ascii=False).encode()
for encoding, compression in [("base64", "application/x-gzip"), ("base64", None), ("utf-16", None), ("gzip", "zlib"), ("", None)]:
    headers = {"task": "tests.note", "id": f"{encoding} {compression}"}
    if compression: headers["compression"] = compression
    # As bytes with a type of its own, kombu leaves them as they are.
    raw(zlib.compress(body) if compression else body, headers, content_type="application/json", content_encoding=encoding)
"#;
    client(&deployment, QueueType::Quorum, script).await;
    for _ in 0..10 {
        assert_eq!(notes.next().await.value, "hé");
    }
    assert_eq!(broker.depth("celery.dead").await.unwrap(), 0);
}

#[tokio::test]
async fn an_amqp_timestamp_as_eta_or_expires_survives_a_retry() {
    let deployment = Deployment::new().await;
    let broker = broker(&deployment, QueueType::Quorum).await;
    let mut notes = Notes::start(&broker).await;
    // py-amqp sends a `datetime` as a timestamp.
    let script = r#"
utc = now.replace(tzinfo=None, microsecond=0)
def stamped(id, again=False, **moments):
    raw([[id], {"again": again}, {}], {"task": "tests.note", "id": id, **moments}, serializer="json")
stamped("expired", expires=utc - seconds(5))
stamped("later", eta=utc + seconds(4), expires=utc + seconds(600))
stamped("now", again=True, eta=utc - seconds(5), expires=utc + seconds(600))
print((utc + seconds(4)).replace(tzinfo=datetime.timezone.utc).timestamp())
"#;
    let printed = client(&deployment, QueueType::Quorum, script).await;
    let due = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(printed[0].parse().unwrap());
    let mut ran = Vec::new();
    for _ in 0..3 {
        let run = notes.next().await;
        assert!(run.id != "later" || run.at >= due, "it ran early");
        ran.push((run.id, run.retries));
    }
    ran.sort();
    let expected = [("later", 0), ("now", 0), ("now", 1)].map(|(id, retries)| (id.to_owned(), retries));
    assert_eq!(ran, expected, "what had expired is not among them");
    assert_eq!(broker.depth("celery.dead").await.unwrap(), 0);
}

//! Commands to chargers: taken once, ended once, and none is forgotten.

use std::time::Duration;

use charging::chargers::commands::{self, Command, CommandState, End, NewCommand};
use charging::{Db, DbError};
use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::databases::each_database;
use crate::sessions::{TAG, begun, charger, minute, start};

async fn request(db: &Db, station: Uuid, action: &str, wait: Option<Duration>) -> Uuid {
    let new = NewCommand {
        station_id: station,
        charger: "HAM-1",
        action,
        payload: json!({"connectorId": 1, "idTag": TAG.to_lowercase()}),
        limit: Duration::from_secs(30),
        wait,
        actor: None,
    };
    db.write(async |tx| commands::create(tx, &new).await).await.unwrap()
}

async fn take(db: &Db, id: Uuid) -> bool {
    db.write(async |tx| commands::take(tx, id).await).await.unwrap()
}

async fn end(db: &Db, id: Uuid, how: End) -> bool {
    db.write(async |tx| commands::end(tx, id, &how).await).await.unwrap()
}

async fn found(db: &Db, id: Uuid) -> Command {
    db.read(async |tx| commands::find(tx, id).await).await.unwrap().unwrap()
}

async fn sweep(db: &Db, queued: Duration, sent: Duration) -> usize {
    let swept: Result<usize, DbError> =
        db.write(async |tx| commands::sweep(tx, queued, sent, 100).await).await;
    swept.unwrap()
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_command_is_taken_once_and_ends_once() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let id = request(db, station, "Reset", None).await;
        let taken = join_all((0..8).map(|_| take(db, id))).await;
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
        let ends = (0..8).map(|number| end(db, id, End::answered(json!({ "number": number }))));
        let ended = join_all(ends).await;
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        let kept = found(db, id).await;
        assert!(!end(db, id, End::without_answer(CommandState::Timeout, "late")).await);
        assert_eq!(found(db, id).await, kept);
        assert!(!take(db, id).await);
        assert_eq!((kept.state, kept.error), (CommandState::Answered, None));
    })
    .await;
}

#[tokio::test]
async fn an_answer_after_the_limit_is_noted_and_changes_nothing() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let (id, answered) =
            (request(db, station, "Reset", None).await, request(db, station, "Reset", None).await);
        let late = async |id, text: &str| {
            let result = json!({ "status": text });
            db.write(async |tx| commands::late(tx, id, &result).await).await.unwrap();
        };
        take(db, id).await;
        end(db, id, End::without_answer(CommandState::Timeout, "no answer")).await;
        late(id, "Accepted").await;
        late(id, "Rejected").await;
        let command = found(db, id).await;
        assert_eq!((command.state, command.result), (CommandState::Timeout, None));
        assert_eq!(command.late_result.unwrap().0, json!({"status": "Accepted"}));
        end(db, answered, End::answered(json!({}))).await;
        late(answered, "Accepted").await;
        assert_eq!(found(db, answered).await.late_result, None);
    })
    .await;
}

#[tokio::test]
async fn what_stayed_behind_ends_as_what_it_is() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let unsent = request(db, station, "Reset", None).await;
        let waiting = request(db, station, "Reset", Some(LONG)).await;
        let waited = request(db, station, "Reset", Some(Duration::ZERO)).await;
        let sent = request(db, station, "Reset", None).await;
        take(db, sent).await;
        assert_eq!(sweep(db, LONG, LONG).await, 0);
        assert_eq!(sweep(db, Duration::ZERO, Duration::ZERO).await, 3);
        let states = join_all([unsent, waiting, waited, sent].map(|id| found(db, id))).await;
        let states: Vec<CommandState> = states.into_iter().map(|command| command.state).collect();
        use CommandState::{Expired, Offline, Queued, Unknown};
        assert_eq!(states, [Offline, Queued, Expired, Unknown]);
        assert_eq!(sweep(db, Duration::ZERO, Duration::ZERO).await, 0);
        let queued = db.read(async |tx| commands::queued_for(tx, station, 10).await).await.unwrap();
        assert_eq!(queued.iter().map(|command| command.id).collect::<Vec<_>>(), [waiting]);
    })
    .await;
}

#[tokio::test]
async fn a_remote_start_is_linked_to_the_one_session_that_follows() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let refused = request(db, station, "RemoteStartTransaction", None).await;
        take(db, refused).await;
        end(db, refused, End::answered(json!({"status": "Rejected"}))).await;
        let id = request(db, station, "RemoteStartTransaction", None).await;
        take(db, id).await;
        end(db, id, End::answered(json!({"status": "Accepted"}))).await;
        let first = start(db, station, &begun(minute(0))).await;
        start(db, station, &begun(minute(1))).await;
        assert_eq!(found(db, id).await.session_id, Some(first.id));
        assert_eq!(found(db, refused).await.session_id, None);
    })
    .await;
}

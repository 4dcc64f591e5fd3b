//! Chargers: the newest connection is the charger, a dead node's chargers are offline, and the inbox has a bound.

use std::time::Duration;

use charging::chargers::connections;
use charging::chargers::credentials::{self, Match, Password};
use charging::chargers::inbox::{self, Attempt};
use charging::chargers::{self, Charger, nodes};
use charging::{At, Db};
use uuid::Uuid;

use crate::databases::{each_database, on};
use crate::drafts::find_station;
use crate::sessions::charger;

pub(crate) async fn connect(db: &Db, station: Uuid, node: Uuid) -> i64 {
    let begun = db.write(async |tx| connections::begin(tx, station, node, "ocpp1.6", None).await).await;
    begun.unwrap().unwrap()
}

async fn disconnect(db: &Db, station: Uuid, epoch: i64) {
    db.write(async |tx| connections::ended(tx, station, epoch, "lost").await).await.unwrap();
}

async fn row(db: &Db, station: Uuid) -> Charger {
    db.read(async |tx| chargers::find(tx, station).await).await.unwrap().unwrap()
}

async fn is_online(db: &Db, station: Uuid) -> bool {
    find_station(db, station).await.unwrap().row.online
}

/// Returns whether it had no lease.
async fn renew(db: &Db, node: Uuid) -> bool {
    db.write(async |tx| nodes::renew(tx, node).await).await.unwrap()
}

async fn sweep(db: &Db) -> usize {
    db.write(async |tx| nodes::sweep(tx, 100).await).await.unwrap()
}

#[tokio::test]
async fn the_end_of_an_old_connection_takes_nothing_from_a_new_one() {
    each_database(async |db| {
        let (station, one, two) = (charger(db, "HAM-1").await, Uuid::now_v7(), Uuid::now_v7());
        let first = connect(db, station, one).await;
        let second = connect(db, station, two).await;
        assert!(second > first);
        disconnect(db, station, first).await;
        assert_eq!(row(db, station).await.node_id, Some(two));
        assert!(is_online(db, station).await);
        disconnect(db, station, second).await;
        let ended = row(db, station).await;
        assert_eq!((ended.node_id, ended.disconnect_reason.as_deref()), (None, Some("lost")));
        assert!(!is_online(db, station).await);
        // The epoch is never used again.
        assert!(connect(db, station, one).await > second);
        let gone = Uuid::now_v7();
        let nowhere = db.write(async |tx| connections::begin(tx, gone, one, "ocpp1.6", None).await).await;
        assert_eq!(nowhere.unwrap(), None);
        disconnect(db, gone, 1).await;
    })
    .await;
}

#[tokio::test]
async fn connections_at_once_have_an_epoch_each_and_the_highest_one_stays() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let all = (0..8).map(|_| connect(db, station, Uuid::now_v7()));
        let mut epochs = futures_util::future::join_all(all).await;
        epochs.sort_unstable();
        assert_eq!(epochs, (1..=8).collect::<Vec<i64>>());
        for epoch in 1..8 {
            disconnect(db, station, epoch).await;
        }
        assert!(is_online(db, station).await);
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_node_held_is_offline_and_nothing_else() {
    each_database(async |db| {
        let (dead, alive) = (Uuid::now_v7(), Uuid::now_v7());
        let (lost, kept) = (charger(db, "HAM-1").await, charger(db, "HAM-2").await);
        let moved = charger(db, "HAM-3").await;
        renew(db, dead).await;
        renew(db, alive).await;
        connect(db, lost, dead).await;
        connect(db, kept, alive).await;
        connect(db, moved, dead).await;
        connect(db, moved, alive).await;
        assert_eq!(sweep(db).await, 0);
        let past = At::now().minus(Duration::from_secs(1));
        db.write(async |tx| {
            on!(tx, |c| sqlx::query("UPDATE gateway_nodes SET until = $2 WHERE id = $1")
                .bind(dead)
                .bind(past)
                .execute(c)
                .await
                .map(drop))?;
            Ok::<_, charging::DbError>(())
        })
        .await
        .unwrap();
        assert_eq!(sweep(db).await, 1);
        assert_eq!(sweep(db).await, 0);
        assert_eq!(row(db, lost).await.disconnect_reason.as_deref(), Some("node_lost"));
        assert!(!is_online(db, lost).await && is_online(db, kept).await && is_online(db, moved).await);
    })
    .await;
}

#[tokio::test]
async fn a_node_that_was_taken_for_gone_reclaims_its_chargers_but_not_those_that_have_moved() {
    each_database(async |db| {
        let (slow, other) = (Uuid::now_v7(), Uuid::now_v7());
        let (kept, moved) = (charger(db, "HAM-1").await, charger(db, "HAM-2").await);
        assert!(renew(db, slow).await && !renew(db, slow).await && renew(db, other).await);
        connect(db, kept, slow).await;
        connect(db, moved, slow).await;
        db.write(async |tx| nodes::end(tx, slow).await).await.unwrap();
        assert_eq!(sweep(db).await, 2);
        connect(db, moved, other).await;
        disconnect(db, moved, 2).await;
        assert!(renew(db, slow).await);
        for station in [kept, moved] {
            db.write(async |tx| connections::reclaim(tx, station, 1, slow).await).await.unwrap();
        }
        assert!(is_online(db, kept).await && !is_online(db, moved).await);
        assert_eq!((row(db, kept).await.node_id, row(db, moved).await.node_id), (Some(slow), None));
        assert_eq!(sweep(db).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_node_that_ends_in_order_leaves_no_charger_online() {
    each_database(async |db| {
        let (node, station) = (Uuid::now_v7(), charger(db, "HAM-1").await);
        renew(db, node).await;
        connect(db, station, node).await;
        db.write(async |tx| nodes::end(tx, node).await).await.unwrap();
        assert_eq!(sweep(db).await, 1);
        assert!(!is_online(db, station).await);
    })
    .await;
}

#[tokio::test]
async fn the_inbox_keeps_a_thousand_and_the_oldest_leave() {
    each_database(async |db| {
        let attempt = |number: usize| Attempt {
            name: format!("CP-{number:04}"),
            address: Some("127.0.0.1".to_owned()),
            user_agent: None,
            subprotocols: "ocpp1.6".to_owned(),
        };
        for number in 0..1_005 {
            db.write(async |tx| inbox::note(tx, &attempt(number)).await).await.unwrap();
        }
        db.write(async |tx| inbox::note(tx, &attempt(500)).await).await.unwrap();
        let all = db.read(async |tx| inbox::list(tx, "", 2_000).await).await.unwrap();
        assert_eq!((all.len(), all[0].name.as_str()), (1_000, "CP-0005"));
        let again = all.iter().find(|one| one.name == "CP-0500").unwrap();
        assert!(again.attempts == 2 && again.last_seen > again.first_seen);
        assert!(db.write(async |tx| inbox::remove(tx, "CP-0500").await).await.unwrap());
        assert!(!db.write(async |tx| inbox::remove(tx, "CP-0500").await).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_password_is_verified_as_bytes_and_as_the_digits_of_a_key() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let matches = async |sent: &[u8]| {
            let known = db.read(async |tx| connections::known(tx, "HAM-1").await).await.unwrap().unwrap();
            known.credentials.verify(sent)
        };
        assert_eq!(matches(b"").await, None);
        let key = Password::from_key("00FF00ff00ff00ff00ff00ff00ff00ff00ff00ff").unwrap();
        db.write(async |tx| credentials::set(tx, station, Some(&key)).await).await.unwrap();
        let bytes: Vec<u8> = [0x00, 0xff].repeat(10);
        assert_eq!(matches(&bytes).await, Some(Match::Present));
        assert_eq!(matches(b"00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff").await, Some(Match::Present));
        assert_eq!(matches(&bytes[1..]).await, None);
        let binary = Password::new(&[0xfe; 16]).unwrap();
        db.write(async |tx| credentials::set(tx, station, Some(&binary)).await).await.unwrap();
        assert_eq!((matches(&bytes).await, matches(&[0xfe; 16]).await), (None, Some(Match::Present)));
        db.write(async |tx| credentials::set(tx, station, None).await).await.unwrap();
        assert!(!row(db, station).await.has_password);
    })
    .await;
}

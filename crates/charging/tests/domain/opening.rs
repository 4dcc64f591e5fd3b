//! Databases are opened: by several processes at once, of other versions, and beside the process that owns the file.

use std::time::Duration;

use charging::db::{OpenError, VERSION};
use charging::stations::{StationError, locations};
use charging::{Db, DbError};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::databases::{Place, each_place, on, on_postgres};
use crate::drafts::{self, create_location};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_processes_that_find_an_empty_database_all_open_it() {
    on_postgres(async |place| {
        let opened = join_all((0..8).map(|_| place.open())).await;
        for db in opened {
            create_location(&db.unwrap(), &drafts::location("Here")).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_database_is_opened_again_with_what_is_in_it() {
    each_place(async |place| {
        let db = place.open().await.unwrap();
        let location = create_location(&db, &drafts::full_location()).await;
        db.close().await;
        drop(db);
        let db = place.open().await.unwrap();
        let listed = db.read(async |tx| locations::list(tx, Uuid::nil(), 9).await).await;
        assert_eq!(listed.unwrap(), [location]);
    })
    .await;
}

#[tokio::test]
async fn a_database_that_needs_a_later_version_is_refused() {
    each_place(async |place| {
        let db = place.open().await.unwrap();
        db.write(async |tx| -> Result<(), DbError> {
            let raise = "UPDATE schema_support SET oldest_program = $1";
            on!(tx, |c| sqlx::query(raise).bind(VERSION + 1).execute(c).await.map(drop))?;
            Ok(())
        })
        .await
        .unwrap();
        db.close().await;
        drop(db);
        let refused = place.open().await.map(drop);
        assert!(matches!(refused, Err(OpenError::TooNew { .. })), "{refused:?}");
        let (ours, needed) = (VERSION, VERSION + 1);
        let expected = format!("which needs Voltgate with version {needed} or later; this one has {ours}");
        assert!(refused.unwrap_err().to_string().ends_with(&expected));
    })
    .await;
}

#[tokio::test]
async fn a_file_has_one_owner_and_tools_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Db::open_beside(directory.path()).await.is_err());
    let place = Place::Sqlite { directory: directory.path().to_owned() };
    let owner = place.open().await.unwrap();
    assert!(matches!(place.open().await, Err(OpenError::Directory(_))));
    let tool = Db::open_beside(directory.path()).await.unwrap();
    let writes = (0..40).map(|number| {
        let db = if number % 2 == 0 { &owner } else { &tool };
        // Reads first: what it has read must not be out of date when it writes.
        async move {
            db.write(async |tx| -> Result<usize, StationError> {
                let before = locations::list(tx, Uuid::nil(), 100).await?.len();
                tokio::time::sleep(Duration::from_millis(1)).await;
                locations::create(tx, &drafts::location(&format!("{number}"))).await?;
                Ok(before)
            })
            .await
            .unwrap()
        }
    });
    let mut written = join_all(writes).await;
    written.sort_unstable();
    assert!(written.iter().copied().eq(0..40), "{written:?}");
    for db in [&owner, &tool] {
        let listed = db.read(async |tx| locations::list(tx, Uuid::nil(), 100).await).await.unwrap();
        assert_eq!(listed.len(), written.len());
    }
}

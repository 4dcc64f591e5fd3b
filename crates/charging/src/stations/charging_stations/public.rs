//! Which stations are public: those that acl-service opens to every member.

use std::collections::HashSet;

use uuid::Uuid;

use crate::db::{DbError, Tx, filled, on, statements};
use crate::stations::connectors::Access;

statements! {
    AMONG = "SELECT id FROM stations WHERE access = $1 AND id IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    AFTER = "SELECT id FROM stations WHERE access = $1 AND id > $2 ORDER BY id LIMIT $3";
}

/// The stations of one question of `AMONG`.
const AT_ONCE: usize = 10;

/// Those of these stations that are public.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn among(tx: &mut Tx, ids: &[Uuid]) -> Result<HashSet<Uuid>, DbError> {
    let mut public = HashSet::new();
    for some in ids.chunks(AT_ONCE) {
        let some = filled::<AT_ONCE>(some.iter().copied());
        let found: Vec<(Uuid,)> = on!(tx, |c| {
            let query = sqlx::query_as(AMONG).bind(Access::Public);
            some.fold(query, sqlx::query::QueryAs::bind).fetch_all(c).await
        })?;
        public.extend(found.into_iter().map(|(id,)| id));
    }
    Ok(public)
}

/// The public stations after this id, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn after(tx: &mut Tx, id: Uuid, limit: i64) -> Result<Vec<Uuid>, DbError> {
    let found: Vec<(Uuid,)> =
        on!(tx, |c| sqlx::query_as(AFTER).bind(Access::Public).bind(id).bind(limit).fetch_all(c).await)?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

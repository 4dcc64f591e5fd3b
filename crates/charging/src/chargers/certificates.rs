//! What chargers want to have signed (security paper, section 5.2). The last request of each is kept, so that an authority
//! elsewhere can sign it too.

use serde_json::json;
use uuid::Uuid;

use super::happened;
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::stations::charging_stations;

statements! {
    FIND = "SELECT certificate_request AS csr, certificate_requested_at AS requested_at FROM chargers \
            WHERE station_id = $1 AND certificate_request IS NOT NULL";
    SET = "UPDATE chargers SET certificate_request = $2, certificate_requested_at = $3 WHERE station_id = $1";
}

row! {
    /// A request for a certificate.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CertificateRequest {
        /// What is to be signed: PKCS #10 as PEM.
        pub csr: String,
        /// When the charger sent it.
        pub requested_at: At,
    }
}

/// The last request of this charger.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, station: Uuid) -> Result<Option<CertificateRequest>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(FIND).bind(station).fetch_optional(c).await)?)
}

/// Records a request that was checked.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn requested(tx: &mut Tx, station: Uuid, csr: &str, at: At) -> Result<(), DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(()) };
    super::add(tx, station).await?;
    on!(tx, |c| sqlx::query(SET).bind(station).bind(csr).bind(at).execute(c).await.map(drop))?;
    happened(tx, "charger.certificate_requested", station, location, json!({})).await
}

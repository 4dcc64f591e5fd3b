//! The network of the load client's chargers, and the tags of their drivers.

use anyhow::{Result, bail};
use charging::Db;
use charging::stations::StationError;
use charging::stations::charging_stations::{self, StationDraft};
use charging::tokens::{self, TokenDraft};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use uuid::Uuid;

use super::{ASKED_TAG, KNOWN_TAG};

const DRIVER: &str = "driver_of_the_load_0001";
/// Stations of one transaction.
const AT_ONCE: u32 = 250;
/// Requests in flight at acl-service.
const IN_FLIGHT: usize = 16;

/// Creates stations with one connector, named as the load client names its chargers; returns their ids in order.
pub(super) async fn network(db: &Db, prefix: &str, count: u32) -> Result<Vec<Uuid>> {
    let mut ids = Vec::new();
    for first in (1..=count).step_by(AT_ONCE as usize) {
        let drafts = (first..=count).take(AT_ONCE as usize).map(|number| draft(&format!("{prefix}{number}")));
        let drafts = drafts.collect::<Result<Vec<_>, _>>()?;
        let created = db.write(async |tx| -> Result<Vec<Uuid>, StationError> {
            let mut created = Vec::with_capacity(drafts.len());
            for draft in &drafts {
                created.push(charging_stations::create(tx, draft).await?.row.id);
            }
            Ok(created)
        });
        ids.extend(created.await?);
    }
    Ok(ids)
}

fn draft(charger: &str) -> serde_json::Result<StationDraft> {
    serde_json::from_value(json!({"charger": charger, "evses": [{"connectors": [{
        "number": 1, "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE", "max_power_w": 22_000,
    }]}]}))
}

/// Creates a tag whose answer is known and one that is always asked for, whose driver may charge at these stations.
pub(super) async fn tags(db: &Db, acl_url: &str, stations: &[Uuid]) -> Result<()> {
    let known = json!({"uid": KNOWN_TAG, "whitelist": "always"});
    let asked = json!({"uid": ASKED_TAG, "driver_token": DRIVER, "whitelist": "never"});
    for document in [known, asked] {
        let draft: TokenDraft = serde_json::from_value(document)?;
        db.write(async |tx| tokens::create(tx, &draft, None).await).await?;
    }
    let http = reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(30)).build()?;
    let admitted = stream::iter(stations).map(|station| {
        let put = http.put(format!("{acl_url}/station/{station}/driver/{DRIVER}/acl"));
        async move {
            let answer = put.send().await?;
            if answer.status().is_success() { Ok(()) } else { bail!("acl-service: {}", answer.status()) }
        }
    });
    admitted.buffer_unordered(IN_FLIGHT).try_collect::<Vec<()>>().await?;
    Ok(())
}

//! Ends what stayed behind: chargers of gateways that are gone, and commands that no gateway ends. Each gateway and each
//! platform-api runs it, so that it is done also where no gateway is left; a lease keeps all but one from it, which saves work.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{commands, nodes};
use crate::db::{Db, DbError, Tx};
use crate::lease::Lease;

const NAME: &str = "chargers";
/// Shorter than a node's lease: if the process that sweeps is the one that was killed, another one has taken over by then.
const SPAN: Duration = Duration::from_secs(6);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many are ended in one transaction.
const AT_ONCE: i64 = 50;
/// How long a command without a wait may stay unsent.
const UNSENT_FOR: Duration = Duration::from_secs(5);
/// The longest limit of a command, and a little more.
const UNANSWERED_FOR: Duration = Duration::from_secs(310);

/// Sweeps until `stop`. It survives the loss of the database.
pub async fn run(db: &Db, stop: CancellationToken) {
    let mut lease = Lease::new(NAME, SPAN);
    let mut away = false;
    loop {
        let swept = tokio::select! {
            swept = sweep_all(db, &mut lease) => swept,
            () = stop.cancelled() => break,
        };
        match (swept, away) {
            (Ok(()), _) => away = false,
            (Err(error), false) => {
                tracing::warn!(%error, "what gateways have left behind cannot be looked for at present");
                away = true;
            }
            (Err(_), true) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => break,
        }
    }
    lease.release(db).await;
}

async fn sweep_all(db: &Db, lease: &mut Lease) -> Result<(), DbError> {
    let all = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
    while lease.hold(db).await? {
        let chargers = db.write(async move |tx| nodes::sweep(tx, AT_ONCE).await).await?;
        let ended = async move |tx: &mut Tx| commands::sweep(tx, UNSENT_FOR, UNANSWERED_FOR, AT_ONCE).await;
        let ended = db.write(ended).await?;
        if chargers < all && ended < all {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only if it can be spawned. Bodies of transactions capture by value for that.
    #[expect(dead_code, reason = "only compiled")]
    fn it_can_be_spawned(db: Db) {
        tokio::spawn(async move { run(&db, CancellationToken::new()).await });
    }
}

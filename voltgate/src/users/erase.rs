//! `voltgate users erase` and `erased`.

use std::path::Path;
use std::process::ExitCode;

use charging::accounts::erasure::{self, Erasure};
use serde::Deserialize;
use serde_json::json;
use service_runtime::exit::Failure;
use uuid::Uuid;

use super::{ACTOR, Users, UsersError, find};
use crate::terminal;

const PAGE: i64 = 1000;

/// A line of the list of erased accounts.
#[derive(Deserialize)]
struct Line {
    account_id: Uuid,
}

impl Users<'_> {
    pub(super) async fn erase(&self, user: &str, reason: Option<&str>) -> Result<ExitCode, Failure> {
        let erased = self.db.write(async |tx| {
            let account = find(tx, user).await?;
            erasure::erase(tx, account.id, ACTOR, reason).await?;
            Ok::<_, UsersError>(account.id)
        });
        let id = erased.await.map_err(|error| self.failure(error))?;
        let kept = erasure::KEPT;
        let object = json!({"id": id, "erased": true, "kept": kept});
        Ok(self.report(&object, &format!("erased {id}; kept, where there are any: {}", kept.join(", "))))
    }

    pub(super) async fn erased(&self) -> Result<ExitCode, Failure> {
        let mut after = Uuid::nil();
        loop {
            let page = self.db.read(async |tx| erasure::list(tx, after, PAGE).await).await;
            let page: Vec<Erasure> = page.map_err(|error| self.failure(error.into()))?;
            let Some(last) = page.last() else { return Ok(ExitCode::SUCCESS) };
            after = last.account_id;
            for Erasure { account_id, at } in &page {
                let line = match self.as_json {
                    true => json!({"account_id": account_id, "at": at}).to_string(),
                    false => format!("{account_id}  {at}"),
                };
                if !terminal::line(&line) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }

    pub(super) async fn erase_again(&self, file: &Path) -> Result<ExitCode, Failure> {
        let unreadable = |why: String| Failure::Refused(format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
        let mut ids = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let line: Line =
                serde_json::from_str(line).map_err(|error| unreadable(format!("line {number}: {error}")))?;
            ids.push(line.account_id);
        }
        let (mut erased, mut absent, mut refused) = (0_u64, 0_u64, 0_u64);
        for id in ids {
            match self.db.write(async |tx| erasure::erase_again(tx, id, ACTOR).await).await {
                Ok(true) => erased += 1,
                Ok(false) => absent += 1,
                Err(charging::accounts::AccountError::Conflict(why)) => {
                    refused += 1;
                    eprintln!("{id} is not erased: {why}");
                }
                Err(error) => return Err(self.failure(error.into())),
            }
        }
        let object = json!({"erased": erased, "absent": absent, "refused": refused});
        self.report(&object, &format!("erased {erased}, were absent {absent}, refused {refused}"));
        Ok(ExitCode::from(u8::from(refused > 0)))
    }
}

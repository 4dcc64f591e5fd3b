//! `voltgate users`: creates, shows, blocks and erases accounts of the platform. It works on the database itself, also beside
//! services that run.

mod args;
mod change;
mod create;
mod erase;
mod show;

use std::process::ExitCode;

use charging::accounts::{self, Account, AccountError, Reason, retention};
use charging::{DatabaseConfig, Db, DbError, Tx};
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;
use uuid::Uuid;

pub(crate) use self::args::UsersArgs;
use self::args::UsersCommand;
use crate::terminal;

/// How the audit trail names what this command does.
const ACTOR: &str = "voltgate users";

/// Why a command on accounts failed.
#[derive(Debug, thiserror::Error)]
enum UsersError {
    #[error("there is no account {0}")]
    Unknown(String),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl charging::db::TxError for UsersError {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            Self::Account(error) => error.database(),
            Self::Unknown(_) => None,
        }
    }
}

impl UsersError {
    fn failure(self, config: &DatabaseConfig) -> Failure {
        match self {
            Self::Database(error) | Self::Account(AccountError::Database(error)) => Failure::Unreachable {
                what: "the database (DATABASE_URL)",
                at: config.url().to_string(),
                why: error.to_string(),
            },
            refused => Failure::Refused(refused.to_string()),
        }
    }
}

pub(crate) async fn run(settings: &Settings, args: UsersArgs) -> Result<ExitCode, Failure> {
    let as_json = args.json;
    if matches!(args.command, UsersCommand::Retention) {
        print!("{}", retention::markdown_table());
        return Ok(ExitCode::SUCCESS);
    }
    let without =
        "there is no database: name the data directory of `voltgate up` with --data, or set DATABASE_URL";
    let config =
        DatabaseConfig::from_settings(settings)?.ok_or_else(|| Failure::Usage(without.to_owned()))?;
    // `voltgate up` may own the directory.
    let db = config.open_beside().await?;
    let done = Users { db: &db, config: &config, as_json }.run(args.command).await;
    db.close().await;
    done
}

/// The accounts of a database.
struct Users<'a> {
    db: &'a Db,
    config: &'a DatabaseConfig,
    as_json: bool,
}

impl Users<'_> {
    async fn run(&self, command: UsersCommand) -> Result<ExitCode, Failure> {
        match command {
            UsersCommand::Create(args) => self.create(args).await,
            UsersCommand::List { role, begins } => self.list(role, begins).await,
            UsersCommand::Show { user } => self.show(&user).await,
            UsersCommand::Block { user, reason } => self.block(&user, reason.as_str(), true).await,
            UsersCommand::Unblock { user, reason } => self.block(&user, reason.as_str(), false).await,
            UsersCommand::Roles { user, role, location, reason } => {
                self.set_roles(&user, &role, &location, reason.as_ref().map(Reason::as_str)).await
            }
            UsersCommand::ResetSecondFactor { user, reason } => {
                self.reset_second_factor(&user, reason.as_str()).await
            }
            UsersCommand::SignOut { user } => self.sign_out(&user).await,
            UsersCommand::Erase { again: Some(file), .. } => self.erase_again(&file).await,
            UsersCommand::Erase { user, reason, .. } => {
                self.erase(&user.unwrap_or_default(), reason.as_ref().map(Reason::as_str)).await
            }
            UsersCommand::Erased => self.erased().await,
            UsersCommand::Retention => Ok(ExitCode::SUCCESS),
        }
    }

    /// Prints what was done: an object, or a sentence.
    fn report(&self, object: &serde_json::Value, sentence: &str) -> ExitCode {
        let text = if self.as_json { object.to_string() } else { sentence.to_owned() };
        terminal::line(&text);
        ExitCode::SUCCESS
    }

    fn failure(&self, error: UsersError) -> Failure {
        error.failure(self.config)
    }
}

/// The account with this name, verified address or id.
async fn find(tx: &mut Tx, user: &str) -> Result<Account, UsersError> {
    if let Some(account) = accounts::by_login(tx, user).await? {
        return Ok(account);
    }
    let by_id = match user.parse::<Uuid>() {
        Ok(id) => accounts::find(tx, id).await?,
        Err(_) => None,
    };
    by_id.ok_or_else(|| UsersError::Unknown(user.to_owned()))
}

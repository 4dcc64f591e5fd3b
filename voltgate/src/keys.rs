//! `voltgate keys`: creates, lists and revokes API keys. It accesses the store directly and needs no service.

use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use common::api_key::{ApiKey, KeyId, Scopes};
use common::clock;
use common::key_store::{KeyRecord, KeyStore, KeyStoreError};
use serde_json::{Value, json};
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;
use store::config::StoreConfig;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::terminal;
use crate::times::{Span, moment};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
    /// The data directory of `voltgate up` [default: as in REDIS_URL, or voltgate-data if it exists]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key and print it; it cannot be shown again
    #[command(
        after_help = "Example: voltgate keys create --name roaming-partner --scope authorize,read --expires 90d\n\
            Example: voltgate keys create --name operator --scope platform:operate"
    )]
    Create {
        /// The key's owner or purpose
        #[arg(long)]
        name: String,
        /// The key's scopes, separated by commas. authorize: request decisions; read: read requests, decisions and access
        /// lists; acl: change access lists; admin: all of these. platform:read, platform:operate and platform:admin: read
        /// the platform, change it, everything there
        #[arg(long)]
        scope: Scopes,
        /// When the key expires: 90d, 12h, 30m, or a timestamp such as 2027-01-31T00:00:00Z
        #[arg(long)]
        expires: Option<Expiry>,
    },
    /// List all keys, without their secrets
    #[command(after_help = "Example: voltgate keys list")]
    List,
    /// Revoke a key; the services may accept it for up to five seconds more
    #[command(after_help = "Exit code: 0 revoked, 1 there is no such key\n\n\
        Example: voltgate keys revoke 0b5c9f2e7d41a638")]
    Revoke {
        /// The key's id, which `voltgate keys list` shows; not its secret
        id: KeyId,
    },
}

const MAX_NAME: usize = 100;

/// When a key expires.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expiry {
    After(Duration),
    AtMs(u64),
}

#[derive(Debug, thiserror::Error)]
#[error("expected a time in the future: 90d, 12h, 30m, or a timestamp such as 2027-01-31T00:00:00Z")]
pub(crate) struct BadExpiry;

impl FromStr for Expiry {
    type Err = BadExpiry;

    fn from_str(text: &str) -> Result<Self, BadExpiry> {
        if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
            let ms = u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).map_err(|_| BadExpiry)?;
            return if ms > now_ms() { Ok(Self::AtMs(ms)) } else { Err(BadExpiry) };
        }
        // Without a unit it could be meant as days.
        if !text.ends_with(|last: char| last.is_ascii_alphabetic()) {
            return Err(BadExpiry);
        }
        text.parse().map(|Span(after)| Self::After(after)).map_err(|_| BadExpiry)
    }
}

pub(crate) async fn run(settings: &Settings, args: KeysArgs) -> Result<ExitCode, Failure> {
    let config = StoreConfig::from_settings(settings)?;
    let store = config.open_beside().await?;
    let (keys, at) = (store.keys(), config.url().to_string());
    let done = match args.command {
        KeysCommand::Create { name, scope, expires } => {
            create(keys, &at, name, scope, expires, args.json).await
        }
        KeysCommand::List => list(keys, &at, args.json).await,
        KeysCommand::Revoke { id } => revoke(keys, &at, &id, args.json).await,
    };
    store.close().await;
    done
}

async fn create(
    keys: &Arc<dyn KeyStore>,
    at: &str,
    name: String,
    scopes: Scopes,
    expires: Option<Expiry>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
        let expected = format!("--name: expected 1 to {MAX_NAME} characters without control characters");
        return Err(Failure::Usage(expected));
    }
    let key = ApiKey::generate().map_err(Failure::broken)?;
    let now = now_ms();
    let expires_ms = expires.map(|expires| match expires {
        Expiry::After(span) => now.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        Expiry::AtMs(moment) => moment,
    });
    let record = KeyRecord {
        id: key.id().clone(),
        name,
        scopes,
        hash: key.hash(),
        created_ms: now,
        expires_ms,
        last_used_ms: None,
        revoked_ms: None,
    };
    keys.insert(&record).await.map_err(|error| unkept(at, &error))?;
    if as_json {
        let mut shown = shown(&record);
        shown["key"] = key.reveal().into();
        println!("{shown}");
    } else {
        println!("{}", key.reveal());
        eprintln!("This is the only time that the key is shown. Its id is {}. The store is {at}.", record.id);
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(keys: &Arc<dyn KeyStore>, at: &str, as_json: bool) -> Result<ExitCode, Failure> {
    let records = keys.list().await.map_err(|error| unkept(at, &error))?;
    if records.is_empty() && !as_json {
        println!("no keys in {at}");
        return Ok(ExitCode::SUCCESS);
    }
    let row = |id: &str, state: &str, scopes: &str, ends: &str, used: &str, name: &str| {
        format!("{id:<16}  {state:<8} {scopes:<20} {ends:<20}  {used:<20}  {name}")
    };
    if !as_json {
        let bold = terminal::bold();
        println!("{bold}{}{bold:#}", row("id", "state", "scopes", "expires", "last used", "name"));
    }
    for record in &records {
        let (ends, used) = (moment(record.expires_ms), moment(record.last_used_ms));
        let line = if as_json {
            shown(record).to_string()
        } else {
            let (scopes, dash) = (record.scopes.to_string(), "-".to_owned());
            let (ends, used) = (ends.unwrap_or(dash.clone()), used.unwrap_or(dash));
            row(record.id.as_str(), state(record), &scopes, &ends, &used, &record.name)
        };
        if !terminal::line(&line) {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn revoke(keys: &Arc<dyn KeyStore>, at: &str, id: &KeyId, as_json: bool) -> Result<ExitCode, Failure> {
    let revoked = keys.revoke(id, now_ms()).await.map_err(|error| unkept(at, &error))?;
    match (as_json, revoked) {
        (true, _) => println!("{}", json!({ "id": id.as_str(), "revoked": revoked })),
        (false, true) => println!("revoked {id}; the services may accept it for up to five seconds more"),
        (false, false) => println!("there is no key {id} in {at}"),
    }
    Ok(ExitCode::from(u8::from(!revoked)))
}

fn shown(record: &KeyRecord) -> Value {
    json!({
        "id": record.id.as_str(),
        "name": record.name,
        "scopes": record.scopes.to_string().split(',').collect::<Vec<_>>(),
        "state": state(record),
        "created": moment(Some(record.created_ms)),
        "expires": moment(record.expires_ms),
        "last_used": moment(record.last_used_ms),
        "revoked": moment(record.revoked_ms),
    })
}

fn state(record: &KeyRecord) -> &'static str {
    if record.revoked_ms.is_some() {
        "revoked"
    } else if record.is_good_at(now_ms()) {
        "good"
    } else {
        "expired"
    }
}

fn now_ms() -> u64 {
    clock::now() / 1_000_000
}

fn unkept(at: &str, error: &KeyStoreError) -> Failure {
    Failure::broken(format!("the store of keys at {at}: {error}"))
}

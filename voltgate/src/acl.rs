//! `voltgate acl`: see and change access lists through acl-service.

mod import;

use std::process::ExitCode;

use common::exit::Failure;
use common::settings::Settings;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{AclArgs, AclCommand};
use crate::client::Service;
use crate::terminal;

#[derive(Debug, Deserialize)]
struct Page {
    driver_tokens: Vec<String>,
    cursor: Option<String>,
}

pub(crate) async fn run(settings: &Settings, args: AclArgs) -> Result<ExitCode, Failure> {
    let acl = Service::acl(settings, args.acl.as_deref())?;
    match args.command {
        AclCommand::Allow { station, token } => {
            let changed = entry(&acl, Method::PUT, &station, &token).await?;
            print(
                args.json,
                &changed,
                &format!("allowed; the list of {station} has {} drivers", changed["new_size"]),
            );
        }
        AclCommand::Deny { station, token } => {
            let changed = entry(&acl, Method::DELETE, &station, &token).await?;
            print(
                args.json,
                &changed,
                &format!("denied; the list of {station} has {} drivers", changed["new_size"]),
            );
        }
        AclCommand::Check { station, token } => {
            let answer = entry(&acl, Method::GET, &station, &token).await?;
            let allowed = answer["allowed"] == json!(true);
            print(args.json, &answer, if allowed { "allowed" } else { "not allowed" });
            return Ok(ExitCode::from(u8::from(!allowed)));
        }
        AclCommand::List { station } => list(&acl, &station, args.json).await?,
        AclCommand::Import { file } => return import::run(&acl, &file, args.json).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn entry(acl: &Service, method: Method, station: &str, token: &str) -> Result<Value, Failure> {
    let (http, url) = acl.url(&["station", station, "driver", token, "acl"]);
    acl.send(http.request(method, url)).await
}

async fn list(acl: &Service, station: &str, as_json: bool) -> Result<(), Failure> {
    let mut cursor: Option<String> = None;
    loop {
        let (http, mut url) = acl.url(&["station", station, "acl"]);
        url.query_pairs_mut().append_pair("limit", "1000");
        if let Some(cursor) = &cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let page: Page = acl.send(http.get(url)).await?;
        for token in &page.driver_tokens {
            let shown = if as_json {
                json!({ "station_id": station, "driver_token": token }).to_string()
            } else {
                token.clone()
            };
            if !terminal::line(&shown) {
                return Ok(());
            }
        }
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

fn print(as_json: bool, answer: &Value, text: &str) {
    if as_json {
        println!("{answer}");
    } else {
        println!("{text}");
    }
}

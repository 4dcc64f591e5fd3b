//! `voltgate acl`: shows and changes access lists through acl-service.

pub(crate) mod args;
mod audit;
mod group;
mod import;
mod pages;

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;

use self::args::{AclArgs, AclCommand, TimesArgs};
use self::pages::Pages;
use crate::client::Service;
use crate::terminal;

pub(crate) async fn run(settings: &Settings, args: AclArgs) -> Result<ExitCode, Failure> {
    let acl = Service::acl(settings, args.acl.as_deref())?;
    let as_json = args.json;
    match args.command {
        AclCommand::Allow { station, token, times } => {
            let path = ["station", &station, "driver", &token, "acl"];
            let changed = send(&acl, Method::PUT, &path, times.body()).await?;
            print(as_json, &changed, &size(&times.describe("allowed"), &station, &changed));
        }
        AclCommand::Deny { station, token } => {
            let path = ["station", &station, "driver", &token, "acl"];
            let changed = send(&acl, Method::DELETE, &path, None).await?;
            print(as_json, &changed, &size("denied", &station, &changed));
        }
        AclCommand::Check { station, token } => {
            let path = ["station", &station, "driver", &token, "acl"];
            let answer = send(&acl, Method::GET, &path, None).await?;
            let allowed = answer["allowed"] == json!(true);
            print(as_json, &answer, if allowed { "allowed" } else { "not allowed" });
            return Ok(ExitCode::from(u8::from(!allowed)));
        }
        AclCommand::List { station, timed: true, .. } => timed(&acl, &station, as_json).await?,
        AclCommand::List { station, search, .. } => list(&acl, &station, search.as_deref(), as_json).await?,
        AclCommand::Import(args) => return import::run(&acl, &args, as_json).await,
        AclCommand::Copy { from, to, replace } => {
            let body = json!({ "to": to, "mode": if replace { "replace" } else { "add" } });
            let copied = send(&acl, Method::POST, &["station", &from, "acl", "copy"], Some(body)).await?;
            let (added, removed) = (&copied["added"], &copied["removed"]);
            let text = format!(
                "entries added: {added}, removed: {removed}; drivers on the list of {to}: {}",
                copied["new_size"]
            );
            print(as_json, &copied, &text);
        }
        AclCommand::Group(command) => group::run(&acl, command, as_json).await?,
        AclCommand::Public => items(&acl, &["public-stations"], "station_ids", as_json).await?,
        AclCommand::Members => items(&acl, &["members"], "members", as_json).await?,
        AclCommand::Audit(args) => audit::run(&acl, &args, as_json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl TimesArgs {
    fn body(&self) -> Option<Value> {
        let given = self.from.is_some() || self.until.is_some();
        given.then(|| json!({ "from": self.from, "until": self.until }))
    }

    /// What was done, with the entry's validity period: `allowed from … until …`.
    fn describe(&self, done: &str) -> String {
        match (&self.from, &self.until) {
            (None, None) => done.to_owned(),
            (Some(from), None) => format!("{done} from {from} on"),
            (None, Some(until)) => format!("{done} until {until}"),
            (Some(from), Some(until)) => format!("{done} from {from} until {until}"),
        }
    }
}

async fn send(acl: &Service, method: Method, path: &[&str], body: Option<Value>) -> Result<Value, Failure> {
    let (http, url) = acl.url(path);
    let request = http.request(method, url);
    acl.send(if let Some(body) = body { request.json(&body) } else { request }).await
}

async fn list(acl: &Service, station: &str, search: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let mut pages = Pages::of(acl, &["station", station, "acl"]).with("search", search);
    while let Some(page) = pages.next().await? {
        for token in page["driver_tokens"].as_array().into_iter().flatten() {
            let times = token.as_str().map_or(&Value::Null, |token| &page["times"][token]);
            if !entry(station, token, times, as_json) {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn timed(acl: &Service, station: &str, as_json: bool) -> Result<(), Failure> {
    let mut pages = Pages::of(acl, &["station", station, "acl", "timed"]);
    while let Some(page) = pages.next().await? {
        for shown in page["entries"].as_array().into_iter().flatten() {
            if !entry(station, &shown["driver_token"], shown, as_json) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Prints the items of a list, one a line.
async fn items(acl: &Service, path: &[&str], what: &str, as_json: bool) -> Result<(), Failure> {
    let mut pages = Pages::of(acl, path);
    while let Some(page) = pages.next().await? {
        for item in page[what].as_array().into_iter().flatten() {
            let line = match item {
                item if as_json => item.to_string(),
                Value::String(text) => text.clone(),
                driver => with_times(driver["driver_token"].as_str().unwrap_or_default(), driver),
            };
            if !terminal::line(&line) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Prints an entry; returns `false` if the output is closed.
fn entry(station: &str, token: &Value, times: &Value, as_json: bool) -> bool {
    if as_json {
        let mut line = json!({ "station_id": station, "driver_token": token });
        for name in ["from", "until"] {
            if times[name].is_string() {
                line[name] = times[name].clone();
            }
        }
        return terminal::line(&line.to_string());
    }
    terminal::line(&with_times(token.as_str().unwrap_or_default(), times))
}

/// A token, and the validity of its entry in further columns.
fn with_times(token: &str, times: &Value) -> String {
    let time = |name: &str| times[name].as_str().map(|moment| format!("{name} {moment}")).unwrap_or_default();
    format!("{token:<40}  {:<30}  {}", time("from"), time("until")).trim_end().to_owned()
}

fn size(done: &str, station: &str, changed: &Value) -> String {
    let drivers = if changed["new_size"] == json!(1) { "driver" } else { "drivers" };
    format!("{done}; the list of {station} has {} {drivers}", changed["new_size"])
}

fn print(as_json: bool, answer: &Value, text: &str) {
    if as_json {
        println!("{answer}");
    } else {
        println!("{text}");
    }
}

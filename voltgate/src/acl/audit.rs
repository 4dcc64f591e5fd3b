//! `voltgate acl audit`: the changes of access lists.

use serde_json::Value;
use service_runtime::exit::Failure;

use super::args::AuditArgs;
use super::pages::Pages;
use crate::client::Service;
use crate::terminal;

pub(super) async fn run(acl: &Service, args: &AuditArgs, as_json: bool) -> Result<(), Failure> {
    let mut pages = Pages::of(acl, &["audit"])
        .with("station_id", args.station.as_deref())
        .with("driver_token", args.driver.as_deref())
        .with("from", args.from.as_deref())
        .with("to", args.to.as_deref());
    let mut left = args.limit;
    while let Some(page) = pages.next().await? {
        for entry in page["entries"].as_array().into_iter().flatten() {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            if !terminal::line(&if as_json { entry.to_string() } else { row(entry) }) {
                return Ok(());
            }
        }
        if left == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// Time, author, action, stage, and the first of the entries concerned.
fn row(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let who = [text("actor"), text("address")].map(str::to_owned);
    let who: Vec<String> = who.into_iter().filter(|part| !part.is_empty()).collect();
    let mut row =
        format!("{:<30}  {:<20}  {:<13}  {:<9}", text("at"), who.join(" at "), text("action"), text("stage"));
    if let Some(group) = entry["group"].as_str() {
        row += &format!("  group {group}");
    }
    if let Some(first) = entry["changes"].get(0) {
        for name in ["effect", "station_id", "driver_token", "from", "until"] {
            if let Some(value) = first[name].as_str() {
                let label = if matches!(name, "from" | "until") { format!("{name} ") } else { String::new() };
                row += &format!("  {label}{value}");
            }
        }
    }
    match entry["count"].as_u64() {
        Some(count) if count > 1 => row += &format!("  and {} more", count - 1),
        _ => {}
    }
    if entry["counts"].is_object() {
        let count = |name: &str| entry["counts"][name].as_u64().unwrap_or_default();
        let (applied, unchanged, refused) = (count("applied"), count("unchanged"), count("refused"));
        row += &format!("  {applied} applied, {unchanged} unchanged, {refused} refused");
    }
    row
}

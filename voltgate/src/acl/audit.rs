//! `voltgate acl audit`: the changes of access lists, public stations and members.

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
        let entries = page["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        let entries = &entries[..entries.len().min(left)];
        left -= entries.len();
        let heads: Vec<_> = entries.iter().map(head).collect();
        let widths: Vec<usize> = (0..4)
            .map(|column| heads.iter().map(|head| head[column].chars().count()).max().unwrap_or(0))
            .collect();
        for (entry, head) in entries.iter().zip(&heads) {
            let cells = head.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
            let row = || cells.collect::<String>() + &tail(entry);
            if !terminal::line(&if as_json { entry.to_string() } else { row() }) {
                return Ok(());
            }
        }
        if left == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// Time, author, action and stage, which are aligned.
fn head(entry: &Value) -> [String; 4] {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let joined = |parts: [String; 2], by: &str| {
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(by)
    };
    let principal = entry["on_behalf_of"].as_str().map(|whom| format!("for {whom}")).unwrap_or_default();
    let author = joined([joined([text("actor"), principal], " "), text("address")], " at ");
    [text("at"), author, text("action"), text("stage")]
}

/// The group, the first of the entries concerned, and the counts.
fn tail(entry: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(group) = entry["group"].as_str() {
        parts.push(format!("group {group}"));
    }
    if let Some(first) = entry["changes"].get(0) {
        for name in ["effect", "station_id", "driver_token", "from", "until"] {
            if let Some(value) = first[name].as_str() {
                let label = if matches!(name, "from" | "until") { format!("{name} ") } else { String::new() };
                parts.push(format!("{label}{value}"));
            }
        }
    }
    match entry["count"].as_u64() {
        Some(count) if count > 1 => parts.push(format!("and {} more", count - 1)),
        _ => {}
    }
    if entry["counts"].is_object() {
        let count = |name: &str| entry["counts"][name].as_u64().unwrap_or_default();
        let (applied, unchanged, refused) = (count("applied"), count("unchanged"), count("refused"));
        parts.push(format!("{applied} applied, {unchanged} unchanged, {refused} refused"));
    }
    parts.join("  ")
}

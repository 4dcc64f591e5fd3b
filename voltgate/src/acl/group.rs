//! `voltgate acl group`: groups of stations.

use reqwest::Method;
use serde_json::{Value, json};
use service_runtime::exit::Failure;

use super::args::GroupCommand;
use super::{items, print, send};
use crate::client::Service;

pub(super) async fn run(acl: &Service, command: GroupCommand, as_json: bool) -> Result<(), Failure> {
    let (answer, text) = match command {
        GroupCommand::List => return items(acl, &["groups"], "groups", as_json).await,
        GroupCommand::Stations { name } => {
            return items(acl, &["groups", &name, "stations"], "stations", as_json).await;
        }
        GroupCommand::Drivers { name } => {
            return items(acl, &["groups", &name, "drivers"], "drivers", as_json).await;
        }
        GroupCommand::Create { name } => sized(send(acl, Method::PUT, &["groups", &name], None).await?),
        GroupCommand::Show { name } => sized(send(acl, Method::GET, &["groups", &name], None).await?),
        GroupCommand::Delete { name } => {
            let gone = send(acl, Method::DELETE, &["groups", &name], None).await?;
            (gone, format!("the group {name} is deleted; the lists of its stations are unchanged"))
        }
        GroupCommand::Join { name, station } => {
            let joined = send(acl, Method::PUT, &["groups", &name, "stations", &station], None).await?;
            let text =
                format!("{station} is in the group; {} drivers were added to its list", joined["changed"]);
            (joined, text)
        }
        GroupCommand::Leave { name, station } => {
            let left = send(acl, Method::DELETE, &["groups", &name, "stations", &station], None).await?;
            (left, format!("{station} is no longer in the group; its list is unchanged"))
        }
        GroupCommand::Allow { name, token, times } => {
            let path = ["groups", &name, "drivers", &token];
            let done = send(acl, Method::PUT, &path, times.body()).await?;
            let text = reached("allowed", &done);
            (done, text)
        }
        GroupCommand::Deny { name, token } => {
            let done = send(acl, Method::DELETE, &["groups", &name, "drivers", &token], None).await?;
            let text = reached("denied", &done);
            (done, text)
        }
    };
    print(as_json, &answer, &text);
    Ok(())
}

fn sized(group: Value) -> (Value, String) {
    let name = group["name"].as_str().unwrap_or_default();
    let text =
        format!("the group {name} has {} stations and {} drivers", group["stations"], group["drivers"]);
    (group, text)
}

fn reached(done: &str, answer: &Value) -> String {
    let stations = if answer["reached"] == json!(1) { "station" } else { "stations" };
    format!("{done} at {} {stations}; {} lists changed", answer["reached"], answer["changed"])
}

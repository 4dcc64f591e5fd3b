//! The local authorization list.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use super::answers::text;

/// The most entries, as `LocalAuthListMaxLength` says.
const MAX_ENTRIES: usize = 1000;

/// The list with its version. Tags are in upper case.
#[derive(Debug, Clone, Default)]
pub(super) struct LocalList {
    version: i64,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    accepted: bool,
    until: Option<OffsetDateTime>,
}

impl LocalList {
    /// The version; 0 for an empty list.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    /// Whether the list accepts this tag; `None` if it is not on the list.
    pub(super) fn accepts(&self, id_tag: &str, now: OffsetDateTime) -> Option<bool> {
        let entry = self.entries.get(&id_tag.to_ascii_uppercase())?;
        Some(entry.accepted && entry.until.is_none_or(|until| now < until))
    }

    /// Carries out SendLocalList: a differential change needs a newer version, and an entry without a status deletes.
    pub(super) fn change(&mut self, payload: &Value) -> &'static str {
        let version = payload["listVersion"].as_i64().unwrap_or_default();
        let full = text(payload, "updateType") == "Full";
        if !full && version <= self.version {
            return "VersionMismatch";
        }
        let mut entries = if full { BTreeMap::new() } else { self.entries.clone() };
        for given in payload["localAuthorizationList"].as_array().into_iter().flatten() {
            let id_tag = text(given, "idTag").to_ascii_uppercase();
            match given.get("idTagInfo") {
                Some(info) => {
                    let until = super::date(&info["expiryDate"]);
                    entries.insert(id_tag, Entry { accepted: text(info, "status") == "Accepted", until });
                }
                None if full => return "Failed",
                None => drop(entries.remove(&id_tag)),
            }
        }
        if entries.len() > MAX_ENTRIES {
            return "Failed";
        }
        (self.version, self.entries) = (version, entries);
        "Accepted"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn list(version: i64, kind: &str, entries: &Value) -> Value {
        json!({"listVersion": version, "updateType": kind, "localAuthorizationList": entries})
    }

    #[test]
    fn a_differential_list_needs_a_newer_version_and_deletes_what_has_no_status() {
        let mut local = LocalList::default();
        let now = datetime!(2026-11-29 03:00 UTC);
        let (good, bad) = (json!({"status": "Accepted"}), json!({"status": "Blocked"}));
        let first = json!([{"idTag": "a", "idTagInfo": good}, {"idTag": "B", "idTagInfo": bad}]);
        assert_eq!(local.change(&list(3, "Full", &first)), "Accepted");
        assert_eq!(
            (local.accepts("A", now), local.accepts("b", now), local.accepts("C", now)),
            (Some(true), Some(false), None)
        );
        assert_eq!(local.change(&list(3, "Differential", &json!([]))), "VersionMismatch");
        assert_eq!(local.change(&list(4, "Differential", &json!([{"idTag": "A"}]))), "Accepted");
        assert_eq!((local.version(), local.accepts("A", now)), (4, None));
    }

    #[test]
    fn an_entry_is_good_until_it_expires() {
        let mut local = LocalList::default();
        let info = json!({"status": "Accepted", "expiryDate": "2026-11-29T03:00:00Z"});
        local.change(&list(1, "Full", &json!([{"idTag": "A", "idTagInfo": info}])));
        assert_eq!(local.accepts("A", datetime!(2026-11-29 02:59 UTC)), Some(true));
        assert_eq!(local.accepts("A", datetime!(2026-11-29 03:00 UTC)), Some(false));
    }
}

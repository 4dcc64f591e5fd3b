//! Masks what a frame must not show: id tags, keys, passwords in URLs, certificates' keys.

use serde_json::Value;

/// Members whose text is masked.
const SECRET: &[&str] = &["idTag", "parentIdTag", "password", "AuthorizationKey", "privateKey"];
/// Members that hold a URL.
const URLS: &[&str] = &["location", "remoteLocation"];
/// Configuration keys whose value is masked.
const SECRET_KEYS: &[&str] = &["AuthorizationKey"];

/// The text of a frame as it may be shown. What is no JSON is not shown at all.
pub(crate) fn masked(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut frame) => {
            mask(&mut frame);
            frame.to_string()
        }
        Err(_) => format!("({} bytes that are not JSON)", text.len()),
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => {
            let is_secret = members
                .get("key")
                .and_then(Value::as_str)
                .is_some_and(|key| SECRET_KEYS.iter().any(|secret| key.eq_ignore_ascii_case(secret)));
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(text)
                        if SECRET.contains(&name.as_str()) || (is_secret && name == "value") =>
                    {
                        *text = ocpp::v16::masked(text);
                    }
                    Value::String(text) if URLS.contains(&name.as_str()) => {
                        if let Some(without) = without_password(text) {
                            *text = without;
                        }
                    }
                    member => mask(member),
                }
            }
        }
        _ => {}
    }
}

fn without_password(text: &str) -> Option<String> {
    let mut url: url::Url = text.parse().ok()?;
    url.password()?;
    url.set_password(Some("…")).ok()?;
    Some(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keys_and_passwords_are_masked() {
        for (frame, shown) in [
            (r#"[2,"a","Authorize",{"idTag":"04A2B3C4"}]"#, r#"[2,"a","Authorize",{"idTag":"…"}]"#),
            (
                r#"[3,"a",{"idTagInfo":{"parentIdTag":"GROUP-OF-DRIVERS","status":"Accepted"}}]"#,
                r#"[3,"a",{"idTagInfo":{"parentIdTag":"GROU…","status":"Accepted"}}]"#,
            ),
            (
                r#"[2,"a","ChangeConfiguration",{"key":"AuthorizationKey","value":"00112233445566778899"}]"#,
                r#"[2,"a","ChangeConfiguration",{"key":"AuthorizationKey","value":"0011…"}]"#,
            ),
            (
                r#"[2,"a","GetDiagnostics",{"location":"ftp://me:secret@files.example/x"}]"#,
                r#"[2,"a","GetDiagnostics",{"location":"ftp://me:%E2%80%A6@files.example/x"}]"#,
            ),
            ("hello 04A2B3C4", "(14 bytes that are not JSON)"),
        ] {
            let shown_as: Value = serde_json::from_str(shown).unwrap_or(Value::Null);
            let masked = masked(frame);
            assert!(
                masked == shown || serde_json::from_str::<Value>(&masked).is_ok_and(|it| it == shown_as),
                "{masked}"
            );
        }
    }
}

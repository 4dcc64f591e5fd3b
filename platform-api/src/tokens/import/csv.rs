//! Tokens as CSV: one a line, with the members of NDJSON as columns.

use http_server::Problem;
use serde_json::{Map, Value};

use crate::network::fields;

const COLUMNS: [&str; 12] = [
    "id_tag",
    "uid",
    "driver_token",
    "type",
    "status",
    "whitelist",
    "expires_at",
    "parent_id_tag",
    "user_id",
    "username",
    "bind_code",
    "printed_code",
];

/// The header of a file: its columns in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    columns: Vec<&'static str>,
    delimiter: u8,
}

impl Header {
    /// Reads the first line.
    pub(super) fn parse(line: &str) -> Result<Self, Problem> {
        let delimiter = if line.contains(';') && !line.contains(',') { b';' } else { b',' };
        let mut columns = Vec::new();
        for name in fields(line, delimiter)? {
            let name = name.trim().to_lowercase();
            let Some(column) = COLUMNS.into_iter().find(|column| *column == name) else {
                let detail = format!("unknown column `{name:.64}`; expected some of {}", COLUMNS.join(", "));
                return Err(Problem::invalid("header", detail));
            };
            if columns.contains(&column) {
                return Err(Problem::invalid("header", format!("the column `{column}` is there twice")));
            }
            columns.push(column);
        }
        Ok(Self { columns, delimiter })
    }

    /// What a line says. An empty field is one that is not given.
    pub(super) fn document(&self, line: &str) -> Result<Value, Problem> {
        let values = fields(line, self.delimiter)?;
        if values.len() != self.columns.len() {
            let detail = format!("expected {} columns, not {}", self.columns.len(), values.len());
            return Err(Problem::invalid("line", detail));
        }
        let given = self.columns.iter().zip(&values).filter(|(_, value)| !value.trim().is_empty());
        let member = |(name, value): (&&str, &String)| {
            let value = match (*name, value.trim()) {
                ("bind_code", "true") => Value::Bool(true),
                ("bind_code", "false") => Value::Bool(false),
                (_, text) => Value::from(text),
            };
            ((*name).to_owned(), value)
        };
        Ok(Value::Object(given.map(member).collect::<Map<String, Value>>()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_the_members_of_its_columns() {
        let header = Header::parse("ID_TAG;bind_code;username").unwrap();
        assert_eq!(header.document("A1;true;"), Ok(json!({"id_tag": "A1", "bind_code": true})));
        assert_eq!(
            header.document("A1;maybe;\"a;b\""),
            Ok(json!({"id_tag": "A1", "bind_code": "maybe", "username": "a;b"}))
        );
        assert_eq!(header.document("A1").unwrap_err().field(), "line");
        for bad in ["id_tag,colour", "id_tag,id_tag", ""] {
            let refused = Header::parse(bad);
            assert!(bad.is_empty() || refused.is_err_and(|problem| problem.field() == "header"), "{bad}");
        }
    }
}

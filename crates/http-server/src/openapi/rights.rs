//! Comparison of a document with a table of who may do what, which is written by hand and apart from the code. A route that
//! is missing in the table is found, and one that admits others than the table says.

use std::collections::BTreeSet;

use common::api_key::Scope;
use common::role::Role;
use serde_json::Value;

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Who may use the operations.
    pub who: Who,
    /// Operations such as `GET /api/v1/users/{}`, with `{}` for each parameter. `*` stands for any method, and `/**` at the
    /// end for any path below. The longest one that fits counts.
    pub operations: &'static [&'static str],
}

/// Who may use an operation.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    /// Anyone, without credentials.
    Anyone,
    /// Accounts with one of these roles, and keys with one of these scopes.
    Only(&'static [Role], &'static [Scope]),
}

/// The words of roles, and those of scopes; `None` for anyone.
type Admitted = Option<(BTreeSet<String>, BTreeSet<String>)>;

/// Where a document and the table differ.
pub fn deviations(document: &Value, table: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let name = format!("{} {path}", method.to_uppercase());
            let admitted = admitted(operation);
            match row(table, &name) {
                None => found.push(format!("{name}: no row")),
                Some(row) if row.admitted() != admitted => {
                    found.push(format!("{name}: admits {admitted:?} instead of {:?}", row.admitted()));
                }
                Some(_) => {}
            }
        }
    }
    found
}

impl Row {
    fn admitted(&self) -> Admitted {
        match self.who {
            Who::Anyone => None,
            Who::Only(roles, scopes) => {
                let roles = roles.iter().map(|role| role.as_str().to_owned()).collect();
                Some((roles, scopes.iter().map(|scope| scope.as_str().to_owned()).collect()))
            }
        }
    }
}

/// Whom an operation admits, by its requirements. One without requirements, or with an empty list, admits anyone.
fn admitted(operation: &Value) -> Admitted {
    let requirements = operation["security"].as_array().filter(|all| !all.is_empty())?;
    let (mut roles, mut scopes) = (BTreeSet::new(), BTreeSet::new());
    for (scheme, words) in requirements.iter().filter_map(Value::as_object).flatten() {
        let words = words.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        match scheme == super::ACCOUNT {
            true => roles.extend(words),
            false => scopes.extend(words),
        }
    }
    Some((roles, scopes))
}

fn row<'a>(table: &'a [Row], operation: &str) -> Option<&'a Row> {
    let length = |row: &Row| {
        let fitting = row.operations.iter().filter(|pattern| fits(pattern, operation));
        fitting.map(|pattern| pattern.len()).max()
    };
    let fitting = table.iter().filter_map(|row| Some((length(row)?, row)));
    fitting.max_by_key(|(length, _)| *length).map(|(_, row)| row)
}

fn fits(pattern: &str, operation: &str) -> bool {
    let (Some((methods, pattern)), Some((method, path))) =
        (pattern.split_once(' '), operation.split_once(' '))
    else {
        return false;
    };
    let path: Vec<&str> =
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
    let path = path.join("/");
    let is_there = match pattern.strip_suffix("/**") {
        Some(parent) => path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/')),
        None => path == pattern,
    };
    is_there && (methods == "*" || methods == method)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STAFF: Row = Row {
        who: Who::Only(&[Role::Staff, Role::Admin], &[Scope::PlatformRead]),
        operations: &["GET /sites/{}/log", "* /sites/**"],
    };
    const ANYONE: Row = Row { who: Who::Anyone, operations: &["GET /sites/{}"] };

    fn document(security: &Value) -> Value {
        json!({"paths": {"/sites/{site_id}/log": {"get": {"security": security}}, "/sites/{site_id}": {"get": {}}}})
    }

    #[test]
    fn a_document_that_agrees_has_no_deviations() {
        let agreed = json!([{"account": ["admin", "staff"]}, {"bearer": ["platform:read"]}, {"api_key": ["platform:read"]}]);
        assert_eq!(deviations(&document(&agreed), &[STAFF, ANYONE]), Vec::<String>::new());
    }

    #[test]
    fn another_role_another_scope_and_no_requirement_are_found() {
        for hole in [
            json!([]),
            json!([{"account": ["admin", "driver", "staff"]}, {"bearer": ["platform:read"]}]),
            json!([{"account": ["admin", "staff"]}, {"bearer": ["platform:read"]}, {"api_key": ["read"]}]),
            json!([{"account": ["staff"]}, {"bearer": ["platform:read"]}]),
            json!([{"account": ["admin", "staff"]}]),
        ] {
            let found = deviations(&document(&hole), &[STAFF, ANYONE]);
            assert!(
                found.len() == 1 && found[0].starts_with("GET /sites/{site_id}/log: admits"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_route_without_a_row_is_found() {
        let found = deviations(&document(&json!([])), &[ANYONE]);
        assert_eq!(found, ["GET /sites/{site_id}/log: no row"]);
    }
}
